//go:build linux

package load

import (
	"bytes"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/backend"
	"sofamesh.io/sofamesh/test/bench/rawsock"
)

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

func local(port uint16) netip.AddrPort { return netip.AddrPortFrom(anyPort.Addr(), port) }

func newLoop(t *testing.T) *rawsock.Loop {
	t.Helper()
	loop, err := rawsock.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(loop.Close)
	return loop
}

// withBackend is a loop on which the real backend answers, so that one goroutine drives both ends.
func withBackend(t *testing.T) (*rawsock.Loop, netip.AddrPort) {
	t.Helper()
	loop := newLoop(t)
	s, err := backend.New(loop, anyPort)
	if err != nil {
		t.Fatal(err)
	}
	port, err := s.Port()
	if err != nil {
		t.Fatal(err)
	}
	return loop, local(port)
}

// script is a server that answers each request with the same bytes, perhaps in pieces, and perhaps closes then.
type script struct {
	loop   *rawsock.Loop
	fd     int
	pieces []string
	close  bool
	served int
}

func withScript(t *testing.T, s *script) netip.AddrPort {
	t.Helper()
	fd, err := rawsock.Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	s.fd = fd
	if err := s.loop.Add(fd, unix.EPOLLIN, s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rawsock.Close(fd) })
	port, err := rawsock.Port(fd)
	if err != nil {
		t.Fatal(err)
	}
	return local(port)
}

func (s *script) Ready(uint32) {
	if fd, errno := rawsock.Accept(s.fd); errno == 0 {
		if err := s.loop.Add(fd, unix.EPOLLIN, &scriptConn{s: s, fd: fd, next: len(s.pieces)}); err != nil {
			panic(err)
		}
	}
}

type scriptConn struct {
	s    *script
	fd   int
	got  []byte
	next int // piece to send; one a turn, so that the client sees them apart
}

