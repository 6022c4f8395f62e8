package bolt

import (
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

// exception is what SOFARPC makes of an answer, by the kind of call: the class, and RpcErrorType after the slash. A future and a callback know
// less than a synchronous call: that is SOFARPC's doing, with its own server too.
type exception struct{ sync, future, callback string }

func (e exception) of(kind string) string {
	switch kind {
	case "sync":
		return e.sync
	case "future":
		return e.future
	}
	return e.callback
}

const unrouted = "SofaRpcException/199 no route for com.acme."

var (
	noRoute  = exception{unrouted, unrouted, unrouted}                                           // SERVER_UNDECLARED_ERROR, with our text
	lost     = exception{"SofaRpcException/250", "SofaRpcException/199", "SofaRpcException/199"} // CLIENT_NETWORK
	busy     = exception{"SofaRpcException/100", "SofaRpcException/199", "SofaRpcException/199"} // SERVER_BUSY
	timedOut = exception{"SofaTimeOutException/200", "SofaRpcException/199", "SofaTimeOutException/200"}
)

// kinds are those of the calls that get an answer.
var kinds = []string{"sync", "future", "callback"}

// localErrors are answers of mosn's own.
var localErrors = []struct {
	name, command string
	want          exception
}{
	{"no virtual host", "call service=proto", noRoute},
	{"no route", "call user=nobody", noRoute},
	{"no host", "call user=empty", lost},
	{"refused", "call user=refused", lost},
	{"timeout", "call user=slow method=slow ms=2000", timedOut},
}

// testErrors checks that what mosn answers itself becomes the right exception in the Java client, directly and behind another mosn.
func (w *world) testErrors(t *testing.T) {
	mortal := peers.FreePort(t)
	last := startMosn(t, w.mosn, []listener{{"l", errorHosts}}, []cluster{
		at("ok", w.java.addr), at("empty"), at("refused", local(peers.RefusedPort(t))), at("mortal", local(mortal)),
		{Name: "narrow", Addresses: []string{w.node.addr}, MaxRequests: 1},
	})
	first := startMosn(t, w.mosn, []listener{{"l", everything("c", "")}}, []cluster{at("c", last.addr("l"))})
	for _, m := range []struct {
		name string
		*mosn
	}{{"one mosn", last}, {"two mosns", first}} {
		t.Run(m.name, func(t *testing.T) {
			w.testLocalErrors(t, m.addr("l"))
			t.Run("overload", func(t *testing.T) { w.testOverload(t, m.addr("l")) })
			t.Run("connection lost", func(t *testing.T) { w.testLost(t, m.addr("l"), last, mortal) })
		})
	}
}

func (w *world) testLocalErrors(t *testing.T, addr string) {
	c := w.clients["java"]
	for _, e := range localErrors {
		t.Run(e.name, func(t *testing.T) {
			for _, kind := range kinds {
				wantError(t, c.do(t, "%s kind=%s to=%s", e.command, kind, addr), kind, e.want)
			}
		})
	}
	if got := c.do(t, "call user=fine text=a to=%s", addr); got != "ok java:a" {
		t.Errorf("after the errors: %q", got)
	}
}

func wantError(t *testing.T, got, kind string, want exception) {
	t.Helper()
	if !strings.HasPrefix(got, "error "+want.of(kind)) {
		t.Errorf("%s: got %q, want %s", kind, got, want.of(kind))
	}
}

// testOverload makes six calls at once where one is allowed.
func (w *world) testOverload(t *testing.T, addr string) {
	c := w.clients["java"]
	for _, kind := range kinds {
		var answers []<-chan string
		for range 6 {
			answers = append(answers, c.begin(t, "call user=narrow method=slow ms=300 text=a kind=%s to=%s", kind, addr))
		}
		passed := 0
		for _, answer := range answers {
			got := c.result(t, answer)
			if got == "ok node:a" {
				passed++
				continue
			}
			wantError(t, got, kind, busy)
		}
		if passed == 0 || passed == len(answers) {
			t.Errorf("%d of %d calls passed", passed, len(answers))
		}
	}
}

// testLost kills a server while it has calls.
func (w *world) testLost(t *testing.T, addr string, last *mosn, port int) {
	mortal := w.nodeServer(t, "mortal", port)
	c := w.clients["java"]
	var answers []<-chan string
	for _, kind := range kinds {
		answers = append(answers, c.begin(t, "call user=mortal method=slow ms=5000 kind=%s to=%s", kind, addr))
	}
	eventually(t, "the calls are under way", func() bool { return last.stat(t, "cluster.mortal.upstream_rq_active") == len(kinds) })
	mortal.Signal(syscall.SIGKILL)
	for i, answer := range answers {
		wantError(t, c.result(t, answer), kinds[i], lost)
	}
}
