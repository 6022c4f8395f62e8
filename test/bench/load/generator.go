//go:build linux

// Package load is the bench's HTTP/1.1 client: a closed loop (each connection asks again when it is answered, or opens anew for each
// request), an open loop (requests are due at a constant rate and latency counts from that moment, so a stalled proxy cannot hide
// its stall), and a holder of idle connections. Every answer's status and length are checked.
//
// It is a Bolt client, too, in both loops: many callers on few connections; and an HTTP/2 client, with as many callers on each
// connection as a plan says. There every answer is held against the call it is for, to the byte.
//
// It owns its connections and runs on the goroutine of the rawsock.Loop it is given, beside the backend.
package load

import (
	"time"

	"sofamesh.io/sofamesh/test/bench/h2"
	"sofamesh.io/sofamesh/test/bench/rawsock"
)

const (
	maxErrors = 10_000      // after so many failures the run gives up: the peer is not there
	drainTime = time.Second // for the answers still under way when the window ends
	bufBytes  = 64 << 10
)

// generator is one running plan of HTTP/1.1.
type generator struct {
	meter
	conns []*conn
	free  ring[*conn] // open loop: idle connections, longest idle first
}

// Run carries out p on loop and returns when its last answer is in. It must not be called from one of the loop's handlers.
func Run(loop *rawsock.Loop, p Plan) (Result, error) {
	shape, err := p.shape()
	if err != nil {
		return Result{}, err
	}
	m := meter{plan: p, loop: loop, epoch: time.Now()}
	switch {
	case p.HTTP2 != h2.None:
		return runStreams(m)
	case p.Calls > 0:
		return runCalls(m)
	}
	g := &generator{meter: m, free: newRing[*conn](p.Conns)}
	defer g.shut()
	buf := make([]byte, bufBytes)
	for range p.Conns {
		c := &conn{loop: loop, owner: g, shape: shape, fd: -1, buf: buf}
		g.conns = append(g.conns, c)
		g.reopen(c)
	}
	return g.measure(g.sendDue)
}

func (g *generator) shut() {
	for _, c := range g.conns {
		c.shut()
	}
}

// sendDue sends the open loop's requests whose time has come, as far as connections are idle.
func (g *generator) sendDue() {
	if g.plan.Rate == 0 {
		return
	}
	for now := g.now(); g.free.len() > 0 && g.pace.due(now) > 0; {
		g.waiting++
		g.free.pop().send(g.pace.next())
	}
}

// reopen gives c a new connection.
func (g *generator) reopen(c *conn) {
	c.start = g.now()
	if err := c.open(); err != nil {
		g.err = err // a local failure: out of ports or descriptors
		return
	}
	g.waiting++
}

func (g *generator) connected(c *conn) {
	switch {
	case g.closing:
		g.waiting--
		c.shut()
	case g.plan.Rate > 0:
		g.waiting--
		g.free.push(c)
	case g.plan.PerRequest:
		c.send(c.start) // the connect is part of the exchange
	default:
		c.send(g.now())
	}
}

func (g *generator) answered(c *conn) {
	now := g.now()
	g.waiting--
	g.right(now, c.start)
	switch {
	case g.closing:
		c.shut()
	case c.last || g.plan.PerRequest:
		c.shut()
		g.reopen(c)
	case g.plan.Rate > 0:
		g.free.push(c)
	default:
		g.waiting++
		c.send(now)
	}
}

func (g *generator) failed(c *conn, f fault) {
	// An idle connection that the peer closed has failed nobody's request; all others were counted as waiting.
	if !g.free.remove(c) {
		g.waiting--
		g.fault(f)
	}
	if g.err == nil && !g.closing {
		g.reopen(c)
	}
}
