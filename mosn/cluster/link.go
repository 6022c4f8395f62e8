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
	connIdle                 // in the pool's idle list (Serial codecs)
	connBusy                 // established
	connClosed
)

// link is what all upstream connections have: their life and their accounts. What
// they carry is connection's and muxConn's to know.
type link struct {
	pool  *pool
	conn  *eventloop.Conn
	codec sdk.CodecConn

	idleTimer eventloop.Timer // not stopped while busy: re-arming it later is one store
	lifeTimer eventloop.Timer // max_connection_duration

	started, stood        time.Duration
	served                uint32 // exchanges begun
	state                 connState
	draining              bool // no further exchange
	backedUp              bool // above the high watermark
	countedIn, countedOut uint64
}

// linkHandler is the connection that a link is part of.
type linkHandler interface {
	eventloop.Handler
	eventloop.TimerHandler
}

// dial begins to connect.
func (ln *link) dial(p *pool, h linkHandler) {
	lc := p.lc
	cfg := lc.cfg
	loop := lc.local.loop
	ln.join(p, h)
	ln.started = loop.Now()
	lc.inc(CxTotal)
	if cfg.auto == nil {
		ln.countProtocol()
	}
	lc.local.stats.AddGauge(lc.block.Gauge(gCxActive), 1)
	p.host.Connections.Add(1)
	p.host.ActiveConnections.Add(1)
	p.conns++
	p.connecting++
	ln.conn = loop.Dial(p.host.addr, &cfg.dial, h)
	if cfg.tls != nil {
		ln.conn.SetTransport(cfg.tls.New(lc.local.stats, p.host.Hostname()), 0)
	}
	ln.conn.SetWatermarks(cfg.high, cfg.high/2)
	ln.conn.SetReadLimit(p.way.codec.ReadLimit())
}

// join makes the link one of a pool.
func (ln *link) join(p *pool, h linkHandler) {
	ln.pool, ln.codec = p, p.way.codec.New()
	ln.idleTimer.Init(p.lc.local.loop, h)
	ln.lifeTimer.Init(p.lc.local.loop, h)
}

// countProtocol counts what is spoken on the connection.
func (ln *link) countProtocol() {
	if s, ok := protocolStat(ln.pool.way.codec.Codec().Name); ok {
		ln.pool.lc.inc(s)
	}
}

// protocolStat returns Envoy's counter of connections of a protocol.
func protocolStat(codec string) (s Stat, ok bool) {
	switch codec {
	case "http1":
		return CxHTTP1Total, true
	case "http2":
		return CxHTTP2Total, true
	}
	return 0, false
}

// established notes that the connection stands.
func (ln *link) established() {
	lc := ln.pool.lc
	ln.pool.connecting--
	ln.state, ln.stood = connBusy, lc.local.loop.Now()
	lc.observe(hConnect, millis(lc.local.loop.Now()-ln.started))
	if d := lc.cfg.maxDuration; d > 0 {
		ln.lifeTimer.Arm(d)
	}
}

func millis(d time.Duration) uint64 { return uint64(d / time.Millisecond) }

// begin gives the connection to a call and counts both.
func (ln *link) begin(c *Call, by carrier) {
	p := ln.pool
	lc := p.lc
	c.carrier, c.state = by, callActive
	c.reused = ln.served > 0
	c.connID, c.tls, c.connect = ln.conn.ID(), ln.conn.TLS(), [2]time.Duration{ln.started, ln.stood}
	c.requestDone, c.readDisabled = false, 0
	ln.served++
	if ln.served == lc.cfg.maxRequests {
		lc.inc(CxMaxRequests)
		ln.draining = true
	}
	p.host.Requests.Add(1)
	p.host.ActiveRequests.Add(1)
	lc.local.stats.Inc(lc.hot.rqTotal)
	lc.local.stats.AddGauge(lc.hot.rqActive, 1)
}

// ended takes a call out of the accounts.
func (ln *link) ended() {
	p := ln.pool
	p.breakers.Requests.Release()
	p.host.ActiveRequests.Add(-1)
	p.lc.local.stats.AddGauge(p.lc.hot.rqActive, -1)
}

func (ln *link) localAddr() eventloop.Addr { return ln.conn.LocalAddr() }

// wrote notes that the write queue has passed the high watermark.
func (ln *link) wrote() {
	if !ln.backedUp && ln.conn.AboveHigh() {
		ln.backedUp = true
		ln.pool.lc.inc(FlowBackedUp)
	}
}

// drained notes that the write queue is short again.
func (ln *link) drained() {
	if ln.backedUp {
		ln.backedUp = false
		ln.pool.lc.inc(FlowDrained)
	}
}

// countFailure counts that no connection could be made and says how calls that wait
// for it fail, and whether the host began its end.
func (ln *link) countFailure(err error) (failure *sdk.Error, remote bool) {
	p := ln.pool
	failure, remote = ErrConnFailure, true
	if eventloop.KindOf(err) == eventloop.KindTimeout {
		failure, remote = ErrConnTimeout, false
		p.lc.inc(CxConnectTimeout)
	}
	p.lc.inc(CxConnectFail)
	p.host.ConnectionFailures.Add(1)
	return failure, remote
}

// closed takes the connection, which is closed, out of all accounts. remote says who
// began, active whether calls are lost with it.
func (ln *link) closed(remote, active bool) {
	p := ln.pool
	if ln.state == connConnecting {
		p.connecting--
	} else {
		p.untie()
	}
	ln.state = connClosed
	p.conns--
	ln.idleTimer.Stop()
	ln.lifeTimer.Stop()
	ln.countBytes()
	p.breakers.Connections.Release()
	p.host.ActiveConnections.Add(-1)
	ln.countEnd(remote, active)
}

func (ln *link) countEnd(remote, active bool) {
	lc := ln.pool.lc
	lc.local.stats.AddGauge(lc.block.Gauge(gCxActive), -1)
	lc.observe(hLength, millis(lc.local.loop.Now()-ln.started))
	if ln.served > 0 {
		lc.observe(hRqPerCx, uint64(ln.served))
	}
	side, withRq := CxDestroyLocal, CxDestroyLocalWithActiveRq
	if remote {
		side, withRq = CxDestroyRemote, CxDestroyRemoteWithActiveRq
	}
	lc.inc(CxDestroy)
	lc.inc(side)
	if active {
		lc.inc(CxDestroyWithActiveRq)
		lc.inc(withRq)
	}
}

// countBytes adds what went over the wire since the last time.
func (ln *link) countBytes() {
	lc := ln.pool.lc
	in, out := ln.conn.BytesIn(), ln.conn.BytesOut()
	lc.local.stats.Add(lc.hot.rxBytes, in-ln.countedIn)
	lc.local.stats.Add(lc.hot.txBytes, out-ln.countedOut)
	ln.countedIn, ln.countedOut = in, out
}
