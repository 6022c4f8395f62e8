package eventloop

import (
	"net/netip"
	"syscall"
	"time"
)

// EventFlags says what happened to a descriptor. The values are those of
// epoll(7), so that the Linux kernel's need no translation.
type EventFlags uint32

// The conditions that a Kernel reports.
const (
	EventReadable   EventFlags = 0x1    // data or a connection to accept
	EventWritable   EventFlags = 0x4    // room in the send buffer
	EventError      EventFlags = 0x8    // a pending socket error
	EventHangUp     EventFlags = 0x10   // both directions are shut
	EventReadHangUp EventFlags = 0x2000 // the peer will send no more
)

// Event is one ready descriptor, named by the token given to Watch.
type Event struct {
	Token uint64
	Flags EventFlags
}

// Kernel is all that a loop asks of the operating system: the poller and the
// socket calls. One belongs to one loop and, Wake aside, is used on its
// goroutine only. Implementations: epoll (Linux), poll(2) (Linux and darwin)
// and package looptest's.
//
// Readiness is edge-triggered: after an event, the same condition is reported
// again only when it changes or after a call fell short (EAGAIN, or fewer bytes
// than asked for).
type Kernel interface {
	// Watch starts reporting on fd under token.
	Watch(fd int, token uint64) error
	// Forget ends that. It precedes Close.
	Forget(fd int)
	// Wait fills events and returns their number. Timeout 0 polls without
	// waiting and without the scheduler's help; below 0 it waits for ever.
	Wait(events []Event, timeout time.Duration) (int, error)
	// Wake makes a Wait that is under way, or the next one, return. It may be
	// called on any goroutine.
	Wake()

	// Read and its like return a count above 0 with errno 0, 0 with errno 0
	// (Read only: end of stream), or 0 with the error.
	Read(fd int, p []byte) (int, syscall.Errno)
	Write(fd int, p []byte) (int, syscall.Errno)
	Writev(fd int, v [][]byte) (int, syscall.Errno)
	// Accept returns a non-blocking descriptor and, for TCP, the peer's address.
	Accept(fd int) (int, netip.AddrPort, syscall.Errno)
	// Connect starts a connection. The descriptor is valid with errno 0 or
	// EINPROGRESS.
	Connect(to Addr, cfg *DialConfig) (int, syscall.Errno)
	// SocketError takes the pending error of fd.
	SocketError(fd int) syscall.Errno
	// LocalAddr returns the zero Addr when it is not known.
	LocalAddr(fd int) Addr
	// Shutdown ends the sending direction.
	Shutdown(fd int) syscall.Errno
	// Close closes fd; with abort set the peer sees a reset.
	Close(fd int, abort bool)

	// Release frees the poller itself.
	Release()
}

// maxVec is the number of pieces that one Writev carries.
const maxVec = 64
