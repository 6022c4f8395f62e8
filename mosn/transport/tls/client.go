package tls

import (
	"crypto/tls"
	"sync/atomic"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// Client is a compiled UpstreamTlsContext, shared by all loops.
type Client struct {
	side    side
	hostSNI bool // auto_host_sni
}

// maxSessions bounds max_session_keys.
const maxSessions = 1024

// CompileClient compiles pb, which has passed its own validation and the check against
// Fields; scope is the cluster's. protocols are offered where pb names none.
func CompileClient(c sdk.Compiler, pb *tlsv3.UpstreamTlsContext, scope sdk.Scope, protocols []string) (*Client, error) {
	cl := &Client{side{stats: newStats(scope), autoSNI: pb.GetAutoSniSanValidation(), fallback: protocols}, pb.GetAutoHostSni()}
	common := pb.GetCommonTlsContext()
	if err := cl.side.compileCommon(c.At("common_tls_context"), common, tls.VersionTLS12); err != nil {
		return nil, err
	}
	if len(cl.side.certs) > 1 {
		return nil, c.At("common_tls_context.tls_certificates").Errorf("multiple TLS certificates are not supported for client contexts")
	}
	if len(pb.GetSni()) > 255 {
		return nil, c.At("sni").Errorf("has more than 255 bytes")
	}
	if cl.side.autoSNI && cl.side.validator == nil && !cl.side.awaited {
		return nil, c.At("auto_sni_san_validation").Errorf("needs a trusted_ca")
	}
	cl.side.base.ServerName = pb.GetSni()
	cl.side.base.InsecureSkipVerify = true // check does it
	n := uint32(1)
	if v := pb.GetMaxSessionKeys(); v != nil {
		n = min(v.GetValue(), maxSessions)
	}
	cl.side.base.SessionTicketsDisabled = n == 0
	cl.side.sessions = int(n)
	cl.side.renew()
	return cl, nil
}

// New returns the transport of a connection that was dialled; st are the slots of its
// loop, hostname is what the host is called, if anything.
func (cl *Client) New(st *stats.Local, hostname string) eventloop.Transport {
	if !cl.hostSNI {
		hostname = ""
	}
	return cl.side.new(st, hostname)
}

// call completes the settings of a client.
func (s *side) call(set *settings) {
	if certs := set.certs.all; len(certs) > 0 {
		// Whatever authorities the server names: as Envoy does.
		set.cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certs[0], nil }
	}
	if s.sessions > 0 {
		set.cfg.ClientSessionCache = &sessions{kept: make([]atomic.Pointer[session], s.sessions)}
	}
}

// sessions are those that a cluster's connections may resume: without a lock, since it
// is a loop that learns of tickets. Like Envoy's they are the cluster's, not a host's.
type sessions struct {
	kept []atomic.Pointer[session]
	n    atomic.Uint32
}

type session struct {
	key   string
	state *tls.ClientSessionState
	once  bool
}

var _ tls.ClientSessionCache = (*sessions)(nil)

// Get implements tls.ClientSessionCache: it returns the newest one. One of TLS 1.3 nobody
// else gets then, because a ticket that is used twice can be recognised (RFC 8446, C.4).
func (s *sessions) Get(key string) (*tls.ClientSessionState, bool) {
	newest := s.n.Load()
	for i := range uint32(len(s.kept)) {
		at := &s.kept[(newest-i)%uint32(len(s.kept))]
		got := at.Load()
		if got == nil || got.key != key || got.once && !at.CompareAndSwap(got, nil) {
			continue
		}
		return got.state, true
	}
	return nil, false
}

// Put implements tls.ClientSessionCache.
func (s *sessions) Put(key string, state *tls.ClientSessionState) {
	if state != nil {
		s.kept[s.n.Add(1)%uint32(len(s.kept))].Store(&session{key, state, once(state)})
	}
}

// once reports whether a session is good for one use: not before TLS 1.3. Its encoding
// begins with the version.
func once(state *tls.ClientSessionState) bool {
	_, inner, err := state.ResumptionState()
	if err != nil || inner == nil {
		return true
	}
	b, err := inner.Bytes()
	return err != nil || len(b) < 2 || uint16(b[0])<<8|uint16(b[1]) >= tls.VersionTLS13
}
