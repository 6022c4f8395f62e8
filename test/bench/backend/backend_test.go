//go:build linux

package backend

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// client drives the server's loop from the test's goroutine until it has heard what it waits for.
type client struct {
	t    *testing.T
	loop *rawsock.Loop
	fd   int
}

func dial(t *testing.T) *client {
	t.Helper()
	loop, err := rawsock.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(loop.Close)
	s, err := New(loop, netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	port, err := s.Port()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := rawsock.Dial(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rawsock.Close(fd); rawsock.Close(s.listener) })
	c := &client{t: t, loop: loop, fd: fd}
	c.turn() // accepted
	return c
}

func (c *client) turn() {
	c.t.Helper()
	if err := c.loop.Turn(1); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) send(text string) {
	c.t.Helper()
	if n, errno := rawsock.Send(c.fd, []byte(text)); errno != 0 || n != len(text) {
		c.t.Fatalf("sent %d of %d: %v", n, len(text), errno)
	}
	c.turn()
}

// read gives everything until size bytes or the end of the stream.
func (c *client) read(size int) (text string, ended bool) {
	c.t.Helper()
	buf := make([]byte, 64<<10)
	var all strings.Builder
	for range 2000 {
		n, errno := rawsock.Recv(c.fd, buf)
		switch {
		case errno == unix.EAGAIN:
			c.turn()
		case errno != 0 || n == 0:
			return all.String(), true
		}
		if all.Write(buf[:n]); all.Len() >= size {
			return all.String(), false
		}
	}
	c.t.Fatalf("waited in vain for %d bytes, got %q", size, all.String())
	return "", false
}

func want(status string, size int) string { return string(response(status, size)) }

func TestResources(t *testing.T) {
	c := dial(t)
	for _, x := range []struct{ path, answer string }{
		{"/", want("200 OK", SmallBytes)}, {"/16k", want("200 OK", LargeBytes)}, {"/nothing", want("404 Not Found", 0)}, {"*", want("404 Not Found", 0)},
	} {
		c.send("GET " + x.path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if got, _ := c.read(len(x.answer)); got != x.answer {
			t.Errorf("%s: %.80q, want %.80q", x.path, got, x.answer)
		}
	}
}

func TestKeepsAliveWhateverTheRequestSays(t *testing.T) {
	c := dial(t)
	for range 3 {
		c.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
		if got, ended := c.read(len(want("200 OK", SmallBytes))); ended {
			t.Fatalf("closed after %q", got)
		}
	}
}

func TestRequestSplitAtEveryByte(t *testing.T) {
	c := dial(t)
	req, answer := "GET / HTTP/1.1\r\nHost: x\r\n\r\n", want("200 OK", SmallBytes)
	for i := 1; i < len(req); i++ {
		c.send(req[:i])
		c.send(req[i:])
		if got, _ := c.read(len(answer)); got != answer {
			t.Fatalf("split at %d: %q", i, got)
		}
	}
}

func TestPipelined(t *testing.T) {
	c := dial(t)
	c.send(strings.Repeat("GET / HTTP/1.1\r\n\r\n", 50) + "GET /16k HT")
	c.send("TP/1.1\r\n\r\n")
	answer := strings.Repeat(want("200 OK", SmallBytes), 50) + want("200 OK", LargeBytes)
	if got, _ := c.read(len(answer)); got != answer {
		t.Errorf("%d bytes of %d, or wrong ones", len(got), len(answer))
	}
}

// A client that does not read: the answers wait, and all of them arrive once it does.
func TestFullSocket(t *testing.T) {
	c := dial(t)
	const requests = 1000 // 16 MB of answers, more than any socket buffers
	c.send(strings.Repeat("GET /16k HTTP/1.1\r\n\r\n", requests))
	answer := want("200 OK", LargeBytes)
	if got, _ := c.read(requests * len(answer)); got != strings.Repeat(answer, requests) {
		t.Errorf("%d bytes of %d, or wrong ones", len(got), requests*len(answer))
	}
}

func TestRefusesWhatItCannotServe(t *testing.T) {
	for _, bad := range []string{
		"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "\r\n\r\n", strings.Repeat("a", maxHead+1),
	} {
		t.Run(fmt.Sprintf("%.12q", bad), func(t *testing.T) {
			c := dial(t)
			c.send(bad)
			if got, ended := c.read(1 << 30); !ended || got != "" {
				t.Errorf("answered %q, closed %v; want nothing and closed", got, ended)
			}
		})
	}
}
