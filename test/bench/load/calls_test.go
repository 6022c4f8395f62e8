//go:build linux

package load

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/bolt"
	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// withBolt is a loop on which the real Bolt server answers.
func withBolt(t *testing.T) (*rawsock.Loop, *bolt.Server, netip.AddrPort) {
	t.Helper()
	loop := newLoop(t)
	s, err := bolt.NewServer(loop, anyPort)
	if err != nil {
		t.Fatal(err)
	}
	port, err := s.Port()
	if err != nil {
		t.Fatal(err)
	}
	return loop, s, local(port)
}

// withForwarder puts the forwarder before a target, on a goroutine of its own as in its process.
func withForwarder(t *testing.T, target netip.AddrPort) netip.AddrPort {
	t.Helper()
	loop := newLoop(t)
	f, err := bolt.NewForwarder(loop, anyPort, target)
	if err != nil {
		t.Fatal(err)
	}
	port, err := f.Port()
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := f.Turn(1); err != nil {
				done <- err
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return local(port)
}

// enough runs a plan for longer and longer until so many requests are answered: on a busy machine a short window may see none.
func enough(loop *rawsock.Loop, p Plan, want uint64) (Result, error) {
	for p.Window = window; ; p.Window *= 2 {
		r, err := Run(loop, p)
		if err != nil || r.Requests >= want || p.Window > 10*time.Second {
			return r, err
		}
	}
}

func TestCalls(t *testing.T) {
	for name, p := range map[string]Plan{
		"closed loop":   {Conns: 4, Calls: 64},
		"uneven":        {Conns: 3, Calls: 7},
		"one":           {Conns: 1, Calls: 1},
		"gathered":      {Conns: 4, Calls: 64, Gather: true},
		"open loop":     {Conns: 4, Calls: 64, Rate: 2000},
		"many on a few": {Conns: 2, Calls: 2000},
	} {
		for _, through := range []string{"direct", "forwarder"} {
			t.Run(name+" "+through, func(t *testing.T) {
				loop, s, target := withBolt(t)
				s.Gather = p.Gather
				if through == "forwarder" {
					target = withForwarder(t, target)
				}
				p.Target, p.Warm, p.PIDs = target, window/5, []int{os.Getpid()}
				r, err := enough(loop, p, 1)
				if err != nil || r.Requests == 0 || r.Errors() != 0 || r.P50 <= 0 || r.CPU.Nanos <= 0 {
					t.Errorf("%+v, %v", r, err)
				}
			})
		}
	}
}

// liar is a server that answers the n-th call with what answer gives for it; nil is no answer.
type liar struct {
	loop   *rawsock.Loop
	fd     int
	calls  int
	answer func(n int, id uint32, mark bolt.Mark) []byte
}

type liarConn struct {
	bolt.Link
	l       *liar
	request *bolt.Message
	buf     []byte
}

func withLiar(t *testing.T, answer func(n int, id uint32, mark bolt.Mark) []byte) (*rawsock.Loop, netip.AddrPort) {
	t.Helper()
	fd, err := rawsock.Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rawsock.Close(fd) })
	l := &liar{loop: newLoop(t), fd: fd, answer: answer}
	if err := l.loop.Add(fd, unix.EPOLLIN, l); err != nil {
		t.Fatal(err)
	}
	port, err := rawsock.Port(fd)
	if err != nil {
		t.Fatal(err)
	}
	return l.loop, local(port)
}

func (l *liar) Ready(uint32) {
	if fd, errno := rawsock.Accept(l.fd); errno == 0 {
		c := &liarConn{l: l, request: bolt.NewRequest(), buf: make([]byte, bolt.BufferBytes)}
		c.Accepted(fd)
		if err := l.loop.Add(fd, rawsock.Edge, c); err != nil {
			panic(err)
		}
	}
}

func (c *liarConn) Ready(events uint32) {
	alive := c.Receive(events, c.buf, func(f bolt.Frame, frame []byte) bool {
		c.l.calls++
		mark, _ := c.request.Match(frame[f.Content:])
		c.Out = append(c.Out, c.l.answer(c.l.calls, f.ID, mark)...)
		return true
	})
	if !c.Flush() || !alive {
		c.l.loop.Drop(c.FD)
	}
}

