package tls

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"sofamesh.io/sofamesh/sdk"
)

// verdict says which of Envoy's counters a refused certificate adds to.
type verdict uint8

const (
	badChain verdict = iota
	badSAN
	badHash
)

// verifyError is why a peer's certificate was refused. The text is Envoy's where it has
// one.
type verifyError struct {
	verdict verdict
	text    string
}

func (e *verifyError) Error() string { return e.text }

// validator is a compiled CertificateValidationContext: immutable.
type validator struct {
	roots     *x509.CertPool // nil: chains are not looked at
	usage     x509.ExtKeyUsage
	expired   bool // allow_expired_certificate
	untrusted bool // trust_chain_verification: ACCEPT_UNTRUSTED
	depth     int  // certificates above the leaf
	crls      revocations
	sans      []sanMatcher
	spki      [][sha256.Size]byte
	hashes    [][sha256.Size]byte
	noCAList  bool
	sni       bool // the name asked for takes the place of sans
	now       func() time.Time
}

// maxDepth is the default of max_verify_depth.
const maxDepth = 100

// compileValidator compiles pb, nil when there is none. usage is what the peer's
// certificates must be good for.
func compileValidator(c sdk.Compiler, pb *tlsv3.CertificateValidationContext, usage x509.ExtKeyUsage) (*validator, error) {
	if pb == nil {
		return nil, nil
	}
	v := &validator{
		usage: usage, expired: pb.GetAllowExpiredCertificate(), depth: maxDepth, noCAList: pb.GetSuppressClientCaList(), now: time.Now,
		untrusted: pb.GetTrustChainVerification() == tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED,
	}
	if d := pb.GetMaxVerifyDepth(); d != nil {
		v.depth = int(d.GetValue())
	}
	data, ok, err := readSource(c.At("trusted_ca"), pb.GetTrustedCa())
	if err != nil {
		return nil, err
	}
	if ok {
		v.roots = x509.NewCertPool()
		if !v.roots.AppendCertsFromPEM(data) {
			return nil, c.At("trusted_ca").Errorf("holds no certificate in PEM")
		}
	}
	if pb.GetSystemRootCerts() != nil {
		if ok {
			return nil, c.At("system_root_certs").Errorf("excludes trusted_ca")
		}
		if v.roots, err = x509.SystemCertPool(); err != nil {
			return nil, c.At("system_root_certs").Errorf("%w", err)
		}
	}
	if v.crls, err = compileRevocations(c.At("crl"), pb.GetCrl(), pb.GetOnlyVerifyLeafCertCrl()); err != nil {
		return nil, err
	}
	if v.crls.issuers != nil && v.roots == nil {
		return nil, c.At("crl").Errorf("failed to load CRL: it needs trusted_ca")
	}
	if v.sans, err = compileSANs(c, pb); err != nil {
		return nil, err
	}
	if len(v.sans) > 0 && v.roots == nil {
		return nil, c.Errorf("SAN-based verification of peer certificates without trusted CA is insecure and not allowed")
	}
	if v.spki, err = hashList(c.At("verify_certificate_spki"), pb.GetVerifyCertificateSpki(), base64.StdEncoding.DecodeString); err != nil {
		return nil, err
	}
	v.hashes, err = hashList(c.At("verify_certificate_hash"), pb.GetVerifyCertificateHash(), func(s string) ([]byte, error) {
		return hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	})
	return v, err
}

func hashList(c sdk.Compiler, list []string, decode func(string) ([]byte, error)) ([][sha256.Size]byte, error) {
	var out [][sha256.Size]byte
	for _, s := range list {
		b, err := decode(s)
		if err != nil || len(b) != sha256.Size {
			return nil, c.Errorf("%q is not a SHA-256", s)
		}
		out = append(out, [sha256.Size]byte(b))
	}
	return out, nil
}

// wanted reports whether a server asks its clients for a certificate.
func (v *validator) wanted() bool {
	return v != nil && (v.roots != nil || len(v.spki)+len(v.hashes) > 0)
}

// check is for tls.Config.VerifyConnection: it also runs when a session is resumed. That
// a client must have a certificate is crypto/tls's to see.
func (v *validator) check(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	leaf := cs.PeerCertificates[0]
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 && signs(cs.CipherSuite) {
		return &verifyError{badChain, "KEY_USAGE_BIT_INCORRECT"}
	}
	if v == nil || v.untrusted {
		return nil
	}
	if v.roots != nil {
		if err := v.checkChain(leaf, cs.PeerCertificates[1:]); err != nil {
			return err
		}
	}
	if v.sni && cs.ServerName != "" {
		if !slices.ContainsFunc(leaf.DNSNames, func(name string) bool { return matchDNS(name, cs.ServerName) }) {
			return wrongSAN(leaf)
		}
		return v.checkHash(leaf)
	}
	if len(v.sans) > 0 && !slices.ContainsFunc(v.sans, func(m sanMatcher) bool { return m.match(leaf) }) {
		return wrongSAN(leaf)
	}
	return v.checkHash(leaf)
}

