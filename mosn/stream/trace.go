package stream

import (
	"time"

	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/trace"
	"sofamesh.io/sofamesh/sdk"
)

// Tracing is the compiled tracing of a connection manager: immutable and shared by all
// loops.
type Tracing struct {
	// Provider is nil when no spans are made: requests are marked as traced all the same.
	Provider sdk.TraceProvider
	Queue    sdk.SpanQueue

	Outbound bool // the listener's traffic_direction
	Hop      bool // spawn_upstream_span
	Child    bool // that, or the router's start_child_span: an attempt has a span of its own
	Verbose  bool
	// NoPropagation keeps the context from hosts.
	NoPropagation bool
	MaxPath       int // the most bytes of a path in a tag
	Sampling      trace.Sampling
	Tags          trace.Tags
	// Name and UpstreamName name the spans of requests and attempts; nil does not.
	Name, UpstreamName *format.Format
	NodeID, Zone       string

	Counts [trace.NumReasons]sdk.Counter
}

// tracing is what a stream has whose connection manager traces: its span, and that of
// the attempt under way. Streams get it from their worker and give it back, so that an
// unsampled request costs no memory and a sampled one none that is new.
type tracing struct {
	link *tracing // the next one in w.traces
	cfg  *Tracing

	span, try sdk.Span
	start     sdk.SpanStart
	scratch   []byte
	rpcID     []byte // SOFATracer's, of span
	tryID     []byte // and of try

	traceState
}

// traceState is what a tracing forgets with the request.
type traceState struct {
	on        bool   // there is a span
	trying    bool   // there is one of an attempt
	operation string // the decorator's, to be told to the other side
	sofa      trace.Sofa
	joined    bool // the request is part of a trace of SOFATracer's

	tryStart                 int64 // on the loop's clock, as the times of StreamInfo
	tryTx, tryTxEnd, tryRx   int64
	tryCode                  int
	tryErr                   bool
	tryProtocol, tryHostAddr string
}

func (w *Worker) newTracing(cfg *Tracing) *tracing {
	t := w.traces
	if t == nil {
		t = &tracing{}
	} else {
		w.traces, t.link = t.link, nil
	}
	t.cfg = cfg
	return t
}

func (w *Worker) releaseTracing(t *tracing) {
	t.span.Reset()
	t.try.Reset()
	t.start = sdk.SpanStart{}
	t.traceState = traceState{}
	t.cfg, t.link, w.traces = nil, w.traces, t
}

// startTrace decides whether the request is traced and begins its span, as Envoy's
// ActiveStream::traceRequest does, before any filter.
func (s *Stream) startTrace() {
	cfg := s.cfg.Tracing
	s.findRoute()
	t := s.w.newTracing(cfg)
	s.trace = t
	o := &t.start
	reason := s.traceReason(t)
	s.w.stats.Inc(cfg.Counts[reason])
	s.info.TraceForced = reason == trace.ServiceForced
	if cfg.Provider != nil {
		o.Request, o.Sampled, o.Outbound, o.Hop, o.Wall = &s.req.Headers, reason.Traced(), cfg.Outbound, cfg.Hop, s.info.StartTime
		o.Trace = [2]uint64{s.w.rand.Uint64(), s.w.rand.Uint64()}
		if t.joined {
			t.rpcID = trace.AppendNext(t.rpcID[:0], t.sofa.RPC, 1)
			o.ID = trace.SofaSpan(t.rpcID)
		} else {
			o.ID = s.w.rand.Uint64() | 1
		}
		if s.rpc {
			o.Name = s.rpcName()
		}
		if t.on = cfg.Provider.Start(&t.span, o); t.on {
			t.span.Start = s.info.StartTime
			s.info.Trace = t.span.TraceContext
			if t.joined && t.span.Span != o.ID { // it is the other half of the caller's
				t.rpcID = append(t.rpcID[:0], t.sofa.RPC...)
			}
		}
	}
	if !s.rpc {
		s.decorateRequest(t)
	}
}

// rpcName is what OpenTelemetry calls the span of an RPC: its service and method.
func (s *Stream) rpcName() string {
	p := s.req.Path()
	if len(p) > 1 && p[0] == '/' {
		return p[1:]
	}
	return p
}

// sampling is the route's, else the connection manager's.
func (s *Stream) sampling(t *tracing) *trace.Sampling {
	if s.route != nil && s.route.Trace != nil && s.route.Trace.Sampling != nil {
		return s.route.Trace.Sampling
	}
	return &t.cfg.Sampling
}

// traceReason decides, and makes the request's id tell how.
func (s *Stream) traceReason(t *tracing) trace.Reason {
	if s.rpc {
		return s.rpcTraceReason(t)
	}
	if s.cfg.IgnoreRequestID {
		return trace.Sampled
	}
	h, rt, sampling := &s.req.Headers, s.cfg.Runtime, s.sampling(t)
	id := h.ID(sdk.HeaderRequestID)
	random, ok := trace.RandomOf(id)
	if !ok {
		return trace.NotTraceable
	}
	reason := trace.ReasonOf(id)
	if reason == trace.NotTraceable {
		switch {
		case h.HasID(sdk.HeaderClientTraceID) && sampling.Client.Enabled(rt, s.w.rand.Uint64()):
			reason = trace.ClientForced
		case h.HasID(sdk.HeaderEnvoyForceTrace):
			reason = trace.ServiceForced
		case sampling.Random.Enabled(rt, random):
			reason = trace.Sampled
		}
	}
	if !sampling.Overall.Enabled(rt, random) {
		reason = trace.NotTraceable
	}
	if !s.cfg.BareRequestID {
		trace.SetReason(h, reason)
	}
	return reason
}

