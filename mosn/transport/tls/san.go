package tls

//lint:file-ignore SA1019 Envoy honours match_subject_alt_names though it is deprecated

import (
	"crypto/x509"
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// sanMatcher looks for a name among those of one kind in a certificate.
type sanMatcher struct {
	kind  tlsv3.SubjectAltNameMatcher_SanType // unspecified: any of the four
	text  match.String
	exact string // of a DNS name, which a wildcard in the certificate may stand for
}

// compileSANs compiles the matchers, of which one has to fit.
func compileSANs(c sdk.Compiler, pb *tlsv3.CertificateValidationContext) ([]sanMatcher, error) {
	var out []sanMatcher
	for i, m := range pb.GetMatchTypedSubjectAltNames() {
		at := c.At(fmt.Sprintf("match_typed_subject_alt_names[%d]", i))
		switch m.GetSanType() {
		case tlsv3.SubjectAltNameMatcher_OTHER_NAME:
			return nil, at.At("san_type").Errorf("OTHER_NAME is not built yet")
		case tlsv3.SubjectAltNameMatcher_SAN_TYPE_UNSPECIFIED:
			return nil, at.At("san_type").Errorf("is missing")
		}
		s, err := compileSAN(at.At("matcher"), m.GetSanType(), m.GetMatcher())
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if len(out) > 0 {
		return out, nil
	}
	for i, m := range pb.GetMatchSubjectAltNames() {
		s, err := compileSAN(c.At(fmt.Sprintf("match_subject_alt_names[%d]", i)), tlsv3.SubjectAltNameMatcher_SAN_TYPE_UNSPECIFIED, m)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func compileSAN(c sdk.Compiler, kind tlsv3.SubjectAltNameMatcher_SanType, pb *matcherv3.StringMatcher) (sanMatcher, error) {
	text, err := match.CompileString(c, pb)
	return sanMatcher{kind: kind, text: text, exact: pb.GetExact()}, err
}

// match reports whether a name of the certificate fits.
func (m *sanMatcher) match(cert *x509.Certificate) bool {
	is := func(kind tlsv3.SubjectAltNameMatcher_SanType) bool {
		return m.kind == kind || m.kind == tlsv3.SubjectAltNameMatcher_SAN_TYPE_UNSPECIFIED
	}
	if is(tlsv3.SubjectAltNameMatcher_URI) {
		for _, u := range cert.URIs {
			if m.text.Match(u.String()) {
				return true
			}
		}
	}
	if is(tlsv3.SubjectAltNameMatcher_DNS) {
		for _, name := range cert.DNSNames {
			if m.text.Match(name) || m.exact != "" && matchDNS(name, m.exact) {
				return true
			}
		}
	}
	if is(tlsv3.SubjectAltNameMatcher_EMAIL) {
		for _, name := range cert.EmailAddresses {
			if m.text.Match(name) {
				return true
			}
		}
	}
	if is(tlsv3.SubjectAltNameMatcher_IP_ADDRESS) {
		for _, ip := range cert.IPAddresses {
			if m.text.Match(ip.String()) {
				return true
			}
		}
	}
	return false
}

// matchDNS reports whether a DNS name of a certificate stands for host: the same but for
// case, or a wildcard for its first label (RFC 6125, 6.4.3).
func matchDNS(name, host string) bool {
	if strings.EqualFold(name, host) {
		return true
	}
	domain, ok := strings.CutPrefix(name, "*.")
	if !ok || domain == "" {
		return false
	}
	label, rest, ok := strings.Cut(host, ".")
	return ok && label != "" && strings.EqualFold(rest, domain)
}

// compileRevocations reads the lists of a DataSource.
func compileRevocations(c sdk.Compiler, ds *corev3.DataSource, leafOnly bool) (revocations, error) {
	data, ok, err := readSource(c, ds)
	if err != nil || !ok {
		return revocations{}, err
	}
	lists, err := parseRevocations(data)
	if err != nil {
		return revocations{}, c.Errorf("%w", err)
	}
	return revocations{issuers: lists, leafOnly: leafOnly}, nil
}
