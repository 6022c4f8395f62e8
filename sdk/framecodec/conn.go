package framecodec

import "sofamesh.io/sofamesh/sdk"

// conn is one end of a connection. Both sides are one type, because both read and
// write the same frames and differ in which of them they expect.
type conn struct {
	cfg   *config
	table table
	decoder
	writer
	said   []byte // what Flush has to write
	lastID uint64 // that we have chosen
	beat   uint64 // id of the heartbeat that waits for its answer
	found  Frame  // the one being read
	goAway bool   // one of the sides wants no further streams
	worn   bool   // so do we, of a server, and Decode has yet to say so
	failed error  // what ended the connection
	told   bool   // and Decode has said so
	beats  bool   // beat is valid
}

// beatingConn is a conn of a protocol with heartbeats.
type beatingConn struct{ conn }

// maxSaid bounds what a peer's heartbeats make wait while a long frame is being
// written; those beyond it get no answer.
const maxSaid = 64 << 10

// close forgets a request. What may still come of it is not reported.
func (c *conn) close(stream uint64) {
	if o := c.table.find(stream); o != nil {
		c.table.remove(o)
	}
	if c.decoder.stream == stream {
		c.discard = true
	}
}

// giveUp is close for a request to a server that may still answer it.
func (c *conn) giveUp(o *open) {
	if !c.cfg.quarantines() || !o.begun || c.decoder.stream == o.stream {
		c.close(o.stream)
		return
	}
	o.given = true
	if c.table.given++; c.table.given > c.cfg.most/2 && !c.goAway {
		c.goAway, c.worn = true, true
	}
}

// NewStream implements sdk.CodecConn. It returns 0, which no stream has, if there is
// no free id; Reusable says so before.
func (c *conn) NewStream() uint64 {
	if c.table.used >= c.cfg.most {
		return 0
	}
	id := c.nextID()
	return c.table.add(id, Asked{ID: id})
}

// nextID returns an id of ours that no open request has.
func (c *conn) nextID() uint64 {
	if c.cfg.ids == 0 {
		return 0
	}
	for {
		c.lastID++
		if id := c.lastID & c.cfg.ids; id != 0 && c.table.get(id) == nil {
			return id
		}
	}
}

// Pending implements sdk.Talker.
func (c *conn) Pending() bool {
	return len(c.said) > 0 && !c.cur.active || len(c.windows) > 0 || c.worn || c.failed != nil && !c.told
}

// Flush implements sdk.Talker.
func (c *conn) Flush(out *sdk.Buffer) {
	if c.cur.active || len(c.said) == 0 {
		return
	}
	out.Append(c.said)
	if c.said = c.said[:0]; cap(c.said) > 1024 {
		c.said = nil
	}
}

// WriteHeartbeat implements sdk.Heartbeater.
func (c *beatingConn) WriteHeartbeat(out *sdk.Buffer) {
	c.beat, c.beats = c.nextID(), true
	c.said = c.cfg.Heartbeat(c.said, c.beat)
	c.Flush(out)
}

// WriteGoAway implements sdk.CodecConn. A client has nobody to tell: it just opens
// no further streams.
func (c *conn) WriteGoAway(out *sdk.Buffer) {
	if c.cfg.side == sdk.Downstream && !c.goAway && c.cfg.GoAway != nil {
		c.said = c.cfg.GoAway(c.said)
		c.Flush(out)
	}
	c.goAway = true
}

// Consumed implements sdk.CodecConn; there is no flow control but TCP's.
func (c *conn) Consumed(*sdk.Buffer, uint64, int) {}

// Reusable implements sdk.CodecConn. To a server nothing new begins while a request is
// half written: whoever is slow to send one must not stop all others that call the host.
func (c *conn) Reusable() bool {
	if c.goAway || c.failed != nil {
		return false
	}
	if c.cfg.Mode == sdk.Serial {
		return c.table.used == 0 && !c.inside && !c.cur.active
	}
	return c.cfg.side == sdk.Downstream || c.table.used < c.cfg.most && !c.cur.active
}