// rpcTraceReason decides for an RPC, which has no request id. Where SOFATracer has a
// trace all hops draw alike, and what the caller does not sample nobody does.
func (s *Stream) rpcTraceReason(t *tracing) trace.Reason {
	random := s.w.rand.Uint64()
	if t.sofa, t.joined = trace.ParseSofa(&s.req.Headers); t.joined {
		if t.sofa.Dropped {
			return trace.NotTraceable
		}
		random = t.sofa.Random()
		t.start.Foreign = t.sofa.Context()
	}
	sampling, rt := s.sampling(t), s.cfg.Runtime
	if sampling.Random.Enabled(rt, random) && sampling.Overall.Enabled(rt, random) {
		return trace.Sampled
	}
	return trace.NotTraceable
}

// named reports whether a format names the request's span, so that decorators do not.
func (s *Stream) named(t *tracing) bool {
	return t.cfg.Name != nil || s.route != nil && s.route.Trace != nil && s.route.Trace.Name != nil
}

// decorateRequest names the span by the route's decorator, and by what the proxy on the
// other side says of it.
func (s *Stream) decorateRequest(t *tracing) {
	if s.named(t) {
		return
	}
	if s.route != nil && s.route.Trace != nil && s.route.Trace.Operation != "" {
		t.rename(s.route.Trace.Operation)
		if !s.route.Trace.Quiet {
			t.operation = s.route.Trace.Operation
		}
	}
	switch {
	case t.cfg.Outbound:
		if t.operation != "" {
			s.req.SetID(sdk.HeaderEnvoyDecoratorOperation, t.operation)
		}
	case s.req.HasID(sdk.HeaderEnvoyDecoratorOperation):
		if v := s.req.ID(sdk.HeaderEnvoyDecoratorOperation); v != "" {
			t.rename(v)
			t.operation = ""
		}
		s.req.RemoveID(sdk.HeaderEnvoyDecoratorOperation)
	}
}

// decorateResponse is decorateRequest for the way back.
func (s *Stream) decorateResponse(t *tracing, m *sdk.Message) {
	if s.named(t) {
		return
	}
	switch {
	case !t.cfg.Outbound:
		if t.operation != "" {
			m.SetID(sdk.HeaderEnvoyDecoratorOperation, t.operation)
		}
	case m.HasID(sdk.HeaderEnvoyDecoratorOperation):
		if v := m.ID(sdk.HeaderEnvoyDecoratorOperation); v != "" {
			t.rename(v)
		}
		m.RemoveID(sdk.HeaderEnvoyDecoratorOperation)
	}
}

func (t *tracing) rename(name string) {
	if t.on && t.span.Sampled {
		t.span.SetName(name)
	}
}

// traceTry begins the span of an attempt, where attempts have one, and writes the
// context into the request.
func (u *upstream) traceTry() {
	s := u.s
	t := s.trace
	if t == nil || !t.on {
		return
	}
	span, rpcID := &t.span, t.rpcID
	if t.cfg.Child || s.router.StartChildSpan {
		id := s.w.rand.Uint64() | 1
		if t.joined {
			t.tryID = trace.AppendNext(t.tryID[:0], str(t.rpcID), s.info.Attempts)
			id = trace.SofaSpan(t.tryID)
		}
		s.beginTry(t, id)
		span, rpcID = &t.try, t.tryID
	} else if s.info.Attempts > 1 {
		return // it says so already
	}
	if t.cfg.NoPropagation || s.rpc && !span.Sampled {
		return // to edit an RPC's head is not free, and its hops draw alike
	}
	t.cfg.Provider.Inject(span, &s.req.Headers)
	if t.joined {
		t.scratch = trace.InjectSofa(&s.req.Headers, str(rpcID), t.scratch)
	}
}

func str(b []byte) string { return bytesString(b) }

// beginTry begins the span of an attempt.
func (s *Stream) beginTry(t *tracing, id uint64) {
	u := &s.up
	t.endTry(s, tryOutcome{canceled: true}) // there is none left, unless something went wrong
	t.cfg.Provider.Child(&t.try, &t.span, id)
	t.trying = true
	t.tryStart, t.tryTx, t.tryTxEnd, t.tryRx = int64(s.w.now()), 0, 0, 0
	t.tryCode, t.tryErr, t.tryProtocol = 0, false, "-"
	t.tryHostAddr = u.host.Address()
	t.try.Start = s.wallOf(t.tryStart)
	if !t.try.Sampled {
		return
	}
	t.try.SetName("router ", u.cluster.Config().StatName(), " egress")
	if n := s.info.Attempts; n > 1 {
		t.try.TagUint("retry.count", uint64(n-1))
	}
}

// wallOf is the wall-clock time of a time of StreamInfo.
func (s *Stream) wallOf(at int64) time.Time {
	return s.info.StartTime.Add(time.Duration(at - s.info.Start))
}
