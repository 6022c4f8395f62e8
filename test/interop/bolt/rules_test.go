package bolt

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// rules is written for HTTP and governs RPC.
const rules = `
            - name: hello
              domains: [com.acme.hello]
              routes:
              - match: {path: /com.acme.Hello/slow}
                route: {cluster: a, timeout: 0.3s}
              - match: {path: /com.acme.Hello/fail}
                direct_response: {status: 403, body: {inline_string: "not today"}}
              - match: {prefix: /com.acme.Hello/, headers: [{name: sofa_head_method_name, string_match: {exact: mirror}}]}
                route: {cluster: b}
              - match: {prefix: /, headers: [{name: rpc_req_baggage.user, string_match: {exact: vip}}]}
                route: {cluster: b}
              - match: {prefix: /, headers: [{name: rpc_req_baggage.user, string_match: {exact: weighted}}]}
                route: {weighted_clusters: {clusters: [{name: a, weight: 50}, {name: b, weight: 50}]}}
              - match: {prefix: /, headers: [{name: rpc_req_baggage.user, string_match: {exact: mirrored}}]}
                route: {cluster: a, request_mirror_policies: [{cluster: shadow}]}
              - match: {prefix: /, headers: [{name: rpc_req_baggage.user, string_match: {exact: retried}}]}
                route: {cluster: half, retry_policy: {retry_on: connect-failure, num_retries: 8}}
              - match: {prefix: /}
                route: {cluster: a}`

// testRules sends RPC and HTTP through the same routes of the same listener to the same hosts.
func (w *world) testRules(t *testing.T) {
	a, b := newBoth(t, "java", w.java.addr), newBoth(t, "node", w.node.addr)
	shadow := w.nodeServer(t, "shadow", peers.FreePort(t))
	dark := newBoth(t, "shadow", shadow.addr)
	m := startMosn(t, w.mosn, []listener{{"l", rules}}, []cluster{
		at("a", a.addr), at("b", b.addr), at("shadow", dark.addr), at("half", local(peers.RefusedPort(t)), a.addr),
	})
	r := &ruled{m: m, c: w.clients["java"]}

	t.Run("default", func(t *testing.T) { r.same(t, "hello", "", "java:x") })
	t.Run("header", func(t *testing.T) { r.same(t, "hello", "vip", "node:x") })
	t.Run("weighted", r.weighted)
	t.Run("retried", func(t *testing.T) {
		for range 10 {
			r.same(t, "hello", "retried", "java:x")
		}
		if n := m.stat(t, "cluster.half.upstream_rq_retry_success"); n == 0 {
			t.Error("nothing was retried")
		}
	})
	t.Run("mirrored", func(t *testing.T) {
		r.same(t, "hello", "mirrored", "java:x")
		eventually(t, "both requests are mirrored", func() bool { return m.stat(t, "cluster.shadow.upstream_rq_200") == 2 })
		eventually(t, "the shadow got one as HTTP", func() bool { return dark.asked.Load() == 1 })
	})
	t.Run("header of SOFARPC", func(t *testing.T) {
		before := m.stat(t, "cluster.b.upstream_rq_200")
		if got := r.c.do(t, "call method=mirror size=100 to=%s", m.addr("l")); got != "ok 100 bytes" {
			t.Errorf("RPC got %q", got)
		}
		if n := m.stat(t, "cluster.b.upstream_rq_200") - before; n != 1 {
			t.Errorf("cluster b has answered %d requests, want 1", n)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		r.fails(t, "slow", "SofaTimeOutException/200", 504)
		if n := m.stat(t, "cluster.a.upstream_rq_timeout"); n != 2 {
			t.Errorf("%d timeouts counted, want 2", n)
		}
	})
	t.Run("direct response", func(t *testing.T) { r.fails(t, "fail", "SofaRpcException/199 not today", 403) })
	t.Run("log", func(t *testing.T) {
		for _, protocol := range []string{"bolt", "HTTP/1.1"} {
			for _, line := range []string{"hello 200 -", "slow 504 UT", "fail 403 -"} {
				m.logged(t, protocol+" POST com.acme.hello /com.acme.Hello/"+line)
			}
		}
	})
	t.Run("Node", func(t *testing.T) {
		if got := w.clients["node"].do(t, "call text=x to=%s", m.addr("l")); got != "ok java:x" {
			t.Errorf("default: %q", got)
		}
		got := w.clients["node"].do(t, "call method=slow ms=2000 to=%s", m.addr("l"))
		if !strings.HasPrefix(got, "error ") {
			t.Errorf("timeout: %q", got)
		}
	})
}

// ruled sends the same as RPC and as HTTP.
type ruled struct {
	m *mosn
	c *program
}

// same checks that both kinds of calls are answered alike, and counted.
func (r *ruled) same(t *testing.T, method, user, want string) {
	t.Helper()
	with := ""
	if user != "" {
		with = "user=" + user
	}
	before := r.m.stat(t, "http.l.downstream_rq_2xx")
	if got := r.c.do(t, "call method=%s text=x %s to=%s", method, with, r.m.addr("l")); got != "ok "+want {
		t.Errorf("RPC got %q, want %q", got, want)
	}
	if status, got := r.post(t, method, user); status != 200 || got != want {
		t.Errorf("HTTP got %d %q, want 200 %q", status, got, want)
	}
	eventually(t, "two answers are counted", func() bool { return r.m.stat(t, "http.l.downstream_rq_2xx") == before+2 })
}

// fails checks what both kinds of calls see of an answer of mosn's own.
func (r *ruled) fails(t *testing.T, method, exception string, status int) {
	t.Helper()
	if got := r.c.do(t, "call method=%s ms=2000 to=%s", method, r.m.addr("l")); !strings.HasPrefix(got, "error "+exception) {
		t.Errorf("RPC got %q, want %s", got, exception)
	}
	if got, _ := r.post(t, method, ""); got != status {
		t.Errorf("HTTP got %d, want %d", got, status)
	}
}

func (r *ruled) weighted(t *testing.T) {
	got := r.c.do(t, "load kind=callback calls=100 at_once=10 user=weighted to=%s", r.m.addr("l"))
	wantLoad(t, got, 100)
	if !strings.Contains(got, "from-java=") || !strings.Contains(got, "from-node=") {
		t.Errorf("RPC: %s", got)
	}
	count := map[string]int{}
	for range 100 {
		_, body := r.post(t, "hello", "weighted")
		count[body]++
	}
	if count["java:x"] == 0 || count["node:x"] == 0 || len(count) != 2 {
		t.Errorf("HTTP: %v", count)
	}
}

// post sends a call as HTTP.
func (r *ruled) post(t *testing.T, method, user string) (status int, body string) {
	t.Helper()
	url := fmt.Sprintf("http://%s/com.acme.Hello/%s", r.m.addr("l"), method)
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "com.acme.hello"
	if user != "" {
		req.Header.Set("rpc_req_baggage.user", user)
	}
	client := http.Client{Timeout: patience}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(all)
}
