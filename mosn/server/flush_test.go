package server_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSinks: a running proxy sends its numbers to a receiver of datagrams; what a sink
// does not take is counted and holds up nobody.
func TestSinks(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	sock := filepath.Join(t.TempDir(), "admin")
	yaml := fmt.Sprintf(`
admin: {address: {pipe: {path: %s}}}
stats_flush_interval: 0.05s
stats_config: {stats_matcher: {inclusion_list: {patterns: [{prefix: "server."}, {prefix: "http.admin"}]}}}
static_resources: {clusters: [{name: nobody, connect_timeout: 1s}]}
stats_sinks:
- name: tcp
  typed_config: {"@type": type.googleapis.com/envoy.config.metrics.v3.StatsdSink, tcp_cluster_name: nobody}
- name: udp
  typed_config:
    "@type": type.googleapis.com/envoy.config.metrics.v3.DogStatsdSink
    prefix: p
    address: {socket_address: {address: 127.0.0.1, port_value: %s}}
`, sock, port)
	done := make(chan int, 1)
	go func() {
		code, _, _ := run("--concurrency", "1", "-l", "off", "--config-yaml", yaml)
		done <- code
	}()
	c := unixClient(sock)
	await(t, func() bool { return get(c, "/ready") == "LIVE\n" })
	got := map[string]bool{}
	b := make([]byte, 64<<10)
	deadline := time.Now().Add(20 * time.Second)
	for !got["p.server.live:1|g"] || !got["p.http.downstream_rq_xx:1|c|#envoy.response_code_class:2,envoy.http_conn_manager_prefix:admin"] {
		if err := conn.SetReadDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		n, _, err := conn.ReadFrom(b)
		if err != nil {
			t.Fatalf("%v; got %v", err, got)
		}
		got[string(b[:n])] = true
		if strings.HasPrefix(string(b[:n]), "p.cluster") {
			t.Fatalf("stats_matcher does not let %q through", b[:n])
		}
	}
	await(t, func() bool {
		s := get(c, "/stats?filter=dropped_stat_flushes")
		return strings.HasPrefix(s, "server.dropped_stat_flushes: ") && s != "server.dropped_stat_flushes: 0\n"
	})
	resp, err := c.Post("http://x/quitquitquit", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if code := <-done; code != 0 {
		t.Errorf("code %d", code)
	}
}

// TestSinksRefused: sinks that are not here are known by name.
func TestSinksRefused(t *testing.T) {
	for sink, want := range map[string]string{
		`{name: a, typed_config: {"@type": type.googleapis.com/envoy.config.metrics.v3.HystrixSink}}`:      "envoy.stat_sinks.hystrix is known but not built yet",
		`{name: a, typed_config: {"@type": type.googleapis.com/envoy.extensions.stat_sinks.wasm.v3.Wasm}}`: "known but not built yet",
		`{name: envoy.stat_sinks.metrics_service}`:                                                         "envoy.stat_sinks.metrics_service is known but not built yet",
		`{name: none}`: `there is no envoy.stats_sinks extension named "none"`,
		`{name: a, typed_config: {"@type": type.googleapis.com/envoy.config.metrics.v3.StatsdSink, tcp_cluster_name: x}}`: "stats_sinks[0].typed_config.tcp_cluster_name: unknown cluster 'x'",
	} {
		for _, mode := range []string{"validate", "init_only"} {
			code, _, stderr := run("--mode", mode, "--concurrency", "1", "--config-yaml", "stats_sinks: ["+sink+"]")
			if code == 0 || !strings.Contains(stderr, want) {
				t.Errorf("%s: %s: %d %q, want %s", mode, sink, code, stderr, want)
			}
		}
	}
}
