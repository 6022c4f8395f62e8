//go:build linux

package floor

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/backend"
	"sofamesh.io/sofamesh/test/bench/load"
	"sofamesh.io/sofamesh/test/bench/rawsock"
)

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// turner runs a forwarder from another loop: an epoll instance is itself a descriptor that becomes readable.
type turner struct {
	t *testing.T
	f *Forwarder
}

func (x turner) Ready(uint32) {
	if err := x.f.Turn(0); err != nil {
		x.t.Error(err)
	}
}

// chain is client, floor and backend on one goroutine.
func chain(t *testing.T) (*rawsock.Loop, *Forwarder, netip.AddrPort) {
	t.Helper()
	loop, err := rawsock.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	s, err := backend.New(loop, anyPort)
	if err != nil {
		t.Fatal(err)
	}
	port, err := s.Port()
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(anyPort, anyPort, netip.AddrPortFrom(anyPort.Addr(), port))
	if err != nil {
		t.Fatal(err)
	}
	if err := loop.Add(f.ep, unix.EPOLLIN, turner{t, f}); err != nil {
		t.Fatal(err)
	}
	addr, _, err := f.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(); loop.Close() })
	return loop, f, addr
}

// count counts the connections of each side that the forwarder holds.
func (f *Forwarder) count() (down, up int) {
	for _, e := range f.ends {
		if e.open && e.upstream {
			up++
		} else if e.open {
			down++
		}
	}
	return down, up
}

// waits tells whether some socket did not take all of its bytes.
func (f *Forwarder) waits() bool {
	return slices.ContainsFunc(f.ends, func(e end) bool { return len(e.pending) > 0 })
}

// settle lets closings arrive.
func settle(t *testing.T, loop *rawsock.Loop) {
	t.Helper()
	for range 20 {
		if err := loop.Turn(2); err != nil {
			t.Fatal(err)
		}
	}
}

func TestForwards(t *testing.T) {
	for name, p := range map[string]load.Plan{
		"keep-alive":             {Conns: 8},
		"16 kB":                  {Conns: 8, Large: true},
		"connection per request": {Conns: 8, PerRequest: true},
		"open loop":              {Conns: 8, Rate: 500},
	} {
		t.Run(name, func(t *testing.T) {
			loop, f, addr := chain(t)
			p.Target, p.Window = addr, 50*time.Millisecond
			r, err := load.Run(loop, p)
			if err != nil || r.Errors() != 0 || r.Requests == 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			settle(t, loop)
			down, up := f.count()
			if down != 0 || up != len(f.spare) || up > 2*p.Conns {
				t.Errorf("%d downstream, %d upstream, %d of them spare: the next clients should find at most %d waiting", down, up, len(f.spare), 2*p.Conns) // a client's next connection may come before its last one's end
			}
		})
	}
}

func TestOneShotClosesAfterTheAnswer(t *testing.T) {
	loop, f, _ := chain(t)
	_, oneShot, err := f.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	r, err := load.Run(loop, load.Plan{Target: oneShot, Conns: 4, PerRequest: true, Window: 50 * time.Millisecond})
	if err != nil || r.Errors() != 0 || r.Requests <= 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	settle(t, loop)
	if down, up := f.count(); down != 0 || up != len(f.spare) || up > 8 {
		t.Errorf("%d downstream, %d upstream, %d spare", down, up, len(f.spare))
	}
	fd, err := rawsock.Dial(oneShot)
	if err != nil {
		t.Fatal(err)
	}
	defer rawsock.Close(fd)
	settle(t, loop)
	if _, errno := rawsock.Send(fd, []byte("GET / HTTP/1.1\r\n\r\n")); errno != 0 {
		t.Fatal(errno)
	}
	settle(t, loop)
	buf := make([]byte, 4096)
	if n, errno := rawsock.Recv(fd, buf); errno != 0 || n < backend.SmallBytes {
		t.Fatalf("the answer is %q, %v", buf[:n], errno)
	}
	if n, errno := rawsock.Recv(fd, buf); n != 0 || errno != 0 {
		t.Errorf("after the answer came %d bytes, %v; want the end", n, errno)
	}
}

func TestUpstreamIsUsedAgain(t *testing.T) {
	loop, f, addr := chain(t)
	for range 3 {
		if r, err := load.Run(loop, load.Plan{Target: addr, Conns: 2, Window: 10 * time.Millisecond}); err != nil || r.Errors() != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		settle(t, loop)
	}
	if _, up := f.count(); up != 2 {
		t.Errorf("%d upstream connections after three times two clients, want 2", up)
	}
}

// A client that asks for 16 MB and reads only then: what its socket does not take must wait, in order.
func TestFullSocket(t *testing.T) {
	loop, f, addr := chain(t)
	fd, err := rawsock.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer rawsock.Close(fd)
	const requests = 1000
	request := []byte("GET /16k HTTP/1.1\r\n\r\n")
	for range requests {
		for {
			if _, errno := rawsock.Send(fd, request); errno == 0 {
				break
			} else if errno != unix.EAGAIN {
				t.Fatal(errno)
			}
			if err := loop.Turn(1); err != nil {
				t.Fatal(err)
			}
		}
	}
	for tries := 0; !f.waits(); tries++ {
		if err := loop.Turn(10); err != nil || tries == 1000 {
			t.Fatalf("16 MB fit into the sockets, or %v: the test does not test", err)
		}
	}
	total, buf := 0, make([]byte, 1<<20)
	for total < requests*backend.LargeBytes {
		n, errno := rawsock.Recv(fd, buf)
		if errno == unix.EAGAIN {
			if err := loop.Turn(1000); err != nil {
				t.Fatal(err)
			}
		} else if errno != 0 || n == 0 {
			t.Fatalf("ended after %d bytes: %v", total, errno)
		}
		total += n
	}
}

func TestUpstreamIsClosedWithAClientThatLeavesEarly(t *testing.T) {
	loop, f, addr := chain(t)
	fd, err := rawsock.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	settle(t, loop)
	if _, errno := rawsock.Send(fd, []byte("GET / HTTP/1.1\r\n")); errno != 0 { // an unfinished request
		t.Fatal(errno)
	}
	settle(t, loop)
	if down, up := f.count(); down != 1 || up != 1 {
		t.Fatalf("%d downstream, %d upstream; want a pair", down, up)
	}
	rawsock.Close(fd)
	settle(t, loop)
	if down, up := f.count(); down != 0 || up != 0 {
		t.Errorf("%d downstream, %d upstream; an unfinished exchange must not be lent to the next client", down, up)
	}
}

func TestForwardingDoesNotAllocate(t *testing.T) {
	loop, f, addr := chain(t)
	fd, err := rawsock.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer rawsock.Close(fd)
	request, buf := []byte("GET / HTTP/1.1\r\n\r\n"), make([]byte, 4096)
	exchange := func() {
		rawsock.Send(fd, request)
		for n := 0; n == 0; n, _ = rawsock.Recv(fd, buf) {
			if err := loop.Turn(100); err != nil {
				t.Fatal(err)
			}
		}
	}
	settle(t, loop)
	exchange()
	if n := testing.AllocsPerRun(50, exchange); n != 0 {
		t.Errorf("an exchange through the floor allocates %v times", n)
	}
	if down, _ := f.count(); down != 1 {
		t.Errorf("%d downstream connections, want the one", down)
	}
}
