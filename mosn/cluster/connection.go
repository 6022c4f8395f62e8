package cluster

import (
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// connState is where a connection is in its life.
type connState uint8

const (
	connConnecting connState = iota
	connIdle                 // in the pool's idle list
	connBusy                 // has a Call, or is between one and the idle list
	connClosed
)

// upgradedFlush is how long an upgraded connection that is given up may take to write
// what is queued: the client's last words may have come together with its end.
const upgradedFlush = time.Second

// connection is an upstream connection. Its pool owns it; the loop calls it as the
// connection's handler and its timers' handler.
//
// It serves one call at a time. For a multiplexed codec, call becomes a table from
// stream id to Call, and busy means that no further stream fits; both are asked
// nowhere but in this file.
type connection struct {
	pool  *pool
	conn  *eventloop.Conn
	codec sdk.CodecConn
	call  *Call

	next, prev *connection // in the idle list, the last used first

	idleTimer eventloop.Timer // not stopped while busy: re-arming it later is one store
	lifeTimer eventloop.Timer // max_connection_duration

	started               time.Duration
	served                uint32 // exchanges begun
	state                 connState
	draining              bool // no further exchange
	upgraded              bool // opaque bytes from here on
	answering             bool // some of the present response has come
	backedUp              bool // above the high watermark
	countedIn, countedOut uint64
}

// dial starts a connection for the pool.
func (p *pool) dial() {
	lc := p.lc
	cfg := lc.cfg
	cn := &connection{pool: p, codec: cfg.codec.New(), started: lc.local.loop.Now()}
	cn.idleTimer.Init(lc.local.loop, cn)
	cn.lifeTimer.Init(lc.local.loop, cn)
	lc.inc(CxTotal)
	lc.inc(CxHTTP1Total)
	lc.local.stats.AddGauge(lc.block.Gauge(gCxActive), 1)
	p.host.Connections.Add(1)
	p.host.ActiveConnections.Add(1)
	p.conns++
	p.connecting++
	cn.conn = lc.local.loop.Dial(p.host.addr, &cfg.dial, cn)
	cn.conn.SetWatermarks(cfg.high, cfg.high/2)
	cn.conn.SetReadLimit(cfg.readLimit)
}

// OnConnect implements eventloop.Handler.
func (cn *connection) OnConnect(*eventloop.Conn) {
	p := cn.pool
	lc := p.lc
	p.connecting--
	cn.state = connBusy
	lc.observe(hConnect, millis(lc.local.loop.Now()-cn.started))
	if d := lc.cfg.maxDuration; d > 0 {
		cn.lifeTimer.Arm(d)
	}
	p.serve(cn)
}

func millis(d time.Duration) uint64 { return uint64(d / time.Millisecond) }

// attach gives the connection to a call and tells the call.
func (cn *connection) attach(c *Call) {
	p := cn.pool
	lc := p.lc
	cn.state = connBusy
	cn.call = c
	cn.answering = false
	c.conn, c.state = cn, callActive
	c.reused = cn.served > 0
	c.id = cn.codec.NewStream()
	c.connID = cn.conn.ID()
	c.inBase, c.outBase = cn.conn.BytesIn(), cn.conn.BytesOut()
	c.requestDone, c.readDisabled = false, 0
	cn.served++
	if cn.served == lc.cfg.maxRequests {
		lc.inc(CxMaxRequests)
		cn.draining = true
	}
	p.host.Requests.Add(1)
	p.host.ActiveRequests.Add(1)
	lc.local.stats.Inc(lc.hot.rqTotal)
	lc.local.stats.AddGauge(lc.hot.rqActive, 1)
	c.ev.OnCallReady(c)
}

// detach ends a call on this connection; its owner is told by the caller, if at all.
func (cn *connection) detach(c *Call) {
	p := cn.pool
	lc := p.lc
	c.received, c.sent = c.BytesReceived(), c.BytesSent()
	for ; c.readDisabled > 0; c.readDisabled-- {
		cn.conn.ReadDisable(false)
	}
	c.state, c.conn = callIdle, nil
	cn.call = nil
	p.breakers.Requests.Release()
	p.host.ActiveRequests.Add(-1)
	lc.local.stats.AddGauge(lc.hot.rqActive, -1)
}

// wrote notes that the write queue has passed the high watermark.
func (cn *connection) wrote() {
	if !cn.backedUp && cn.conn.AboveHigh() {
		cn.backedUp = true
		cn.pool.lc.inc(FlowBackedUp)
	}
}

// OnDrained implements eventloop.Handler.
func (cn *connection) OnDrained(*eventloop.Conn) {
	if cn.backedUp {
		cn.backedUp = false
		cn.pool.lc.inc(FlowDrained)
	}
	if c := cn.call; c != nil {
		c.ev.OnCallWritable(c)
	}
}

// OnData implements eventloop.Handler.
func (cn *connection) OnData(conn *eventloop.Conn, in []byte) int {
	used := 0
	local := cn.pool.lc.local
	ev := &local.event
	ev.Msg = &local.msg
	for {
		if cn.state == connClosed {
			return len(in)
		}
		if cn.call == nil {
			cn.unasked()
			return len(in)
		}
		if conn.ReadDisabled() {
			return used
		}
		n, err := cn.codec.Decode(in[used:], ev)
		used += n
		if err != nil {
			cn.pool.lc.inc(CxProtocolError)
			cn.lose(false, ErrProtocol)
			return len(in)
		}
		if ev.Kind == sdk.EventNone {
			cn.answering = cn.answering || used < len(in) || n > 0
			return used
		}
		if cn.deliver(ev) {
			cn.release(used < len(in))
			return len(in)
		}
	}
}

// deliver hands an event to the call and reports whether that ended it, in which
// case the connection is to be released. The call is detached before its owner is
// told, so that the owner may start it again at once.
func (cn *connection) deliver(ev *sdk.Event) (ended bool) {
	c := cn.call
	cn.answering = ev.Kind != sdk.EventInformational
	switch ev.Kind {
	case sdk.EventHeaders:
		if ev.Msg.Close {
			cn.pool.lc.inc(CxCloseNotify)
		}
		cn.upgraded = ev.Msg.Upgrade
		cn.endIf(ev.End, c)
		c.ev.OnCallHeaders(c, ev.Msg, ev.End)
		return ev.End
	case sdk.EventInformational:
		c.ev.OnCallInformational(c, ev.Msg)
	case sdk.EventData:
		cn.endIf(ev.End, c)
		c.ev.OnCallData(c, ev.Data, ev.End)
		return ev.End
	case sdk.EventTrailers:
		cn.endIf(true, c)
		c.ev.OnCallTrailers(c, ev.Msg)
		return true
	case sdk.EventReset:
		cn.draining = true
		cn.detach(c)
		c.ev.OnCallFailed(c, resetError(ev.Reset))
		return true
	case sdk.EventWindow:
		c.ev.OnCallWritable(c)
	case sdk.EventGoAway:
		cn.draining = true
	}
	return false
}

func resetError(r sdk.ResetReason) *sdk.Error {
	if r == sdk.ResetRefused {
		return ErrRefused
	}
	return ErrRemoteReset
}

// endIf detaches the call when the response is complete. An exchange whose request
// is not complete then leaves a connection that cannot be used again.
func (cn *connection) endIf(end bool, c *Call) {
	if !end {
		return
	}
	if !c.requestDone {
		cn.draining = true
	}
	cn.detach(c)
}

// release puts the connection back to use after an exchange, or closes it when it is
// not fit for another one. surplus says that there are bytes after the response.
func (cn *connection) release(surplus bool) {
	if cn.state == connClosed {
		return
	}
	if surplus && !cn.upgraded {
		cn.pool.lc.inc(CxProtocolError)
	}
	if surplus || cn.draining || cn.upgraded || cn.conn.Closed() || !cn.codec.Reusable() {
		cn.finish(false)
		cn.pool.grow()
		return
	}
	cn.countBytes()
	cn.pool.serve(cn)
}

// unasked closes a connection on which the host sends without having been asked:
// what it sends now must never be taken for the answer to a later request.
func (cn *connection) unasked() {
	cn.pool.lc.inc(CxProtocolError)
	cn.finish(false)
}

// OnEOF implements eventloop.Handler.
func (cn *connection) OnEOF(*eventloop.Conn) {
	if cn.call == nil || cn.upgraded {
		cn.lose(true, ErrConnLost)
		return
	}
	local := cn.pool.lc.local
	ev := &local.event
	ev.Msg = &local.msg
	ev.Kind = sdk.EventNone
	if err := cn.codec.EOF(ev); err != nil || ev.Kind == sdk.EventNone {
		cn.lose(true, cn.lostError())
		return
	}
	cn.draining = true
	if cn.deliver(ev) {
		cn.closeRemote()
		return
	}
	cn.lose(true, ErrProtocol)
}

// closeRemote closes a connection without call that the host has closed.
func (cn *connection) closeRemote() {
	cn.finish(true)
	cn.pool.grow()
}

// OnClose implements eventloop.Handler. For a connection that we closed everything
// is done already.
func (cn *connection) OnClose(_ *eventloop.Conn, err error) {
	switch cn.state {
	case connClosed:
	case connConnecting:
		cn.connectFailed(err)
	case connIdle, connBusy:
		cn.lose(true, cn.lostError())
	}
}

// lostError says what became of the call when the connection is gone: an answer that
// was cut off is a protocol error to Envoy, no answer a lost connection.
func (cn *connection) lostError() *sdk.Error {
	switch {
	case cn.answering && !cn.upgraded:
		return ErrProtocol
	case cn.call != nil && cn.conn.BytesOut() == cn.call.outBase:
		return ErrConnLostUnsent
	}
	return ErrConnLost
}

// lose closes the connection and fails its call, if it has one.
func (cn *connection) lose(remote bool, err *sdk.Error) {
	c := cn.call
	cn.finish(remote)
	defer cn.pool.grow() // also for those who wait when the call's owner panics
	if c != nil {
		cn.detach(c)
		c.ev.OnCallFailed(c, err)
	}
}

// connectFailed ends an attempt to connect. All calls that wait fail with it, as in
// Envoy, so that their owners can try another host.
func (cn *connection) connectFailed(err error) {
	p := cn.pool
	failure := ErrConnFailure
	timeout := eventloop.KindOf(err) == eventloop.KindTimeout
	if timeout {
		failure = ErrConnTimeout
		p.lc.inc(CxConnectTimeout)
	}
	p.lc.inc(CxConnectFail)
	p.host.ConnectionFailures.Add(1)
	cn.finish(!timeout)
	defer p.grow() // also for those who wait when the owner of a call panics
	p.failPending(failure, transportFailure(err))
}

// OnTimer implements eventloop.TimerHandler.
func (cn *connection) OnTimer(t *eventloop.Timer) {
	if t == &cn.lifeTimer {
		cn.pool.lc.inc(CxMaxDurationReached)
		cn.draining = true
	} else if cn.state == connIdle {
		cn.pool.lc.inc(CxIdleTimeout)
	}
	if cn.state == connIdle {
		cn.finish(false)
	}
}

// finish closes the connection and takes it out of all accounts. remote says who
// began. A call must be detached after it, so that it is counted.
func (cn *connection) finish(remote bool) {
	if cn.state == connClosed {
		return
	}
	p := cn.pool
	switch cn.state {
	case connConnecting:
		p.connecting--
	case connIdle:
		p.unlink(cn)
	case connBusy, connClosed:
	}
	cn.state = connClosed
	p.conns--
	cn.idleTimer.Stop()
	cn.lifeTimer.Stop()
	cn.countBytes()
	if cn.upgraded {
		cn.conn.CloseFlush(upgradedFlush)
	} else {
		cn.conn.Close()
	}
	p.breakers.Connections.Release()
	p.host.ActiveConnections.Add(-1)
	cn.countEnd(remote)
}

func (cn *connection) countEnd(remote bool) {
	lc := cn.pool.lc
	lc.local.stats.AddGauge(lc.block.Gauge(gCxActive), -1)
	lc.observe(hLength, millis(lc.local.loop.Now()-cn.started))
	side, withRq := CxDestroyLocal, CxDestroyLocalWithActiveRq
	if remote {
		side, withRq = CxDestroyRemote, CxDestroyRemoteWithActiveRq
	}
	lc.inc(CxDestroy)
	lc.inc(side)
	if cn.call != nil {
		lc.inc(CxDestroyWithActiveRq)
		lc.inc(withRq)
	}
}

// countBytes adds what went over the wire since the last time.
func (cn *connection) countBytes() {
	lc := cn.pool.lc
	in, out := cn.conn.BytesIn(), cn.conn.BytesOut()
	lc.local.stats.Add(lc.hot.rxBytes, in-cn.countedIn)
	lc.local.stats.Add(lc.hot.txBytes, out-cn.countedOut)
	cn.countedIn, cn.countedOut = in, out
}
