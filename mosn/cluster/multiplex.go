package cluster

import (
	"errors"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/idtable"
	"sofamesh.io/sofamesh/sdk"
)

// Bounds against peers and codecs that misbehave.
const (
	maxTalk    = 256 << 10 // bytes a codec may have queued on its own account
	idAttempts = 8         // ids asked of a codec for one stream (they wrap around)
	// A host's connection serves many clients: the more of their answers one turn has, the
	// fewer writes they take.
	turnEffort = 4 * sdk.TurnEffort
)

// muxConn is an upstream connection of a Multiplexed codec: many calls, told apart by
// the id of their stream. Its pool owns it; the loop calls it as the connection's
// handler and its timers' handler.
//
// A call is in two places: in calls while the protocol has its stream, and in the
// list from first to last until its owner has been told the end, which is later when
// the owner has stopped reading (see parked).
type muxConn struct {
	link
	talker sdk.Talker      // nil: the codec has nothing to say by itself
	beats  sdk.Heartbeater // nil: the protocol has no heartbeat
	clock  sdk.Clocked     // nil: the codec does not care for time
	flow   bool            // the protocol has flow control
	parker sdk.Parker      // nil: its connections have no window

	calls       idtable.Table[Call]
	first, last *Call
	cursor      *Call      // the next one to be visited; moved on when it leaves
	hosts       *hostCalls // nil: the host may not call

	beatTimer eventloop.Timer
	heard     uint64        // BytesIn when the beat timer was set
	missed    int           // heartbeats without an answer
	heardAt   time.Duration // when something has come, or the connection was made
	talk      talk
	stuck     uint64 // a half-written request: those begun after this one are behind it
	oneWays   int    // requests without response that wait for the socket
	choked    int    // calls that keep the connection from being read
	decoding  bool   // the codec is at it
}

// talk is what a codec has said by itself. Everything up to saidAt was accepted when
// BytesOut gets there; so at most before+since bytes are queued.
type talk struct {
	saidAt        uint64
	before, since int
	posted        bool // the connection's task is in the mailbox
}

// muxCall is what a Call has on a muxConn.
type muxCall struct {
	park     *parked
	offWire  bool // the response is complete, its end not yet delivered
	blocked  bool // its owner waits for OnCallWritable
	answered bool // the head of the response has come
	oneWay   bool // there will be no response
	choked   bool // has stopped the reading of the connection
}

func dialMux(p *pool) *muxConn {
	cn := &muxConn{}
	cn.dial(p, cn)
	cn.prepare()
	return cn
}

// prepare finds out what the codec can do.
func (cn *muxConn) prepare() {
	cn.beatTimer.Init(cn.pool.lc.local.loop, cn)
	cn.talker, _ = cn.codec.(sdk.Talker)
	cn.beats, _ = cn.codec.(sdk.Heartbeater)
	cn.clock, _ = cn.codec.(sdk.Clocked)
	cn.parker, _ = cn.codec.(sdk.Parker)
	cn.flow = cn.pool.way.codec.Codec().FlowControl
	cn.serveHost()
}

// room reports whether another stream may begin here now.
func (cn *muxConn) room() bool {
	return cn.state == connBusy && !cn.draining && cn.choked == 0 && cn.calls.Len() < cn.pool.mux.perConn &&
		!cn.conn.Closed() && cn.codec.Reusable()
}

// OnConnect implements eventloop.Handler.
func (cn *muxConn) OnConnect(*eventloop.Conn) {
	if to := cn.chosen(); to != nil {
		cn.pool.mux.retire(cn)
		cn.link.handOver(to)
		return
	}
	cn.stand()
}

// stand begins the use of a connection that stands.
func (cn *muxConn) stand() {
	cn.established()
	cn.heardAt = cn.pool.lc.local.loop.Now()
	cn.speak()
	cn.armBeat()
	cn.vacant()
}

// attach gives a call a stream and tells it.
func (cn *muxConn) attach(c *Call) {
	cn.probe()
	idle := cn.first == nil
	id := cn.codec.NewStream()
	for n := 1; !cn.calls.Put(id, c); n++ {
		if n == idAttempts {
			cn.fault(c)
			return
		}
		id = cn.codec.NewStream()
	}
	c.id = id
	cn.begin(c, cn)
	// Only on an idle connection can the host have closed it without knowing of a request.
	c.reused = c.reused && idle
	c.inBase, c.outBase = cn.conn.BytesIn(), cn.position()
	c.mux = muxCall{}
	c.order = uint64(cn.served)
	c.next, c.prev = nil, cn.last
	if cn.last == nil {
		cn.first = c
	} else {
		cn.last.next = c
	}
	cn.last = c
	if cn.draining { // this was the last of max_requests_per_connection
		cn.pool.mux.retire(cn)
	}
	c.ev.OnCallReady(c)
}

