package cluster

import (
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// parked keeps what has come for a Call on a shared connection while its owner does
// not want to be told (ReadDisable): the other calls must not wait for that one.
// Where the protocol has no flow control of its own the connection stops reading when
// one call has more than the buffer limit here, and takes no further calls until it
// reads again; with it a stream's window bounds that. Where the connection has a window,
// too, it is opened again by what is parked (sdk.Parker), up to maxKept.
//
// It belongs to the call from its first event to its last, and to its loop's free
// list in between.
type parked struct {
	next   *parked         // in the free list
	posted bool            // its task is in the mailbox
	timer  eventloop.Timer // for when that was full
	cn     *muxConn
	call   *Call

	head     sdk.Message
	trailers sdk.Message
	data     sdk.Buffer
	hasHead  bool
	hasTrail bool
	end      bool
}

// takeParked returns an empty one.
func (l *Local) takeParked() *parked {
	k := l.parked
	if k == nil {
		k = &parked{}
		k.timer.Init(l.loop, k)
		k.data.Init(l.loop.Buffers())
		return k
	}
	l.parked, k.next = k.next, nil
	return k
}

func (l *Local) putParked(k *parked) {
	k.timer.Stop()
	k.head.Reset()
	k.trailers.Reset()
	k.data.Release()
	k.hasHead, k.hasTrail, k.end = false, false, false
	k.cn, k.call = nil, nil
	k.next, l.parked = l.parked, k
}

// park keeps an event for later.
func (cn *muxConn) park(c *Call, ev *sdk.Event) {
	k := c.mux.park
	if k == nil {
		k = cn.pool.lc.local.takeParked()
		k.cn, k.call = cn, c
		c.mux.park = k
	}
	switch ev.Kind {
	case sdk.EventHeaders:
		k.head.Swap(ev.Msg)
		k.hasHead, k.end = true, ev.End
	case sdk.EventData:
		k.data.Append(ev.Data)
		k.end = ev.End
		cn.setAside(c, len(ev.Data))
	case sdk.EventTrailers:
		k.trailers.Swap(ev.Msg)
		k.hasTrail, k.end = true, true
	}
	if k.end {
		cn.leaveWire(c)
	}
	if !cn.flow && !c.mux.choked && !k.end && k.data.Len() > cn.parkLimit() {
		c.mux.choked = true
		cn.choked++
		cn.conn.ReadDisable(true)
	}
}

// maxKept is how many bytes that are parked on a loop do not stop the others of their
// connections. Beyond it the connections' windows bound what is kept, and with it them.
const maxKept = 64 << 20

// setAside accounts n bytes of a call that were parked.
func (cn *muxConn) setAside(c *Call, n int) {
	local := cn.pool.lc.local
	local.kept += n
	if cn.parker != nil && n > 0 && local.kept <= maxKept && cn.state != connClosed {
		cn.parker.Parked(cn.conn.Out(), c.id, n)
		cn.speakSoon()
	}
}

// parkLimit is how much of one response is kept before the connection stops reading.
func (cn *muxConn) parkLimit() int {
	if n := cn.pool.lc.cfg.high; n > 0 {
		return n
	}
	return defaultBufferLimit
}

// unchoke lets the connection read again as far as this call is concerned.
func (cn *muxConn) unchoke(c *Call) {
	if c.mux.choked {
		c.mux.choked = false
		cn.choked--
		cn.conn.ReadDisable(false)
	}
}

// resume has what is kept delivered soon: the owner must not be told from within
// ReadDisable.
func (k *parked) resume() {
	loop := k.cn.pool.lc.local.loop
	switch {
	case k.posted:
	case loop.PostFromLoop(loop, k):
		k.posted = true
	default:
		k.timer.Arm(0)
	}
}

// Run implements eventloop.Task. By now k may be another call's, or nobody's.
func (k *parked) Run(*eventloop.Loop) {
	k.posted = false
	if k.call != nil {
		k.OnTimer(nil)
	}
}

// OnTimer implements eventloop.TimerHandler.
func (k *parked) OnTimer(*eventloop.Timer) {
	cn, c := k.cn, k.call
	defer cn.vacant() // also when the owner panics
	for c.mux.park == k && c.readDisabled == 0 {
		if !k.step(cn, c) {
			return
		}
	}
}

// step delivers the next event that is kept and reports whether there may be more.
// The end detaches the call before its owner is told, so k may have another by then.
func (k *parked) step(cn *muxConn, c *Call) bool {
	local := cn.pool.lc.local
	switch {
	case k.hasHead:
		k.hasHead = false
		end := k.end && k.data.Empty() && !k.hasTrail
		local.msg.Swap(&k.head)
		if end {
			cn.detach(c)
		}
		c.ev.OnCallHeaders(c, &local.msg, end)
		return !end
	case !k.data.Empty():
		return k.stepData(cn, c, local)
	case k.hasTrail:
		local.msg.Swap(&k.trailers)
		cn.detach(c)
		c.ev.OnCallTrailers(c, &local.msg)
	case k.end: // an empty last piece
		cn.detach(c)
		c.ev.OnCallData(c, nil, true)
	default:
		c.mux.park = nil
		local.putParked(k)
	}
	return false
}

// stepData delivers a piece of body. It must outlive the call, which its owner may
// end on being told.
func (k *parked) stepData(cn *muxConn, c *Call, local *Local) bool {
	local.chunk.Release() // of a callback that panicked
	local.chunk.MoveN(&k.data, len(k.data.First()))
	local.kept -= local.chunk.Len()
	end := k.end && k.data.Empty() && !k.hasTrail
	if k.data.Len() <= cn.parkLimit()/2 {
		cn.unchoke(c)
	}
	defer cn.consumed(c.id, local.chunk.Len())
	if end {
		cn.detach(c)
	}
	c.ev.OnCallData(c, local.chunk.First(), end)
	local.chunk.Release()
	return !end
}
