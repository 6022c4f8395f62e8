//go:build linux

// Package floor is the cheapest thing that can stand between a client and a server on Linux with epoll: one thread that pairs each
// downstream connection with one upstream connection and copies bytes. It parses nothing, so no proxy built on epoll can cost less;
// what a proxy costs above it is the price of what the proxy does.
//
// For clients that open a connection per request there is a second listener, whose connections end with their first answer, as a
// proxy that knows the protocol ends them; otherwise the floor would wait for a client's FIN that no proxy waits for.
//
// It owns its sockets and one buffer. The bench runs it as a process of its own, with a single goroutine.
package floor

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

const bufferSize = 64 << 10

// end is one connection. Its peer is the other half of the pair, 0 for an upstream that waits for the next downstream.
type end struct {
	peer     int32
	open     bool
	upstream bool
	once     bool   // downstream: to be closed after the first answer, which must fit one read
	answered bool   // upstream: the last bytes went downstream, so the exchange is over as far as a byte copier can know
	pending  []byte // what this socket did not take yet; while there is some, its peer is not read
}

// Forwarder copies bytes between pairs of connections. It belongs to one goroutine.
type Forwarder struct {
	ep       int
	listener int // of connections that stay
	oneShot  int // of connections for one answer each
	upstream netip.AddrPort
	ends     []end // by descriptor
	spare    []int // idle upstream connections, most recently used last
	buf      [bufferSize]byte
	events   [256]unix.EpollEvent
}

// New forwards connections accepted on addr and, one answer each, on oneShot to upstream. Port 0 takes any port; Addrs tells which.
func New(addr, oneShot, upstream netip.AddrPort) (*Forwarder, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("getrlimit: %w", err)
	}
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	f := &Forwarder{ep: ep, listener: -1, oneShot: -1, upstream: upstream, ends: make([]end, min(limit.Cur, 1<<20))}
	if f.listener, err = f.listen(addr); err == nil {
		f.oneShot, err = f.listen(oneShot)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Forwarder) listen(addr netip.AddrPort) (int, error) {
	fd, err := rawsock.Listen(addr)
	if err != nil {
		return -1, err
	}
	if errno := rawsock.Watch(f.ep, fd, unix.EPOLLIN); errno != 0 {
		rawsock.Close(fd)
		return -1, fmt.Errorf("epoll_ctl: %w", errno)
	}
	return fd, nil
}

// Addrs are the addresses of the listener and of the one-shot listener.
func (f *Forwarder) Addrs() (addr, oneShot netip.AddrPort, err error) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	port, err := rawsock.Port(f.listener)
	if err != nil {
		return addr, oneShot, err
	}
	addr = netip.AddrPortFrom(loopback, port)
	port, err = rawsock.Port(f.oneShot)
	return addr, netip.AddrPortFrom(loopback, port), err
}

// Run forwards until epoll itself fails.
func (f *Forwarder) Run() error {
	for {
		if err := f.Turn(-1); err != nil {
			return err
		}
	}
}

// Turn waits up to millis once and moves what is ready.
func (f *Forwarder) Turn(millis int) error {
	n, errno := rawsock.Wait(f.ep, f.events[:], millis)
	if errno != 0 && errno != unix.EINTR {
		return fmt.Errorf("epoll_wait: %w", errno)
	}
	for i := range f.events[:n] {
		ev := &f.events[i]
		if fd := int(ev.Fd); fd != f.listener && fd != f.oneShot {
			f.ready(fd, ev.Events)
		} else if err := f.accept(fd); err != nil {
			return err
		}
	}
	return nil
}

// Close gives all descriptors back.
func (f *Forwarder) Close() {
	for fd := range f.ends {
		if f.ends[fd].open {
			rawsock.Close(fd)
		}
	}
	for _, fd := range []int{f.listener, f.oneShot, f.ep} {
		if fd >= 0 {
			rawsock.Close(fd)
		}
	}
}

func (f *Forwarder) accept(listener int) error {
	for {
		down, errno := rawsock.Accept(listener)
		switch errno {
		case 0:
		case unix.EAGAIN, unix.ECONNABORTED, unix.EINTR:
			return nil
		default:
			return fmt.Errorf("accept: %w", errno)
		}
		up, err := f.take()
		if err == nil {
			err = f.add(down, end{peer: int32(up), open: true, once: listener == f.oneShot})
		}
		if err != nil {
			return err // the bench is sized to fit: running out of descriptors is a mistake in it, not a case to serve
		}
		f.ends[up].peer, f.ends[up].answered = int32(down), true
	}
}

