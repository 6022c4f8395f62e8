package envoy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// tlsCase is a connection to a listener with TLS, or a request through a cluster with it.
// Config is the body of a DownstreamTlsContext or UpstreamTlsContext; $D is the directory
// of the certificates.
type tlsCase struct {
	name   string
	config string
	cert   string // the client's, or the host's; "" for none
	edit   func(*tls.Config)
	plain  string // what is sent instead of TLS
}

const (
	trusted = `validation_context: {trusted_ca: {filename: $D/ca.crt}}`
	serverC = `tls_certificates: [{certificate_chain: {filename: $D/server.crt}, private_key: {filename: $D/server.key}}]`
	clientC = `tls_certificates: [{certificate_chain: {filename: $D/client.crt}, private_key: {filename: $D/client.key}}]`
	mutual  = `{require_client_certificate: true, common_tls_context: {` + serverC + `, ` + trusted + `}}`
)

func sans(matchers string) string {
	return `validation_context: {trusted_ca: {filename: $D/ca.crt}, match_typed_subject_alt_names: [` + matchers + `]}`
}

var downstreamCases = []tlsCase{
	{name: "plain", config: `{common_tls_context: {` + serverC + `}}`},
	{name: "tls12", config: `{common_tls_context: {` + serverC + `}}`, edit: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
	{name: "tls11", config: `{common_tls_context: {` + serverC + `}}`, edit: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }},
	{name: "alpn", config: `{common_tls_context: {` + serverC + `, alpn_protocols: [h2, http/1.1]}}`, edit: func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
	{name: "alpn-none-common", config: `{common_tls_context: {` + serverC + `, alpn_protocols: [h2]}}`, edit: func(c *tls.Config) { c.NextProtos = []string{"other"} }},
	{name: "mutual", config: mutual, cert: "client"},
	{name: "mutual-none", config: mutual},
	{name: "mutual-none-tls12", config: mutual, edit: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
	{name: "optional-none", config: `{common_tls_context: {` + serverC + `, ` + trusted + `}}`},
	{name: "wrong-ca", config: mutual, cert: "stranger"},
	{name: "expired", config: mutual, cert: "expired"},
	{name: "expired-allowed", cert: "expired", config: `{require_client_certificate: true, common_tls_context: {` + serverC + `,
		validation_context: {trusted_ca: {filename: $D/ca.crt}, allow_expired_certificate: true}}}`},
	{name: "revoked", cert: "revoked", config: `{require_client_certificate: true, common_tls_context: {` + serverC + `,
		validation_context: {trusted_ca: {filename: $D/ca.crt}, crl: {filename: $D/ca.crl}}}}`},
	{name: "not-revoked", cert: "client", config: `{require_client_certificate: true, common_tls_context: {` + serverC + `,
		validation_context: {trusted_ca: {filename: $D/ca.crt}, crl: {filename: $D/ca.crl}}}}`},
	{name: "server-usage", config: mutual, cert: "usage"},
	{name: "san-prefix", cert: "client", config: `{common_tls_context: {` + serverC + `, ` + sans(`{san_type: URI, matcher: {prefix: "spiffe://a/"}}`) + `}}`},
	{name: "san-wrong", cert: "client", config: `{common_tls_context: {` + serverC + `, ` + sans(`{san_type: URI, matcher: {exact: "spiffe://b/c"}}`) + `}}`},
	{name: "san-kind", cert: "client", config: `{common_tls_context: {` + serverC + `, ` + sans(`{san_type: DNS, matcher: {prefix: "spiffe"}}`) + `}}`},
	{name: "hash-wrong", cert: "client", config: `{common_tls_context: {` + serverC + `, validation_context: {
		trusted_ca: {filename: $D/ca.crt}, verify_certificate_hash: ["0000000000000000000000000000000000000000000000000000000000000000"]}}}`},
	{name: "http-to-tls", config: mutual, plain: "GET / HTTP/1.1\r\nhost: a\r\n\r\n"},
	{name: "garbage", config: mutual, plain: "\x00\x01\x02\x03\x04\x05\x06\x07\x08"},
}

var upstreamCases = []tlsCase{
	{name: "unverified", config: `{common_tls_context: {}}`, cert: "stranger"},
	{name: "verified", config: `{sni: server.example, common_tls_context: {` + trusted + `, ` + clientC + `}}`, cert: "server",
		edit: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }},
	{name: "verified-tls13", cert: "server", config: `{sni: server.example, common_tls_context: {` + trusted + `,
		tls_params: {tls_maximum_protocol_version: TLSv1_3}}}`},
	{name: "wrong-ca", config: `{common_tls_context: {` + trusted + `}}`, cert: "stranger"},
	{name: "expired", config: `{common_tls_context: {` + trusted + `}}`, cert: "expired"},
	{name: "wrong-san", config: `{common_tls_context: {` + sans(`{san_type: DNS, matcher: {exact: "other.example"}}`) + `}}`, cert: "server"},
	{name: "wildcard-san", config: `{common_tls_context: {` + sans(`{san_type: DNS, matcher: {exact: "any.wild.example"}}`) + `}}`, cert: "wild"},
	{name: "auto-san", config: `{sni: server.example, auto_sni_san_validation: true, common_tls_context: {` + trusted + `}}`, cert: "server"},
	{name: "auto-san-wrong", config: `{sni: other.example, auto_sni_san_validation: true, common_tls_context: {` + trusted + `}}`, cert: "server"},
	{name: "client-certificate-missing", config: `{common_tls_context: {` + trusted + `}}`, cert: "server",
		edit: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }},
	{name: "new-version", config: `{common_tls_context: {` + trusted + `}}`, cert: "server", edit: func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }},
	{name: "auto-config-h1", config: `{common_tls_context: {` + trusted + `}}`, cert: "server", edit: func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
	{name: "auto-config-h2", config: `{common_tls_context: {` + trusted + `}}`, cert: "server", edit: func(c *tls.Config) { c.NextProtos = []string{"h2"} }},
}

