package framecodec

import "sofamesh.io/sofamesh/sdk"

// outgoing is a frame whose head is complete.
type outgoing struct {
	stream uint64
	left   int // bytes of content that must follow
	active bool
	oneWay bool
}

// writer is where writing stands. Frames cannot be interleaved: while one is being
// written, the heads of others wait.
type writer struct {
	cur     outgoing
	queue   queue
	windows []uint64 // streams that EventWindow is due to
}

// WriteHeaders implements sdk.CodecConn. A message of the protocol goes on as it
// came. To a client any other one becomes a Reply, and its content is dropped.
func (c *conn) WriteHeaders(out *sdk.Buffer, id uint64, m *sdk.Message, end bool) error {
	errs := c.cfg.errs
	o := c.table.find(id)
	if o == nil || o.begun || o.queued {
		return errs.order
	}
	if m.Codec != c.cfg.codec || len(m.Frame) <= suffix {
		switch {
		case c.cfg.side == sdk.Upstream:
			return errs.foreign
		case m.Status() >= 100 && m.Status() < 200:
			return nil
		}
		return c.reply(out, o, m.Status(), m.Text)
	}
	head, s := kept(m.Frame)
	if (s.kind == Response) != (c.cfg.side == sdk.Downstream) {
		return errs.foreign
	}
	if end && s.content > 0 || !announces(m, s.content) {
		return errs.length
	}
	if c.cfg.SetTimeout != nil && s.kind == Request && m.Timeout > 0 && m.Timeout != s.timeout {
		c.cfg.SetTimeout(head, m.Timeout)
	}
	if c.cfg.SetID != nil {
		c.cfg.SetID(head, o.ID)
	}
	return c.start(out, o, head, outgoing{stream: o.stream, left: s.content, active: true, oneWay: s.kind == OneWay})
}

// announces reports whether the view still says that the content has n bytes.
func announces(m *sdk.Message, n int) bool {
	s := m.ID(sdk.HeaderContentLength)
	if s == "" {
		return true
	}
	said := 0
	for i := range len(s) {
		d := int(s[i]) - '0'
		if d < 0 || d > 9 || said > n {
			return false
		}
		said = said*10 + d
	}
	return said == n
}

// reply answers a request ourselves, as soon as no other frame is being written.
func (c *conn) reply(out *sdk.Buffer, o *open, status int, text string) error {
	if c.cfg.Reply == nil {
		return c.cfg.errs.noReply
	}
	if len(c.said) > c.cfg.Limits.Queue {
		return c.cfg.errs.queue
	}
	before := len(c.said)
	if c.said = c.cfg.Reply(c.said, o.Asked, status, text); len(c.said) == before {
		return c.cfg.errs.noReply
	}
	c.close(o.stream)
	c.Flush(out)
	return nil
}

// start writes a head, or keeps it until the frame being written is complete.
func (c *conn) start(out *sdk.Buffer, o *open, head []byte, w outgoing) error {
	if c.cur.active {
		if c.queue.size()+len(head) > c.cfg.Limits.Queue {
			return c.cfg.errs.queue
		}
		c.queue.push(w, head)
		o.queued = true
		return nil
	}
	c.Flush(out) // what was said before comes before
	o.begun = true
	out.Append(head)
	c.cur = w
	if w.left == 0 {
		c.finish(out)
	}
	return nil
}

// finish ends the frame being written and begins those that wait, up to one whose
// content has to come first. What is to be said fits between any two.
func (c *conn) finish(out *sdk.Buffer) {
	for {
		w := c.cur
		c.cur = outgoing{}
		if w.oneWay || c.cfg.side == sdk.Downstream {
			c.close(w.stream)
		}
		c.Flush(out)
		next, head, ok := c.queue.pop()
		if !ok {
			return
		}
		out.Append(head)
		c.cur = next
		if o := c.table.find(next.stream); o != nil {
			o.begun, o.queued = true, false
		}
		if next.left > 0 {
			c.windows = append(c.windows, next.stream)
			return
		}
	}
}

