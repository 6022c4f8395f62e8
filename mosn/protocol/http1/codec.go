package http1

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	preservecasev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/header_formatters/preserve_case/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// Codec returns the codec. Every call makes a new one, so a program calls it
// once, for its list of built-in extensions.
func Codec() *sdk.Codec {
	codec := &sdk.Codec{Name: "http1", Level: sdk.Heavy, Mode: sdk.Serial, Match: sniff, Fields: fieldStatus()}
	codec.Compile = func(c sdk.Compiler, side sdk.Side, o sdk.CodecOptions) (sdk.CodecConfig, error) {
		return compile(codec, c, side, o)
	}
	return codec
}

// sniff tells HTTP/1 by a known method and the blank after it. The longest
// method has 11 characters.
func sniff(prefix []byte) sdk.Verdict {
	for i, c := range prefix {
		if c == ' ' {
			if knownMethod(prefix[:i]) {
				return sdk.Matched
			}
			return sdk.NoMatch
		}
	}
	for _, m := range methods {
		if strings.HasPrefix(m, string(prefix)) {
			return sdk.NeedMore
		}
	}
	return sdk.NoMatch
}

// config is the compiled configuration of one side. It is immutable.
type config struct {
	codec         *sdk.Codec
	side          sdk.Side
	maxBytes      int
	maxCount      int
	underscore    int32
	absoluteURL   bool
	http10        bool
	defaultHost   string
	properCase    bool
	keepCase      bool
	properOurs    bool // with keepCase: names that no peer wrote get proper case
	trailers      bool
	chunkedLength bool
	fullURL       bool
	customMethods bool
	ignoreUpgrade []match.String
	keepH2C       bool
}

// proper reports whether names that no peer wrote are written in proper case.
func (c *config) proper() bool { return c.properCase || c.properOurs }

// New makes the codec of one connection.
func (c *config) New() sdk.CodecConn {
	if c.side == sdk.Upstream {
		return &client{decoder: decoder{cfg: c, state: done}, sent: true}
	}
	return &server{decoder: decoder{cfg: c}}
}

// Codec implements sdk.CodecConfig.
func (c *config) Codec() *sdk.Codec { return c.codec }

// ReadLimit implements sdk.CodecConfig: a head is read whole.
func (c *config) ReadLimit() int { return c.maxBytes + readMargin }

// readMargin is for the first line and for what is malformed, which is to be refused
// and not to be waited for.
const readMargin = 16 << 10

func compile(codec *sdk.Codec, c sdk.Compiler, side sdk.Side, o sdk.CodecOptions) (sdk.CodecConfig, error) {
	cfg := &config{
		codec: codec, side: side, underscore: o.UnderscoreAction, absoluteURL: true, keepH2C: o.KeepH2C,
		maxBytes: httpfield.DefaultRequestBytes, maxCount: httpfield.DefaultHeaderCount,
	}
	if side == sdk.Upstream {
		cfg.maxBytes = httpfield.DefaultResponseBytes
		cfg.underscore = httpfield.UnderscoreAllow
	}
	if o.MaxHeaderBytes > 0 {
		cfg.maxBytes = o.MaxHeaderBytes
	}
	if o.MaxHeaderCount > 0 {
		cfg.maxCount = o.MaxHeaderCount
	}
	if o.Proto == nil {
		return cfg, nil
	}
	pb, ok := o.Proto.(*corev3.Http1ProtocolOptions)
	if !ok {
		return nil, c.Errorf("http1 is configured by Http1ProtocolOptions, not by %s", o.Proto.ProtoReflect().Descriptor().FullName())
	}
	if err := cfg.options(c, pb); err != nil {
		return nil, err
	}
	return cfg, nil
}

func (c *config) options(comp sdk.Compiler, pb *corev3.Http1ProtocolOptions) error {
	if v := pb.GetAllowAbsoluteUrl(); v != nil {
		c.absoluteURL = v.GetValue()
	}
	//lint:ignore SA1019 deprecated, and in configurations all the same
	if v := pb.GetUseBalsaParser(); v != nil && !v.GetValue() {
		return comp.At("use_balsa_parser").Errorf("there is one parser here, and it decides as balsa does")
	}
	if pb.GetOverrideStreamErrorOnInvalidHttpMessage().GetValue() && c.side == sdk.Downstream {
		return comp.At("override_stream_error_on_invalid_http_message").Errorf("an invalid message always ends its connection here")
	}
	c.http10 = pb.GetAcceptHttp_10()
	c.defaultHost = pb.GetDefaultHostForHttp_10()
	c.trailers = pb.GetEnableTrailers()
	c.chunkedLength = pb.GetAllowChunkedLength()
	c.fullURL = pb.GetSendFullyQualifiedUrl()
	c.customMethods = pb.GetAllowCustomMethods()
	for i, m := range pb.GetIgnoreHttp_11Upgrade() {
		s, err := match.CompileString(comp.At(indexed("ignore_http_11_upgrade", i)), m)
		if err != nil {
			return err
		}
		c.ignoreUpgrade = append(c.ignoreUpgrade, s)
	}
	return c.keyFormat(comp.At("header_key_format"), pb.GetHeaderKeyFormat())
}

// keyFormat compiles how header names are written.
func (c *config) keyFormat(comp sdk.Compiler, pb *corev3.Http1ProtocolOptions_HeaderKeyFormat) error {
	if pb.GetProperCaseWords() != nil {
		c.properCase = true
	}
	stateful := pb.GetStatefulFormatter()
	if stateful == nil {
		return nil
	}
	comp = comp.At("stateful_formatter.typed_config")
	m, err := comp.Unpack(stateful.GetTypedConfig())
	if err != nil {
		return err
	}
	keep, ok := m.(*preservecasev3.PreserveCaseFormatterConfig)
	if !ok {
		return comp.Errorf("%s is not a header formatter known here", proto.MessageName(m))
	}
	if keep.GetForwardReasonPhrase() {
		return comp.At("forward_reason_phrase").Errorf("reason phrases are not kept")
	}
	c.keepCase = true
	c.properOurs = keep.GetFormatterTypeOnEnvoyHeaders() == preservecasev3.PreserveCaseFormatterConfig_PROPER_CASE
	return nil
}
