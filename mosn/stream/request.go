package stream

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/mosn/trace"
	"sofamesh.io/sofamesh/sdk"
)

// prepareRequest brings a decoded head into the form that filters and routes see,
// as Envoy's ConnectionManagerUtility::mutateRequestHeaders does, or says what is
// wrong with it.
func (s *Stream) prepareRequest() *sdk.Reply {
	m, cfg := &s.req, s.cfg
	if bad := s.checkRequest(); bad != nil {
		return bad
	}
	if s.rpc {
		s.trustPeer()
		return nil // the rest is HTTP's own
	}
	if !m.Upgrade && m.HasID(sdk.HeaderHTTP2Settings) && m.HasID(sdk.HeaderUpgrade) {
		if bad := s.changeOver(); bad != nil {
			return bad
		}
	}
	if m.Upgrade {
		s.upgradeWanted = true
	} else {
		m.RemoveID(sdk.HeaderConnection)
		m.RemoveID(sdk.HeaderUpgrade)
	}
	m.RemoveID(sdk.HeaderKeepAlive)
	m.RemoveID(sdk.HeaderProxyConnection)
	m.RemoveID(sdk.HeaderTransferEncoding)
	sanitizeTE(&m.Headers)
	s.answerExpect()

	s.stripHost()
	if bad := s.normalizePath(); bad != nil {
		return bad
	}
	if cfg.Early != nil {
		s.mutateEarly()
	}
	edge, bad := s.findClient()
	if bad != nil {
		return bad
	}
	if !s.internal {
		cleanEnvoyHeaders(&m.Headers, edge)
		for _, name := range s.routes.InternalOnlyHeaders {
			m.Remove(name)
		}
	} else {
		m.SetID(sdk.HeaderEnvoyInternal, "true")
	}
	m.RemoveID(sdk.HeaderForwardedClientCert)
	if cfg.UserAgent != "" {
		m.SetID(sdk.HeaderEnvoyDownstreamServiceCluster, cfg.UserAgent)
		if !m.HasID(sdk.HeaderUserAgent) {
			m.AddID(sdk.HeaderUserAgent, cfg.UserAgent)
		}
		if cfg.NodeID != "" {
			m.SetID(sdk.HeaderEnvoyDownstreamServiceNode, cfg.NodeID)
		}
	}
	s.requestID(edge)
	if cfg.Via != "" {
		m.AppendID(sdk.HeaderVia, ", ", cfg.Via)
	}
	return s.checkUpgrade()
}

// mutateEarly carries out early_header_mutation_extensions.
func (s *Stream) mutateEarly() {
	s.cfg.Early.Apply(&s.req.Headers, &format.Context{Info: &s.info, Request: &s.req.Headers})
}

// trustPeer is what findClient is for HTTP, where a request says nothing of those
// before its peer. Codecs of RPC let no header of Envoy's own through.
func (s *Stream) trustPeer() {
	cfg := s.cfg
	s.internal = isInternal(cfg.Internal, s.info.DownstreamDirectRemote.Addr().Unmap())
	if !s.internal {
		for _, name := range s.routes.InternalOnlyHeaders {
			s.req.Remove(name)
		}
	}
}

// checkRequest refuses what no route may see.
func (s *Stream) checkRequest() *sdk.Reply {
	m := &s.req
	connect := m.Method() == "CONNECT"
	switch {
	case !m.HasID(sdk.HeaderAuthority):
		return s.bad(400, "missing_host_header", "")
	case !connect && !m.HasID(sdk.HeaderPath):
		return s.bad(404, "missing_path_rejected", "")
	}
	if p := m.Path(); !connect && p != "" && p[0] != '/' {
		s.w.stats.Inc(s.cfg.Stats.RqNonRelativePath)
		return &sdk.Reply{Status: 404, Details: "absolute_path_rejected"}
	}
	return nil
}

// checkUpgrade refuses an upgrade that nothing allows.
func (s *Stream) checkUpgrade() *sdk.Reply {
	if !s.req.Upgrade {
		return nil
	}
	kind := s.req.ID(sdk.HeaderUpgrade)
	if s.req.Method() == "CONNECT" {
		kind = "CONNECT"
	}
	st := &s.cfg.Stats
	own := s.cfg.upgrade(kind)
	if s.upgradeGranted(kind, own) {
		if own != nil && own.Own {
			s.filters, s.router = own.Filters, &own.Router
		}
		if s.upgraded = !s.routed || s.route != nil; s.upgraded {
			s.w.stats.Inc(st.CxUpgradesTotal)
			s.w.stats.AddGauge(st.CxUpgradesActive, 1)
		}
		return nil
	}
	s.w.stats.Inc(st.RqNotUpgraded)
	s.makeChain() // the ordinary one, which the answer passes
	return s.bad(403, "upgrade_failed", "")
}

