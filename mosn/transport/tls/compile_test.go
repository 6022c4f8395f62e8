package tls

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// TestRefused: what is wrong, or cannot be done, is refused where it stands.
func TestRefused(t *testing.T) {
	p := newPair(t)
	other := newPair(t)
	for _, tt := range []struct {
		edit func(*tlsv3.DownstreamTlsContext)
		want string
	}{
		{func(pb *tlsv3.DownstreamTlsContext) { pb.CommonTlsContext.TlsCertificates = nil }, "common_tls_context: no TLS certificates found"},
		{func(pb *tlsv3.DownstreamTlsContext) {
			pb.CommonTlsContext.TlsCertificates[0].PrivateKey = inline(other.server.key)
		}, "tls_certificates[0]: tls: private key does not match"},
		{func(pb *tlsv3.DownstreamTlsContext) { pb.CommonTlsContext.TlsCertificates[0].PrivateKey = nil }, "private_key: is missing"},
		{func(pb *tlsv3.DownstreamTlsContext) {
			pb.CommonTlsContext.TlsCertificates[0].CertificateChain = inline("x")
		}, "tls_certificates[0]: "},
		{func(pb *tlsv3.DownstreamTlsContext) {
			pb.CommonTlsContext.TlsCertificates[0].CertificateChain = &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: "/nowhere"}}
		}, "certificate_chain.filename: stat /nowhere"},
		{func(pb *tlsv3.DownstreamTlsContext) {
			pb.CommonTlsContext.TlsParams = &tlsv3.TlsParameters{CipherSuites: []string{"[ECDHE-RSA-AES128-GCM-SHA256|PSK-AES128-CBC-SHA]"}}
		}, `cipher_suites: crypto/tls has no cipher suite "PSK-AES128-CBC-SHA"`},
		{func(pb *tlsv3.DownstreamTlsContext) {
			pb.CommonTlsContext.TlsParams = &tlsv3.TlsParameters{EcdhCurves: []string{"P-224"}}
		}, `ecdh_curves: crypto/tls has no curve "P-224"`},
		{func(pb *tlsv3.DownstreamTlsContext) {
			pb.CommonTlsContext.TlsParams = &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_2}
		}, "tls_minimum_protocol_version: TLSv1.3 is above"},
		{func(pb *tlsv3.DownstreamTlsContext) { pb.CommonTlsContext.AlpnProtocols = []string{"h2,,x"} }, "alpn_protocols"},
		{func(pb *tlsv3.DownstreamTlsContext) { pb.PreferClientCiphers = true }, "prefer_client_ciphers"},
		{func(pb *tlsv3.DownstreamTlsContext) { pb.OcspStaplePolicy = tlsv3.DownstreamTlsContext_MUST_STAPLE }, "ocsp_staple_policy: MUST_STAPLE is not built yet"},
		{func(pb *tlsv3.DownstreamTlsContext) {
			pb.SessionTicketKeysType = &tlsv3.DownstreamTlsContext_SessionTicketKeys{SessionTicketKeys: &tlsv3.TlsSessionTicketKeys{Keys: []*corev3.DataSource{inline("short")}}}
		}, "session_ticket_keys.keys[0]: a session ticket key has 80 bytes, not 5"},
		{func(pb *tlsv3.DownstreamTlsContext) { validation(pb).TrustedCa = inline("x") }, "trusted_ca: holds no certificate"},
		{func(pb *tlsv3.DownstreamTlsContext) {
			validation(pb).TrustedCa, validation(pb).Crl = nil, inline(p.ca.revoke())
		}, "crl: failed to load CRL"},
		{func(pb *tlsv3.DownstreamTlsContext) { validation(pb).Crl = inline(p.ca.pem) }, "crl: holds no revocation list"},
		{func(pb *tlsv3.DownstreamTlsContext) {
			validation(pb).TrustedCa = nil
			validation(pb).MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{san(tlsv3.SubjectAltNameMatcher_DNS, exactly("a"))}
		}, "SAN-based verification of peer certificates without trusted CA"},
		{func(pb *tlsv3.DownstreamTlsContext) {
			validation(pb).MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{san(tlsv3.SubjectAltNameMatcher_OTHER_NAME, exactly("a"))}
		}, "match_typed_subject_alt_names[0].san_type: OTHER_NAME is not built yet"},
		{func(pb *tlsv3.DownstreamTlsContext) { validation(pb).VerifyCertificateHash = []string{"00"} }, `verify_certificate_hash: "00" is not a SHA-256`},
		{func(pb *tlsv3.DownstreamTlsContext) { validation(pb).VerifyCertificateSpki = []string{"!"} }, "verify_certificate_spki"},
		{func(pb *tlsv3.DownstreamTlsContext) {
			pb.CommonTlsContext.TlsCertificates = nil
			pb.CommonTlsContext.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{{Name: "x"}}
		}, "there are no secrets here"},
	} {
		pb := p.mutual()
		tt.edit(pb)
		if _, err := CompileServer(sdktest.NewCompiler(t), pb, sdktest.NewScope()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
	for _, tt := range []struct {
		pb   *tlsv3.UpstreamTlsContext
		want string
	}{
		{&tlsv3.UpstreamTlsContext{AllowRenegotiation: true}, "allow_renegotiation: is not built"},
		{&tlsv3.UpstreamTlsContext{AutoSniSanValidation: true}, "auto_sni_san_validation: needs"},
		{&tlsv3.UpstreamTlsContext{CommonTlsContext: common(nil, p.server, p.client)}, "multiple TLS certificates"},
	} {
		if _, err := CompileClient(sdktest.NewCompiler(t), tt.pb, sdktest.NewScope(), nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}

func validation(pb *tlsv3.DownstreamTlsContext) *tlsv3.CertificateValidationContext {
	return pb.GetCommonTlsContext().GetValidationContext()
}

// TestFields walks the descriptors: every field has a status, and every status a field.
func TestFields(t *testing.T) {
	table := fields.Table(Fields())
	seen := map[protoreflect.FullName]bool{}
	declared := map[string]bool{}
	var walk func(protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] || !strings.HasPrefix(string(m.FullName()), "envoy.extensions.transport_sockets.tls.v3.") {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			state, ok := table[string(f.FullName())]
			declared[string(f.FullName())] = true
			if !ok {
				t.Errorf("%s has no status", f.FullName())
			}
			if f.Message() != nil && (state == sdk.Supported) {
				walk(f.Message())
			}
		}
	}
	for _, m := range []proto.Message{&tlsv3.DownstreamTlsContext{}, &tlsv3.UpstreamTlsContext{}, &tlsv3.Secret{}} {
		walk(m.ProtoReflect().Descriptor())
	}
	for name := range table {
		if strings.HasPrefix(name, "envoy.extensions.transport_sockets.tls.v3.") && !declared[name] {
			t.Errorf("%s is declared and not reached", name)
		}
	}
}

// secretive is a compiler with secrets that the test delivers.
type secretive struct {
	sdk.Compiler
	s *secretStore
}

type secretStore struct {
	now     map[string]*tlsv3.Secret
	renewed map[string]func(sdk.Compiler, *tlsv3.Secret) (func(), error)
}

func (c secretive) At(path string) sdk.Compiler { return secretive{c.Compiler.At(path), c.s} }

func (c secretive) Secret(name string, _ *corev3.ConfigSource, renewed func(sdk.Compiler, *tlsv3.Secret) (func(), error)) (*tlsv3.Secret, error) {
	c.s.renewed[name] = renewed
	return c.s.now[name], nil
}

// TestSecrets: a side is ready when all its secrets are there, takes new ones, and keeps
// the old ones when those are bad.
func TestSecrets(t *testing.T) {
	p, next := newPair(t), newPair(t)
	r := newRig(t)
	store := &secretStore{now: map[string]*tlsv3.Secret{}, renewed: map[string]func(sdk.Compiler, *tlsv3.Secret) (func(), error){}}
	comp := sdktest.NewCompiler(t)
	r.comp = secretive{comp, store}
	cert := func(l leaf) *tlsv3.Secret {
		return &tlsv3.Secret{Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: certificate(l)}}
	}
	trust := func(a *authority) *tlsv3.Secret {
		return &tlsv3.Secret{Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(a.pem)}}}
	}
	store.now["cert"] = cert(p.server)
	s := r.server(&tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: "cert"}},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext: &tlsv3.CertificateValidationContext{
				MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{san(tlsv3.SubjectAltNameMatcher_URI, exactly("spiffe://a/ns/c"))},
			},
			ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: "ca"},
		}},
	}})
	if s.side.now.Load() != nil {
		t.Fatal("ready without the authority")
	}
	r.accept(s, 0)
	r.Advance(time.Millisecond)
	if eventloop.KindOf(r.h.err) != eventloop.KindTransport || !strings.Contains(fmt.Sprint(r.h.err), "secrets are not there yet") {
		t.Errorf("before it is ready: %v", r.h.err)
	}
	deliver := func(name string, pb *tlsv3.Secret) error {
		apply, err := store.renewed[name](comp, pb)
		if err == nil {
			apply()
		}
		return err
	}
	if err := deliver("ca", cert(p.server)); err == nil || !strings.Contains(err.Error(), "is not a validation context") {
		t.Errorf("the wrong kind: %v", err)
	}
	if err := deliver("ca", trust(p.ca)); err != nil {
		t.Fatal(err)
	}
	first := s.side.now.Load()
	if first == nil || len(s.side.validator.sans) != 1 {
		t.Fatal("not ready, or without the default")
	}
	if err := deliver("cert", &tlsv3.Secret{Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline("x")}}}); err == nil || s.side.now.Load() != first {
		t.Errorf("a bad one: %v", err)
	}
	if err := deliver("cert", cert(next.server)); err != nil {
		t.Fatal(err)
	}
	if now := s.side.now.Load(); now == first || !now.certs.all[0].Leaf.Equal(next.server.cert) || !first.certs.all[0].Leaf.Equal(p.server.cert) {
		t.Error("the new one is not in use, or has changed the old settings")
	}
}
