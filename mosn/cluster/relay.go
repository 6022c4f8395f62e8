package cluster

import (
	"sync/atomic"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// relay carries a Call of one loop, the caller, on a connection that another one has,
// the owner. It is a carrier on the caller's loop; on the owner's it makes a Call of
// its own and takes that one's events.
//
// Parcels go both ways in lanes: rings of one writer and one reader, bounded, without
// locks, and announced by a task in the other loop's mailbox, of which there is at
// most one for each lane. A full lane slows its writer down: towards the owner
// WriteData takes less than all, towards the caller the owner stops reading.
//
// A relay belongs to the caller, which uses it again after the one parcel that ends a
// call has come; whatever of an old call is then left in the lane towards the owner
// is dropped there, because nothing but parcelOpen begins a call.
type relay struct {
	toOwner, toCaller lane
	cancelled         atomic.Uint32 // 1 + the sdk.ResetReason; overtakes parcels

	// Set by the caller before it sends parcelOpen, and constant to the call's end.
	cluster *cluster
	hosts   *HostSet
	host    *Host
	way     way
	prio    Priority

	caller struct {
		local   *Local
		call    *Call  // nil: given up
		next    *relay // in the free list
		timer   eventloop.Timer
		blocked bool // the call's owner waits for OnCallWritable
	}
	owner struct {
		local   *Local
		call    Call
		timer   eventloop.Timer
		pumping bool
		paused  bool // reading is disabled until the lane has room
	}
}

// callerSide and ownerSide are a relay as tasks and handlers of its two loops.
type (
	callerSide relay
	ownerSide  relay
)

const (
	laneSlots  = 8
	maxParcel  = 32 << 10 // bytes of a request's body in one parcel
	keepParcel = 16 << 10 // bytes of storage that a parcel keeps for the next call
	retryPost  = time.Millisecond
)

type parcelKind uint8

const (
	parcelOpen   parcelKind = iota // towards the owner: begin a call
	parcelHead                     // msg, end
	parcelInfo                     // msg
	parcelData                     // data, end
	parcelTrail                    // msg; the end
	parcelFailed                   // err, failure, reused
	parcelGone                     // the call that was given up is no more
)

// parcel is an event or a part of a request. Its storage stays with its slot.
type parcel struct {
	kind   parcelKind
	end    bool
	reused bool
	off    int // bytes of data that were taken
	msg    sdk.Message
	data   []byte

	err            *sdk.Error
	failure        string
	connID         uint64
	tls            *sdk.TLSInfo
	received, sent uint64
}

// final reports whether a parcel towards the caller is the last one of a call.
func (s *parcel) final() bool { return s.end || s.kind >= parcelTrail }

// lane is one direction of a relay.
type lane struct {
	to   *eventloop.Loop
	task eventloop.Task

	head    atomic.Uint32 // parcels ever put, by the writer
	tail    atomic.Uint32 // parcels ever taken, by the reader
	posted  atomic.Bool   // the task is in the mailbox
	waiting atomic.Bool   // the writer wants to be told of room
	slots   [laneSlots]parcel
}

// room returns the number of free slots, for the writer.
func (ln *lane) room() int { return laneSlots - int(ln.head.Load()-ln.tail.Load()) }

// await reports whether there are more than n free slots, and if not has the reader
// tell when there may be.
func (ln *lane) await(n int) bool {
	if ln.room() > n {
		return true
	}
	ln.waiting.Store(true)
	return ln.room() > n
}

// slot returns the slot to be filled; push sends it. There must be room.
func (ln *lane) slot(kind parcelKind) *parcel {
	s := &ln.slots[ln.head.Load()%laneSlots]
	s.kind, s.end, s.off = kind, false, 0
	return s
}

func (ln *lane) push() { ln.head.Add(1) }

// front returns the oldest parcel, nil when there is none; pop gives it back.
func (ln *lane) front() *parcel {
	at := ln.tail.Load()
	if at == ln.head.Load() {
		return nil
	}
	return &ln.slots[at%laneSlots]
}

func (ln *lane) pop() { ln.tail.Add(1) }

// poke has the reader look. It reports false when the reader's loop is overloaded.
func (ln *lane) poke(from *eventloop.Loop) bool {
	if ln.posted.Swap(true) {
		return true
	}
	if from.PostFromLoop(ln.to, ln.task) {
		return true
	}
	ln.posted.Store(false)
	return false
}

func newRelay(caller, owner *Local) *relay {
	r := &relay{}
	r.caller.local, r.owner.local = caller, owner
	r.toOwner.to, r.toOwner.task = owner.loop, (*ownerSide)(r)
	r.toCaller.to, r.toCaller.task = caller.loop, (*callerSide)(r)
	r.caller.timer.Init(caller.loop, (*callerSide)(r))
	r.owner.timer.Init(owner.loop, (*ownerSide)(r))
	return r
}

// takeRelay returns a relay to another loop.
func (l *Local) takeRelay(owner *Local) *relay {
	i := owner.loop.Index()
	if len(l.relays) <= i {
		l.relays = make([]*relay, len(l.peers))
	}
	r := l.relays[i]
	if r == nil || r.toOwner.front() != nil { // the owner has not dropped all of the last call
		return newRelay(l, owner)
	}
	l.relays[i], r.caller.next = r.caller.next, nil
	return r
}

func (l *Local) putRelay(r *relay) {
	i := r.owner.local.loop.Index()
	r.cluster, r.hosts, r.host, r.way = nil, nil, nil, way{}
	r.caller.next, l.relays[i] = l.relays[i], r
}

// trim lets go of storage that was needed for large pieces.
func (s *parcel) trim() {
	if cap(s.data) > keepParcel {
		s.data = nil
	}
}

// handOver starts a call on the loop that has the host's connections. It is ready at
// once: what is written travels with it.
func (p *pool) handOver(c *Call) {
	l := p.lc.local
	r := l.takeRelay(p.owner)
	if !r.toOwner.poke(l.loop) {
		l.putRelay(r)
		p.lc.inc(RqPendingOverflow)
		c.fail(ErrOverflow, "")
		return
	}
	r.cancelled.Store(0)
	r.cluster, r.hosts, r.host, r.way, r.prio = p.lc.cluster, p.lc.hosts, p.host, p.way, c.prio
	r.caller.call, r.caller.blocked = c, false
	r.toOwner.slot(parcelOpen)
	c.carrier, c.state, c.requestDone, c.readDisabled = r, callActive, false, 0
	r.send()
	c.ev.OnCallReady(c)
}

// send hands the filled slot to the owner. When the post fails now, though that of
// the opening did not, it is tried again until it does not.
func (r *relay) send() {
	r.toOwner.push()
	r.pokeOwner()
}

func (r *relay) pokeOwner() {
	if !r.toOwner.poke(r.caller.local.loop) {
		r.caller.timer.Arm(retryPost)
	}
}

// One slot towards the owner is kept for the end of the request, which has to be
// taken at any time.

func (r *relay) writeHeaders(c *Call, m *sdk.Message, end bool) error {
	s := r.toOwner.slot(parcelHead)
	s.msg.CopyFrom(m)
	s.end, c.requestDone = end, end
	r.send()
	return nil
}

func (r *relay) writeData(c *Call, p []byte, end bool) int {
	if len(p) == 0 {
		if end && !c.requestDone {
			s := r.toOwner.slot(parcelData)
			s.data, s.end, c.requestDone = s.data[:0], true, true
			r.send()
		}
		return 0
	}
	n := 0
	for n < len(p) && r.free() {
		s := r.toOwner.slot(parcelData)
		s.data = append(s.data[:0], p[n:min(n+maxParcel, len(p))]...)
		n += len(s.data)
		s.end = end && n == len(p)
		c.requestDone = s.end
		r.send()
	}
	return n
}

func (r *relay) writeTrailers(c *Call, m *sdk.Message) {
	s := r.toOwner.slot(parcelTrail)
	s.msg.CopyFrom(m)
	c.requestDone = true
	r.send()
}

// free reports whether a piece of body may be sent; if not OnCallWritable follows.
func (r *relay) free() bool {
	if r.toOwner.await(1) {
		return true
	}
	r.caller.blocked = true
	return false
}

func (r *relay) aboveHigh(c *Call) bool { return !c.requestDone && !r.free() }

func (r *relay) readDisable(_ *Call, on bool) {
	if !on {
		r.pokeSelf()
	}
}

func (r *relay) localAddr() eventloop.Addr { return eventloop.Addr{} }

func (r *relay) bytes(c *Call) (received, sent uint64) { return c.received, c.sent }

// cancel gives the call up; the relay waits for the owner's last parcel, which may be
// here already, unread.
func (r *relay) cancel(c *Call, reason sdk.ResetReason) {
	r.release(c)
	r.cancelled.Store(1 + uint32(reason))
	r.pokeOwner()
	r.pokeSelf()
}

// pokeSelf has the caller's side run soon.
func (r *relay) pokeSelf() {
	if own := r.caller.local.loop; !r.toCaller.poke(own) {
		r.caller.timer.Arm(retryPost)
	}
}

// release ends the call for the caller.
func (r *relay) release(c *Call) {
	r.caller.call = nil
	c.state, c.carrier, c.readDisabled = callIdle, nil, 0
}

// OnTimer implements eventloop.TimerHandler: a post that failed, or reading again.
func (r *callerSide) OnTimer(*eventloop.Timer) {
	if r.toOwner.front() != nil || r.cancelled.Load() != 0 {
		(*relay)(r).pokeOwner()
	}
	r.Run(r.caller.local.loop)
}

// Run implements eventloop.Task: the owner has sent something, or made room.
func (r *callerSide) Run(*eventloop.Loop) {
	r.toCaller.posted.Store(false)
	at := &r.caller
	if at.blocked && at.call != nil && r.toOwner.await(1) {
		at.blocked = false
		at.call.ev.OnCallWritable(at.call)
	}
	for s := r.toCaller.front(); s != nil; s = r.toCaller.front() {
		if at.call != nil && at.call.readDisabled > 0 {
			return
		}
		if r.step(s) {
			return
		}
		if r.toCaller.waiting.Swap(false) {
			(*relay)(r).pokeOwner()
		}
	}
}

// step delivers a parcel and reports whether it was the last. When the call's owner
// panics it counts as delivered, and the others still come.
func (r *callerSide) step(s *parcel) (last bool) {
	last = s.final()
	done := false
	defer func() {
		s.trim()
		r.toCaller.pop()
		switch {
		case last:
			r.caller.local.putRelay((*relay)(r))
		case !done:
			(*relay)(r).pokeSelf()
		}
	}()
	(*relay)(r).deliver(s)
	done = true
	return last
}

// deliver tells the call's owner of a parcel, after the call's end if it is that.
func (r *relay) deliver(s *parcel) {
	c := r.caller.call
	if c == nil {
		return
	}
	c.received, c.sent, c.connID, c.tls, c.reused = s.received, s.sent, s.connID, s.tls, s.reused
	if s.final() {
		r.release(c)
	}
	switch s.kind {
	case parcelHead:
		c.ev.OnCallHeaders(c, &s.msg, s.end)
	case parcelInfo:
		c.ev.OnCallInformational(c, &s.msg)
	case parcelData:
		c.ev.OnCallData(c, s.data, s.end)
	case parcelTrail:
		c.ev.OnCallTrailers(c, &s.msg)
	case parcelFailed:
		c.fail(s.err, s.failure)
	}
}
