package tls

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
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

// TestSettings: what each field sets.
func TestSettings(t *testing.T) {
	p := newPair(t)
	server := func(text string) *side {
		t.Helper()
		pb := sdktest.Text[tlsv3.DownstreamTlsContext](t, text)
		pb.CommonTlsContext = mergeCommon(pb.GetCommonTlsContext(), common(nil, p.server))
		s, err := CompileServer(sdktest.NewCompiler(t), pb, sdktest.NewScope())
		if err != nil {
			t.Fatal(err)
		}
		return &s.side
	}
	client := func(text string) *side {
		t.Helper()
		c, err := CompileClient(sdktest.NewCompiler(t), sdktest.Text[tlsv3.UpstreamTlsContext](t, text), sdktest.NewScope(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return &c.side
	}
	valid := func(text string) *validator {
		t.Helper()
		v, err := compileValidator(sdktest.NewCompiler(t), sdktest.Text[tlsv3.CertificateValidationContext](t, text), x509.ExtKeyUsageServerAuth)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	ca, crl := fmt.Sprintf("trusted_ca { inline_string: %q } ", p.ca.pem), fmt.Sprintf("crl { inline_string: %q } ", p.ca.revoke())
	for what, ok := range map[string]bool{
		"full scan":      server("full_scan_certs_on_sni_mismatch { value: true }").now.Load().certs.scan,
		"no tickets":     server("disable_stateless_session_resumption: true").now.Load().cfg.SessionTicketsDisabled,
		"tickets":        !server("").now.Load().cfg.SessionTicketsDisabled,
		"ALPN":           slices.Equal(server(`common_tls_context { alpn_protocols: "h2" alpn_protocols: "http/1.1" tls_params {} }`).now.Load().cfg.NextProtos, []string{"h2", "http/1.1"}),
		"versions":       server("common_tls_context { tls_params { tls_minimum_protocol_version: TLSv1_3 } }").now.Load().cfg.MinVersion == tls.VersionTLS13,
		"newest server":  server("").now.Load().cfg.MaxVersion == tls.VersionTLS13,
		"newest client":  client("").now.Load().cfg.MaxVersion == tls.VersionTLS12,
		"groups":         slices.Equal(client(`common_tls_context { tls_params { ecdh_curves: "P-384" } }`).now.Load().cfg.CurvePreferences, []tls.CurveID{tls.CurveP384}),
		"sessions":       client("max_session_keys { value: 7 }").sessions == 7,
		"no sessions":    client("max_session_keys { value: 0 }").now.Load().cfg.ClientSessionCache == nil,
		"demand":         server("require_client_certificate { value: true }").now.Load().cfg.ClientAuth == tls.RequireAnyClientCert,
		"depth":          valid(ca+"max_verify_depth { value: 3 }").depth == 3,
		"expired":        valid("allow_expired_certificate: true").expired,
		"untrusted":      valid("trust_chain_verification: ACCEPT_UNTRUSTED").untrusted,
		"leaf's list":    valid(ca + crl + "only_verify_leaf_cert_crl: true").crls.leafOnly,
		"no names of CA": valid(ca + "suppress_client_ca_list: true").noCAList,
		"hash":           len(valid(`verify_certificate_hash: "abababababababababababababababababababababababababababababababab"`).hashes) == 1,
		"key":            len(valid(`verify_certificate_spki: "NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A="`).spki) == 1,
		"any name":       len(valid(ca+`match_subject_alt_names { exact: "a" }`).sans) == 1,
		"system's":       valid("system_root_certs {}").roots != nil,
	} {
		if !ok {
			t.Errorf("%s is not as it was set", what)
		}
	}
}

func mergeCommon(pb, with *tlsv3.CommonTlsContext) *tlsv3.CommonTlsContext {
	if pb == nil {
		return with
	}
	proto.Merge(pb, with)
	return pb
}

// TestHostSNI: the name of the host takes the place of sni, and must be in its certificate
// if so configured.
func TestHostSNI(t *testing.T) {
	p := newPair(t)
	for name, ok := range map[string]bool{"server.example": true, "other.example": false} {
		r := newRig(t)
		pb := sdktest.Text[tlsv3.UpstreamTlsContext](t, `sni: "wrong.example" auto_host_sni: true auto_sni_san_validation: true`)
		pb.CommonTlsContext = common(p.trusted())
		peer := r.dial(r.client(pb), name, time.Second)
		c := tls.Server(&far{r: r, p: peer}, &tls.Config{Certificates: []tls.Certificate{p.server.pair}})
		err := c.Handshake()
		if (err == nil) != ok || c.ConnectionState().ServerName != name {
			t.Errorf("%s: %v, asked for %q", name, err, c.ConnectionState().ServerName)
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
	alone := r.server(&tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsCertificates: []*tlsv3.TlsCertificate{certificate(p.server)}, AlpnProtocols: []string{"h2"},
		TlsParams: &tlsv3.TlsParameters{},
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: "alone", SdsConfig: &corev3.ConfigSource{}},
		},
	}})
	if alone.side.now.Load() != nil {
		t.Error("ready without its only authority")
	}
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
