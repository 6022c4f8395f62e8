package faults

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// program is a proxy, found or built once by TestMain; err says why one is missing.
type program struct {
	name string
	path string
	err  error
}

var proxies []program

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	mosn, envoy := program{name: "mosn"}, program{name: "envoy"}
	mosn.path, mosn.err = peers.MosnBinary(dir)
	envoy.path, envoy.err = peers.EnvoyBinary()
	proxies = []program{mosn, envoy}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// each runs a test against every proxy that is there.
func each(t *testing.T, f func(t *testing.T, b program)) {
	t.Helper()
	eachOf(t, proxies, f)
}

func eachOf(t *testing.T, programs []program, f func(t *testing.T, b program)) {
	t.Helper()
	for _, b := range programs {
		t.Run(b.name, func(t *testing.T) {
			if b.err != nil {
				t.Skipf("%s is not there: %v", b.name, b.err)
			}
			f(t, b)
		})
	}
}

// rig is a proxy in front of one cluster.
type rig struct {
	*peers.Process
	addr  string // of the listener
	admin string
	log   string
}

// routeDefault is the route action of a rig that has no wishes.
const routeDefault = `{cluster: b, timeout: 5s}`

const bootstrapText = `
node: {id: faults, cluster: test}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: %[1]d}}}
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: %[2]d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: faults
          upgrade_configs: [{upgrade_type: websocket}]
          access_log:
          - name: envoy.access_loggers.file
            typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: %[3]s}
          route_config:
            name: r
            virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: %[4]s}]}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: b
    type: STATIC
    connect_timeout: 0.3s
    circuit_breakers: {thresholds: [%[6]s]}
    load_assignment:
      cluster_name: b
      endpoints: [{lb_endpoints: [%[5]s]}]
`

// newRig starts a proxy of two workers whose cluster has the ports as its hosts.
func newRig(t *testing.T, b program, route string, ports ...int) *rig {
	t.Helper()
	return newRigWith(t, b, route, roomy, 2, ports...)
}

// roomy are circuit breakers that no test meets by accident.
const roomy = `{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000, max_retries: 1000}`

func newRigWith(t *testing.T, b program, route, thresholds string, concurrency int, ports ...int) *rig {
	t.Helper()
	dir := t.TempDir()
	admin, port := peers.FreePort(t), peers.HoldPort(t)
	r := &rig{
		addr:  fmt.Sprintf("127.0.0.1:%d", port),
		admin: fmt.Sprintf("127.0.0.1:%d", admin),
		log:   filepath.Join(dir, "access.log"),
	}
	var hosts []string
	for _, p := range ports {
		hosts = append(hosts, fmt.Sprintf("{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}", p))
	}
	text := fmt.Sprintf(bootstrapText, admin, port, r.log, route, strings.Join(hosts, ", "), thresholds)
	p, err := peers.StartProxy(t, b.path, dir, "bootstrap", []byte(text), r.admin, concurrency)
	if err != nil {
		t.Fatal(err)
	}
	r.Process = p
	if err := p.WaitListen(r.addr, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	return r
}

// live is what mosn's heap holds after a collection: its resident memory is also what the
// next collection will find.
func (r *rig) live(t *testing.T) int64 {
	t.Helper()
	fetch := func(path string) string {
		resp, err := http.Get("http://" + r.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
		return string(text)
	}
	fetch("/debug/pprof/heap?gc=1")
	var memory struct {
		Allocated int64 `json:"allocated,string"`
	}
	if err := json.Unmarshal([]byte(fetch("/memory")), &memory); err != nil {
		t.Fatal(err)
	}
	return memory.Allocated
}

// stat reads one counter or gauge from admin.
func (r *rig) stat(t *testing.T, name string) int {
	t.Helper()
	conn, err := net.DialTimeout("tcp", r.admin, 5*time.Second)
	if err != nil {
		t.Fatalf("admin: %v", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(conn, "GET /stats?filter=^%s$ HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n", regexp.QuoteMeta(name))
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("admin: %v", err)
	}
	for line := range strings.Lines(string(all)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+": "); ok {
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatalf("stat %s is %q", name, value)
			}
			return n
		}
	}
	t.Fatalf("admin has no stat %s", name)
	return 0
}

// eventually waits until ok; what says what did not happen.
func eventually(t *testing.T, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// quiet checks that nothing is left: no stream, no downstream connection, descriptors as before.
func (r *rig) quiet(t *testing.T, descriptors int) {
	t.Helper()
	for _, gauge := range []string{
		"http.faults.downstream_cx_active", "http.faults.downstream_rq_active",
		"cluster.b.upstream_rq_active", "cluster.b.upstream_rq_pending_active",
	} {
		eventually(t, 10*time.Second, gauge+" is 0", func() bool { return r.stat(t, gauge) == 0 })
	}
	eventually(t, 10*time.Second, "descriptors are back", func() bool {
		kept := r.stat(t, "cluster.b.upstream_cx_active")
		return r.FDs() <= descriptors+kept+4 // admin's own connection comes and goes
	})
}

// flags counts the access log's lines by status and flags, once there are at least n lines.
func (r *rig) flags(t *testing.T, n int) map[string]int {
	t.Helper()
	var lines []string
	eventually(t, 15*time.Second, fmt.Sprintf("%d lines in the access log", n), func() bool {
		b, _ := os.ReadFile(r.log)
		lines = strings.Split(strings.TrimSpace(string(b)), "\n")
		return len(lines) >= n && lines[0] != ""
	})
	count := map[string]int{}
	for _, l := range lines {
		_, rest, _ := strings.Cut(l, `" `)
		f := strings.Fields(rest)
		if len(f) < 2 {
			t.Fatalf("access log line %q", l)
		}
		count[f[0]+" "+f[1]]++
	}
	return count
}

// get sends one request on a connection of its own and returns the status, 0 when there was no answer.
func get(addr string) int {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return 0
	}
	defer conn.Close()
	return roundTrip(conn, bufio.NewReader(conn))
}

// roundTrip sends a GET and reads the answer with its body; 0 when there was none or not a whole one.
func roundTrip(conn net.Conn, in *bufio.Reader) int {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nhost: h\r\n\r\n"); err != nil {
		return 0
	}
	status, length, err := readHead(in)
	if err != nil {
		return 0
	}
	if _, err := io.CopyN(io.Discard, in, length); err != nil {
		return 0
	}
	return status
}

// readHead reads a head; status is 0 for a request's.
func readHead(in *bufio.Reader) (status int, length int64, err error) {
	first, err := in.ReadString('\n')
	if err != nil {
		return 0, 0, err
	}
	if strings.HasPrefix(first, "HTTP/1.") {
		status = peers.Status(strings.TrimSpace(first))
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, 0, err
		}
		line = strings.TrimSpace(line)
		if line == "" {
			return status, length, nil
		}
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "content-length") {
			if length, err = strconv.ParseInt(strings.TrimSpace(value), 10, 64); err != nil {
				return 0, 0, err
			}
		}
	}
}