// fault ends a connection whose codec gives ids twice; the call that wanted one has
// been admitted and fails unsent.
func (cn *muxConn) fault(c *Call) {
	cn.pool.breakers.Requests.Release()
	cn.pool.lc.inc(CxProtocolError)
	cn.lose(false, ErrProtocol)
	c.fail(ErrConnLostUnsent, "")
}

// position is the number of bytes ever written to the connection.
func (cn *muxConn) position() uint64 { return cn.conn.BytesOut() + uint64(cn.conn.Queued()) }

// leaveWire ends a call's stream as far as the protocol is concerned.
func (cn *muxConn) leaveWire(c *Call) {
	if c.mux.offWire {
		return
	}
	c.mux.offWire = true
	cn.calls.Remove(c.id)
	cn.unchoke(c)
}

// detach ends a call on this connection; its owner is told by the caller, if at all.
func (cn *muxConn) detach(c *Call) {
	if cn.cursor == c {
		cn.cursor = c.next
	}
	if c.prev == nil {
		cn.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		cn.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
	cn.leaveWire(c)
	if k := c.mux.park; k != nil {
		cn.pool.lc.local.kept -= k.data.Len()
		cn.consumed(c.id, k.data.Len())
		c.mux.park = nil
		cn.pool.lc.local.putParked(k)
	}
	c.readDisabled = 0
	c.state, c.carrier = callIdle, nil
	cn.ended()
}

// fail ends a call with an error.
func (cn *muxConn) fail(c *Call, err *sdk.Error) {
	if err == ErrConnLost && cn.conn.BytesOut() <= c.outBase {
		err = ErrConnLostUnsent
	}
	// Had anything come since, the host would have known of the request.
	c.reused = c.reused && cn.conn.BytesIn() == c.inBase
	cn.detach(c)
	c.ev.OnCallFailed(c, err)
}

// failAlone is fail for a call that leaves its place to others, also if its owner panics.
func (cn *muxConn) failAlone(c *Call, err *sdk.Error) {
	defer cn.vacant()
	cn.fail(c, err)
}

// each calls f for every call, also for those behind one whose owner panics. f may end
// it, and others.
func (cn *muxConn) each(f func(*Call)) {
	cn.cursor = cn.first
	cn.eachRest(f)
}

func (cn *muxConn) eachRest(f func(*Call)) {
	defer func() {
		if cn.cursor != nil {
			cn.eachRest(f)
		}
	}()
	for cn.cursor != nil {
		c := cn.cursor
		cn.cursor = c.next
		f(c)
	}
}

// vacant is called when room may have been made: calls that wait are served, and a
// connection without streams is kept for a while or ended.
func (cn *muxConn) vacant() {
	if cn.state == connClosed {
		return
	}
	p := cn.pool
	cn.strand()
	if !cn.inUse() && cn.draining {
		cn.finish(false)
	}
	p.serveStreams()
	switch {
	case cn.state == connClosed || cn.inUse():
	case p.draining:
		cn.finish(false)
	case cn.first == nil && p.idleTimeout() > 0:
		cn.idleTimer.Arm(p.idleTimeout())
	}
}

// drain lets no further call begin here.
func (cn *muxConn) drain() {
	cn.draining = true
	cn.pool.mux.retire(cn)
	if !cn.inUse() && cn.state == connBusy {
		cn.finish(false)
	}
}

// OnData implements eventloop.Handler.
func (cn *muxConn) OnData(_ *eventloop.Conn, in []byte) int {
	now := cn.pool.lc.local.loop.Now()
	cn.heardAt = now
	if cn.clock != nil {
		cn.clock.Clock(now)
	}
	cn.pool.lc.local.effort = turnEffort
	used := cn.decode(in)
	// What the codec says may let streams go on that had to wait.
	if cn.speak() {
		used += cn.decode(in[used:])
	}
	if cn.state == connClosed {
		return len(in)
	}
	cn.missed = 0
	cn.speakSoon()
	cn.countBytes()
	return used
}

// Run implements eventloop.Task: the codec has something to say after a write.
func (cn *muxConn) Run(*eventloop.Loop) {
	cn.talk.posted = false
	if cn.state == connBusy && cn.speak() {
		cn.decode(nil)
		cn.speakSoon()
	}
}

// decode handles all events that there are in the input and returns how many bytes
// are consumed.
func (cn *muxConn) decode(in []byte) (used int) {
	for done := false; !done; {
		var n int
		n, done = cn.decodeSome(in[used:])
		used += n
		if cn.decoding { // the panic was the codec's, which would come to the same bytes again
			cn.decoding, done = false, true
			cn.pool.lc.inc(CxProtocolError)
			cn.lose(false, ErrProtocol)
		}
	}
	return used
}

// decodeSome is decode up to a panic of a call's owner, which is its own affair: the
// other calls of the connection go on. It reports whether there was none.
func (cn *muxConn) decodeSome(in []byte) (used int, done bool) {
	local := cn.pool.lc.local
	defer local.loop.Recovered()
	ev := &local.event
	for cn.state != connClosed && !cn.conn.ReadDisabled() {
		if local.effort <= 0 && used < len(in) {
			cn.conn.Resume() // in the next turn
			break
		}
		ev.Msg = &local.msg
		cn.decoding = true
		n, err := cn.codec.Decode(in[used:], ev)
		cn.decoding = false
		used += n
		local.effort -= ev.Effort(n)
		if err != nil {
			if n > 0 && cn.streamError(ev, err) {
				continue
			}
			cn.broken(err)
			break
		}
		if ev.Kind == sdk.EventNone {
			break
		}
		cn.take(ev, n)
	}
	return used, true
}

// broken ends a connection whose bytes are no protocol.
func (cn *muxConn) broken(err error) {
	lc := cn.pool.lc
	lc.inc(CxProtocolError)
	var ce *sdk.CodecError
	if errors.As(err, &ce) {
		lc.local.stats.Inc(lc.cfg.h2.Fault(ce.Details))
	}
	cn.lose(false, ErrProtocol)
}

// streamError handles a malformed message that ends only its stream.
func (cn *muxConn) streamError(ev *sdk.Event, err error) bool {
	var ce *sdk.CodecError
	if !errors.As(err, &ce) || !ce.Stream {
		return false
	}
	lc := cn.pool.lc
	lc.local.stats.Inc(lc.cfg.h2.Fault(ce.Details))
	if c := cn.calls.Get(ev.Stream); c != nil {
		lc.inc(RqTxReset)
		cn.giveUp(c, sdk.ResetProtocol)
		cn.failAlone(c, ErrProtocol)
	}
	return true
}

// take handles an event for which the codec has consumed n bytes.
func (cn *muxConn) take(ev *sdk.Event, n int) {
	switch ev.Kind {
	case sdk.EventHeartbeat:
		return // that there was something is what counts
	case sdk.EventDropped:
		cn.pool.lc.countStray()
		return
	case sdk.EventGoAway:
		cn.goAway(ev.Stream)
		return
	case sdk.EventWindow:
		cn.window(ev.Stream)
		return
	}
	c := cn.calls.Get(ev.Stream)
	if c == nil {
		if !cn.fromHost(ev) {
			cn.stray(ev)
		}
		return
	}
	c.received += uint64(n)
	switch {
	case ev.Kind == sdk.EventReset:
		cn.pool.lc.local.stats.Inc(cn.pool.lc.cfg.h2.RxReset)
		if ev.Reset != sdk.ResetRefused {
			cn.pool.lc.inc(RqRxReset)
		}
		cn.failAlone(c, resetError(ev.Reset))
	case ev.Kind == sdk.EventHeaders && c.mux.answered:
		cn.pool.lc.inc(CxProtocolError)
		cn.lose(false, ErrProtocol)
	default:
		cn.response(c, ev)
	}
}

// stray drops what belongs to no call: the answer to one that was given up, or to
// none. Its bytes must not eat up the connection's window.
func (cn *muxConn) stray(ev *sdk.Event) {
	switch ev.Kind {
	case sdk.EventHeaders:
		cn.pool.lc.countStray()
	case sdk.EventData:
		cn.consumed(ev.Stream, len(ev.Data))
	}
}

// response hands a part of a response to its call, or keeps it.
func (cn *muxConn) response(c *Call, ev *sdk.Event) {
	end := ev.End || ev.Kind == sdk.EventTrailers
	if ev.Kind == sdk.EventHeaders {
		c.mux.answered = true
		if ev.Msg.Close {
			cn.pool.lc.inc(CxCloseNotify)
			cn.draining = true
			cn.pool.mux.retire(cn)
		}
	}
	if end && !c.requestDone {
		cn.pool.lc.inc(RqTxReset)
		cn.giveUp(c, sdk.ResetLocal) // the rest of the request goes nowhere
	}
	if c.readDisabled > 0 || c.mux.park != nil {
		if ev.Kind != sdk.EventInformational {
			cn.park(c, ev)
		}
		if end {
			cn.vacant() // the protocol is done with it
		}
		return
	}
	if end {
		cn.detach(c)
		defer cn.vacant() // also when the owner panics
	}
	switch ev.Kind {
	case sdk.EventHeaders:
		c.ev.OnCallHeaders(c, ev.Msg, end)
	case sdk.EventInformational:
		c.ev.OnCallInformational(c, ev.Msg)
	case sdk.EventData:
		defer cn.consumed(ev.Stream, len(ev.Data))
		c.ev.OnCallData(c, ev.Data, end)
	case sdk.EventTrailers:
		c.ev.OnCallTrailers(c, ev.Msg)
	}
}

// giveUp tells the peer that a stream ends early. Where the protocol cannot, as in
// the middle of a frame, nothing more can be written to the connection; but the
// answers to what was written before may still come, so it ends with the last of them.
func (cn *muxConn) giveUp(c *Call, reason sdk.ResetReason) {
	if cn.codec.WriteReset(cn.conn.Out(), c.id, reason) {
		cn.pool.lc.local.stats.Inc(cn.pool.lc.cfg.h2.TxReset)
	} else {
		cn.draining = true
		cn.pool.mux.retire(cn)
		cn.stuck = c.order
	}
}

// strand fails the calls whose requests the codec holds behind one that was given up
// half written: nothing of them has been sent.
func (cn *muxConn) strand() {
	from := cn.stuck
	if from == 0 {
		return
	}
	cn.stuck = 0
	cn.each(func(c *Call) {
		if c.order > from && c.sent == 0 && !c.mux.answered && !c.mux.offWire {
			cn.fail(c, ErrConnLostUnsent)
		}
	})
}

// goAway: the peer wants no further streams and has not processed those above last.
func (cn *muxConn) goAway(last uint64) {
	if !cn.draining {
		cn.draining = true
		cn.pool.lc.inc(CxCloseNotify)
	}
	cn.pool.mux.retire(cn)
	defer cn.vacant()
	cn.each(func(c *Call) {
		if c.id > last && !c.mux.offWire {
			cn.fail(c, ErrRefused)
		}
	})
}

// OnEOF implements eventloop.Handler.
func (cn *muxConn) OnEOF(*eventloop.Conn) { cn.lose(true, ErrConnLost) }

// OnClose implements eventloop.Handler. For a connection that we closed everything
// is done already.
func (cn *muxConn) OnClose(_ *eventloop.Conn, err error) {
	switch cn.state {
	case connClosed:
	case connConnecting:
		failure, remote := cn.countFailure(err)
		cn.finish(remote)
		defer cn.pool.grow()
		cn.pool.failPending(failure, transportFailure(err))
	default:
		cn.lose(true, ErrConnLost)
	}
}

// lose closes the connection and fails the calls whose streams it takes along.
func (cn *muxConn) lose(remote bool, err *sdk.Error) {
	if cn.state == connClosed {
		return
	}
	cn.end(remote, cn.calls.Len() > 0 && err != ErrProtocol) // Envoy resets their streams first
	defer cn.pool.serveStreams()
	defer cn.loseHost()
	cn.each(func(c *Call) {
		if !c.mux.offWire { // what is parked of a complete response is delivered yet
			if err == ErrProtocol {
				cn.pool.lc.inc(RqTxReset)
			} else {
				cn.pool.lc.inc(RqPendingFailureEject) // so Envoy calls them
			}
			cn.fail(c, err)
		}
	})
}

// finish closes the connection and takes it out of all accounts. Calls must be
// detached after it, so that they are counted.
func (cn *muxConn) finish(remote bool) { cn.end(remote, cn.calls.Len() > 0) }

// end is finish; active says whether calls count as lost with the connection.
func (cn *muxConn) end(remote, active bool) {
	if cn.state == connClosed {
		return
	}
	cn.pool.mux.retire(cn)
	cn.beatTimer.Stop()
	if cn.hosts != nil {
		cn.conn.CloseFlush(lastWords) // answers to the host may have come with the client's end
	} else {
		cn.conn.Close()
	}
	cn.letGo()
	cn.closed(remote, active)
}
