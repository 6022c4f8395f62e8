package stream

import (
	"time"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/cluster/lb"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// upstream is the router's part of a stream: the route's action, the attempts, and
// the body on its way to them. It is embedded in the stream and reused with it.
type upstream struct {
	s       *Stream
	call    cluster.Call
	lb      cluster.LBContext
	body    sdk.Buffer // not yet taken by the connection
	saved   sdk.Buffer // sent in this attempt, and kept for the next
	mirrors []*shadow
	log     *tryLog // nil: attempts are not logged

	forwarding
}

// forwarding is what the router forgets with the request.
type forwarding struct {
	cluster *cluster.LoopCluster
	action  *route.Forward
	host    *cluster.Host
	hash    route.HashResult

	vcluster *route.RequestStats // nil when the virtual host has no virtual clusters

	informed   bool // an informational answer was counted
	begun      bool // the request has reached the router
	headSent   bool
	endSent    bool
	keep       bool // sent body is saved for another attempt
	answered   bool // the head of a response was accepted
	tryArmed   bool // the attempt's timeouts run
	altTimeout bool // the client wants 204 for a timeout
	tryTimeout bool // the last attempt failed by a timeout of its own
	retryNow   bool // the next attempt needs no back-off
	unjudged   bool // only the trailers tell whether the host has failed
	priority   cluster.Priority

	timeout time.Duration
	budget  time.Duration // of the request from its head on, as it says itself; 0: it does not
	retry   retryState
	reason  string // transport failure, for logs and bodies

	sent, received uint64 // of body, in this attempt
}

func (u *upstream) init(s *Stream) {
	u.s = s
	u.body.Init(s.w.loop.Buffers())
	u.saved.Init(s.w.loop.Buffers())
}

func (u *upstream) reset() {
	if u.log != nil {
		u.s.w.releaseTryLog(u.log)
		u.log = nil
	}
	u.lb = cluster.LBContext{Tried: u.lb.Tried[:0]}
	u.mirrors = u.mirrors[:0]
	u.forwarding = forwarding{}
}

// begin performs the action of the route: the request has passed all filters.
func (u *upstream) begin(end bool) {
	s := u.s
	s.findRoute()
	u.begun = true
	s.w.stats.Inc(s.cfg.Stats.RouterRqTotal)
	if s.route == nil {
		s.w.stats.Inc(s.cfg.Stats.NoRoute)
		s.reply(sdk.Reply{Status: 404, Details: "route_not_found", Flag: sdk.FlagNoRouteFound})
		return
	}
	switch {
	case s.route.Redirect != nil:
		s.redirect(s.route.Redirect)
		return
	case s.route.Direct != nil:
		s.direct(s.route.Direct)
		return
	}
	u.action = s.route.Forward
	if !u.chooseCluster() {
		return
	}
	u.vcluster = s.vh.VirtualCluster(&s.req.Headers)
	if bad := u.checkStrictly(); bad != nil {
		s.reply(*bad)
		return
	}
	u.retry.setup(s, u)
	u.setTimeouts()
	u.finishRequestHeaders()
	u.startMirrors(end)
	u.keep = u.retry.enabled() && !s.upgradeWanted
	u.try()
}

// chooseCluster finds the cluster that the action names, or answers.
func (u *upstream) chooseCluster() bool {
	s := u.s
	name := u.action.Cluster(&s.req.Headers)
	u.cluster = s.w.clusters.Get(name)
	s.noteCluster(name, u.cluster)
	if u.cluster == nil {
		s.w.stats.Inc(s.cfg.Stats.NoCluster)
		s.reply(sdk.Reply{
			Status: u.action.NotFoundStatus, Details: "cluster_not_found",
			Flag: sdk.FlagNoClusterFound,
		})
		return false
	}
	u.priority = cluster.Default
	if u.action.HighPriority {
		u.priority = cluster.High
	}
	if len(u.action.Hash) > 0 {
		in := &s.w.hashIn
		in.Headers, in.Info, in.Sum, in.Scratch = &s.req.Headers, &s.info, lb.HashSeed, &s.w.routeScratch
		u.hash = u.action.Hash.Hash(in)
		u.lb.Hash, u.lb.HasHash = u.hash.Hash, u.hash.OK
	}
	return true
}

// try starts an attempt: the first, or another after a failure.
func (u *upstream) try() {
	s := u.s
	u.headSent, u.endSent, u.tryArmed, u.informed = false, false, false, false
	u.lb.Attempt = uint32(s.info.Attempts)
	if p := u.retry.policy; p != nil && p.PreviousHosts && u.host != nil {
		u.lb.Tried, u.lb.MaxAttempts = append(u.lb.Tried, u.host), p.HostAttempts
	}
	u.host = u.choose()
	if u.host == nil {
		u.count(503)
		s.reply(sdk.Reply{
			Status: 503, Body: "no healthy upstream", Details: "no_healthy_upstream",
			Flag: sdk.FlagNoHealthyUpstream, Edit: nil,
		})
		return
	}
	s.phase.move(attempt)
	s.info.Attempts++
	s.info.UpstreamHost, s.info.HostMetadata, s.info.UpstreamHostname = u.host.Address(), u.host.Metadata(), u.host.Hostname()
	s.info.UpstreamAttempt = int64(s.w.now())
	u.setAttemptHeaders()
	if !u.spend() {
		return
	}
	u.traceTry()
	u.logTry()
	u.tryTimeout = false
	u.start()
}

// OnCallReady implements cluster.CallEvents: the request can be written.
func (u *upstream) OnCallReady(c *cluster.Call) {
	s := u.s
	s.w.enter()
	defer s.leave()
	s.info.UpstreamLocal = c.LocalAddr().AddrPort
	s.info.UpstreamConnectionID, s.info.UpstreamProtocol, s.info.UpstreamTLS = c.ConnID(), c.Protocol(), c.TLS()
	begun, stood := c.ConnectTimes()
	s.info.UpstreamConnect, s.info.UpstreamConnected = int64(begun), int64(stood)
	s.info.UpstreamReady = int64(s.w.now())
	s.info.Tried = append(s.info.Tried, sdk.Tried{Host: s.info.UpstreamHost, Hostname: s.info.UpstreamHostname, ConnectionID: c.ConnID()})
	u.countRequest(route.RqTotal)
	if s.info.UpstreamRequest == 0 {
		s.info.UpstreamRequest = int64(s.w.now())
	}
	s.trySent(c, false)
	u.logReady(c)
	if !s.requestWhole() {
		return
	}
	end := s.requestEnded && u.body.Empty() && !s.hasReqTrail && !u.upstreamPending()
	if err := c.WriteHeaders(&s.req, end); err != nil {
		c.Cancel(sdk.ResetLocal)
		s.reply(sdk.Reply{Status: 503, Body: err.Error(), Details: "upstream_codec_error"})
		return
	}
	u.headSent = true
	u.armTry()
	if end {
		u.sentAll()
	} else if u.open() {
		u.flush()
	}
}

// upstreamPending reports whether filters still hold some of the request.
func (u *upstream) upstreamPending() bool {
	for i := range u.s.slots {
		if d := &u.s.slots[i].req; d.stop != passing || !d.hold.Empty() || d.trail {
			return true
		}
	}
	return false
}

// sentAll notes that the whole request is with the connection.
func (u *upstream) sentAll() {
	s := u.s
	u.endSent = true
	s.info.UpstreamRequestEnd = int64(s.w.now())
	s.trySent(&u.call, true)
	u.armTimeout()
}

// OnCallInformational implements cluster.CallEvents.
func (u *upstream) OnCallInformational(_ *cluster.Call, m *sdk.Message) {
	u.s.w.enter()
	defer u.s.leave()
	if code := m.Status(); !u.informed && code != 102 { // Envoy counts the first that it knows
		u.informed = true
		u.count(code)
	}
	u.s.informational(m)
}

// OnCallHeaders implements cluster.CallEvents: the head of a response.
func (u *upstream) OnCallHeaders(c *cluster.Call, m *sdk.Message, end bool) {
	s := u.s
	s.w.enter()
	defer s.leave()
	now := s.w.now()
	s.last = now
	code := m.Status()
	s.tryAnswered(&m.Headers)
	u.logHead(&m.Headers)
	if code == 101 && !s.upgradeWanted && s.conn.shared != nil {
		// Nobody has asked for it, and a protocol that multiplexes has no way to say it.
		if !end {
			c.Cancel(sdk.ResetProtocol)
		}
		u.failed(cluster.ErrProtocol, false)
		return
	}
	if u.retry.wantsResponse(u, m) {
		if u.counted() {
			u.cluster.CountAs(cluster.Retried, code)
		}
		u.host.Errors.Add(1)
		s.tryEnded(tryOutcome{canceled: !end})
		if !end {
			c.Cancel(sdk.ResetLocal)
		}
		u.retry.schedule(u)
		return
	}
	u.count(code)
	if (m.ID(sdk.HeaderEnvoyUpstreamCanary) == "true" || u.host.Canary()) && u.counted() {
		u.cluster.CountAs(cluster.Canary, code)
	}
	u.judge(m, end)
	u.retry.release(u)
	u.answered = true
	u.saved.Release()
	u.keep = false
	s.info.UpstreamResponse = int64(now)
	if s.info.UpstreamConnectionID == 0 { // another loop's, which has told by now
		s.info.UpstreamConnectionID, s.info.UpstreamTLS = c.ConnID(), c.TLS()
		s.info.Tried[len(s.info.Tried)-1].ConnectionID = c.ConnID()
	}
	s.deadlines[dlPerTry] = 0
	u.progress()
	s.resp.Swap(m)
	s.info.ResponseCode = code
	if s.upgradeWanted && !s.resp.Upgrade && code >= 200 && code < 300 {
		// An upgrade that is answered as if it were an ordinary request.
		s.conn.closeAfter()
		s.reply(sdk.Reply{Status: code, Details: "websocket_handshake_unsuccessful"})
		return
	}
	u.decorateUpstream(&s.resp, now)
	if end {
		u.finished()
	}
	s.info.Details = "via_upstream"
	s.startResponse(end)
}

// counted reports whether responses are counted by code: not those to questions after
// the health, and none without the router's dynamic_stats.
func (u *upstream) counted() bool { return !u.s.info.HealthCheck && !u.s.router.NoDynamicStats }

// count counts a response by its code, or what stands for one that does not come; those to
// gRPC not among the cluster's codes, if that is asked for, for they say nothing of how a
// call ended.
func (u *upstream) count(code int) {
	if !u.counted() {
		return
	}
	if u.s.router.SuppressGRPCCodes && u.callsByGRPC() {
		u.cluster.CountOrigin(code, u.s.internal)
	} else {
		u.cluster.CountResponse(code, u.s.internal)
	}
	u.vcluster.Code(u.s.w.stats, code)
	u.s.route.Stats.Code(u.s.w.stats, code)
}

// inc counts for the cluster, the virtual cluster and the route.
func (u *upstream) inc(c cluster.Stat, r route.RequestStat) {
	u.cluster.Inc(c)
	u.countRequest(r)
}

func (u *upstream) countRequest(r route.RequestStat) {
	u.vcluster.Inc(u.s.w.stats, r)
	u.s.route.Stats.Inc(u.s.w.stats, r)
}

// judge counts a host's answer as its success or error. An answer to gRPC is judged by
// grpc-status, which most often comes with the trailers.
func (u *upstream) judge(m *sdk.Message, end bool) {
	switch byGRPC := u.callsByGRPC(); {
	case m.Status() >= 500:
		u.host.Errors.Add(1)
	case !byGRPC:
		u.host.Successes.Add(1)
	case end:
		u.judgeGRPC(&m.Headers)
	default:
		u.unjudged = true
	}
}

func (u *upstream) judgeGRPC(h *sdk.Headers) {
	u.unjudged = false
	if grpc.ServerFailed(h) {
		u.host.Errors.Add(1)
	} else {
		u.host.Successes.Add(1)
	}
}

// OnCallData implements cluster.CallEvents.
func (u *upstream) OnCallData(_ *cluster.Call, p []byte, end bool) {
	u.s.w.enter()
	defer u.s.leave()
	u.progress()
	u.received += uint64(len(p))
	if u.s.info.UpstreamBody == 0 {
		u.s.info.UpstreamBody = int64(u.s.w.now())
	}
	if end {
		u.finished()
	}
	u.s.responseData(p, end)
}

// OnCallTrailers implements cluster.CallEvents.
func (u *upstream) OnCallTrailers(_ *cluster.Call, m *sdk.Message) {
	u.s.w.enter()
	defer u.s.leave()
	u.s.tryStatus(&m.Headers)
	u.logTrailers(&m.Headers)
	u.finished()
	if u.unjudged {
		u.judgeGRPC(&m.Headers)
	}
	u.s.responseTrailers(m)
}

// finished accounts an attempt whose response is complete.
func (u *upstream) finished() {
	s := u.s
	s.info.UpstreamEnd = int64(s.w.now())
	if s.info.RequestEnd != 0 {
		ms := uint64(s.info.UpstreamEnd-s.info.RequestEnd) / uint64(time.Millisecond)
		u.cluster.ObserveTime(ms, s.internal)
		u.vcluster.Time(s.w.stats, ms)
		s.route.Stats.Time(s.w.stats, ms)
	}
	s.tryEnded(tryOutcome{end: s.info.UpstreamEnd})
	u.clearTimeouts()
	s.pauseClient(false)
}

// OnCallFailed implements cluster.CallEvents.
func (u *upstream) OnCallFailed(c *cluster.Call, e *sdk.Error) {
	s := u.s
	s.w.enter()
	defer s.leave()
	u.reason = c.TransportFailure()
	if !u.headSent && c.ConnID() == 0 {
		s.info.UpstreamReady = int64(s.w.now())
	}
	u.failed(e, c.Reused())
}

// failed handles the end of an attempt without a complete response.
func (u *upstream) failed(e *sdk.Error, reused bool) {
	s := u.s
	if !s.phase.live() {
		return
	}
	s.tryEnded(tryOutcome{reason: e.Reset.String(), flags: e.Flag})
	if s.respHeadSent || u.answered {
		if u.unjudged {
			u.unjudged = false
			u.host.Errors.Add(1)
			s.w.stats.Inc(s.cfg.Stats.RqResetAfterResponse)
		}
		s.info.Details = "upstream_reset_after_response_started{" + cluster.FailureDetails(e, u.reason) + "}"
		s.replyOrAbortUpstream(e)
		return
	}
	if e.Reset == sdk.ResetLocal && !s.phase.can(retry) {
		return
	}
	if u.outOfTime(e) {
		u.retry.release(u)
		u.timedOut(grpc.DeadlineExceeded)
		return
	}
	if u.retry.wantsReset(u, e, reused) {
		u.host.Errors.Add(1)
		u.retry.schedule(u)
		return
	}
	u.retry.release(u)
	s.info.FailureReason = u.reason
	r := u.failureReply(e)
	u.count(r.Status)
	u.host.Errors.Add(1)
	s.reply(r)
}

// replyOrAbortUpstream cuts off a response that the upstream did not finish.
func (s *Stream) replyOrAbortUpstream(e *sdk.Error) {
	details := s.info.Details
	if !s.respHeadSent && s.phase.can(reply) {
		s.reply(sdk.Reply{Status: 502, Body: "Bad Gateway", Details: details, Flag: e.Flag})
		return
	}
	s.abort(e.Flag)
}

// failureReply is Envoy's answer to a failed attempt.
func (u *upstream) failureReply(e *sdk.Error) sdk.Reply {
	r := sdk.Reply{
		Status: cluster.FailureStatus(e), Body: cluster.FailureText(e, u.retry.count > 0), Flag: e.Flag,
		Details: "upstream_reset_before_response_started{" + cluster.FailureDetails(e, u.reason) + "}",
	}
	if e == cluster.ErrPendingOverflow {
		u.s.info.UpstreamHost, u.s.info.HostMetadata = "", nil // no connection was chosen, and Envoy names none
	}
	if e.Reset == sdk.ResetOverflow {
		r.Edit = func(h *sdk.Headers) { h.SetID(sdk.HeaderEnvoyOverloaded, "true") }
	}
	return r
}

// again makes the attempt that a failure has led to.
func (u *upstream) again() {
	s := u.s
	if s.phase != backingOff {
		return
	}
	u.saved.Move(&u.body)
	u.body.Move(&u.saved)
	u.reason = ""
	u.try()
}

// end gives up what is under way.
func (u *upstream) end() {
	if u.call.Active() {
		u.call.Cancel(sdk.ResetLocal)
	}
	u.s.tryEnded(tryOutcome{canceled: true})
	u.retry.release(u)
	u.body.Release()
	u.saved.Release()
	for _, m := range u.mirrors {
		m.requestGone()
	}
	u.mirrors = u.mirrors[:0]
	u.keep = false
}
