//go:build linux

package bolt

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// rig is server and forwarder on one goroutine, the forwarder by a loop of its own, which is turned after the other one.
type rig struct {
	t      *testing.T
	loop   *rawsock.Loop
	server *Server
	f      *Forwarder
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t}
	var loops [2]*rawsock.Loop
	for i := range loops {
		loop, err := rawsock.NewLoop()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(loop.Close)
		loops[i] = loop
	}
	r.loop = loops[0]
	var err error
	if r.server, err = NewServer(r.loop, anyPort); err != nil {
		t.Fatal(err)
	}
	if r.f, err = NewForwarder(loops[1], anyPort, address(t, r.server.listener)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		rawsock.Close(r.server.listener)
		rawsock.Close(r.f.listener)
	})
	return r
}

func address(t *testing.T, listener int) netip.AddrPort {
	t.Helper()
	port, err := rawsock.Port(listener)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(anyPort.Addr(), port)
}

// turn lets everybody handle what has come, and waits so many milliseconds when nothing has.
func (r *rig) turn(millis int) {
	r.t.Helper()
	if err := r.f.Turn(millis); err != nil {
		r.t.Fatal(err)
	}
	if err := r.loop.Turn(millis); err != nil {
		r.t.Fatal(err)
	}
}

// settle lets everything arrive.
func (r *rig) settle() {
	r.t.Helper()
	for range 10 {
		r.turn(1)
	}
}

// client is a connection and what came on it, cut into frames.
type client struct {
	r      *rig
	fd     int
	data   []byte
	frames [][]byte
	ended  bool
}

func (r *rig) dial(listener int) *client {
	r.t.Helper()
	fd, err := rawsock.Dial(address(r.t, listener))
	if err != nil {
		r.t.Fatal(err)
	}
	c := &client{r: r, fd: fd}
	r.t.Cleanup(c.close)
	r.settle()
	return c
}

func (c *client) close() {
	if c.fd >= 0 {
		rawsock.Close(c.fd)
	}
	c.fd = -1
}

func (c *client) send(data []byte) {
	c.r.t.Helper()
	if n, errno := rawsock.Send(c.fd, data); errno != 0 || n != len(data) {
		c.r.t.Fatalf("sent %d of %d: %v", n, len(data), errno)
	}
	c.r.turn(0)
}

func (c *client) call(id uint32, mark uint64) {
	c.r.t.Helper()
	c.send(NewRequest().Append(nil, id, NewMark(mark)))
}

// expect waits for so many frames in all, or the end of the stream.
func (c *client) expect(frames int) {
	c.r.t.Helper()
	buf := make([]byte, 64<<10)
	for tries := 0; len(c.frames) < frames && !c.ended; tries++ {
		if tries > 2000 {
			c.r.t.Fatalf("%d frames came, want %d", len(c.frames), frames)
		}
		n, errno := rawsock.Recv(c.fd, buf)
		if errno == unix.EAGAIN {
			c.r.turn(min(tries/3, 1)) // the way is two turns long
			continue
		}
		c.ended = errno != 0 || n == 0
		rest, ok := each(append(c.data, buf[:n]...), func(_ Frame, frame []byte) bool {
			c.frames = append(c.frames, append([]byte(nil), frame...))
			return true
		})
		if !ok {
			c.r.t.Fatal("what came is no Bolt")
		}
		c.data = append([]byte(nil), rest...)
	}
}

// answered holds the i-th frame against the call it should be for.
func (c *client) answered(i int, id uint32, mark uint64) {
	c.r.t.Helper()
	c.expect(i + 1)
	if len(c.frames) <= i {
		c.r.t.Fatalf("the stream ended after %d frames", len(c.frames))
	}
	f, _ := Parse(c.frames[i])
	got, ok := NewAnswer().Match(c.frames[i][f.Content:])
	if f.Kind != KindAnswer || f.ID != id || f.Status != 0 || !ok || got != NewMark(mark) {
		c.r.t.Errorf("frame %d is %+v marked %q, %v; want id %d, mark %d", i, f, got, ok, id, mark)
	}
}