// TestTLS makes handshakes with both proxies, as their client and as their host: what
// either end sees, the access logs and the counters must be the same.
func TestTLS(t *testing.T) {
	results := map[string]map[string]string{}
	eachProxy(t, func(t *testing.T, binary string) {
		kind := filepath.Base(t.Name())
		results[kind] = runTLS(t, binary)
	})
	if len(results) < 2 {
		t.Skip("there are not both proxies")
	}
	for name, want := range results["envoy"] {
		if got := results["mosn"][name]; got != want {
			t.Errorf("%s:\n--- envoy\n%s--- mosn\n%s", name, want, got)
		}
	}
}

// runTLS runs all cases through one process.
func runTLS(t *testing.T, binary string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	certificates(t, dir)
	admin := fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t))
	var listeners, clusters strings.Builder
	ports := map[string]string{}
	for i, c := range downstreamCases {
		ports["down/"+c.name] = fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t))
		addListener(&listeners, dir, fmt.Sprintf("d%d", i), ports["down/"+c.name], c.config, `direct_response: {status: 200, body: {inline_string: "hello"}}`)
	}
	for i, c := range upstreamCases {
		ports["up/"+c.name] = fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t))
		addListener(&listeners, dir, fmt.Sprintf("u%d", i), ports["up/"+c.name], "", fmt.Sprintf("route: {cluster: u%d}", i))
		addCluster(&clusters, dir, fmt.Sprintf("u%d", i), host(t, dir, c), c)
	}
	boot := fmt.Sprintf("admin: {address: %s}\nstatic_resources:\n  listeners:\n%s  clusters:\n%s", socketAddress(admin), listeners.String(), clusters.String())
	p, err := peers.StartProxy(t, binary, dir, "bootstrap", []byte(boot), admin, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if err := p.WaitListen(ports["up/unverified"], 10*time.Second); err != nil { // not one that counts handshakes
		t.Fatal(err)
	}
	results := map[string]string{}
	for _, c := range downstreamCases {
		results["down/"+c.name] = c.connect(dir, ports["down/"+c.name])
	}
	for _, c := range upstreamCases {
		results["up/"+c.name] = request(ports["up/"+c.name])
	}
	stats, err := readStats(admin)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Stop(15 * time.Second) {
		t.Fatalf("the proxy did not end: %s", p.Output())
	}
	for i, c := range downstreamCases {
		name := strings.ReplaceAll(ports["down/"+c.name], ":", "_")
		results["down/"+c.name] += logOf(dir, fmt.Sprintf("d%d", i)) + sslStats(stats, "listener."+name+".ssl.")
	}
	for i := range upstreamCases {
		results["up/"+upstreamCases[i].name] += logOf(dir, fmt.Sprintf("u%d", i)) + sslStats(stats, fmt.Sprintf("cluster.u%d.ssl.", i))
	}
	return results
}

