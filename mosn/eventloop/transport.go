package eventloop

import (
	"io"
	"syscall"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// Transport stands between the bytes of the wire and those of a connection's owner:
// TLS. All calls come on the loop. It begins with a handshake; while that is going on
// the owner sees nothing, and what it writes waits.
type Transport interface {
	// Start begins the handshake of a connection that is established. Bytes for the peer go
	// into Conn.Wire; the end is Conn.Secured or Conn.Fail, not from within a call.
	Start(c *Conn)
	// OnWire brings bytes of the handshake, valid during the call. With more false, no
	// others are read before Conn.MoreWire.
	OnWire(c *Conn, wire []byte) (more bool)
	// Read fills p with bytes for the owner, taking those of the wire by Conn.ReadWire. The
	// error is ErrAgain while there are none, io.EOF when the peer has said that it sends
	// no more, else an *Error. It comes without bytes, and again when asked again.
	Read(c *Conn, p []byte) (int, error)
	// Write puts p, of at most sdk.ChunkSize bytes, into Conn.Wire.
	Write(c *Conn, p []byte) error
	// CloseWrite tells the peer, in Conn.Wire, that we send no more. It comes at most once.
	CloseWrite(c *Conn)
	// Closed is the last call: the connection has ended.
	Closed(c *Conn)
	// Info is what is known of the peer once the handshake is over, else nil.
	Info() *sdk.TLSInfo
}

// sealSize is how many of the owner's bytes are sealed ahead of the socket; the rest
// stays in the write queue, where the watermarks see it.
const sealSize = 64 << 10

// sealing is what a connection with a Transport has.
type sealing struct {
	t      Transport
	wire   sdk.Buffer // for the socket
	sealed int        // of the owner's bytes that are in wire
	view   []byte     // read and not yet taken by the transport: in the loop's scratch or in held
	held   leftover   // what is left of it at the end of a turn

	paused   bool // OnWire wants no more for now
	dry      bool // nothing is to be had unless the kernel has something
	announce bool // OnConnect is due
	notified bool // CloseWrite was called
}

// SetTransport puts t between c and the wire, before the first byte: in OnAccept, or
// after Dial. The handshake of an accepted connection may take the time of timeout (0:
// any); that of a dialled one is part of connecting.
func (c *Conn) SetTransport(t Transport, timeout time.Duration) {
	c.tp = &sealing{t: t, dry: true}
	c.tp.wire.Init(c.loop.buffers)
	c.set(fHandshake)
	if c.has(fConnecting | fClosed) {
		return
	}
	if timeout > 0 {
		c.timer.Arm(timeout)
	}
	t.Start(c)
}

// Secure reports whether there is a transport between the connection and the wire.
func (c *Conn) Secure() bool { return c.tp != nil }

// TLS returns what is known of the peer by its transport, nil in plain text and before
// the end of the handshake.
func (c *Conn) TLS() *sdk.TLSInfo {
	if c.tp == nil {
		return nil
	}
	return c.tp.t.Info()
}

// Wire returns the queue of what the transport writes. Call it anew for every burst.
func (c *Conn) Wire() *sdk.Buffer {
	c.touch()
	return &c.tp.wire
}

// MoreWire goes on reading for OnWire.
func (c *Conn) MoreWire() {
	c.tp.paused = false
	c.queueRead()
}

// Secured ends the handshake; rest is what came behind it, which is copied. The
// transport is asked to Read soon, because it may have something already.
func (c *Conn) Secured(rest []byte) {
	if c.has(fClosed) {
		return
	}
	s := c.tp
	if len(rest) > 0 {
		s.held.keep(&c.loop.reads, rest)
	}
	c.clear(fHandshake)
	c.timer.Stop()
	s.dry, s.announce = false, !c.has(fAccepted)
	c.touch()
	c.queueRead()
}

// Fail ends the connection for a fault of its transport, whose last words in Wire are
// still written as far as the socket takes them at once.
func (c *Conn) Fail(err *Error) { c.finish(err, false) }

// ReadWire gives the transport what has come over the wire. The error is ErrAgain when
// there is nothing more for now.
func (c *Conn) ReadWire(p []byte) (int, error) {
	s := c.tp
	if len(s.view) == 0 {
		if err := c.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.view)
	s.view = s.view[n:]
	return n, nil
}

// fetch reads from the socket.
func (c *Conn) fetch() error {
	s, l := c.tp, c.loop
	s.held.release(&l.reads)
	for c.has(fReadable) {
		n, errno := l.kernel.Read(int(c.fd), l.scratch)
		switch {
		case n > 0:
			if n < len(l.scratch) && !c.has(fPeerHalf) {
				c.clear(fReadable)
			}
			s.view = l.scratch[:n]
			return nil
		case errno == syscall.EAGAIN:
			c.clear(fReadable)
		case errno == syscall.EINTR:
		case errno == 0:
			return &Error{Op: "read", Kind: KindTruncated}
		default:
			return sysError("read", errno)
		}
	}
	return ErrAgain
}

// readSealed is read for a connection with a transport.
func (c *Conn) readSealed() {
	s := c.tp
	if c.has(fHandshake) {
		c.readHandshake()
		return
	}
	if s.announce {
		s.announce = false
		if c.handler.OnConnect(c); c.has(fClosed) {
			return
		}
	}
	if c.loop.plain == nil {
		c.loop.plain = make([]byte, scratchSize)
	}
	s.view = s.held.bytes()
	c.readAll()
	if len(s.view) == 0 {
		s.held.release(&c.loop.reads)
	} else {
		s.held.keep(&c.loop.reads, s.view)
	}
	s.view = nil
}

// readHandshake reads for OnWire, within the budget of a turn.
func (c *Conn) readHandshake() {
	l := c.loop
	for budget := scratchSize; c.has(fReadable) && !c.tp.paused && !c.has(fClosed); {
		if budget <= 0 {
			c.queueLater()
			return
		}
		n, errno := l.kernel.Read(int(c.fd), l.scratch)
		switch {
		case n > 0:
			if n < len(l.scratch) && !c.has(fPeerHalf) {
				c.clear(fReadable)
			}
			budget -= n
			c.tp.paused = !c.tp.t.OnWire(c, l.scratch[:n])
		case errno == syscall.EAGAIN:
			c.clear(fReadable)
		case errno == syscall.EINTR:
		case errno == 0:
			c.finish(&Error{Op: "handshake", Kind: KindTruncated}, false)
		default:
			c.finish(sysError("handshake", errno), false)
		}
	}
}

// unseal is readOnce for a connection with a transport: it fills space, or the loop's
// own when nothing is kept.
func (c *Conn) unseal(space []byte, kept int) int {
	s := c.tp
	if kept == 0 {
		space = c.loop.plain
	}
	n := 0
	var err error
	for n < len(space) && err == nil {
		var k int
		k, err = s.t.Read(c, space[n:])
		n += k
	}
	s.dry = err == ErrAgain
	if n > 0 {
		c.arrived(space[:n], kept)
		return n
	}
	switch {
	case s.dry:
	case err == io.EOF:
		s.dry = true
		c.endOfStream()
	default:
		c.finish(err, false)
	}
	return 0
}

// flushSealed seals and writes as far as the socket takes it.
func (c *Conn) flushSealed() {
	s := c.tp
	for c.has(fWritable) && (!s.wire.Empty() || c.seal()) {
		n, ok := c.writeOnce(&s.wire)
		if !ok {
			return
		}
		if n = min(n, s.sealed-1); s.wire.Empty() {
			n = s.sealed
		}
		if n > 0 {
			c.bytesOut += uint64(n)
			s.sealed -= n
		}
	}
	if !c.has(fHandshake | fClosed) {
		c.flushed()
	}
}

// seal has the transport make bytes for the wire, and reports whether there are any.
func (c *Conn) seal() bool {
	s := c.tp
	if c.has(fHandshake) {
		return false
	}
	for s.sealed < sealSize && !c.out.Empty() {
		p := c.out.First()
		if err := s.t.Write(c, p); err != nil {
			c.finish(err, false)
			return false
		}
		s.sealed += len(p)
		c.out.Drain(len(p))
	}
	if c.out.Empty() && c.has(fShutWrite) {
		c.endWire()
	}
	return !s.wire.Empty()
}

// endWire tells the peer that nothing follows.
func (c *Conn) endWire() {
	if !c.tp.notified {
		c.tp.notified = true
		c.tp.t.CloseWrite(c)
	}
}

// lastWords makes one attempt to write what there is for the peer when the connection
// ends: an alert, or that it ends in order, if nothing of the owner's was cut off.
func (c *Conn) lastWords(err error) {
	s := c.tp
	if c.has(fConnecting|fWriteDead) || !c.has(fWritable) {
		return
	}
	if err == nil && c.out.Empty() && !c.has(fHandshake) {
		c.endWire()
	}
	if !s.wire.Empty() {
		_, _ = c.loop.kernel.Writev(int(c.fd), s.wire.Slices(c.loop.vec[:0])) // the connection is over, whatever it says
	}
}

// unwritten reports whether the wire is owed something.
func (s *sealing) unwritten(c *Conn) bool {
	return !s.wire.Empty() || c.has(fShutWrite) && !s.notified
}

// idle reports whether there is nothing to do for it unless the kernel has something.
func (s *sealing) idle() bool { return s.dry && !s.announce }

func (s *sealing) release(c *Conn) {
	s.wire.Release()
	s.view = nil
	s.held.release(&c.loop.reads)
	s.t.Closed(c)
}
