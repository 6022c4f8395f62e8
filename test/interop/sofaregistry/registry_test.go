package sofaregistry

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// patience bounds every wait for something that is expected to happen soon. The server takes 2 s for a push.
const patience = 40 * time.Second

// session is where the server takes clients; it has no choice.
const session = "127.0.0.1:9600"

// TestPushes: a subscriber that goes through mosn is told what is published, also after its connection to the server was cut, if the cluster
// ties connections together; over connections that clients share it is told nothing.
func TestPushes(t *testing.T) {
	k := newKit(t)
	k.startServer(t)
	cut := newRelay(t, session)
	direct := lookup(t, session)

	t.Run("paired", func(t *testing.T) {
		m := k.startMosn(t, cut.addr, "connection_pool_per_downstream_connection: true")
		w := k.watch(t, "paired", lookup(t, m.addr), direct)
		await(t, "two pushes", w, func() bool { return w.last("push") >= 2 })
		if n := cut.cut(); n != 1 {
			t.Errorf("%d connections to the server, want the subscriber's one", n)
		}
		next := w.last("put") + 1
		await(t, "a push after the cut", w, func() bool { return w.last("push") >= next })
		pushed := m.stat(t, "http.l.downstream_rq_reverse_total")
		if n := strings.Count(w.Output(), "push "); pushed < n {
			t.Errorf("%d pushes arrived, mosn has seen %d", n, pushed)
		}
		if n := m.stat(t, "cluster.registry.upstream_rq_stray_response"); n > 0 {
			t.Errorf("%d pushes were refused", n)
		}
		if n := m.stat(t, "http.l.downstream_cx_rpc_total"); n != 2 {
			t.Errorf("the client has connected %d times, want twice", n)
		}
		w.Kill()
		await(t, "the end of the connection to the server", w, func() bool { return m.stat(t, "cluster.registry.upstream_cx_active") == 0 })
	})

	t.Run("shared", func(t *testing.T) {
		m := k.startMosn(t, cut.addr, "")
		w := k.watch(t, "shared", lookup(t, m.addr), direct)
		await(t, "three pushes", w, func() bool { return m.stat(t, "cluster.registry.upstream_rq_stray_response") > 2 })
		if n := w.last("push"); n >= 0 {
			t.Errorf("push %d arrived", n)
		}
		if n := m.stat(t, "http.l.downstream_rq_reverse_total"); n > 0 {
			t.Errorf("%d requests went to the client", n)
		}
	})
}

// kit is what the programs are made of.
type kit struct{ cache, home, mosn string }

// newKit compiles the client; without the tools or the jars the test is skipped.
func newKit(t *testing.T) *kit {
	t.Helper()
	for _, tool := range []string{"java", "javac"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no SOFARegistry: %v: run test/interop/sofaregistry/install.sh", err)
		}
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no SOFARegistry: %v", err)
	}
	k := &kit{cache: filepath.Join(dir, "sofamesh", "registry-peers"), home: t.TempDir()}
	if _, err := os.Stat(filepath.Join(k.cache, "done")); err != nil {
		t.Skipf("no SOFARegistry: %v: run test/interop/sofaregistry/install.sh", err)
	}
	if k.mosn, err = peers.MosnBinary(k.home); err != nil {
		t.Skipf("no mosn to talk through: %v", err)
	}
	javac := exec.Command("javac", "-cp", filepath.Join(k.cache, "client", "*"), "-d", k.home, filepath.Join("java", "Watch.java"))
	if out, err := javac.CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	return k
}

// java runs a main class with the jars of a part.
func (k *kit) java(t *testing.T, part, class string, args ...string) *peers.Process {
	t.Helper()
	return peers.Start(t, "java", append([]string{
		"-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Duser.home=" + k.home, "--add-opens=java.base/java.lang=ALL-UNNAMED",
		"-cp", k.home + ":" + filepath.Join(k.cache, part, "*"), class,
	}, args...)...)
}

