package looptest

import (
	"net/netip"
	"syscall"

	"sofamesh.io/sofamesh/mosn/eventloop"
)

// Peer is the far end of a connection, scripted by the test. What it does takes
// effect in the loop's next turns.
type Peer struct {
	file     *file // nil until accepted
	addr     netip.AddrPort
	loopAddr netip.AddrPort

	toLoop  []byte // sent, not read by the loop yet, from off
	off     int
	arrived []byte // written by the loop, not taken by the test yet
	total   int    // written by the loop since the beginning
	discard bool

	connecting bool
	err        syscall.Errno // pending socket error of the loop's end
	broken     bool          // after a reset nothing passes any more
	done       bool          // the peer sends no more
	gone       bool          // the peer has closed: what the loop writes makes a reset
	loopDone   bool          // the loop sends no more
	reset      bool          // the loop's end was reset towards the peer
	wantWrite  bool          // the loop met a full window

	window            int // bytes the loop may write, below 0 any
	maxRead, maxWrite int // bytes a call moves, 0 any
}

func newPeer(addr, loopAddr netip.AddrPort) *Peer {
	return &Peer{addr: addr, loopAddr: loopAddr, window: -1}
}

// Addr returns the peer's address.
func (p *Peer) Addr() netip.AddrPort { return p.addr }

// Accepted reports whether the loop has taken the connection.
func (p *Peer) Accepted() bool { return p.file != nil }

// attach gives the loop its end and reports what happened before.
func (p *Peer) attach(f *file) {
	p.file, f.peer = f, p
	if p.connecting {
		return
	}
	events := eventloop.EventWritable
	if len(p.toLoop) > p.off {
		events |= eventloop.EventReadable
	}
	if p.done {
		events |= eventloop.EventReadable | eventloop.EventReadHangUp
	}
	if p.broken {
		events |= brokenEvents
	}
	f.raise(events)
}

const brokenEvents = eventloop.EventReadable | eventloop.EventWritable | eventloop.EventReadHangUp |
	eventloop.EventHangUp | eventloop.EventError

func (p *Peer) raise(events eventloop.EventFlags) {
	if p.file != nil && !p.file.closed && !p.connecting {
		p.file.raise(events)
	}
}

// Establish completes a connection whose outcome was Hold.
func (p *Peer) Establish() {
	p.connecting = false
	p.raise(eventloop.EventWritable)
}

// Fail ends a connection whose outcome was Hold.
func (p *Peer) Fail(errno syscall.Errno) {
	p.connecting = false
	p.err, p.broken = errno, true
	p.raise(brokenEvents)
}

// Send sends bytes to the loop.
func (p *Peer) Send(data string) {
	p.toLoop = append(p.toLoop, data...)
	p.raise(eventloop.EventReadable)
}

// SendBytes is Send without a conversion.
func (p *Peer) SendBytes(data []byte) {
	p.toLoop = append(p.toLoop, data...)
	p.raise(eventloop.EventReadable)
}

// Unread returns the number of bytes sent that the loop has not read.
func (p *Peer) Unread() int { return len(p.toLoop) - p.off }

// Received takes what the loop has written since the last call.
func (p *Peer) Received() string {
	s := string(p.arrived)
	p.arrived = p.arrived[:0]
	return s
}

// Take is Received without a copy; the slice is valid until the loop turns.
func (p *Peer) Take() []byte {
	b := p.arrived
	p.arrived = p.arrived[:0]
	return b
}

// Total returns the number of bytes that the loop has written so far.
func (p *Peer) Total() int { return p.total }

// Discard drops what the loop writes from now on, but for Total.
func (p *Peer) Discard() { p.discard = true }

// Window lets the loop write n more bytes; below 0 it may write any number.
func (p *Peer) Window(n int) {
	p.window = n
	if n != 0 && p.wantWrite {
		p.wantWrite = false
		p.raise(eventloop.EventWritable)
	}
}

// Segments limits the bytes that one read or one write of the loop moves; 0 is
// no limit. The loop is told of the rest by another event, as when it had come
// later.
func (p *Peer) Segments(read, write int) { p.maxRead, p.maxWrite = read, write }

// CloseWrite sends the end of the stream; the peer still reads.
func (p *Peer) CloseWrite() {
	p.done = true
	p.raise(p.ending())
}

// Close closes the peer's end in order; what the loop writes afterwards meets a
// reset.
func (p *Peer) Close() {
	p.gone = true
	p.CloseWrite()
}

// Reset breaks the connection.
func (p *Peer) Reset() {
	p.gone, p.broken = true, true
	p.err = syscall.ECONNRESET
	p.raise(brokenEvents)
}

// ending returns the events of the peer's FIN.
func (p *Peer) ending() eventloop.EventFlags {
	events := eventloop.EventReadable | eventloop.EventReadHangUp
	if p.loopDone {
		events |= eventloop.EventHangUp
	}
	return events
}

// Ended reports whether the peer has seen the loop's end of the stream or a
// reset.
func (p *Peer) Ended() bool { return p.loopDone || p.reset }

// Closed reports whether the loop has closed its descriptor.
func (p *Peer) Closed() bool { return p.file != nil && p.file.closed }

// SawReset reports whether the loop ended the connection by a reset.
func (p *Peer) SawReset() bool { return p.reset }

func (p *Peer) loopClosed(abort bool) {
	p.loopDone = true
	p.reset = p.reset || abort || p.Unread() > 0
}

// read is the loop's read.
func (p *Peer) read(dst []byte) (int, syscall.Errno) {
	if p.Unread() == 0 {
		switch {
		case p.err != 0:
			errno := p.err
			p.err = 0
			return 0, errno
		case p.done || p.broken:
			return 0, 0
		}
		return 0, syscall.EAGAIN
	}
	n := min(len(dst), p.Unread())
	if p.maxRead > 0 && n > p.maxRead {
		n = p.maxRead
		p.raise(eventloop.EventReadable)
	}
	copy(dst, p.toLoop[p.off:p.off+n])
	if p.off += n; p.off == len(p.toLoop) {
		p.toLoop, p.off = p.toLoop[:0], 0
	}
	return n, 0
}

// write is the loop's write.
func (p *Peer) write(src []byte) (int, syscall.Errno) {
	switch {
	case p.broken || p.loopDone:
		return 0, syscall.EPIPE
	case p.gone:
		p.Reset()
		return len(src), 0
	case p.connecting || p.window == 0:
		p.wantWrite = true
		return 0, syscall.EAGAIN
	}
	n := len(src)
	if p.maxWrite > 0 && n > p.maxWrite {
		n = p.maxWrite
		p.raise(eventloop.EventWritable)
	}
	if p.window > 0 {
		if n > p.window {
			n = p.window
			p.wantWrite = true
		}
		p.window -= n
	}
	if !p.discard {
		p.arrived = append(p.arrived, src[:n]...)
	}
	p.total += n
	return n, 0
}
