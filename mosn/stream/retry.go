package stream

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/sdk"
)

// errPerTryTimeout is the failure of an attempt that took too long.
var errPerTryTimeout = &sdk.Error{
	Side: sdk.Upstream, Flag: sdk.FlagUpstreamRequestTimeout, Reset: sdk.ResetLocal,
	Details: "upstream_per_try_timeout",
}

// retryState decides whether a failed attempt is followed by another, as Envoy's
// RetryStateImpl does: the conditions of the route's policy and of the request's
// headers, a count, and the cluster's breaker.
type retryState struct {
	policy  *route.RetryPolicy
	on      route.RetryOn
	left    uint32
	count   uint32 // retries made
	codes   [4]uint16
	ncodes  int
	perTry  time.Duration
	tryIdle time.Duration
	after   time.Duration // what the upstream asked for instead of the back-off
	base    time.Duration
	max     time.Duration
	held    bool // a place of the retry breaker
	silent  bool // the one retry of a request that met a closed idle connection was made
	blocked bool // the body is too big to be sent again
}

// setup reads the policy and the request's headers, which go no further.
func (r *retryState) setup(s *Stream, u *upstream) {
	h := &s.req.Headers
	p := u.action.Retry
	r.policy = p
	r.base, r.max = route.DefaultBackoff, 10*route.DefaultBackoff
	r.left = 1
	if p != nil {
		r.on, r.left = p.On, p.NumRetries
		r.perTry, r.tryIdle = p.PerTryTimeout, p.PerTryIdleTimeout
		r.base, r.max = p.BackoffBase, p.BackoffMax
	}
	if v := h.ID(sdk.HeaderEnvoyRetryOn); v != "" {
		on, _ := route.ParseRetryOn(v)
		r.on |= on
	}
	if v := h.ID(sdk.HeaderEnvoyRetryGRPCOn); v != "" {
		on, _ := route.ParseRetryOn(v)
		r.on |= on
	}
	if r.on != 0 {
		if v := h.ID(sdk.HeaderEnvoyMaxRetries); v != "" { // ParseUint allocates its errors
			if n, err := strconv.ParseUint(v, 10, 32); err == nil {
				r.left = uint32(n)
			}
		}
		r.parseCodes(h.ID(sdk.HeaderEnvoyRetriableStatusCodes))
	}
	if p != nil && len(p.RequestHeaders) > 0 && !anyHeader(p.RequestHeaders, h) {
		r.on = 0
	}
	for _, id := range [...]sdk.HeaderID{
		sdk.HeaderEnvoyRetryOn, sdk.HeaderEnvoyRetryGRPCOn, sdk.HeaderEnvoyMaxRetries,
		sdk.HeaderEnvoyRetriableStatusCodes, sdk.HeaderEnvoyRetriableHeaderNames,
	} {
		h.RemoveID(id)
	}
}

func (r *retryState) parseCodes(v string) {
	for v != "" && r.ncodes < len(r.codes) {
		var one string
		one, v, _ = strings.Cut(v, ",")
		if n, err := strconv.ParseUint(strings.TrimSpace(one), 10, 16); err == nil {
			r.codes[r.ncodes] = uint16(n)
			r.ncodes++
		}
	}
}

func (r *retryState) enabled() bool { return r.on != 0 && !r.blocked }

func (r *retryState) giveUp() { r.blocked = true }

// wantsResponse decides on a response whose head has come; true means that it is
// dropped and another attempt follows.
func (r *retryState) wantsResponse(u *upstream, m *sdk.Message) bool {
	if r.on == 0 {
		return false
	}
	if !r.matchesResponse(m) {
		r.settled(u)
		return false
	}
	if !r.take(u) {
		return false
	}
	r.after = r.askedFor(&m.Headers, u.s.w.loop.Wall())
	return true
}

// askedFor returns how long the response asks to wait (rate_limited_retry_back_off),
// 0 when it does not.
func (r *retryState) askedFor(h *sdk.Headers, wall time.Time) time.Duration {
	if r.policy == nil || r.policy.RateLimited == nil {
		return 0
	}
	for _, rh := range r.policy.RateLimited.Headers {
		n, err := strconv.ParseInt(h.Value(rh.Name), 10, 64)
		if err != nil || n < 0 || n > 1<<33 {
			continue
		}
		d := time.Duration(n) * time.Second
		if rh.UnixTimestamp {
			d = time.Unix(n, 0).Sub(wall)
		}
		if d > 0 && d <= r.policy.RateLimited.Max {
			return d
		}
	}
	return 0
}

