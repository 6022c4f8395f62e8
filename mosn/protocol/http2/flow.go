package http2

import "sofamesh.io/sofamesh/sdk"

// flow is the flow control of a connection (RFC 9113, 5.2).
type flow struct {
	send int32 // what the peer's window lets us send
	recv int32 // what our window lets the peer send
	owed int32 // bytes that we may add to the peer's window
	// waiting has the streams that could send but for the connection's window. Each in
	// turn gets an EventWindow when that opens, so that none takes it all.
	waiting list
}

// Consumed implements sdk.CodecConn.
func (c *conn) Consumed(out *sdk.Buffer, id uint64, n int) {
	s := c.find(id)
	if s == nil {
		return // it was settled when the stream was reset
	}
	k := min(int32(n), s.held)
	s.held -= k
	settled := min(k, s.aside) // what is parked is what is consumed first
	s.aside -= settled
	c.owe(k - settled)
	switch {
	case !s.is(remoteEnd):
		c.oweStream(s, k)
	case s.over() && s.held == 0:
		c.remove(s)
	}
	c.Flush(out)
}

// Parked implements sdk.Parker.
func (c *conn) Parked(out *sdk.Buffer, id uint64, n int) {
	s := c.find(id)
	if s == nil {
		return
	}
	k := min(int32(n), s.held-s.aside)
	s.aside += k
	s.flags |= lagged
	c.owe(k)
	c.Flush(out)
}

// owe notes that the peer may send n more bytes on the connection, and says so when
// that has become half of its window.
func (c *conn) owe(n int32) {
	c.flow.owed += n
	if int(c.flow.owed) >= c.cfg.connWindow/2 {
		c.sayUpdate(0, c.flow.owed)
		c.recv += c.flow.owed
		c.flow.owed = 0
	}
}

// swallowed is what buffers on the way may take of a body that nobody reads, in bytes:
// the usual limit of a connection's.
const swallowed = 1 << 20

// oweStream is owe for a stream. The window of one whose reader reads, and keeps up, is
// doubled, as far as the configuration lets it.
func (c *conn) oweStream(s *stream, n int32) {
	s.owed += n
	if s.owed < s.room/2 {
		return
	}
	if s.taken < swallowed {
		s.taken += s.owed
	} else if more := min(s.room, int32(c.cfg.window)-s.room); more > 0 && !s.is(lagged) {
		s.room += more
		s.owed += more
	}
	s.flags &^= lagged
	c.sayUpdate(s.id, s.owed)
	s.recv += s.owed
	s.owed = 0
}

// room is what may be sent on a stream now.
func (c *conn) room(s *stream) int { return int(max(0, min(s.send, c.send))) }

// await notes that a stream has more to send than it may.
func (c *conn) await(s *stream) {
	switch {
	case s.send <= 0:
		s.flags |= starved
	case !s.is(queued):
		s.flags |= queued
		c.waiting.push(s)
	}
}

// fed puts a stream whose window has opened among those that may send.
func (c *conn) fed(s *stream) {
	if s.is(starved) && s.send > 0 {
		s.flags &^= starved
		c.await(s)
	}
}

// windowEvent makes an EventWindow for the next that can take more, but not before
// settings are acknowledged that it may owe its window to.
func (c *conn) windowEvent(ev *sdk.Event) bool {
	if c.unsettled {
		return false
	}
	if c.roomier {
		c.roomier = false
		ev.Kind = sdk.EventWindow
		return true
	}
	if c.waiting.n == 0 || c.send <= 0 {
		return false
	}
	s := c.waiting.first
	c.waiting.remove(s)
	s.flags &^= queued
	ev.Kind, ev.Stream = sdk.EventWindow, uint64(s.id)
	return true
}

// update takes a WINDOW_UPDATE.
func (c *conn) update(f *frame, p []byte, ev *sdk.Event) *fault {
	if len(p) != 4 {
		return errFrameSize
	}
	if c.updates++; c.updates > 5+2*(c.opened+c.cfg.maxUpdates*c.sentData) {
		return errUpdates
	}
	n := int64(be32(p) & maxWindow)
	if f.stream == 0 {
		switch {
		case n == 0:
			return errNoIncrement
		case int64(c.send)+n > maxWindow:
			return errWindowValue
		}
		c.send += int32(n)
		return nil
	}
	s := c.get(f.stream)
	if s == nil && c.idle(f.stream) {
		return errIdle
	}
	switch {
	case s == nil || s.is(dead) || s.is(localEnd):
		return nil
	case n == 0:
		return errStreamUpdate.at(f.stream, ev)
	case int64(s.send)+n > maxWindow:
		return errStreamTop.at(f.stream, ev)
	}
	s.send += int32(n)
	c.fed(s)
	return nil
}

// resize changes the windows of all streams by what the peer's setting has changed
// (RFC 9113, 6.9.2); they may become negative.
func (c *conn) resize(window int) *fault {
	delta := int64(window - c.window)
	c.window = window
	if delta == 0 {
		return nil
	}
	for _, s := range c.all() {
		if s.is(dead) {
			continue
		}
		if int64(s.send)+delta > maxWindow {
			return errWindowValue
		}
		s.send += int32(delta)
		if s.is(queued) && s.send <= 0 {
			c.waiting.remove(s)
			s.flags = s.flags&^queued | starved
		}
		c.fed(s)
	}
	return nil
}
