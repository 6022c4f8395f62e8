package tls

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"sync/atomic"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/shared"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// maxHandshakes is how many handshakes of one listener or cluster may be under way, over
// all loops. One that waits for its peer takes about 40 kB.
const maxHandshakes = 2048

// Secrets is what a compiler can do where secrets come by themselves (SDS). The method is
// called where the secret is named.
type Secrets interface {
	sdk.Compiler
	// Secret asks for a secret; without from it is one of the bootstrap's. It returns what
	// there is now, or nil. renewed is called with each later one, under the store's lock,
	// and returns what puts it into force; c stands at the secret.
	Secret(name string, from *corev3.ConfigSource, renewed func(c sdk.Compiler, pb *tlsv3.Secret) (apply func(), err error)) (*tlsv3.Secret, error)
}

// side is what Server and Client are: settings that may be replaced, and what all their
// connections share.
type side struct {
	server bool
	stats  sslStats
	active shared.Resource // handshakes under way
	now    atomic.Pointer[settings]

	// What settings are made of. Compiling and the store's lock guard it.
	base      *tls.Config
	certs     []*tls.Certificate // nil: not there yet
	scan      bool
	validator *validator
	awaited   bool // the validator is not there yet
	autoSNI   bool // auto_sni_san_validation
	required  bool // require_client_certificate
	fallback  []string
	sessions  int // that a client keeps
}

// settings are what a connection begins with: immutable.
type settings struct {
	cfg       *tls.Config
	certs     *certificates
	validates bool // the peer's certificate
}

// localOf returns our certificate on a connection, nil when we have none.
func (s *settings) localOf(t *conn) *x509.Certificate {
	if t.wire.local != nil {
		return t.wire.local
	}
	if len(s.certs.all) > 0 {
		return s.certs.all[0].Leaf
	}
	return nil
}

// new returns the transport of a connection.
func (s *side) new(st *stats.Local, serverName string) eventloop.Transport {
	t := &conn{side: s, set: s.now.Load(), st: st}
	t.hand = &handshake{t: t}
	t.wire.hand = t.hand
	switch {
	case t.set == nil:
	case s.server:
		t.tls = tls.Server(&t.wire, t.set.cfg)
	default:
		cfg := t.set.cfg
		if serverName != "" && serverName != cfg.ServerName {
			cfg = cfg.Clone()
			cfg.ServerName = serverName
		}
		t.tls = tls.Client(&t.wire, cfg)
	}
	return t
}

// compileCommon takes what both sides have. c stands at common_tls_context.
func (s *side) compileCommon(c sdk.Compiler, pb *tlsv3.CommonTlsContext, newest uint16) error {
	s.base = &tls.Config{DynamicRecordSizingDisabled: true}
	s.active.SetMax(maxHandshakes)
	if err := compileParams(c.At("tls_params"), pb.GetTlsParams(), s.base, newest); err != nil {
		return err
	}
	protos, err := alpnOf(c.At("alpn_protocols"), pb.GetAlpnProtocols())
	if err != nil {
		return err
	}
	if s.base.NextProtos = protos; len(protos) == 0 {
		s.base.NextProtos = s.fallback
	}
	if err := s.compileCertificates(c, pb); err != nil {
		return err
	}
	return s.compileValidation(c, pb)
}

func (s *side) compileCertificates(c sdk.Compiler, pb *tlsv3.CommonTlsContext) error {
	for i, cert := range pb.GetTlsCertificates() {
		compiled, err := compileCertificate(c.At(fmt.Sprintf("tls_certificates[%d]", i)), cert)
		if err != nil {
			return err
		}
		s.certs = append(s.certs, compiled)
	}
	if len(s.certs) > 0 {
		return nil // Envoy looks no further
	}
	for i, from := range pb.GetTlsCertificateSdsSecretConfigs() {
		s.certs = append(s.certs, nil)
		take := func(c sdk.Compiler, pb *tlsv3.Secret) (func(), error) {
			if pb.GetTlsCertificate() == nil {
				return nil, c.Errorf("is not a TLS certificate")
			}
			cert, err := compileCertificate(c.At("tls_certificate"), pb.GetTlsCertificate())
			return func() { s.certs[i] = cert }, err
		}
		if err := s.secret(c.At(fmt.Sprintf("tls_certificate_sds_secret_configs[%d]", i)), from, take); err != nil {
			return err
		}
	}
	return nil
}

