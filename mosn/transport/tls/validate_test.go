package tls

//lint:file-ignore SA1019 Envoy honours match_subject_alt_names though it is deprecated

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk/sdktest"
)

func san(kind tlsv3.SubjectAltNameMatcher_SanType, m *matcherv3.StringMatcher) *tlsv3.SubjectAltNameMatcher {
	return &tlsv3.SubjectAltNameMatcher{SanType: kind, Matcher: m}
}

func exactly(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}
}

// TestValidate holds chains against what a configuration demands.
func TestValidate(t *testing.T) {
	root, other := newAuthority(t, "root", nil), newAuthority(t, "other", nil)
	middle := newAuthority(t, "middle", root)
	at := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
	}
	good := root.issue(nil, "a.example", "*.wild.example", "spiffe://a/b", "10.1.2.3", "me@a.example")
	below := middle.issue(nil, "a.example")
	expired, early := root.issue(at(-2*time.Hour, -time.Hour)), root.issue(at(time.Hour, 2*time.Hour))
	revoked := root.issue(nil)
	server := root.issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	signer := root.issue(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })
	stranger := other.issue(nil, "a.example")
	spki, der := sha256.Sum256(good.cert.RawSubjectPublicKeyInfo), sha256.Sum256(good.cert.Raw)
	const uri, dns, mail, ip = tlsv3.SubjectAltNameMatcher_URI, tlsv3.SubjectAltNameMatcher_DNS, tlsv3.SubjectAltNameMatcher_EMAIL, tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	ca := func(edit func(*tlsv3.CertificateValidationContext)) *tlsv3.CertificateValidationContext {
		pb := &tlsv3.CertificateValidationContext{TrustedCa: inline(root.pem)}
		if edit != nil {
			edit(pb)
		}
		return pb
	}
	named := func(m ...*tlsv3.SubjectAltNameMatcher) *tlsv3.CertificateValidationContext {
		return ca(func(pb *tlsv3.CertificateValidationContext) { pb.MatchTypedSubjectAltNames = m })
	}
	type pb = tlsv3.CertificateValidationContext
	for _, tt := range []struct {
		name  string
		pb    *pb
		chain []*x509.Certificate
		want  string // "" is accepted
	}{
		{"good", ca(nil), []*x509.Certificate{good.cert}, ""},
		{"an intermediate", ca(nil), []*x509.Certificate{below.cert, middle.cert}, ""},
		{"without the intermediate", ca(nil), []*x509.Certificate{below.cert}, "depth 0: unable to get local issuer certificate"},
		{"too deep", ca(func(c *pb) { c.MaxVerifyDepth = wrapperspb.UInt32(1) }), []*x509.Certificate{below.cert, middle.cert}, "chain too long"},
		{"deep enough", ca(func(c *pb) { c.MaxVerifyDepth = wrapperspb.UInt32(2) }), []*x509.Certificate{below.cert, middle.cert}, ""},
		{"a stranger", ca(nil), []*x509.Certificate{stranger.cert}, "unable to get local issuer certificate"},
		{"a stranger, accepted", ca(func(c *pb) { c.TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED }), []*x509.Certificate{stranger.cert}, ""},
		{"signed by itself", ca(nil), []*x509.Certificate{other.cert}, "self signed certificate"},
		{"expired", ca(nil), []*x509.Certificate{expired.cert}, "certificate has expired"},
		{"not yet valid", ca(nil), []*x509.Certificate{early.cert}, "certificate is not yet valid"},
		{"expired, allowed", ca(func(c *pb) { c.AllowExpiredCertificate = true }), []*x509.Certificate{expired.cert}, ""},
		{"early, allowed", ca(func(c *pb) { c.AllowExpiredCertificate = true }), []*x509.Certificate{early.cert}, ""},
		{"expired stranger, allowed", ca(func(c *pb) { c.AllowExpiredCertificate = true }), []*x509.Certificate{stranger.cert}, "unable to get"},
		{"for another purpose", ca(nil), []*x509.Certificate{server.cert}, "unsupported certificate purpose"},
		{"a key that does not sign", ca(nil), []*x509.Certificate{signer.cert}, "KEY_USAGE"},
		{"revoked", ca(func(c *pb) { c.Crl = inline(root.revoke(revoked.cert)) }), []*x509.Certificate{revoked.cert}, "certificate revoked"},
		{"not revoked", &tlsv3.CertificateValidationContext{
			TrustedCa: inline(root.pem), Crl: inline(root.revoke(revoked.cert)), WatchedDirectory: &corev3.WatchedDirectory{Path: "/"},
		}, []*x509.Certificate{good.cert}, ""},
		{"no list of the intermediate", ca(func(c *pb) { c.Crl = inline(root.revoke()) }), []*x509.Certificate{below.cert, middle.cert}, "unable to get certificate CRL"},
		{"lists of both", ca(func(c *pb) { c.Crl = inline(root.revoke() + middle.revoke()) }), []*x509.Certificate{below.cert, middle.cert}, ""},
		{"the intermediate is revoked", ca(func(c *pb) { c.Crl = inline(root.revoke(middle.cert) + middle.revoke()) }), []*x509.Certificate{below.cert, middle.cert}, "depth 1: certificate revocation"},
		{"only the leaf's list", ca(func(c *pb) { c.Crl, c.OnlyVerifyLeafCertCrl = inline(middle.revoke()), true }), []*x509.Certificate{below.cert, middle.cert}, ""},
		{"a list of somebody else", ca(func(c *pb) { c.Crl = inline(other.revoke(good.cert)) }), []*x509.Certificate{good.cert}, "unable to get certificate CRL"},
		{"URI", named(san(uri, exactly("spiffe://a/b"))), []*x509.Certificate{good.cert}, ""},
		{"one of two", named(san(uri, exactly("x")), san(dns, exactly("a.example"))), []*x509.Certificate{good.cert}, ""},
		{"another kind", named(san(dns, exactly("spiffe://a/b"))), []*x509.Certificate{good.cert}, "SAN matcher, certificate SANs are [a.example, *.wild.example, spiffe://a/b"},
		{"a wildcard", named(san(dns, exactly("any.wild.example"))), []*x509.Certificate{good.cert}, ""},
		{"a wildcard for two labels", named(san(dns, exactly("x.any.wild.example"))), []*x509.Certificate{good.cert}, "SAN matcher"},
		{"an address", named(san(ip, exactly("10.1.2.3"))), []*x509.Certificate{good.cert}, ""},
		{"a mail address", named(san(mail, exactly("me@a.example"))), []*x509.Certificate{good.cert}, ""},
		{"any kind", ca(func(c *pb) { c.MatchSubjectAltNames = []*matcherv3.StringMatcher{exactly("spiffe://a/b")} }), []*x509.Certificate{good.cert}, ""},
		{"the key", &pb{VerifyCertificateSpki: []string{base64.StdEncoding.EncodeToString(spki[:])}}, []*x509.Certificate{good.cert}, ""},
		{"another key", &pb{VerifyCertificateSpki: []string{base64.StdEncoding.EncodeToString(spki[:])}}, []*x509.Certificate{stranger.cert}, "cert hash and spki"},
		{"the hash", &pb{VerifyCertificateHash: []string{colons(der[:])}}, []*x509.Certificate{good.cert}, ""},
		{"either", &pb{VerifyCertificateHash: []string{strings.Repeat("00", 32)}, VerifyCertificateSpki: []string{base64.StdEncoding.EncodeToString(spki[:])}}, []*x509.Certificate{good.cert}, ""},
	} {
		v, err := compileValidator(sdktest.NewCompiler(t), tt.pb, x509.ExtKeyUsageClientAuth)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		err = v.check(tls.ConnectionState{PeerCertificates: tt.chain, Version: tls.VersionTLS13})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if _, ours := errors.AsType[*verifyError](err); err != nil && !ours {
			t.Errorf("%s: %T", tt.name, err)
		}
	}
	// With the name that was asked for in place of others.
	v, err := compileValidator(sdktest.NewCompiler(t), named(san(dns, exactly("nobody"))), x509.ExtKeyUsageServerAuth)
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{"a.example": true, "x.wild.example": true, "b.example": false} {
		err := v.withSNI().check(tls.ConnectionState{PeerCertificates: []*x509.Certificate{good.cert}, ServerName: name, Version: tls.VersionTLS13})
		if (err == nil) != ok {
			t.Errorf("asked for %s: %v", name, err)
		}
	}
}