func (r *retryState) matchesResponse(m *sdk.Message) bool {
	if r.on.Response(&m.Headers) {
		return true
	}
	if m.HasID(sdk.HeaderEnvoyRateLimited) {
		return false
	}
	if code := m.Status(); r.on&route.RetryStatusCodes != 0 {
		if r.policy != nil && slices.Contains(r.policy.StatusCodes, uint32(code)) {
			return true
		}
		for _, c := range r.codes[:r.ncodes] {
			if int(c) == code {
				return true
			}
		}
	}
	return r.on&route.RetryHeaders != 0 && r.policy != nil && anyHeader(r.policy.Headers, &m.Headers)
}

// wantsReset decides on an attempt that ended without a response.
func (r *retryState) wantsReset(u *upstream, e *sdk.Error, reused bool) bool {
	s := u.s
	if s.upgradeWanted && u.headSent || s.req.OneWay && !e.Unsent {
		return false // nobody would learn that a one-way request was done twice
	}
	if r.idleRace(u, e, reused) {
		r.silent = true
		u.inc(cluster.RqRetry, route.RqRetry)
		u.retryNow = true
		return true
	}
	return r.on.Reset(e, u.headSent) && r.take(u)
}

// idleRace reports whether the attempt died because it met a kept connection that
// the upstream was just closing. Such a request is sent once more, whatever the
// policy, when it is certain that nothing of it was processed or when doing it
// twice does no harm (RFC 9110, 9.2.2).
func (r *retryState) idleRace(u *upstream, e *sdk.Error, reused bool) bool {
	s := u.s
	if r.silent || !reused || e.Reset != sdk.ResetConnLost || r.blocked {
		return false
	}
	if !s.requestEnded || s.info.BytesReceived > 0 && !u.keep {
		return false // the body is gone
	}
	return e.Unsent || route.Idempotent(s.req.Method())
}

// take asks for one more attempt: the count, then the cluster's breaker.
func (r *retryState) take(u *upstream) bool {
	s := u.s
	if r.blocked {
		return false
	}
	if r.left == 0 {
		s.info.Flags |= sdk.FlagUpstreamRetryLimitExceeded
		u.inc(cluster.RqRetryLimitExceeded, route.RqRetryLimitExceeded)
		return false
	}
	r.release(u)
	if !u.cluster.TryRetry(u.priority) {
		s.info.Flags |= sdk.FlagUpstreamOverflow
		u.inc(cluster.RqRetryOverflow, route.RqRetryOverflow)
		return false
	}
	r.held = true
	r.left--
	r.count++
	u.inc(cluster.RqRetry, route.RqRetry)
	return true
}

// schedule waits for the back-off, then makes the attempt.
func (r *retryState) schedule(u *upstream) {
	s := u.s
	s.phase.move(retry)
	s.deadlines[dlPerTry], s.deadlines[dlTryIdle] = 0, 0
	if u.retryNow {
		u.retryNow = false
		u.again()
		return
	}
	if r.after > 0 {
		u.cluster.Inc(cluster.RqRetryBackoffRatelimited)
		s.setDeadline(dlBackoff, r.after)
		r.after = 0
		return
	}
	u.cluster.Inc(cluster.RqRetryBackoffExponential)
	s.setDeadline(dlBackoff, max(route.Backoff(r.base, r.max, r.count, s.w.rand.Uint64()), time.Nanosecond))
}

// settled: a response came that asks for no retry.
func (r *retryState) settled(u *upstream) {
	if r.count > 0 {
		u.inc(cluster.RqRetrySuccess, route.RqRetrySuccess)
	}
}

// release gives back the place that a retry holds from the decision to make it until
// its attempt has been answered or has failed.
func (r *retryState) release(u *upstream) {
	if r.held {
		r.held = false
		u.cluster.EndRetry(u.priority)
	}
}

// anyHeader reports whether one of the matchers fits.
func anyHeader(list match.Headers, h *sdk.Headers) bool {
	for i := range list {
		if list[i].Match(h) {
			return true
		}
	}
	return false
}
