package stream

import "sofamesh.io/sofamesh/sdk"

// requestHeadersFrom hands the head to the filters from i on, then to the router.
func (s *Stream) requestHeadersFrom(i int, end bool) {
	for ; i < len(s.slots); i++ {
		sl := &s.slots[i]
		sl.req.enter()
		switch sl.req.verdict(sl.filter.OnRequestHeaders(sl, end)) {
		case sdk.Pause:
			sl.req.stop = paused
		case sdk.Collect:
			sl.req.stop = collecting
		case sdk.Replied:
			return
		}
		if s.phase != filtering {
			return // answered, or gone
		}
		if sl.req.stop != passing {
			sl.req.head, sl.req.end = true, end
			return
		}
	}
	s.up.begin(end)
}

// requestDataFrom hands body to the filters from i on, then upstream. It takes
// what is in b.
func (s *Stream) requestDataFrom(i int, b *sdk.Buffer, end bool) {
	for ; i < len(s.slots); i++ {
		sl := &s.slots[i]
		if sl.req.stop == paused {
			s.holdRequest(sl, b, end)
			return
		}
		src := b
		if sl.req.stop == collecting {
			sl.req.hold.Move(b)
			src = &sl.req.hold
		}
		sl.req.enter()
		act := sl.req.verdict(sl.filter.OnRequestData(sl, src, end))
		if !s.wantsRequest() || act == sdk.Replied {
			return
		}
		if act != sdk.Continue {
			sl.req.stop = stopOf(act)
			if src == b {
				sl.req.hold.Move(b)
			}
			s.holdRequest(sl, nil, end)
			return
		}
		if sl.req.stop == collecting {
			sl.req.end = end
			s.resumeRequest(sl)
			return
		}
	}
	s.up.dataBuffer(b, end)
}

// holdRequest keeps body at a filter that has stopped the request.
func (s *Stream) holdRequest(sl *slot, b *sdk.Buffer, end bool) {
	if b != nil {
		sl.req.hold.Move(b)
	}
	sl.req.end = sl.req.end || end
	if sl.req.hold.Len() <= s.bufferLimit() {
		return
	}
	if sl.req.stop == collecting {
		s.conn.lastOne = true
		s.w.stats.Inc(s.cfg.Stats.RqTooLarge)
		s.replyOrAbort(sdk.Reply{Status: 413, Body: "Payload Too Large", Details: "request_payload_too_large"})
		return
	}
	if !s.requestEnded {
		s.pauseClient(true)
	}
}

// requestTrailersFrom hands the trailers to the filters from i on, then upstream.
func (s *Stream) requestTrailersFrom(i int) {
	for ; i < len(s.slots); i++ {
		sl := &s.slots[i]
		if sl.req.stop == paused {
			sl.req.trail = true
			return
		}
		sl.req.enter()
		act := sl.req.verdict(sl.filter.OnRequestTrailers(sl))
		if !s.wantsRequest() || act == sdk.Replied {
			return
		}
		if act != sdk.Continue {
			sl.req.stop, sl.req.trail = paused, true
			return
		}
		if sl.req.stop == collecting {
			sl.req.trail = true
			s.resumeRequestPast(sl)
			return
		}
	}
	s.up.trailers()
}

// resumeRequest lets go what a filter holds: the head, then body, then trailers.
// Trailers that the filter has not seen are shown to it first.
func (s *Stream) resumeRequest(sl *slot) {
	if sl.req.trail && sl.req.stop == paused {
		sl.req.stop = passing
		sl.req.enter()
		act := sl.req.verdict(sl.filter.OnRequestTrailers(sl))
		if !s.wantsRequest() || act == sdk.Replied {
			return
		}
		if act != sdk.Continue {
			sl.req.stop = paused
			return
		}
	}
	s.resumeRequestPast(sl)
}

func (s *Stream) resumeRequestPast(sl *slot) {
	d := &sl.req
	d.stop = passing
	trail := d.trail
	end := d.end && !trail
	d.trail = false
	if d.head {
		d.head = false
		s.requestHeadersFrom(sl.index+1, end && d.hold.Empty())
		if !s.wantsRequest() || end && d.hold.Empty() {
			return
		}
	}
	if !d.hold.Empty() || end {
		s.requestDataFrom(sl.index+1, &d.hold, end)
		if !s.wantsRequest() {
			return
		}
	}
	if trail {
		s.requestTrailersFrom(sl.index + 1)
	}
	if s.phase.live() {
		s.up.relieve()
	}
}

