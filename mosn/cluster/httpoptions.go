package cluster

//lint:file-ignore SA1019 Envoy honours these fields though they are deprecated, and most configurations in use have them

import (
	"cmp"
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/sdk"
)

// httpOptions are how a cluster speaks HTTP, from the extension message or from the
// deprecated fields of the cluster.
type httpOptions struct {
	at         sdk.Compiler // where they stand
	http1At    string       // below at
	http2At    string
	common     *corev3.HttpProtocolOptions
	http1      *corev3.Http1ProtocolOptions // nil: not spoken, if http2 is
	http2      *corev3.Http2ProtocolOptions
	downstream bool // the version is that of the request
	auto       bool // the host chooses it
}

// compileProtocol takes the protocol and the limits of a connection.
func (c *Config) compileProtocol(comp sdk.Compiler, pb *clusterv3.Cluster) error {
	o := httpOptions{
		at: comp, http1At: "http_protocol_options", http2At: "http2_protocol_options", common: pb.GetCommonHttpProtocolOptions(), http1: pb.GetHttpProtocolOptions(), http2: pb.GetHttp2ProtocolOptions(),
		downstream: pb.GetProtocolSelection() == clusterv3.Cluster_USE_DOWNSTREAM_PROTOCOL,
	}
	for name, a := range pb.GetTypedExtensionProtocolOptions() {
		field := comp.At("typed_extension_protocol_options[" + strconv.Quote(name) + "]")
		if name != httpOptionsName {
			return field.Missing("envoy.upstream_options", name, nil) // found by name
		}
		m, err := field.Unpack(a)
		if err != nil {
			return err
		}
		pb, ok := m.(*httpv3.HttpProtocolOptions)
		if !ok {
			return field.Errorf("is a %s, not %s", m.ProtoReflect().Descriptor().FullName(), httpOptionsName)
		}
		if err := o.take(field, pb); err != nil {
			return err
		}
	}
	c.maxRequests = pb.GetMaxRequestsPerConnection().GetValue()
	if err := c.compileCommon(o.at.At("common_http_protocol_options"), o.common); err != nil {
		return err
	}
	return c.compileHTTP(&o)
}

func (o *httpOptions) take(c sdk.Compiler, pb *httpv3.HttpProtocolOptions) error {
	*o = httpOptions{at: c, common: pb.GetCommonHttpProtocolOptions()}
	within := func(field string) {
		o.http1At, o.http2At = field+".http_protocol_options", field+".http2_protocol_options"
	}
	switch u := pb.GetUpstreamProtocolOptions().(type) {
	case *httpv3.HttpProtocolOptions_ExplicitHttpConfig_:
		e, at := u.ExplicitHttpConfig, c.At("explicit_http_config")
		within("explicit_http_config")
		switch e.GetProtocolConfig().(type) {
		case *httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions:
			o.http1 = e.GetHttpProtocolOptions()
		case *httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions:
			o.http2 = e.GetHttp2ProtocolOptions()
		default:
			return at.Errorf("HTTP/3 is not built yet")
		}
	case *httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig:
		d := u.UseDownstreamProtocolConfig
		within("use_downstream_protocol_config")
		o.http1, o.http2, o.downstream = d.GetHttpProtocolOptions(), d.GetHttp2ProtocolOptions(), true
		if d.GetHttp3ProtocolOptions() != nil {
			return c.At("use_downstream_protocol_config.http3_protocol_options").Errorf("HTTP/3 is not built yet")
		}
	case *httpv3.HttpProtocolOptions_AutoConfig:
		within("auto_config")
		o.http1, o.http2, o.auto = u.AutoConfig.GetHttpProtocolOptions(), u.AutoConfig.GetHttp2ProtocolOptions(), true
	}
	return nil
}

func (c *Config) compileCommon(comp sdk.Compiler, o *corev3.HttpProtocolOptions) error {
	c.idleTimeout = duration(o.GetIdleTimeout(), defaultIdleTimeout)
	c.maxDuration = duration(o.GetMaxConnectionDuration(), 0)
	if m := o.GetMaxRequestsPerConnection(); m != nil {
		c.maxRequests = m.GetValue()
	}
	if o.GetMaxStreamDuration() != nil {
		return comp.At("max_stream_duration").Errorf("is not supported for a cluster yet")
	}
	if o.GetMaxConnectionDurationJitter() != nil {
		return comp.At("max_connection_duration_jitter").Errorf("is not supported yet")
	}
	return nil
}

// compileHTTP compiles the versions of HTTP that are spoken.
func (c *Config) compileHTTP(o *httpOptions) error {
	var err error
	if o.http2 == nil || o.downstream || o.auto {
		var opts proto.Message
		if o.http1 != nil {
			opts = o.http1
		}
		if c.http, err = o.codec("http1", o.http1At, opts); err != nil {
			return err
		}
	}
	if o.http2 == nil && !o.downstream && !o.auto {
		return nil
	}
	var opts proto.Message
	if o.http2 != nil {
		opts = o.http2
	}
	if c.http2, err = o.codec("http2", o.http2At, opts); err != nil {
		return err
	}
	if o.auto {
		c.auto, c.http = c.http, nil
	}
	if c.http == nil {
		c.http = c.http2
	}
	k := o.http2.GetConnectionKeepalive()
	c.mux2 = Multiplex{
		MaxStreams:        uint32Or(o.http2.GetMaxConcurrentStreams(), 1024),
		HeartbeatInterval: k.GetInterval().AsDuration(),
		HeartbeatTimeout:  cmp.Or(k.GetTimeout().AsDuration(), time.Second),
		HeartbeatMisses:   1,
		IdleInterval:      k.GetConnectionIdleInterval().AsDuration(),
	}
	jitter := 15.0 // percent, Envoy's default
	if p := k.GetIntervalJitter(); p != nil {
		jitter = p.GetValue()
	}
	c.mux2.HeartbeatJitter = time.Duration(float64(c.mux2.HeartbeatInterval) * jitter / 100)
	return nil
}

func (o *httpOptions) codec(name, field string, opts proto.Message) (sdk.CodecConfig, error) {
	codec, err := o.at.Codec(name)
	if err != nil {
		return nil, err
	}
	return codec.Compile(o.at.At(field), sdk.Upstream, sdk.CodecOptions{
		Proto:          opts,
		MaxHeaderBytes: int(o.common.GetMaxResponseHeadersKb().GetValue()) << 10,
		MaxHeaderCount: int(o.common.GetMaxHeadersCount().GetValue()),
	})
}
