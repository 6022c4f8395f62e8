package eventloop

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kernels are the pollers that all tests of behaviour run over.
func kernels() map[string]func() (Kernel, error) {
	k := map[string]func() (Kernel, error){"poll": NewPoll}
	if runtime.GOOS == "linux" {
		k["epoll"] = NewKernel
	}
	return k
}

func overKernels(t *testing.T, test func(t *testing.T, r *rig)) {
	for name, newKernel := range kernels() {
		t.Run(name, func(t *testing.T) { test(t, newRig(t, Config{NewKernel: newKernel})) })
	}
}

// patience bounds the waits of tests; reaching it is a failure.
const patience = 10 * time.Second

// rig is a running group with one or more loops and what tests need around it.
type rig struct {
	t *testing.T
	*Group
	mu   sync.Mutex
	logs []string
}

func newRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t}
	cfg.Log = func(_ Level, msg string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.logs = append(r.logs, msg)
	}
	g, err := NewGroup(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Group = g
	g.Start()
	t.Cleanup(func() {
		g.Stop()
		for i := range g.Len() {
			if n := g.Loop(i).Connections(); n != 0 {
				t.Errorf("loop %d has %d connections after Stop", i, n)
			}
			if n := g.Loop(i).Buffers().InUse(); n != 0 {
				t.Errorf("loop %d has %d chunks in use after Stop", i, n)
			}
		}
	})
	return r
}

// on runs fn on the first loop and waits for it.
func (r *rig) on(fn func(l *Loop)) {
	r.t.Helper()
	if err := r.Loop(0).Call(fn); err != nil {
		r.t.Fatal(err)
	}
}

// eventually waits until cond, evaluated on the loop, holds.
func (r *rig) eventually(what string, cond func(l *Loop) bool) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ok := false
		r.on(func(l *Loop) { ok = cond(l) })
		if ok {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("never: %s", what)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

func loopback(port uint16) Addr {
	return TCPAddr(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
}

// serve listens on the first loop and gives every connection to accept.
func (r *rig) serve(cfg ListenConfig, accept func(c *Conn) Handler) *Listener {
	r.t.Helper()
	if cfg.Addr == (Addr{}) {
		cfg.Addr = loopback(0)
	}
	socks, err := Bind(cfg, 1)
	if err != nil {
		r.t.Fatal(err)
	}
	var ln *Listener
	r.on(func(l *Loop) { ln, err = l.Serve(socks[0], acceptFunc(accept)) })
	if err != nil {
		r.t.Fatal(err)
	}
	return ln
}

type acceptFunc func(c *Conn) Handler

func (f acceptFunc) OnAccept(_ *Listener, c *Conn) Handler { return f(c) }

// connect opens a blocking client connection by the standard library.
func (r *rig) connect(to Addr) net.Conn {
	r.t.Helper()
	network := "tcp"
	if to.IsUnix() {
		network = "unix"
	}
	c, err := net.Dial(network, to.String())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// listenStd opens a blocking server and runs serve for its first connection.
func (r *rig) listenStd(serve func(c *net.TCPConn)) Addr {
	r.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(patience))
		serve(c.(*net.TCPConn))
	})
	r.t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	return TCPAddr(ln.Addr().(*net.TCPAddr).AddrPort())
}

// spy is a Handler of functions that records what it is told. It runs on the
// loop; tests read it there, or after waiting for closed.
type spy struct {
	onConnect func(c *Conn)
	onData    func(c *Conn, in []byte) int // nil: take all into data
	onEOF     func(c *Conn)
	onDrained func(c *Conn)
	onClose   func(c *Conn)

	connects, eofs, drains, closes int
	data                           []byte
	err                            error
	closed                         chan struct{}
}

func newSpy() *spy { return &spy{closed: make(chan struct{})} }

func (s *spy) OnConnect(c *Conn) {
	s.connects++
	if s.onConnect != nil {
		s.onConnect(c)
	}
}

func (s *spy) OnData(c *Conn, in []byte) int {
	if s.onData != nil {
		return s.onData(c, in)
	}
	s.data = append(s.data, in...)
	return len(in)
}

func (s *spy) OnEOF(c *Conn) {
	s.eofs++
	if s.onEOF != nil {
		s.onEOF(c)
	}
}

func (s *spy) OnDrained(c *Conn) {
	s.drains++
	if s.onDrained != nil {
		s.onDrained(c)
	}
}

func (s *spy) OnClose(c *Conn, err error) {
	s.closes++
	s.err = err
	if s.onClose != nil {
		s.onClose(c)
	}
	if s.closes == 1 {
		close(s.closed)
	}
}

// wait waits for OnClose.
func (s *spy) wait(t *testing.T) {
	t.Helper()
	select {
	case <-s.closed:
	case <-time.After(patience):
		t.Fatal("the connection never ended")
	}
}

// echo answers with what it gets and closes after the peer.
type echo struct{ NopHandler }

func (echo) OnData(c *Conn, in []byte) int {
	c.Out().Append(in)
	return len(in)
}

func (echo) OnEOF(c *Conn) { c.CloseFlush(time.Second) }

func mustWrite(t *testing.T, w io.Writer, p []byte) {
	t.Helper()
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, r io.Reader, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	if got, err := io.ReadFull(r, p); err != nil {
		t.Fatalf("read %d of %d bytes: %v", got, n, err)
	}
	return p
}

func wantEOF(t *testing.T, r io.Reader) {
	t.Helper()
	n, err := r.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("read %d bytes, %v; want the end of the stream", n, err)
	}
}

// pattern returns n bytes that depend on their position.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16)
	}
	return p
}

func describe(err error) string { return fmt.Sprintf("%v (%v)", err, KindOf(err)) }
