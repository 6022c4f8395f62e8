package looptest

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
)

var here = eventloop.TCPAddr(netip.MustParseAddrPort("10.1.1.1:80"))

// echo answers with what it gets.
type echo struct{ eventloop.NopHandler }

func (echo) OnData(c *eventloop.Conn, in []byte) int {
	c.Out().Append(in)
	return len(in)
}

func (echo) OnEOF(c *eventloop.Conn) { c.CloseFlush(time.Second) }

type acceptFunc func(c *eventloop.Conn) eventloop.Handler

func (f acceptFunc) OnAccept(_ *eventloop.Listener, c *eventloop.Conn) eventloop.Handler { return f(c) }

func serve(tb testing.TB, e *Env, accept func(c *eventloop.Conn) eventloop.Handler) *eventloop.Listener {
	tb.Helper()
	ln, err := e.Loop.Serve(e.Listen(here), acceptFunc(accept))
	if err != nil {
		tb.Fatal(err)
	}
	return ln
}

func serveEcho(tb testing.TB, e *Env) {
	tb.Helper()
	serve(tb, e, func(*eventloop.Conn) eventloop.Handler { return echo{} })
}

func TestEcho(t *testing.T) {
	e := New(t)
	serveEcho(t, e)
	p := e.Client(here)
	if p.Accepted() {
		t.Fatal("accepted before a turn")
	}
	p.Send("hello")
	e.Settle()
	if got := p.Received(); got != "hello" {
		t.Fatalf("echo %q", got)
	}
	p.CloseWrite()
	e.Settle()
	if !p.Ended() || !p.Closed() || p.SawReset() || e.OpenFiles() != 1 {
		t.Fatalf("ended %v, closed %v, reset %v, %d files", p.Ended(), p.Closed(), p.SawReset(), e.OpenFiles())
	}
}

func TestWindowAndSegments(t *testing.T) {
	e := New(t)
	serveEcho(t, e)
	p := e.Client(here)
	p.Window(3)
	p.Segments(2, 1)
	p.Send("abcdefgh")
	e.Settle()
	if got := p.Received(); got != "abc" {
		t.Fatalf("through a window of 3 came %q", got)
	}
	p.Window(2)
	e.Settle()
	if got := p.Received(); got != "de" {
		t.Fatalf("then %q", got)
	}
	p.Window(-1)
	e.Settle()
	if got := p.Received(); got != "fgh" || p.Total() != 8 {
		t.Fatalf("then %q, total %d", got, p.Total())
	}
}

func TestUnreadInputResets(t *testing.T) {
	e := New(t)
	serve(t, e, func(c *eventloop.Conn) eventloop.Handler {
		c.ReadDisable(true)
		c.CloseFlush(0)
		return eventloop.NopHandler{}
	})
	p := e.Client(here)
	p.Send("never read")
	e.Settle()
	if !p.SawReset() {
		t.Fatal("closing with unread input was no reset")
	}
}

// dialSpy records the outcome of a dial.
type dialSpy struct {
	eventloop.NopHandler
	connected bool
	closed    bool
	err       error
	data      string
}

func (d *dialSpy) OnConnect(*eventloop.Conn) { d.connected = true }

func (d *dialSpy) OnData(_ *eventloop.Conn, in []byte) int {
	d.data += string(in)
	return len(in)
}

func (d *dialSpy) OnClose(_ *eventloop.Conn, err error) { d.closed, d.err = true, err }

func TestDialOutcomes(t *testing.T) {
	e := New(t)
	dial := func(o Outcome) *dialSpy {
		e.OnDial(here, o)
		d := new(dialSpy)
		e.Loop.Dial(here, &eventloop.DialConfig{Timeout: time.Second}, d)
		e.Settle()
		return d
	}
	kinds := map[Outcome]eventloop.Kind{
		Refuse: eventloop.KindRefused, Unreachable: eventloop.KindUnreachable, NoDescriptors: eventloop.KindNoDescriptors,
	}
	for o, kind := range kinds {
		if d := dial(o); d.connected || !d.closed || eventloop.KindOf(d.err) != kind {
			t.Errorf("outcome %d: %+v, want %v", o, d, kind)
		}
	}
	if d := dial(Accept); !d.connected || d.closed {
		t.Errorf("accepted: %+v", d)
	}
	p := e.Dialled(here)
	p.Send("banner")
	e.Settle()
	if e.Dialled(here) != nil {
		t.Error("a connection is returned twice")
	}

	slow := dial(Hold)
	e.Advance(999 * time.Millisecond)
	if slow.closed {
		t.Error("timed out too early")
	}
	e.Advance(2 * time.Millisecond)
	if !slow.closed || eventloop.KindOf(slow.err) != eventloop.KindTimeout {
		t.Errorf("not timed out: %+v", slow)
	}
	e.Dialled(here)

	held := dial(Hold)
	e.Dialled(here).Establish()
	e.Settle()
	if !held.connected {
		t.Error("an established connection is not reported")
	}
}