// upgradeGranted reports whether this type of upgrade may go on: the route's
// configuration counts before the connection manager's.
func (s *Stream) upgradeGranted(kind string, own *Upgrade) bool {
	s.findRoute()
	if s.route != nil {
		if f := s.route.Forward; f != nil {
			if enabled, ok := f.Upgrade(kind); ok {
				return enabled
			}
		}
	} else if strings.EqualFold(kind, "CONNECT") {
		return true // no route: 404 is the better answer
	}
	s.routed = false
	return own != nil && own.Enabled
}

// bad is a refusal after which the connection is closed.
func (s *Stream) bad(status int, details, body string) *sdk.Reply {
	s.conn.closeAfter()
	return &sdk.Reply{Status: status, Details: details, Body: body}
}

// sanitizeTE lets only "trailers" pass, the one value that is not hop-by-hop in
// gRPC.
func sanitizeTE(h *sdk.Headers) {
	if !h.HasID(sdk.HeaderTE) {
		return
	}
	for rest := h.ID(sdk.HeaderTE); rest != ""; {
		var one string
		one, rest, _ = strings.Cut(rest, ",")
		if strings.TrimSpace(one) == "trailers" { // in this case only, as Envoy
			h.SetID(sdk.HeaderTE, "trailers")
			return
		}
	}
	h.RemoveID(sdk.HeaderTE)
}

// answerExpect answers "expect: 100-continue" ourselves, unless that is left to the
// upstream.
func (s *Stream) answerExpect() {
	if s.cfg.Proxy100Continue || !strings.EqualFold(s.req.ID(sdk.HeaderExpect), "100-continue") {
		return
	}
	s.req.RemoveID(sdk.HeaderExpect)
	m := &s.w.msg
	m.Reset()
	m.SetStatus(100)
	s.info.ResponseCode = 100
	s.conn.answered(100)
	_ = s.conn.writeHeaders(s, m, false)
}

// stripHost applies the port and dot stripping options to the host.
func (s *Stream) stripHost() {
	cfg := s.cfg
	if !cfg.StripAnyPort && cfg.StripMatchingPort == 0 && !cfg.StripTrailingHostDot {
		return
	}
	host := s.req.Authority()
	name, port := splitHostPort(host)
	if cfg.StripTrailingHostDot && strings.HasSuffix(name, ".") {
		name = name[:len(name)-1]
	}
	strip := cfg.StripAnyPort || cfg.StripMatchingPort != 0 && port == utoa(cfg.StripMatchingPort)
	if port != "" && !strip {
		name += ":" + port
	}
	if name != host {
		s.req.SetID(sdk.HeaderAuthority, name)
	}
}

func utoa(n uint16) string {
	var b [5]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}

// splitHostPort cuts the port off a host; port is "" when there is none.
func splitHostPort(host string) (name, port string) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.IndexByte(host[i:], ']') >= 0 {
		return host, ""
	}
	for _, c := range []byte(host[i+1:]) {
		if c < '0' || c > '9' {
			return host, ""
		}
	}
	return host[:i], host[i+1:]
}

// findClient works out who the client is, from the connection or from
// x-forwarded-for, and brings the forwarding headers up to date. It reports whether
// the request comes from outside the mesh.
func (s *Stream) findClient() (edge bool, bad *sdk.Reply) {
	m, cfg, i := &s.req, s.cfg, &s.info
	scheme := "http" // of the connection
	if i.DownstreamTLS != nil {
		scheme = "https"
	}
	direct := i.DownstreamDirectRemote.Addr().Unmap()
	var remote netip.Addr
	single := !m.HasID(sdk.HeaderForwardedFor)
	switch {
	case cfg.UseRemoteAddress:
		remote = direct
		if cfg.TrustedHops > 0 {
			if a, _, ok := lastForwarded(m.ID(sdk.HeaderForwardedFor), int(cfg.TrustedHops)-1); ok {
				remote = a
			}
		}
		s.appendForwarded()
		if cfg.TrustedHops == 0 || !m.HasID(sdk.HeaderForwardedProto) {
			m.SetID(sdk.HeaderForwardedProto, scheme)
		}
	case cfg.Origins != nil:
		if remote, single, bad = s.findOrigin(); bad != nil {
			return false, bad
		}
	default:
		if a, only, ok := lastForwarded(m.ID(sdk.HeaderForwardedFor), int(cfg.TrustedHops)); ok {
			remote, single = a, only
		}
	}
	if !m.HasID(sdk.HeaderForwardedProto) {
		m.AddID(sdk.HeaderForwardedProto, scheme)
	}
	if cfg.AppendXForwardedPort && !m.HasID(sdk.HeaderForwardedPort) {
		m.SetInt(sdk.HeaderForwardedPort, int64(i.DownstreamLocal.Port()))
	}
	switch {
	case cfg.SchemeOverwrite != "":
		m.SetID(sdk.HeaderScheme, cfg.SchemeOverwrite)
		m.SetID(sdk.HeaderForwardedProto, cfg.SchemeOverwrite)
	case !m.HasID(sdk.HeaderScheme):
		if p := m.ID(sdk.HeaderForwardedProto); p == "http" || p == "https" {
			scheme = p
		}
		m.AddID(sdk.HeaderScheme, scheme)
	}
	s.internal = single && remote.IsValid() && isInternal(cfg.Internal, remote)
	if remote.IsValid() && remote != direct {
		i.DownstreamRemote = netip.AddrPortFrom(remote, 0)
	}
	edge = cfg.UseRemoteAddress && !s.internal
	if edge {
		m.SetID(sdk.HeaderEnvoyExternalAddress, addrText(s, remote))
	}
	return edge, nil
}

