package callout

import (
	"cmp"
	"time"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// keptSize is the most storage of one kind that a call keeps for the next.
const keptSize = 64 << 10

// call is a call under way, or one to be used again.
type call struct {
	l          *Local
	next, prev *call // in the Set; next also in the free list
	id         sdk.CallID
	set        *Set
	owner      Owner
	done       Done

	attempt cluster.Call
	lb      cluster.LBContext
	timer   eventloop.Timer
	req     sdk.Message
	resp    sdk.CallResponse

	perCall
}

// phase is what a call's timer stands for.
type phase uint8

const (
	over       phase = iota
	calling          // an attempt is under way; the time that is left
	backingOff       // the next attempt
	failed           // failed within Start; the owner is to be told
)

// perCall is what a call forgets at its end.
type perCall struct {
	cluster  *cluster.LoopCluster
	host     *cluster.Host
	body     []byte
	written  int // of body, in this attempt
	limit    int
	start    time.Duration
	deadline time.Duration
	attempts uint32
	retry    retryState
	failure  *sdk.CallError

	phase    phase
	starting bool // Start has not returned
	ready    bool // the head is written
	answered bool // the head of an answer was accepted
	internal bool // counts as a request from inside
	grpc     bool
	unjudged bool // only the trailers tell whether the host has failed
}

// begin makes the first attempt.
func (c *call) begin(name string, r *sdk.CallRequest) {
	l := c.l
	c.body = r.Body
	c.limit = cmp.Or(r.Limit, sdk.DefaultCallLimit)
	c.start = l.loop.Now()
	c.deadline = c.start + r.Timeout
	c.retry.setup(r.Retry)
	c.prepare(r)
	c.starting = true
	if c.cluster = l.clusters.Get(name); c.cluster == nil {
		c.fail(noCluster())
	} else {
		l.stats.Inc(l.Total)
		c.try()
	}
	c.starting = false
}

// prepare makes the head, as Envoy's AsyncStreamImpl and its router do.
func (c *call) prepare(r *sdk.CallRequest) {
	m := &c.req
	m.Headers.CopyFrom(&r.Headers)
	m.Protocol = sdk.HTTP11 // what "the client's protocol" means where there is no client
	c.grpc = grpc.IsRequest(&m.Headers)
	if !r.Bare {
		m.SetID(sdk.HeaderEnvoyInternal, "true")
		if ip := c.l.Address; ip != "" {
			m.AppendID(sdk.HeaderForwardedFor, ",", ip)
		}
	}
	c.internal = m.ID(sdk.HeaderEnvoyInternal) == "true"
}

// try makes an attempt, in the time that is left.
func (c *call) try() {
	left := c.deadline - c.l.loop.Now()
	if left <= 0 {
		c.timedOut()
		return
	}
	c.timer.Arm(left)
	c.phase = calling
	c.ready, c.written = false, 0
	c.req.SetInt(sdk.HeaderEnvoyExpectedTimeoutMs, max(1, left.Milliseconds()))
	if c.attempts > 0 && c.req.HasID(sdk.HeaderGRPCTimeout) {
		grpc.SetTimeout(&c.req.Headers, max(left, time.Millisecond))
	}
	if n := c.retry.elsewhere; n > 0 && c.host != nil {
		c.lb.Tried, c.lb.MaxAttempts = append(c.lb.Tried, c.host), n
	}
	c.lb.Attempt = c.attempts
	c.attempts++
	if c.host = c.cluster.Choose(&c.lb); c.host == nil {
		c.cluster.CountResponse(503, c.internal)
		c.fail(noHost())
		return
	}
	c.cluster.Start(&c.attempt, c.host, &c.req, c, cluster.Default)
}

// write gives the connection what it takes of the body.
func (c *call) write() {
	if !c.ready || c.written == len(c.body) {
		return
	}
	c.written += c.attempt.WriteData(c.body[c.written:], true)
}

// OnTimer implements eventloop.TimerHandler.
func (c *call) OnTimer(*eventloop.Timer) {
	switch c.phase {
	case calling:
		c.timedOut()
	case backingOff:
		c.try()
	case failed:
		c.finish(nil, c.failure)
	}
}

// timedOut: no time is left.
func (c *call) timedOut() {
	c.cluster.Inc(cluster.RqTimeout)
	if c.attempt.Active() {
		c.host.Timeouts.Add(1)
	}
	if c.answered {
		c.fail(cutOff(errTimeout, errTimeout.Details))
		return
	}
	c.cluster.CountResponse(504, c.internal)
	if c.host != nil {
		c.host.Errors.Add(1)
	}
	c.fail(&sdk.CallError{Err: errTimeout, Details: errTimeout.Details, Status: 504, Text: "upstream request timeout"})
}

// fail ends the call without an answer.
func (c *call) fail(e *sdk.CallError) {
	c.quit()
	if c.starting {
		c.phase, c.failure = failed, e
		c.timer.Arm(time.Nanosecond)
		return
	}
	c.finish(nil, e)
}

// quit gives up what is under way.
func (c *call) quit() {
	c.timer.Stop()
	c.attempt.Cancel(sdk.ResetLocal)
	c.retry.release(c.cluster)
}

// finish tells the owner. Before that the call is no longer the owner's to cancel.
func (c *call) finish(resp *sdk.CallResponse, e *sdk.CallError) {
	c.leave()
	defer c.release() // also when done panics
	c.owner.OnCallDone(c.done, resp, e)
}

// cancel ends the call without telling anybody.
func (c *call) cancel() {
	c.quit()
	c.leave()
	c.release()
}

func (c *call) leave() {
	c.timer.Stop()
	c.phase = over
	c.set.remove(c)
}

// release makes the call one to be used again.
func (c *call) release() {
	l := c.l
	c.perCall = perCall{}
	c.set, c.owner, c.done, c.id = nil, nil, nil, 0
	clear(c.lb.Tried)
	c.lb = cluster.LBContext{Tried: c.lb.Tried[:0]}
	c.req.Reset()
	c.resp.Body = c.resp.Body[:0]
	if cap(c.resp.Body) > keptSize {
		c.resp.Body = nil
	}
	for _, h := range [...]*sdk.Headers{&c.req.Headers, &c.resp.Headers, &c.resp.Trailers} {
		if h.Reset(); h.Footprint() > keptSize {
			*h = sdk.Headers{}
		}
	}
	c.next, l.free = l.free, c
}
