package tls

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// Server is a compiled DownstreamTlsContext, shared by all loops.
type Server struct{ side side }

// extensionStatusRequest is the number of OCSP's extension (RFC 6066, 8).
const extensionStatusRequest = 5

// ticketKeySize is the size of a key of session_ticket_keys in bytes.
const ticketKeySize = 80

// CompileServer compiles pb, which has passed its own validation and the check against
// Fields; scope is the listener's.
func CompileServer(c sdk.Compiler, pb *tlsv3.DownstreamTlsContext, scope sdk.Scope) (*Server, error) {
	s := &Server{side{server: true, stats: newStats(scope), scan: pb.GetFullScanCertsOnSniMismatch().GetValue(), required: pb.GetRequireClientCertificate().GetValue()}}
	if err := s.side.compileCommon(c.At("common_tls_context"), pb.GetCommonTlsContext(), tls.VersionTLS13); err != nil {
		return nil, err
	}
	if len(s.side.certs) == 0 {
		return nil, c.At("common_tls_context").Errorf("no TLS certificates found for server context")
	}
	s.side.base.SessionTicketsDisabled = pb.GetDisableStatelessSessionResumption()
	if err := s.compileTickets(c.At("session_ticket_keys"), pb.GetSessionTicketKeys()); err != nil {
		return nil, err
	}
	s.side.renew()
	return s, nil
}

// compileTickets takes the keys of session tickets. The tickets are crypto/tls's, so that
// proxies of this kind take each other's, but not Envoy's.
func (s *Server) compileTickets(c sdk.Compiler, pb *tlsv3.TlsSessionTicketKeys) error {
	var keys [][sha256.Size]byte
	for i, source := range pb.GetKeys() {
		at := c.At(fmt.Sprintf("keys[%d]", i))
		key, ok, err := readSource(at, source)
		if err != nil {
			return err
		}
		if !ok || len(key) != ticketKeySize {
			return at.Errorf("a session ticket key has %d bytes, not %d", ticketKeySize, len(key))
		}
		keys = append(keys, sha256.Sum256(key))
	}
	if len(keys) > 0 {
		s.side.base.SetSessionTicketKeys(keys)
	}
	return nil
}

// New returns the transport of an accepted connection; st are the slots of its loop.
func (s *Server) New(st *stats.Local) eventloop.Transport { return s.side.new(st, "") }

// serve completes the settings of a server.
func (s *side) serve(set *settings) {
	cfg, certs := set.cfg, set.certs
	cfg.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := certs.choose(hello)
		if w, ok := hello.Conn.(*wire); ok && err == nil {
			w.local = cert.Leaf
		}
		return cert, err
	}
	switch {
	case s.required:
		cfg.ClientAuth = tls.RequireAnyClientCert
	case s.validator.wanted():
		cfg.ClientAuth = tls.RequestClientCert
	}
	if s.validator != nil && !s.validator.noCAList {
		cfg.ClientCAs = s.validator.roots // only for their names; check verifies
	}
	// crypto/tls ends a handshake in which no protocol is common to both; Envoy goes on
	// without one.
	plain := cfg.Clone()
	plain.NextProtos = nil
	offered := cfg.NextProtos
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if w, ok := hello.Conn.(*wire); ok {
			w.staple = slices.Contains(hello.Extensions, extensionStatusRequest)
		}
		if len(offered) == 0 || slices.ContainsFunc(hello.SupportedProtos, func(p string) bool { return slices.Contains(offered, p) }) {
			return nil, nil
		}
		return plain, nil
	}
}

func splitList(s string) []string { return strings.Split(s, ",") }
