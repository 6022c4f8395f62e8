package looptest

import (
	"net/netip"
	"syscall"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
)

// kernel is a Net as the loop sees it: an eventloop.Kernel.
type kernel struct{ *Net }

// Watch begins to report on fd.
func (k kernel) Watch(fd int, token uint64) error {
	f := k.files[fd]
	f.token, f.watched = token, true
	f.raise(0)
	return nil
}

// Forget ends watching.
func (k kernel) Forget(fd int) { k.files[fd].watched = false }

// Wait returns what was raised. It cannot wait: the loop runs by RunTurn.
func (k kernel) Wait(events []eventloop.Event, timeout time.Duration) (int, error) {
	if timeout != 0 {
		panic("looptest: a loop over this kernel must not be started")
	}
	k.calls.Waits++
	n, taken := 0, 0
	for _, f := range k.ready {
		if n == len(events) {
			break
		}
		taken++
		f.queued = false
		if f.watched && !f.closed {
			events[n] = eventloop.Event{Token: f.token, Flags: f.events}
			f.events = 0
			n++
		}
	}
	k.ready = append(k.ready[:0], k.ready[taken:]...)
	return n, nil
}

// Wake has nobody to wake.
func (k kernel) Wake() {}

// Accept takes a client of Net.Client.
func (k kernel) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	k.calls.Accepts++
	ln := k.files[fd]
	if len(ln.backlog) == 0 {
		return -1, netip.AddrPort{}, syscall.EAGAIN
	}
	if len(k.acceptErrs) > 0 {
		errno := k.acceptErrs[0]
		k.acceptErrs = k.acceptErrs[1:]
		return -1, netip.AddrPort{}, errno
	}
	p := ln.backlog[0]
	ln.backlog = ln.backlog[1:]
	f := k.open()
	p.attach(f)
	return f.fd, p.addr, 0
}

// Connect begins a connection whose outcome OnDial set.
func (k kernel) Connect(to eventloop.Addr, _ *eventloop.DialConfig) (int, syscall.Errno) {
	k.calls.Connects++
	o, known := k.outcomes[to]
	if !known {
		o = Refuse
	}
	if o == NoDescriptors {
		return -1, syscall.EMFILE
	}
	k.nextPort++
	p := newPeer(to.AddrPort, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 2}), k.nextPort))
	p.connecting = true
	f := k.open()
	p.attach(f)
	switch o {
	case Refuse:
		p.Fail(syscall.ECONNREFUSED)
	case Unreachable:
		p.Fail(syscall.EHOSTUNREACH)
	case Accept:
		p.Establish()
	case Hold:
	}
	if o == Accept || o == Hold {
		k.dialled[to] = append(k.dialled[to], p)
	}
	return f.fd, syscall.EINPROGRESS
}

// SocketError takes the pending error.
func (k kernel) SocketError(fd int) syscall.Errno {
	k.calls.Options++
	p := k.files[fd].peer
	errno := p.err
	p.err = 0
	return errno
}

// LocalAddr returns the loop's address.
func (k kernel) LocalAddr(fd int) eventloop.Addr {
	k.calls.Options++
	return eventloop.TCPAddr(k.files[fd].peer.loopAddr)
}

// Read takes what the peer sent.
func (k kernel) Read(fd int, p []byte) (int, syscall.Errno) {
	k.calls.Reads++
	return k.files[fd].peer.read(p)
}

// Write gives the peer what fits.
func (k kernel) Write(fd int, p []byte) (int, syscall.Errno) {
	k.calls.Writes++
	return k.files[fd].peer.write(p)
}

// Writev writes the pieces in order until one does not fit.
func (k kernel) Writev(fd int, v [][]byte) (int, syscall.Errno) {
	k.calls.Writes++
	total := 0
	for _, piece := range v {
		n, errno := k.files[fd].peer.write(piece)
		total += n
		if errno != 0 && total == 0 {
			return 0, errno
		}
		if n < len(piece) {
			break
		}
	}
	return total, 0
}

// Shutdown ends the loop's sending.
func (k kernel) Shutdown(fd int) syscall.Errno {
	k.calls.Options++
	k.files[fd].peer.loopDone = true
	return 0
}

// Close closes the loop's end. As on Linux the peer sees a reset when there is
// unread input.
func (k kernel) Close(fd int, abort bool) {
	k.calls.Closes++
	f := k.files[fd]
	f.closed = true
	k.files[fd] = nil
	if f.peer != nil {
		f.peer.loopClosed(abort)
	}
	for addr, ln := range k.listeners {
		if ln == f {
			delete(k.listeners, addr)
			for _, p := range f.backlog {
				p.reset = true
			}
		}
	}
}

// Release frees nothing.
func (k kernel) Release() {}
