package looptest

import (
	"net/netip"
	"syscall"

	"sofamesh.io/sofamesh/mosn/eventloop"
)

// Outcome is how a connection that a loop dials fares.
type Outcome int

// The outcomes that OnDial takes.
const (
	Accept        Outcome = iota // established at once
	Hold                         // undecided until Peer.Establish or Peer.Fail
	Refuse                       // ECONNREFUSED, which is also what an unknown address gets
	Unreachable                  // EHOSTUNREACH
	NoDescriptors                // EMFILE from socket(2)
)

// Net is the network around one loop: what a test scripts. Descriptors are
// reused as the system does it, lowest first.
type Net struct {
	files     []*file // by descriptor
	ready     []*file // have events to report
	listeners map[eventloop.Addr]*file
	outcomes  map[eventloop.Addr]Outcome
	dialled   map[eventloop.Addr][]*Peer
	nextPort  uint16

	acceptErrs []syscall.Errno
	calls      Calls
}

// Calls counts what would have been system calls.
type Calls struct {
	Waits, Reads, Writes, Accepts, Connects, Closes, Options int
}

// file is one open descriptor: a listener or the loop's end of a connection.
type file struct {
	fd      int
	net     *Net
	token   uint64
	watched bool
	closed  bool
	events  eventloop.EventFlags // not reported yet
	queued  bool                 // in net.ready

	backlog []*Peer // listener
	peer    *Peer   // connection
}

func newNet() *Net {
	return &Net{
		listeners: map[eventloop.Addr]*file{},
		outcomes:  map[eventloop.Addr]Outcome{},
		dialled:   map[eventloop.Addr][]*Peer{},
		nextPort:  40000,
	}
}

// Calls returns the number of calls made so far.
func (n *Net) Calls() Calls { return n.calls }

// OpenFiles returns the number of descriptors that the loop has open.
func (n *Net) OpenFiles() int {
	open := 0
	for _, f := range n.files {
		if f != nil {
			open++
		}
	}
	return open
}

// Listen opens a listening socket for Loop.Serve.
func (n *Net) Listen(addr eventloop.Addr) *eventloop.Socket {
	f := n.open()
	n.listeners[addr] = f
	return eventloop.NewSocket(f.fd, addr)
}

// FailAccept makes the next accepts fail.
func (n *Net) FailAccept(errs ...syscall.Errno) { n.acceptErrs = append(n.acceptErrs, errs...) }

// OnDial sets how connections to addr fare from now on.
func (n *Net) OnDial(addr eventloop.Addr, o Outcome) { n.outcomes[addr] = o }

// Client has a client connect to a socket of Listen. It panics when nobody
// listens there.
func (n *Net) Client(addr eventloop.Addr) *Peer {
	f := n.listeners[addr]
	if f == nil {
		panic("looptest: nobody listens on " + addr.String())
	}
	n.nextPort++
	p := newPeer(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), n.nextPort), addr.AddrPort)
	f.backlog = append(f.backlog, p)
	f.raise(eventloop.EventReadable)
	return p
}

// Dialled returns the far end of the oldest connection that the loop has dialled
// to addr and that was not returned yet, or nil.
func (n *Net) Dialled(addr eventloop.Addr) *Peer {
	q := n.dialled[addr]
	if len(q) == 0 {
		return nil
	}
	n.dialled[addr] = q[1:]
	return q[0]
}

func (n *Net) open() *file {
	f := &file{net: n}
	for fd, other := range n.files {
		if other == nil {
			f.fd = fd
			n.files[fd] = f
			return f
		}
	}
	f.fd = len(n.files)
	n.files = append(n.files, f)
	return f
}

// raise adds events to report.
func (f *file) raise(events eventloop.EventFlags) {
	f.events |= events
	if f.watched && !f.queued && !f.closed && f.events != 0 {
		f.queued = true
		f.net.ready = append(f.net.ready, f)
	}
}
