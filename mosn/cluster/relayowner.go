package cluster

import (
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// ownerSide is the part of a relay on the loop that has the connections.

// OnTimer implements eventloop.TimerHandler: a post that failed is tried again.
func (r *ownerSide) OnTimer(*eventloop.Timer) { r.pokeCaller() }

func (r *ownerSide) pokeCaller() {
	if !r.toCaller.poke(r.owner.local.loop) {
		r.owner.timer.Arm(retryPost)
	}
}

// Run implements eventloop.Task: the caller has sent something, made room or given up.
func (r *ownerSide) Run(*eventloop.Loop) {
	r.toOwner.posted.Store(false)
	c := &r.owner.call
	if why := r.cancelled.Load(); why != 0 && c.Active() {
		c.Cancel(sdk.ResetReason(why - 1))
		r.toCaller.slot(parcelGone)
		r.send()
	}
	if c.Active() && r.owner.paused && r.toCaller.await(1) {
		r.owner.paused = false
		c.ReadDisable(false)
	}
	r.pump()
}

// pump makes the call what the caller has sent of it, as far as it goes.
func (r *ownerSide) pump() {
	if r.owner.pumping {
		return // Start has called back, the loop below goes on
	}
	r.owner.pumping = true
	defer func() { r.owner.pumping = false }()
	for s := r.toOwner.front(); s != nil; s = r.toOwner.front() {
		if !r.apply(s) {
			return
		}
		s.trim()
		r.toOwner.pop()
		if r.toOwner.waiting.Swap(false) {
			r.pokeCaller()
		}
	}
}

// apply does what a parcel says and reports whether it is done with.
func (r *ownerSide) apply(s *parcel) bool {
	c := &r.owner.call
	switch {
	case s.kind == parcelOpen:
		// With the head, and not before it: ids have to be given in the order in which
		// heads are written (RFC 9113 section 5.1.1), or going away would lie.
		if r.toOwner.room() > laneSlots-2 && r.cancelled.Load() == 0 {
			return false
		}
		r.open()
		return true
	case !c.Active():
		return true // what is left of a call that has ended
	case !c.Ready():
		return false
	}
	switch s.kind {
	case parcelHead:
		if c.WriteHeaders(&s.msg, s.end) != nil {
			c.Cancel(sdk.ResetLocal)
			r.OnCallFailed(c, ErrUnwritable)
		}
	case parcelData:
		if c.AboveHigh() {
			return false
		}
		s.off += c.WriteData(s.data[s.off:], s.end)
		return s.off == len(s.data)
	case parcelTrail:
		c.WriteTrailers(&s.msg)
	}
	return true
}

// open starts the call, unless it was given up on its way here.
func (r *ownerSide) open() {
	o := &r.owner
	o.paused = false
	if r.cancelled.Load() != 0 {
		r.toCaller.slot(parcelGone)
		r.send()
		return
	}
	lc := o.local.clusterOf(r.cluster, r.hosts)
	lc.start(&o.call, r.host, r.way, r, r.prio)
}

// clusterOf returns this loop's view of a cluster that another loop has. While an
// update is on its way to one of them it is another generation's: then one for this
// call.
func (l *Local) clusterOf(cl *cluster, hosts *HostSet) *LoopCluster {
	if lc := l.Get(cl.cfg.name); lc != nil && lc.cluster == cl {
		return lc
	}
	lc := newLoopCluster(l, cl, hosts)
	lc.drained = true
	return lc
}

// fill returns the slot for an event of the call.
func (r *ownerSide) fill(kind parcelKind) *parcel {
	s, c := r.toCaller.slot(kind), &r.owner.call
	s.received, s.sent, s.connID, s.tls, s.reused = c.BytesReceived(), c.BytesSent(), c.ConnID(), c.TLS(), c.Reused()
	return s
}

func (r *ownerSide) send() {
	r.toCaller.push()
	r.pokeCaller()
}

// sendOn is send for what is not the end: one slot is kept for a failure, so reading
// stops before that is the only one.
func (r *ownerSide) sendOn() {
	r.send()
	if !r.owner.paused && !r.toCaller.await(1) {
		r.owner.paused = true
		r.owner.call.ReadDisable(true)
	}
}

// sendEnd is send or sendOn. After the end the relay is the caller's alone.
func (r *ownerSide) sendEnd(s *parcel, end bool) {
	if s.end = end; end {
		r.send()
	} else {
		r.sendOn()
	}
}

// OnCallReady implements CallEvents.
func (r *ownerSide) OnCallReady(*Call) { r.pump() }

// OnCallWritable implements CallEvents.
func (r *ownerSide) OnCallWritable(*Call) { r.pump() }

// OnCallInformational implements CallEvents.
func (r *ownerSide) OnCallInformational(_ *Call, m *sdk.Message) {
	r.fill(parcelInfo).msg.Swap(m)
	r.sendOn()
}

// OnCallHeaders implements CallEvents.
func (r *ownerSide) OnCallHeaders(_ *Call, m *sdk.Message, end bool) {
	s := r.fill(parcelHead)
	s.msg.Swap(m)
	r.sendEnd(s, end)
}

// OnCallData implements CallEvents.
func (r *ownerSide) OnCallData(_ *Call, p []byte, end bool) {
	s := r.fill(parcelData)
	s.data = append(s.data[:0], p...)
	r.sendEnd(s, end)
}

// OnCallTrailers implements CallEvents.
func (r *ownerSide) OnCallTrailers(_ *Call, m *sdk.Message) {
	r.fill(parcelTrail).msg.Swap(m)
	r.send()
}

// OnCallFailed implements CallEvents.
func (r *ownerSide) OnCallFailed(c *Call, err *sdk.Error) {
	s := r.fill(parcelFailed)
	s.err, s.failure = err, c.TransportFailure()
	r.send()
}