func TestFailAccept(t *testing.T) {
	e := New(t)
	ln := serve(t, e, func(*eventloop.Conn) eventloop.Handler { return echo{} })
	e.FailAccept(syscall.ECONNABORTED, syscall.EMFILE)
	p := e.Client(here)
	e.Settle()
	if p.Accepted() || ln.Stats() != (eventloop.ListenerStats{Errors: 1, Exhausted: 1}) {
		t.Fatalf("accepted %v, %+v", p.Accepted(), ln.Stats())
	}
	e.Advance(time.Second)
	if !p.Accepted() {
		t.Fatal("the listener never came back")
	}
}

func TestAdvanceStopsAtTimers(t *testing.T) {
	e := New(t)
	c := &chain{}
	c.timer.Init(e.Loop, c)
	c.timer.Arm(10 * time.Millisecond)
	e.Advance(105 * time.Millisecond)
	if c.fired != 10 || e.Now() != 105*time.Millisecond {
		t.Fatalf("fired %d times by %v, want 10", c.fired, e.Now())
	}
	if got := e.Loop.Wall(); !got.Equal(e.Wall()) {
		t.Fatalf("Wall = %v, want %v", got, e.Wall())
	}
}

// chain is a timer that arms itself again.
type chain struct {
	timer eventloop.Timer
	fired int
}

func (c *chain) OnTimer(*eventloop.Timer) {
	c.fired++
	c.timer.Arm(10 * time.Millisecond)
}

func TestJobs(t *testing.T) {
	e := New(t)
	e.HoldJobs(true)
	var order []string
	var failure error
	e.Loop.Async(eventloop.JobFunc(func(context.Context) error {
		order = append(order, "work")
		panic("boom")
	}, func(_ *eventloop.Loop, err error) {
		order = append(order, "done")
		failure = err
	}))
	e.Settle()
	if e.Jobs() != 1 || order != nil {
		t.Fatalf("a held job ran: %v", order)
	}
	e.HoldJobs(false)
	e.Settle()
	if strings.Join(order, " ") != "work done" || !errors.Is(failure, eventloop.ErrJobPanic) {
		t.Fatalf("order %v, error %v", order, failure)
	}
}

func TestLoopsPostToEachOther(t *testing.T) {
	e := NewLoops(t, 2)
	a, b := e.Group.Loop(0), e.Group.Loop(1)
	var ran *eventloop.Loop
	if !a.PostFromLoop(b, eventloop.TaskFunc(func(l *eventloop.Loop) { ran = l })) {
		t.Fatal("refused")
	}
	e.Settle()
	if ran != b {
		t.Fatal("the task did not run on the second loop")
	}
	if _, err := b.Serve(e.NetOf(1).Listen(here), acceptFunc(func(*eventloop.Conn) eventloop.Handler { return echo{} })); err != nil {
		t.Fatal(err)
	}
	p := e.NetOf(1).Client(here)
	p.Send("x")
	e.Settle()
	if p.Received() != "x" {
		t.Fatal("the second loop does not serve")
	}
}

// TestRequestDoesNotAllocate covers a request from the poller to its answer.
func TestRequestDoesNotAllocate(t *testing.T) {
	e := New(t)
	serveEcho(t, e)
	p := e.Client(here)
	request := make([]byte, 300)
	cycle := func() {
		p.SendBytes(request)
		for e.Turn() {
		}
		if len(p.Take()) != len(request) {
			t.Fatal("no answer")
		}
	}
	cycle()
	before := e.Calls()
	cycle()
	after := e.Calls()
	if r, w := after.Reads-before.Reads, after.Writes-before.Writes; r != 1 || w != 1 {
		t.Errorf("a request costs %d reads and %d writes", r, w)
	}
	if n := testing.AllocsPerRun(200, cycle); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}

// BenchmarkEcho is the user-space cost of one request and its answer.
func BenchmarkEcho(b *testing.B) {
	e := New(b)
	serveEcho(b, e)
	p := e.Client(here)
	request := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		p.SendBytes(request)
		e.Turn()
		p.Take()
	}
}

// BenchmarkEcho64 is BenchmarkEcho with 64 ready connections a turn.
func BenchmarkEcho64(b *testing.B) {
	e := New(b)
	serveEcho(b, e)
	peers := make([]*Peer, 64)
	for i := range peers {
		peers[i] = e.Client(here)
	}
	request := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range peers {
			p.SendBytes(request)
		}
		e.Turn()
		for _, p := range peers {
			p.Take()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/request")
}
