package tls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

var serial atomic.Int64

// authority signs certificates for a test.
type authority struct {
	tb   testing.TB
	cert *x509.Certificate
	key  crypto.Signer
	pem  string
}

// leaf is a certificate with its key, as PEM and for crypto/tls.
type leaf struct {
	cert *x509.Certificate
	pem  string
	key  string
	pair tls.Certificate
}

func newAuthority(tb testing.TB, name string, parent *authority) *authority {
	tb.Helper()
	a := &authority{tb: tb}
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	a.key = newKey(tb, false)
	if parent == nil {
		parent = &authority{tb: tb, cert: t, key: a.key}
	}
	a.cert, a.pem = parent.sign(t, a.key.Public())
	return a
}

func newKey(tb testing.TB, isRSA bool) crypto.Signer {
	tb.Helper()
	if isRSA {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			tb.Fatal(err)
		}
		return key
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func (a *authority) sign(t *x509.Certificate, key crypto.PublicKey) (*x509.Certificate, string) {
	a.tb.Helper()
	t.SerialNumber = big.NewInt(serial.Add(1))
	if t.NotBefore.IsZero() {
		t.NotBefore, t.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key, a.key)
	if err != nil {
		a.tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.tb.Fatal(err)
	}
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// issue makes a certificate with names: URIs, addresses, mail addresses, else DNS names.
func (a *authority) issue(edit func(*x509.Certificate), names ...string) leaf {
	a.tb.Helper()
	return a.issueFor(newKey(a.tb, false), edit, names...)
}

func (a *authority) issueFor(key crypto.Signer, edit func(*x509.Certificate), names ...string) leaf {
	a.tb.Helper()
	t := &x509.Certificate{Subject: pkix.Name{CommonName: "leaf"}, KeyUsage: x509.KeyUsageDigitalSignature}
	for _, name := range names {
		u, err := url.Parse(name)
		ip, notIP := netip.ParseAddr(name)
		switch {
		case notIP == nil:
			t.IPAddresses = append(t.IPAddresses, ip.AsSlice())
		case err == nil && u.Scheme != "":
			t.URIs = append(t.URIs, u)
		case containsByte(name, '@'):
			t.EmailAddresses = append(t.EmailAddresses, name)
		default:
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	if edit != nil {
		edit(t)
	}
	var l leaf
	l.cert, l.pem = a.sign(t, key.Public())
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.tb.Fatal(err)
	}
	l.key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if l.pair, err = tls.X509KeyPair([]byte(l.pem), []byte(l.key)); err != nil {
		a.tb.Fatal(err)
	}
	return l
}

// revoke makes a list of revoked certificates, in PEM.
func (a *authority) revoke(certs ...*x509.Certificate) string {
	a.tb.Helper()
	t := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range certs {
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, t, a.cert, a.key)
	if err != nil {
		a.tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func containsByte(s string, b byte) bool {
	for i := range len(s) {
		if s[i] == b {
			return true
		}
	}
	return false
}
