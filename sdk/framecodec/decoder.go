package framecodec

import "sofamesh.io/sofamesh/sdk"

// decoder is where reading stands. Between frames it is empty, save for partial.
type decoder struct {
	stream  uint64 // whose content is being read
	left    int    // bytes of content still to come
	inside  bool   // a frame, after its head
	discard bool   // nobody wants the content
	partial bool   // the beginning of a head has arrived
}

// Decode implements sdk.CodecConn.
func (c *conn) Decode(in []byte, ev *sdk.Event) (n int, err error) {
	*ev = sdk.Event{Msg: ev.Msg}
	if c.failed != nil {
		c.told = true
		return 0, c.failed
	}
	if c.soon(ev) {
		return 0, nil
	}
	for more := true; more && ev.Kind == sdk.EventNone && err == nil; {
		var k int
		if c.inside {
			k = c.content(in[n:], ev)
		} else {
			k, err = c.frame(in[n:], ev)
		}
		n += k
		more = k > 0
	}
	if len(in) > 0 {
		c.partial = n < len(in)
	}
	if ce, ok := err.(*sdk.CodecError); ok && !ce.Stream {
		c.failed, c.told = err, true
	}
	return n, err
}

// soon reports what needs no input.
func (c *conn) soon(ev *sdk.Event) bool {
	switch {
	case c.worn:
		c.worn = false
		ev.Kind, ev.Stream = sdk.EventGoAway, c.table.last()
	case len(c.windows) > 0:
		ev.Kind, ev.Stream = sdk.EventWindow, c.windows[0]
		c.windows = c.windows[:copy(c.windows, c.windows[1:])]
	default:
		return false
	}
	return true
}

// cut finds the head and the length of the frame that begins in. head is 0 until
// all of it is there.
func (c *conn) cut(in []byte) (head, size int, err error) {
	if len(in) == 0 {
		return 0, 0, nil
	}
	l, errs := &c.cfg.Limits, c.cfg.errs
	seen := in[:min(len(in), l.Head)]
	head, size, err = c.cfg.Cut(seen[:len(seen):len(seen)])
	switch {
	case err != nil:
		return 0, 0, fatal(errs.of(err))
	case head == 0 && size == 0:
		if len(seen) == l.Head {
			return 0, 0, errs.head
		}
		return 0, 0, nil
	case head <= 0 || size < head:
		return 0, 0, errs.lengths
	case size > l.Frame:
		return 0, 0, errs.size
	case head > l.Head:
		return 0, 0, errs.head
	case head > len(in):
		return 0, 0, nil
	}
	return head, size, nil
}

// fatal makes an error one that ends the connection.
func fatal(e *sdk.CodecError) *sdk.CodecError {
	if e.Stream {
		copied := *e
		copied.Stream, e = false, &copied
	}
	return e
}

// frame reads the head of a frame, and answers or skips what is no message.
func (c *conn) frame(in []byte, ev *sdk.Event) (int, error) {
	size, whole, err := c.cut(in)
	if err != nil || size == 0 {
		return 0, err
	}
	head, content := in[:size:size], whole-size
	f := &c.found
	err = c.read(head, ev.Msg)
	defer func() { *f = Frame{} }() // it borrows the input
	ours := c.cfg.side == sdk.Downstream && (f.Kind == Request || f.Kind == OneWay) ||
		c.cfg.side == sdk.Upstream && f.Kind == Response
	if err != nil {
		ce := c.cfg.errs.of(err)
		if !ours || !ce.Stream {
			return 0, fatal(ce)
		}
		err = ce
	}
	c.decoder = decoder{left: content, inside: content > 0, discard: true}
	switch {
	case ours && f.Kind == Response:
		c.response(head, content, f, err, ev)
		return size, nil
	case ours:
		return c.request(head, content, f, err, ev)
	}
	return size, c.aside(head, f, ev)
}

