package eventloop

import (
	"net/netip"
	"syscall"
	"time"
)

// acceptPause is how long a listener waits when no descriptor is to be had.
const acceptPause = 100 * time.Millisecond

// Acceptor takes the connections of a listener, on its loop.
type Acceptor interface {
	// OnAccept returns the owner of a new connection, or nil to refuse it.
	OnAccept(ln *Listener, c *Conn) Handler
}

// ListenerStats are totals of one Listener.
type ListenerStats struct {
	Accepted  uint64 // connections handed to the Acceptor
	Errors    uint64 // accepts that failed, but for want of a descriptor
	Exhausted uint64 // times that no descriptor was to be had
}

// Listener is a listening socket on one loop.
type Listener struct {
	loop     *Loop
	acceptor Acceptor
	addr     Addr
	fd       int
	slot     uint32
	pending  bool // the kernel may have connections to accept
	paused   bool
	resting  bool // after exhaustion
	queued   bool // on loop.accepts
	timer    Timer
	stats    ListenerStats
}

// Serve begins to accept on s, which it takes over.
func (l *Loop) Serve(s *Socket, a Acceptor) (*Listener, error) {
	l.AssertOwner()
	ln := &Listener{loop: l, acceptor: a, addr: s.addr, fd: s.fd}
	ln.timer.Init(l, (*listenerTimer)(ln))
	var token uint64
	ln.slot, token = l.slots.take(nil, ln)
	if err := l.kernel.Watch(s.fd, token); err != nil {
		l.slots.release(ln.slot)
		return nil, sysError("listen", errnoOf(err))
	}
	s.fd = -1
	return ln, nil
}

// Addr returns the address listened on. Any goroutine.
func (ln *Listener) Addr() Addr { return ln.addr }

// Loop returns the loop that the listener belongs to. Any goroutine.
func (ln *Listener) Loop() *Loop { return ln.loop }

// FD returns the descriptor, or -1 after Close.
func (ln *Listener) FD() int { return ln.fd }

// Stats returns the totals so far.
func (ln *Listener) Stats() ListenerStats { return ln.stats }

// Pause stops accepting; clients wait in the system's queue.
func (ln *Listener) Pause() { ln.paused = true }

// Resume undoes Pause.
func (ln *Listener) Resume() {
	ln.paused = false
	ln.enqueue()
}

// Close closes the socket; what waits in its queue is reset by the system.
func (ln *Listener) Close() {
	if ln.fd < 0 {
		return
	}
	ln.timer.Stop()
	ln.loop.kernel.Forget(ln.fd)
	ln.loop.kernel.Close(ln.fd, false)
	ln.loop.slots.release(ln.slot)
	ln.fd = -1
}

// enqueue has the loop accept later in the turn, if there may be something.
func (ln *Listener) enqueue() {
	if ln.pending && !ln.queued && ln.fd >= 0 {
		ln.queued = true
		ln.loop.accepts = append(ln.loop.accepts, ln)
	}
}

// acceptFrom accepts until the queue is empty or the budget is used up.
func (l *Loop) acceptFrom(ln *Listener) {
	ln.pending = true
	for range acceptBudget {
		if ln.paused || ln.resting || ln.fd < 0 {
			return
		}
		fd, from, errno := l.kernel.Accept(ln.fd)
		switch errno {
		case 0:
			l.accepted(ln, fd, from)
		case syscall.EAGAIN:
			ln.pending = false
			return
		case syscall.EINTR:
		case syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM, // of that one connection
			syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH:
			ln.stats.Errors++
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
			ln.stats.Exhausted++
			ln.rest()
		default:
			ln.stats.Errors++
			ln.rest()
		}
	}
	ln.enqueue()
}

// rest stops accepting for a while, so that a condition that lasts does not
// make the loop spin.
func (ln *Listener) rest() {
	ln.resting = true
	ln.timer.Arm(acceptPause)
}

type listenerTimer Listener

// OnTimer ends a rest.
func (t *listenerTimer) OnTimer(*Timer) {
	ln := (*Listener)(t)
	ln.resting = false
	ln.enqueue()
}

func (l *Loop) accepted(ln *Listener, fd int, from netip.AddrPort) {
	ln.stats.Accepted++
	c := l.newConn(NopHandler{})
	c.set(fAccepted | fWritable)
	c.remote = from
	if ln.addr.IsUnix() {
		c.path = &ln.addr.Path
	}
	if err := c.watch(fd); err != nil {
		c.finish(sysError("accept", errnoOf(err)), false)
		return
	}
	defer l.recovered(c)
	h := ln.acceptor.OnAccept(ln, c)
	if h == nil {
		c.Close()
		return
	}
	c.handler = h
}
