package eventloop

import (
	"bytes"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// TestHalfClose: the peer's FIN comes after its data, our answer still passes.
func TestHalfClose(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		h.onEOF = func(c *Conn) {
			c.Out().Append(h.data)
			c.CloseFlush(patience)
		}
		ln := r.serve(ListenConfig{}, func(*Conn) Handler { return h })
		c := r.connect(ln.Addr())
		want := pattern(300_000)
		mustWrite(t, c, want)
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := mustRead(t, c, len(want)); !bytes.Equal(got, want) {
			t.Fatal("the answer differs")
		}
		wantEOF(t, c)
		h.wait(t)
		if h.eofs != 1 || h.err != nil {
			t.Fatalf("%d EOFs, err %v", h.eofs, h.err)
		}
	})
}

func TestCloseWrite(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			c.Out().AppendString("bye")
			c.CloseWrite()
			h.onEOF = func(c *Conn) { c.Close() }
			return h
		})
		c := r.connect(ln.Addr())
		if got := mustRead(t, c, 3); string(got) != "bye" {
			t.Fatalf("read %q", got)
		}
		wantEOF(t, c)
		mustWrite(t, c, []byte("still heard"))
		_ = c.Close()
		h.wait(t)
		if string(h.data) != "still heard" {
			t.Fatalf("after our half close came %q", h.data)
		}
	})
}

func TestPeerReset(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		for _, reading := range []bool{true, false} {
			h := newSpy()
			ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
				if !reading {
					c.ReadDisable(true)
				}
				return h
			})
			c := r.connect(ln.Addr())
			r.eventually("accepted", func(*Loop) bool { return ln.Stats().Accepted == 1 })
			if err := c.(*net.TCPConn).SetLinger(0); err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
			h.wait(t)
			if KindOf(h.err) != KindReset || h.closes != 1 {
				t.Fatalf("reading %v: %s, %d closes", reading, describe(h.err), h.closes)
			}
		}
	})
}

func TestReset(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		h.onData = func(c *Conn, in []byte) int {
			c.Reset()
			return 0
		}
		ln := r.serve(ListenConfig{}, func(*Conn) Handler { return h })
		c := r.connect(ln.Addr())
		mustWrite(t, c, []byte("x"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("the client read %v", err)
		}
		h.wait(t)
		if h.err != nil {
			t.Fatalf("a local reset ended with %v", h.err)
		}
	})
}

// TestWriteQueue: a peer that does not read fills the queue above the high
// watermark; when it reads, OnDrained comes once and everything arrives.
func TestWriteQueue(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		const total = 16 << 20
		want := pattern(total)
		h := newSpy()
		var conn *Conn
		sent, mostQueued := 0, 0
		fill := func(c *Conn) {
			for !c.AboveHigh() && sent < total {
				n := min(100_000, total-sent)
				c.Out().Append(want[sent : sent+n])
				sent += n
			}
			mostQueued = max(mostQueued, c.Queued())
		}
		h.onDrained = fill
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			conn = c
			c.SetWatermarks(1<<20, 1<<19)
			fill(c)
			return h
		})
		c := r.connect(ln.Addr())
		r.eventually("the queue is full", func(*Loop) bool { return conn != nil && conn.Queued() > 1<<19 && conn.BytesOut() > 0 })
		got := mustRead(t, c, total)
		if !bytes.Equal(got, want) {
			t.Fatal("the stream differs")
		}
		r.on(func(*Loop) {
			if conn.BytesOut() != total || conn.Queued() != 0 {
				t.Errorf("BytesOut %d, queued %d", conn.BytesOut(), conn.Queued())
			}
			if h.drains == 0 || mostQueued > 1<<20+100_000 {
				t.Errorf("%d OnDrained, at most %d queued", h.drains, mostQueued)
			}
		})
	})
}

func TestNotifyFlushed(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		h.onDrained = func(c *Conn) {
			if c.Queued() != 0 || c.BytesOut() != 7 {
				t.Errorf("queued %d, out %d", c.Queued(), c.BytesOut())
			}
		}
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			c.Out().AppendString("one-way")
			c.NotifyFlushed()
			return h
		})
		c := r.connect(ln.Addr())
		mustRead(t, c, 7)
		r.eventually("flushed", func(*Loop) bool { return h.drains == 1 })
	})
}

// TestReadDisable: while disabled nothing is presented and the loop does not
// spin; afterwards all of it is.
func TestReadDisable(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		var conn *Conn
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			conn = c
			c.ReadDisable(true)
			c.ReadDisable(true)
			return h
		})
		c := r.connect(ln.Addr())
		mustWrite(t, c, []byte("hello"))
		r.eventually("accepted", func(*Loop) bool { return conn != nil })
		r.on(func(*Loop) { conn.ReadDisable(false) })
		r.wantQuiet()
		r.on(func(*Loop) {
			if len(h.data) != 0 || !conn.ReadDisabled() {
				t.Error("read while disabled")
			}
			conn.ReadDisable(false)
		})
		r.eventually("read", func(*Loop) bool { return string(h.data) == "hello" })
	})
}

