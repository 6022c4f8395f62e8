package http2

import (
	"encoding/binary"

	"sofamesh.io/sofamesh/sdk"
)

// output is what the codec says by itself, and an account of what the peer has yet
// to take of what was written.
type output struct {
	said      []byte // for Flush
	controls  int    // frames in it that the peer has provoked
	others    int    // and others
	unsettled bool   // there is an acknowledgement of settings in it
	greeted   bool   // the preface is written

	// Of the frames that were written, those since mark wait in the buffer for sure
	// while total less its length has not got there.
	total, mark                  uint64
	sinceMark, controlsSinceMark int
}

// keepSaid is the storage that is kept for what is said, in bytes.
const keepSaid = 256

// Pending implements sdk.Talker.
func (c *conn) Pending() bool {
	return len(c.said) > 0 || !c.greeted || c.roomier || c.usedUp || c.failed != nil && !c.told || c.waiting.n > 0 && c.send > 0
}

// Flush implements sdk.Talker.
func (c *conn) Flush(out *sdk.Buffer) {
	c.greet(out)
	if len(c.said) == 0 {
		return
	}
	before := out.Len()
	out.Append(c.said)
	if c.said = c.said[:0]; cap(c.said) > keepSaid {
		c.said = nil
	}
	c.wrote(out, before, c.controls+c.others, c.controls)
	c.controls, c.others, c.unsettled = 0, 0, false
}

// greet writes what must come first.
func (c *conn) greet(out *sdk.Buffer) {
	if !c.greeted {
		c.greeted = true
		before := out.Len()
		out.Append(c.cfg.hello(make([]byte, 0, 128)))
		c.wrote(out, before, 1, 0)
	}
}

// tell writes a frame at once.
func (c *conn) tell(out *sdk.Buffer, p []byte) {
	c.greet(out)
	before := out.Len()
	out.Append(p)
	c.wrote(out, before, 1, 0)
}

// wrote accounts frames that were appended to out, whose length was before, and ends
// the connection when too many wait there. Only answers count for a server: requests
// are not its doing, and those that share the connection must not pay for them.
func (c *conn) wrote(out *sdk.Buffer, before, frames, controls int) {
	c.total += uint64(out.Len() - before)
	if left := c.total - min(c.total, uint64(out.Len())); left >= c.mark {
		c.mark, c.sinceMark, c.controlsSinceMark = c.total, 0, 0
	}
	c.sinceMark += frames
	c.controlsSinceMark += controls
	switch {
	case c.controlsSinceMark > c.cfg.maxControls:
		c.fail(errControls)
	case c.sinceMark > c.cfg.maxOutbound && c.cfg.side == sdk.Downstream:
		c.fail(errOutbound)
	}
}

// fail ends the connection; Decode tells it.
func (c *conn) fail(f *fault) {
	if c.failed == nil {
		c.failed = f
		c.sayGoAway(c.last, f.code)
	}
}

// provoked counts an answer that the peer has asked for or caused.
func (c *conn) provoked() {
	if c.controls++; c.controls > c.cfg.maxControls {
		c.fail(errControls)
	}
}

func (c *conn) saySettingsAck() {
	c.said = frame{kind: frameSettings, flags: flagAck}.append(c.said)
	c.unsettled = true
	c.provoked()
}

func (c *conn) sayReset(id uint32, code errorCode) {
	c.said = appendReset(c.said, id, code)
	c.provoked()
}

func (c *conn) sayUpdate(id uint32, n int32) {
	c.said = word(frame{length: 4, kind: frameWindowUpdate, stream: id}.append(c.said), uint32(n))
	c.others++
}

func (c *conn) sayGoAway(last uint32, code errorCode) {
	switch {
	case c.cfg.side == sdk.Upstream:
		last = 0 // a server opens no streams
	case c.drain.final:
		last = c.drain.limit // what came behind it was refused
	}
	c.said = appendGoAway(c.said, last, code)
	c.others++
}

// The payloads of our PINGs: what they are for, and a number.
const (
	pingBeat  = 0x6d6f736e << 32
	pingDrain = 0x64726169 << 32
)

func (c *conn) sayPong(payload uint64) {
	c.said = appendPing(c.said, payload, flagAck)
	c.provoked()
}

func appendReset(p []byte, id uint32, code errorCode) []byte {
	return word(frame{length: 4, kind: frameReset, stream: id}.append(p), uint32(code))
}

func appendGoAway(p []byte, last uint32, code errorCode) []byte {
	return word(word(frame{length: 8, kind: frameGoAway}.append(p), last), uint32(code))
}

func appendPing(p []byte, payload uint64, flags uint8) []byte {
	return binary.BigEndian.AppendUint64(frame{length: 8, kind: framePing, flags: flags}.append(p), payload)
}

// drain is where we stand in telling the peer to open no further streams: the notice
// names the highest id there is, and a PING with it comes back when all streams are
// here that were opened before the peer had seen it; then the last one is named.
type drain struct {
	begun bool // the notice is sent
	final bool // the last stream is named
	limit uint32
}

// WriteGoAway implements sdk.CodecConn. A second call does not wait for the answer to
// the notice.
func (c *conn) WriteGoAway(out *sdk.Buffer) {
	var p [64]byte
	switch {
	case c.drain.begun:
		c.nameLast()
		c.Flush(out)
	case c.cfg.side == sdk.Upstream:
		c.drain = drain{begun: true, final: true}
		c.tell(out, appendGoAway(p[:0], 0, codeNone))
	default:
		c.drain.begun = true
		c.tell(out, appendPing(appendGoAway(p[:0], maxStreamID, codeNone), pingDrain, 0))
	}
}

// nameLast tells the peer which stream is the last.
func (c *conn) nameLast() {
	if c.drain.begun && !c.drain.final {
		c.drain.final, c.drain.limit = true, c.last
		c.sayGoAway(c.last, codeNone)
	}
}
