package eventloop

import (
	"errors"
	"syscall"
)

// Kind classes what ended a connection.
type Kind uint8

// The kinds of Error.
const (
	KindOther         Kind = iota
	KindRefused            // nobody listens there
	KindTimeout            // no connection, or no acknowledgement, in time
	KindReset              // the peer reset the connection
	KindUnreachable        // no route to the network or host
	KindPeerClosed         // the peer closed while reading was disabled (DetectEarlyClose)
	KindNoDescriptors      // this process or machine has no descriptor left
	KindNoAddress          // no local address or port to connect from
	KindPanic              // a handler panicked
	KindStopped            // the loop stopped
	KindTruncated          // the peer ended a stream whose transport has an end of its own without that
	KindTransport          // the transport failed: a handshake that came to nothing, forged bytes
	KindOverload           // too much of it at a time
)

var kindNames = [...]string{"error", "refused", "timeout", "reset", "unreachable", "peer closed",
	"no descriptors", "no local address", "panic in a handler", "loop stopped", "truncated", "transport failure", "overload"}

// String returns a word for logs.
func (k Kind) String() string { return kindNames[k] }

// Error is why a connection ended otherwise than by our own closing it.
type Error struct {
	Op    string // connect, read, write, ...
	Kind  Kind
	Errno syscall.Errno // 0 when there is none
	Cause error         // of KindTransport, what the transport has to say; else nil
}

func (e *Error) Error() string {
	s := e.Op + ": " + e.Kind.String()
	if e.Errno != 0 {
		s += " (" + e.Errno.Error() + ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the system's error or the transport's, if there is one.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return e.Cause
	}
	return e.Errno
}

// Is makes errors with the same kind as a target without Op and Errno match.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Op == "" && t.Errno == 0
}

// Targets for errors.Is. ErrStopped is also what Post returns.
var (
	ErrPeerClosed error = &Error{Kind: KindPeerClosed}
	ErrReset      error = &Error{Kind: KindReset}
	ErrStopped    error = &Error{Op: "loop", Kind: KindStopped}
)

// ErrAgain is what Conn.ReadWire returns while there is nothing: a net.Error that says
// of itself that it is temporary, as crypto/tls wants it.
var ErrAgain error = again{}

type again struct{}

func (again) Error() string   { return "nothing more for now" }
func (again) Timeout() bool   { return false }
func (again) Temporary() bool { return true }

// KindOf returns the kind of err, KindOther when it is not an Error.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindOther
}

func sysError(op string, errno syscall.Errno) error {
	return &Error{Op: op, Kind: kindOfErrno(errno), Errno: errno}
}

func kindOfErrno(errno syscall.Errno) Kind {
	switch errno {
	case syscall.ECONNREFUSED,
		syscall.ENOENT, // a Unix socket that is not there,
		syscall.EAGAIN: // or whose queue is full
		return KindRefused
	case syscall.ETIMEDOUT:
		return KindTimeout
	case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED:
		return KindReset
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN:
		return KindUnreachable
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
		return KindNoDescriptors
	case syscall.EADDRNOTAVAIL, syscall.EADDRINUSE:
		return KindNoAddress
	}
	return KindOther
}
