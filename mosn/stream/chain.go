package stream

import "sofamesh.io/sofamesh/sdk"

// way is a direction through the filter chain. Both work the same: what differs is
// the order of the filters, who is at the end, and whom to slow down.
type way uint8

const (
	toServer way = iota // the request: filters in order, then the router
	toClient            // the response: in reverse order, then the client
)

func (w way) next(i int) int {
	if w == toServer {
		return i + 1
	}
	return i - 1
}

func (sl *slot) dir(w way) *direction {
	if w == toServer {
		return &sl.req
	}
	return &sl.resp
}

// headersFrom hands the head to the filters from i on, then to the end of the chain.
func (s *Stream) headersFrom(w way, i int, end bool) {
	for ; uint(i) < uint(len(s.slots)); i = w.next(i) {
		sl := &s.slots[i]
		act := sl.onHeaders(w, end)
		if act == sdk.Replied || s.phase != w.headPhase() {
			return // answered, or gone
		}
		if act != sdk.Continue {
			d := sl.dir(w)
			d.stop, d.head, d.end = stopOf(act), true, end
			return
		}
		if d := sl.dir(w); d.grown() {
			d.head, d.end = true, end
			s.release(w, sl)
			return
		}
	}
	if w == toServer {
		s.up.begin(end)
	} else {
		s.sendHead(end)
	}
}

// headPhase is the phase of the stream while the head is in the chain.
func (w way) headPhase() phase {
	if w == toServer {
		return filtering
	}
	return responding
}

// dataFrom hands body to the filters from i on, then to the end of the chain. It
// takes what is in b.
func (s *Stream) dataFrom(w way, i int, b *sdk.Buffer, end bool) {
	for ; uint(i) < uint(len(s.slots)); i = w.next(i) {
		sl := &s.slots[i]
		d := sl.dir(w)
		if d.stop == paused {
			s.hold(w, sl, b, end)
			return
		}
		src := b
		if d.stop == collecting {
			d.hold.Move(b)
			src = &d.hold
		}
		act := sl.onData(w, src, end)
		if !s.wants(w) || act == sdk.Replied {
			return
		}
		if act != sdk.Continue {
			d.stop = stopOf(act)
			if src == b {
				d.hold.Move(b)
			}
			s.hold(w, sl, nil, end)
			return
		}
		if d.stop == collecting {
			d.end = end
			s.resume(w, sl)
			return
		}
		if d.grown() {
			b.Move(&d.hold)
			d.hold.Move(b)
			d.end = end
			s.release(w, sl)
			return
		}
	}
	if w == toServer {
		s.up.dataBuffer(b, end)
	} else {
		s.sendBuffer(b, end)
	}
}

// hold keeps body at a filter that has stopped it. Past the limit its sender is
// slowed down; one that is collected as a whole is refused.
func (s *Stream) hold(w way, sl *slot, b *sdk.Buffer, end bool) {
	d := sl.dir(w)
	if b != nil {
		d.hold.Move(b)
	}
	d.end = d.end || end
	if d.hold.Len() <= s.holdLimit(w) {
		return
	}
	switch {
	case d.stop == collecting:
		s.tooLarge(w)
	case w == toClient:
		s.pauseUpstream(true)
	case !s.requestEnded:
		s.pauseClient(true)
	}
}

// holdLimit is the most bytes that a filter may hold.
func (s *Stream) holdLimit(w way) int {
	if w == toServer && s.requestLimit > 0 {
		return s.requestLimit
	}
	return s.bufferLimit()
}

func (s *Stream) tooLarge(w way) {
	if w == toClient {
		s.w.stats.Inc(s.cfg.Stats.RsTooLarge)
		s.replyOrAbort(sdk.Reply{Status: 500, Body: "Internal Server Error", Details: "response_payload_too_large"})
		return
	}
	s.conn.closeAfter()
	s.w.stats.Inc(s.cfg.Stats.RqTooLarge)
	s.replyOrAbort(sdk.Reply{Status: 413, Body: "Payload Too Large", Details: "request_payload_too_large"})
}

