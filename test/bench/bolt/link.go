//go:build linux

package bolt

import (
	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// BufferBytes is the size of the buffer to read into, one for all links of a loop: it holds nothing between events.
const BufferBytes = 64 << 10

const maxOut = 4 << 20 // bytes that may wait for a socket

// Link is a connection of which whole frames are read and to which they are written, gathered: Out is filled while a turn's events
// are handled, Flush writes it with one call.
type Link struct {
	FD   int
	Out  []byte
	full bool   // the socket took less than it was given, or is not connected yet
	rest []byte // an incomplete frame, above all of what was read last
}

// Dialed is the link of a connection that is being made.
func (l *Link) Dialed(fd int) { *l = Link{FD: fd, Out: l.Out[:0], rest: l.rest[:0], full: true} }

// Accepted is the link of a connection that stands.
func (l *Link) Accepted(fd int) { *l = Link{FD: fd, Out: l.Out[:0], rest: l.rest[:0]} }

// Writable has Flush try again.
func (l *Link) Writable() { l.full = false }

// Receive reads until the socket is drained and calls take with each whole frame, which take may change. It gives false when the link
// has ended, failed, sent a malformed frame or one that take does not like.
func (l *Link) Receive(events uint32, buf []byte, take func(Frame, []byte) bool) bool {
	for {
		kept := copy(buf, l.rest)
		n, errno := rawsock.Recv(l.FD, buf[kept:])
		if errno == unix.EAGAIN {
			return true
		}
		if errno != 0 || n == 0 {
			return false
		}
		rest, ok := each(buf[:kept+n], take)
		if !ok {
			return false
		}
		l.rest = append(l.rest[:0], rest...)
		if kept+n < len(buf) && events&rawsock.Ended == 0 {
			return true // a short read is a drained socket
		}
	}
}

// each calls take with the frames in data and gives what is left.
func each(data []byte, take func(Frame, []byte) bool) (rest []byte, ok bool) {
	for len(data) > 0 {
		f, ok := Parse(data)
		if !ok {
			return nil, false
		}
		if f.Size == 0 || f.Size > len(data) {
			break
		}
		if !take(f, data[:f.Size]) {
			return nil, false
		}
		data = data[f.Size:]
	}
	return data, true
}

// Flush writes Out as far as the socket takes it; what it does not take waits. False: the link is dead, or too much waits.
func (l *Link) Flush() bool {
	if l.full || len(l.Out) == 0 {
		return len(l.Out) <= maxOut
	}
	n, errno := rawsock.Send(l.FD, l.Out)
	if errno != 0 && errno != unix.EAGAIN {
		return false
	}
	l.full = n < len(l.Out)
	l.Out = append(l.Out[:0], l.Out[n:]...)
	return true
}
