package stream

import (
	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/sdk"
)

// shadow is a copy of a request on its way to a mirror: fire and forget. It lives
// on its own once the request has been handed over. Its response is counted, as that
// of a request from inside, and dropped.
type shadow struct {
	w       *Worker
	link    *shadow
	cluster *cluster.LoopCluster
	call    cluster.Call
	lb      cluster.LBContext
	req     sdk.Message
	trail   sdk.Message
	body    sdk.Buffer
	timer   eventloop.Timer
	limit   int
	trace   mirrorTrace

	ended    bool // the request is complete
	hasTrail bool
	ready    bool
	sent     bool
	counted  bool
	code     int  // that was counted
	owned    bool // a stream still feeds it
	over     bool
}

// startMirrors begins a copy of the request for every mirror policy that is drawn.
func (u *upstream) startMirrors(end bool) {
	s := u.s
	for i := range u.action.Mirrors {
		p := &u.action.Mirrors[i]
		if !p.Fraction.Enabled(s.cfg.Runtime, s.w.rand.Uint64()) {
			continue
		}
		lc := s.w.clusters.Get(p.Target(&s.req.Headers))
		if lc == nil {
			continue
		}
		m := s.w.newShadow()
		m.limit = s.bufferLimit()
		m.req.CopyFrom(&s.req)
		s.mirrorHeaders(&m.req, p)
		h := lc.Choose(&m.lb)
		if h == nil {
			m.release()
			continue
		}
		s.traceMirror(m, h, p.Untraced)
		if !end {
			u.mirrors = append(u.mirrors, m)
		}
		m.start(lc, h, u, end) // with end it may be over and released when this returns
	}
}

// mirrorHeaders marks the copy, as Envoy does. An RPC goes as it came.
func (s *Stream) mirrorHeaders(m *sdk.Message, p *route.Mirror) {
	if s.rpc {
		return
	}
	if p.HostLiteral != "" {
		m.SetID(sdk.HeaderAuthority, p.HostLiteral)
	}
	if p.HostSuffix {
		name, port := splitHostPort(m.Authority())
		host := name + "-shadow"
		if port != "" {
			host += ":" + port
		}
		m.SetID(sdk.HeaderAuthority, host)
	}
	m.SetID(sdk.HeaderEnvoyInternal, "true")
	if ip := s.cfg.LocalAddress; ip != "" {
		m.AppendID(sdk.HeaderForwardedFor, ",", ip)
	}
}

func (w *Worker) newShadow() *shadow {
	m := w.shadows
	if m == nil {
		m = &shadow{w: w}
		m.body.Init(w.loop.Buffers())
		m.timer.Init(w.loop, m)
		return m
	}
	w.shadows, m.link = m.link, nil
	return m
}

// start sends the copy to h; end says that the request has no body, so that nobody
// will feed it.
func (m *shadow) start(lc *cluster.LoopCluster, h *cluster.Host, u *upstream, end bool) {
	m.cluster = lc
	m.ended = end
	m.owned = !end
	if limit := u.timeout; limit > 0 {
		m.timer.Arm(limit)
	} else if limit = u.s.cfg.StreamIdleTimeout; limit > 0 {
		m.timer.Arm(limit) // nobody else would end the wait for a host that never answers
	}
	lc.Start(&m.call, h, &m.req, m, u.priority)
}

// mirrorData feeds the copies.
func (u *upstream) mirrorData(p []byte, end bool) {
	for _, m := range u.mirrors {
		m.data(p, end)
	}
}

func (m *shadow) data(p []byte, end bool) {
	if m.over || !m.owned {
		return
	}
	m.ended = end
	if m.body.Len()+len(p) > m.limit {
		m.finish() // a mirror that is slower than the request is given up
		return
	}
	m.body.Append(p)
	m.flush()
}

func (m *shadow) trailers(t *sdk.Message) {
	if m.over || !m.owned {
		return
	}
	m.trail.CopyFrom(t)
	m.ended, m.hasTrail = true, true
	m.flush()
}

// requestGone: the stream that fed the copy is over. A copy that is complete goes
// on alone, another is given up.
func (m *shadow) requestGone() {
	m.owned = false
	switch {
	case m.over:
		m.release()
	case !m.ended:
		m.finish()
	}
}

// finish ends the copy.
func (m *shadow) finish() {
	if m.over {
		return
	}
	m.over = true
	m.endTrace(m.code)
	m.call.Cancel(sdk.ResetLocal)
	m.timer.Stop()
	m.body.Release()
	if !m.owned {
		m.release()
	}
}

func (m *shadow) release() {
	w := m.w
	m.timer.Stop()
	m.body.Release()
	m.req.Reset()
	m.trail.Reset()
	*m = shadow{w: w, call: m.call, req: m.req, trail: m.trail, body: m.body, timer: m.timer, trace: m.trace, link: w.shadows}
	w.shadows = m
}

func (m *shadow) flush() {
	if !m.ready || m.sent || m.over {
		return
	}
	for !m.body.Empty() {
		p := m.body.First()
		end := m.ended && !m.hasTrail && len(p) == m.body.Len()
		n := m.call.WriteData(p, end)
		m.body.Drain(n)
		if n < len(p) || m.call.AboveHigh() && !end {
			return
		}
		if end {
			m.sent = true
			return
		}
	}
	if !m.ended {
		return
	}
	m.sent = true
	if m.hasTrail {
		m.call.WriteTrailers(&m.trail)
		return
	}
	m.call.WriteData(nil, true)
}

// OnTimer implements eventloop.TimerHandler.
func (m *shadow) OnTimer(*eventloop.Timer) {
	m.count(504)
	m.finish()
}

// OnCallReady implements cluster.CallEvents.
func (m *shadow) OnCallReady(c *cluster.Call) {
	end := m.ended && m.body.Empty() && !m.hasTrail
	if c.WriteHeaders(&m.req, end) != nil {
		m.finish()
		return
	}
	m.ready, m.sent = true, end
	m.flush()
}

// OnCallHeaders implements cluster.CallEvents.
func (m *shadow) OnCallHeaders(_ *cluster.Call, resp *sdk.Message, end bool) {
	m.count(resp.Status())
	m.ignore(end)
}

// OnCallData implements cluster.CallEvents.
func (m *shadow) OnCallData(_ *cluster.Call, p []byte, end bool) {
	m.ignore(end)
}

// OnCallTrailers implements cluster.CallEvents.
func (m *shadow) OnCallTrailers(*cluster.Call, *sdk.Message) { m.ignore(true) }

// OnCallInformational implements cluster.CallEvents.
func (m *shadow) OnCallInformational(*cluster.Call, *sdk.Message) {}

// OnCallWritable implements cluster.CallEvents.
func (m *shadow) OnCallWritable(*cluster.Call) { m.flush() }

// OnCallFailed implements cluster.CallEvents.
func (m *shadow) OnCallFailed(_ *cluster.Call, e *sdk.Error) {
	m.count(cluster.FailureStatus(e))
	m.finish()
}

// count counts the answer, or what stands for one that does not come.
func (m *shadow) count(code int) {
	if !m.counted && !m.over {
		m.counted, m.code = true, code
		m.cluster.CountResponse(code, true)
	}
}

func (m *shadow) ignore(end bool) {
	if end {
		m.finish()
	}
}

var (
	_ cluster.CallEvents     = (*shadow)(nil)
	_ cluster.CallEvents     = (*upstream)(nil)
	_ eventloop.TimerHandler = (*shadow)(nil)
)
