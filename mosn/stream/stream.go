package stream

import (
	"math"
	"net/http"
	"time"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// Stream is one request and its response, from the first byte of the head to the
// access log. The package comment tells how it ends.
type Stream struct {
	w    *Worker
	link *Stream // the next one in w.free or w.dead

	// What is emptied for the next request, but keeps its storage.
	req, resp, reqTrail, respTrail sdk.Message
	info                           sdk.StreamInfo
	slots                          []slot
	timer                          eventloop.Timer
	out                            sdk.Buffer // response body that the codec could not take yet; outEnd, outTrailers follow it
	up                             upstream

	perRequest
}

// perRequest is what a stream forgets with the request.
type perRequest struct {
	cfg   *Config
	conn  *serverConn
	trace *tracing // nil: the connection manager does not trace, or the request is refused

	// The chain: the connection manager's, or that of the upgrade which is asked for.
	filters []FilterConfig
	router  *Router

	id    uint64 // of the codec
	phase phase

	requestEnded  bool // the client has sent all of it
	hasReqTrail   bool
	hasRespTrail  bool
	respEnded     bool // the upstream (or we) have produced all of the response
	respHeadSent  bool
	completed     bool // its last byte is written
	upgraded      bool // what it asks to change to is granted
	outEnd        bool
	outTrailers   bool
	local         bool // the response is ours
	unfiltered    bool // and goes past the filters
	headRequest   bool
	pausedClient  bool // reading from the client is stopped
	pausedUp      bool // reading from upstream is stopped
	routed        bool // vh and route are what the table says
	upgradeWanted bool
	brokenRequest bool // the rest of the request cannot be read
	internal      bool
	rpc           bool   // an RPC: HTTP's own headers are not for it
	requestLimit  int    // of LimitRequest; 0: the listener's
	unread        int    // bytes of body for which the client's window was not opened again
	grpc          bool   // the client calls by gRPC, whatever filters make of it
	random        uint64 // of this stream, for weights and fractions; 0 before it is drawn
	asyncs        int    // Async calls that have not come back

	routes *route.Table // as it was when the request began
	vh     *route.VirtualHost
	route  *route.Route

	deadlines [numDeadlines]time.Duration
	armedFor  time.Duration
	last      time.Duration // of activity, for the idle timeout
}

// deadline is one of the times that a stream watches with its one timer.
type deadline uint8

const (
	dlIdle     deadline = iota // stream_idle_timeout, checked against last
	dlRequest                  // the whole request must have arrived
	dlRoute                    // the response must be complete
	dlBudget                   // the same, as the request itself says
	dlPerTry                   // the attempt must have answered
	dlTryIdle                  // the attempt must have made progress
	dlBackoff                  // the next attempt is due
	dlDuration                 // max_stream_duration
	dlFilter                   // the earliest After of a filter
	dlLog                      // the access log is to be written again
	dlTryLog                   // and so is the router's

	numDeadlines
)

func newStream(w *Worker) *Stream {
	s := &Stream{w: w}
	s.timer.Init(w.loop, s)
	s.out.Init(w.loop.Buffers())
	s.up.init(s)
	return s
}

// begin starts the stream of a request whose head has been decoded. m is the
// codec's scratch.
func (s *Stream) begin(d *serverConn, id uint64, m *sdk.Message, end bool) {
	s.attach(d, id, m)
	s.requestEnded = end
	s.countRequest()
	if end {
		s.info.RequestEnd = s.info.Start
	} else {
		s.setDeadline(dlRequest, s.cfg.RequestTimeout)
	}
	if bad := s.prepareRequest(); bad != nil {
		s.reply(*bad)
		return
	}
	if s.cfg.Tracing != nil {
		s.startTrace()
	}
	s.makeChain()
	if s.cfg.LogStart {
		s.findRoute()
		s.writeLog(sdk.LogDownstreamStart)
	}
	s.setDeadline(dlLog, s.cfg.LogInterval)
	s.headersFrom(toServer, 0, end)
}

// refuse answers a request that could not be decoded: there is no head to route by.
func (s *Stream) refuse(d *serverConn, id uint64, m *sdk.Message, ce *sdk.CodecError) {
	if m.Protocol == sdk.ProtocolUnknown {
		m.Protocol = sdk.HTTP11
	}
	s.attach(d, id, m)
	s.countRequest()
	s.requestBroken(ce)
}

func (s *Stream) countRequest() {
	s.w.stats.Inc(s.cfg.Stats.RqTotal)
	s.w.stats.Inc(s.conn.counted.rqTotal)
}

// requestBroken ends a stream whose request has turned out to be malformed.
func (s *Stream) requestBroken(ce *sdk.CodecError) {
	s.brokenRequest = true
	if !ce.Stream {
		s.conn.lastOne, s.conn.closing = true, true
	}
	flag, body := sdk.FlagDownstreamProtocolError, http.StatusText(ce.Status)
	switch ce {
	case errHeaderTimeout, errRequestTimeout:
		flag, body = 0, ce.Text
	case errHeadIdle:
		flag, body = sdk.FlagStreamIdleTimeout, ce.Text
	}
	if s.phase.can(reply) && !s.respHeadSent && ce.Status != 0 {
		s.reply(sdk.Reply{Status: ce.Status, Body: body, Details: ce.Details, Flag: flag})
		return
	}
	s.info.Details = ce.Details
	s.breakOff(flag) // for Envoy it is the codec that resets it
}

func (s *Stream) attach(d *serverConn, id uint64, m *sdk.Message) {
	w := d.w
	s.phase.move(begin)
	s.conn, s.cfg, s.id, s.routes = d, d.cfg, id, d.cfg.Routes.Load()
	s.filters, s.router = d.cfg.Filters, &d.cfg.Router
	s.req.Swap(m)
	s.headRequest = s.req.Method() == "HEAD"
	s.rpc = s.req.Protocol == sdk.RPC
	s.grpc = !s.rpc && grpc.IsRequest(&s.req.Headers)
	if s.req.Close { // of the client's connection, not of the host's
		s.req.Close, d.lastOne = false, true
	}
	w.streams++
	w.stats.AddGauge(s.cfg.Stats.RqActive, 1)
	if h2 := d.counted.http2; h2 != nil {
		w.stats.AddGauge(h2.StreamsActive, 1)
	}
	now := w.now()
	s.last = now
	i := &s.info
	i.StartTime = w.loop.Wall()
	i.Start = int64(now)
	i.Protocol, i.Codec = s.req.Protocol, s.req.Codec
	i.ConnectionID, i.ListenerMetadata = d.c.ID(), d.cfg.ListenerMetadata
	i.DownstreamDirectRemote = d.c.RemoteAddr().AddrPort
	i.DownstreamRemote = i.DownstreamDirectRemote
	i.DownstreamTLS = d.c.TLS()
	local := d.c.LocalAddr()
	i.DownstreamLocal, i.DownstreamLocalPath = local.AddrPort, local.Path
	i.ListenerName, i.FilterChainName = d.cfg.Listener, d.cfg.FilterChain
	s.setDeadline(dlIdle, s.cfg.StreamIdleTimeout)
	s.setDeadline(dlDuration, s.cfg.MaxStreamDuration)
}

// requestData takes body bytes from the codec; they are valid during the call.
func (s *Stream) requestData(p []byte, end bool) {
	if end {
		s.requestComplete()
	}
	s.last = s.w.now()
	s.info.BytesReceived += uint64(len(p))
	if !s.phase.live() || s.local {
		return // nobody wants it any more
	}
	if len(s.slots) == 0 {
		s.up.data(p, end)
		return
	}
	b := &s.w.chunk
	defer b.Release() // also when a filter panics: the next stream's body goes there
	b.Append(p)
	s.dataFrom(toServer, 0, b, end)
}

// requestTrailersArrived takes the trailers of the request.
func (s *Stream) requestTrailersArrived(m *sdk.Message) {
	s.requestComplete()
	if !s.phase.live() || s.local {
		return
	}
	s.reqTrail.Swap(m)
	s.hasReqTrail = true
	s.trailersFrom(toServer, 0)
}

func (s *Stream) requestComplete() {
	s.requestEnded = true
	s.deadlines[dlRequest] = 0
	s.info.RequestEnd = int64(s.w.now())
}

// downstreamGone: the client has left; nothing can be answered.
func (s *Stream) downstreamGone(flag sdk.ResponseFlag) {
	if !s.phase.live() {
		return
	}
	if s.info.Details == "" || !s.local {
		s.info.Details = "downstream_remote_disconnect"
	}
	s.end(flag)
}

// abort gives the stream up after its response has begun, or when none can be
// sent: the connection is closed, so that the client sees that it is cut off.
func (s *Stream) abort(flag sdk.ResponseFlag) {
	s.w.stats.Inc(s.cfg.Stats.RqTxReset)
	s.breakOff(flag)
}

func (s *Stream) breakOff(flag sdk.ResponseFlag) {
	defer s.conn.cut(s.id) // also when a filter panics
	s.end(flag)
}

// leave is Worker.leave for a callback of this stream: a panic in it, most likely of a
// filter, ends the stream, for nobody else may ever do that. The loop logs it.
func (s *Stream) leave() {
	if r := recover(); r != nil {
		defer s.w.leave()
		s.panicked()
		panic(r)
	}
	s.w.leave()
}

// panicked ends the stream, unless it was its end that panicked, and a connection
// that is its alone, on which nobody may have been told of it.
func (s *Stream) panicked() {
	if d := s.conn; d.shared == nil {
		d.closing = true
		defer d.finish()
	}
	if s.phase.live() {
		s.info.Details = "internal_error"
		s.abort(sdk.FlagLocalReset)
	}
}

// end is the one end of a stream, good or bad. flag is what went wrong.
func (s *Stream) end(flag sdk.ResponseFlag) {
	if !s.phase.live() {
		return
	}
	s.phase.move(finish)
	s.timer.Stop()
	s.info.Flags |= flag
	s.info.End = int64(s.w.now())
	s.up.end()
	defer s.settle() // also when a filter panics
	if len(s.slots) > 0 {
		s.tellFilters(0)
	}
}

// tellFilters tells the filters from i on of the end, each even when one before it
// panics.
func (s *Stream) tellFilters(i int) {
	defer func() {
		if i < len(s.slots) {
			s.tellFilters(i + 1)
		}
	}()
	for ; i < len(s.slots); i++ {
		s.slots[i].finish()
	}
}

// settle counts and logs the stream, which has ended, and lets go of its connection.
func (s *Stream) settle() {
	w := s.w
	s.account()
	if s.trace != nil {
		s.endTrace()
	}
	s.writeLog(sdk.LogDownstreamEnd)
	w.streams--
	s.out.Release()
	s.conn.forget(s) // what comes on the connection from now on is not for s, nor for who uses s next
	if s.pausedClient {
		s.pausedClient = false
		s.conn.pause(s, false)
	}
	s.link, w.dead = w.dead, s
}

// writeLog writes the access log.
func (s *Stream) writeLog(why sdk.LogType) {
	if call := &s.up.call; s.info.Attempts > 0 {
		s.info.UpstreamWire = sdk.Wire{Received: call.BytesReceived(), Sent: call.BytesSent()}
	}
	s.info.LogType, s.info.Logged = why, int64(s.w.now())
	for _, l := range s.cfg.AccessLogs {
		l.Log(s.w.loop.Index(), &s.info, &s.req.Headers, &s.resp.Headers, &s.respTrail.Headers)
	}
}

// account counts the finished stream.
func (s *Stream) account() {
	st, w := &s.cfg.Stats, s.w
	w.stats.AddGauge(st.RqActive, -1)
	if !s.requestEnded || !s.completed {
		w.stats.Inc(st.RqRxReset) // Envoy counts each stream that ends before its time here
	}
	if s.upgraded {
		w.stats.AddGauge(st.CxUpgradesActive, -1)
	}
	if h2 := s.conn.counted.http2; h2 != nil {
		w.stats.AddGauge(h2.StreamsActive, -1)
	}
	switch code := s.info.ResponseCode; {
	case s.info.HealthCheck:
		w.stats.Inc(st.HealthCheck)
	case code != 0:
		s.conn.answered(code)
	}
	w.stats.Observe(st.RqTime, uint64(s.info.End-s.info.Start)/uint64(time.Millisecond))
}

// reclaim puts an ended stream back, unless an Async still refers to it: then the
// last one to come back does.
func (s *Stream) reclaim() {
	if s.asyncs > 0 {
		return
	}
	s.phase.move(reclaim)
	s.req.Reset()
	s.resp.Reset()
	s.reqTrail.Reset()
	s.respTrail.Reset()
	s.info.Reset()
	s.clearChain()
	if s.trace != nil {
		s.w.releaseTracing(s.trace)
	}
	s.slots = s.slots[:0]
	s.up.reset()
	s.perRequest = perRequest{}
	s.link, s.w.free = s.w.free, s
}

// setDeadline sets one of the deadlines d from now; 0 clears it. The timer is
// touched only when it has to fire earlier than it is going to.
func (s *Stream) setDeadline(k deadline, d time.Duration) {
	if d <= 0 {
		s.deadlines[k] = 0
		return
	}
	at := s.w.now() + d
	s.deadlines[k] = at
	if s.armedFor == 0 || at < s.armedFor {
		s.armedFor = at
		s.timer.Arm(d)
	}
}

// OnTimer implements eventloop.TimerHandler.
func (s *Stream) OnTimer(*eventloop.Timer) {
	s.w.enter()
	defer s.leave()
	s.armedFor = 0
	now := s.w.now()
	for k := range s.deadlines { // by index: one that expires may clear others
		if at := s.deadlines[k]; at != 0 && at <= now && s.phase.live() {
			s.deadlines[k] = 0
			s.expired(deadline(k), now)
		}
	}
	if s.phase.live() {
		s.rearm(now)
	}
}

func (s *Stream) rearm(now time.Duration) {
	first := time.Duration(0)
	for _, at := range s.deadlines {
		if at != 0 && (first == 0 || at < first) {
			first = at
		}
	}
	if first != 0 && (s.armedFor == 0 || first < s.armedFor) {
		s.armedFor = first
		s.timer.Arm(first - now)
	}
}

func (s *Stream) expired(k deadline, now time.Duration) {
	switch k {
	case dlIdle:
		s.idleExpired(now)
	case dlRequest:
		s.w.stats.Inc(s.cfg.Stats.RqTimeout)
		s.conn.closeAfter()
		s.replyOrAbort(sdk.Reply{Status: 408, Body: "request timeout", Details: "request_overall_timeout"})
	case dlRoute:
		s.up.timedOut(0)
	case dlBudget:
		s.up.timedOut(grpc.DeadlineExceeded) // the caller's own
	case dlPerTry:
		s.up.tryTimedOut(cluster.RqPerTryTimeout, "upstream_per_try_timeout")
	case dlTryIdle:
		s.up.tryTimedOut(cluster.RqPerTryIdleTimeout, "upstream_per_try_idle_timeout")
	case dlBackoff:
		s.up.again()
	case dlDuration:
		s.durationOver()
	case dlFilter:
		s.runAfters(now)
	case dlLog:
		s.setDeadline(dlLog, s.cfg.LogInterval)
		s.writeLog(sdk.LogDownstreamPeriodic)
	case dlTryLog:
		s.up.logPeriod()
	}
}

func (s *Stream) idleExpired(now time.Duration) {
	limit := s.idleTimeout()
	if left := s.last + limit - now; left > 0 {
		s.deadlines[dlIdle] = now + left
		return
	}
	s.w.stats.Inc(s.cfg.Stats.RqIdleTimeout)
	s.replyOrAbort(sdk.Reply{
		Status: s.timeoutStatus(), Body: "stream timeout", Details: "stream_idle_timeout", Flag: sdk.FlagStreamIdleTimeout,
	})
}

// timeoutStatus blames the client while it has not sent all of the request.
func (s *Stream) timeoutStatus() int {
	if s.requestEnded {
		return 504
	}
	s.conn.closeAfter()
	return 408
}

func (s *Stream) idleTimeout() time.Duration {
	if s.route != nil {
		if d, ok := s.route.IdleTimeout(); ok {
			return d
		}
	}
	return s.cfg.StreamIdleTimeout
}

// bufferLimit is the most bytes of a body that the stream holds: the listener's
// per_connection_buffer_limit_bytes, which the connection has as its watermark.
func (s *Stream) bufferLimit() int {
	return s.conn.bufferLimit()
}

func (d *serverConn) bufferLimit() int {
	if limit := d.c.HighWatermark(); limit > 0 {
		return limit
	}
	return math.MaxInt
}

// pauseClient stops or resumes reading the request.
func (s *Stream) pauseClient(on bool) {
	if s.pausedClient == on {
		return
	}
	s.pausedClient = on
	if on {
		s.w.stats.Inc(s.cfg.Stats.FlowPausedReading)
	} else {
		s.w.stats.Inc(s.cfg.Stats.FlowResumedReading)
	}
	s.conn.pause(s, on)
}
