package tls

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

var buildDir string

// mosnBinary builds mosn at the first call of a run.
var mosnBinary = sync.OnceValues(func() (string, error) { return peers.MosnBinary(buildDir) })

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// proxy is a mosn that serves TLS, and one in front of it in plain text that speaks mutual TLS with it.
type proxy struct {
	*peers.Process
	dir          string
	ca           *peers.Authority
	secure       string // host:port with mutual TLS
	plain, admin string
}

const hcm = `{name: hcm, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
        stat_prefix: %s, route_config: {virtual_hosts: [{name: a, domains: ["*"], routes: [{match: {prefix: /}, %s}]}]},
        http_filters: [{name: r, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}`

// start runs a proxy; server is the body of its DownstreamTlsContext, in which $D is the directory of the certificates.
func start(t *testing.T, server string) *proxy {
	t.Helper()
	binary, err := mosnBinary()
	if err != nil {
		t.Skipf("no mosn: %v", err)
	}
	p := &proxy{dir: t.TempDir()}
	p.ca = peers.NewAuthority(t, p.dir, "ca")
	other := peers.NewAuthority(t, p.dir, "other")
	p.ca.Issue("server", nil, "localhost", "spiffe://a/server")
	p.ca.Issue("client", nil, "spiffe://a/client")
	other.Issue("stranger", nil, "spiffe://a/client")
	p.rotate(t)
	port := func() string { return fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t)) }
	p.secure, p.plain, p.admin = port(), port(), port()
	boot := fmt.Sprintf(`node: {id: me, cluster: us}
admin: {address: %s}
static_resources:
  listeners:
  - name: secure
    address: %s
    filter_chains:
    - filters: [%s]
      transport_socket_connect_timeout: 3s
      transport_socket: {name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, %s}}
  - name: plain
    address: %s
    filter_chains: [{filters: [%s]}]
  clusters:
  - name: secure
    load_assignment: {cluster_name: secure, endpoints: [{lb_endpoints: [{endpoint: {address: %s}}]}]}
    typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
      "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, auto_config: {}}}
    transport_socket: {name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext,
      sni: localhost, common_tls_context: {
        tls_certificates: [{certificate_chain: {filename: $D/client.crt}, private_key: {filename: $D/client.key}}],
        validation_context: {trusted_ca: {filename: $D/ca.crt}, match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: "spiffe://a/server"}}]}}}}
`, address(p.admin), address(p.secure), fmt.Sprintf(hcm, "secure", `direct_response: {status: 200, body: {inline_string: "hello"}}`), server,
		address(p.plain), fmt.Sprintf(hcm, "plain", "route: {cluster: secure}"), address(p.secure))
	p.Process, err = peers.StartProxy(t, binary, p.dir, "bootstrap", []byte(strings.ReplaceAll(boot, "$D", p.dir)), p.admin, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	for _, addr := range []string{p.plain, p.secure} {
		if err := p.WaitListen(addr, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func address(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("{socket_address: {address: %s, port_value: %s}}", host, port)
}

// rotate writes another certificate of the server into the file that the secret server comes from, and returns its serial number.
func (p *proxy) rotate(t *testing.T) string {
	t.Helper()
	cert := p.ca.Issue("rotated", nil, "localhost", "spiffe://a/server")
	read := func(name string) string {
		data, err := os.ReadFile(p.ca.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(data), "\n", `\n`)
	}
	secret := fmt.Sprintf(`resources: [{"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret, name: server,
  tls_certificate: {certificate_chain: {inline_string: "%s"}, private_key: {inline_string: "%s"}}}]`, read("rotated.crt"), read("rotated.key"))
	file := filepath.Join(p.dir, "sds.yaml")
	if err := os.WriteFile(file+".new", []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	return cert.SerialNumber.String()
}

const (
	mutual = `require_client_certificate: true, common_tls_context: {alpn_protocols: [h2, http/1.1],
      tls_certificates: [{certificate_chain: {filename: $D/server.crt}, private_key: {filename: $D/server.key}}],
      validation_context: {trusted_ca: {filename: $D/ca.crt}, match_typed_subject_alt_names: [{san_type: URI, matcher: {prefix: "spiffe://a/"}}]}}`
	rotating = `common_tls_context: {alpn_protocols: [h2, http/1.1],
      tls_certificate_sds_secret_configs: [{name: server, sds_config: {path_config_source: {path: $D/sds.yaml}}}]}`
)
