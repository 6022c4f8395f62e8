package eventloop_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	. "sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

// OnClose comes in the turn of the closing, and closings made by it as well.
func TestClosingsSettleInTheTurn(t *testing.T) {
	e := looptest.New(t)
	var conns []*Conn
	closed := 0
	listen(t, e, func(c *Conn) Handler {
		conns = append(conns, c)
		return &closer{onClose: func() {
			closed++
			if closed < len(conns) {
				conns[closed].Close()
			}
		}}
	})
	for range 4 {
		e.Client(addr)
	}
	e.Settle()
	e.Loop.TryPost(TaskFunc(func(*Loop) { conns[0].Close() }))
	e.Turn()
	if closed != 4 {
		t.Fatalf("%d of a chain of 4 were closed in the turn", closed)
	}
}

type closer struct {
	NopHandler
	onClose func()
}

func (c *closer) OnClose(*Conn, error) { c.onClose() }

func TestConnectTimeout(t *testing.T) {
	e := looptest.New(t)
	e.OnDial(addr, looptest.Hold)
	s := &sink{}
	e.Loop.Dial(addr, &DialConfig{Timeout: 250 * time.Millisecond}, s).Out().AppendString("waits")
	e.Advance(249 * time.Millisecond)
	if s.closed {
		t.Fatal("too early")
	}
	e.Advance(2 * time.Millisecond)
	if !s.closed || KindOf(s.err) != KindTimeout || e.OpenFiles() != 0 {
		t.Fatalf("closed %v, %v, %d descriptors", s.closed, s.err, e.OpenFiles())
	}
}

func TestCloseFlushBeforeConnected(t *testing.T) {
	e := looptest.New(t)
	e.OnDial(addr, looptest.Hold)
	s := &sink{}
	c := e.Loop.Dial(addr, nil, s)
	c.Out().AppendString("fire and forget")
	c.CloseFlush(time.Second)
	e.Settle()
	p := e.Dialled(addr)
	if s.closed {
		t.Fatal("closed before it was written")
	}
	p.Establish()
	e.Settle()
	if p.Received() != "fire and forget" || !p.Closed() || !s.closed || s.err != nil {
		t.Fatalf("closed %v, err %v", s.closed, s.err)
	}
}

func TestDelayedCloseEndsWithThePeer(t *testing.T) {
	e := looptest.New(t)
	s := &sink{}
	listen(t, e, func(c *Conn) Handler {
		c.Out().AppendString("bye")
		c.CloseDelayed(time.Second, 0)
		return s
	})
	p := e.Client(addr)
	p.Send(strings.Repeat("z", 200_000))
	e.Settle()
	if !p.Ended() || p.Closed() || p.Unread() != 0 {
		t.Fatalf("ended %v, closed %v, unread %d", p.Ended(), p.Closed(), p.Unread())
	}
	p.CloseWrite()
	e.Settle()
	if !s.closed || s.got != 0 || p.SawReset() {
		t.Fatalf("closed %v, presented %d, reset %v", s.closed, s.got, p.SawReset())
	}
}

// OnDrained comes at the low watermark, once, and a full socket is not tried
// again before it has room.
func TestWatermarks(t *testing.T) {
	e := looptest.New(t)
	h := &drainCounter{}
	var conn *Conn
	listen(t, e, func(c *Conn) Handler {
		conn = c
		c.SetWatermarks(100, 50)
		c.Out().AppendString(strings.Repeat("w", 100))
		if c.AboveHigh() {
			t.Error("above high at the watermark")
		}
		c.Out().AppendString("w")
		if !c.AboveHigh() {
			t.Error("not above high beyond the watermark")
		}
		return h
	})
	p := e.Client(addr)
	p.Window(0)
	e.Settle()
	before := e.Calls().Writes
	for _, step := range []struct{ window, queued, drains int }{{30, 71, 0}, {20, 51, 0}, {1, 50, 1}, {10, 40, 1}, {-1, 0, 1}} {
		p.Window(step.window)
		e.Settle()
		if conn.Queued() != step.queued || h.drains != step.drains {
			t.Errorf("after a window of %d: %d queued, %d OnDrained", step.window, conn.Queued(), h.drains)
		}
	}
	if n := e.Calls().Writes - before; n != 5 {
		t.Errorf("%d write calls for 5 windows", n)
	}
	conn.SetWatermarks(0, 0)
	conn.Out().AppendString(strings.Repeat("w", 1<<20))
	if conn.AboveHigh() {
		t.Error("above a watermark that is not set")
	}
}

type drainCounter struct {
	NopHandler
	drains int
}

func (d *drainCounter) OnDrained(*Conn) { d.drains++ }

// What came while reading was disabled is dropped by a delayed close, too.
func TestDelayedCloseDropsWhatCameBefore(t *testing.T) {
	e := looptest.New(t)
	var conn *Conn
	listen(t, e, func(c *Conn) Handler {
		conn = c
		c.ReadDisable(true)
		return &sink{}
	})
	p := e.Client(addr)
	p.Send(strings.Repeat("z", 1000))
	e.Settle()
	if p.Unread() != 1000 {
		t.Fatal("read while disabled")
	}
	conn.CloseDelayed(time.Second, 0)
	e.Settle()
	if p.Unread() != 0 || !p.Ended() {
		t.Fatalf("%d bytes are left unread", p.Unread())
	}
}

