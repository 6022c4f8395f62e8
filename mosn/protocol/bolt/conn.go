package bolt

import (
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/hessian"
)

// conn is one end of a connection. Both sides are one type, because both read and
// write the same frames and differ in which of them they expect.
type conn struct {
	cfg    *config
	ours   table  // the requests that we have sent
	theirs table  // and those that the peer has
	serial uint64 // of the last stream
	decoder
	writer
	said      []byte // what Flush has to write
	beat      uint32 // id of the heartbeat that waits for its answer
	beating   bool
	reverse   bool  // a server may call its client
	goAway    bool  // one of the sides wants no further streams
	failed    error // what ended the connection
	told      bool  // and Decode has said so
	hessian   hessian.Reader
	service   service // of the last request
	beginning beginning
	other     writerKind // of this connection, if it is one that is not known
}

// maxSaid bounds what waits to be said while a long frame is being written;
// heartbeats beyond it get no answer.
const maxSaid = 64 << 10

// newStream returns the id of a stream: a serial number, and in the lower half the
// id in its frames.
func (c *conn) newStream(id uint32) uint64 {
	c.serial++
	return c.serial<<32 | uint64(id)
}

// find returns the open request of a stream, nil when there is none.
func (c *conn) find(stream uint64) *open {
	for _, t := range [...]*table{&c.ours, &c.theirs} {
		if o := t.get(uint32(stream)); o != nil && o.stream == stream {
			return o
		}
	}
	return nil
}

// close forgets a request. What may still come of it is not reported.
func (c *conn) close(stream uint64) {
	switch o := c.find(stream); {
	case o == nil:
	case o.ours:
		c.ours.remove(o.id)
	default:
		c.theirs.remove(o.id)
	}
	if c.decoder.stream == stream {
		c.discard = true
	}
}

// NewStream implements sdk.CodecConn.
func (c *conn) NewStream() uint64 {
	id := uint32(c.serial + 1)
	for ; c.ours.get(id) != nil || id == 0; id++ {
		c.serial++
	}
	o := open{stream: c.newStream(id), id: id, ours: true}
	c.ours.add(o)
	return o.stream
}

// Reverse implements sdk.Reverser.
func (c *conn) Reverse() { c.reverse = true }

// say keeps a frame without content for Flush.
func (c *conn) say(f fixed) {
	if len(c.said) > maxSaid {
		return
	}
	var p [24]byte
	c.said = append(c.said, p[:f.put(p[:])]...)
}

// Pending implements sdk.Talker.
func (c *conn) Pending() bool {
	return len(c.said) > 0 && !c.writing() || len(c.windows) > 0 || c.failed != nil && !c.told
}

// Flush implements sdk.Talker.
func (c *conn) Flush(out *sdk.Buffer) {
	if c.writing() {
		return
	}
	out.Append(c.said)
	if c.said = c.said[:0]; cap(c.said) > 256 {
		c.said = nil
	}
}

// WriteHeartbeat implements sdk.Heartbeater.
func (c *conn) WriteHeartbeat(out *sdk.Buffer) {
	c.beat, c.beating = c.freeID(), true
	c.say(fixed{kind: typeRequest, cmd: cmdHeartbeat, id: c.beat, serial: serialHessian})
	c.Flush(out)
}

// WriteGoAway implements sdk.CodecConn. It writes nothing: only MOSN knows command
// 100. The Java client (bolt 1.6.10) and the Node client (sofa-bolt-node 2.0.1) close
// the connection at its sight, and every call in flight on it fails. Both bear that
// an idle connection is closed, and connect again for the next call. So who drains
// answers what is open and closes at the first moment when nothing is.
func (c *conn) WriteGoAway(*sdk.Buffer) { c.goAway = true }

// freeID returns an id of ours that no open request has.
func (c *conn) freeID() uint32 {
	c.serial++
	for c.ours.get(uint32(c.serial)) != nil {
		c.serial++
	}
	return uint32(c.serial)
}

// Consumed implements sdk.CodecConn; there is no flow control but TCP's.
func (c *conn) Consumed(*sdk.Buffer, uint64, int) {}

// Reusable implements sdk.CodecConn. To a server nothing new begins while a request is
// half written: whoever is slow to send one must not stop all others that call the host.
func (c *conn) Reusable() bool {
	return !c.goAway && c.failed == nil && (c.cfg.side == sdk.Downstream || !c.writing())
}