// trailersFrom hands the trailers to the filters from i on, then to the end of the
// chain.
func (s *Stream) trailersFrom(w way, i int) {
	for ; uint(i) < uint(len(s.slots)); i = w.next(i) {
		sl := &s.slots[i]
		d := sl.dir(w)
		if d.stop == paused {
			d.trail = true
			return
		}
		act := sl.onTrailers(w)
		if !s.wants(w) || act == sdk.Replied {
			return
		}
		if act != sdk.Continue {
			d.stop, d.trail = paused, true
			return
		}
		if d.stop == collecting || d.grown() || s.trailers(w).Len() == 0 {
			d.trail = true
			s.release(w, sl)
			return
		}
	}
	if w == toServer {
		s.up.trailers()
	} else {
		s.sendTrailers()
	}
}

// resume lets go what a filter holds. Trailers that the filter has not seen are
// shown to it first.
func (s *Stream) resume(w way, sl *slot) {
	if d := sl.dir(w); d.trail && d.stop == paused {
		d.stop = passing
		act := sl.onTrailers(w)
		if !s.wants(w) || act == sdk.Replied {
			return
		}
		if act != sdk.Continue {
			d.stop = paused
			return
		}
	}
	s.release(w, sl)
}

// release hands on what a filter holds: the head, then body, then trailers, unless the
// filter has left nothing in them.
func (s *Stream) release(w way, sl *slot) {
	d := sl.dir(w)
	next := w.next(sl.index)
	trail := d.trail || d.added
	if trail && s.trailers(w).Len() == 0 {
		s.dropTrailers(w)
		trail, d.end = false, true
	}
	end := d.end && !trail
	d.stop, d.trail, d.added = passing, false, false
	if d.head {
		d.head = false
		last := end && d.hold.Empty()
		s.headersFrom(w, next, last)
		if last || !s.wants(w) {
			return
		}
	}
	if !d.hold.Empty() || end {
		s.dataFrom(w, next, &d.hold, end)
		if !s.wants(w) {
			return
		}
	}
	if trail {
		s.trailersFrom(w, next)
	}
	switch {
	case !s.phase.live():
	case w == toServer:
		s.up.relieve()
	default:
		s.pauseUpstream(false)
	}
}

// releaseSome hands on n bytes that a filter holds, and the head before them, while the
// filter stays as it is.
func (s *Stream) releaseSome(w way, sl *slot, n int) {
	d := sl.dir(w)
	next := w.next(sl.index)
	if d.head {
		d.head = false
		if s.headersFrom(w, next, false); !s.wants(w) {
			return
		}
	}
	var b sdk.Buffer
	b.Init(s.w.loop.Buffers())
	defer b.Release() // should the stream end on the way
	b.MoveN(&d.hold, n)
	s.dataFrom(w, next, &b, false)
	if s.phase.live() && w == toClient {
		s.pauseUpstream(false)
	}
}

func (s *Stream) trailers(w way) *sdk.Headers {
	if w == toServer {
		return &s.reqTrail.Headers
	}
	return &s.respTrail.Headers
}

func (s *Stream) dropTrailers(w way) {
	if w == toServer {
		s.hasReqTrail = false
	} else {
		s.hasRespTrail = false
	}
}

// wants reports whether what goes this way is still of interest. A request is not
// once we have answered it; after an early answer of the upstream it still is.
func (s *Stream) wants(w way) bool { return s.phase.live() && (w == toClient || !s.local) }

func stopOf(a sdk.Action) stop {
	if a == sdk.Collect {
		return collecting
	}
	return paused
}

func (sl *slot) onHeaders(w way, end bool) sdk.Action {
	sl.dir(w).enter(end)
	if w == toServer {
		return sl.req.verdict(sl.filter.OnRequestHeaders(sl, end))
	}
	return sl.resp.verdict(sl.filter.OnResponseHeaders(sl, end))
}

func (sl *slot) onData(w way, b *sdk.Buffer, end bool) sdk.Action {
	sl.dir(w).enter(end)
	if w == toServer {
		return sl.req.verdict(sl.filter.OnRequestData(sl, b, end))
	}
	return sl.resp.verdict(sl.filter.OnResponseData(sl, b, end))
}

func (sl *slot) onTrailers(w way) sdk.Action {
	sl.dir(w).enter(false)
	if w == toServer {
		return sl.req.verdict(sl.filter.OnRequestTrailers(sl))
	}
	return sl.resp.verdict(sl.filter.OnResponseTrailers(sl))
}
