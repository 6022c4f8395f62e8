package bolt

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"sofamesh.io/sofamesh/sdk"
)

// outgoing is a frame whose head is complete.
type outgoing struct {
	stream uint64 // 0: an answer that nobody follows up
	left   int    // bytes of content that must follow
	active bool
	hasCRC bool
	oneWay bool
	crc    uint32
}

// held is a frame whose turn has not come.
type held struct {
	outgoing
	head []byte
}

// writer is where writing stands.
type writer struct {
	cur     outgoing
	queue   []held
	queued  int      // bytes in it
	windows []uint64 // streams that EventWindow is due to
}

func (w *writer) writing() bool { return w.cur.active }

func (w *writer) nextWindow() (stream uint64, ok bool) {
	if len(w.windows) == 0 {
		return 0, false
	}
	stream = w.windows[0]
	w.windows = w.windows[:copy(w.windows, w.windows[1:])]
	return stream, true
}

// WriteHeaders implements sdk.CodecConn. A message of Bolt goes on as it came, save
// for what was edited; the view must still have its content-length, or the right
// other one. To a client any other message becomes an answer of ours (see reply);
// content of it that follows is dropped.
func (c *conn) WriteHeaders(out *sdk.Buffer, id uint64, m *sdk.Message, end bool) error {
	o := c.find(id)
	if o == nil || o.begun || o.queued {
		return errWriteOrder
	}
	if m.Codec != c.cfg.codec || len(m.Frame) <= suffix {
		if c.cfg.side == sdk.Upstream {
			return errForeign
		}
		if status := m.Status(); status >= 100 && status < 200 {
			return nil
		}
		return c.answer(out, *o, m)
	}
	kept := len(m.Frame)
	head, f, err := c.head(m, o.id, end)
	if err == nil {
		err = c.start(out, o, head, &f)
	}
	m.Frame = m.Frame[:kept]
	return err
}

// head makes the head of a message for the wire: in m.Frame itself when the header
// map is as it came, behind it when not.
func (c *conn) head(m *sdk.Message, id uint32, end bool) ([]byte, fixed, error) {
	var f fixed
	head, s := split(m.Frame)
	_ = f.parse(head) // we have made it
	if (f.kind == typeResponse) != (c.cfg.side == sdk.Downstream) {
		return nil, f, errForeign
	}
	if !m.Pristine() {
		var ok bool
		if f.content, ok = length(m.ID(sdk.HeaderContentLength)); !ok {
			return nil, f, errWriteLength
		}
		if edited(&m.Headers, s) {
			var err error
			if head, err = splice(m, &f, s); err != nil {
				return nil, f, err
			}
		}
	}
	if end && f.content > 0 || f.content > c.cfg.Frame-f.head() {
		return nil, f, errWriteLength
	}
	if !c.admits(s.writer) {
		return nil, f, errWriter
	}
	f.setLengths(head)
	if f.kind == typeRequest && m.Timeout > 0 && m.Timeout != f.wait() {
		f.setTimeout(head, m.Timeout)
	}
	patchID(head, id)
	return head, f, nil
}

// length reads a content-length.
func length(s string) (n int, ok bool) {
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 || n > 1<<31 {
			return 0, false
		}
		n = n*10 + int(d)
	}
	return n, s != ""
}

// start writes a head, or keeps it until the frame being written is complete.
func (c *conn) start(out *sdk.Buffer, o *open, head []byte, f *fixed) error {
	w := outgoing{stream: o.stream, left: f.content, active: true, hasCRC: f.crc, oneWay: f.kind == typeOneWay}
	if f.crc {
		w.crc = crc32.ChecksumIEEE(head)
	}
	if c.writing() {
		if err := c.hold(w, head); err != nil {
			return err
		}
		o.queued = true
		return nil
	}
	o.begun = true
	out.Append(head)
	c.cur = w
	if w.left == 0 {
		c.finish(out)
	}
	return nil
}

// hold puts a frame into the queue.
func (c *conn) hold(w outgoing, head []byte) error {
	if c.queued+len(head) > c.cfg.Queue {
		return errQueue
	}
	c.queue = append(c.queue, held{w, bytes.Clone(head)})
	c.queued += len(head)
	return nil
}

// finish ends the frame being written and begins those that wait, up to one whose
// content has to come first.
func (c *conn) finish(out *sdk.Buffer) {
	for {
		w := &c.cur
		if w.hasCRC {
			binary.BigEndian.PutUint32(out.Reserve(4), w.crc)
			out.Commit(4)
		}
		if w.stream != 0 && (w.oneWay || c.cfg.side == sdk.Downstream) {
			c.close(w.stream)
		}
		c.cur = outgoing{}
		if len(c.queue) == 0 {
			c.queue = nil
			return
		}
		h := c.queue[0]
		c.queue[0] = held{}
		c.queue = c.queue[1:]
		c.queued -= len(h.head)
		out.Append(h.head)
		c.cur = h.outgoing
		if o := c.find(h.stream); o != nil {
			o.begun, o.queued = true, false
		}
		if h.left > 0 {
			c.windows = append(c.windows, h.stream)
			return
		}
	}
}

// WriteData implements sdk.CodecConn. What exceeds the announced length is dropped;
// less than it is an error of the connection, which Decode reports. A CRC is written
// at the end only: until then that of the message as it came may prove to be wrong.
func (c *conn) WriteData(out *sdk.Buffer, id uint64, p []byte, end bool) int {
	if !c.writing() || c.cur.stream != id {
		if o := c.find(id); o != nil && o.queued {
			if end && len(p) == 0 {
				c.failed = errShortBody
			}
			return 0
		}
		return len(p)
	}
	data := p[:min(len(p), c.cur.left)]
	out.Append(data)
	if c.cur.hasCRC {
		c.cur.crc = crc32.Update(c.cur.crc, crc32.IEEETable, data)
	}
	c.cur.left -= len(data)
	switch {
	case c.cur.left == 0 && (end || !c.cur.hasCRC):
		c.finish(out)
	case end:
		c.failed = errShortBody
	}
	return len(p)
}

// WriteTrailers implements sdk.CodecConn; there are none.
func (c *conn) WriteTrailers(out *sdk.Buffer, id uint64, _ *sdk.Message) {
	c.WriteData(out, id, nil, true)
}

// WriteReset implements sdk.CodecConn. A client gets an error answer; a server is
// not told, and its late response is dropped. A frame that is half written can be
// given up only with the connection.
func (c *conn) WriteReset(out *sdk.Buffer, id uint64, r sdk.ResetReason) bool {
	o := c.find(id)
	switch {
	case c.writing() && c.cur.stream == id:
		return false
	case o == nil:
		return true
	case o.queued:
		for i := range c.queue {
			if c.queue[i].stream == id {
				c.queued -= len(c.queue[i].head)
				c.queue = append(c.queue[:i], c.queue[i+1:]...)
				break
			}
		}
	}
	if c.cfg.side == sdk.Downstream {
		return c.reply(out, *o, resetStatus(r), r.String()) == nil
	}
	c.close(id)
	return true
}
