// Package zipkin is envoy.tracers.zipkin: B3 from hop to hop, spans to the second
// version of Zipkin's API, as JSON or protobuf.
package zipkin

import (
	"context"
	"errors"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/service"
	"sofamesh.io/sofamesh/mosn/trace"
	"sofamesh.io/sofamesh/sdk"
)

// most is the most spans of a loop that wait.
const most = 1024

// Tracer returns the extension.
func Tracer() sdk.Tracer {
	return sdk.Tracer{
		Name:   "envoy.tracers.zipkin",
		Config: &tracev3.ZipkinConfig{},
		Fields: fields.Message("envoy.config.trace.v3.ZipkinConfig",
			fields.Supported("collector_cluster", "collector_endpoint", "trace_id_128bit", "shared_span_context",
				"collector_endpoint_version", "collector_hostname", "split_spans_for_request", "trace_context_option",
				"collector_service", "timestamp_trace_ids")),
		Compile: compile,
	}
}

// provider is the compiled tracer. Export alone uses call.
type provider struct {
	runtime *runtime.Values
	wide    bool // trace_id_128bit
	dated   bool // timestamp_trace_ids
	shared  bool // a server's span has the id of its client's
	split   bool
	w3c     bool
	encoder encoder
	http    *service.HTTP
	caller  sdk.Caller
	call    sdk.CallRequest

	spansSent, dropped, timedFlush                      sdk.Counter
	reportsSent, reportsDropped, reportsFailed, skipped sdk.Counter
}

func compile(c sdk.Compiler, m proto.Message) (sdk.TraceProvider, error) {
	pb := m.(*tracev3.ZipkinConfig)
	scope := c.Stats().Scope("tracing.zipkin")
	p := &provider{
		runtime: runtime.Of(c), wide: pb.GetTraceId_128Bit(), dated: pb.GetTimestampTraceIds(),
		shared: pb.GetSharedSpanContext() == nil || pb.GetSharedSpanContext().GetValue(),
		//lint:ignore SA1019 deprecated, and still obeyed by Envoy
		split:     pb.GetSplitSpansForRequest(),
		w3c:       pb.GetTraceContextOption() == tracev3.ZipkinConfig_USE_B3_WITH_W3C_PROPAGATION,
		spansSent: scope.Counter("spans_sent"), dropped: scope.Counter("spans_dropped"), timedFlush: scope.Counter("timer_flushed"),
		reportsSent: scope.Counter("reports_sent"), reportsDropped: scope.Counter("reports_dropped"),
		reportsFailed: scope.Counter("reports_failed"), skipped: scope.Counter("reports_skipped_no_cluster"),
	}
	var err error
	if p.http, err = collector(c, pb); err != nil {
		return nil, err
	}
	if !c.Cluster(p.http.Cluster) {
		return nil, c.Errorf("unknown cluster %q", p.http.Cluster)
	}
	p.caller = c.Caller(p.http.Cluster)
	local := endpointOf(c)
	switch v := pb.GetCollectorEndpointVersion(); v {
	case tracev3.ZipkinConfig_HTTP_JSON:
		p.encoder = jsonEncoder{local, p.shared}
	case tracev3.ZipkinConfig_HTTP_PROTO:
		p.encoder = protoEncoder{local, p.shared}
	default:
		err = c.At("collector_endpoint_version").Errorf("%s is not supported: HTTP_JSON and HTTP_PROTO are", v)
	}
	return p, err
}

// collector is where spans go: collector_service, else the older fields.
func collector(c sdk.Compiler, pb *tracev3.ZipkinConfig) (*service.HTTP, error) {
	if s := pb.GetCollectorService(); s != nil {
		uri := s.GetHttpUri()
		if !strings.Contains(uri.GetUri(), "://") { // a path alone
			s = proto.CloneOf(s)
			s.HttpUri.Uri = "http://" + uri.GetCluster() + "/" + strings.TrimPrefix(uri.GetUri(), "/")
		}
		return service.Service(c.At("collector_service"), s)
	}
	switch {
	case pb.GetCollectorCluster() == "":
		return nil, c.Errorf("collector_cluster or collector_service must be set")
	case pb.GetCollectorEndpoint() == "":
		return nil, c.Errorf("collector_endpoint must be set with collector_cluster")
	}
	h := &service.HTTP{Cluster: pb.GetCollectorCluster(), Scheme: "http", Host: pb.GetCollectorHostname(), Path: pb.GetCollectorEndpoint()}
	if h.Host == "" {
		h.Host = h.Cluster
	}
	return h, nil
}

