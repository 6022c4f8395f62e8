package cluster

import (
	"time"

	"sofamesh.io/sofamesh/mosn/shared"
	"sofamesh.io/sofamesh/sdk"
)

// pool is one loop's connections to one host for one priority and one way of
// travelling. Pools of the same host and priority are a list: most hosts are spoken to
// in one protocol.
//
// Idle connections are reused last in, first out, so that those beyond the need
// grow old and are closed by the idle timeout. Calls that find none idle wait in
// turn, and for each a connection is begun, as far as the circuit breakers let it.
type pool struct {
	lc       *LoopCluster
	host     *Host
	way      way
	next     *pool
	breakers *shared.Breakers
	prio     Priority
	draining bool // the host is gone: no connection is kept

	pair *Pair // of the downstream connection that has the pool to itself, nil if none has

	mux   *muxPool // for a Multiplexed codec, if this loop has the connections
	owner *Local   // the loop that has them if it is another one

	idle       *connection // the one used last
	conns      int         // all that are not closed
	connecting int

	first, last *Call // that wait
	waiting     int
	order       uint64 // of the last one that began to wait
}

// start has a call served by an idle connection or queued.
func (p *pool) start(c *Call) {
	switch {
	case p.mux != nil:
		p.startStream(c)
		return
	case p.owner != nil:
		p.handOver(c)
		return
	}
	for cn := p.idle; cn != nil; cn = p.idle {
		if !cn.conn.Closed() {
			if !p.admit(c) {
				return
			}
			p.unlink(cn)
			cn.attach(c)
			return
		}
		// The connection ended within this turn, OnClose is under way.
		cn.finish(true)
	}
	p.queue(c)
}

// admit takes a place under max_requests, or fails the call.
func (p *pool) admit(c *Call) bool {
	if p.breakers.Requests.TryAcquire() {
		return true
	}
	p.lc.inc(RqActiveOverflow)
	c.fail(ErrOverflow, "")
	return false
}

func (c *Call) fail(err *sdk.Error, transport string) {
	c.state = callIdle
	c.failure = transport
	c.ev.OnCallFailed(c, err)
}

// queue has the call wait for a connection.
func (p *pool) queue(c *Call) {
	lc := p.lc
	if !p.breakers.Pending.TryAcquire() {
		lc.inc(RqPendingOverflow)
		c.fail(ErrPendingOverflow, "")
		return
	}
	lc.inc(RqPendingTotal)
	lc.local.stats.AddGauge(lc.block.Gauge(gRqPendingActive), 1)
	p.host.Pending.Add(1)
	p.order++
	c.state, c.order = callPending, p.order
	c.next, c.prev = nil, p.last
	if p.last == nil {
		p.first = c
	} else {
		p.last.next = c
	}
	p.last = c
	p.waiting++
	p.grow()
}

// unqueue takes a call out of the queue.
func (p *pool) unqueue(c *Call) {
	if c.prev == nil {
		p.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		p.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
	p.waiting--
	p.breakers.Pending.Release()
	p.host.Pending.Add(-1)
	p.lc.local.stats.AddGauge(p.lc.block.Gauge(gRqPendingActive), -1)
}

// grow begins a connection for every call that waits without one being made for it.
// At the limit of connections there is still a first one for each pool, since
// nobody else would ever serve its calls (Envoy does the same).
func (p *pool) grow() {
	for p.missing() {
		if !p.breakers.Connections.TryAcquire() {
			p.lc.inc(CxOverflow)
			if p.conns > 0 {
				return
			}
			p.breakers.Connections.Force()
		}
		p.connect()
	}
}

// serve gives a free connection to the call that has waited longest, or keeps it.
func (p *pool) serve(cn *connection) {
	for p.first != nil && !cn.draining {
		c := p.first
		p.unqueue(c)
		if p.admit(c) {
			cn.attach(c)
			return
		}
	}
	if cn.draining || p.draining {
		cn.finish(false)
		p.grow()
		return
	}
	p.keep(cn)
}

// keep puts a connection in front of the idle list.
func (p *pool) keep(cn *connection) {
	cn.state = connIdle
	cn.prev, cn.next = nil, p.idle
	if p.idle != nil {
		p.idle.prev = cn
	}
	p.idle = cn
	if d := p.idleTimeout(); d > 0 {
		cn.idleTimer.Arm(d)
	}
}

// idleTimeout is how long a connection may be idle, 0 for ever: a host that knows a
// client by it may be silent for long.
func (p *pool) idleTimeout() time.Duration {
	if p.tied() {
		return 0
	}
	return p.lc.cfg.idleTimeout
}

// unlink takes a connection out of the idle list.
func (p *pool) unlink(cn *connection) {
	if cn.prev == nil {
		p.idle = cn.next
	} else {
		cn.prev.next = cn.next
	}
	if cn.next != nil {
		cn.next.prev = cn.prev
	}
	cn.next, cn.prev = nil, nil
	cn.state = connBusy
}

// failPending fails the calls that wait now; those that their owners start
// meanwhile wait on.
func (p *pool) failPending(err *sdk.Error, transport string) {
	until := p.order
	for p.first != nil && p.first.order <= until {
		c := p.first
		p.unqueue(c)
		p.lc.inc(RqPendingFailureEject)
		c.fail(err, transport)
	}
}

// drainAll drains p and those behind it.
func (p *pool) drainAll() {
	for ; p != nil; p = p.next {
		p.drain()
	}
}

// drain closes what is idle, and the rest when its exchange is over.
func (p *pool) drain() {
	p.draining = true
	if p.conns > p.connecting {
		p.untie()
	}
	if p.mux != nil {
		p.drainStreams()
		return
	}
	for p.idle != nil {
		p.idle.finish(false)
	}
}
