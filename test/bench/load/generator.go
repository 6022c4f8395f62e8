//go:build linux

// Package load is the bench's HTTP/1.1 client: a closed loop (each connection asks again when it is answered, or opens anew for each
// request), an open loop (requests are due at a constant rate and latency counts from that moment, so a stalled proxy cannot hide
// its stall), and a holder of idle connections. Every answer's status and length are checked.
//
// It owns its connections and runs on the goroutine of the rawsock.Loop it is given, beside the backend.
package load

import (
	"fmt"
	"os"
	"time"

	"sofamesh.io/sofamesh/test/bench/hist"
	"sofamesh.io/sofamesh/test/bench/procfs"
	"sofamesh.io/sofamesh/test/bench/rawsock"
)

const (
	maxErrors = 10_000      // after so many failures the run gives up: the peer is not there
	drainTime = time.Second // for the answers still under way when the window ends
	bufBytes  = 64 << 10
)

// generator is one running plan.
type generator struct {
	plan    Plan
	loop    *rawsock.Loop
	epoch   time.Time
	conns   []*conn
	waiting int // connections with an exchange under way, or connecting
	closing bool
	counted bool // within the window
	hist    hist.H
	faults  [faults]uint64
	pace    pace
	free    ring // open loop: idle connections, longest idle first
	err     error
}

// Run carries out p on loop and returns when its last answer is in. It must not be called from one of the loop's handlers.
func Run(loop *rawsock.Loop, p Plan) (Result, error) {
	shape, err := p.shape()
	if err != nil {
		return Result{}, err
	}
	g := &generator{plan: p, loop: loop, epoch: time.Now(), free: newRing(p.Conns)}
	defer g.shut()
	buf := make([]byte, bufBytes)
	for range p.Conns {
		c := &conn{loop: loop, owner: g, shape: shape, fd: -1, buf: buf}
		g.conns = append(g.conns, c)
		g.reopen(c)
	}
	g.pace = newPace(p.Rate, g.now())
	if err := g.until(g.now() + int64(p.Warm)); err != nil {
		return Result{}, err
	}
	return g.window()
}

// usage is what the kernel has accounted up to one moment.
type usage struct {
	plan, self procfs.CPU
	processor  procfs.Processors
}

func (g *generator) usage() (u usage, err error) {
	if u.plan, err = procfs.ReadCPU(g.plan.PIDs); err != nil {
		return u, err
	}
	if u.self, err = procfs.ReadCPU([]int{os.Getpid()}); err != nil {
		return u, err
	}
	u.processor, err = procfs.ReadProcessors(g.plan.Processor)
	return u, err
}

// window counts from here to the window's end, and lets the answers still under way come in.
func (g *generator) window() (Result, error) {
	before, err := g.usage()
	if err != nil {
		return Result{}, err
	}
	begin := g.now()
	g.counted = true
	if err := g.until(begin + int64(g.plan.Window)); err != nil {
		return Result{}, err
	}
	g.counted = false
	end := g.now()
	after, err := g.usage()
	if err != nil {
		return Result{}, err
	}
	r := Result{
		Requests: g.hist.Count(), Window: time.Duration(end - begin), Unsent: g.pace.due(end),
		CPU: after.plan.Sub(before.plan), Self: after.self.Sub(before.self), Busy: after.processor.Sub(before.processor).BusyShare(),
		P50: g.quantile(0.5), P99: g.quantile(0.99), P999: g.quantile(0.999),
	}
	g.drain()
	r.Connect, r.Cut, r.Malformed = g.faults[faultConnect], g.faults[faultCut], g.faults[faultMalformed]
	r.Status, r.Length = g.faults[faultStatus], g.faults[faultLength]
	return r, g.err
}

func (g *generator) quantile(q float64) time.Duration { return time.Duration(g.hist.Quantile(q)) }

// until turns the loop up to the moment end.
func (g *generator) until(end int64) error {
	for now := g.now(); now < end; now = g.now() {
		// An open loop spins: a timer of the system would add its own delay to every latency.
		millis := 0
		if g.plan.Rate == 0 {
			millis = int((end-now)/int64(time.Millisecond)) + 1
		}
		if err := g.loop.Turn(millis); err != nil {
			return err
		}
		g.sendDue()
		if g.err != nil {
			return g.err
		}
	}
	return nil
}

// drain lets the exchanges under way end, so that no proxy is left with an answer nobody takes.
func (g *generator) drain() {
	g.closing = true
	for end := g.now() + int64(drainTime); g.waiting > 0 && g.now() < end && g.err == nil; {
		if err := g.loop.Turn(10); err != nil {
			g.err = err
		}
	}
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

func (g *generator) now() int64 { return int64(time.Since(g.epoch)) }

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
	if g.counted {
		g.hist.Record(now - c.start)
	}
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
		g.faults[f]++
	}
	if total(g.faults) >= maxErrors {
		g.err = fmt.Errorf("gave up after %d failures (connect, cut, malformed, status, length: %v)", maxErrors, g.faults)
	} else if !g.closing {
		g.reopen(c)
	}
}

func total(counts [faults]uint64) uint64 {
	var sum uint64
	for _, n := range counts {
		sum += n
	}
	return sum
}
