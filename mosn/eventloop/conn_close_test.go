package eventloop

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestCloseDelayed: an error reply reaches a client that is still sending, which
// an immediate close would turn into a reset.
func TestCloseDelayed(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		h.onData = func(c *Conn, in []byte) int {
			h.data = append(h.data, in...)
			c.Out().AppendString("413 too much")
			c.CloseDelayed(patience, 0)
			return len(in)
		}
		ln := r.serve(ListenConfig{}, func(*Conn) Handler { return h })
		c := r.connect(ln.Addr())
		mustWrite(t, c, []byte("begin"))
		if got := mustRead(t, c, 12); string(got) != "413 too much" {
			t.Fatalf("read %q", got)
		}
		mustWrite(t, c, pattern(1_000_000)) // is dropped
		wantEOF(t, c)
		_ = c.Close()
		h.wait(t)
		if h.err != nil || string(h.data) != "begin" {
			t.Fatalf("err %v, data %q", h.err, h.data)
		}
	})
}

// TestCloseDelayedLimit: who goes on sending without end is cut off.
func TestCloseDelayedLimit(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			c.CloseDelayed(time.Hour, 1<<16)
			return h
		})
		c := r.connect(ln.Addr())
		for range 100 {
			if _, err := c.Write(pattern(1 << 16)); err != nil {
				break
			}
		}
		h.wait(t)
	})
}

func TestCloseDelayedEndsByTimeout(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			c.CloseDelayed(5*time.Millisecond, 0)
			return h
		})
		c := r.connect(ln.Addr()) // never closes
		h.wait(t)
		wantEOF(t, c)
	})
}

// TestCloseFlush: everything queued arrives, however slow the reader.
func TestCloseFlush(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		want := pattern(8 << 20)
		h := newSpy()
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			c.Out().Append(want)
			c.CloseFlush(patience)
			if !c.Closed() {
				t.Error("not Closed after CloseFlush")
			}
			return h
		})
		c := r.connect(ln.Addr())
		if got := mustRead(t, c, len(want)); !bytes.Equal(got, want) {
			t.Fatal("the stream differs")
		}
		wantEOF(t, c)
		h.wait(t)
	})
}

func TestCloseFlushEndsByTimeout(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			c.Out().Append(make([]byte, 32<<20)) // more than the sockets hold
			c.CloseFlush(5 * time.Millisecond)
			return h
		})
		r.connect(ln.Addr()) // never reads
		h.wait(t)
		if KindOf(h.err) != KindTimeout {
			t.Fatalf("err %v", h.err)
		}
	})
}

// TestEarlyAnswer: a server answers and closes without reading the request to
// its end. Writing fails, yet the answer is delivered.
func TestEarlyAnswer(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		to := r.listenStd(func(c *net.TCPConn) {
			_, _ = io.ReadFull(c, make([]byte, 10))
			_, _ = io.WriteString(c, "early answer")
			// Closing with unread input resets the connection.
		})
		h := newSpy()
		h.onConnect = func(c *Conn) { c.Out().Append(make([]byte, 32<<20)) }
		r.on(func(l *Loop) { l.Dial(to, nil, h) })
		h.wait(t)
		if KindOf(h.err) != KindReset {
			t.Fatalf("ended with %s", describe(h.err))
		}
		t.Logf("%d bytes of the answer arrived", len(h.data)) // the system may drop them with the reset
	})
}

func TestMethodsAfterTheEndDoNothing(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		h.onClose = func(c *Conn) {
			c.Out().AppendString("nobody reads this")
			c.ReadDisable(true)
			c.ReadDisable(false)
			c.Resume()
			c.NotifyFlushed()
			c.CloseWrite()
			c.CloseFlush(time.Second)
			c.CloseDelayed(time.Second, 0)
			c.Reset()
			c.Close()
			if c.FD() != -1 || !c.Closed() || c.Established() {
				t.Errorf("FD %d, Closed %v", c.FD(), c.Closed())
			}
		}
		h.onData = func(c *Conn, in []byte) int {
			c.Close()
			c.Close()
			if h.closes != 0 {
				t.Error("OnClose inside Close")
			}
			return 0
		}
		ln := r.serve(ListenConfig{}, func(*Conn) Handler { return h })
		c := r.connect(ln.Addr())
		mustWrite(t, c, []byte("x"))
		h.wait(t)
		r.on(func(l *Loop) {
			if h.closes != 1 || h.drains != 0 || h.eofs != 0 || l.Buffers().InUse() != 0 {
				t.Errorf("%d closes, %d drains, %d EOFs, %d chunks", h.closes, h.drains, h.eofs, l.Buffers().InUse())
			}
		})
	})
}

func TestIDsAreUnique(t *testing.T) {
	r := newRig(t, Config{Loops: 3})
	seen := map[uint64]bool{}
	for i := range 3 {
		if err := r.Loop(i).Call(func(l *Loop) {
			for range 5 {
				c := l.Dial(UnixAddr("/nonexistent/socket"), nil, NopHandler{})
				if seen[c.ID()] {
					t.Errorf("connection id %d comes twice", c.ID())
				}
				seen[c.ID()] = true
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestManyConnections opens and drops thousands, half of them by reset, and
// expects every descriptor and buffer back.
func TestManyConnections(t *testing.T) {
	r := newRig(t, Config{})
	before := openFiles(t)
	ln := r.serve(ListenConfig{}, func(*Conn) Handler { return echo{} })
	const n = 2000
	for range 2 {
		conns := make([]net.Conn, n)
		for i := range conns {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			conns[i] = c
			mustWrite(t, c, []byte("hello"))
		}
		r.eventually("all are open", func(l *Loop) bool { return l.Connections() == n })
		for i, c := range conns {
			mustRead(t, c, 5)
			if i%2 == 0 {
				_ = c.(*net.TCPConn).SetLinger(0)
			}
			_ = c.Close()
		}
		r.eventually("all are gone", func(l *Loop) bool { return l.Connections() == 0 })
	}
	r.on(func(*Loop) { ln.Close() })
	if after := openFiles(t); after > before+4 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip("descriptors cannot be counted here: ", err)
	}
	return len(entries)
}
