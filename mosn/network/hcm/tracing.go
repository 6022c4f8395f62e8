package hcm

import (
	"math"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	uuidv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/request_id/uuid/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/mosn/trace"
	"sofamesh.io/sofamesh/sdk"
)

// defaultMaxPath is Envoy's default of max_path_tag_length.
const defaultMaxPath = 256

// compileRequestID reads request_id_extension, of which there is one kind.
func compileRequestID(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	any := pb.GetRequestIdExtension().GetTypedConfig()
	if any == nil {
		return nil
	}
	c = c.At("request_id_extension.typed_config")
	m, err := c.Unpack(any)
	if err != nil {
		return err
	}
	uuid, ok := m.(*uuidv3.UuidRequestIdConfig)
	if !ok {
		return c.Errorf("%s is not supported", m.ProtoReflect().Descriptor().FullName())
	}
	off := func(v interface{ GetValue() bool }, set bool) bool { return set && !v.GetValue() }
	cfg.BareRequestID = off(uuid.GetPackTraceReason(), uuid.GetPackTraceReason() != nil)
	cfg.IgnoreRequestID = off(uuid.GetUseRequestIdForTraceSampling(), uuid.GetUseRequestIdForTraceSampling() != nil)
	return nil
}

// compileTracing reads tracing. It is the last step: the queue that it opens is closed
// with cfg.
func compileTracing(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	p := pb.GetTracing()
	if p == nil {
		return nil
	}
	counts := c.Stats().Scope("tracing")
	h, hosted := c.(host)
	c = c.At("tracing")
	t := &stream.Tracing{
		Verbose: p.GetVerbose(), NoPropagation: p.GetNoContextPropagation(), Hop: p.GetSpawnUpstreamSpan().GetValue(),
		MaxPath: defaultMaxPath,
		Sampling: trace.Sampling{
			Client: runtime.Fraction{Numerator: 100, Denominator: 100}, Random: share(p.GetRandomSampling()), Overall: share(p.GetOverallSampling()),
		},
	}
	if v := p.GetClientSampling(); v != nil {
		t.Sampling.Client.Numerator = uint32(v.GetValue()) // whole per cent, as in Envoy
	}
	t.Sampling.SetKeys()
	if v := p.GetMaxPathTagLength(); v != nil {
		t.MaxPath = int(v.GetValue())
	}
	t.Child = t.Hop || cfg.StartChildSpan
	for reason, name := range map[trace.Reason]string{
		trace.NotTraceable: "not_traceable", trace.HealthCheck: "health_check", trace.Sampled: "random_sampling",
		trace.ServiceForced: "service_forced", trace.ClientForced: "client_enabled",
	} {
		t.Counts[reason] = counts.Counter(name)
	}
	var err error
	if t.Tags, err = trace.CompileTags(c, p.GetCustomTags()); err != nil {
		return err
	}
	if t.Name, err = trace.CompileName(c.At("operation"), p.GetOperation()); err != nil {
		return err
	}
	if t.UpstreamName, err = trace.CompileName(c.At("upstream_operation"), p.GetUpstreamOperation()); err != nil {
		return err
	}
	provider := p.GetProvider()
	if hosted {
		t.Outbound = h.Listener().GetTrafficDirection() == corev3.TrafficDirection_OUTBOUND
		t.NodeID, t.Zone = h.Node().GetId(), h.Node().GetLocality().GetZone()
		if provider == nil {
			provider = h.Tracing()
		}
	}
	if t.Provider, t.Queue, err = tracer(c.At("provider"), provider); err != nil {
		return err
	}
	cfg.Tracing = t
	return nil
}

func tracer(c sdk.Compiler, pb *tracev3.Tracing_Http) (sdk.TraceProvider, sdk.SpanQueue, error) {
	if pb == nil {
		return nil, nil, nil
	}
	return c.Tracer(pb.GetName(), pb.GetTypedConfig())
}

// share is a percentage, of which Envoy takes hundredths into account; nil is all.
func share(pb *typev3.Percent) runtime.Fraction {
	f := runtime.Fraction{Numerator: 10000, Denominator: 10000}
	if pb != nil {
		f.Numerator = uint32(math.Round(pb.GetValue() * 100))
	}
	return f
}