// take gives an upstream connection: an idle one, else a new one whose handshake may still be under way.
func (f *Forwarder) take() (int, error) {
	if n := len(f.spare); n > 0 {
		fd := f.spare[n-1]
		f.spare = f.spare[:n-1]
		return fd, nil
	}
	fd, err := rawsock.Dial(f.upstream)
	if err != nil {
		return -1, err
	}
	return fd, f.add(fd, end{open: true, upstream: true})
}

func (f *Forwarder) add(fd int, e end) error {
	if fd >= len(f.ends) {
		return errors.New("descriptor above RLIMIT_NOFILE")
	}
	e.pending = f.ends[fd].pending[:0] // the descriptor number's last buffer serves again
	f.ends[fd] = e
	if errno := rawsock.Watch(f.ep, fd, rawsock.Edge); errno != 0 {
		return fmt.Errorf("epoll_ctl: %w", errno)
	}
	return nil
}

// ready handles one connection's event: first what waits to be written to it, which lets its peer be read again, then what it holds.
func (f *Forwarder) ready(fd int, events uint32) {
	e := &f.ends[fd]
	if !e.open {
		return // stale: closed earlier in this turn
	}
	if len(e.pending) > 0 && events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		peer := int(e.peer)
		if !f.flush(fd) {
			return
		}
		if e.once {
			f.end(fd)
			return
		}
		f.pump(peer, rawsock.Ended) // its edge may have passed while it was not read
	}
	if events&(unix.EPOLLIN|rawsock.Ended) != 0 && e.open {
		f.pump(fd, events)
	}
}

// pump reads fd into its peer until the socket is drained, the peer is full or the stream has ended.
func (f *Forwarder) pump(fd int, events uint32) {
	for {
		e := &f.ends[fd]
		if e.peer != 0 && len(f.ends[e.peer].pending) > 0 {
			return
		}
		n, errno := rawsock.Recv(fd, f.buf[:])
		if errno == unix.EAGAIN {
			return
		}
		if errno != 0 || n == 0 || e.peer == 0 { // ended, failed, or spoke while nobody listens
			f.end(fd)
			return
		}
		if !f.forward(e, f.buf[:n]) {
			return
		}
		if n < len(f.buf) && events&rawsock.Ended == 0 {
			return // a short read is a drained socket
		}
	}
}

// forward writes data to e's peer and keeps what does not fit; false when they are no pair any more.
func (f *Forwarder) forward(e *end, data []byte) bool {
	peer := int(e.peer)
	p := &f.ends[peer]
	e.answered, p.answered = e.upstream, e.upstream
	n, errno := rawsock.Send(peer, data)
	if errno != 0 && errno != unix.EAGAIN {
		f.end(peer)
		return false
	}
	if n < len(data) {
		p.pending = append(p.pending, data[n:]...)
	} else if p.once {
		f.end(peer)
		return false
	}
	return true
}

// flush writes fd's pending bytes; true when none are left.
func (f *Forwarder) flush(fd int) bool {
	e := &f.ends[fd]
	n, errno := rawsock.Send(fd, e.pending)
	if errno == unix.EAGAIN {
		return false
	}
	if errno != 0 {
		f.end(fd)
		return false
	}
	e.pending = append(e.pending[:0], e.pending[n:]...)
	return len(e.pending) == 0
}

// end closes fd. A downstream that left after a complete answer gives its upstream back; every other pair is closed as a whole.
func (f *Forwarder) end(fd int) {
	peer := int(f.ends[fd].peer)
	f.close(fd)
	switch p := &f.ends[peer]; {
	case peer == 0:
	case p.upstream && p.answered && len(p.pending) == 0:
		p.peer = 0
		f.spare = append(f.spare, peer)
	default:
		f.close(peer)
	}
}

func (f *Forwarder) close(fd int) {
	e := &f.ends[fd]
	if e.upstream && e.peer == 0 {
		f.unspare(fd)
	}
	*e = end{pending: e.pending[:0]}
	rawsock.Close(fd)
}

func (f *Forwarder) unspare(fd int) {
	for i, s := range f.spare {
		if s == fd {
			f.spare = append(f.spare[:i], f.spare[i+1:]...)
			return
		}
	}
}