// endpointOf is who we say we are: the node's cluster, at the machine's address.
func endpointOf(c sdk.Compiler) endpoint {
	var e endpoint
	if h, ok := c.(interface {
		Node() *corev3.Node
		LocalAddress() string
	}); ok {
		e.ServiceName = h.Node().GetCluster()
		if a := h.LocalAddress(); strings.Contains(a, ":") {
			e.IPv6 = a
		} else {
			e.IPv4 = a
		}
	}
	return e
}

// Forms in which a context came.
const (
	formMany uint8 = iota
	formSingle
)

// Start implements sdk.TraceProvider.
func (p *provider) Start(s *sdk.Span, o *sdk.SpanStart) bool {
	b, ok := trace.ParseB3(o.Request)
	if !ok {
		return false
	}
	if p.w3c && b.None() {
		if c, sampled, ok := trace.ParseW3C(o.Request.Value(trace.TraceParent)); ok {
			b.TraceContext = c
			if !b.Decided {
				b.Decided, b.Sampled = true, sampled
			}
		}
	}
	if s.Sampled = o.Sampled; b.Decided {
		s.Sampled = b.Sampled
	}
	if b.Single {
		s.Form = formSingle
	}
	client := o.Outbound && !o.Hop && !p.split
	if client {
		s.Kind = sdk.SpanClient
	}
	switch {
	case b.None() && o.Foreign.None():
		p.begin(s, o)
	case b.None():
		s.TraceContext, s.Parent = o.Foreign, o.Foreign.Span
		s.Span = o.ID
	case client || !p.shared:
		s.TraceContext, s.Parent = b.TraceContext, b.Span
		s.Span = o.ID
	default: // our span is the other half of our client's
		s.TraceContext, s.Parent = b.TraceContext, b.Parent
	}
	s.Wide = s.High != 0
	if s.Sampled {
		if o.Name != "" {
			s.SetName(o.Name)
		} else {
			s.SetName(o.Request.Authority())
		}
	}
	return true
}

// begin makes s the first span of a trace.
func (p *provider) begin(s *sdk.Span, o *sdk.SpanStart) {
	s.Span, s.Low = o.ID, o.ID
	if p.wide {
		s.High = o.Trace[0]
	}
	if !p.dated {
		return
	}
	first := &s.Low
	if p.wide {
		first = &s.High
	}
	*first = uint64(o.Wall.Unix())<<32 | *first&(1<<32-1)
}

// Child implements sdk.TraceProvider.
func (*provider) Child(s, parent *sdk.Span, id uint64) {
	s.TraceContext, s.Parent, s.Sampled, s.Kind, s.Form = parent.TraceContext, parent.Span, parent.Sampled, sdk.SpanClient, parent.Form
	s.Span = id
}

// Inject implements sdk.TraceProvider.
func (p *provider) Inject(s *sdk.Span, h *sdk.Headers) {
	trace.InjectB3(s, h, s.Form == formSingle)
	if p.w3c {
		trace.InjectW3C(s, h)
	}
}

// Batching implements sdk.TraceProvider.
func (p *provider) Batching() sdk.Batching {
	return trace.Batching(p.runtime, "tracing.zipkin", most, p.dropped, p.timedFlush)
}

// Export implements sdk.TraceProvider. Spans that the collector does not take are lost:
// to keep them would only make it lose others.
func (p *provider) Export(ctx context.Context, spans []*sdk.Span, count func(sdk.Counter, uint64)) {
	r := &p.call
	p.http.Request(r, "POST")
	r.Timeout = time.Duration(max(p.runtime.Uint("tracing.zipkin.request_timeout", 5000), 1)) * time.Millisecond
	r.Headers.SetID(sdk.HeaderContentType, p.encoder.contentType())
	var err error
	if r.Body, err = p.encoder.append(r.Body, spans); err == nil {
		count(p.spansSent, uint64(len(spans)))
		err = trace.Post(ctx, p.caller, r, 202)
	}
	var status trace.StatusError
	var failure *sdk.CallError
	switch {
	case err == nil:
		count(p.reportsSent, 1)
	case errors.As(err, &status):
		count(p.reportsDropped, 1)
	case errors.As(err, &failure) && failure.Err.Flag&sdk.FlagNoClusterFound != 0:
		count(p.skipped, 1)
	default:
		count(p.reportsFailed, 1)
	}
}
