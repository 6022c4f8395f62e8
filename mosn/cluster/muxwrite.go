package cluster

import (
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// muxConn as the carrier of its calls.

func (cn *muxConn) writeHeaders(c *Call, m *sdk.Message, end bool) error {
	if cn.silent(c) {
		return nil
	}
	before := cn.position()
	if err := cn.codec.WriteHeaders(cn.conn.Out(), c.id, m, end); err != nil {
		return err
	}
	c.mux.oneWay = m.OneWay
	cn.written(c, before, end)
	return nil
}

func (cn *muxConn) writeData(c *Call, p []byte, end bool) int {
	if cn.silent(c) {
		return len(p)
	}
	before := cn.position()
	n := cn.codec.WriteData(cn.conn.Out(), c.id, p, end)
	c.mux.blocked = c.mux.blocked || n < len(p)
	cn.written(c, before, end && n == len(p))
	return n
}

func (cn *muxConn) writeTrailers(c *Call, m *sdk.Message) {
	if cn.silent(c) {
		return
	}
	before := cn.position()
	cn.codec.WriteTrailers(cn.conn.Out(), c.id, m)
	cn.written(c, before, true)
}

// silent reports whether what a call writes goes nowhere: its response is complete,
// or its connection gone, and its owner has yet to be told.
func (cn *muxConn) silent(c *Call) bool { return c.mux.offWire || cn.state == connClosed }

// written accounts what a call has written. A protocol that sends a request in one
// piece takes the next only after the end of that one.
func (cn *muxConn) written(c *Call, before uint64, end bool) {
	c.sent += cn.position() - before
	if cn.conn.AboveHigh() {
		c.mux.blocked = true
	}
	cn.wrote()
	cn.speakSoon()
	if end && !c.requestDone {
		c.requestDone = true
		if c.mux.oneWay {
			cn.oneWays++
			cn.conn.NotifyFlushed()
		}
		if cn.pool.waiting > 0 {
			cn.pool.serveStreams()
		}
	}
}

func (cn *muxConn) aboveHigh(c *Call) bool {
	if !cn.conn.AboveHigh() {
		return false
	}
	c.mux.blocked = true
	return true
}

// readDisable(false) has what was kept delivered soon, not from within the call.
func (cn *muxConn) readDisable(c *Call, on bool) {
	if !on && c.mux.park != nil {
		c.mux.park.resume()
	}
}

// consumed lets the host of a protocol with flow control send n more bytes of a
// stream. Body counts when it has been delivered, or dropped; what is parked does not.
func (cn *muxConn) consumed(id uint64, n int) {
	if cn.flow && n > 0 && cn.state != connClosed {
		cn.codec.Consumed(cn.conn.Out(), id, n)
		cn.speakSoon()
	}
}

func (cn *muxConn) bytes(c *Call) (received, sent uint64) { return c.received, c.sent }

func (cn *muxConn) cancel(c *Call, reason sdk.ResetReason) {
	if !cn.silent(c) {
		cn.pool.lc.inc(RqTxReset)
		cn.giveUp(c, reason)
	}
	cn.detach(c)
	cn.vacant()
}

// OnDrained implements eventloop.Handler.
func (cn *muxConn) OnDrained(*eventloop.Conn) {
	defer cn.pool.lc.local.loop.Recovered() // one owner's panic is not the others' affair
	cn.drained()
	cn.speakSoon()
	defer cn.wake()
	cn.endOneWays()
	if cn.pool.waiting > 0 {
		cn.pool.serveStreams()
	}
}

// endOneWays ends the requests that get no response: the socket has accepted their
// last byte. Their owners see a head that is all.
func (cn *muxConn) endOneWays() {
	if cn.oneWays == 0 || cn.conn.Queued() > 0 {
		return
	}
	cn.oneWays = 0
	cn.each(func(c *Call) {
		if c.mux.oneWay && c.requestDone && !c.mux.offWire {
			ev := cn.pool.lc.local.sent()
			ev.Stream = c.id
			cn.response(c, ev)
		}
	})
}

// window: the peer takes more of a stream, or of all for stream 0.
func (cn *muxConn) window(id uint64) {
	if id == 0 {
		cn.wake()
		if cn.pool.waiting > 0 { // it may be the limit of streams that was raised
			cn.pool.serveStreams()
		}
		return
	}
	if c := cn.calls.Get(id); c != nil {
		c.mux.blocked = false
		c.ev.OnCallWritable(c)
	} else if cn.hosts != nil {
		if h := cn.hosts.table.Get(id); h != nil {
			h.blocked = true
			cn.hostWritable(h)
		}
	}
}

// wake tells all calls that wait for it that they may write. Each gets its turn even
// when those before it have filled the queue again, so that none starves.
func (cn *muxConn) wake() {
	defer cn.wakeHost()
	cn.each(func(c *Call) {
		if c.mux.blocked && !c.mux.offWire {
			c.mux.blocked = false
			c.ev.OnCallWritable(c)
		}
	})
}

// speak writes what the codec has to say by itself and reports whether there was
// something. A peer that makes it answer and does not read the answers is cut off.
func (cn *muxConn) speak() bool {
	if cn.talker == nil || cn.state != connBusy || !cn.talker.Pending() {
		return false
	}
	t, at := &cn.talk, cn.position()
	if cn.conn.BytesOut() >= t.saidAt {
		t.saidAt, t.before, t.since = at, t.since, 0
	}
	cn.talker.Flush(cn.conn.Out())
	t.since += int(cn.position() - at)
	if t.before+t.since > maxTalk {
		cn.pool.lc.inc(CxProtocolError)
		cn.lose(false, ErrProtocol)
	}
	return true
}

// speakSoon has the codec asked again, not from within a write: an owner must not be
// told of other things from within its own call.
func (cn *muxConn) speakSoon() {
	if cn.talker == nil || cn.talk.posted || !cn.talker.Pending() {
		return
	}
	loop := cn.pool.lc.local.loop
	if cn.talk.posted = loop.PostFromLoop(loop, cn); !cn.talk.posted {
		cn.conn.NotifyFlushed() // OnDrained asks again
	}
}

// armBeat sets the time after which silence is looked into.
func (cn *muxConn) armBeat() {
	cn.missed = 0
	cn.heard = cn.conn.BytesIn()
	o := cn.pool.mux
	if o.HeartbeatInterval == 0 || cn.beats == nil || cn.state != connBusy {
		return
	}
	d := o.HeartbeatInterval
	if o.HeartbeatJitter > 0 {
		d += time.Duration(cn.pool.lc.local.random.Uint64() % uint64(o.HeartbeatJitter))
	}
	cn.beatTimer.Arm(d)
}

// probe sends a heartbeat ahead of a call when the host has been silent for long, so
// that a dead connection is found out by it.
func (cn *muxConn) probe() {
	d := cn.pool.mux.IdleInterval
	if d == 0 || cn.beats == nil || cn.missed > 0 || cn.pool.lc.local.loop.Now()-cn.heardAt <= d {
		return
	}
	cn.heard = cn.conn.BytesIn()
	cn.sendBeat()
}

// beat is due: whatever came since shows that the host lives. While we do not read
// ourselves nothing can be said of it.
func (cn *muxConn) beat() {
	if cn.conn.BytesIn() != cn.heard || cn.conn.ReadDisabled() {
		cn.armBeat()
		return
	}
	if cn.missed == cn.pool.mux.HeartbeatMisses {
		cn.lose(false, ErrConnLost)
		return
	}
	cn.sendBeat()
}

func (cn *muxConn) sendBeat() {
	at := cn.position()
	cn.beats.WriteHeartbeat(cn.conn.Out())
	if cn.position() == at { // it waits for the end of a request that is half written
		cn.armBeat()
		return
	}
	cn.missed++
	cn.beatTimer.Arm(cn.pool.mux.HeartbeatTimeout)
}

// OnTimer implements eventloop.TimerHandler.
func (cn *muxConn) OnTimer(t *eventloop.Timer) {
	lc := cn.pool.lc
	switch t {
	case &cn.beatTimer:
		cn.beat()
	case &cn.lifeTimer:
		lc.inc(CxMaxDurationReached)
		cn.drain()
		cn.pool.serveStreams()
	case &cn.idleTimer:
		if cn.first == nil {
			lc.inc(CxIdleTimeout)
			cn.finish(false)
		}
	}
}
