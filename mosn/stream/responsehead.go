package stream

import (
	"time"
	"unsafe"

	"sofamesh.io/sofamesh/sdk"
)

// decorateUpstream applies the router's part to the head of an upstream's response.
func (u *upstream) decorateUpstream(m *sdk.Message, now time.Duration) {
	s := u.s
	if from := s.info.RequestEnd; from != 0 && !s.router.SuppressEnvoyHeaders && !m.Upgrade && !s.rpc {
		m.SetInt(sdk.HeaderEnvoyUpstreamServiceTime, (int64(now)-from)/int64(time.Millisecond))
	}
	if u.host.Canary() {
		m.SetID(sdk.HeaderEnvoyUpstreamCanary, "true")
	}
	u.action.Hash.AddCookies(&m.Headers, u.hash, &s.w.routeScratch)
	u.decorate(m)
}

// decorate applies the route's edits to a response, ours or the upstream's. As in Envoy
// they are for what a filter answers too, but then only of a route that forwards.
func (u *upstream) decorate(m *sdk.Message) {
	s := u.s
	if s.route == nil || !u.begun && s.route.Forward == nil {
		return
	}
	if s.vh.IncludeAttemptCountInResponse && s.info.Attempts > 0 {
		m.SetInt(sdk.HeaderEnvoyAttemptCount, int64(s.info.Attempts))
	}
	s.route.FinalizeResponse(&m.Headers, &s.req.Headers, &s.info, &s.w.routeScratch)
}

// finishResponseHeaders is the connection manager's part, as Envoy's
// ConnectionManagerUtility::mutateResponseHeaders.
func (s *Stream) finishResponseHeaders() {
	m, cfg, d := &s.resp, s.cfg, s.conn
	granted := m.Upgrade && s.upgradeWanted
	if s.info.CloseConnection {
		d.closeAfter()
	}
	m.Close = !granted && d.shared == nil && (d.last() || s.brokenRequest)
	if m.Close && !d.lastOne {
		d.lastOne = true
		if s.w.leaving() {
			s.w.stats.Inc(cfg.Stats.CxDrainClose)
		}
	}
	if s.rpc {
		return // HTTP's own headers are not for it
	}
	if !granted {
		m.RemoveID(sdk.HeaderConnection)
		m.RemoveID(sdk.HeaderUpgrade)
	}
	m.RemoveID(sdk.HeaderTransferEncoding)
	m.RemoveID(sdk.HeaderKeepAlive)
	m.RemoveID(sdk.HeaderProxyConnection)
	if s.trace != nil {
		s.decorateResponse(s.trace, m)
	}
	if cfg.AlwaysSetRequestID || s.req.HasID(sdk.HeaderEnvoyForceTrace) {
		if id := s.req.ID(sdk.HeaderRequestID); id != "" {
			m.SetID(sdk.HeaderRequestID, id)
		}
	}
	if cfg.Via != "" {
		m.AppendID(sdk.HeaderVia, ", ", cfg.Via)
	}
	if !m.HasID(sdk.HeaderDate) {
		m.AddID(sdk.HeaderDate, bytesString(s.w.httpDate()))
	}
	switch cfg.ServerHeader {
	case ServerOverwrite:
		m.SetID(sdk.HeaderServer, cfg.ServerName)
	case ServerAppendIfAbsent:
		if !m.HasID(sdk.HeaderServer) {
			m.AddID(sdk.HeaderServer, cfg.ServerName)
		}
	}
}

func bytesString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
