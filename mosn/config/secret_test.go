package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"
)

// selfSigned makes a certificate with its key, as YAML strings.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return fmt.Sprintf("%q", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", keyDER)
}

// secureListener has the certificate "cert" and the authority "ca" from files.
const secureListener = `resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: web
  address: {socket_address: {address: 127.0.0.1, port_value: 0}}
  filter_chains:
  - transport_socket_connect_timeout: 4s
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
        common_tls_context:
          tls_certificate_sds_secret_configs: [{name: cert, sds_config: {path_config_source: {path: $DIR/cert.yaml}}}]
          validation_context_sds_secret_config: {name: ca, sds_config: {path_config_source: {path: $DIR/ca.yaml}}}
    filters:
    - name: hcm
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: web
        route_config: {name: r}
        http_filters:
        - name: router
          typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`

func secret(name, what string) string {
	return fmt.Sprintf(`resources: [{"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret, name: %s, %s}]`, name, what)
}

func tlsCertificate(cert, key string) string {
	return fmt.Sprintf("tls_certificate: {certificate_chain: {inline_string: %s}, private_key: {inline_string: %s}}", cert, key)
}

// TestSecretsFromFiles: a listener waits for its secrets, takes new ones without being
// compiled again, and a bad one is refused with its place while the old one stays.
func TestSecretsFromFiles(t *testing.T) {
	d := newDir(t)
	cert, key := selfSigned(t)
	_, otherKey := selfSigned(t)
	d.put("cert.yaml", secret("cert", tlsCertificate(cert, key)))
	d.put("ca.yaml", secret("ca", fmt.Sprintf("validation_context: {trusted_ca: {inline_string: %s}}", cert)))
	d.put("lds.yaml", secureListener)
	if err := d.follow("dynamic_resources: {lds_config: {path: $DIR/lds.yaml}}"); err != nil {
		t.Fatal(err)
	}
	d.warm()
	d.states(ListenerType, "web")
	d.states(SecretType, "ca cert")
	before := d.store.Entries(ListenerType)[0].Active
	next, nextKey := selfSigned(t)
	d.put("cert.yaml", secret("cert", tlsCertificate(next, nextKey)))
	if text := d.reload(); text != "" {
		t.Fatal(text)
	}
	if d.store.Entries(ListenerType)[0].Active != before {
		t.Error("the listener was compiled again")
	}
	d.states(SecretType, "ca cert")
	for text, want := range map[string]string{
		secret("cert", tlsCertificate(next, otherKey)):                   `secret "cert": tls_certificate: tls: private key does not match`,
		secret("cert", "generic_secret: {secret: {inline_string: x}}"):   `secret "cert": is not a TLS certificate`,
		secret("cert", "tls_certificate: {private_key: {filename: /x}}"): `secret "cert": tls_certificate.certificate_chain: is missing`,
	} {
		d.put("cert.yaml", text)
		if got := d.reload(); !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
		d.states(SecretType, "ca certcert!")
	}
	if n := d.count("sds.cert.update_rejected"); n < 3 {
		t.Errorf("update_rejected is %d", n)
	}
	d.put("cert.yaml", secret("cert", tlsCertificate(cert, key)))
	d.put("lds.yaml", "resources: []")
	if text := d.reload(); text != "" {
		t.Fatal(text)
	}
	d.states(SecretType, "")
}

// TestStaticSecret is one of the bootstrap's, by name.
func TestStaticSecret(t *testing.T) {
	cert, key := selfSigned(t)
	boot := func(name string) string {
		return fmt.Sprintf(`static_resources:
  secrets: [{name: own, %s}]
  clusters:
  - name: one
    typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
      "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions,
      auto_config: {http_protocol_options: {}, http2_protocol_options: {max_concurrent_streams: 5}}}}
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: a.example
        common_tls_context: {tls_certificate_sds_secret_configs: [{name: %s}]}
`, tlsCertificate(cert, key), name)
	}
	if _, _, err := compileText(t, boot("own")); err != nil {
		t.Error(err)
	}
	refused(t, boot("other"), `cluster "one": transport_socket.typed_config.common_tls_context.tls_certificate_sds_secret_configs[0]: unknown static secret: other`)
}

// TestSecretOfFiles: a secret that names files is compiled again when they are replaced,
// or when something moves in the directory that it names.
func TestSecretOfFiles(t *testing.T) {
	for _, more := range []string{"", ", watched_directory: {path: $DIR}"} {
		d := newDir(t)
		pem := func(quoted string) string {
			text, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		cert, key := selfSigned(t)
		d.put("tls.crt", pem(cert))
		d.put("tls.key", pem(key))
		d.put("cert.yaml", secret("cert", "tls_certificate: {certificate_chain: {filename: $DIR/tls.crt}, private_key: {filename: $DIR/tls.key}"+more+"}"))
		d.put("ca.yaml", secret("ca", "validation_context: {trusted_ca: {filename: $DIR/tls.crt}"+more+"}"))
		d.put("lds.yaml", secureListener)
		if err := d.follow("dynamic_resources: {lds_config: {path: $DIR/lds.yaml}}"); err != nil {
			t.Fatal(err)
		}
		d.warm()
		version := func() *Version {
			for _, e := range d.store.Entries(SecretType) {
				if e.Key.Name == "cert" && e.Refused == nil {
					return e.Active
				}
			}
			return nil
		}
		first := version()
		next, nextKey := selfSigned(t)
		d.put("tls.crt", pem(next)) // for a while the key is another's
		d.put("tls.key", pem(nextKey))
		for end := time.Now().Add(10 * time.Second); version() == nil || version() == first; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%q: the new files are not in use", more)
			}
		}
		d.put("lds.yaml", "resources: []")
		if text := d.reload(); text != "" {
			t.Fatal(text)
		}
		d.states(SecretType, "")
	}
}
