package stream

import (
	"net/netip"
	"strings"
	"time"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/sdk"
)

// The tags are Envoy's (HttpTracerUtility, common_values.h); those of RPC that HTTP does
// not have are OpenTelemetry's.

// endTrace ends the span of the request and hands it over.
func (s *Stream) endTrace() {
	t := s.trace
	t.endTry(s, tryOutcome{canceled: true})
	if !t.on || !t.span.Sampled {
		return
	}
	sp, i := &t.span, &s.info
	sp.End = s.wallOf(i.End)
	sp.Tag("node_id", t.cfg.NodeID)
	sp.Tag("zone", t.cfg.Zone)
	s.tagRequest(t)
	sp.TagUint("request_size", i.BytesReceived)
	sp.TagUint("response_size", i.BytesSent)
	if s.up.cluster != nil {
		tagCluster(sp, s.up.cluster)
	}
	sp.Tag("component", "proxy")
	sp.TagUint("http.status_code", uint64(i.ResponseCode))
	sp.Tag("response_flags", i.Flags.Names())
	failed := i.ResponseCode == 0 || i.ResponseCode >= 500
	for _, h := range [...]*sdk.Headers{&s.resp.Headers, &s.respTrail.Headers} {
		if h.HasID(sdk.HeaderGRPCStatus) {
			failed = tagGRPC(sp, h) || failed
			break
		}
	}
	if failed {
		sp.Tag("error", "true")
	}
	if t.cfg.Verbose {
		s.annotate(sp)
	}
	s.customize(t, sp, t.cfg.Name, false)
	t.cfg.Queue.Put(s.w.loop.Index(), sp)
}

// tagRequest tells of the request what it says itself.
func (s *Stream) tagRequest(t *tracing) {
	sp, h := &t.span, &s.req.Headers
	t.scratch = appendPeer(t.scratch[:0], s.info.DownstreamDirectRemote)
	sp.TagBytes("peer.address", t.scratch)
	if s.rpc {
		s.tagRPC(t)
		return
	}
	if id := h.ID(sdk.HeaderRequestID); id != "" {
		sp.Tag("guid:x-request-id", id)
	}
	if id := h.ID(sdk.HeaderClientTraceID); id != "" {
		sp.Tag("guid:x-client-trace-id", id)
	}
	path := h.Path()
	if h.HasID(sdk.HeaderEnvoyOriginalPath) {
		path = h.ID(sdk.HeaderEnvoyOriginalPath)
	}
	url := append(t.scratch[:0], h.ID(sdk.HeaderForwardedProto)...)
	url = append(append(url, "://"...), h.Authority()...)
	t.scratch = append(url, path[:min(len(path), t.cfg.MaxPath)]...)
	sp.TagBytes("http.url", t.scratch)
	sp.Tag("http.method", h.Method())
	sp.Tag("downstream_cluster", orDash(h.ID(sdk.HeaderEnvoyDownstreamServiceCluster)))
	sp.Tag("user_agent", orDash(h.ID(sdk.HeaderUserAgent)))
	sp.Tag("http.protocol", orDash(s.info.ProtocolName()))
	if s.grpc {
		sp.Tag("grpc.path", h.Path())
		sp.Tag("grpc.authority", h.Authority())
		sp.Tag("grpc.content_type", h.ID(sdk.HeaderContentType))
		if v := h.ID(sdk.HeaderGRPCTimeout); v != "" {
			sp.Tag("grpc.timeout", v)
		}
	}
}

