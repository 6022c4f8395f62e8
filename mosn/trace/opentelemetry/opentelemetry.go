// Package opentelemetry is envoy.tracers.opentelemetry: W3C Trace Context from hop to
// hop, spans by OTLP over gRPC or HTTP.
package opentelemetry

import (
	"context"
	"time"

	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/service"
	"sofamesh.io/sofamesh/mosn/trace"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

const (
	exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	// grpcTimeout is for calls where the configuration does not say; Envoy waits for ever.
	grpcTimeout = 10 * time.Second
	// defaultCache is Envoy's default of max_cache_size, maxCache the most that is taken.
	defaultCache, maxCache = 1024, 1 << 16
)

// Tracer returns the extension.
func Tracer() sdk.Tracer {
	const samplers, detectors = "envoy.extensions.tracers.opentelemetry.samplers.v3.", "envoy.extensions.tracers.opentelemetry.resource_detectors.v3."
	return sdk.Tracer{
		Name:   "envoy.tracers.opentelemetry",
		Config: &tracev3.OpenTelemetryConfig{},
		Fields: fields.Join(
			fields.Message("envoy.config.trace.v3.OpenTelemetryConfig",
				fields.Supported("grpc_service", "http_service", "service_name", "resource_detectors", "sampler", "max_cache_size",
					"set_telemetry_sdk_resource_attributes", "set_service_name_resource_attribute", "set_instrumentation_scope"),
				fields.Refused("exporter")),
			fields.Message(samplers+"ParentBasedSamplerConfig", fields.Supported("wrapped_sampler")),
			fields.Message(samplers+"TraceIdRatioBasedSamplerConfig", fields.Supported("sampling_percentage")),
			fields.Message("envoy.type.v3.FractionalPercent", fields.Supported("numerator", "denominator")),
			fields.Message(detectors+"StaticConfigResourceDetectorConfig", fields.Supported("attributes")),
		),
		Compile: compile,
	}
}

// provider is the compiled tracer. Export alone uses call.
type provider struct {
	runtime                   *runtime.Values
	sampler                   sampler // nil: what the request or the connection manager says
	most                      int
	resource                  *resourcev1.Resource
	scoped                    bool
	grpc                      *grpc.Service // this
	http                      *service.HTTP // or this, or neither
	caller                    sdk.Caller
	call                      sdk.CallRequest
	sent, dropped, timedFlush sdk.Counter
}

func compile(c sdk.Compiler, m proto.Message) (sdk.TraceProvider, error) {
	pb := m.(*tracev3.OpenTelemetryConfig)
	scope := c.Stats().Scope("tracing.opentelemetry")
	p := &provider{
		runtime: runtime.Of(c), most: defaultCache, scoped: unlessFalse(pb.GetSetInstrumentationScope()),
		sent: scope.Counter("spans_sent"), dropped: scope.Counter("spans_dropped"), timedFlush: scope.Counter("timer_flushed"),
	}
	if v := pb.GetMaxCacheSize(); v != nil {
		p.most = int(min(max(v.GetValue(), 1), maxCache))
	}
	var err error
	switch {
	case pb.GetGrpcService() != nil && pb.GetHttpService() != nil:
		return nil, c.Errorf("only one of grpc_service and http_service may be set")
	case pb.GetGrpcService() != nil:
		if p.grpc, err = service.GRPC(c.At("grpc_service"), pb.GetGrpcService(), grpcTimeout); err == nil {
			p.caller = c.Caller(p.grpc.Cluster)
		}
	case pb.GetHttpService() != nil:
		if p.http, err = service.Service(c.At("http_service"), pb.GetHttpService()); err == nil {
			p.caller = c.Caller(p.http.Cluster)
		}
	}
	if err != nil {
		return nil, err
	}
	if p.resource, err = compileResource(c, pb); err != nil {
		return nil, err
	}
	if pb.GetSampler() != nil {
		p.sampler, err = compileSampler(c.At("sampler"), pb.GetSampler())
	}
	return p, err
}

// Start implements sdk.TraceProvider.
func (p *provider) Start(s *sdk.Span, o *sdk.SpanStart) bool {
	var parent sdk.TraceContext
	sampled := o.Sampled
	if v, found := o.Request.Get(trace.TraceParent); found {
		var ok bool
		if parent, sampled, ok = trace.ParseW3C(v); !ok {
			return false
		}
		if v := o.Request.Value(trace.TraceState); v != "" {
			s.SetState(v)
		}
	} else {
		parent = o.Foreign
	}
	s.High, s.Low, s.Parent = parent.High, parent.Low, parent.Span
	if parent.None() {
		s.High, s.Low = o.Trace[0], o.Trace[1]
	}
	s.Span, s.Wide, s.Spanned = o.ID, true, true
	if p.sampler != nil {
		sampled = o.Sampled && p.sampler(s.High, !parent.None(), sampled)
	}
	s.Sampled = sampled
	if o.Outbound && !o.Hop {
		s.Kind = sdk.SpanClient
	}
	switch {
	case !sampled:
	case o.Name != "":
		s.SetName(o.Name)
	case o.Outbound:
		s.SetName("egress ", o.Request.Authority())
	default:
		s.SetName("ingress")
	}
	return true
}

// Child implements sdk.TraceProvider.
func (*provider) Child(s, parent *sdk.Span, id uint64) {
	s.TraceContext, s.Parent, s.Sampled, s.Kind = parent.TraceContext, parent.Span, parent.Sampled, sdk.SpanClient
	s.Span = id
	if v := parent.State(); v != "" {
		s.SetState(v)
	}
}

// Inject implements sdk.TraceProvider.
func (*provider) Inject(s *sdk.Span, h *sdk.Headers) {
	trace.InjectW3C(s, h)
	h.Set(trace.TraceState, s.State()) // also an empty one, as in Envoy
}

// Batching implements sdk.TraceProvider.
func (p *provider) Batching() sdk.Batching {
	return trace.Batching(p.runtime, "tracing.opentelemetry", p.most, p.dropped, p.timedFlush)
}

// Export implements sdk.TraceProvider. Spans that the collector does not take are lost:
// to keep them would only make it lose others.
func (p *provider) Export(ctx context.Context, spans []*sdk.Span, count func(sdk.Counter, uint64)) {
	if p.caller == nil {
		return
	}
	count(p.sent, uint64(len(spans)))
	if err := p.send(ctx, p.message(spans)); err != nil {
		count(p.dropped, uint64(len(spans)))
	}
}

func (p *provider) send(ctx context.Context, m proto.Message) (err error) {
	if p.grpc != nil {
		return p.grpc.Invoke(ctx, p.caller, exportMethod, m, &emptypb.Empty{})
	}
	p.http.Request(&p.call, "POST")
	p.call.Headers.SetID(sdk.HeaderContentType, "application/x-protobuf")
	if !p.call.Headers.HasID(sdk.HeaderUserAgent) {
		p.call.Headers.AddID(sdk.HeaderUserAgent, "OTel-OTLP-Exporter-mosn")
	}
	if p.call.Body, err = (proto.MarshalOptions{}).MarshalAppend(p.call.Body, m); err != nil {
		return err
	}
	return trace.Post(ctx, p.caller, &p.call, 200)
}
