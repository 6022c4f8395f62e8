package eventloop_test

import (
	"net/netip"
	"strings"
	"testing"

	. "sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

// These tests need a kernel that does exactly what it is told, turn by turn.

var addr = TCPAddr(netip.MustParseAddrPort("10.0.0.9:80"))

// sink consumes everything and counts.
type sink struct {
	NopHandler
	got       int
	connected bool
	closed    bool
	err       error
	onData    func(c *Conn, in []byte)
}

func (s *sink) OnConnect(*Conn) { s.connected = true }

func (s *sink) OnData(c *Conn, in []byte) int {
	s.got += len(in)
	if s.onData != nil {
		s.onData(c, in)
	}
	return len(in)
}

func (s *sink) OnEOF(c *Conn) { c.Close() }

func (s *sink) OnClose(_ *Conn, err error) { s.closed, s.err = true, err }

type accepting func(c *Conn) Handler

func (f accepting) OnAccept(_ *Listener, c *Conn) Handler { return f(c) }

func listen(t *testing.T, e *looptest.Env, f accepting) *Listener {
	t.Helper()
	ln, err := e.Loop.Serve(e.Listen(addr), f)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// Rule R3: one connection gets 64 kB of a turn, so that its neighbours wait for
// no more than that.
func TestTurnIsBoundedPerConnection(t *testing.T) {
	e := looptest.New(t)
	var sinks []*sink
	listen(t, e, func(*Conn) Handler {
		sinks = append(sinks, &sink{})
		return sinks[len(sinks)-1]
	})
	big, small := e.Client(addr), e.Client(addr)
	e.Settle()
	big.SendBytes(make([]byte, 1<<20))
	small.Send("x")
	e.Turn()
	if sinks[1].got != 1 {
		t.Fatal("the neighbour was not served in the same turn")
	}
	// One budget by the event, one from the ready list.
	if sinks[0].got > 128<<10 {
		t.Fatalf("%d bytes were read in one turn", sinks[0].got)
	}
	turns := 1
	for ; sinks[0].got < 1<<20; turns++ {
		small.Send("x")
		before := sinks[1].got
		e.Turn()
		if sinks[1].got != before+1 {
			t.Fatal("the neighbour has to wait")
		}
		if turns > 100 {
			t.Fatal("the rest is not read")
		}
	}
	if turns < 8 {
		t.Fatalf("1 MB in %d turns", turns)
	}
}

// Rule R3: a turn takes 256 events, the mailbox and the timers get their turn
// all the same.
func TestTurnIsBoundedInEvents(t *testing.T) {
	e := looptest.New(t)
	served := 0
	listen(t, e, func(*Conn) Handler {
		return &sink{onData: func(*Conn, []byte) { served++ }}
	})
	peers := make([]*looptest.Peer, 1000)
	for i := range peers {
		peers[i] = e.Client(addr)
	}
	e.Settle()
	for _, p := range peers {
		p.Send("x")
	}
	ran := false
	e.Loop.TryPost(TaskFunc(func(*Loop) { ran = true }))
	e.Turn()
	if served != 256 || !ran {
		t.Fatalf("%d events in a turn, task ran: %v", served, ran)
	}
	e.Settle()
	if served != 1000 {
		t.Fatalf("%d served in all", served)
	}
}

// Rule R3: accepting is bounded, too.
func TestTurnIsBoundedInAccepts(t *testing.T) {
	e := looptest.New(t)
	ln := listen(t, e, func(*Conn) Handler { return &sink{} })
	for range 500 {
		e.Client(addr)
	}
	e.Turn()
	if n := ln.Stats().Accepted; n > 128 {
		t.Fatalf("%d accepted in a turn", n)
	}
	e.Settle()
	if n := ln.Stats().Accepted; n != 500 {
		t.Fatalf("%d accepted in all", n)
	}
}

// Rule R3: tasks that post tasks do not keep the loop from its connections.
func TestTasksDoNotStarveConnections(t *testing.T) {
	e := looptest.New(t)
	s := &sink{}
	listen(t, e, func(*Conn) Handler { return s })
	p := e.Client(addr)
	e.Settle()
	stop := false
	var again TaskFunc
	again = func(l *Loop) {
		if !stop {
			l.PostFromLoop(l, again)
		}
	}
	e.Loop.TryPost(again)
	p.Send("x")
	e.Turn()
	e.Turn()
	stop = true
	if s.got != 1 {
		t.Fatal("a task that posts itself starves the connections")
	}
}

// A drain that refills the queue at once must not hold the turn.
func TestWritingDoesNotHoldTheTurn(t *testing.T) {
	e := looptest.New(t)
	h := &refill{}
	listen(t, e, func(c *Conn) Handler {
		c.Out().AppendString("x")
		c.NotifyFlushed()
		return h
	})
	p := e.Client(addr)
	p.Discard()
	for range 10 {
		before := h.drains
		e.Turn()
		if n := h.drains - before; n > 10 {
			t.Fatalf("%d drains in a turn", n)
		}
	}
	if h.drains < 10 {
		t.Fatalf("only %d drains", h.drains)
	}
	p.Reset()
	e.Settle()
}

type refill struct {
	NopHandler
	drains int
}

func (r *refill) OnDrained(c *Conn) {
	r.drains++
	c.Out().AppendString("x")
	c.NotifyFlushed()
}

// All writes of a turn leave in one call, those of several turns' sources too.
func TestWritesAreGathered(t *testing.T) {
	e := looptest.New(t)
	var target *Conn
	listen(t, e, func(c *Conn) Handler {
		if target == nil {
			target = c
			return &sink{}
		}
		return &sink{onData: func(_ *Conn, in []byte) { target.Out().Append(in) }}
	})
	p := e.Client(addr)
	sources := make([]*looptest.Peer, 20)
	for i := range sources {
		sources[i] = e.Client(addr)
	}
	e.Settle()
	for _, s := range sources {
		s.Send(strings.Repeat("y", 3000))
	}
	before := e.Calls().Writes
	e.Settle()
	if n := e.Calls().Writes - before; n != 1 || len(p.Received()) != 60_000 {
		t.Fatalf("%d write calls", n)
	}
}

// An event for a connection that was closed earlier in the same batch must not
// reach the connection that has taken over its descriptor and its slot.
func TestStaleEvents(t *testing.T) {
	e := looptest.New(t)
	var conns []*Conn
	var sinks []*sink
	listen(t, e, func(c *Conn) Handler {
		s := &sink{}
		conns, sinks = append(conns, c), append(sinks, s)
		return s
	})
	a, b := e.Client(addr), e.Client(addr)
	e.Settle()
	var fresh *sink
	fd := conns[1].FD()
	sinks[0].onData = func(*Conn, []byte) {
		conns[1].Close()
		e.OnDial(addr, looptest.Hold)
		fresh = &sink{}
		if c := e.Loop.Dial(addr, nil, fresh); c.FD() != fd {
			t.Fatalf("the descriptor was not reused: %d, %d", c.FD(), fd)
		}
	}
	a.Send("close the other")
	b.Send("too late")
	b.Window(-1)
	b.Reset() // an event with every flag, meant for what is closed by then
	e.Settle()
	if sinks[1].got != 0 || !sinks[1].closed {
		t.Error("a closed connection was presented data")
	}
	if fresh.connected || fresh.closed {
		t.Error("the event of the closed connection reached the new one")
	}
}
