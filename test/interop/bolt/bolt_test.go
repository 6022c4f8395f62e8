package bolt

import (
	"fmt"
	"os"
	"testing"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// world is what all tests share: the peers and mosn's binary.
type world struct {
	*kit
	mosn       string
	java, node *server
	bare       string // address of Bolt without SOFARPC
	clients    map[string]*program
}

// server is a running server of the service com.acme.Hello.
type server struct {
	*program
	addr string
}

var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bolt")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// TestBolt holds all tests, so that the peers start once.
func TestBolt(t *testing.T) {
	k := newKit(t)
	binary, err := peers.MosnBinary(buildDir)
	if err != nil {
		t.Skipf("no mosn to talk through: %v", err)
	}
	w := &world{kit: k, mosn: binary, clients: map[string]*program{}}
	bare := peers.FreePort(t)
	w.bare = local(bare)
	w.java = w.javaServer(t, "java", peers.FreePort(t), bare)
	w.node = w.nodeServer(t, "node", peers.FreePort(t))
	w.clients["java"] = start(t, "java client", k.java("Client"))
	w.clients["node"] = start(t, "node client", k.node("client.js"))

	for _, p := range w.paths(t) {
		t.Run(p.name, func(t *testing.T) {
			t.Run("calls", func(t *testing.T) { w.testCalls(t, p) })
			t.Run("mixed clients", func(t *testing.T) { w.testMixed(t, p) })
			t.Run("bare", func(t *testing.T) { w.testBare(t, p) })
			if p.first != nil {
				t.Run("counts", func(t *testing.T) { w.testCounts(t, p) })
			}
		})
	}
	t.Run("heartbeats", w.testHeartbeats)
	t.Run("frozen server", w.testFrozen)
	t.Run("restarts", w.testRestarts)
	t.Run("client gone", w.testGone)
	t.Run("errors", w.testErrors)
	t.Run("rules", w.testRules)
}

func (k *kit) javaServer(t testing.TB, name string, port, bare int) *server {
	t.Helper()
	args := []string{name, fmt.Sprint(port)}
	if bare != 0 {
		args = append(args, fmt.Sprint(bare))
	}
	return &server{start(t, name, k.java("Server", args...)), local(port)}
}

func (k *kit) nodeServer(t testing.TB, name string, port int) *server {
	t.Helper()
	return &server{start(t, name, k.node("server.js", name, fmt.Sprint(port))), local(port)}
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// path is a way from the clients to the servers.
type path struct {
	name             string
	java, node, bare string // addresses that lead to the servers
	first            *mosn  // the one that the clients talk to; nil: none
	last             *mosn  // the one that talks to the servers
}

// server returns the address that leads to a server of a kind.
func (p path) server(kind string) string {
	if kind == "java" {
		return p.java
	}
	return p.node
}

// paths are the direct one, through a mosn, and through two.
func (w *world) paths(t *testing.T) []path {
	last := w.forward(t, w.java.addr, w.node.addr, w.bare)
	first := w.forward(t, last.addr("java"), last.addr("node"), last.addr("bare"))
	other := w.forward(t, w.java.addr, w.node.addr, w.bare)
	return []path{
		{"direct", w.java.addr, w.node.addr, w.bare, nil, nil},
		{"one mosn", other.addr("java"), other.addr("node"), other.addr("bare"), other, other},
		{"two mosns", first.addr("java"), first.addr("node"), first.addr("bare"), first, last},
	}
}

// forward starts a mosn that sends what its three listeners get to three addresses.
func (w *world) forward(t *testing.T, java, node, bare string) *mosn {
	t.Helper()
	return startMosn(t, w.mosn,
		[]listener{{"java", everything("java", "")}, {"node", everything("node", "")}, {"bare", everything("bare", "")}},
		[]cluster{at("java", java), at("node", node), at("bare", bare)})
}