// aside deals with frames that are no message of the other side's.
func (c *conn) aside(head []byte, f *Frame, ev *sdk.Event) error {
	switch f.Kind {
	case Heartbeat:
		if c.cfg.HeartbeatReply != nil && len(c.said) <= maxSaid {
			c.said = c.cfg.HeartbeatReply(c.said, head)
		}
	case HeartbeatReply:
		ev.Kind = sdk.EventDropped
		if c.beats && f.ID == c.beat {
			c.beats, ev.Kind = false, sdk.EventHeartbeat
		}
	case GoAway: // a client that leaves needs no answer
		if c.cfg.side == sdk.Upstream {
			c.goAway = true
			ev.Kind, ev.Stream = sdk.EventGoAway, c.table.last()
		}
	case Request: // a server calls its client
		if c.cfg.Reply != nil && len(c.said) <= maxSaid {
			c.said = c.cfg.Reply(c.said, Asked{f.ID, f.Keep}, 404, "the proxy takes no calls from servers")
		}
		ev.Kind = sdk.EventDropped
	case OneWay, Response:
		ev.Kind = sdk.EventDropped
	default:
		return c.cfg.errs.kind
	}
	return nil
}

// request hands on the head of a request, or refuses it.
func (c *conn) request(head []byte, content int, f *Frame, err error, ev *sdk.Event) (int, error) {
	if f.Kind == Request {
		key := c.cfg.key(f)
		if c.table.get(key) != nil {
			return 0, c.cfg.errs.duplicate
		}
		if c.table.used >= c.cfg.most {
			return 0, c.cfg.errs.tooMany
		}
		ev.Stream = c.table.add(key, Asked{f.ID, f.Keep})
	} else {
		ev.Stream = c.table.nextStream(slotMask)
	}
	if e := c.showRequest(f, ev.Msg); err == nil {
		err = e
	}
	if err != nil {
		return len(head), err
	}
	c.begin(head, content, f, ev)
	return len(head), nil
}

// response hands on the head of a response, if somebody waits for it.
func (c *conn) response(head []byte, content int, f *Frame, err error, ev *sdk.Event) {
	o := c.table.get(c.cfg.key(f))
	if o == nil || !o.begun {
		ev.Kind = sdk.EventDropped
		return
	}
	ev.Stream = o.stream
	switch {
	case o.given:
		c.table.remove(o)
		ev.Kind, ev.Stream = sdk.EventDropped, 0
	case err != nil || f.crowd:
		c.close(ev.Stream)
		ev.Kind, ev.Reset = sdk.EventReset, sdk.ResetProtocol
	default:
		showResponse(f, ev.Msg)
		c.begin(head, content, f, ev)
	}
}

// begin turns to the content of a message.
func (c *conn) begin(head []byte, content int, f *Frame, ev *sdk.Event) {
	keepHead(ev.Msg, head, f, content)
	ev.Kind = sdk.EventHeaders
	c.decoder = decoder{stream: ev.Stream, left: content, inside: true}
	if content == 0 {
		ev.End = true
		c.ended()
	}
}

// content hands on, or skips, what there is of a content.
func (c *conn) content(in []byte, ev *sdk.Event) int {
	n := min(len(in), c.left)
	if n == 0 {
		return 0
	}
	c.left -= n
	if !c.discard {
		ev.Kind, ev.Stream, ev.Data, ev.End = sdk.EventData, c.decoder.stream, in[:n:n], c.left == 0
	}
	if c.left == 0 {
		c.ended()
	}
	return n
}

// ended is called at the end of a frame.
func (c *conn) ended() {
	stream := c.decoder.stream
	c.decoder = decoder{}
	if c.cfg.side == sdk.Upstream && stream != 0 {
		c.close(stream)
	}
}

// EOF implements sdk.CodecConn.
func (c *conn) EOF(ev *sdk.Event) error {
	*ev = sdk.Event{Msg: ev.Msg}
	if c.inside || c.partial {
		return c.cfg.errs.cutOff
	}
	return nil
}
