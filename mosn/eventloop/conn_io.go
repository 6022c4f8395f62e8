package eventloop

import (
	"syscall"

	"sofamesh.io/sofamesh/sdk"
)

// connEvent is told what the kernel reports about c.
func (l *Loop) connEvent(c *Conn, flags EventFlags) {
	defer l.recovered(c)
	if c.has(fConnecting) && !c.connected(flags) {
		return
	}
	if flags&EventWritable != 0 && !c.has(fWritable) {
		c.set(fWritable)
		if c.unwritten() || c.has(fShutWrite|fEnding) {
			c.touch()
		}
	}
	if flags&^EventWritable == 0 {
		return
	}
	c.set(fReadable)
	if flags&(EventReadHangUp|EventHangUp|EventError) != 0 {
		c.set(fPeerHalf)
	}
	if flags&(EventHangUp|EventError) != 0 {
		c.set(fPeerGone)
	}
	if l.late {
		c.queueRead()
	} else {
		c.read()
	}
	c.checkGone()
}

// connected takes the outcome of connecting and reports whether c is
// established.
func (c *Conn) connected(flags EventFlags) bool {
	if errno := c.loop.kernel.SocketError(int(c.fd)); errno != 0 {
		c.finish(sysError("connect", errno), false)
		return false
	}
	if flags&EventWritable == 0 {
		return false
	}
	c.clear(fConnecting)
	if c.has(fEnding) { // CloseFlush before the connection stood
		c.set(fWritable)
		c.touch()
		return true
	}
	c.set(fWritable)
	c.touch()
	if c.tp != nil {
		c.tp.t.Start(c) // the timer goes on: it is for both
		return !c.has(fClosed)
	}
	c.timer.Stop()
	c.handler.OnConnect(c)
	return !c.has(fClosed)
}

// reading reports whether the owner wants to be presented data.
func (c *Conn) reading() bool {
	return c.readDisabled == 0 && !c.has(fConnecting|fEnding|fClosed|fStalled)
}

// read reads and presents what there is.
func (c *Conn) read() {
	if c.tp != nil {
		c.readSealed()
		return
	}
	c.readAll()
}

// more reports whether there may be more to read now.
func (c *Conn) more() bool { return c.has(fReadable) || c.tp != nil && !c.tp.dry }

// readAll reads and presents until the kernel has no more, the owner has enough or asks
// for the rest later (Resume), or the budget of the turn is used up.
func (c *Conn) readAll() {
	if c.has(fDiscard) {
		c.discard()
		return
	}
	c.clear(fYielded)
	if c.has(fPresent) && c.reading() && c.in.len() > 0 {
		c.present(c.in.bytes())
	}
	for budget := scratchSize; c.more() && c.reading() && !c.has(fEOF|fYielded); {
		if budget <= 0 {
			c.queueLater()
			return
		}
		n := c.readOnce()
		if n == 0 {
			break
		}
		budget -= n
	}
	if c.has(fYielded) {
		c.queueLater()
	}
}

// readOnce makes one read and presents what it brought. It returns 0 when there
// is nothing more to read for now.
func (c *Conn) readOnce() int {
	l := c.loop
	space := l.scratch
	kept := c.in.len()
	if kept > 0 {
		space = c.in.space(&l.reads, max(int(c.readLimit), kept+1))
	}
	if c.tp != nil {
		return c.unseal(space, kept)
	}
	n, errno := l.kernel.Read(int(c.fd), space)
	if n > 0 {
		if n < len(space) && !c.has(fPeerHalf) {
			c.clear(fReadable) // drained: a stream's short read says so
		}
		c.arrived(space[:n], kept)
		return n
	}
	switch errno {
	case 0:
		c.endOfStream()
	case syscall.EAGAIN:
		c.clear(fReadable)
	case syscall.EINTR:
		return 1
	default:
		c.finish(sysError("read", errno), false)
	}
	return 0
}

// arrived presents what was read, behind what is kept.
func (c *Conn) arrived(p []byte, kept int) {
	c.bytesIn += uint64(len(p))
	if kept > 0 {
		c.in.end += int32(len(p))
		p = c.in.bytes()
	}
	c.present(p)
}

