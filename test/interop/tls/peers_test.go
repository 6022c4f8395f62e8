package tls

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// tool runs a command in the directory of the certificates; without it the test is skipped.
func (p *proxy) tool(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("no %s: %v", name, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin = p.dir, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		out = append(out, "\n"+err.Error()...)
	}
	return string(out)
}

// TestOpenSSL is a table of what openssl s_client is told.
func TestOpenSSL(t *testing.T) {
	p := start(t, mutual)
	const request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
	client := []string{"-cert", "client.crt", "-key", "client.key"}
	for _, tt := range []struct {
		name string
		args []string
		want []string // in the output
	}{
		{"TLS 1.3", append(client, "-tls1_3"), []string{"TLS_AES_128_GCM_SHA256", "Verification: OK", "HTTP/1.1 200 OK"}},
		{"TLS 1.2", append(client, "-tls1_2"), []string{"ECDHE-ECDSA-AES128-GCM-SHA256", "HTTP/1.1 200 OK"}},
		{"a suite", append(client, "-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"), []string{"ECDHE-ECDSA-CHACHA20-POLY1305", "HTTP/1.1 200 OK"}},
		{"an old version", append(client, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"), []string{"alert protocol version"}},
		{"a suite that is weak", append(client, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA@SECLEVEL=0"), []string{"handshake failure"}},
		{"a curve", append(client, "-tls1_3", "-groups", "P-256"), []string{"prime256v1", "HTTP/1.1 200 OK"}},
		{"a curve that is not offered", append(client, "-tls1_3", "-groups", "P-521"), []string{"handshake failure"}},
		{"ALPN", append(client, "-alpn", "http/1.1"), []string{"ALPN protocol: http/1.1", "HTTP/1.1 200 OK"}},
		{"ALPN of nobody", append(client, "-alpn", "nobody"), []string{"No ALPN negotiated", "HTTP/1.1 200 OK"}},
		{"no certificate, TLS 1.2", []string{"-tls1_2"}, []string{"handshake failure"}},
		{"no certificate, TLS 1.3", []string{"-tls1_3"}, []string{"certificate required"}},
		{"a stranger's", []string{"-cert", "stranger.crt", "-key", "stranger.key"}, []string{"bad certificate"}},
	} {
		args := append([]string{"s_client", "-connect", p.secure, "-servername", "localhost", "-CAfile", "ca.crt", "-verify_return_error", "-ign_eof"}, tt.args...)
		out := p.tool(t, request, "openssl", args...)
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", tt.name, want, out)
			}
		}
		if !slices.Contains(tt.want, "HTTP/1.1 200 OK") && strings.Contains(out, "HTTP/1.1 200") {
			t.Errorf("%s: was answered", tt.name)
		}
	}
}

// TestRenegotiation: it is refused, as it takes a handshake of a client that has had one.
func TestRenegotiation(t *testing.T) {
	p := start(t, mutual)
	out := p.tool(t, "R\n", "openssl", "s_client", "-connect", p.secure, "-CAfile", "ca.crt", "-cert", "client.crt", "-key", "client.key", "-tls1_2")
	if !strings.Contains(out, "RENEGOTIATING") || !strings.Contains(out, "alert unexpected message") {
		t.Errorf("got\n%s", out)
	}
}

// TestKeyUpdates: a client may change its keys, but not do only that.
func TestKeyUpdates(t *testing.T) {
	p := start(t, mutual)
	ask := func(updates int) string {
		const request = "GET / HTTP/1.1\nhost: localhost\nconnection: close\n\n"
		in := strings.Repeat("K\n", updates) + request
		return p.tool(t, in, "bash", "-c", "while read -r line; do sleep 0.02; echo \"$line\"; done | openssl s_client -connect "+p.secure+
			" -CAfile ca.crt -cert client.crt -key client.key -tls1_3 -crlf")
	}
	if out := ask(3); !strings.Contains(out, "KEYUPDATE") {
		t.Errorf("a few:\n%s", out)
	}
	if out := ask(60); !strings.Contains(out, "alert") {
		t.Errorf("nothing else:\n%s", out)
	}
}

// TestResumed: openssl resumes a session in a second connection.
func TestResumed(t *testing.T) {
	p := start(t, mutual)
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		args := []string{"s_client", "-connect", p.secure, "-CAfile", "ca.crt", "-cert", "client.crt", "-key", "client.key", version, "-ign_eof"}
		const request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
		p.tool(t, request, "openssl", append(args, "-sess_out", "session")...)
		out := p.tool(t, request, "openssl", append(args, "-sess_in", "session")...)
		if !strings.Contains(out, "Reused, TLSv1") || !strings.Contains(out, "HTTP/1.1 200 OK") {
			t.Errorf("%s: not resumed:\n%s", version, out)
		}
	}
}

// TestCurl speaks HTTP/2 and HTTP/1.1, as ALPN says.
func TestCurl(t *testing.T) {
	p := start(t, mutual)
	url := "https://" + strings.Replace(p.secure, "127.0.0.1", "localhost", 1) + "/"
	for flag, want := range map[string]string{"--http2": "hello 2", "--http1.1": "hello 1.1"} {
		out := p.tool(t, "", "curl", "-sS", "-m", "10", flag, "--cacert", "ca.crt", "--cert", "client.crt", "--key", "client.key", "-w", " %{http_version}", url)
		if out != want {
			t.Errorf("%s: %s", flag, out)
		}
	}
}

// TestBetweenProxies goes through one proxy to the other by mutual TLS and HTTP/2.
func TestBetweenProxies(t *testing.T) {
	p := start(t, mutual)
	for range 20 {
		if got := get(t, &http.Client{Timeout: 10 * time.Second}, "http://"+p.plain+"/"); got != "hello" {
			t.Fatalf("got %s", got)
		}
	}
	stats := get(t, http.DefaultClient, "http://"+p.admin+"/stats")
	for _, want := range []string{"cluster.secure.upstream_cx_http1_total: 0", "cluster.secure.ssl.fail_verify_san: 0", "cluster.secure.ssl.connection_error: 0"} {
		if !strings.Contains(stats, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(stats, "cluster.secure.ssl.handshake: 0\n") || strings.Contains(stats, "cluster.secure.upstream_cx_http2_total: 0\n") {
		t.Error("there was no handshake, or no HTTP/2")
	}
}

func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// clientConfig is Go's client of the proxy.
func (p *proxy) clientConfig(t *testing.T) *tls.Config {
	t.Helper()
	data, err := os.ReadFile(p.ca.Path("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(data)
	pair, err := tls.LoadX509KeyPair(p.ca.Path("client.crt"), p.ca.Path("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{pair}}
}

// TestRotation replaces the server's certificate again and again while requests run, on a connection that stays and on new ones.
func TestRotation(t *testing.T) {
	p := start(t, rotating)
	cfg := p.clientConfig(t)
	stays := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: cfg}}
	seen := map[string]bool{}
	var last string
	fresh := func() string {
		conn, err := tls.Dial("tcp", p.secure, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		serial := conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
		seen[serial] = true
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if out, err := io.ReadAll(conn); err != nil || !bytes.Contains(out, []byte("hello")) {
			t.Fatalf("%s, %v", out, err)
		}
		return serial
	}
	const rotations = 20
	for range rotations {
		last = p.rotate(t)
		for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
			fresh()
			if got := get(t, stays, "https://"+p.secure+"/"); got != "hello" {
				t.Fatalf("the connection that stays: %s", got)
			}
		}
	}
	for end := time.Now().Add(10 * time.Second); fresh() != last; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the last certificate is not in use")
		}
	}
	if len(seen) < rotations/2 {
		t.Errorf("only %d certificates were seen", len(seen))
	}
}

// TestStalled opens connections that begin a handshake and fall silent, some in the middle of a ClientHello and some after it: good
// ones are served meanwhile, and the others are ended in time.
func TestStalled(t *testing.T) {
	p := start(t, mutual)
	hello := clientHello(t)
	var stalled []net.Conn
	for i := range 300 {
		conn, err := net.Dial("tcp", p.secure)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		n := len(hello)
		if i%2 == 0 {
			n /= 2
		}
		if _, err := conn.Write(hello[:n]); err != nil {
			t.Fatal(err)
		}
		stalled = append(stalled, conn)
	}
	cfg := p.clientConfig(t)
	for range 20 {
		c := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
		if got := get(t, c, "https://"+p.secure+"/"); got != "hello" {
			t.Fatalf("beside stalled ones: %s", got)
		}
	}
	for _, conn := range stalled {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil && os.IsTimeout(err) {
			t.Fatal("a stalled connection lives on")
		}
	}
	stats := get(t, http.DefaultClient, "http://"+p.admin+"/stats")
	if !strings.Contains(stats, "downstream_cx_transport_socket_connect_timeout: 300\n") {
		t.Error("the timeouts are not counted")
	}
}

// clientHello returns the first flight of Go's client.
func clientHello(t *testing.T) []byte {
	t.Helper()
	here, there := net.Pipe()
	go func() { _ = tls.Client(there, &tls.Config{ServerName: "localhost"}).Handshake() }()
	buf := make([]byte, 16<<10)
	n, err := here.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	here.Close()
	return buf[:n]
}
