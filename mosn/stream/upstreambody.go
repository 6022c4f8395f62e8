package stream

import (
	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/sdk"
)

// data takes body that came from the client and passed the filters.
func (u *upstream) data(p []byte, end bool) {
	u.mirrorData(p, end)
	if end {
		u.armTimeout()
	}
	if u.open() && u.body.Empty() {
		n := u.call.WriteData(p, end)
		u.save(p[:n], len(p)-n)
		if n < len(p) {
			u.body.Append(p[n:])
		} else if end {
			u.sentAll()
		}
	} else if !u.answeredFully() {
		u.body.Append(p)
		if end && u.open() {
			u.flush()
		}
	}
	u.throttle()
}

// open reports whether body may be written: the head is sent, and a request to
// upgrade was granted. Bytes after one that is not granted would reach the server
// as requests of their own.
func (u *upstream) open() bool {
	return u.headSent && u.call.Active() && (!u.s.upgradeWanted || u.s.phase == upgraded)
}

// answeredFully reports whether the response is complete, so that what is left of
// the request goes nowhere.
func (u *upstream) answeredFully() bool { return u.answered && !u.call.Active() }

func (u *upstream) dataBuffer(b *sdk.Buffer, end bool) {
	for {
		p := b.First()
		last := len(p) == b.Len()
		if len(p) > 0 || end && last {
			u.data(p, end && last)
		}
		b.Drain(len(p))
		if last || !u.s.wants(toServer) {
			return
		}
	}
}

func (u *upstream) trailers() {
	for _, m := range u.mirrors {
		m.trailers(&u.s.reqTrail)
	}
	u.armTimeout()
	if u.open() {
		u.flush()
	}
}

// save counts what was sent and keeps a copy of it while another attempt may need it; rest is the
// number of bytes that wait to be sent.
func (u *upstream) save(p []byte, rest int) {
	u.sent += uint64(len(p))
	if !u.keep || len(p) == 0 {
		return
	}
	if u.saved.Len()+len(p)+rest > u.keepLimit() {
		u.keep = false // too big to send twice
		u.saved.Release()
		u.cluster.Inc(cluster.RetryOrShadowAbandoned)
		u.retry.giveUp()
		return
	}
	u.saved.Append(p)
}

// keepLimit is the most bytes of body that are kept for another attempt.
func (u *upstream) keepLimit() int {
	limit := u.s.bufferLimit()
	if own := u.s.route.BufferLimit; own >= 0 && own < int64(limit) {
		limit = int(own)
	}
	return limit
}

// flush writes as much body as the connection takes, then the trailers.
func (u *upstream) flush() {
	s := u.s
	for !u.body.Empty() {
		p := u.body.First()
		end := s.requestEnded && !s.hasReqTrail && len(p) == u.body.Len() && !u.upstreamPending()
		n := u.call.WriteData(p, end)
		u.save(p[:n], u.body.Len()-n)
		u.body.Drain(n)
		if n < len(p) || u.call.AboveHigh() {
			u.throttle()
			return
		}
		if end {
			u.sentAll()
			u.relieve()
			return
		}
	}
	u.relieve()
	if !s.requestEnded || u.endSent || u.upstreamPending() {
		return
	}
	if s.hasReqTrail {
		u.call.WriteTrailers(&s.reqTrail)
	} else {
		u.call.WriteData(nil, true)
	}
	u.sentAll()
}

// throttle stops reading from the client while its body cannot go on.
func (u *upstream) throttle() {
	s := u.s
	if !s.requestEnded && (u.body.Len() > s.bufferLimit() || u.call.AboveHigh()) {
		s.pauseClient(true)
	}
}

// relieve lets the client send again.
func (u *upstream) relieve() {
	s := u.s
	if !s.pausedClient || u.body.Len() > s.bufferLimit()/2 || u.call.AboveHigh() {
		return
	}
	for i := range s.slots {
		if s.slots[i].req.hold.Len() > s.holdLimit(toServer) {
			return
		}
	}
	s.pauseClient(false)
}

// OnCallWritable implements cluster.CallEvents.
func (u *upstream) OnCallWritable(*cluster.Call) {
	u.s.w.enter()
	defer u.s.leave()
	if u.open() && !u.endSent {
		u.flush()
	}
}