// wantsRequest reports whether the request is still of interest: nobody has
// answered it, or the upstream's answer came early and the rest is still wanted.
func (s *Stream) wantsRequest() bool { return s.phase.live() && !s.local }

func stopOf(a sdk.Action) stop {
	if a == sdk.Collect {
		return collecting
	}
	return paused
}

// responseHeadersFrom hands the head of the response to the filters from i down,
// then to the client.
func (s *Stream) responseHeadersFrom(i int, end bool) {
	for ; i >= 0; i-- {
		sl := &s.slots[i]
		sl.resp.enter()
		act := sl.resp.verdict(sl.filter.OnResponseHeaders(sl, end))
		if s.phase != responding || act == sdk.Replied {
			return
		}
		if act != sdk.Continue {
			sl.resp.stop = stopOf(act)
			sl.resp.head, sl.resp.end = true, end
			return
		}
	}
	s.sendHead(end)
}

// responseDataFrom hands body to the filters from i down, then to the client.
func (s *Stream) responseDataFrom(i int, b *sdk.Buffer, end bool) {
	for ; i >= 0; i-- {
		sl := &s.slots[i]
		if sl.resp.stop == paused {
			s.holdResponse(sl, b, end)
			return
		}
		src := b
		if sl.resp.stop == collecting {
			sl.resp.hold.Move(b)
			src = &sl.resp.hold
		}
		sl.resp.enter()
		act := sl.resp.verdict(sl.filter.OnResponseData(sl, src, end))
		if !s.phase.live() || act == sdk.Replied {
			return
		}
		if act != sdk.Continue {
			sl.resp.stop = stopOf(act)
			if src == b {
				sl.resp.hold.Move(b)
			}
			s.holdResponse(sl, nil, end)
			return
		}
		if sl.resp.stop == collecting {
			sl.resp.end = end
			s.resumeResponse(sl)
			return
		}
	}
	s.sendBuffer(b, end)
}

func (s *Stream) holdResponse(sl *slot, b *sdk.Buffer, end bool) {
	if b != nil {
		sl.resp.hold.Move(b)
	}
	sl.resp.end = sl.resp.end || end
	if sl.resp.hold.Len() <= s.bufferLimit() {
		return
	}
	if sl.resp.stop == collecting {
		s.w.stats.Inc(s.cfg.Stats.RsTooLarge)
		s.replyOrAbort(sdk.Reply{Status: 500, Body: "Internal Server Error", Details: "response_payload_too_large"})
		return
	}
	s.pauseUpstream(true)
}

func (s *Stream) responseTrailersFrom(i int) {
	for ; i >= 0; i-- {
		sl := &s.slots[i]
		if sl.resp.stop == paused {
			sl.resp.trail = true
			return
		}
		sl.resp.enter()
		act := sl.resp.verdict(sl.filter.OnResponseTrailers(sl))
		if !s.phase.live() || act == sdk.Replied {
			return
		}
		if act != sdk.Continue {
			sl.resp.stop, sl.resp.trail = paused, true
			return
		}
		if sl.resp.stop == collecting {
			sl.resp.trail = true
			s.resumeResponsePast(sl)
			return
		}
	}
	s.sendTrailers()
}

func (s *Stream) resumeResponse(sl *slot) {
	if sl.resp.trail && sl.resp.stop == paused {
		sl.resp.stop = passing
		sl.resp.enter()
		act := sl.resp.verdict(sl.filter.OnResponseTrailers(sl))
		if !s.phase.live() || act == sdk.Replied {
			return
		}
		if act != sdk.Continue {
			sl.resp.stop = paused
			return
		}
	}
	s.resumeResponsePast(sl)
}

func (s *Stream) resumeResponsePast(sl *slot) {
	d := &sl.resp
	d.stop = passing
	trail := d.trail
	end := d.end && !trail
	d.trail = false
	if d.head {
		d.head = false
		s.responseHeadersFrom(sl.index-1, end && d.hold.Empty())
		if !s.phase.live() || end && d.hold.Empty() {
			return
		}
	}
	if !d.hold.Empty() || end {
		s.responseDataFrom(sl.index-1, &d.hold, end)
		if !s.phase.live() {
			return
		}
	}
	if trail {
		s.responseTrailersFrom(sl.index - 1)
	}
	if s.phase.live() {
		s.pauseUpstream(false)
	}
}
