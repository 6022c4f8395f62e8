package stream

import "sofamesh.io/sofamesh/sdk"

// startResponse takes an upstream's response head, which is in s.resp, through the
// filters to the client.
func (s *Stream) startResponse(end bool) {
	s.phase.move(respond)
	s.respEnded = end
	s.info.ResponseCode = s.resp.Status()
	s.headersFrom(toClient, len(s.slots)-1, end)
}

// responseData takes body from upstream; p is valid during the call.
func (s *Stream) responseData(p []byte, end bool) {
	s.last = s.w.now()
	s.respEnded = end
	if len(s.slots) == 0 {
		s.send(p, end)
		return
	}
	b := &s.w.chunk
	defer b.Release() // also when a filter panics: the next stream's body goes there
	b.Append(p)
	s.dataFrom(toClient, len(s.slots)-1, b, end)
}

func (s *Stream) responseTrailers(m *sdk.Message) {
	s.respEnded = true
	s.respTrail.Swap(m)
	s.hasRespTrail = true
	s.trailersFrom(toClient, len(s.slots)-1)
}

// informational passes a 1xx on to the client.
func (s *Stream) informational(m *sdk.Message) {
	if s.respHeadSent || s.conn.c.Closed() {
		return
	}
	if m.Status() != 100 || !s.cfg.Proxy100Continue {
		return // 100 we have answered ourselves; others are not passed on, as in Envoy
	}
	m.RemoveID(sdk.HeaderConnection)
	m.Close = false
	s.conn.answered(m.Status())
	_ = s.conn.writeHeaders(s, m, false)
}

// sendHead writes the head of the response.
func (s *Stream) sendHead(end bool) {
	d := s.conn
	if s.phase != responding || d.c.Closed() || !s.responseWhole() {
		return
	}
	if !s.requestEnded {
		if !s.resp.Upgrade || !s.upgradeWanted {
			d.closeAfter() // waiting for the rest of a request that is answered would be for nothing
		}
		s.w.stats.Inc(s.cfg.Stats.RqRespBeforeComplete)
	}
	s.finishResponseHeaders()
	s.respHeadSent = true
	s.info.ResponseStart = int64(s.w.now())
	s.info.ResponseCode = s.resp.Status()
	if err := d.writeHeaders(s, &s.resp, end); err != nil {
		s.info.Details = "http1.invalid_response_header"
		s.abort(sdk.FlagUpstreamProtocolError)
		return
	}
	if end {
		s.complete()
		return
	}
	if s.resp.Upgrade && s.upgradeWanted {
		s.phase.move(switchToRaw)
		if s.cfg.LogTunnel {
			s.writeLog(sdk.LogTunnelEstablished)
		}
		s.deadlines[dlRoute], s.deadlines[dlPerTry] = 0, 0
		s.up.flush()
	}
	s.throttle()
}

// send writes body bytes.
func (s *Stream) send(p []byte, end bool) {
	d := s.conn
	if !s.phase.live() || d.c.Closed() {
		return
	}
	s.info.BytesSent += uint64(len(p))
	n := 0
	if s.out.Empty() {
		n = d.writeData(s, p, end)
	}
	s.out.Append(p[n:])
	if end && s.out.Empty() {
		s.complete()
		return
	}
	s.outEnd = end
	s.throttle()
}

// sendBuffer writes body that the filters have seen.
func (s *Stream) sendBuffer(b *sdk.Buffer, end bool) {
	for s.phase.live() {
		p := b.First()
		last := len(p) == b.Len()
		if len(p) == 0 && !end {
			return
		}
		s.send(p, end && last)
		if !s.phase.live() {
			return // b may be a filter's, and released
		}
		b.Drain(len(p))
		if last {
			return
		}
	}
}

func (s *Stream) sendTrailers() {
	d := s.conn
	if !s.phase.live() || d.c.Closed() {
		return
	}
	if !s.out.Empty() {
		s.outTrailers = true // sent behind the body, by downstreamWritable
		return
	}
	d.writeTrailers(s, &s.respTrail)
	s.complete()
}

// downstreamWritable: the client's connection, or its stream, takes bytes again.
func (s *Stream) downstreamWritable() {
	if !s.phase.live() {
		return
	}
	d := s.conn
	for !s.out.Empty() {
		p := s.out.First()
		end := s.outEnd && len(p) == s.out.Len()
		n := d.writeData(s, p, end)
		s.out.Drain(n)
		if n < len(p) {
			return
		}
		if end {
			s.complete()
			return
		}
	}
	if s.outTrailers {
		s.sendTrailers()
		return
	}
	s.pauseUpstream(false)
}

// throttle slows the upstream down while the client does not take what there is.
func (s *Stream) throttle() {
	if s.conn.c.AboveHigh() || s.out.Len() > s.bufferLimit() {
		s.pauseUpstream(true)
	}
}

func (s *Stream) pauseUpstream(on bool) {
	if s.pausedUp == on || on && s.respEnded {
		return
	}
	if !on && (s.conn.c.AboveHigh() || s.held()) {
		return
	}
	s.pausedUp = on
	s.up.call.ReadDisable(on)
}

// held reports whether some filter holds more of the response than it may.
func (s *Stream) held() bool {
	for i := range s.slots {
		if s.slots[i].resp.hold.Len() > s.bufferLimit() {
			return true
		}
	}
	return false
}

// complete ends a stream whose response was written to its last byte.
func (s *Stream) complete() {
	d := s.conn
	if s.local && s.info.Details == "" {
		s.info.Details = "direct_response"
	}
	if d.shared != nil && !s.requestEnded && !s.brokenRequest {
		d.writeReset(s.id, sdk.ResetNone) // the rest is not wanted
	}
	s.completed = true
	reuse := s.requestEnded && !s.upgradeWanted && !s.brokenRequest
	defer d.released(reuse) // also when a filter panics
	s.end(0)
}
