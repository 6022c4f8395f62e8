package sdk

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"net/url"
	"strings"
	"sync/atomic"
)

// TLSInfo is what a TLS handshake has told of a connection. It is made once and never
// changed, and may be used on any goroutine.
type TLSInfo struct {
	Version    string // "TLSv1.3"
	Cipher     string // as OpenSSL calls it
	Group      string // of the key exchange: "X25519MLKEM768"
	ServerName string // SNI, "" when the client sent none
	ALPN       string // the protocol agreed on, "" for none
	Resumed    bool   // no certificates were exchanged: Peer is that of the first time
	Validated  bool   // the peer's certificate has passed what the configuration demands

	Peer  []*x509.Certificate // as sent, the peer's own first; empty when it has none
	Local *x509.Certificate   // ours; nil when we have shown none

	texts atomic.Pointer[tlsTexts]
}

// TLSText is something that a certificate says, as access logs show it.
type TLSText uint8

// What Envoy's operators show. Names of a list are joined by commas.
const (
	PeerSubject TLSText = iota
	PeerIssuer
	PeerURISAN
	PeerDNSSAN
	PeerIPSAN
	PeerEmailSAN
	PeerSerial
	PeerFingerprint1
	PeerFingerprint256
	PeerCert // PEM, URL-encoded
	LocalSubject
	LocalURISAN
	LocalDNSSAN
	LocalIPSAN
	LocalEmailSAN
	numTLSTexts
)

type tlsTexts [numTLSTexts]atomic.Pointer[string]

// Text returns what a certificate says, "" when there is none or it says nothing. It is
// made when it is first asked for.
func (t *TLSInfo) Text(what TLSText) string {
	cert := t.Local
	if what < LocalSubject {
		if len(t.Peer) == 0 {
			return ""
		}
		cert = t.Peer[0]
	}
	if cert == nil {
		return ""
	}
	texts := t.texts.Load()
	if texts == nil {
		t.texts.CompareAndSwap(nil, new(tlsTexts))
		texts = t.texts.Load()
	}
	if s := texts[what].Load(); s != nil {
		return *s
	}
	s := certText(cert, what)
	texts[what].Store(&s)
	return s
}

func certText(cert *x509.Certificate, what TLSText) string {
	switch what {
	case PeerSubject, LocalSubject:
		return distinguishedName(cert.RawSubject)
	case PeerIssuer:
		return distinguishedName(cert.RawIssuer)
	case PeerURISAN, LocalURISAN:
		return joined(cert.URIs, (*url.URL).String)
	case PeerDNSSAN, LocalDNSSAN:
		return strings.Join(cert.DNSNames, ",")
	case PeerEmailSAN, LocalEmailSAN:
		return strings.Join(cert.EmailAddresses, ",")
	case PeerIPSAN, LocalIPSAN:
		list := make([]string, len(cert.IPAddresses))
		for i, ip := range cert.IPAddresses {
			list[i] = ip.String()
		}
		return strings.Join(list, ",")
	case PeerSerial:
		return hex.EncodeToString(cert.SerialNumber.Bytes())
	case PeerFingerprint1:
		sum := sha1.Sum(cert.Raw)
		return hex.EncodeToString(sum[:])
	case PeerFingerprint256:
		sum := sha256.Sum256(cert.Raw)
		return hex.EncodeToString(sum[:])
	case PeerCert:
		return percentEncode(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return ""
}

func joined[T any](list []T, text func(T) string) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = text(v)
	}
	return strings.Join(out, ",")
}

// distinguishedName prints a name as RFC 2253 says.
func distinguishedName(raw []byte) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) > 0 {
		return ""
	}
	return name.String()
}

// percentEncode does what Envoy does to a certificate in a header.
func percentEncode(p []byte) string {
	var b strings.Builder
	for _, c := range p {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		}
	}
	return b.String()
}
