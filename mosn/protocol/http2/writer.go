package http2

import (
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// WriteHeaders implements sdk.CodecConn. What is written to a stream that is no more
// is dropped, as the peer would drop it.
func (c *conn) WriteHeaders(out *sdk.Buffer, id uint64, m *sdk.Message, end bool) error {
	s := c.find(id)
	if s == nil || s.is(localEnd) {
		if c.cfg.side == sdk.Upstream && id < uint64(c.next) || id <= uint64(c.last) {
			return nil
		}
		return errWriteOrder
	}
	c.greet(out)
	if c.cfg.side == sdk.Upstream {
		return c.writeRequest(out, s, m, end)
	}
	return c.writeResponse(out, s, m, end)
}

func (c *conn) writeRequest(out *sdk.Buffer, s *stream, m *sdk.Message, end bool) error {
	if s.is(opened) || s.id <= c.last {
		return errWriteOrder
	}
	h := headWriter{c: c, m: m, request: true}
	if err := h.requestLine(); err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return err
	}
	s.flags |= opened | h.flags
	if h.flags&extended != 0 {
		if c.upgrades == nil {
			c.upgrades = make(map[uint32]string)
		}
		c.upgrades[s.id] = strings.Clone(h.protocol)
	}
	c.last = s.id
	c.opened++
	h.write(out, s.id, end)
	c.wroteEnd(s, end)
	return nil
}

func (c *conn) writeResponse(out *sdk.Buffer, s *stream, m *sdk.Message, end bool) error {
	status := m.Status()
	h := headWriter{c: c, m: m, status: m.ID(sdk.HeaderStatus)}
	switch {
	case s.is(answered) || status < 100:
		return errWriteOrder
	case s.is(extended) && status == 101:
		h.status = "200"
		h.flags = tunnel
	case status == 101, status < 200 && end:
		return errWriteLine
	case s.is(tunnel) && status < 300 && status >= 200:
		h.flags = tunnel
	}
	if err := h.check(); err != nil {
		return err
	}
	if status >= 200 || h.flags != 0 {
		s.flags |= answered
	}
	h.write(out, s.id, end)
	c.wroteEnd(s, end)
	return nil
}

// wroteEnd notes that our side of a stream is written, if it is.
func (c *conn) wroteEnd(s *stream, end bool) {
	if end {
		s.flags |= localEnd
		c.ended(s)
	}
}

// WriteData implements sdk.CodecConn.
func (c *conn) WriteData(out *sdk.Buffer, id uint64, p []byte, end bool) int {
	s := c.find(id)
	if s == nil || s.is(localEnd) {
		return len(p)
	}
	c.greet(out)
	n := min(len(p), c.room(s))
	s.send -= int32(n)
	c.send -= int32(n)
	if n < len(p) {
		c.await(s)
		end = false
	}
	if n == 0 && !end {
		return 0
	}
	before, frames := out.Len(), 0
	for rest, last := p[:n], false; !last; frames++ {
		k := min(len(rest), maxFrame)
		last = k == len(rest)
		f := frame{length: k, kind: frameData, stream: s.id}
		if last && end {
			f.flags = flagEndStream
		}
		var h [headerSize]byte
		f.put(h[:])
		out.Append(h[:])
		out.Append(rest[:k])
		rest = rest[k:]
	}
	c.sentData += frames
	c.wrote(out, before, frames, 0)
	c.wroteEnd(s, end)
	return n
}

// WriteTrailers implements sdk.CodecConn. Fields that cannot be written are left out:
// the message has begun, and must have its end.
func (c *conn) WriteTrailers(out *sdk.Buffer, id uint64, m *sdk.Message) {
	s := c.find(id)
	if s == nil || s.is(localEnd) {
		return
	}
	h := headWriter{c: c, m: m, trailers: true}
	if s.is(tunnel) || h.check() != nil || h.fields == 0 {
		c.WriteData(out, id, nil, true)
		return
	}
	c.greet(out)
	h.write(out, s.id, true)
	c.wroteEnd(s, true)
}