func (s *side) compileValidation(c sdk.Compiler, pb *tlsv3.CommonTlsContext) error {
	usage := x509.ExtKeyUsageServerAuth
	if s.server {
		usage = x509.ExtKeyUsageClientAuth
	}
	var err error
	var from *tlsv3.SdsSecretConfig
	var def *tlsv3.CertificateValidationContext
	switch kind := pb.GetValidationContextType().(type) {
	case nil:
		return nil
	case *tlsv3.CommonTlsContext_ValidationContext:
		s.validator, err = compileValidator(c.At("validation_context"), kind.ValidationContext, usage)
		return err
	case *tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig:
		c, from = c.At("validation_context_sds_secret_config"), kind.ValidationContextSdsSecretConfig
	case *tlsv3.CommonTlsContext_CombinedValidationContext:
		c = c.At("combined_validation_context")
		def = kind.CombinedValidationContext.GetDefaultValidationContext()
		if from = kind.CombinedValidationContext.GetValidationContextSdsSecretConfig(); from == nil {
			return c.At("validation_context_sds_secret_config").Errorf("is missing")
		}
		c = c.At("validation_context_sds_secret_config")
	}
	s.awaited = true
	return s.secret(c, from, func(c sdk.Compiler, pb *tlsv3.Secret) (func(), error) {
		if pb.GetValidationContext() == nil {
			return nil, c.Errorf("is not a validation context")
		}
		both := &tlsv3.CertificateValidationContext{}
		proto.Merge(both, def)
		proto.Merge(both, pb.GetValidationContext())
		v, err := compileValidator(c.At("validation_context"), both, usage)
		return func() { s.validator, s.awaited = v, false }, err
	})
}

// secret asks for a secret and has take compile it, now and whenever it changes.
func (s *side) secret(c sdk.Compiler, from *tlsv3.SdsSecretConfig, take func(sdk.Compiler, *tlsv3.Secret) (func(), error)) error {
	secrets, ok := c.(Secrets)
	if !ok {
		return c.Errorf("there are no secrets here")
	}
	now, err := secrets.Secret(from.GetName(), from.GetSdsConfig(), func(c sdk.Compiler, pb *tlsv3.Secret) (func(), error) {
		set, err := take(c, pb)
		if err != nil {
			return nil, err
		}
		return func() { set(); s.renew() }, nil
	})
	if err != nil || now == nil {
		return err
	}
	set, err := take(c, now)
	if err == nil {
		set()
	}
	return err
}

// renew makes settings of what there is, none while something is missing.
func (s *side) renew() {
	if s.awaited || slices.Contains(s.certs, nil) {
		s.now.Store(nil)
		return
	}
	cfg := s.base.Clone()
	set := &settings{cfg: cfg, certs: newCertificates(slices.Clone(s.certs), s.scan), validates: s.validator != nil && s.validator.roots != nil}
	v := s.validator
	if s.autoSNI {
		v = v.withSNI()
	}
	cfg.VerifyConnection = v.check
	if s.server {
		s.serve(set)
	} else {
		s.call(set)
	}
	s.now.Store(set)
}

// alpnOf takes lists of names apart, and refuses names that cannot be.
func alpnOf(c sdk.Compiler, list []string) ([]string, error) {
	var out []string
	for _, s := range list {
		for _, name := range splitList(s) {
			if len(name) == 0 || len(name) > 255 {
				return nil, c.Errorf("%q is no protocol", s)
			}
			out = append(out, name)
		}
	}
	return out, nil
}
