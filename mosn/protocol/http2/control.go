package http2

import (
	"encoding/binary"

	"sofamesh.io/sofamesh/sdk"
)

// The frames that are about the connection, or about streams as such.

// flood counts what a peer may not do without end.
type flood struct {
	resets     int // that are left, see Clock
	empties    int // frames without content in a row
	priorities int
	updates    int
	opened     int // streams
	sentData   int // DATA frames
}

// spend takes one of the resets that the peer may cause.
func (c *conn) spend() {
	if c.resets--; c.resets < 0 {
		c.fail(errResets)
	}
}

// notEmpty counts frames that have no content and end nothing.
func (c *conn) notEmpty(content bool) *fault {
	if content {
		c.empties = 0
		return nil
	}
	if c.empties++; c.empties > c.cfg.maxEmpty {
		return errEmpties
	}
	return nil
}

// priority takes a PRIORITY, which says nothing to us (RFC 9113, 5.3.2).
func (c *conn) priority(f *frame, p []byte) *fault {
	if len(p) != prioritySize {
		return errFrameSize
	}
	if be32(p)&maxStreamID == f.stream {
		return errSelf
	}
	if c.priorities++; c.priorities > c.cfg.maxPriorities*(1+c.opened) {
		return errPriorities
	}
	return nil
}

// reset takes a RST_STREAM.
func (c *conn) reset(f *frame, p []byte, ev *sdk.Event) *fault {
	if len(p) != 4 {
		return errFrameSize
	}
	if c.idle(f.stream) {
		return errIdle
	}
	s := c.get(f.stream)
	if s == nil {
		return nil
	}
	code := errorCode(be32(p))
	switch {
	case s.is(dead):
		c.exhume(s)
		return nil
	case s.over():
		return nil // its owner has the end already, and will consume what there is
	case c.next != 0 && s.is(remoteEnd) && code == codeNone:
		// The response is complete, and the server does not want the rest of the request.
		s.flags |= localEnd
		c.ended(s)
		return nil
	}
	c.kill(s, false)
	if c.next == 0 {
		c.spend()
	}
	ev.Kind, ev.Stream, ev.Reset = sdk.EventReset, uint64(f.stream), reasonOf(code)
	return nil
}

// takeSettings takes a SETTINGS.
func (c *conn) takeSettings(f *frame, p []byte) *fault {
	if f.has(flagAck) {
		if len(p) > 0 {
			return errFrameSize
		}
		c.dec.SetLimit(c.cfg.tableSize)
		return nil
	}
	if len(p)%settingSize != 0 {
		return errFrameSize
	}
	if len(p) > maxSettings*settingSize {
		return errSettings
	}
	if !c.settled {
		c.settled = true
		c.maxStreams = maxLimit
	}
	for ; len(p) > 0; p = p[settingSize:] {
		if err := c.setting(binary.BigEndian.Uint16(p), be32(p[2:])); err != nil {
			return err
		}
	}
	if c.crowded && c.live < c.maxStreams {
		c.crowded, c.roomier = false, true
	}
	c.saySettingsAck()
	return nil
}

func (c *conn) setting(id uint16, v uint32) *fault {
	switch id {
	case settingTableSize:
		c.enc.SetLimit(int(min(v, maxLimit)))
	case settingEnablePush:
		if v > 1 || v == 1 && c.cfg.side == sdk.Upstream {
			return errSetting
		}
	case settingMaxStreams:
		c.maxStreams = int(min(v, maxLimit))
	case settingInitialWindow:
		if v > maxWindow {
			return errWindowValue
		}
		return c.resize(int(v))
	case settingMaxFrame:
		if v < maxFrame || v > 1<<24-1 {
			return errSetting
		}
	case settingEnableConnect:
		if v > 1 || v == 0 && c.connects {
			return errSetting
		}
		c.connects = v == 1
	}
	return nil
}

// ping takes a PING.
func (c *conn) ping(f *frame, p []byte, ev *sdk.Event) *fault {
	if len(p) != 8 {
		return errFrameSize
	}
	payload := binary.BigEndian.Uint64(p)
	switch {
	case !f.has(flagAck):
		c.sayPong(payload)
	case c.beating && payload == pingBeat|c.beat:
		c.beating = false
		ev.Kind = sdk.EventHeartbeat
	case payload == pingDrain:
		c.nameLast()
	}
	return nil
}

// goAway takes a GOAWAY. What the peer says that it has not processed is over, so
// that it can be tried elsewhere.
func (c *conn) goAway(f *frame, p []byte, ev *sdk.Event) *fault {
	if len(p) < 8 {
		return errFrameSize
	}
	c.away = true
	last := be32(p) & maxStreamID
	ev.Kind, ev.Stream = sdk.EventGoAway, uint64(last)
	if c.cfg.side == sdk.Downstream {
		return nil
	}
	c.dropAbove(last)
	return nil
}

// dropAbove ends the streams that a server will never answer. Ending one moves others
// about in the table, so it is looked through until there is none.
func (c *conn) dropAbove(last uint32) {
	for found := true; found; {
		found = false
		for i := 0; i < len(c.slots); i++ {
			if s := &c.slots[i]; s.id > last && !s.is(dead) {
				found = true
				c.kill(s, s.is(opened))
			}
		}
	}
}