// Every tenth answer is wrong in one way: it is counted as that, and the others are taken.
func TestEachFaultOfACallIsCounted(t *testing.T) {
	m := bolt.NewAnswer()
	var last bolt.Mark
	for _, c := range []struct {
		name  string
		wrong func(id uint32, mark bolt.Mark) []byte
		count func(Result) uint64
	}{
		{"another's content", func(id uint32, _ bolt.Mark) []byte { return m.Append(nil, id, last) }, func(r Result) uint64 { return r.Foreign }},
		{"an id nobody waits for", func(id uint32, mark bolt.Mark) []byte {
			return m.Append(m.Append(nil, id, mark), id+idSlots, mark)
		}, func(r Result) uint64 { return r.Foreign + r.Cut }},
		{"status", func(id uint32, mark bolt.Mark) []byte {
			b := m.Append(nil, id, mark)
			b[11] = 2
			return b
		}, func(r Result) uint64 { return r.Status }},
		{"a changed byte", func(id uint32, mark bolt.Mark) []byte {
			b := m.Append(nil, id, mark)
			b[len(b)-9] ^= 1
			return b
		}, func(r Result) uint64 { return r.Length }},
		{"a request", func(id uint32, mark bolt.Mark) []byte { return bolt.NewRequest().Append(nil, id, mark) },
			func(r Result) uint64 { return r.Malformed + r.Cut }},
		{"no Bolt", func(uint32, bolt.Mark) []byte { return []byte("HTTP/1.1 200 OK\r\n\r\n") }, func(r Result) uint64 { return r.Cut }},
	} {
		t.Run(c.name, func(t *testing.T) {
			loop, target := withLiar(t, func(n int, id uint32, mark bolt.Mark) []byte {
				defer func() { last = mark }()
				if n%10 == 0 {
					return c.wrong(id, mark)
				}
				return m.Append(nil, id, mark)
			})
			r, err := enough(loop, Plan{Target: target, Conns: 1, Calls: 4}, 20)
			if err != nil && !strings.Contains(err.Error(), "gave up") {
				t.Fatal(err)
			}
			if err == nil && (r.Requests == 0 || c.count(r) == 0 || c.count(r) != r.Errors()) {
				t.Errorf("%+v: want failures of this kind only, and right answers", r)
			}
		})
	}
}

// An answer that never comes is a failure, though its connection goes on.
func TestLostAnswer(t *testing.T) {
	m := bolt.NewAnswer()
	loop, target := withLiar(t, func(_ int, id uint32, mark bolt.Mark) []byte {
		if id == 3 {
			return nil
		}
		return m.Append(nil, id, mark)
	})
	r, err := enough(loop, Plan{Target: target, Conns: 1, Calls: 4}, 2*idSlots+1)
	if err != nil || r.Cut != 1 || r.Errors() != 1 || r.Requests <= 2*idSlots {
		t.Errorf("%+v, %v; want one failure, and enough right answers for the lost call's id to come round", r, err)
	}
}

func TestNobodyAnswersCalls(t *testing.T) {
	loop, _, target := withBolt(t)
	fd, err := rawsock.Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	port, err := rawsock.Port(fd)
	if err != nil {
		t.Fatal(err)
	}
	rawsock.Close(fd)
	if _, err := Run(loop, Plan{Target: local(port), Conns: 4, Calls: 4, Window: time.Minute}); err == nil || !strings.Contains(err.Error(), "gave up") {
		t.Errorf("%v: want the run to give up", err)
	}
	for _, p := range []Plan{{Conns: 4, Calls: 3}, {Conns: 1, Calls: -1}, {Conns: 1, Calls: idSlots}, {Conns: 1, Calls: 1, Large: true}, {Conns: 1, Calls: 1, PerRequest: true}} {
		p.Target = target
		if _, err := Run(loop, p); err == nil {
			t.Errorf("%+v was run", p)
		}
	}
}