// wantQuiet fails when the loop spins: a loop with nothing to do makes hardly
// any turn, one that spins thousands.
func (r *rig) wantQuiet() {
	r.t.Helper()
	before := r.Loop(0).Stats().Turns
	time.Sleep(30 * time.Millisecond)
	if n := r.Loop(0).Stats().Turns - before; n > 100 {
		r.t.Errorf("%d turns while there is nothing to do", n)
	}
}

// TestEarlyClose: a client that leaves while its request is in flight is
// noticed although nothing is read from it.
func TestEarlyClose(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		h.onData = func(c *Conn, in []byte) int {
			c.ReadDisable(true)
			return len(in)
		}
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			c.DetectEarlyClose(true)
			return h
		})
		c := r.connect(ln.Addr())
		mustWrite(t, c, []byte("request"))
		_ = c.Close()
		h.wait(t)
		if !errors.Is(h.err, ErrPeerClosed) || h.eofs != 0 {
			t.Fatalf("%s, %d EOFs", describe(h.err), h.eofs)
		}
	})
}

// TestHalfCloseWhileDisabled: without DetectEarlyClose a FIN waits its turn.
func TestHalfCloseWhileDisabled(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		var conn *Conn
		h.onData = func(c *Conn, in []byte) int {
			h.data = append(h.data, in...)
			c.ReadDisable(true)
			return len(in)
		}
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			conn = c
			return h
		})
		c := r.connect(ln.Addr())
		mustWrite(t, c, []byte("request"))
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r.eventually("read", func(*Loop) bool { return len(h.data) == 7 })
		r.wantQuiet()
		r.on(func(*Loop) {
			if h.eofs != 0 {
				t.Error("EOF while disabled")
			}
			conn.ReadDisable(false)
		})
		r.eventually("EOF", func(*Loop) bool { return h.eofs == 1 })
	})
}

// TestReadLimit: a handler that consumes nothing stops the reading at the
// limit, without spinning, and Resume goes on.
func TestReadLimit(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		seen, take := 0, false
		h.onData = func(c *Conn, in []byte) int {
			seen = len(in)
			if !take {
				return 0
			}
			h.data = append(h.data, in...)
			return len(in)
		}
		var conn *Conn
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			conn = c
			c.SetReadLimit(100_000)
			return h
		})
		c := r.connect(ln.Addr())
		want := pattern(3_000_000)
		go func() { _, _ = c.Write(want) }()
		r.eventually("the limit is reached", func(*Loop) bool { return seen == 100_000 })
		r.wantQuiet()
		r.on(func(*Loop) {
			if seen != 100_000 {
				t.Errorf("%d bytes are kept with a limit of 100000", seen)
			}
			take = true
			conn.Resume()
		})
		r.eventually("all arrived", func(*Loop) bool { return len(h.data) == len(want) })
		if !bytes.Equal(h.data, want) {
			t.Fatal("the stream differs")
		}
	})
}

// framer consumes frames of a length byte and so many bytes, and checks that
// what it is shown begins where it left off.
type framer struct {
	NopHandler
	frames int
	bytes  []byte
}

func (f *framer) OnData(_ *Conn, in []byte) int {
	used := 0
	for used < len(in) {
		n := 1 + int(in[used])
		if len(in)-used < n {
			break
		}
		f.bytes = append(f.bytes, in[used:used+n]...)
		f.frames++
		used += n
	}
	return used
}

func TestLeftoversArePresentedAgain(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		f := &framer{}
		ln := r.serve(ListenConfig{}, func(*Conn) Handler { return f })
		c := r.connect(ln.Addr())
		var want []byte
		frames := 0
		for n := range 256 {
			want = append(append(want, byte(n)), pattern(n)...)
			frames++
		}
		for at := 0; at < len(want); {
			n := min(1+at%700, len(want)-at)
			mustWrite(t, c, want[at:at+n])
			at += n
		}
		r.eventually("all frames came", func(*Loop) bool { return f.frames == frames })
		if !bytes.Equal(f.bytes, want) {
			t.Fatal("the frames differ")
		}
	})
}

// TestSetHandler: what the first owner leaves goes to the second at once.
func TestSetHandler(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		second := newSpy()
		first := newSpy()
		first.onData = func(c *Conn, in []byte) int {
			c.SetHandler(second)
			return len("sniffed ")
		}
		ln := r.serve(ListenConfig{}, func(*Conn) Handler { return first })
		c := r.connect(ln.Addr())
		mustWrite(t, c, []byte("sniffed hello"))
		r.eventually("handed over", func(*Loop) bool { return string(second.data) == "hello" })
		_ = c.Close()
		r.eventually("EOF goes to the second", func(*Loop) bool { return second.eofs == 1 && first.eofs == 0 })
	})
}
