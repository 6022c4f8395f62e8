package callout

import (
	"time"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/sdk"
)

// retryState decides whether a failed attempt is followed by another, as the router does
// for a route's retry policy.
type retryState struct {
	on        route.RetryOn
	left      uint32
	made      uint32
	base, max time.Duration
	elsewhere int  // choices in place of a host that was tried
	held      bool // a place of the retry breaker
	silent    bool // the one retry of a request that met a closed idle connection was made
	now       bool // the next attempt needs no back-off
}

func (r *retryState) setup(p *sdk.CallRetry) {
	if p == nil {
		return
	}
	r.on, _ = route.ParseRetryOn(p.On)
	r.left, r.base, r.max, r.elsewhere = p.Attempts, p.Base, p.Max, p.Elsewhere
	if r.base <= 0 {
		r.base = route.DefaultBackoff
	}
	if r.max <= 0 {
		r.max = 10 * r.base
	}
}

// wantsResponse decides on the head of an answer.
func (r *retryState) wantsResponse(c *call, m *sdk.Message) bool {
	if r.on == 0 {
		return false
	}
	if r.on.Response(&m.Headers) {
		return r.take(c)
	}
	if r.made > 0 {
		c.cluster.Inc(cluster.RqRetrySuccess)
	}
	return false
}

// wantsReset decides on an attempt that ended without an answer.
func (r *retryState) wantsReset(c *call, e *sdk.Error, reused bool) bool {
	// A kept connection that the host was just closing: the request is sent once more, if
	// nothing of it was processed or doing it twice does no harm (RFC 9110, 9.2.2).
	if !r.silent && reused && e.Reset == sdk.ResetConnLost && (e.Unsent || route.Idempotent(c.req.Method())) {
		r.silent, r.now = true, true
		c.cluster.Inc(cluster.RqRetry)
		return true
	}
	return r.on.Reset(e, c.ready) && r.take(c)
}

// take asks for one more attempt: the count, then the cluster's breaker.
func (r *retryState) take(c *call) bool {
	if r.left == 0 {
		c.cluster.Inc(cluster.RqRetryLimitExceeded)
		return false
	}
	r.release(c.cluster)
	if !c.cluster.TryRetry(cluster.Default) {
		c.cluster.Inc(cluster.RqRetryOverflow)
		return false
	}
	r.held = true
	r.left--
	r.made++
	c.cluster.Inc(cluster.RqRetry)
	return true
}

// release gives back the place that a retry holds from the decision to make it until its
// attempt has been answered or has failed.
func (r *retryState) release(lc *cluster.LoopCluster) {
	if r.held {
		r.held = false
		lc.EndRetry(cluster.Default)
	}
}

// again makes the next attempt, after the back-off.
func (c *call) again() {
	if c.retry.now {
		c.retry.now = false
		c.try()
		return
	}
	c.cluster.Inc(cluster.RqRetryBackoffExponential)
	c.phase = backingOff
	wait := route.Backoff(c.retry.base, c.retry.max, c.retry.made, c.l.rand.Uint64())
	c.timer.Arm(max(min(wait, c.deadline-c.l.loop.Now()), time.Nanosecond))
}
