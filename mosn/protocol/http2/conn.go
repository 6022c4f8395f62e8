package http2

import (
	"time"

	"sofamesh.io/sofamesh/mosn/protocol/http2/hpack"
	"sofamesh.io/sofamesh/sdk"
)

// conn is one end of a connection. Both sides are one type, because they share
// everything but what a head may look like.
type conn struct {
	cfg *config
	streams
	live int // streams that are not over, nor dead
	dec  hpack.Decoder
	enc  hpack.Encoder

	reader
	peer
	flow
	output
	flood
	drain

	last   uint32    // the highest stream id that the peer, or for a client we, have opened
	next   uint32    // upstream: the id of the next stream
	usedUp bool      // there is no next, and Decode has yet to say so
	gap    [2]uint32 // ids between these the peer has passed over
	graves list      // dead streams whose end the peer has not said yet
	// forgotten is the highest stream of ours that was given up and is no longer in
	// graves: an answer may come for it and for any below.
	forgotten uint32
	upgrades  map[uint32]string // upstream: what streams of extended CONNECT ask for; made when needed

	beat    uint64 // payload of the PING that waits for its answer
	beating bool

	failed *fault // what ended the connection
	told   bool   // and Decode has said so
	clock  time.Duration
}

// peer is what the other end has told of itself.
type peer struct {
	settled    bool // its SETTINGS have come
	agreed     bool // and it has acknowledged ours
	maxStreams int  // that we may open
	window     int  // of new streams
	connects   bool // extended CONNECT is allowed
	away       bool // it wants no further streams
	crowded    bool // Reusable was denied for its limit of streams
	roomier    bool // and that has gone up: an EventWindow is due
}

// maxGraves bounds the streams that we have reset and of which frames may still be
// under way. Of one that is forgotten earlier a late HEADERS looks like an error.
const maxGraves = 1024

// maxOurTable bounds the table of what we write, in bytes. What repeats fits in it.
const maxOurTable = 16 << 10

func newConn(cfg *config) *conn {
	c := &conn{cfg: cfg}
	c.dec.Init(max(cfg.tableSize, hpack.DefaultTableSize))
	c.enc.Init(min(cfg.tableSize, maxOurTable), cfg.huffman)
	c.maxStreams, c.window = streamsBeforeSettings, initialRoom
	c.send, c.recv = initialRoom, int32(cfg.connWindow)
	c.resets = cfg.resetBurst
	c.keep = keepDownstream
	if cfg.side == sdk.Upstream {
		c.keep = keepUpstream
		c.next = 1
		c.hasPreface = true // a server sends none
	}
	return c
}

// NewStream implements sdk.CodecConn. Heads must be written in the order of the ids.
func (c *conn) NewStream() uint64 {
	id := c.next
	if c.cfg.side == sdk.Downstream || id > maxStreamID {
		return 0
	}
	c.next += 2
	c.usedUp = c.next > maxStreamID
	c.open(id)
	return uint64(id)
}

// open puts a new stream into the table.
func (c *conn) open(id uint32) *stream {
	c.live++
	s := c.add(id)
	s.send, s.recv, s.left = int32(c.window), int32(c.cfg.firstWindow), anyLength
	s.room = s.recv
	return s
}

// find returns a stream that is not dead, nil when there is none.
func (c *conn) find(id uint64) *stream {
	if s := c.get(uint32(id)); s != nil && !s.is(dead) {
		return s
	}
	return nil
}

// ended is called when one side has ended a stream. One that both have is forgotten,
// but not while its owner has bytes of it that will be consumed later.
func (c *conn) ended(s *stream) {
	if !s.over() {
		return
	}
	c.leave(s)
	if s.held == 0 {
		c.remove(s)
	}
}

// leave takes a stream out of what only living ones are in.
func (c *conn) leave(s *stream) {
	c.live--
	if s.is(queued) {
		c.waiting.remove(s)
	}
	s.flags &^= queued | starved
	if s.is(extended) && c.upgrades != nil {
		delete(c.upgrades, s.id)
	}
}

