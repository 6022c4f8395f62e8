package stream

import (
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// OnEOF: a client that closes its side has gone, as Envoy sees it.
func (d *serverConn) OnEOF(*eventloop.Conn) {
	d.w.enter()
	defer d.w.leave()
	d.remoteGone()
	d.c.Close()
}

// remoteGone ends what the client that has left was asking for.
func (d *serverConn) remoteGone() {
	d.remoteEnd = true
	d.w.stats.Inc(d.cfg.Stats.CxDestroyRemote)
	if d.active() {
		d.w.stats.Inc(d.cfg.Stats.CxDestroyActiveRq)
		d.w.stats.Inc(d.cfg.Stats.CxDestroyRemoteActiveRq)
		d.endStreams(clientLeft)
	} else if d.headSince != 0 && !d.closing {
		d.abandonedHead()
	}
}

func clientLeft(s *Stream) { s.downstreamGone(sdk.FlagDownstreamConnectionTermin) }

// OnClose is the end of the connection.
func (d *serverConn) OnClose(_ *eventloop.Conn, err error) {
	w := d.w
	w.enter()
	defer w.leave()
	defer d.account() // whatever a filter does when it is told
	defer d.ties.close()
	d.timer.Stop()
	late := d.closing && eventloop.KindOf(err) == eventloop.KindTimeout // the client has not closed in time
	if late {
		w.stats.Inc(d.cfg.Stats.CxDelayedCloseTimeout)
	}
	ours := err == nil || late
	switch {
	case d.remoteEnd:
	case !ours:
		d.remoteGone()
	default:
		w.stats.Inc(d.cfg.Stats.CxDestroyLocal)
		d.lost()
		d.endStreams(clientLeft)
	}
}

// lost counts a connection that we end though it has streams.
func (d *serverConn) lost() {
	if d.active() {
		d.w.stats.Inc(d.cfg.Stats.CxDestroyActiveRq)
		d.w.stats.Inc(d.cfg.Stats.CxDestroyLocalActiveRq)
	}
}

// account takes the connection, which has ended, out of all accounts.
func (d *serverConn) account() {
	w, st := d.w, &d.cfg.Stats
	d.closing = true
	w.conns.remove(d)
	w.stats.Inc(st.CxDestroy)
	w.stats.AddGauge(st.CxActive, -1)
	if d.c.Secure() {
		w.stats.AddGauge(st.CxSSLActive, -1)
	}
	if d.codec != nil {
		w.stats.AddGauge(d.counted.cxActive, -1)
	}
	w.stats.Add(st.CxRxBytes, d.c.BytesIn())
	w.stats.Add(st.CxTxBytes, d.c.BytesOut())
	w.stats.Observe(st.CxLength, uint64((w.now()-d.started)/time.Millisecond))
}

// released is called by the stream when it has ended. reuse says that a further
// request may follow on the connection.
func (d *serverConn) released(reuse bool) {
	d.idleSince = d.w.now()
	if d.shared != nil {
		d.sharedReleased()
		return
	}
	d.cur = nil
	if d.c.Closed() {
		return
	}
	if !reuse || d.closing || d.lastOne || !d.codec.Reusable() {
		d.closing = true
		d.finish()
		return
	}
	if d.stalled {
		d.stalled = false
		d.c.Resume()
	}
}

// drain ends the connection now if it is idle, else after its response. A client that
// can be told to open no further streams may have opened some before it heard of it; it
// has drain_timeout to hear.
func (d *serverConn) drain() {
	d.lastOne = true
	first := d.shared != nil && d.shared.away == 0
	d.goAway()
	d.drained()
	switch {
	case !first || d.closing || !d.codec.Reusable():
	case d.cfg.DrainTimeout > 0:
		d.deadline = d.w.now() + d.cfg.DrainTimeout
		d.armTimer()
	default:
		d.drain()
	}
}

// drained ends the connection if it is draining and there is nothing to wait for.
func (d *serverConn) drained() {
	if !d.lastOne || d.closing || d.active() || d.headSince != 0 || d.c.Closed() {
		return
	}
	if d.shared != nil && d.codec.Reusable() {
		return // the client may yet open a stream
	}
	d.closing = true
	d.finish()
}

// last reports whether the response under way must say that it is the last: also while
// the proxy's health checks fail, as in Envoy, so that clients look for another one.
func (d *serverConn) last() bool {
	limit := d.cfg.MaxRequestsPerConnection
	return d.lastOne || d.w.leaving() || limit > 0 && d.requests >= limit || d.retiredAt > 0 && d.retires()
}

// Retire implements Retirer.
func (d *serverConn) Retire(over time.Duration) { d.retiredAt, d.retire = max(d.w.now(), 1), over }

// retires draws whether the time has come, as Envoy's gradual drain does: clients that
// all came at once do not all come again at once.
func (d *serverConn) retires() bool {
	elapsed := d.w.now() - d.retiredAt
	return elapsed >= d.retire || d.w.rand.Uint64()%uint64(d.retire) < uint64(elapsed)
}
