package hcm

import (
	"cmp"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"sofamesh.io/sofamesh/mosn/metadata"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// compileCodecs finds the protocols that connections may speak. With codec_type AUTO
// these are all that there are, HTTP/1 first, which takes what is none of the others';
// the listener's metadata may name one instead (package metadata, key "protocol").
func compileCodecs(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	http1, err := c.Codec("http1")
	if err != nil {
		return err
	}
	codecs := []*sdk.Codec{http1}
	if h, ok := c.(host); ok {
		if codecs, err = protocolsOf(h, http1); err != nil {
			return err
		}
	}
	switch pb.GetCodecType() {
	case hcmv3.HttpConnectionManager_AUTO:
	case hcmv3.HttpConnectionManager_HTTP1:
		if codecs[0] != http1 {
			return c.At("codec_type").Errorf("is HTTP1, but the listener's metadata says %s", codecs[0].Name)
		}
		codecs = codecs[:1]
	case hcmv3.HttpConnectionManager_HTTP2:
		http2, err := c.At("codec_type").Codec("http2")
		if err != nil {
			return err
		}
		if codecs[0] != http1 && codecs[0] != http2 {
			return c.At("codec_type").Errorf("is HTTP2, but the listener's metadata says %s", codecs[0].Name)
		}
		codecs = []*sdk.Codec{http2}
	default:
		return c.At("codec_type").Errorf("%s is not built yet", pb.GetCodecType())
	}
	for _, codec := range codecs {
		at, o := c, rpcOptions(pb)
		switch codec.Name {
		case "http1":
			at = c.At("http_protocol_options")
			o, err = http1Options(c, pb)
		case "http2":
			at = c.At("http2_protocol_options")
			o = http2Options(pb)
		}
		if err != nil {
			return err
		}
		cc, err := codec.Compile(at, sdk.Downstream, o)
		if err != nil {
			return err
		}
		cfg.Codecs = append(cfg.Codecs, cc)
	}
	return nil
}

// protocolsOf returns the codecs of a listener, the one for all else first.
func protocolsOf(h host, http1 *sdk.Codec) ([]*sdk.Codec, error) {
	settings := metadata.Of(h.Root(), h.Listener().GetMetadata())
	only := settings.String("protocol")
	if err := settings.Err(); err != nil {
		return nil, err
	}
	codecs, names := []*sdk.Codec{http1}, []string{}
	for _, codec := range h.Codecs() {
		if codec.Name == only {
			return []*sdk.Codec{codec}, nil
		}
		if codec != http1 {
			codecs = append(codecs, codec)
		}
		names = append(names, codec.Name)
	}
	if only != "" {
		return nil, settings.At("protocol").Errorf("there is no protocol %q; there are %s", only, strings.Join(names, ", "))
	}
	return codecs, nil
}

func http1Options(c sdk.Compiler, pb *hcmv3.HttpConnectionManager) (o sdk.CodecOptions, err error) {
	if pb.GetStreamErrorOnInvalidHttpMessage().GetValue() && pb.GetHttpProtocolOptions().GetOverrideStreamErrorOnInvalidHttpMessage() == nil {
		return o, c.At("stream_error_on_invalid_http_message").Errorf("an invalid message always ends its connection here")
	}
	o = httpOptions(pb)
	for _, u := range pb.GetUpgradeConfigs() {
		if strings.EqualFold(u.GetUpgradeType(), "h2c") {
			o.KeepH2C = u.GetEnabled() == nil || u.GetEnabled().GetValue()
		}
	}
	if p := pb.GetHttpProtocolOptions(); p != nil {
		o.Proto = p
	}
	return o, nil
}

func http2Options(pb *hcmv3.HttpConnectionManager) sdk.CodecOptions {
	o := httpOptions(pb)
	o.StreamErrorOnInvalid = pb.GetStreamErrorOnInvalidHttpMessage().GetValue()
	if p := pb.GetHttp2ProtocolOptions(); p != nil {
		o.Proto = p
	}
	return o
}

// httpOptions are those that all versions of HTTP have.
func httpOptions(pb *hcmv3.HttpConnectionManager) sdk.CodecOptions {
	o := rpcOptions(pb)
	o.MaxHeaderBytes = cmp.Or(o.MaxHeaderBytes, defaultHeadersKB<<10)
	o.MaxHeaderCount = cmp.Or(o.MaxHeaderCount, defaultHeadersCount)
	o.UnderscoreAction = int32(pb.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction())
	return o
}

// rpcOptions are those that make sense for every protocol; a limit that is not set is
// the protocol's own.
func rpcOptions(pb *hcmv3.HttpConnectionManager) sdk.CodecOptions {
	return sdk.CodecOptions{
		MaxHeaderBytes: int(pb.GetMaxRequestHeadersKb().GetValue()) << 10,
		MaxHeaderCount: int(pb.GetCommonHttpProtocolOptions().GetMaxHeadersCount().GetValue()),
	}
}

// keepalive compiles connection_keepalive. The jitter is a part of the interval, 15 % if
// it is not set.
func keepalive(pb *corev3.KeepaliveSettings) stream.Keepalive {
	k := stream.Keepalive{Interval: pb.GetInterval().AsDuration(), Timeout: pb.GetTimeout().AsDuration()}
	percent := 15.0
	if p := pb.GetIntervalJitter(); p != nil {
		percent = p.GetValue()
	}
	k.Jitter = time.Duration(float64(k.Interval) * percent / 100)
	return k
}