func certificates(t *testing.T, dir string) {
	ca, other := peers.NewAuthority(t, dir, "ca"), peers.NewAuthority(t, dir, "other")
	past := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	ca.Issue("server", nil, "server.example", "spiffe://a/server")
	ca.Issue("client", nil, "spiffe://a/client")
	ca.Issue("wild", nil, "*.wild.example")
	ca.Issue("expired", past, "server.example", "spiffe://a/client")
	ca.Issue("usage", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, "spiffe://a/client")
	ca.Revoke("ca.crl", ca.Issue("revoked", nil, "spiffe://a/client"))
	other.Issue("stranger", nil, "server.example", "spiffe://a/client")
}

func socketAddress(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("{socket_address: {address: %s, port_value: %s}}", host, port)
}

const tlsLog = "%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% subject=%DOWNSTREAM_PEER_SUBJECT% uri=%DOWNSTREAM_PEER_URI_SAN% local=%DOWNSTREAM_LOCAL_SUBJECT% " +
	"sni=%REQUESTED_SERVER_NAME% failure=%DOWNSTREAM_TRANSPORT_FAILURE_REASON%"

const upLog = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_TLS_VERSION% %UPSTREAM_TLS_CIPHER% subject=%UPSTREAM_PEER_SUBJECT% " +
	"uri=%UPSTREAM_PEER_URI_SAN% protocol=%UPSTREAM_PROTOCOL% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON%"

func accessLog(path, format string) string {
	return fmt.Sprintf(`{name: l, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: %q,
        log_format: {text_format_source: {inline_string: "%s\n"}}}}`, path, format)
}

// addListener adds a listener; the one log is the connection's, the other one the request's.
func addListener(b *strings.Builder, dir, name, addr, tlsConfig, action string) {
	transport, log, conn := "", accessLog(filepath.Join(dir, name+".log"), upLog), ""
	if tlsConfig != "" {
		transport = `      transport_socket: {name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, ` +
			strings.TrimPrefix(strings.ReplaceAll(tlsConfig, "$D", dir), "{") + "}\n"
		conn, log = "    access_log: ["+accessLog(filepath.Join(dir, name+".log"), tlsLog)+"]\n", ""
	}
	fmt.Fprintf(b, `  - name: %s
    address: %s
%s    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: %s
          access_log: [%s]
          route_config: {virtual_hosts: [{name: a, domains: ["*"], routes: [{match: {prefix: /}, %s}]}]}
          http_filters: [{name: r, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
%s`, name, socketAddress(addr), conn, name, log, action, transport)
}

