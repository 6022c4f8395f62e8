package stats

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// TestPrometheusReads parses what a large store looks like with Prometheus's own parser.
func TestPrometheusReads(t *testing.T) {
	store := NewStore(Options{})
	l := NewLocal()
	c := NewCollector(store, []*Local{l}, func(_ int, fn func()) error { fn(); return nil })
	names := NewNames(List{
		Gauges: []string{"membership_total"}, Counters: []string{"upstream_rq_total"}, Lazy: NewCodes().Names("upstream_rq_"),
		Histograms: []string{"upstream_rq_time"},
	})
	const clusters = 2000
	for i := range clusters {
		// Names as people have them, and as nobody should.
		name := [...]string{"outbound|80||svc-%d.ns.svc.cluster.local", `quo"te\%d`, "line\nbreak%d", "\xff%d", "ü%d", "a{b}=%d"}[i%6]
		b := BlockOf(store.Root().Scope("cluster."+fmt.Sprintf(name, i)), names)
		l.AddGauge(b.Gauge(0), 1)
		l.Add(b.Counter(0), uint64(i))
		l.Inc(b.Lazy(rand.IntN(60)))
		l.Observe(b.Histogram(0), uint64(rand.IntN(5000)))
	}
	// One name as two kinds, which would be refused.
	l.Inc(store.Root().Counter("a.b"))
	l.AddGauge(store.Root().Gauge("a_b"), 1)
	for how, kind := range map[Buckets]string{
		BucketsDefault: "HISTOGRAM", BucketsCumulative: "HISTOGRAM", BucketsSummary: "SUMMARY",
	} {
		v, err := c.Scrape(Filter{UsedOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := v.WritePrometheus(&text, how); err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(&text)
		if err != nil {
			t.Fatalf("%q: %v", how, err)
		}
		times := families["envoy_cluster_upstream_rq_time"]
		if times.GetType().String() != kind || families["envoy_cluster_upstream_rq_total"].GetType().String() != "COUNTER" {
			t.Errorf("%q: %v", how, times.GetType())
		}
		// The first part of an Istio cluster's name is its label, as in Envoy: with it they are apart all the same.
		if n := len(families["envoy_cluster_membership_total"].GetMetric()); n < clusters*5/6 {
			t.Errorf("%q: %d gauges of %d clusters", how, n, clusters)
		}
	}
}

// TestLabelsOfSamples compares labels with what Envoy 1.40 writes for the same names.
func TestLabelsOfSamples(t *testing.T) {
	for name, want := range map[string]string{
		"listener.127.0.0.1_19902.worker_0.downstream_cx_total":     `envoy_listener_worker_downstream_cx_total{envoy_worker_id="0",envoy_listener_address="127.0.0.1_19902"}`,
		"listener.127.0.0.1_19902.http.pfx.downstream_rq_2xx":       `envoy_listener_http_downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="pfx",envoy_listener_address="127.0.0.1_19902"}`,
		"listener.127.0.0.1_19902.http.pfx.downstream_rq_completed": `envoy_listener_http_downstream_rq_completed{envoy_http_conn_manager_prefix="pfx",envoy_listener_address="127.0.0.1_19902"}`,
		"vhost.vh.route.rp.upstream_rq_200":                         `envoy_vhost_route_upstream_rq{envoy_response_code="200",envoy_virtual_host="vh",envoy_route="rp"}`,
		"server.worker_0.watchdog_miss":                             `envoy_server_worker_watchdog_miss{envoy_worker_id="0"}`,
		"listener_manager.listener_added":                           `envoy_listener_manager_listener_added{}`,
		"listener.admin.main_thread.downstream_cx_total":            `envoy_listener_admin_main_thread_downstream_cx_total{}`,
	} {
		common, tags := DefaultConfig().tags.extract(name)
		if got := "envoy_" + sanitize(common) + "{" + labels(tags) + "}"; got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}
