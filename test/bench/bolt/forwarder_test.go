//go:build linux

package bolt

import (
	"testing"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// underway counts the calls that the forwarder holds, and its connections to the origin.
func (f *Forwarder) underway() (calls, ups int) {
	for _, up := range f.ups {
		calls += up.calls
		if up.open {
			ups++
		}
	}
	return calls, ups
}

// Clients use the same ids at the same time; each gets its own answers under its own ids.
func TestForwarderKeepsCallersApart(t *testing.T) {
	r := newRig(t)
	a, b := r.dial(r.f.listener), r.dial(r.f.listener)
	for i := range 40 {
		id := uint32(i%3 + 1)
		a.call(id, uint64(1000+i))
		b.call(id, uint64(2000+i))
		a.answered(i, id, uint64(1000+i))
		b.answered(i, id, uint64(2000+i))
	}
	if calls, _ := r.f.underway(); calls != 0 || len(r.f.free) != maxCalls {
		t.Errorf("%d calls are held, %d ids are free after all were answered", calls, len(r.f.free))
	}
}

func TestForwarderSpreadsCalls(t *testing.T) {
	r := newRig(t)
	c := r.dial(r.f.listener)
	var all []byte
	for i := range 30 {
		all = NewRequest().Append(all, uint32(i), NewMark(uint64(i)))
	}
	c.send(all)
	c.expect(30)
	seen := map[uint32]bool{}
	for _, frame := range c.frames {
		f, _ := Parse(frame)
		got, ok := NewAnswer().Match(frame[f.Content:])
		if seen[f.ID] || !ok || got != NewMark(uint64(f.ID)) {
			t.Errorf("id %d is marked %q, %v", f.ID, got, ok)
		}
		seen[f.ID] = true
	}
	if _, ups := r.f.underway(); ups != Upstreams {
		t.Errorf("%d connections to the origin, want %d", ups, Upstreams)
	}
}

// mute is an origin that takes calls and does not answer; its connections are kept.
func (r *rig) mute() (fds func() []int) {
	r.t.Helper()
	fd, err := rawsock.Listen(anyPort)
	if err != nil {
		r.t.Fatal(err)
	}
	r.f.upstream = address(r.t, fd)
	var all []int
	r.t.Cleanup(func() {
		for _, fd := range append(all, fd) {
			rawsock.Close(fd)
		}
	})
	return func() []int {
		for {
			c, errno := rawsock.Accept(fd)
			if errno != 0 {
				return all
			}
			all = append(all, c)
		}
	}
}

func TestClientThatLeaves(t *testing.T) {
	r := newRig(t)
	origin := r.mute()
	a, b := r.dial(r.f.listener), r.dial(r.f.listener)
	a.call(1, 1)
	b.call(1, 2)
	a.close()
	r.settle()
	buf := make([]byte, MaxFrame)
	for _, fd := range origin() { // now both are answered
		n, errno := rawsock.Recv(fd, buf)
		if errno != 0 {
			t.Fatal(errno)
		}
		f, _ := Parse(buf[:n])
		mark, ok := NewRequest().Match(buf[f.Content:n])
		if !ok {
			t.Fatalf("the origin got %q", buf[:n])
		}
		rawsock.Send(fd, NewAnswer().Append(nil, f.ID, mark))
	}
	b.answered(0, 1, 2)
	if calls, ups := r.f.underway(); calls != 0 || ups != 2 {
		t.Errorf("%d calls are held, %d connections", calls, ups)
	}
}

func TestOriginThatLeaves(t *testing.T) {
	r := newRig(t)
	origin := r.mute()
	a, b := r.dial(r.f.listener), r.dial(r.f.listener)
	a.call(1, 1)
	b.call(1, 2)
	r.settle()
	fds := origin()
	if len(fds) != 2 {
		t.Fatalf("%d connections for two calls", len(fds))
	}
	rawsock.Send(fds[0], NewAnswer().Append(nil, maxCalls-2, NewMark(2))) // the call of the other connection: a lie, and the end of this one
	a.expect(1)
	if !a.ended || len(a.frames) != 0 {
		t.Errorf("%d frames came to the client of a connection that broke", len(a.frames))
	}
	if calls, ups := r.f.underway(); calls != 1 || ups != 1 {
		t.Errorf("%d calls are held, %d connections; want what the other client has", calls, ups)
	}
}

func TestForwarderHasRoomForSoManyCalls(t *testing.T) {
	r := newRig(t)
	r.mute()
	r.f.free = r.f.free[:2]
	c := r.dial(r.f.listener)
	for i := range uint32(2) {
		c.call(i, 1)
	}
	c.call(2, 1)
	if c.expect(1); !c.ended {
		t.Error("a third call was taken where two have room")
	}
	if len(r.f.free) != 0 {
		t.Errorf("%d ids are free while the origin may still answer", len(r.f.free))
	}
}

func TestForwardingDoesNotAllocate(t *testing.T) {
	r := newRig(t)
	c := r.dial(r.f.listener)
	frame, buf := NewRequest().Append(nil, 1, NewMark(1)), make([]byte, MaxFrame)
	exchange := func() {
		rawsock.Send(c.fd, frame)
		for n := 0; n == 0; n, _ = rawsock.Recv(c.fd, buf) {
			r.turn(0)
		}
	}
	exchange()
	if n := testing.AllocsPerRun(50, exchange); n != 0 {
		t.Errorf("a call through the forwarder allocates %v times", n)
	}
}