// WriteData implements sdk.CodecConn. What exceeds the announced length is dropped;
// less than it is an error of the connection, which Decode reports.
func (c *conn) WriteData(out *sdk.Buffer, id uint64, p []byte, end bool) int {
	if !c.cur.active || c.cur.stream != id {
		if o := c.table.find(id); o != nil && o.queued {
			if end && len(p) == 0 {
				c.failed = c.cfg.errs.shortBody
			}
			return 0
		}
		return len(p)
	}
	data := p[:min(len(p), c.cur.left)]
	out.Append(data)
	c.cur.left -= len(data)
	if c.cur.left == 0 {
		c.finish(out)
	} else if end {
		c.failed = c.cfg.errs.shortBody
	}
	return len(p)
}

// WriteTrailers implements sdk.CodecConn; there are none.
func (c *conn) WriteTrailers(out *sdk.Buffer, id uint64, _ *sdk.Message) {
	c.WriteData(out, id, nil, true)
}

// WriteReset implements sdk.CodecConn. A client gets a Reply; a server is not told,
// and its late response is dropped. A frame that is half written, and the exchange of
// a Serial protocol, can be given up only with the connection.
func (c *conn) WriteReset(out *sdk.Buffer, id uint64, r sdk.ResetReason) bool {
	o := c.table.find(id)
	switch {
	case c.cur.active && c.cur.stream == id:
		return false
	case o == nil:
		return true
	case o.queued:
		c.queue.drop(id)
		o.queued = false
	}
	if c.cfg.side == sdk.Downstream {
		return c.reply(out, o, resetStatus(r), r.String()) == nil
	}
	if c.cfg.Mode == sdk.Serial && o.begun {
		return false
	}
	c.giveUp(o)
	return true
}

// resetStatus is how a client is told that its request was given up.
func resetStatus(r sdk.ResetReason) int {
	switch r {
	case sdk.ResetOverflow, sdk.ResetLocalRefused, sdk.ResetRefused, sdk.ResetConnFailure, sdk.ResetConnLost, sdk.ResetConnectError:
		return 503
	case sdk.ResetConnTimeout:
		return 504
	case sdk.ResetProtocol:
		return 502
	}
	return 500
}

// queue holds heads in the order of their turns. It keeps its storage while it is
// small.
type queue struct {
	frames []outgoing
	sizes  []int  // of their heads
	first  int    // of both; those before it are done
	bytes  []byte // their heads
	at     int    // of the first
}

func (q *queue) size() int { return len(q.bytes) - q.at }

func (q *queue) push(w outgoing, head []byte) {
	if q.at > q.size() { // more than half of it is done
		q.bytes = q.bytes[:copy(q.bytes, q.bytes[q.at:])]
		q.frames = q.frames[:copy(q.frames, q.frames[q.first:])]
		q.sizes = q.sizes[:copy(q.sizes, q.sizes[q.first:])]
		q.at, q.first = 0, 0
	}
	q.frames = append(q.frames, w)
	q.sizes = append(q.sizes, len(head))
	q.bytes = append(q.bytes, head...)
}

// pop returns the next frame that was not dropped. The head is valid until push.
func (q *queue) pop() (w outgoing, head []byte, ok bool) {
	for q.first < len(q.frames) && !ok {
		w = q.frames[q.first]
		head = q.bytes[q.at : q.at+q.sizes[q.first]]
		ok = w.active
		q.at += len(head)
		q.first++
	}
	if q.first == len(q.frames) {
		q.frames, q.sizes, q.bytes, q.first, q.at = q.frames[:0], q.sizes[:0], q.bytes[:0], 0, 0
		if cap(q.bytes) > 16<<10 || cap(q.frames) > 256 {
			*q = queue{}
		}
	}
	return w, head, ok
}

// drop takes the frame of a stream out.
func (q *queue) drop(stream uint64) {
	for i := q.first; i < len(q.frames); i++ {
		if q.frames[i].stream == stream {
			q.frames[i].active = false
		}
	}
}