func (c *scriptConn) Ready(uint32) {
	buf := make([]byte, 4096)
	n, errno := rawsock.Recv(c.fd, buf)
	if errno == 0 && n == 0 || errno != 0 && errno != unix.EAGAIN {
		c.s.loop.Drop(c.fd)
		return
	}
	if c.got = append(c.got, buf[:n]...); !bytes.HasSuffix(c.got, []byte("\r\n\r\n")) {
		return
	}
	c.got = nil
	c.s.served++
	for _, p := range c.s.pieces {
		rawsock.Send(c.fd, []byte(p))
		if len(c.s.pieces) > 1 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	if c.s.close {
		c.s.loop.Drop(c.fd)
	}
}

const window = 50 * time.Millisecond

func TestClosedLoop(t *testing.T) {
	for name, p := range map[string]Plan{
		"keep-alive":             {Conns: 8},
		"16 kB":                  {Conns: 8, Large: true},
		"connection per request": {Conns: 8, PerRequest: true},
	} {
		t.Run(name, func(t *testing.T) {
			loop, target := withBackend(t)
			p.Target, p.Window, p.Warm, p.PIDs = target, window, window/5, []int{os.Getpid()}
			r, err := Run(loop, p)
			if err != nil {
				t.Fatal(err)
			}
			if r.Requests == 0 || r.Errors() != 0 || r.Window < window || r.Unsent != 0 {
				t.Errorf("%+v: want requests, no errors, a full window", r)
			}
			if r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.P999 {
				t.Errorf("quantiles out of order: %v %v %v", r.P50, r.P99, r.P999)
			}
			if r.CPU.Nanos <= 0 || r.Self.Nanos <= 0 {
				t.Errorf("no CPU time counted: %+v %+v", r.CPU, r.Self)
			}
		})
	}
}

func TestOpenLoopSendsAtItsRate(t *testing.T) {
	loop, target := withBackend(t)
	r, err := Run(loop, Plan{Target: target, Conns: 16, Rate: 2000, Warm: window, Window: 4 * window})
	if err != nil || r.Errors() != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	// All due requests are answered, late or not, but for those under way or unsent at either edge of the window.
	want := uint64(2000 * r.Window.Seconds())
	if low, high := want-min(want, 20+r.Unsent), want+20; r.Requests > high+200 || r.Requests < low {
		t.Errorf("%d answers (%d unsent) in %v at 2000/s", r.Requests, r.Unsent, r.Window)
	}
}

// A server that takes longer than the interval between requests: latency must count from when a request was due, so it grows far beyond the
// time of a single exchange, and what could not be sent is reported.
func TestOpenLoopDoesNotHideAStall(t *testing.T) {
	s := &script{loop: newLoop(t), pieces: []string{"HTTP/1.1 200 OK\r\n", "content-length: 128\r\n\r\n", strings.Repeat("x", 128)}}
	r, err := Run(s.loop, Plan{Target: withScript(t, s), Conns: 1, Rate: 50_000, Window: 2 * window})
	if err != nil || r.Errors() != 0 || r.Requests == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Unsent == 0 {
		t.Errorf("%d answers at 50000/s from a server that sleeps, and nothing is unsent", r.Requests)
	}
	if exchange := r.Window / time.Duration(r.Requests); r.P50 < 2*exchange {
		t.Errorf("p50 is %v where an exchange takes %v: the wait before sending is not in it", r.P50, exchange)
	}
}

func TestEachFaultIsCounted(t *testing.T) {
	body := strings.Repeat("x", 128)
	for _, c := range []struct {
		name   string
		answer string
		close  bool
		count  func(Result) uint64
	}{
		{"status", "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", false, func(r Result) uint64 { return r.Status }},
		{"length", "HTTP/1.1 200 OK\r\ncontent-length: 127\r\n\r\n" + body[1:], false, func(r Result) uint64 { return r.Length }},
		{"too much", "HTTP/1.1 200 OK\r\ncontent-length: 128\r\n\r\n" + body + "x", false, func(r Result) uint64 { return r.Length }},
		{"malformed", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", false, func(r Result) uint64 { return r.Malformed }},
		{"cut in the body", "HTTP/1.1 200 OK\r\ncontent-length: 128\r\n\r\n" + body[1:], true, func(r Result) uint64 { return r.Cut }},
		{"cut in the head", "HTTP/1.1 200", true, func(r Result) uint64 { return r.Cut }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &script{loop: newLoop(t), pieces: []string{c.answer}, close: c.close}
			r, err := Run(s.loop, Plan{Target: withScript(t, s), Conns: 1, Window: window})
			if err != nil && !strings.Contains(err.Error(), "gave up") {
				t.Fatal(err)
			}
			if err == nil && (c.count(r) == 0 || c.count(r) != r.Errors() || r.Requests != 0) {
				t.Errorf("%+v: want failures of this kind only, no requests", r)
			}
		})
	}
}

func TestConnectionCloseFromTheServerIsFollowed(t *testing.T) {
	answer := "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 128\r\n\r\n" + strings.Repeat("x", 128)
	s := &script{loop: newLoop(t), pieces: []string{answer}, close: true}
	r, err := Run(s.loop, Plan{Target: withScript(t, s), Conns: 2, Window: window})
	if err != nil || r.Errors() != 0 || r.Requests < 3 {
		t.Errorf("%+v, %v: want more requests than connections and no failure", r, err)
	}
}

func TestAnswerInPieces(t *testing.T) {
	body := strings.Repeat("x", 128)
	s := &script{loop: newLoop(t), pieces: []string{"HTTP/1.1 2", "00 OK\r\ncontent-le", "ngth: 128\r\n\r", "\n", body[:50], body[50:]}}
	r, err := Run(s.loop, Plan{Target: withScript(t, s), Conns: 3, Window: window})
	if err != nil || r.Errors() != 0 || r.Requests == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNobodyListens(t *testing.T) {
	fd, err := rawsock.Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	port, err := rawsock.Port(fd)
	if err != nil {
		t.Fatal(err)
	}
	rawsock.Close(fd)
	if _, err := Run(newLoop(t), Plan{Target: local(port), Conns: 4, Window: time.Minute}); err == nil || !strings.Contains(err.Error(), "gave up") {
		t.Errorf("%v: want the run to give up instead of trying for a minute", err)
	}
	if _, err := Hold(newLoop(t), local(port), 4); err == nil || !strings.Contains(err.Error(), "connect") {
		t.Errorf("%v: want Hold to name the failed connect", err)
	}
}

func TestHold(t *testing.T) {
	loop, target := withBackend(t)
	h, err := Hold(loop, target, 3*holdAtOnce+1)
	if err != nil {
		t.Fatal(err)
	}
	if h.idle != 3*holdAtOnce+1 {
		t.Errorf("%d are idle", h.idle)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func TestHoldReportsALostConnection(t *testing.T) {
	answer := "HTTP/1.1 200 OK\r\ncontent-length: 128\r\n\r\n" + strings.Repeat("x", 128)
	s := &script{loop: newLoop(t), pieces: []string{answer}}
	h, err := Hold(s.loop, withScript(t, s), 2)
	if err != nil {
		t.Fatal(err)
	}
	rawsock.Send(h.conns[0].fd, h.conns[0].shape.request) // the server will answer what nobody, by its books, has asked
	for range 100 {
		if err := s.loop.Turn(10); err != nil || h.err != nil {
			break
		}
	}
	if err := h.Close(); err == nil {
		t.Error("a connection that broke while idle was not reported")
	}
}

func TestPlansThatMakeNoSense(t *testing.T) {
	for _, p := range []Plan{{}, {Conns: 1, Rate: -1}, {Conns: 1, Rate: 5, PerRequest: true}, {Conns: 1, Window: -1}} {
		if _, err := Run(newLoop(t), p); err == nil {
			t.Errorf("%+v was run", p)
		}
	}
}
