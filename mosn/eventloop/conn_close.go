package eventloop

import (
	"math"
	"syscall"
	"time"
)

// CloseWrite sends a half close after what is queued. Data appended later is
// dropped by the system.
func (c *Conn) CloseWrite() {
	c.set(fShutWrite)
	c.touch()
}

// Close ends the connection now; what is queued is dropped, and unread input
// makes the system send a reset.
func (c *Conn) Close() { c.finish(nil, false) }

// Reset ends the connection now and makes the peer see a reset.
func (c *Conn) Reset() { c.finish(nil, true) }

// CloseFlush ends the connection when what is queued is written, or when no
// byte could be written for the time of timeout (0: no limit). Nothing more is
// read.
func (c *Conn) CloseFlush(timeout time.Duration) { c.closeLater(timeout, 0) }

// CloseDelayed ends the connection as Envoy's delayed_close_timeout does: what
// is queued is written, the write side is shut, and input is read and dropped
// until the peer ends too or timeout is over, which every progress in writing
// starts anew. So an error reply is not lost to the reset that unread input
// would cause. Who sends more than limit bytes (0: any number) is cut off.
func (c *Conn) CloseDelayed(timeout time.Duration, limit int) {
	if c.readLimit = math.MaxUint32; limit > 0 {
		c.readLimit = clamp32(limit)
	}
	c.closeLater(timeout, fDiscard|fShutWrite)
}

func (c *Conn) closeLater(timeout time.Duration, how connFlags) {
	if c.has(fClosed | fEnding) {
		return
	}
	if c.has(fWriteDead) || c.has(fConnecting) && c.out.Empty() || c.tp != nil && c.has(fConnecting|fHandshake) {
		c.finish(nil, false)
		return
	}
	c.set(fEnding | how)
	c.patience = timeout
	c.timer.Stop() // the one of connecting
	if timeout > 0 {
		c.timer.Arm(timeout)
	}
	c.touch()
	if c.has(fDiscard) {
		c.queueRead()
	}
}

// discard reads and drops within the budget of a turn.
func (c *Conn) discard() {
	l := c.loop
	for budget := scratchSize; c.has(fReadable) && !c.has(fClosed|fEOF); {
		if budget <= 0 {
			c.queueRead()
			return
		}
		n, errno := l.kernel.Read(int(c.fd), l.scratch)
		switch {
		case n > 0:
			c.bytesIn += uint64(n)
			budget -= n
			if c.readLimit != math.MaxUint32 {
				if n > int(c.readLimit) {
					c.finish(nil, false)
					return
				}
				c.readLimit -= uint32(n)
			}
			if n < len(l.scratch) && !c.has(fPeerHalf) {
				c.clear(fReadable)
			}
		case errno == syscall.EAGAIN:
			c.clear(fReadable)
		case errno == syscall.EINTR:
		case errno == 0:
			c.set(fEOF)
			c.touch() // finishes when all is written
		default:
			c.finish(nil, false)
		}
	}
}

// finish ends the connection: the descriptor is closed at once, OnClose comes
// when the loop settles.
func (c *Conn) finish(err error, abort bool) {
	l := c.loop
	l.AssertOwner()
	if c.has(fClosed) {
		return
	}
	if c.tp != nil && !abort && c.fd >= 0 {
		c.lastWords(err)
	}
	c.set(fClosed | fEnding)
	c.err = err
	c.timer.Stop()
	if c.fd >= 0 {
		l.kernel.Forget(int(c.fd))
		l.kernel.Close(int(c.fd), abort)
		l.slots.release(c.slot)
		c.fd = -1
	}
	l.conns--
	l.closing = append(l.closing, c)
}

// ended releases what c holds and delivers OnClose. Buffers are released only
// here, so that a handler that closes inside OnData may look at its input to
// the end.
func (c *Conn) ended() {
	c.out.Release()
	c.in.release(&c.loop.reads)
	if c.tp != nil {
		c.tp.release(c)
	}
	c.handler.OnClose(c, c.err)
}
