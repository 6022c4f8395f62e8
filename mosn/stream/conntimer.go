package stream

import (
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// partial notes whether the head of a request has begun to arrive, for the timeouts
// that run from there.
func (d *serverConn) partial(some bool) {
	if !some && d.shared != nil {
		d.headSince = 0 // what had begun was no request
	}
	if !some || d.active() || d.headSince != 0 {
		return
	}
	d.headSince = max(d.w.now(), 1)
	if d.headLimit() > 0 {
		d.armTimer()
	}
}

// headLimit is how long a head may take to arrive, 0 for ever. For Envoy it is a stream
// from its first byte, so the stream's timeouts count too.
func (d *serverConn) headLimit() time.Duration {
	limit := d.cfg.RequestHeadersTimeout
	for _, t := range [...]time.Duration{d.cfg.StreamIdleTimeout, d.cfg.RequestTimeout} {
		if t > 0 && (limit == 0 || t < limit) {
			limit = t
		}
	}
	return limit
}

// headTimedOut answers a head that did not arrive in time.
func (d *serverConn) headTimedOut() {
	w, st, err := d.w, &d.cfg.Stats, errHeaderTimeout
	switch d.headLimit() {
	case d.cfg.RequestHeadersTimeout:
		w.stats.Inc(st.RqHeaderTimeout)
	case d.cfg.RequestTimeout:
		w.stats.Inc(st.RqTimeout)
		err = errRequestTimeout
	default:
		w.stats.Inc(st.RqIdleTimeout)
		err = errHeadIdle
	}
	if d.codec == nil {
		d.speak(d.cfg.Codecs[0])
	}
	if d.shared != nil { // there is no stream yet that could be answered
		d.sharedMalformed(err, nil)
		return
	}
	d.refuseHead(err)
}

// refuseHead answers what is no request, where connections have one stream at a time.
func (d *serverConn) refuseHead(ce *sdk.CodecError) {
	s := d.w.acquire()
	d.cur = s
	d.w.msg.Reset()
	s.refuse(d, 0, &d.w.msg, ce)
}

// abandonedHead logs a request whose head did not arrive. A shared connection has none
// before that.
func (d *serverConn) abandonedHead() {
	if d.shared != nil {
		return
	}
	s := d.w.acquire()
	d.w.msg.Reset()
	d.w.msg.Protocol = sdk.HTTP11
	s.attach(d, 0, &d.w.msg)
	s.countRequest()
	d.w.stats.Inc(d.cfg.Stats.CxDestroyActiveRq)
	d.w.stats.Inc(d.cfg.Stats.CxDestroyRemoteActiveRq)
	s.downstreamGone(sdk.FlagDownstreamConnectionTermin)
}

// armTimer sets the one timer to what comes first. While a stream is active the
// idle timeout does not run; the timer stays and looks again when it fires, so that
// a request costs no timer operation.
func (d *serverConn) armTimer() {
	at := time.Duration(0)
	earlier := func(t time.Duration) {
		if at == 0 || t < at {
			at = t
		}
	}
	if d.cfg.IdleTimeout > 0 {
		since := d.idleSince
		if d.active() || d.headSince != 0 {
			since = d.w.now()
		}
		earlier(since + d.cfg.IdleTimeout)
	}
	if limit := d.headLimit(); d.headSince != 0 && limit > 0 {
		earlier(d.headSince + limit)
	}
	if d.deadline != 0 {
		earlier(d.deadline)
	}
	if d.shared != nil && d.shared.pulse.at != 0 {
		earlier(d.shared.pulse.at)
	}
	if at == 0 {
		d.timer.Stop()
		return
	}
	d.timer.Arm(at - d.w.now())
}

// OnTimer implements eventloop.TimerHandler.
func (d *serverConn) OnTimer(*eventloop.Timer) {
	w := d.w
	w.enter()
	defer w.leave()
	if d.closing {
		return
	}
	now, limit := w.now(), d.headLimit()
	d.beat(now)
	switch {
	case d.closing:
	case d.headSince != 0 && limit > 0 && now >= d.headSince+limit:
		d.headTimedOut()
		return
	case d.deadline != 0 && now >= d.deadline:
		if !d.lastOne {
			w.stats.Inc(d.cfg.Stats.CxMaxDuration)
		}
		d.deadline = 0
		d.drain()
	case !d.active() && d.headSince == 0 && d.cfg.IdleTimeout > 0 && now >= d.idleSince+d.cfg.IdleTimeout:
		w.stats.Inc(d.cfg.Stats.CxIdleTimeout)
		d.goAway() // the notice, and at once its end: what crosses with them was not looked at
		d.goAway()
		d.closing = true
		d.finish()
	}
	if !d.closing {
		d.armTimer()
	}
}