// tagRPC is tagRequest for an RPC: there is no URL.
func (s *Stream) tagRPC(t *tracing) {
	sp := &t.span
	sp.Tag("rpc.system", s.info.ProtocolName())
	service, method := s.rpcName(), ""
	if i := strings.LastIndexByte(service, '/'); i >= 0 {
		service, method = service[:i], service[i+1:]
	}
	if service != "" {
		sp.Tag("rpc.service", service)
	}
	if method != "" {
		sp.Tag("rpc.method", method)
	}
	if v := s.resp.ID(sdk.HeaderRPCStatus); v != "" {
		sp.Tag("rpc.status", v)
	}
	if t.joined {
		sp.Tag("sofa.trace_id", t.sofa.Trace)
		sp.Tag("sofa.rpc_id", str(t.rpcID))
		if t.sofa.Caller != "" {
			sp.Tag("sofa.caller_app", t.sofa.Caller)
		}
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func appendPeer(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return append(dst, '-')
	}
	return a.Addr().Unmap().AppendTo(dst)
}

func tagCluster(sp *sdk.Span, c *cluster.LoopCluster) {
	sp.Tag("upstream_cluster", c.Name())
	sp.Tag("upstream_cluster.name", c.Config().StatName())
}

// tagGRPC tells the status that stands in h, and reports whether it is a server's failure.
func tagGRPC(sp *sdk.Span, h *sdk.Headers) (failed bool) {
	sp.Tag("grpc.status_code", h.ID(sdk.HeaderGRPCStatus))
	if v := h.ID(sdk.HeaderGRPCMessage); v != "" {
		sp.Tag("grpc.message", v)
	}
	switch h.ID(sdk.HeaderGRPCStatus) {
	case "2", "4", "8", "12", "13", "14", "15":
		return true
	}
	return false
}

// customize adds what the configuration adds, and calls the span by the format.
func (s *Stream) customize(t *tracing, sp *sdk.Span, name *format.Format, upstream bool) {
	ctx := format.Context{Info: &s.info, Request: &s.req.Headers, Response: &s.resp.Headers, Trailers: &s.respTrail.Headers}
	var own *route.Trace
	if s.route != nil {
		own = s.route.Trace
	}
	if own == nil {
		t.scratch = t.cfg.Tags.Apply(sp, &ctx, nil, t.scratch)
	} else {
		t.scratch = t.cfg.Tags.Apply(sp, &ctx, &own.Tags, t.scratch)
		t.scratch = own.Tags.Apply(sp, &ctx, nil, t.scratch)
		if f := own.Name; !upstream && f != nil {
			name = f
		}
		if f := own.UpstreamName; upstream && f != nil {
			name = f
		}
	}
	if name != nil {
		if t.scratch = name.Append(t.scratch[:0], &ctx); len(t.scratch) > 0 {
			sp.SetName(str(t.scratch))
		}
	}
}

// annotate notes when what has happened (verbose).
func (s *Stream) annotate(sp *sdk.Span) {
	i := &s.info
	for _, e := range [...]struct {
		at   int64
		name string
	}{
		{i.RequestEnd, "last_downstream_rx_byte_received"},
		{i.UpstreamRequest, "first_upstream_tx_byte_sent"},
		{i.UpstreamRequestEnd, "last_upstream_tx_byte_sent"},
		{i.UpstreamResponse, "first_upstream_rx_byte_received"},
		{i.UpstreamEnd, "last_upstream_rx_byte_received"},
		{i.ResponseStart, "first_downstream_tx_byte_sent"},
		{i.End, "last_downstream_tx_byte_sent"},
	} {
		if e.at != 0 && (e.at != i.End || i.ResponseStart != 0) {
			sp.Event(s.wallOf(e.at), e.name)
		}
	}
}

// tryOutcome is how an attempt has ended, beside what was noted on the way.
type tryOutcome struct {
	reason   string // why there is no answer, for a failure
	flags    sdk.ResponseFlag
	canceled bool // by us
	end      int64
}

// tryAnswered notes the head of an attempt's answer.
func (s *Stream) tryAnswered(h *sdk.Headers) {
	t := s.trace
	if t == nil || !t.trying {
		return
	}
	t.tryCode, t.tryRx = h.Status(), int64(s.w.now())
	s.tryStatus(h)
}

// tryStatus notes the status of gRPC, which comes with the head or with the trailers.
func (s *Stream) tryStatus(h *sdk.Headers) {
	if t := s.trace; t != nil && t.trying && t.try.Sampled && h.HasID(sdk.HeaderGRPCStatus) {
		t.tryErr = tagGRPC(&t.try, h) || t.tryErr
	}
}

// trySent notes that the attempt has a connection, or (all) that the request is with it.
func (s *Stream) trySent(c *cluster.Call, all bool) {
	t := s.trace
	switch {
	case t == nil || !t.trying:
	case all:
		t.tryTxEnd = int64(s.w.now())
	default:
		t.tryTx, t.tryProtocol = int64(s.w.now()), protocolName(c.Codec())
	}
}

// protocolName is what Envoy calls the protocol of a codec.
func protocolName(c *sdk.Codec) string {
	switch {
	case c == nil:
		return "-"
	case c.RPC:
		return c.Name
	case c.Name == "http2":
		return "HTTP/2"
	}
	return "HTTP/1.1"
}

// tryEnded ends the span of the attempt that is over, and logs it.
func (s *Stream) tryEnded(o tryOutcome) {
	s.up.logEnd(o.flags)
	if t := s.trace; t != nil {
		t.endTry(s, o)
	}
}

// endTry ends the span of the attempt, if there is one, and hands it over.
func (t *tracing) endTry(s *Stream, o tryOutcome) {
	if !t.trying {
		return
	}
	t.trying = false
	sp := &t.try
	if !sp.Sampled {
		sp.Reset()
		return
	}
	now := int64(s.w.now())
	sp.End = s.wallOf(now)
	tagAttempt(sp, s.up.cluster, t.tryHostAddr, t.tryProtocol, t.tryCode, o.flags)
	if o.canceled {
		sp.Tag("canceled", "true")
	}
	if o.reason != "" {
		sp.Tag("error.reason", o.reason)
	}
	if t.tryErr || o.reason != "" || t.tryCode == 0 || t.tryCode >= 500 {
		sp.Tag("error", "true")
	}
	if t.cfg.Verbose {
		for i, name := range [...]string{
			"first_upstream_tx_byte_sent", "last_upstream_tx_byte_sent", "first_upstream_rx_byte_received", "last_upstream_rx_byte_received",
		} {
			if at := [...]int64{t.tryTx, t.tryTxEnd, t.tryRx, o.end}[i]; at != 0 {
				sp.Event(s.wallOf(at), name)
			}
		}
	}
	s.customize(t, sp, t.cfg.UpstreamName, true)
	t.cfg.Queue.Put(s.w.loop.Index(), sp)
}

// tagAttempt tells of a request that went to a host.
func tagAttempt(sp *sdk.Span, c *cluster.LoopCluster, host, protocol string, code int, flags sdk.ResponseFlag) {
	sp.Tag("component", "proxy")
	tagCluster(sp, c)
	sp.Tag("upstream_address", host)
	sp.Tag("peer.address", host)
	sp.Tag("http.protocol", protocol)
	sp.TagUint("http.status_code", uint64(code))
	sp.Tag("response_flags", flags.Names())
}

// mirrorTrace is the span of a copy of a request.
type mirrorTrace struct {
	cfg   *Tracing // nil: there is none
	span  sdk.Span
	host  string
	start time.Duration
}

// traceMirror begins the span of a copy, and writes its context into it.
func (s *Stream) traceMirror(m *shadow, h *cluster.Host, untraced bool) {
	t := s.trace
	if t == nil || !t.on || s.rpc {
		return
	}
	mt := &m.trace
	mt.cfg, mt.host, mt.start = t.cfg, h.Address(), s.w.now()
	t.cfg.Provider.Child(&mt.span, &t.span, s.w.rand.Uint64()|1)
	mt.span.Sampled = mt.span.Sampled && !untraced
	if mt.span.Sampled {
		mt.span.SetName("mirror")
		mt.span.Start = s.w.loop.Wall()
	}
	if !t.cfg.NoPropagation {
		t.cfg.Provider.Inject(&mt.span, &m.req.Headers)
	}
}

// endTrace ends the span of a copy, if it has one.
func (m *shadow) endTrace(code int) {
	mt := &m.trace
	if mt.cfg != nil && mt.span.Sampled {
		sp := &mt.span
		sp.End = sp.Start.Add(m.w.now() - mt.start)
		tagAttempt(sp, m.cluster, mt.host, sdk.HTTP11.String(), code, 0) // whatever it is, as in Envoy
		if code == 0 || code >= 500 {
			sp.Tag("error", "true")
		}
		mt.cfg.Queue.Put(m.w.loop.Index(), sp)
	}
	mt.span.Reset()
	mt.cfg = nil
}
