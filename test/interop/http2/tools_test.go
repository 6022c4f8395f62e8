package http2

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCurl lets curl speak HTTP/2 by prior knowledge, and ask for it by Upgrade.
func TestCurl(t *testing.T) {
	curl := tool(t, "curl")
	upload := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(upload, bytes.Repeat([]byte("x"), 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, path string
		args       []string
		want       string // version, status, bytes
	}{
		{"prior knowledge", "/", []string{"--http2-prior-knowledge"}, "2 200 5"},
		{"head", "/", []string{"--http2-prior-knowledge", "-I"}, "2 200 0"},
		{"large", "/bytes/5000000", []string{"--http2-prior-knowledge"}, "2 200 5000000"},
		{"upload", "/echo", []string{"--http2-prior-knowledge", "-T", upload}, "2 200 5242880"},
		{"upload with expect", "/echo", []string{"--http2-prior-knowledge", "-T", upload, "-H", "Expect: 100-continue"}, "2 200 5242880"},
		{"upgrade", "/", []string{"--http2"}, "2 200 5"},
		{"upgrade refused to a request with a body", "/echo", []string{"--http2", "-d", "hello"}, "1.1 200 5"},
		{"upgrade, large", "/bytes/20000", []string{"--http2"}, "2 200 20000"}, // curl has no room for more behind the 101
		{"HTTP/1 on the same port", "/bytes/100", []string{"--http1.1"}, "1.1 200 100"},
	}
	for _, http1 := range []bool{false, true} {
		p := startProxy(t, setup{Backend: origin(t), HTTP1: http1, HCM: "upgrade_configs: [{upgrade_type: h2c}]"})
		for _, c := range cases {
			t.Run(fmt.Sprintf("%s, http1 backend %v", c.name, http1), func(t *testing.T) {
				if *useEnvoy && strings.HasPrefix(c.name, "upgrade") {
					t.Skip("Envoy does not take h2c by Upgrade")
				}
				args := append([]string{"-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_version} %{http_code} %{size_download}"}, c.args...)
				out, err := exec.Command(curl, append(args, "http://"+p.addr()+c.path)...).CombinedOutput()
				if err != nil || string(out) != c.want {
					t.Errorf("%v, got %q, want %q", err, out, c.want)
				}
			})
		}
		p.quiet(t)
	}
}

// TestH2load puts load on the proxy for a moment: every request is answered by 200.
func TestH2load(t *testing.T) {
	h2load := tool(t, "h2load")
	succeeded := regexp.MustCompile(`(?m)^requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded, 0 failed, 0 errored, 0 timeout$`)
	cases := []struct {
		name, path string
		requests   string
		args       []string
	}{
		{"many streams", "/", "20000", []string{"-c", "16", "-m", "32"}},
		{"bodies", "/bytes/100000", "500", []string{"-c", "4", "-m", "10"}},
		{"small windows", "/bytes/100000", "200", []string{"-c", "4", "-m", "10", "-w", "12", "-W", "12"}},
		{"uploads", "/echo", "200", []string{"-c", "4", "-m", "10", "-d", "upload"}},
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "upload"), bytes.Repeat([]byte("x"), 50000), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, setup{Backend: origin(t)})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(h2load, append(c.args, "-n", c.requests, "http://"+p.addr()+c.path)...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if m := succeeded.FindSubmatch(out); m == nil || string(m[1]) != c.requests || string(m[2]) != c.requests {
				t.Errorf("h2load says\n%s", out)
			}
			if !strings.Contains(string(out), "status codes: "+c.requests+" 2xx") {
				t.Errorf("not all answers are 200:\n%s", out)
			}
		})
	}
	p.quiet(t)
}

// TestGrpcurl calls the interoperability server by grpcurl.
func TestGrpcurl(t *testing.T) {
	grpcurl := built(t, "grpcurl")
	eachChain(t, func(t *testing.T, port int) {
		call := func(method, data string) (string, error) {
			out, err := exec.Command(grpcurl, "-plaintext", "-max-time", "10", "-proto", "testdata/test.proto", "-format", "text",
				"-d", data, fmt.Sprintf("127.0.0.1:%d", port), "grpc.testing.TestService/"+method).CombinedOutput()
			return strings.TrimSpace(string(out)), err
		}
		if out, err := call("UnaryCall", "response_size: 3"); err != nil || !strings.Contains(out, `body: "\000\000\000"`) {
			t.Errorf("unary: %v, %s", err, out)
		}
		if out, err := call("StreamingOutputCall", "response_parameters {size: 1} response_parameters {size: 2}"); err != nil ||
			strings.Count(out, "payload") != 2 {
			t.Errorf("server streaming: %v, %s", err, out)
		}
		if out, err := call("UnaryCall", `response_status {code: 5 message: "lost"}`); err == nil ||
			!strings.Contains(out, "Code: NotFound") || !strings.Contains(out, "Message: lost") {
			t.Errorf("an error: %v, %s", err, out)
		}
	})
}

// TestGoClient lets Go's client, which opens windows as it reads and multiplexes by itself, send many requests at once.
func TestGoClient(t *testing.T) {
	for _, http1 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http1 backend %v", http1), func(t *testing.T) {
			p := startProxy(t, setup{Backend: origin(t), HTTP1: http1})
			client := goClient(t)
			const requests = 300
			results := make(chan error, requests)
			for i := range requests {
				go func() {
					size := i * 997
					resp, err := client.Post("http://"+p.addr()+"/echo", "", bytes.NewReader(bytes.Repeat([]byte{byte(i)}, size)))
					results <- checkBody(resp, err, size, byte(i))
				}()
			}
			for range requests {
				if err := <-results; err != nil {
					t.Error(err)
				}
			}
			client.CloseIdleConnections()
			p.quiet(t)
		})
	}
}

// goClient is Go's HTTP client, by prior knowledge.
func goClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 3 * patience}
}

// checkBody reads an answer that must be 200 with the byte so many times.
func checkBody(resp *http.Response, err error, size int, what byte) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return fmt.Errorf("body of %d: %w after %d", size, err, body.Len())
	}
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 || !bytes.Equal(body.Bytes(), bytes.Repeat([]byte{what}, size)) {
		return fmt.Errorf("%s, %d, body of %d bytes instead of %d", resp.Proto, resp.StatusCode, body.Len(), size)
	}
	return nil
}