// startServer runs all of the registry in one process.
func (k *kit) startServer(t *testing.T) {
	t.Helper()
	if conn, err := net.Dial("tcp", session); err == nil {
		_ = conn.Close()
		t.Fatalf("something listens on %s already, and the server has no other address", session)
	}
	s := k.java(t, "server", "com.alipay.sofa.registry.server.integration.RegistryApplication", "--spring.profiles.active=dev")
	healthy := func() bool {
		resp, err := http.Get("http://127.0.0.1:9603/health/check")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return strings.Contains(string(body), `"success":true`)
	}
	for deadline := time.Now().Add(2 * time.Minute); !healthy(); time.Sleep(200 * time.Millisecond) {
		select {
		case <-s.Done():
			t.Fatalf("the server has ended:\n%s", s.Output())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is not ready:\n%s", s.Output())
		}
	}
}

// watcher is a running Watch.
type watcher struct{ *peers.Process }

// watch runs Watch with the ports of two lookups.
func (k *kit) watch(t *testing.T, name string, reader, writer int) watcher {
	t.Helper()
	return watcher{k.java(t, "client", "Watch", name, strconv.Itoa(reader), strconv.Itoa(writer))}
}

// last is the last number that it printed after a word, -1 for none.
func (w watcher) last(word string) int {
	all := regexp.MustCompile(`(?m)^`+word+` (\d+)$`).FindAllStringSubmatch(w.Output(), -1)
	if len(all) == 0 {
		return -1
	}
	n, _ := strconv.Atoi(all[len(all)-1][1])
	return n
}

// await waits for something.
func await(t *testing.T, what string, w watcher, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s; the client says\n%s", what, w.Output())
		}
	}
}

// lookup answers clients that ask where the registry is, and returns its port.
func lookup(t *testing.T, addr string) int {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/servers/query" {
			http.NotFound(rw, r) // queryWithWeight, which the server does not have either
			return
		}
		_, _ = io.WriteString(rw, addr)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

// relay passes the bytes between its clients and a server on.
type relay struct {
	addr string

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	r := &relay{addr: ln.Addr().String(), conns: map[net.Conn]bool{}}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go r.serve(conn, target)
		}
	}()
	return r
}

func (r *relay) serve(client net.Conn, target string) {
	r.mu.Lock()
	r.conns[client] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.conns, client)
		r.mu.Unlock()
		_ = client.Close()
	}()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	pass := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src)
		done <- struct{}{}
	}
	go pass(server, client)
	go pass(client, server)
	<-done // then both connections are closed
}

// cut closes all connections and returns how many there were.
func (r *relay) cut() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		_ = conn.Close()
	}
	return len(r.conns)
}

const bootstrap = `
node: {id: registry, cluster: test}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: %d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: l
          route_config:
            name: l
            virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: registry}}]}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: registry
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: registry
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]
    %s
`

// mosn is a running mosn.
type mosn struct{ addr, admin string }

// startMosn runs one in front of the server, with more fields of the cluster.
func (k *kit) startMosn(t *testing.T, server, fields string) *mosn {
	t.Helper()
	_, port, _ := net.SplitHostPort(server)
	n, _ := strconv.Atoi(port)
	own, admin := peers.HoldPort(t), peers.FreePort(t)
	m := &mosn{addr: fmt.Sprintf("127.0.0.1:%d", own), admin: fmt.Sprintf("127.0.0.1:%d", admin)}
	p, err := peers.StartProxy(t, k.mosn, t.TempDir(), "bootstrap", fmt.Appendf(nil, bootstrap, admin, own, n, fields), m.admin, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WaitListen(m.addr, patience); err != nil {
		t.Fatal(err)
	}
	return m
}

// stat is a stat of mosn's, 0 if it does not have it.
func (m *mosn) stat(t *testing.T, name string) int {
	t.Helper()
	resp, err := http.Get("http://" + m.admin + "/stats?filter=^" + regexp.QuoteMeta(name) + "$")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(strings.TrimSpace(string(body)), ": ")
	n, _ := strconv.Atoi(value)
	return n
}
