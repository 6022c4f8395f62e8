package http2

import (
	"encoding/binary"
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// reader is where reading stands.
type reader struct {
	hasPreface bool // of the client
	partial    bool // the beginning of a frame has arrived
	payload    payload
	block      block
}

// payload is what is to come of a DATA frame.
type payload struct {
	stream  uint32
	left    int  // bytes of data
	pad     int  // and of padding behind them
	end     bool // the frame ends its stream
	discard bool // nobody wants the data
}

// block is a header block that comes in several frames.
type block struct {
	open   bool
	first  frame // HEADERS
	pieces int
	data   []byte
}

const (
	maxPieces = 128     // frames of a header block
	keepBlock = 4 << 10 // storage that is kept for the next, in bytes
)

// Decode implements sdk.CodecConn.
func (c *conn) Decode(in []byte, ev *sdk.Event) (n int, err error) {
	*ev = sdk.Event{Msg: ev.Msg}
	if c.usedUp { // or else nobody would end the connection, of which nothing more can be had
		c.usedUp = false
		ev.Kind, ev.Stream = sdk.EventGoAway, maxStreamID
		return 0, nil
	}
	for c.failed == nil && ev.Kind == sdk.EventNone && err == nil && !c.windowEvent(ev) {
		k, f := c.step(in[n:], ev)
		n += k
		if f != nil {
			err = c.broken(f, ev)
		} else if k == 0 {
			break
		}
	}
	if c.failed != nil && ev.Kind == sdk.EventNone && err == nil {
		c.told = true
		err = &c.failed.fatal
	}
	if len(in) > 0 {
		c.partial = n < len(in)
	}
	return n, err
}

// at names the stream of a fault that the event does not have.
func (f *fault) at(id uint32, ev *sdk.Event) *fault {
	ev.Stream = uint64(id)
	return f
}

// broken settles a fault and returns the error of the one stream ev.Stream, if that
// is all there is to it.
func (c *conn) broken(f *fault, ev *sdk.Event) error {
	ev.Kind = sdk.EventNone
	if f.scope == ofConnection || f.scope == ofMessage && !c.cfg.streamErrors {
		c.fail(f)
		return nil
	}
	c.refuse(uint32(ev.Stream), f.code, ev.End)
	ev.End = false
	c.spend()
	return &f.stream
}

// step reads one frame, or what has come of a DATA frame. It returns 0 when there is
// too little.
func (c *conn) step(in []byte, ev *sdk.Event) (int, *fault) {
	if !c.hasPreface {
		return c.preface(in)
	}
	if c.payload.left > 0 || c.payload.pad > 0 {
		return c.data(in, ev), nil
	}
	if len(in) < headerSize {
		return 0, nil
	}
	var f frame
	f.parse(in)
	if err := c.check(&f); err != nil {
		return 0, err
	}
	if f.kind == frameData {
		return c.beginData(&f, in, ev)
	}
	size := headerSize + f.length
	if len(in) < size {
		return 0, nil
	}
	return size, c.frame(&f, in[headerSize:size], ev)
}

// preface reads what a client says first.
func (c *conn) preface(in []byte) (int, *fault) {
	n := min(len(in), len(clientPreface))
	if !strings.HasPrefix(clientPreface, string(in[:n])) {
		return 0, errPreface
	}
	if n < len(clientPreface) {
		return 0, nil
	}
	c.hasPreface = true
	return n, nil
}

// check judges a frame header by what stands before and by what it is.
func (c *conn) check(f *frame) *fault {
	switch {
	case f.length > maxFrame:
		return errFrameSize
	case !c.settled && (f.kind != frameSettings || f.has(flagAck)):
		return errFirstFrame
	case c.block.open && (f.kind != frameContinuation || f.stream != c.block.first.stream):
		return errContinuation
	case f.stream != 0:
		if f.kind == frameSettings || f.kind == framePing || f.kind == frameGoAway {
			return errStreamID
		}
		return nil
	}
	switch f.kind {
	case frameData, frameHeaders, framePriority, frameReset, framePushPromise, frameContinuation:
		return errStreamID
	}
	return nil
}

// frame takes a frame that is all there.
func (c *conn) frame(f *frame, p []byte, ev *sdk.Event) *fault {
	switch f.kind {
	case frameHeaders:
		return c.headers(f, p, ev)
	case frameContinuation:
		return c.continuation(f, p, ev)
	case framePriority:
		return c.priority(f, p)
	case frameReset:
		return c.reset(f, p, ev)
	case frameSettings:
		return c.takeSettings(f, p)
	case framePushPromise:
		return errPush
	case framePing:
		return c.ping(f, p, ev)
	case frameGoAway:
		return c.goAway(f, p, ev)
	case frameWindowUpdate:
		return c.update(f, p, ev)
	}
	return nil // unknown types are to be ignored
}

// idle reports whether nobody has opened a stream yet.
func (c *conn) idle(id uint32) bool {
	if id&1 == 0 {
		return true // a server opens none here
	}
	if c.cfg.side == sdk.Upstream {
		s := c.get(id)
		return id >= c.next || s != nil && !s.is(opened|dead)
	}
	return id > c.last
}

// passed reports whether the peer has opened a higher stream before it could open
// this one.
func (c *conn) passed(id uint32) bool { return id > c.gap[0] && id < c.gap[1] }

// beginData takes the head of a DATA frame.
func (c *conn) beginData(f *frame, in []byte, ev *sdk.Event) (int, *fault) {
	n, pad := headerSize, 0
	if f.has(flagPadded) {
		if f.length == 0 {
			return 0, errFrameSize
		}
		if len(in) == headerSize {
			return 0, nil
		}
		n++
		if pad = int(in[headerSize]); pad >= f.length {
			return 0, errPadding
		}
	}
	data := f.length - pad - (n - headerSize)
	if err := c.notEmpty(data > 0 || f.has(flagEndStream)); err != nil {
		return 0, err
	}
	if f.length > int(c.recv) {
		return 0, errOverrun
	}
	c.recv -= int32(f.length)
	c.payload = payload{stream: f.stream, left: data, pad: pad, end: f.has(flagEndStream)}
	if err := c.admitData(f, data, ev); err != nil {
		c.payload.discard = true
		c.owe(int32(f.length))
		ev.End = c.payload.end
		return n, err
	}
	if c.payload.discard {
		c.owe(int32(f.length))
		return n, nil
	}
	if data == 0 && c.payload.end {
		c.emit(nil, ev)
	}
	return n, nil
}

// admitData judges DATA by its stream, and settles what of it is not data.
func (c *conn) admitData(f *frame, data int, ev *sdk.Event) *fault {
	s := c.get(f.stream)
	switch {
	case s == nil:
		if c.idle(f.stream) || c.passed(f.stream) {
			return errIdle
		}
		c.payload.discard = true
		if f.stream > c.forgotten {
			c.sayReset(f.stream, codeStreamClosed)
			c.spend()
		}
		return nil
	case c.idle(f.stream):
		return errIdle
	case s.is(dead):
		c.payload.discard = true
		if c.payload.end {
			c.exhume(s)
		}
		return nil
	case s.is(remoteEnd):
		return errHalfClosed.at(s.id, ev)
	case c.next != 0 && !s.is(answered):
		return errNoHead.at(s.id, ev)
	case f.length > int(s.recv):
		return errStreamWindow.at(s.id, ev)
	case s.left >= 0 && (int64(data) > s.left || c.payload.end && int64(data) < s.left):
		return errBodyLength.at(s.id, ev)
	}
	s.recv -= int32(f.length)
	if s.left >= 0 {
		s.left -= int64(data)
	}
	if extra := int32(f.length - data); extra > 0 {
		c.owe(extra)
		if !c.payload.end {
			c.oweStream(s, extra)
		}
	}
	return nil
}

// data takes what has come of the payload of a DATA frame.
func (c *conn) data(in []byte, ev *sdk.Event) int {
	p := &c.payload
	if p.left == 0 {
		n := min(len(in), p.pad)
		p.pad -= n
		return n
	}
	n := min(len(in), p.left)
	p.left -= n
	switch {
	case !p.discard && n > 0:
		c.emit(in[:n], ev)
	case p.discard && p.end && p.left == 0:
		if s := c.get(p.stream); s != nil && s.is(dead) {
			c.exhume(s) // it was reset in the middle of its last frame
		}
	}
	return n
}

// emit makes an event of data.
func (c *conn) emit(data []byte, ev *sdk.Event) {
	s := c.get(c.payload.stream)
	ev.Kind, ev.Stream, ev.Data = sdk.EventData, uint64(s.id), data
	s.held += int32(len(data))
	if c.payload.left == 0 && c.payload.end {
		ev.End = true
		c.remoteEnded(s)
	}
}

// remoteEnded notes that the peer has ended a stream.
func (c *conn) remoteEnded(s *stream) {
	s.flags |= remoteEnd
	c.ended(s)
}

func be32(p []byte) uint32 { return binary.BigEndian.Uint32(p) }
