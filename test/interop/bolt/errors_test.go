package bolt

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// errorHosts routes by the user that a call carries as baggage. A call of com.acme.Proto finds no virtual host.
const errorHosts = `
            - name: hello
              domains: [com.acme.hello]
              routes:
              - {match: {prefix: /, headers: [{name: rpc_req_baggage.user, string_match: {exact: empty}}]}, route: {cluster: empty}}
              - {match: {prefix: /, headers: [{name: rpc_req_baggage.user, string_match: {exact: refused}}]}, route: {cluster: refused}}
              - {match: {prefix: /, headers: [{name: rpc_req_baggage.user, string_match: {exact: slow}}]}, route: {cluster: ok, timeout: 0.2s}}
              - {match: {prefix: /, headers: [{name: rpc_req_baggage.user, string_match: {exact: narrow}}]}, route: {cluster: narrow}}
              - {match: {prefix: /, headers: [{name: rpc_req_baggage.user, string_match: {exact: mortal}}]}, route: {cluster: mortal}}
              - {match: {prefix: /, headers: [{name: rpc_req_baggage.user, string_match: {exact: fine}}]}, route: {cluster: ok}}`

// localErrors are answers of mosn's own: what Java's client makes of them, by RpcErrorType after the slash.
var localErrors = []struct{ name, command, want string }{
	{"no virtual host", "call service=proto", noRoute},
	{"no route", "call user=nobody", noRoute},
	{"no host", "call user=empty", unavailable},
	{"refused", "call user=refused", unavailable},
	{"timeout", "call user=slow method=slow ms=2000", "SofaTimeOutException/200"},
	{"fine", "call user=fine text=a", ""},
}

// The exceptions that SOFARPC's client has for what mosn has to say.
const (
	noRoute     = "SofaRpcException/199"
	unavailable = "SofaRpcException/250"
	busy        = "SofaRpcException/100"
)

// testErrors checks that what mosn answers itself becomes the right exception in the Java client, directly and behind another mosn.
func (w *world) testErrors(t *testing.T) {
	mortal := w.nodeServer(t, "mortal", peers.FreePort(t))
	last := startMosn(t, w.mosn, []listener{{"l", errorHosts}}, []cluster{
		at("ok", w.java.addr), at("empty"), at("refused", local(peers.RefusedPort(t))), at("mortal", mortal.addr),
		{Name: "narrow", Addresses: []string{w.node.addr}, MaxRequests: 1},
	})
	first := startMosn(t, w.mosn, []listener{{"l", everything("c", "")}}, []cluster{at("c", last.addr("l"))})
	for _, m := range []*mosn{last, first} {
		name := map[*mosn]string{last: "one mosn", first: "two mosns"}[m]
		t.Run(name, func(t *testing.T) { w.testErrorsThrough(t, m.addr("l")) })
	}
	for _, m := range []*mosn{last, first} {
		name := map[*mosn]string{last: "lost behind one mosn", first: "lost behind two mosns"}[m]
		t.Run(name, func(t *testing.T) { w.testLost(t, m, last, &mortal) })
	}
}

func (w *world) testErrorsThrough(t *testing.T, addr string) {
	c := w.clients["java"]
	for _, e := range localErrors {
		for _, kind := range []string{"sync", "future", "callback"} {
			got := c.do(t, "%s kind=%s to=%s", e.command, kind, addr)
			if e.want == "" && got != "ok java:a" || e.want != "" && !strings.HasPrefix(got, "error "+e.want+" ") {
				t.Errorf("%s, %s: got %q, want %q", e.name, kind, got, e.want)
			}
		}
	}
	first := c.begin(t, "call user=narrow method=slow ms=700 text=a to=%s", addr)
	var rest []<-chan string
	for range 5 {
		rest = append(rest, c.begin(t, "call user=narrow method=slow ms=700 text=a to=%s", addr))
	}
	passed, refused := 0, 0
	for _, answer := range append(rest, first) {
		switch got := c.result(t, answer); {
		case got == "ok node:a":
			passed++
		case strings.HasPrefix(got, "error "+busy+" "):
			refused++
		default:
			t.Errorf("overload: got %q, want %s", got, busy)
		}
	}
	if passed == 0 || refused == 0 {
		t.Errorf("of 6 calls at once, with one allowed, %d passed and %d were refused", passed, refused)
	}
}

// testLost kills a server while it has calls.
func (w *world) testLost(t *testing.T, m, last *mosn, mortal **server) {
	c := w.clients["java"]
	var answers []<-chan string
	for _, kind := range []string{"sync", "future", "callback"} {
		answers = append(answers, c.begin(t, "call user=mortal method=slow ms=5000 kind=%s to=%s", kind, m.addr("l")))
	}
	eventually(t, "the calls are under way", func() bool { return last.stat(t, "cluster.mortal.upstream_rq_active") == len(answers) })
	(*mortal).Signal(syscall.SIGKILL)
	for _, answer := range answers {
		if got := c.result(t, answer); !strings.HasPrefix(got, fmt.Sprintf("error %s ", unavailable)) {
			t.Errorf("connection lost: got %q, want %s", got, unavailable)
		}
	}
	*mortal = w.nodeServer(t, "mortal", portOf(*mortal))
}

func portOf(s *server) int {
	var port int
	_, _ = fmt.Sscanf(s.addr, "127.0.0.1:%d", &port)
	return port
}