func colons(b []byte) string {
	var parts []string
	for _, v := range b {
		parts = append(parts, strings.ToUpper(hex.EncodeToString([]byte{v})))
	}
	return strings.Join(parts, ":")
}

func TestMatchDNS(t *testing.T) {
	for _, tt := range []struct {
		name, host string
		want       bool
	}{
		{"a.b", "A.B", true}, {"*.b", "a.b", true}, {"*.b", "b", false}, {"*.b", ".b", false}, {"*.b", "a.a.b", false}, {"a*.b", "ab.b", false}, {"*.", "a.", false},
	} {
		if matchDNS(tt.name, tt.host) != tt.want {
			t.Errorf("%s for %s", tt.name, tt.host)
		}
	}
}

// TestCertificateChoice: by name, by domain, by the kind of key.
func TestCertificateChoice(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	rsaKey := newKey(t, true)
	first, wild := ca.issue(nil, "first.example"), ca.issue(nil, "*.wild.example")
	both := ca.issueFor(rsaKey, nil, "both.example")
	bothEC := ca.issue(nil, "both.example")
	r := newRig(t)
	pb := &tlsv3.DownstreamTlsContext{CommonTlsContext: common(nil, first, wild, both, bothEC)}
	s := r.server(pb)
	onlyRSA := func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	}
	for _, tt := range []struct {
		name string
		edit func(*tls.Config)
		want leaf
	}{
		{"first.example", nil, first}, {"FIRST.example", nil, first}, {"x.wild.example", nil, wild}, {"y.x.wild.example", nil, first}, {"", nil, first},
		{"nobody.example", nil, first}, {"both.example", nil, bothEC}, {"both.example", onlyRSA, both},
	} {
		peer := r.accept(s, time.Second)
		cfg := &tls.Config{InsecureSkipVerify: true, ServerName: tt.name}
		if tt.edit != nil {
			tt.edit(cfg)
		}
		c := tls.Client(&far{r: r, p: peer}, cfg)
		if err := c.Handshake(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := c.ConnectionState().PeerCertificates[0]; !got.Equal(tt.want.cert) {
			t.Errorf("%q got the certificate of %v", tt.name, got.DNSNames)
		}
		r.h.conn.Close()
		r.Settle()
	}
}
