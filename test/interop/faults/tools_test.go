package faults

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// tool finds a real client or says that its part is skipped.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed (test/interop/install.sh does it): its part is skipped", name)
	}
	return path
}

// TestCurl lets curl do what people do with curl.
func TestCurl(t *testing.T) {
	curl := tool(t, "curl")
	upload := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(upload, bytes.Repeat([]byte("x"), 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		args []string
		want string
	}{
		{"get", nil, "200 ok"},
		{"head", []string{"-I", "-o", "/dev/null"}, "200 "},
		{"post", []string{"-d", "a=b"}, "200 ok"},
		{"upload with expect", []string{"-T", upload, "-H", "Expect: 100-continue"}, "200 ok"},
		{"upload chunked", []string{"-T", upload, "-H", "Transfer-Encoding: chunked"}, "200 ok"},
		{"refused version", []string{"--http1.0"}, "426 Upgrade Required"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, b program) {
				o := peers.NewBackend(t, "ok", nil, &peers.Activity{})
				r := newRig(t, b, routeDefault, o.Port())
				args := append([]string{"-sS", "--max-time", "20", "-w", "%{stderr}%{http_code} "}, c.args...)
				cmd := exec.Command(curl, append(args, "http://"+r.addr+"/")...)
				var body, status bytes.Buffer
				cmd.Stdout, cmd.Stderr = &body, &status
				if err := cmd.Run(); err != nil {
					t.Fatalf("%v: %s", err, status.String())
				}
				if got := status.String() + body.String(); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}

var wrkErrors = regexp.MustCompile(`(?m)^\s*(Socket errors|Non-2xx).*$`)

// TestWrk puts wrk's load on the proxy for a second and expects no error of any kind.
func TestWrk(t *testing.T) {
	wrk := tool(t, "wrk")
	each(t, func(t *testing.T, b program) {
		o := newOrigin(t, answers)
		r := newRig(t, b, routeDefault, o.port())
		before := r.FDs()
		out, err := exec.Command(wrk, "-t1", "-c64", "-d1s", "http://"+r.addr+"/").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if m := wrkErrors.Find(out); m != nil {
			t.Errorf("wrk saw errors: %s", m)
		}
		if !strings.Contains(string(out), "Requests/sec") {
			t.Errorf("wrk said %s", out)
		}
		r.quiet(t, before)
	})
}

// TestTerminate sends SIGTERM while a request is under way: mosn answers it, takes no new connection and ends.
func TestTerminate(t *testing.T) {
	mosn := proxies[:1] // Envoy drops what is under way at SIGTERM; there, draining is an admin request
	eachOf(t, mosn, func(t *testing.T, b program) {
		o := newOrigin(t, slow)
		r := newRig(t, b, routeDefault, o.port())
		status := make(chan int)
		go func() { status <- get(r.addr) }()
		eventually(t, 5*time.Second, "the request is under way", func() bool {
			return r.stat(t, "cluster.b.upstream_rq_active") == 1
		})
		r.Signal(syscall.SIGTERM)
		if got := <-status; got != 200 {
			t.Errorf("the request under way got %d", got)
		}
		select {
		case <-r.Done():
		case <-time.After(10 * time.Second):
			t.Errorf("did not end within 10 s of SIGTERM")
		}
	})
}