// present calls OnData and keeps what it leaves.
func (c *Conn) present(in []byte) {
	rest := in
	c.clear(fPresent)
	for {
		c.clear(fSwapped)
		c.set(fPresenting)
		n := c.handler.OnData(c, rest)
		c.clear(fPresenting)
		if n < 0 || n > len(rest) {
			panic("eventloop: OnData consumed more than there is")
		}
		rest = rest[n:]
		if !c.has(fSwapped) || len(rest) == 0 || c.has(fEnding|fClosed) || c.readDisabled > 0 {
			break
		}
	}
	if c.has(fEnding | fClosed) {
		return // ended releases what was kept
	}
	if len(rest) == len(in) && len(rest) >= int(c.readLimit) && !c.has(fPresent) {
		c.set(fStalled)
	}
	c.in.keep(&c.loop.reads, rest)
}

func (c *Conn) endOfStream() {
	c.clear(fReadable)
	c.set(fEOF)
	if c.has(fWriteDead) {
		c.finish(&Error{Op: "write", Kind: KindReset}, false)
		return
	}
	c.handler.OnEOF(c)
}

// checkGone notices a peer that vanished while nothing is read from it.
func (c *Conn) checkGone() {
	if c.has(fClosed|fEnding|fConnecting|fHandshake) || c.reading() || !c.has(fPeerHalf) {
		return
	}
	switch {
	case c.has(fPeerGone):
		// Both directions are shut: an error, or an orderly end of both.
		if errno := c.loop.kernel.SocketError(int(c.fd)); errno != 0 {
			c.finish(sysError("read", errno), false)
			return
		}
		if !c.has(fEarlyClose) {
			return
		}
		fallthrough
	case c.has(fEarlyClose) && c.readDisabled > 0:
		c.finish(&Error{Op: "read", Kind: KindPeerClosed}, false)
	}
}

// flush writes out the queue as far as the socket takes it.
func (c *Conn) flush() {
	c.clear(fDirty)
	if c.has(fClosed | fWriteDead) {
		c.out.Release()
		return
	}
	if c.AboveHigh() {
		c.set(fWasHigh)
	}
	if c.has(fConnecting) {
		return
	}
	if c.has(fShutDone) {
		c.out.Release()
	}
	if c.tp != nil {
		c.flushSealed()
		return
	}
	for c.has(fWritable) && !c.out.Empty() {
		n, ok := c.writeOnce(&c.out)
		if !ok {
			return
		}
		c.bytesOut += uint64(n)
	}
	c.flushed()
}

// unwritten reports whether something waits for the socket to take it.
func (c *Conn) unwritten() bool { return !c.out.Empty() || c.tp != nil && c.tp.unwritten(c) }

// writeOnce makes one write of what is in out, says how much the socket took, and
// whether the connection is still good.
func (c *Conn) writeOnce(out *sdk.Buffer) (n int, ok bool) {
	l := c.loop
	var want int
	var errno syscall.Errno
	if out.Single() {
		p := out.First()
		want = len(p)
		n, errno = l.kernel.Write(int(c.fd), p)
	} else {
		vec := out.Slices(l.vec[:0])
		for _, p := range vec {
			want += len(p)
		}
		n, errno = l.kernel.Writev(int(c.fd), vec)
		clear(vec)
	}
	switch errno {
	case 0:
		out.Drain(n)
		if c.patience > 0 {
			c.timer.Arm(c.patience)
		}
		if n < want {
			c.clear(fWritable)
		}
	case syscall.EAGAIN:
		c.clear(fWritable)
	case syscall.EINTR:
	default:
		c.writeFailed(errno)
		return 0, false
	}
	return n, true
}

// writeFailed ends the connection, unless there may be unread bytes that the
// peer sent before it closed: an early answer must not be lost to the request's
// remainder. Then reading goes on to its end first.
func (c *Conn) writeFailed(errno syscall.Errno) {
	c.out.Release()
	if c.has(fEnding|fEOF) || c.readDisabled > 0 || c.has(fStalled) {
		c.finish(sysError("write", errno), false)
		return
	}
	c.set(fWriteDead | fReadable | fPeerHalf)
	c.queueRead()
}

// flushed is called when the queue may have become shorter.
func (c *Conn) flushed() {
	empty := !c.unwritten()
	if empty && c.has(fShutWrite) && !c.has(fShutDone) {
		c.set(fShutDone)
		_ = c.loop.kernel.Shutdown(int(c.fd)) // fails when the peer is gone, which reading tells
	}
	if c.has(fEnding) {
		if empty && (!c.has(fDiscard) || c.has(fEOF)) {
			c.finish(nil, false)
		}
		return
	}
	drained := c.has(fWasHigh) && c.out.Len() <= int(c.low)
	if drained {
		c.clear(fWasHigh)
	}
	if empty && c.has(fNotify) {
		c.clear(fNotify)
		drained = true
	}
	if drained {
		c.handler.OnDrained(c)
	}
}