func addrText(s *Stream, a netip.Addr) string {
	if a == s.info.DownstreamDirectRemote.Addr().Unmap() {
		return s.conn.clientIP()
	}
	return a.String()
}

// appendForwarded adds the peer to x-forwarded-for.
func (s *Stream) appendForwarded() {
	if s.cfg.SkipXFFAppend {
		return
	}
	ip := s.conn.clientIP()
	if s.info.DownstreamDirectRemote.Addr().IsLoopback() && s.cfg.LocalAddress != "" {
		ip = s.cfg.LocalAddress // Envoy names the machine instead of its loopback
	}
	if ip != "" {
		s.req.AppendID(sdk.HeaderForwardedFor, ",", ip)
	}
}

// lastForwarded returns the address that stands skip places before the end of
// x-forwarded-for, and whether it is the only one there.
func lastForwarded(v string, skip int) (a netip.Addr, only, ok bool) {
	if v == "" {
		return a, false, false
	}
	only = strings.IndexByte(v, ',') < 0
	for {
		i := strings.LastIndexByte(v, ',')
		if skip == 0 {
			a, err := netip.ParseAddr(strings.TrimSpace(v[i+1:]))
			return a.Unmap(), only, err == nil
		}
		if i < 0 {
			return a, false, false
		}
		v, skip = v[:i], skip-1
	}
}

