package stream

import (
	"strconv"
	"time"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/sdk"
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

// timedOut: the route's timeout is over.
func (u *upstream) timedOut() {
	s := u.s
	if u.cluster != nil {
		u.cluster.Inc(cluster.RqTimeout)
	}
	if u.call.Active() {
		u.host.Timeouts.Add(1)
	}
	if u.answered || s.respHeadSent {
		s.info.Details = "response_timeout"
		s.abort(sdk.FlagUpstreamRequestTimeout)
		return
	}
	u.timeoutReply("response_timeout")
}

func (u *upstream) timeoutReply(details string) {
	s := u.s
	r := sdk.Reply{
		Status: 504, Body: "upstream request timeout", Details: details, Flag: sdk.FlagUpstreamRequestTimeout,
	}
	if u.altTimeout {
		r.Status, r.Body = 204, ""
	}
	u.cluster.CountResponse(r.Status, s.internal)
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
	if u.retry.wantsReset(u, errPerTryTimeout, false) {
		u.host.Errors.Add(1)
		u.tryTimeout = true
		u.retry.schedule(u)
		return
	}
	u.retry.release(u)
	u.timeoutReply(details)
}

// setTimeouts finds the budget of the request.
func (u *upstream) setTimeouts() {
	s := u.s
	h := &s.req.Headers
	u.timeout = u.action.GlobalTimeout(h)
	if d, ok := headerMs(h, sdk.HeaderEnvoyExpectedTimeoutMs); ok && s.cfg.RespectExpectedRqTimeout {
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
	if u.budget = s.req.Timeout; u.budget > 0 {
		s.setDeadline(dlBudget, max(u.budget-s.age(), 1))
	}
	if s.requestEnded {
		u.armTimeout()
	}
}

// age is how long ago the head of the request came.
func (s *Stream) age() time.Duration { return s.w.now() - time.Duration(s.info.Start) }

// spend has the host told, where the request's protocol can, how much time is left: the
// least of what the request itself says, the route and the attempt. It reports whether
// there is any; if not the request is answered.
func (u *upstream) spend() bool {
	s := u.s
	if !s.rpc {
		return true
	}
	least := u.timeout
	if at := s.deadlines[dlRoute]; at > 0 {
		least = max(at-s.w.now(), 1)
	}
	if p := u.retry.perTry; p > 0 && (least == 0 || p < least) {
		least = p
	}
	if u.budget > 0 {
		// In whole milliseconds, so that a time of which nothing is spent is not rewritten.
		left := u.budget - s.age().Truncate(time.Millisecond)
		if left <= 0 {
			u.timedOut()
			return false
		}
		if least == 0 || left < least {
			least = left
		}
	}
	if least > 0 {
		least = max(least, time.Millisecond) // protocols count in those, and 0 is for ever
	}
	s.req.Timeout = least
	return true
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
