//go:build linux

package bolt

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// Upstreams is the number of the forwarder's connections to the origin; mosn is configured to need as many.
const Upstreams = 4

const maxCalls = 4096 // under way at a time, by all clients

// Forwarder passes calls on over a few connections, under ids of its own, and their answers back under the caller's. It reads of a
// frame the kind, the id and the lengths. All that a turn of the loop brings for a connection is written with one call, as in mosn.
//
// It belongs to the loop's goroutine. A client that breaks is forgotten; an origin that breaks takes its clients with it.
type Forwarder struct {
	loop     *rawsock.Loop
	listener int
	upstream netip.AddrPort
	ups      [Upstreams]*end
	calls    [maxCalls]underway // by the id upstream
	free     []uint32           // ids, last used last
	dirty    []*end             // those with something to be flushed
	buf      [BufferBytes]byte
}

// underway is a call that the origin has not answered.
type underway struct {
	down, up *end // down is nil when the client has gone, up when the id is free
	id       uint32
}

// end is one connection.
type end struct {
	Link
	f     *Forwarder
	take  func(Frame, []byte) bool
	open  bool
	dirty bool
	calls int // upstream: under way
}

// NewForwarder forwards the calls of connections accepted on addr (port 0: any) to upstream. It runs by Turn.
func NewForwarder(loop *rawsock.Loop, addr, upstream netip.AddrPort) (*Forwarder, error) {
	fd, err := rawsock.Listen(addr)
	if err != nil {
		return nil, err
	}
	f := &Forwarder{loop: loop, listener: fd, upstream: upstream}
	for i := range f.ups {
		e := &end{f: f}
		e.take = e.answered
		f.ups[i] = e
	}
	for i := range uint32(maxCalls) {
		f.free = append(f.free, maxCalls-1-i)
	}
	if err := loop.Add(fd, unix.EPOLLIN, f); err != nil {
		rawsock.Close(fd)
		return nil, err
	}
	return f, nil
}

// Port is the port the forwarder listens on.
func (f *Forwarder) Port() (uint16, error) { return rawsock.Port(f.listener) }

// Run forwards until epoll itself fails.
func (f *Forwarder) Run() error {
	for {
		if err := f.Turn(-1); err != nil {
			return err
		}
	}
}

// Turn waits up to millis once, moves what is ready and writes what that gave.
func (f *Forwarder) Turn(millis int) error {
	err := f.loop.Turn(millis)
	for _, e := range f.dirty {
		e.dirty = false
		if e.open && !e.Flush() {
			e.close()
		}
	}
	f.dirty = f.dirty[:0]
	return err
}

// Ready accepts what waits. It is the listener's handler.
func (f *Forwarder) Ready(uint32) {
	for {
		fd, errno := rawsock.Accept(f.listener)
		if errno != 0 {
			return
		}
		e := &end{f: f, open: true}
		e.Accepted(fd)
		e.take = e.asked
		if err := f.loop.Add(fd, rawsock.Edge, e); err != nil {
			rawsock.Close(fd)
		}
	}
}

// Ready moves what one connection holds.
func (e *end) Ready(events uint32) {
	if events&unix.EPOLLOUT != 0 {
		e.Writable()
		e.touch()
	}
	if events&(unix.EPOLLIN|rawsock.Ended) != 0 && !e.Receive(events, e.f.buf[:], e.take) {
		e.close()
	}
}

// touch has the end of the turn flush e.
func (e *end) touch() {
	if !e.dirty && len(e.Out) > 0 {
		e.dirty = true
		e.f.dirty = append(e.f.dirty, e)
	}
}

// asked passes a request on; false when there is no room for it.
func (e *end) asked(fr Frame, frame []byte) bool {
	f := e.f
	up := f.pick()
	if up == nil || len(f.free) == 0 || fr.Kind != KindRequest {
		return false
	}
	id := f.free[len(f.free)-1]
	f.free = f.free[:len(f.free)-1]
	f.calls[id] = underway{down: e, up: up, id: fr.ID}
	up.calls++
	SetID(frame, id)
	up.Out = append(up.Out, frame...)
	up.touch()
	return true
}

// pick gives the upstream connection with the fewest calls, as mosn does, and opens it if need be; nil when it cannot be opened.
func (f *Forwarder) pick() *end {
	best := f.ups[0]
	for _, up := range f.ups[1:] {
		if up.calls < best.calls {
			best = up
		}
	}
	if best.open {
		return best
	}
	fd, err := rawsock.Dial(f.upstream)
	if err != nil {
		return nil
	}
	best.Dialed(fd)
	if err := f.loop.Add(fd, rawsock.Edge, best); err != nil {
		rawsock.Close(fd)
		return nil
	}
	best.open = true
	return best
}

// answered passes an answer back; false when nobody asked.
func (e *end) answered(fr Frame, frame []byte) bool {
	if fr.Kind != KindAnswer || fr.ID >= maxCalls || e.f.calls[fr.ID].up != e {
		return false
	}
	c := &e.f.calls[fr.ID]
	if c.down != nil {
		SetID(frame, c.id)
		c.down.Out = append(c.down.Out, frame...)
		c.down.touch()
	}
	e.f.release(fr.ID)
	return true
}

func (f *Forwarder) release(id uint32) {
	f.calls[id].up.calls--
	f.calls[id] = underway{}
	f.free = append(f.free, id)
}

// close ends a connection and what depends on it.
func (e *end) close() {
	if !e.open {
		return
	}
	e.open = false
	e.f.loop.Drop(e.FD)
	for id := range e.f.calls {
		c := &e.f.calls[id]
		if c.down == e {
			c.down = nil
		}
		if c.up != e {
			continue
		}
		if c.down != nil {
			c.down.close()
		}
		e.f.release(uint32(id))
	}
}