// wrongSAN names the names that nobody has asked for, DNS names and URIs as they are in
// the certificate.
func wrongSAN(leaf *x509.Certificate) error {
	names := slices.Clone(leaf.DNSNames)
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	names = append(names, leaf.EmailAddresses...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return &verifyError{badSAN, "verify cert failed: SAN matcher, certificate SANs are [" + strings.Join(names, ", ") + "]"}
}

// withSNI returns v with auto_sni_san_validation.
func (v *validator) withSNI() *validator {
	if v == nil {
		return nil
	}
	with := *v
	with.sni = true
	return &with
}

// signs reports whether the server's key signs in a handshake with that suite, rather
// than decrypts.
func signs(suite uint16) bool {
	switch suite {
	case tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA:
		return false
	}
	return true
}

func (v *validator) checkChain(leaf *x509.Certificate, rest []*x509.Certificate) error {
	o := x509.VerifyOptions{
		Roots: v.roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{v.usage}, CurrentTime: v.now(),
	}
	for _, cert := range rest {
		o.Intermediates.AddCert(cert)
	}
	chains, err := leaf.Verify(o)
	if v.expired && isExpired(err) {
		chains, err = verifyAnyTime(leaf, rest, o)
	}
	if err != nil {
		return badAt(depthOf(err, rest), chainText(err))
	}
	last := error(nil)
	for _, chain := range chains { // one that is good is enough
		switch {
		case len(chain)-1 > v.depth:
			last = badAt(v.depth+1, "certificate chain too long")
		default:
			last = v.crls.check(chain, v.now())
		}
		if last == nil {
			return nil
		}
	}
	return last
}

// badAt is what Envoy says of the certificate so many above the leaf.
func badAt(depth int, text string) error {
	return &verifyError{badChain, fmt.Sprintf("verify cert failed: X509_verify_cert: certificate verification error at depth %d: %s", depth, text)}
}

// depthOf returns where in a chain the certificate is that an error is about.
func depthOf(err error, rest []*x509.Certificate) int {
	var cert *x509.Certificate
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		cert = invalid.Cert
	} else if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		cert = unknown.Cert
	}
	if cert == nil {
		return 0
	}
	return 1 + slices.IndexFunc(rest, cert.Equal)
}

// verifyAnyTime verifies a chain of which some certificates have expired or are not yet
// valid, at the times at which they were.
func verifyAnyTime(leaf *x509.Certificate, rest []*x509.Certificate, o x509.VerifyOptions) (chains [][]*x509.Certificate, err error) {
	for _, cert := range append([]*x509.Certificate{leaf}, rest...) {
		for _, at := range []time.Time{cert.NotAfter, cert.NotBefore} {
			o.CurrentTime = at
			if chains, err = leaf.Verify(o); err == nil {
				return chains, nil
			}
		}
	}
	return nil, err
}

func isExpired(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

// chainText is what Envoy, by BoringSSL, says of a chain that does not hold.
func chainText(err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			if time.Now().Before(invalid.Cert.NotBefore) {
				return "certificate is not yet valid"
			}
			return "certificate has expired"
		case x509.IncompatibleUsage:
			return "unsupported certificate purpose"
		case x509.TooManyIntermediates:
			return "path length constraint exceeded"
		case x509.NotAuthorizedToSign:
			return "invalid CA certificate"
		}
		return invalid.Error()
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if unknown.Cert != nil && bytes.Equal(unknown.Cert.RawIssuer, unknown.Cert.RawSubject) {
			return "self signed certificate"
		}
		return "unable to get local issuer certificate"
	}
	return err.Error()
}

// checkHash holds the peer's own certificate against hashes.
func (v *validator) checkHash(leaf *x509.Certificate) error {
	if len(v.spki)+len(v.hashes) == 0 {
		return nil
	}
	if slices.Contains(v.hashes, sha256.Sum256(leaf.Raw)) || slices.Contains(v.spki, sha256.Sum256(leaf.RawSubjectPublicKeyInfo)) {
		return nil
	}
	return &verifyError{badHash, "verify cert failed: cert hash and spki"}
}

// revocations are certificate revocation lists.
type revocations struct {
	issuers  map[string][]*x509.RevocationList // by RawIssuer; nil: nothing is revoked
	leafOnly bool
}

// check looks for a revoked certificate in a chain, leaf first. An authority without a
// list makes the chain bad, as in Envoy.
func (r *revocations) check(chain []*x509.Certificate, now time.Time) error {
	if r.issuers == nil {
		return nil
	}
	for i, cert := range chain[:len(chain)-1] {
		if i > 0 && r.leafOnly {
			break
		}
		if err := r.checkOne(i, cert, chain[i+1], now); err != nil {
			return err
		}
	}
	if root := chain[len(chain)-1]; !r.leafOnly {
		return r.checkOne(len(chain)-1, root, root, now)
	}
	return nil
}

func (r *revocations) checkOne(depth int, cert, issuer *x509.Certificate, now time.Time) error {
	const failed = "certificate revocation check against provided CRLs failed: "
	known := false
	for _, list := range r.issuers[string(issuer.RawSubject)] {
		if list.CheckSignatureFrom(issuer) != nil {
			continue
		}
		if !list.NextUpdate.IsZero() && now.After(list.NextUpdate) {
			return badAt(depth, failed+"CRL has expired")
		}
		known = true
		for i := range list.RevokedCertificateEntries {
			if list.RevokedCertificateEntries[i].SerialNumber.Cmp(cert.SerialNumber) == 0 {
				return badAt(depth, failed+"certificate revoked")
			}
		}
	}
	if !known {
		return badAt(depth, failed+"unable to get certificate CRL")
	}
	return nil
}

// parseRevocations reads lists in PEM.
func parseRevocations(data []byte) (map[string][]*x509.RevocationList, error) {
	out := map[string][]*x509.RevocationList{}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, err
		}
		out[string(list.RawIssuer)] = append(out[string(list.RawIssuer)], list)
	}
	if len(out) == 0 {
		return nil, errors.New("holds no revocation list in PEM")
	}
	return out, nil
}
