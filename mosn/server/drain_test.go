package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// proxyYAML is a proxy in front of one backend, with a listener and admin on the
// ports.
func proxyYAML(listen, admin int, backend string) string {
	host, port, _ := net.SplitHostPort(backend)
	return fmt.Sprintf(`
admin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}
static_resources:
  clusters:
  - name: one
    connect_timeout: 5s
    load_assignment: {cluster_name: one, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %s, port_value: %s}}}}]}]}
  listeners:
  - name: web
    address: {socket_address: {address: 127.0.0.1, port_value: %d}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: one, timeout: 0s}}]}]}
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`, admin, host, port, listen)
}

// freePorts returns two ports that are free now.
func freePorts(t *testing.T) (a, b int) {
	t.Helper()
	for _, p := range []*int{&a, &b} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		*p = ln.Addr().(*net.TCPAddr).Port
	}
	return a, b
}

// drainBench is a proxy with one request under way in the backend and one idle
// connection.
type drainBench struct {
	busy, idle net.Conn
	release    chan struct{} // lets the backend answer
	done       chan int      // exit code
	listen     int
}

func startDrain(t *testing.T, drainSeconds string) *drainBench {
	t.Helper()
	b := &drainBench{release: make(chan struct{}), done: make(chan int, 1)}
	arrived := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			select {
			case <-b.release:
			case <-r.Context().Done():
			}
		}
		fmt.Fprint(w, "late")
	}))
	t.Cleanup(backend.Close)
	var admin int
	b.listen, admin = freePorts(t)
	go func() {
		// One loop: that an idle connection was closed says that the busy one knows too.
		code, _, _ := run("--concurrency", "1", "-l", "off", "--drain-time-s", drainSeconds,
			"--config-yaml", proxyYAML(b.listen, admin, backend.Listener.Addr().String()))
		b.done <- code
	}()
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	await(t, func() bool {
		resp, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d/ready", admin))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == 200
	})
	for _, p := range []*net.Conn{&b.busy, &b.idle} {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", b.listen))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		*p = conn
	}
	exchange(t, b.idle, "/quick")
	fmt.Fprint(b.busy, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-arrived
	return b
}

// exchange sends a request and reads its response, which stays on the connection.
func exchange(t *testing.T, c net.Conn, path string) {
	t.Helper()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "late" || resp.Close {
		t.Fatalf("%v %q, %v", resp, body, err)
	}
}

func (b *drainBench) exit(t *testing.T) {
	t.Helper()
	select {
	case code := <-b.done:
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the proxy does not end")
	}
}

func terminate(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// TestDrain: SIGTERM closes listeners and idle connections; the request under way is
// answered, and its response says that the connection ends.
func TestDrain(t *testing.T) {
	b := startDrain(t, "600")
	terminate(t)
	if n, err := b.idle.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the idle connection gets %d bytes, %v", n, err)
	}
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", b.listen)); err == nil {
		_ = c.Close()
		t.Error("a draining proxy accepts")
	}
	close(b.release)
	resp, err := http.ReadResponse(bufio.NewReader(b.busy), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || !resp.Close || string(body) != "late" || err != nil {
		t.Errorf("%v, %q, %v", resp, body, err)
	}
	b.exit(t)
}

// TestDrainTimeEnds: what takes longer than --drain-time-s is cut off.
func TestDrainTimeEnds(t *testing.T) {
	b := startDrain(t, "0")
	terminate(t)
	b.exit(t)
	if text, _ := io.ReadAll(b.busy); strings.Contains(string(text), "200 OK") {
		t.Errorf("answered: %q", text)
	}
}

// TestSecondSignalEndsNow: nobody has to wait for the drain.
func TestSecondSignalEndsNow(t *testing.T) {
	b := startDrain(t, "600")
	terminate(t)
	if n, err := b.idle.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the idle connection gets %d bytes, %v", n, err)
	}
	terminate(t)
	b.exit(t)
}
