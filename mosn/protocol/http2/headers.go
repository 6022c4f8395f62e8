package http2

import "sofamesh.io/sofamesh/sdk"

// headers takes a HEADERS frame: all of a header block, or its beginning.
func (c *conn) headers(f *frame, p []byte, ev *sdk.Event) *fault {
	if f.stream&1 == 0 {
		return errStreamID
	}
	p, err := f.unpad(p)
	if err != nil {
		return err
	}
	dependsOnItself := false
	if f.has(flagPriority) {
		if len(p) < prioritySize {
			return errFrameSize
		}
		dependsOnItself = be32(p)&maxStreamID == f.stream
		p = p[prioritySize:]
	}
	if err := c.notEmpty(len(p) > 0 || f.has(flagEndStream)); err != nil {
		return err
	}
	if f.has(flagEndHeaders) {
		return c.head(f, p, dependsOnItself, ev)
	}
	if dependsOnItself {
		return errSelf // a stream that is refused in the middle of its head is not worth a state
	}
	c.block.open, c.block.first, c.block.pieces = true, *f, 1
	c.block.data = append(c.block.data[:0], p...)
	return nil
}

// continuation takes the next piece of a header block.
func (c *conn) continuation(f *frame, p []byte, ev *sdk.Event) *fault {
	b := &c.block
	if !b.open {
		return errContinuation
	}
	if err := c.notEmpty(len(p) > 0 || f.has(flagEndHeaders)); err != nil {
		return err
	}
	if b.pieces++; b.pieces > maxPieces || len(b.data)+len(p) > c.cfg.maxBlock {
		return errBlock
	}
	b.data = append(b.data, p...)
	if !f.has(flagEndHeaders) {
		return nil
	}
	b.open = false
	err := c.head(&b.first, b.data, false, ev)
	if cap(b.data) > keepBlock {
		b.data = nil
	}
	return err
}

// head takes a header block that is all there. Whatever becomes of it, it is
// decompressed, or the next could not be.
func (c *conn) head(f *frame, p []byte, dependsOnItself bool, ev *sdk.Event) *fault {
	ev.Stream, ev.End = uint64(f.stream), f.has(flagEndStream)
	d := fields{c: c, m: ev.Msg}
	s := c.get(f.stream)
	switch {
	case s != nil && s.is(dead):
		if ev.End {
			c.exhume(s)
		}
		return c.skip(&d, p, ev, nil)
	case s == nil && c.cfg.side == sdk.Downstream && f.stream > c.last:
		return c.newRequest(&d, f, p, dependsOnItself, ev)
	case s == nil && c.passed(f.stream), c.idle(f.stream):
		return errIdle.at(0, ev)
	case s == nil && f.stream <= c.forgotten:
		return c.skip(&d, p, ev, nil)
	case s == nil:
		return errClosed.at(0, ev)
	case s.is(remoteEnd):
		return c.skip(&d, p, ev, errHalfClosed)
	case c.next != 0 && !s.is(answered):
		return c.newResponse(&d, s, p, ev)
	}
	return c.trailers(&d, s, p, ev)
}

// skip decompresses a block that nobody wants, and tells why unless it is nil.
func (c *conn) skip(d *fields, p []byte, ev *sdk.Event, why *fault) *fault {
	d.fault = why
	d.drop = true
	if err := d.read(p); err != nil {
		return err.at(0, ev)
	}
	if why == nil {
		*ev = sdk.Event{Msg: ev.Msg}
	}
	return why
}

// newRequest takes the head of a request, which opens a stream.
func (c *conn) newRequest(d *fields, f *frame, p []byte, dependsOnItself bool, ev *sdk.Event) *fault {
	if f.stream > c.last+2 {
		c.gap = [2]uint32{c.last, f.stream}
	}
	c.last = f.stream
	if c.drain.final || c.live >= c.cfg.maxStreams || c.used()-c.graves.n >= 2*c.cfg.maxStreams {
		end := ev.End
		if err := c.skip(d, p, ev, nil); err != nil {
			return err
		}
		ev.Kind = sdk.EventDropped
		c.refuse(f.stream, codeRefused, end)
		if c.agreed { // before, it does not know the limit
			c.spend()
		}
		return nil
	}
	d.kind = ofRequest
	if dependsOnItself {
		d.fault = errDependency
	}
	if err := d.read(p); err != nil {
		return err
	}
	flags, err := d.request(ev.End)
	if err != nil {
		return err
	}
	c.opened++
	s := c.open(f.stream)
	s.flags |= flags
	if flags&tunnel == 0 && d.hasLength {
		s.left = d.length
	}
	ev.Kind = sdk.EventHeaders
	if ev.End {
		c.remoteEnded(s)
	}
	return nil
}

// newResponse takes the head of a response, or of an informational one.
func (c *conn) newResponse(d *fields, s *stream, p []byte, ev *sdk.Event) *fault {
	d.kind = ofResponse
	if err := d.read(p); err != nil {
		return err
	}
	if err := d.response(s, ev.End); err != nil {
		return err
	}
	if status := ev.Msg.Status(); status < 200 && !ev.Msg.Upgrade {
		ev.Kind = sdk.EventInformational
		return nil
	}
	ev.Kind = sdk.EventHeaders
	s.flags |= answered
	if ev.End {
		c.remoteEnded(s)
	}
	return nil
}

// trailers takes the block that ends a message.
func (c *conn) trailers(d *fields, s *stream, p []byte, ev *sdk.Event) *fault {
	d.kind = ofTrailers
	if err := d.read(p); err != nil {
		return err
	}
	switch {
	case d.fault != nil:
		return d.fault
	case !ev.End:
		return errTrailersEnd
	case s.is(tunnel):
		return errRaw
	case s.left > 0:
		return errBodyLength
	}
	ev.Kind = sdk.EventTrailers
	c.remoteEnded(s)
	return nil
}
