package stream

import (
	"cmp"
	"strconv"
	"time"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// progress restarts per_try_idle_timeout.
func (u *upstream) progress() {
	if d := u.retry.tryIdle; d > 0 && u.tryArmed {
		u.s.setDeadline(dlTryIdle, d)
	}
}

// armTry starts the timeouts of the attempt: when it has a connection and the client
// has sent all of the request, as in Envoy.
func (u *upstream) armTry() {
	s := u.s
	if u.tryArmed || !u.headSent || !s.requestEnded || !u.call.Active() {
		return
	}
	u.tryArmed = true
	if s.phase == waiting {
		s.setDeadline(dlPerTry, u.retry.perTry)
	}
	u.progress()
}

// limitDuration sets max_stream_duration as the route has it.
func (s *Stream) limitDuration() {
	if s.route.Forward == nil {
		return
	}
	limit, ok := s.route.Forward.StreamDuration(&s.req.Headers, s.cfg.MaxStreamDuration)
	if ok {
		limit = max(limit-s.age(), time.Nanosecond)
	}
	s.setDeadline(dlDuration, limit)
}

func (s *Stream) durationOver() {
	s.w.stats.Inc(s.cfg.Stats.RqMaxDuration)
	s.replyOrAbort(sdk.Reply{
		Status: s.timeoutStatus(), GRPCStatus: grpc.DeadlineExceeded,
		Body: "downstream duration timeout", Details: "max_duration_timeout",
	})
}

// timedOut: the route's timeout is over, or the request's own; gRPC callers get status,
// if it is not 0.
func (u *upstream) timedOut(status int) {
	s := u.s
	if u.cluster != nil {
		u.inc(cluster.RqTimeout, route.RqTimeout)
	}
	if u.call.Active() {
		u.host.Timeouts.Add(1)
	}
	if u.answered || s.respHeadSent {
		s.info.Details = "response_timeout"
		s.abort(sdk.FlagUpstreamRequestTimeout)
		return
	}
	u.timeoutReply("response_timeout", status)
}

func (u *upstream) timeoutReply(details string, grpcStatus int) {
	s := u.s
	r := sdk.Reply{
		Status: 504, GRPCStatus: grpcStatus,
		Body: "upstream request timeout", Details: details, Flag: sdk.FlagUpstreamRequestTimeout,
	}
	if u.altTimeout {
		r.Status, r.Body = 204, ""
	}
	u.count(r.Status)
	u.host.Errors.Add(1)
	s.reply(r)
}

// tryTimedOut: one attempt has taken too long; another may be allowed.
func (u *upstream) tryTimedOut(stat cluster.Stat, details string) {
	s := u.s
	if s.phase != waiting {
		if stat == cluster.RqPerTryIdleTimeout && u.call.Active() {
			u.cluster.Inc(stat)
			s.info.Details = details
			s.abort(sdk.FlagUpstreamRequestTimeout)
		}
		return
	}
	u.cluster.Inc(stat)
	u.host.Timeouts.Add(1)
	u.call.Cancel(sdk.ResetLocal)
	s.tryEnded(tryOutcome{flags: sdk.FlagUpstreamRequestTimeout, canceled: true})
	if u.retry.wantsReset(u, errPerTryTimeout, false) {
		u.host.Errors.Add(1)
		u.tryTimeout = true
		u.retry.schedule(u)
		return
	}
	u.retry.release(u)
	u.timeoutReply(details, 0)
}

// setTimeouts finds the budget of the request.
func (u *upstream) setTimeouts() {
	s := u.s
	h := &s.req.Headers
	u.timeout = u.action.GlobalTimeout(h)
	if d, ok := headerMs(h, sdk.HeaderEnvoyExpectedTimeoutMs); ok && s.router.RespectExpectedRqTimeout {
		u.timeout = d
	} else if d, ok := headerMs(h, sdk.HeaderEnvoyUpstreamTimeoutMs); ok {
		u.timeout = d
	}
	h.RemoveID(sdk.HeaderEnvoyUpstreamTimeoutMs)
	u.altTimeout = h.RemoveID(sdk.HeaderEnvoyUpstreamTimeoutAltResponse)
	if d, ok := headerMs(h, sdk.HeaderEnvoyUpstreamPerTryTimeoutMs); ok {
		u.retry.perTry = d
	}
	h.RemoveID(sdk.HeaderEnvoyUpstreamPerTryTimeoutMs)
	if u.timeout > 0 && u.retry.perTry >= u.timeout {
		u.retry.perTry = 0
	}
	if s.req.OneWay { // it is over when it is sent
		u.timeout, u.retry.perTry, u.retry.tryIdle = 0, 0, 0
	}
	if u.budget = s.req.Timeout; u.callsByGRPC() {
		if d, ok := grpc.Timeout(h); ok {
			u.budget = cmp.Or(d, -1) // of 0 there is nothing left
		}
	}
	if u.budget != 0 {
		s.setDeadline(dlBudget, max(u.budget-s.age(), 1))
	}
	if s.requestEnded {
		u.armTimeout()
	}
}

// age is how long ago the head of the request came.
func (s *Stream) age() time.Duration { return s.w.now() - time.Duration(s.info.Start) }

// callsByGRPC reports whether the client, or what filters made of its request, calls by
// gRPC.
func (u *upstream) callsByGRPC() bool {
	return u.s.grpc || grpc.IsRequest(&u.s.req.Headers) && !u.s.rpc
}

// spend has the host told, where the request's protocol can, how much time is left: the
// least of what the request itself says, the route and the attempt. It reports whether
// there is any; if not the request is answered.
func (u *upstream) spend() bool {
	s := u.s
	left := time.Duration(0)
	if u.budget != 0 {
		// In whole milliseconds, so that a time of which nothing is spent is not rewritten.
		if left = u.budget - s.age().Truncate(time.Millisecond); left <= 0 {
			u.timedOut(grpc.DeadlineExceeded)
			return false
		}
	}
	switch {
	case s.rpc:
		s.req.Timeout = 0
		if least := lesser(left, u.expected()); least > 0 {
			s.req.Timeout = max(least, time.Millisecond) // protocols count in those, and 0 is for ever
		}
	case u.callsByGRPC():
		return u.spendGRPC(left)
	}
	return true
}

// hostsLead is how much earlier than ours a host's timer for the same deadline may be:
// each counts in milliseconds, and a host is told what is left rounded down.
const hostsLead = 5 * time.Millisecond

// outOfTime reports whether a host has given a call up because its time is over. Hosts
// that speak gRPC do that by a reset, which says no more, so that the caller would be
// told of a failure instead, if their timer is a little ahead of ours.
func (u *upstream) outOfTime(e *sdk.Error) bool {
	if e.Reset != sdk.ResetRemote || u.budget <= 0 || !u.callsByGRPC() {
		return false
	}
	return u.budget-u.s.age() <= min(hostsLead, u.budget/4)
}

// spendGRPC writes grpc-timeout. It counts from the head of the request, while the
// timeouts of the route and the attempt count from its end; so those are told only where
// they come from grpc-timeout themselves, as in Envoy.
func (u *upstream) spendGRPC(left time.Duration) bool {
	s := u.s
	if u.action.WritesGRPCTimeout() {
		left = lesser(left, u.expected())
	}
	if at := s.deadlines[dlDuration]; at > 0 && u.action.MaxStreamDuration != nil {
		d := at - s.w.now()
		if d <= time.Nanosecond {
			s.durationOver()
			return false
		}
		left = lesser(left, d+time.Millisecond-1)
	}
	if left > 0 {
		grpc.SetTimeout(&s.req.Headers, max(left, time.Millisecond))
	}
	return true
}

// expected is the time that the route and the attempt leave, 0 when that is not limited.
func (u *upstream) expected() time.Duration {
	s := u.s
	d := u.timeout
	if at := s.deadlines[dlRoute]; at > 0 {
		d = max(at-s.w.now(), 1)
	}
	return lesser(d, u.retry.perTry)
}

// lesser is the smaller of two times of which 0 is for ever.
func lesser(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

func (u *upstream) clearTimeouts() {
	for _, k := range [...]deadline{dlRoute, dlBudget, dlPerTry, dlTryIdle} {
		u.s.deadlines[k] = 0
	}
}

// armTimeout starts the route's timeout, which runs from the end of the request, and
// those of the attempt.
func (u *upstream) armTimeout() {
	s := u.s
	u.armTry()
	if u.timeout > 0 && s.requestEnded && s.deadlines[dlRoute] == 0 && !u.answeredFully() && !s.upgradeWanted {
		s.setDeadline(dlRoute, u.timeout)
	}
}

func headerMs(h *sdk.Headers, id sdk.HeaderID) (time.Duration, bool) {
	v := h.ID(id)
	if v == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return 0, false
	}
	return time.Duration(n) * time.Millisecond, true
}
