package faults

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

const churnText = `
node: {id: churn, cluster: test}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: %[1]d}}}
dynamic_resources: {cds_config: {path_config_source: {path: %[3]s}}}
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: %[2]d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: churn
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: b}}]}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: b
    connect_timeout: 1s
    load_assignment: {cluster_name: b, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %[4]d}}}}]}]}
`

// TestReplaceAllClusters replaces every cluster of a file, again and again, while requests
// come at an even rate: none fails. What they wait for is printed beside a control run, in
// which another process burns the processor instead; SOFAMESH_LONG takes 10,000 clusters.
func TestReplaceAllClusters(t *testing.T) {
	count, rounds := 1000, 5
	if os.Getenv("SOFAMESH_LONG") != "" {
		count = 10000
	}
	mosn := proxies[slices.IndexFunc(proxies, func(p program) bool { return p.name == "mosn" })]
	if mosn.err != nil {
		t.Fatal(mosn.err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "cds.json")
	// They are written beforehand, as that is work for this process, which also measures.
	prepared := func(version int) string { return fmt.Sprintf("%s.%d", file, version) }
	prepare := func(version int) {
		var b strings.Builder
		b.WriteString(`{"resources":[`)
		for i := range count {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"c%d","connect_timeout":"%d.%03ds","load_assignment":{"cluster_name":"c%d","endpoints":[{"lb_endpoints":[`+
				`{"endpoint":{"address":{"socket_address":{"address":"127.0.0.1","port_value":9}}}}]}]}}`, i, 1+version/1000, version%1000, i)
		}
		b.WriteString("]}")
		if err := os.WriteFile(prepared(version), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replace := func(version int) {
		if err := os.Rename(prepared(version), file); err != nil {
			t.Error(err)
		}
	}
	for v := range rounds + 1 {
		prepare(v)
	}
	replace(0)
	o := newOrigin(t, answers)
	admin, port := peers.FreePort(t), peers.HoldPort(t)
	r := &rig{addr: fmt.Sprintf("127.0.0.1:%d", port), admin: fmt.Sprintf("127.0.0.1:%d", admin)}
	p, err := peers.StartProxy(t, mosn.path, dir, "bootstrap", fmt.Appendf(nil, churnText, admin, port, file, o.port()), r.admin, 1)
	if err != nil {
		t.Fatal(err)
	}
	r.Process = p
	if err := p.WaitListen(r.addr, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	applied := func(version int) {
		for range 100 {
			time.Sleep(500 * time.Millisecond) // to ask costs the proxy something, too
			if r.stat(t, "cluster_manager.cds.update_success") >= version+1 {
				return
			}
		}
		t.Fatalf("version %d is not applied", version)
	}
	applied(0)
	start := time.Now()
	busy, failed := pace(t, r.addr, func() {
		for v := range rounds {
			replace(v + 1)
			applied(v + 1)
		}
	})
	took := time.Since(start)
	slow := r.stat(t, "server.worker_0.turns_over_10ms")
	control, failedToo := pace(t, r.addr, func() {
		burner := exec.Command("sh", "-c", "while :; do :; done")
		if err := burner.Start(); err != nil {
			t.Error(err)
			return
		}
		time.Sleep(took)
		_ = burner.Process.Kill()
		_ = burner.Wait()
	})
	if failed+failedToo > 0 {
		t.Errorf("%d and %d requests failed", failed, failedToo)
	}
	t.Logf("%d clusters replaced %d times in %v: p50 %v, p99 %v of %d requests; control: p50 %v, p99 %v; %d turns over 10 ms, the longest %d us", count, rounds,
		took.Round(time.Millisecond), at(busy, 50), at(busy, 99), len(busy), at(control, 50), at(control, 99), slow, r.stat(t, "server.worker_0.longest_turn_us"))
}

// pace sends requests at an even rate, whether or not earlier ones are answered, while
// work is done, and returns what each took, sorted.
func pace(t *testing.T, addr string, work func()) (took []time.Duration, failed int) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var sent sync.WaitGroup
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			sent.Wait()
			slices.Sort(took)
			return took, failed
		case <-tick.C:
			sent.Go(func() {
				began := time.Now()
				resp, err := client.Get("http://" + addr + "/")
				ok := err == nil && resp.StatusCode == http.StatusOK
				if err == nil {
					resp.Body.Close()
				}
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Since(began))
				if !ok {
					failed++
				}
			})
		}
	}
}

// at returns a percentile of sorted values.
func at(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)].Round(10 * time.Microsecond)
}
