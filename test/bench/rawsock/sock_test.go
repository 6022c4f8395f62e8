//go:build linux

package rawsock

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// pair is both ends of one connection, and a loop.
func pair(t *testing.T) (l *Loop, client, server int) {
	t.Helper()
	l, err := NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	listener, err := Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(listener)
	port, err := Port(listener)
	if err != nil {
		t.Fatal(err)
	}
	if client, err = Dial(netip.AddrPortFrom(anyPort.Addr(), port)); err != nil {
		t.Fatal(err)
	}
	var accepts recorder
	if err := l.Add(listener, unix.EPOLLIN, &accepts); err != nil {
		t.Fatal(err)
	}
	if err := l.Turn(10_000); err != nil || len(accepts) != 1 {
		t.Fatalf("the listener reported %v, %v", accepts, err)
	}
	server, errno := Accept(listener)
	if errno != 0 {
		t.Fatal(errno)
	}
	if _, errno := Accept(listener); errno != unix.EAGAIN {
		t.Fatalf("a second accept gave %v, want EAGAIN", errno)
	}
	return l, client, server
}

type recorder []uint32

func (r *recorder) Ready(events uint32) { *r = append(*r, events) }

func TestBytesAndEvents(t *testing.T) {
	l, client, server := pair(t)
	var seen recorder
	if err := l.Add(server, Edge, &seen); err != nil {
		t.Fatal(err)
	}
	if err := l.Turn(0); err != nil || len(seen) != 1 || seen[0] != unix.EPOLLOUT {
		t.Fatalf("a fresh connection reported %v, %v; want only that it is writable", seen, err)
	}
	if n, errno := Send(client, []byte("hello")); n != 5 || errno != 0 {
		t.Fatal(n, errno)
	}
	if err := l.Turn(10_000); err != nil || len(seen) != 2 || seen[1]&unix.EPOLLIN == 0 || seen[1]&Ended != 0 {
		t.Fatalf("data reported %v, %v", seen, err)
	}
	buf := make([]byte, 16)
	if n, errno := Recv(server, buf); errno != 0 || string(buf[:n]) != "hello" {
		t.Fatalf("%q, %v", buf[:n], errno)
	}
	if _, errno := Recv(server, buf); errno != unix.EAGAIN {
		t.Fatalf("an empty socket gave %v, want EAGAIN", errno)
	}
	Close(client)
	if err := l.Turn(10_000); err != nil || len(seen) != 3 || seen[2]&Ended == 0 {
		t.Fatalf("the end reported %v, %v", seen, err)
	}
	if n, errno := Recv(server, buf); n != 0 || errno != 0 {
		t.Fatalf("the end read as %d, %v", n, errno)
	}
	l.Drop(server)
	if err := l.Turn(0); err != nil || len(seen) != 3 {
		t.Fatalf("a dropped descriptor reported %v, %v", seen, err)
	}
}

func TestNagleIsOffAtBothEnds(t *testing.T) {
	_, client, server := pair(t)
	defer Close(client)
	defer Close(server)
	for name, fd := range map[string]int{"client": client, "server": server} {
		if on, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || on == 0 {
			t.Errorf("%s: TCP_NODELAY is %d, %v", name, on, err)
		}
	}
}

func TestErrors(t *testing.T) {
	if _, err := Listen(netip.MustParseAddrPort("[::1]:0")); err == nil {
		t.Error("IPv6 was accepted")
	}
	if _, err := Listen(netip.MustParseAddrPort("203.0.113.1:0")); err == nil {
		t.Error("listened on an address of somebody else")
	}
	if _, errno := Recv(-1, make([]byte, 1)); errno != unix.EBADF {
		t.Errorf("reading nothing gave %v", errno)
	}
	l, err := NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Add(-1, Edge, nil); err == nil {
		t.Error("watching nothing was accepted")
	}
}

func TestSendAndRecvDoNotAllocate(t *testing.T) {
	_, client, server := pair(t)
	defer Close(client)
	defer Close(server)
	out, in := []byte("x"), make([]byte, 16)
	if n := testing.AllocsPerRun(100, func() {
		Send(client, out)
		Recv(server, in)
	}); n != 0 {
		t.Errorf("Send and Recv allocate %v times", n)
	}
}
