package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"sofamesh.io/sofamesh/sdk"
)

// maxFile is the most that is read from one file, in bytes.
const maxFile = 8 << 20

// readSource reads a DataSource; ok is false when there is none.
func readSource(c sdk.Compiler, ds *corev3.DataSource) (data []byte, ok bool, err error) {
	switch kind := ds.GetSpecifier().(type) {
	case *corev3.DataSource_InlineString:
		data = []byte(kind.InlineString)
	case *corev3.DataSource_InlineBytes:
		data = kind.InlineBytes
	case *corev3.DataSource_EnvironmentVariable:
		value, set := os.LookupEnv(kind.EnvironmentVariable)
		if !set {
			return nil, false, c.At("environment_variable").Errorf("%s is not set", kind.EnvironmentVariable)
		}
		data = []byte(value)
	case *corev3.DataSource_Filename:
		c = c.At("filename")
		info, err := os.Stat(kind.Filename)
		if err != nil {
			return nil, false, c.Errorf("%w", err)
		}
		if info.Size() > maxFile {
			return nil, false, c.Errorf("%s has more than %d bytes", kind.Filename, maxFile)
		}
		if data, err = os.ReadFile(kind.Filename); err != nil {
			return nil, false, c.Errorf("%w", err)
		}
	default:
		return nil, false, nil
	}
	if len(data) == 0 {
		return nil, false, c.Errorf("is empty")
	}
	return data, true, nil
}

// compileCertificate reads a certificate with its key.
func compileCertificate(c sdk.Compiler, pb *tlsv3.TlsCertificate) (*tls.Certificate, error) {
	chain, ok, err := readSource(c.At("certificate_chain"), pb.GetCertificateChain())
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, c.At("certificate_chain").Errorf("is missing")
	}
	key, ok, err := readSource(c.At("private_key"), pb.GetPrivateKey())
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, c.At("private_key").Errorf("is missing")
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	return &cert, nil
}

// certificates are those of one side.
type certificates struct {
	all    []*tls.Certificate
	byName map[string][]*tls.Certificate // of DNS names, in lower case; "*.example.com" as ".example.com"
	scan   bool                          // full_scan_certs_on_sni_mismatch
}

func newCertificates(list []*tls.Certificate, scan bool) *certificates {
	cs := &certificates{all: list, byName: map[string][]*tls.Certificate{}, scan: scan}
	for _, cert := range list {
		names := cert.Leaf.DNSNames
		if len(names) == 0 && cert.Leaf.Subject.CommonName != "" {
			names = []string{cert.Leaf.Subject.CommonName}
		}
		for _, name := range names {
			name = strings.TrimPrefix(strings.ToLower(name), "*")
			cs.byName[name] = append(cs.byName[name], cert)
		}
	}
	return cs
}

// errNoSuitable is that of a side without certificates, which the compiler prevents.
var errNoSuitable = errors.New("there is no certificate")

// choose returns the certificate for a client: one for the name that it asks for, else
// one for the domain; of those the first ECDSA one that it can do, else the first one
// that it can do. Unless scan is set, a name that is nobody's gets the first of all.
func (cs *certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(cs.all) == 0 {
		return nil, errNoSuitable
	}
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	list := cs.byName[name]
	if dot := strings.IndexByte(name, '.'); len(list) == 0 && dot > 0 {
		list = cs.byName[name[dot:]]
	}
	if len(list) == 0 {
		if list = cs.all; !cs.scan {
			list = list[:1]
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	ask := *hello
	ask.ServerName = "" // that was looked at above
	var best *tls.Certificate
	for _, cert := range list {
		if ask.SupportsCertificate(cert) != nil {
			continue
		}
		if cert.Leaf.PublicKeyAlgorithm == x509.ECDSA {
			return cert, nil
		}
		if best == nil {
			best = cert
		}
	}
	if best == nil {
		best = list[0]
	}
	return best, nil
}