func isInternal(nets []netip.Prefix, a netip.Addr) bool {
	for _, n := range nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// cleanEnvoyHeaders removes what a client outside may not tell us.
func cleanEnvoyHeaders(h *sdk.Headers, edge bool) {
	if edge {
		h.RemoveID(sdk.HeaderEnvoyDecoratorOperation)
		h.RemoveID(sdk.HeaderEnvoyDownstreamServiceCluster)
		h.RemoveID(sdk.HeaderEnvoyDownstreamServiceNode)
		h.RemoveID(sdk.HeaderEnvoyOriginalPath)
		h.RemoveID(sdk.HeaderEnvoyOriginalHost)
	}
	for _, id := range [...]sdk.HeaderID{
		sdk.HeaderEnvoyInternal,
		sdk.HeaderEnvoyRetriableStatusCodes, sdk.HeaderEnvoyRetriableHeaderNames, sdk.HeaderEnvoyRetryOn,
		sdk.HeaderEnvoyRetryGRPCOn, sdk.HeaderEnvoyMaxRetries, sdk.HeaderEnvoyUpstreamAltStatName,
		sdk.HeaderEnvoyUpstreamTimeoutMs, sdk.HeaderEnvoyUpstreamPerTryTimeoutMs,
		sdk.HeaderEnvoyExpectedTimeoutMs, sdk.HeaderEnvoyForceTrace, sdk.HeaderEnvoyIPTags,
		sdk.HeaderEnvoyHedgeOnPerTryTimeout, sdk.HeaderEnvoyUpstreamTimeoutAltResponse, sdk.HeaderEnvoyOriginalURL,
	} {
		h.RemoveID(id)
	}
}

// requestID gives the request its x-request-id: a random UUID (RFC 9562, version
// 4), as Envoy's UUID extension does for an untraced request.
func (s *Stream) requestID(edge bool) {
	m, cfg := &s.req, s.cfg
	if !cfg.GenerateRequestID {
		return
	}
	if m.HasID(sdk.HeaderRequestID) && (!edge || cfg.PreserveExternalID) {
		if edge && !cfg.BareRequestID {
			trace.SetReason(&m.Headers, trace.NotTraceable) // outsiders do not choose what is traced
		}
		return
	}
	var raw [16]byte
	a, b := s.w.rand.Uint64(), s.w.rand.Uint64()
	for i := range 8 {
		raw[i], raw[8+i] = byte(a>>(8*i)), byte(b>>(8*i))
	}
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	var id [36]byte
	hex.Encode(id[0:8], raw[0:4])
	id[8], id[13], id[18], id[23] = '-', '-', '-', '-'
	hex.Encode(id[9:13], raw[4:6])
	hex.Encode(id[14:18], raw[6:8])
	hex.Encode(id[19:23], raw[8:10])
	hex.Encode(id[24:36], raw[10:16])
	m.SetID(sdk.HeaderRequestID, bytesString(id[:]))
}

// findRoute looks the route up, once, or again after ClearRoute.
func (s *Stream) findRoute() {
	if s.routed {
		return
	}
	s.routed = true
	if s.random == 0 {
		s.random = s.w.rand.Uint64() | 1
	}
	in := &s.w.routeIn
	in.Random, in.Runtime, in.Info = s.random, s.cfg.Runtime, &s.info
	s.vh, s.route = s.routes.Match(&s.req.Headers, in)
	s.info.VirtualHostMetadata, s.info.RouteMetadata, s.info.RouteName = nil, nil, ""
	s.noteCluster("", nil)
	if s.vh != nil {
		s.info.VirtualHostName, s.info.VirtualHostMetadata = s.vh.Name, s.vh.Metadata
	}
	if s.route != nil {
		s.info.RouteMetadata, s.info.RouteName = s.route.Metadata, s.route.Name
		// Without filters the cluster is chosen next, and noted then.
		if f := s.route.Forward; f != nil && len(s.filters) > 0 {
			name := f.Cluster(&s.req.Headers)
			if c := s.w.clusters.Get(name); c != nil {
				s.noteCluster(name, c)
			}
		}
		if d, ok := s.route.IdleTimeout(); ok {
			s.setDeadline(dlIdle, d)
		}
		s.limitDuration()
	}
}

// noteCluster tells filters and logs where the request goes; c is nil when there is no
// such cluster.
func (s *Stream) noteCluster(name string, c *cluster.LoopCluster) {
	s.info.ClusterName, s.info.ClusterStatName, s.info.ClusterMetadata = name, "", nil
	if c != nil {
		s.info.ClusterStatName, s.info.ClusterMetadata = c.Config().StatName(), c.Config().Metadata()
	}
}

// finishRequestHeaders applies what the route does to a request before it goes
// upstream.
func (u *upstream) finishRequestHeaders() {
	s := u.s
	s.route.FinalizeRequest(&s.req.Headers, &s.info, &s.w.routeScratch, !s.router.SuppressEnvoyHeaders)
	if s.router.SuppressEnvoyHeaders || s.rpc {
		return
	}
	if u.timeout > 0 || u.retry.perTry > 0 {
		u.setExpectedTimeout(u.timeout)
	}
}

// setExpectedTimeout tells the upstream how long we are going to wait.
func (u *upstream) setExpectedTimeout(global time.Duration) {
	d := global
	if p := u.retry.perTry; p > 0 && (d == 0 || p < d) {
		d = p
	}
	if d > 0 {
		u.s.req.SetInt(sdk.HeaderEnvoyExpectedTimeoutMs, int64(d/time.Millisecond))
	}
}

// setAttemptHeaders brings the head up to date for one attempt.
func (u *upstream) setAttemptHeaders() {
	s := u.s
	if s.vh.IncludeAttemptCount {
		s.req.SetInt(sdk.HeaderEnvoyAttemptCount, int64(s.info.Attempts))
	}
	if s.info.Attempts > 1 && s.vh.IncludeIsTimeoutRetry {
		s.req.SetID(sdk.HeaderEnvoyIsTimeoutRetry, strconv.FormatBool(u.tryTimeout))
	}
	if s.info.Attempts > 1 && !s.router.SuppressEnvoyHeaders && !s.rpc {
		if at := s.deadlines[dlRoute]; at > 0 {
			u.setExpectedTimeout(max(at-s.w.now(), time.Millisecond))
		}
	}
	if u.action.AutoHostRewrite && u.host.Hostname() != "" {
		route.RewriteHost(&s.req.Headers, u.host.Hostname(), u.action.AppendForwardedHost, !s.router.SuppressEnvoyHeaders)
	}
}