// kill ends a stream that was reset. What its owner has not consumed is settled,
// because nobody will tell us of it any more. late says that frames of the peer may
// still come, from before it knew; they are no error.
func (c *conn) kill(s *stream, late bool) {
	if !s.over() {
		c.leave(s)
	}
	c.owe(s.held - s.aside)
	if c.payload.stream == s.id && !c.payload.discard {
		c.payload.discard = true
		c.owe(int32(c.payload.left))
	}
	if late && !s.is(remoteEnd) {
		c.bury(s)
	} else {
		c.remove(s)
	}
}

// bury keeps a stream that is dead as long as frames of it may come.
func (c *conn) bury(s *stream) {
	s.flags |= dead
	c.graves.push(s)
	if c.graves.n > maxGraves {
		if c.cfg.side == sdk.Upstream {
			c.forgotten = max(c.forgotten, c.graves.first.id)
		}
		c.exhume(c.graves.first)
	}
}

func (c *conn) exhume(s *stream) {
	c.graves.remove(s)
	c.remove(s)
}

// refuse says that a stream is broken or not wanted, and ends it. end tells whether
// the peer has ended it.
func (c *conn) refuse(id uint32, code errorCode, end bool) {
	c.sayReset(id, code)
	if s := c.get(id); s != nil {
		if !s.is(dead) {
			c.kill(s, !end)
		}
	} else if !end {
		c.bury(c.add(id))
	}
}

// WriteReset implements sdk.CodecConn.
func (c *conn) WriteReset(out *sdk.Buffer, id uint64, r sdk.ResetReason) bool {
	s := c.find(id)
	if s == nil {
		return true
	}
	known := c.next == 0 || s.is(opened) // to the peer
	if known && !s.over() {
		var p [32]byte
		c.tell(out, appendReset(p[:0], s.id, codeOf(r, c.cfg.side)))
	}
	c.kill(s, known)
	c.Flush(out) // what it held of the window may be what others wait for
	return true
}

// WriteHeartbeat implements sdk.Heartbeater.
func (c *conn) WriteHeartbeat(out *sdk.Buffer) {
	c.beat++
	c.beating = true
	var p [32]byte
	c.tell(out, appendPing(p[:0], pingBeat|c.beat, 0))
}

// Reusable implements sdk.CodecConn. Downstream it becomes false when no further
// request will be read.
func (c *conn) Reusable() bool {
	if c.failed != nil {
		return false
	}
	if c.cfg.side == sdk.Downstream {
		return !c.drain.final
	}
	if c.away || c.drain.begun || c.next > maxStreamID {
		return false
	}
	c.crowded = c.live >= min(c.maxStreams, c.cfg.maxStreams)
	return !c.crowded
}

// EOF implements sdk.CodecConn.
func (c *conn) EOF(ev *sdk.Event) error {
	*ev = sdk.Event{Msg: ev.Msg}
	if c.failed == nil && (c.partial || c.block.open || c.payload.left+c.payload.pad > 0 || c.unfinished()) {
		c.failed, c.told = errCutOff, true
		return &c.failed.fatal
	}
	return nil
}

// unfinished reports whether the peer has yet to say the end of some stream.
func (c *conn) unfinished() bool {
	for _, s := range c.all() {
		if !s.is(remoteEnd) && !s.is(dead) {
			return true
		}
	}
	return false
}

// Clock implements sdk.Clocked: resets that the peer may cause come back with time.
func (c *conn) Clock(now time.Duration) {
	if c.resets >= c.cfg.resetBurst || c.cfg.resetsPerSecond == 0 {
		c.clock = now
		return
	}
	each := time.Second / time.Duration(c.cfg.resetsPerSecond)
	n := int(max(0, now-c.clock) / max(1, each))
	if c.resets += n; c.resets >= c.cfg.resetBurst {
		c.resets, c.clock = c.cfg.resetBurst, now
		return
	}
	c.clock += time.Duration(n) * each
}
