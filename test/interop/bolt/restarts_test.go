package bolt

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// retries make every call of the load safe against a server that goes away: the service's calls may be repeated. The intervals last longer than a
// server needs to come back.
const retries = `retry_policy: {retry_on: "connect-failure,refused-stream,reset,retriable-status-codes", retriable_status_codes: [503], num_retries: 30, ` +
	`retry_back_off: {base_interval: 0.05s, max_interval: 0.4s}}`

// spread sends a retry to another host than the last one.
const spread = `retry_policy: {retry_on: "connect-failure,refused-stream,reset,retriable-status-codes", retriable_status_codes: [503], num_retries: 10, host_selection_retry_max_attempts: 5, ` +
	`retry_host_predicate: [{name: envoy.retry_host_predicates.previous_hosts, typed_config: ` +
	`{"@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}], ` +
	`retry_back_off: {base_interval: 0.02s, max_interval: 0.2s}}`

// testRestarts restarts servers while both clients call without a pause: no call is lost, and each gets its own answer.
func (w *world) testRestarts(t *testing.T) {
	kinds := map[string]func(t testing.TB, name string, port int) *server{
		"java": func(t testing.TB, name string, port int) *server { return w.javaServer(t, name, port, 0) },
		"node": w.nodeServer,
	}
	for kind, serve := range kinds {
		t.Run(kind+", one host", func(t *testing.T) { w.testRestart(t, serve, retries, 1, 1) })
		t.Run(kind+", two hosts in turn", func(t *testing.T) { w.testRestart(t, serve, spread, 2, 1) })
	}
	t.Run("node, two hosts in turn, two mosns", func(t *testing.T) { w.testRestart(t, w.nodeServer, spread, 2, 2) })
}

func (w *world) testRestart(t *testing.T, serve func(t testing.TB, name string, port int) *server, policy string, hosts, mosns int) {
	var servers []*server
	var addrs []string
	ports := make([]int, hosts)
	names := []string{"a", "b"}
	for i := range ports {
		ports[i] = peers.FreePort(t)
		servers = append(servers, serve(t, names[i], ports[i]))
		addrs = append(addrs, servers[i].addr)
	}
	m := startMosn(t, w.mosn, []listener{{"l", everything("c", policy)}}, []cluster{at("c", addrs...)})
	front := m.addr("l")
	for range mosns - 1 {
		front = startMosn(t, w.mosn, []listener{{"l", everything("c", "")}}, []cluster{at("c", front)}).addr("l")
	}
	const load = "load kind=callback method=slow ms=5 at_once=16 timeout=30000 to=%s"
	var loads []<-chan string
	for _, c := range w.both() {
		loads = append(loads, c.begin(t, load, front))
	}
	busy := func() {
		before := m.stat(t, "cluster.c.upstream_rq_200")
		eventually(t, "200 calls are answered", func() bool { return m.stat(t, "cluster.c.upstream_rq_200") > before+200 })
	}
	for n, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		i := n % hosts
		busy()
		servers[i].Signal(signal)
		select {
		case <-servers[i].Done():
		case <-time.After(patience):
			t.Fatalf("%s does not end", servers[i].name)
		}
		servers[i] = serve(t, names[i], ports[i])
	}
	busy()
	for i, c := range w.both() {
		c.do(t, "stop")
		wantLoad(t, c.result(t, loads[i]), -1)
	}
	if n := m.stat(t, "cluster.c.upstream_rq_retry_success"); n == 0 {
		t.Errorf("nothing was retried: the load has not met a restart")
	}
}

// testGone kills a client that has calls under way. Others that share connections to the server do not notice, and nothing is left.
func (w *world) testGone(t *testing.T) {
	m := startMosn(t, w.mosn, []listener{{"l", everything("c", "")}}, []cluster{at("c", w.java.addr)})
	goner, stayer := start(t, "goner", w.kit.node("client.js")), w.clients["node"]
	for range 50 {
		goner.begin(t, "call method=slow ms=60000 timeout=90000 to=%s", m.addr("l"))
	}
	eventually(t, "its calls are under way", func() bool { return m.stat(t, "cluster.c.upstream_rq_active") == 50 })
	answer := stayer.begin(t, "load method=slow ms=40 calls=1000 at_once=50 to=%s", m.addr("l"))
	eventually(t, "another's are too", func() bool { return m.stat(t, "cluster.c.upstream_rq_200") > 100 })
	goner.Kill()
	wantLoad(t, stayer.result(t, answer), 1000)
	for stat, want := range map[string]int{"cluster.c.upstream_rq_active": 0, "http.l.downstream_rq_active": 0, "http.l.downstream_cx_active": 1} {
		eventually(t, fmt.Sprintf("%s is %d", stat, want), func() bool { return m.stat(t, stat) == want })
	}
}