func addCluster(b *strings.Builder, dir, name, addr string, c tlsCase) {
	auto := ""
	if strings.HasPrefix(c.name, "auto-config") {
		auto = `    typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
      "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, auto_config: {}}}` + "\n"
	}
	fmt.Fprintf(b, `  - name: %s
    load_assignment: {cluster_name: %s, endpoints: [{lb_endpoints: [{endpoint: {address: %s}}]}]}
%s    transport_socket: {name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, %s}
`, name, name, socketAddress(addr), auto, strings.TrimPrefix(strings.ReplaceAll(c.config, "$D", dir), "{"))
}

// pairOf loads a certificate with its key.
func pairOf(dir, name string) tls.Certificate {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	if err != nil {
		panic(err) // the test has just made it
	}
	return pair
}

// host serves HTTP over TLS, as a host that a cluster has, and returns its address.
func host(t *testing.T, dir string, c tlsCase) string {
	t.Helper()
	cfg := &tls.Config{Certificates: []tls.Certificate{pairOf(dir, c.cert)}}
	if c.edit != nil {
		c.edit(cfg)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := "none"
		if len(r.TLS.PeerCertificates) > 0 {
			peer = r.TLS.PeerCertificates[0].Subject.String()
		}
		_, _ = fmt.Fprintf(w, "%s sni=%q client=%s scheme=%s", r.Proto, r.TLS.ServerName, peer, r.Header.Get("x-forwarded-proto"))
	})}
	s.Protocols = &http.Protocols{}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	go func() { _ = s.Serve(tls.NewListener(ln, cfg)) }()
	t.Cleanup(func() { _ = s.Close() })
	return ln.Addr().String()
}

// connect makes a connection to a listener and one request.
func (c tlsCase) connect(dir, addr string) string {
	raw, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err.Error()
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(5 * time.Second))
	if c.plain != "" {
		_, _ = io.WriteString(raw, c.plain)
		got, _ := io.ReadAll(raw)
		return fmt.Sprintf("alert or nothing: %v\n", len(got) < 8)
	}
	cfg := &tls.Config{InsecureSkipVerify: true, ServerName: "server.example"}
	if c.cert != "" {
		pair := pairOf(dir, c.cert)
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	if c.edit != nil {
		c.edit(cfg)
	}
	conn := tls.Client(raw, cfg)
	if err := conn.Handshake(); err != nil {
		return fmt.Sprintf("handshake: %v\n", err)
	}
	st := conn.ConnectionState()
	out := fmt.Sprintf("%s %s alpn=%q %s\n", tls.VersionName(st.Version), tls.CipherSuiteName(st.CipherSuite), st.NegotiatedProtocol, st.PeerCertificates[0].Subject)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return out + fmt.Sprintf("request: %s\n", certificateAlert.ReplaceAllString(err.Error(), "bad certificate"))
	}
	body, err := io.ReadAll(resp.Body)
	_, end := conn.Read(make([]byte, 1))
	return out + fmt.Sprintf("%d %q %v, end: %v\n", resp.StatusCode, body, err, end)
}

// request makes a request through a listener in plain text.
func request(addr string) string {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + addr + "/")
	if err != nil {
		return err.Error() + "\n"
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s\n", resp.StatusCode, body)
}

// logOf returns the lines of an access log.
func logOf(dir, name string) string {
	data, err := os.ReadFile(filepath.Join(dir, name+".log"))
	if err != nil {
		return err.Error() + "\n"
	}
	return string(data)
}

var ownStats = regexp.MustCompile(`handshake_overflow|sigalgs|certificate\.|expiration`)

// certificateAlert are the alerts for a certificate that is refused: crypto/tls sends "bad certificate" for whatever reason.
var certificateAlert = regexp.MustCompile(`(revoked|expired|unknown|unsupported) certificate$|unknown certificate authority$|bad certificate hash value$`)

// sslStats renders the counters that are not 0.
func sslStats(all map[string]string, prefix string) string {
	var lines []string
	for name, value := range all {
		if rest, ok := strings.CutPrefix(name, prefix); ok && value != "0" && !ownStats.MatchString(rest) {
			lines = append(lines, rest+" "+value+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