func TestReadDisableIsBalanced(t *testing.T) {
	e := looptest.New(t)
	e.OnDial(addr, looptest.Accept)
	c := e.Loop.Dial(addr, nil, &sink{})
	defer func() {
		if recover() == nil {
			t.Error("ReadDisable(false) without ReadDisable(true) is not noticed")
		}
	}()
	c.ReadDisable(false)
}

// Progress in writing starts the timeout of a close anew.
func TestCloseFlushIsPatientWithASlowReader(t *testing.T) {
	e := looptest.New(t)
	s := &sink{}
	listen(t, e, func(c *Conn) Handler {
		c.Out().AppendString(strings.Repeat("z", 1000))
		c.CloseFlush(time.Second)
		return s
	})
	p := e.Client(addr)
	p.Window(100)
	for range 8 {
		e.Advance(900 * time.Millisecond)
		p.Window(100)
	}
	e.Settle()
	if s.closed || p.Total() != 900 {
		t.Fatalf("closed %v after %d bytes", s.closed, p.Total())
	}
	e.Advance(1100 * time.Millisecond)
	if !s.closed || KindOf(s.err) != KindTimeout {
		t.Fatalf("closed %v, %v, although nothing moves", s.closed, s.err)
	}
}

// An answer that came before the reset is delivered although writing failed.
func TestAnswerBeforeReset(t *testing.T) {
	e := looptest.New(t)
	e.OnDial(addr, looptest.Accept)
	s := &sink{}
	c := e.Loop.Dial(addr, nil, s)
	e.Settle()
	p := e.Dialled(addr)
	e.Loop.TryPost(TaskFunc(func(*Loop) {
		// Behind the events of this turn, before its writes.
		p.Send("early answer")
		p.Reset()
		c.Out().AppendString("the rest of the request")
	}))
	e.Settle()
	if s.got != 12 || !s.closed || KindOf(s.err) != KindReset {
		t.Fatalf("%d bytes, closed %v, %v", s.got, s.closed, s.err)
	}
}

// Resume inside OnData is a request for later, not for a loop without end.
func TestResumeInsideOnData(t *testing.T) {
	e := looptest.New(t)
	calls := 0
	h := &handler{onData: func(c *Conn, in []byte) int {
		calls++
		if calls < 5 {
			c.Resume()
			return 0
		}
		return len(in)
	}}
	listen(t, e, func(*Conn) Handler { return h })
	p := e.Client(addr)
	p.Send("x")
	e.Settle()
	if calls != 5 {
		t.Fatalf("presented %d times", calls)
	}
}

type handler struct {
	NopHandler
	onData func(c *Conn, in []byte) int
}

func (h *handler) OnData(c *Conn, in []byte) int { return h.onData(c, in) }

// ReadDisable toggled inside OnData presents the rest once more, soon.
func TestReadDisableToggledInsideOnData(t *testing.T) {
	e := looptest.New(t)
	var seen []string
	h := &handler{onData: func(c *Conn, in []byte) int {
		seen = append(seen, string(in))
		if len(seen) == 1 {
			c.ReadDisable(true)
			c.ReadDisable(false)
		}
		return 1
	}}
	listen(t, e, func(*Conn) Handler { return h })
	p := e.Client(addr)
	p.Send("ab")
	e.Settle()
	if strings.Join(seen, " ") != "ab b" {
		t.Fatalf("presented %q", seen)
	}
}

// Every split of a stream shows the handler the same bytes.
func TestSplits(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 40)
	for size := 1; size < 40; size++ {
		e := looptest.New(t)
		var got strings.Builder
		h := &handler{onData: func(_ *Conn, in []byte) int {
			n := len(in) / 16 * 16 // whole lines only
			got.Write(in[:n])
			return n
		}}
		listen(t, e, func(*Conn) Handler { return h })
		p := e.Client(addr)
		p.Segments(size, 0)
		p.Send(text)
		e.Settle()
		if got.String() != text {
			t.Fatalf("in reads of %d bytes the stream differs", size)
		}
	}
}

// An idle connection holds no buffer, neither to read nor to write.
func TestIdleConnectionHoldsNoBuffer(t *testing.T) {
	e := looptest.New(t)
	listen(t, e, func(*Conn) Handler {
		return &handler{onData: func(c *Conn, in []byte) int {
			if in[len(in)-1] != '\n' {
				return 0
			}
			c.Out().Append(in)
			return len(in)
		}}
	})
	p := e.Client(addr)
	p.Window(5)
	p.Send("hello ")
	e.Settle()
	p.Send("world\n")
	e.Settle()
	if e.Loop.Buffers().InUse() != 1 {
		t.Fatalf("%d chunks wait", e.Loop.Buffers().InUse())
	}
	p.Window(-1)
	e.Settle()
	if e.Loop.Buffers().InUse() != 0 || p.Received() != "hello world\n" {
		t.Fatalf("an idle connection holds %d chunks", e.Loop.Buffers().InUse())
	}
}

// A listener whose accept fails for good rests instead of spinning.
func TestAcceptErrors(t *testing.T) {
	e := looptest.New(t)
	ln := listen(t, e, func(*Conn) Handler { return &sink{} })
	e.FailAccept(syscall.EINVAL, syscall.ENFILE, syscall.EPERM, syscall.EINTR)
	p := e.Client(addr)
	for range 3 {
		e.Settle()
		e.Advance(100 * time.Millisecond)
	}
	if !p.Accepted() || ln.Stats() != (ListenerStats{Accepted: 1, Errors: 2, Exhausted: 1}) {
		t.Fatalf("accepted %v, %+v", p.Accepted(), ln.Stats())
	}
}
