package stats

import (
	"net/http"
	"strings"
	"testing"
	"time"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"

	"sofamesh.io/sofamesh/sdk/sdktest"
)

func configured(t *testing.T, text string) *Config {
	t.Helper()
	cfg, err := Compile(sdktest.NewCompiler(t), sdktest.Text[metricsv3.StatsConfig](t, text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestStatsTags(t *testing.T) {
	const name = "cluster.up.upstream_rq_503"
	for _, c := range []struct{ config, name, want string }{
		{``, name, `cluster.upstream_rq{envoy_response_code="503",envoy_cluster_name="up"}`},
		{`use_all_default_tags { }`, name, `cluster.up.upstream_rq_503{}`},
		{`use_all_default_tags { } stats_tags { tag_name: "envoy.cluster_name" }`, name, `cluster.upstream_rq_503{envoy_cluster_name="up"}`},
		{`stats_tags { tag_name: "zone" fixed_value: "z1" }`, name, `cluster.upstream_rq{zone="z1",envoy_response_code="503",envoy_cluster_name="up"}`},
		{`stats_tags { tag_name: "kind" regex: "^cluster\\.up\\.((.*?)_)rq" }`, name, `cluster.rq{envoy_response_code="503",envoy_cluster_name="up",kind="upstream"}`},
		{`stats_tags { tag_name: "one" regex: "(upstream_)" }`, name, `cluster.rq{envoy_response_code="503",envoy_cluster_name="up",one="upstream_"}`},
		{`stats_tags { tag_name: "n" regex: "x(y)?" }`, "x", `x{}`},
		// Of two of one name the default counts, unless that is turned round.
		{`stats_tags { tag_name: "envoy.cluster_name" regex: "^cluster\\.((.).*?\\.)" }`, name, `cluster.upstream_rq{envoy_response_code="503",envoy_cluster_name="up"}`},
		{`allow_default_tag_overrides { value: true } stats_tags { tag_name: "envoy.cluster_name" regex: "^cluster\\.((.).*?\\.)" }`, name, `cluster.upstream_rq{envoy_response_code="503",envoy_cluster_name="u"}`},
		{``, "http.a.rbac.p.allowed", `http.rbac.allowed{envoy_rbac_http_prefix="p",envoy_http_conn_manager_prefix="a"}`},
		{``, "p.http_local_rate_limit.ok", `http_local_rate_limit.ok{envoy_local_http_ratelimit_prefix="p"}`},
		{``, "cluster.c.grpc.a.B.M.success", `cluster.grpc.B.success{envoy_grpc_bridge_method="M",envoy_grpc_bridge_service="a",envoy_cluster_name="c"}`},
		{``, "vhost.v.route.r.upstream_rq_200", `vhost.route.upstream_rq{envoy_response_code="200",envoy_virtual_host="v",envoy_route="r"}`},
	} {
		common, tags := configured(t, c.config).tags.extract(c.name)
		if got := common + "{" + labels(tags) + "}"; got != c.want {
			t.Errorf("%s\n%s:\n got %s\nwant %s", c.config, c.name, got, c.want)
		}
	}
}

func TestStatsMatcher(t *testing.T) {
	for config, want := range map[string]string{
		`stats_matcher { reject_all: true }`:                                                       "",
		`stats_matcher { reject_all: false }`:                                                      "a.c: 1\na.d: 0\nb.g: 1\na.h: No recorded values\n",
		`stats_matcher { inclusion_list { patterns { prefix: "a." } } }`:                           "a.c: 1\na.d: 0\na.h: No recorded values\n",
		`stats_matcher { exclusion_list { patterns { prefix: "a." } } }`:                           "b.g: 1\n",
		`stats_matcher { inclusion_list { patterns { exact: "b.g" } patterns { suffix: ".d" } } }`: "a.d: 0\nb.g: 1\n",
	} {
		store := NewStore(Options{})
		l := NewLocal()
		c := NewCollector(store, []*Local{l}, func(_ int, fn func()) error { fn(); return nil })
		c.Configure(configured(t, config))
		l.Inc(store.Root().Counter("a.c"))
		store.Root().Counter("a.d")
		store.Root().Histogram("a.h")
		l.AddGauge(store.Root().Gauge("b.g"), 1)
		for range 2 { // the second time by what is remembered
			if _, got := get(t, Handler(c), "/stats?filter=^[ab]\\."); got != want {
				t.Errorf("%s:\n got %q\nwant %q", config, got, want)
			}
		}
		snap, err := c.Snapshot(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(snap.Counters)+len(snap.Gauges), strings.Count(want, ": 1\n"); got != want {
			t.Errorf("%s: %d metrics in a snapshot, want %d", config, got, want)
		}
	}
}

func TestHistogramBuckets(t *testing.T) {
	store := NewStore(Options{})
	l := NewLocal()
	c := NewCollector(store, []*Local{l}, func(_ int, fn func()) error { fn(); return nil })
	c.Configure(configured(t, `histogram_bucket_settings { match { prefix: "t" } buckets: 100 buckets: 5 buckets: 2 }`))
	h := store.Root().Histogram("t.ms")
	for _, v := range []uint64{1, 3, 3, 1000} {
		l.Observe(h, v)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	l.Observe(h, 7)
	for target, want := range map[string]string{
		"/stats?filter=t.ms&histogram_buckets=cumulative": "t.ms: B2(1,1) B5(3,3) B100(3,4)\n",
		"/stats?filter=t.ms&histogram_buckets=disjoint":   "t.ms: B2(1,1) B5(2,2) B100(0,1)\n",
		"/stats?filter=t.ms&histogram_buckets=detailed": "t.ms:\n  totals=1,0.1:1, 3,0.1:2, 7,0.1:1, 1000,100:1\n  intervals=1,0.1:1, 3,0.1:2, 1000,100:1\n" +
			"  summary=P0(1.05,1.05) P25(1.05,3.03333) P50(3.03333,3.06667) P75(3.06667,7.05) P90(1050,1050) P95(1050,1050) P99(1050,1050) P99.5(1050,1050) P99.9(1050,1050) P100(1050,1050)\n",
		"/stats?filter=t.ms&histogram_buckets=disjoint&format=json": `{"stats":[{"histograms":[{"name":"t.ms","buckets":[` +
			`{"upper_bound":2,"interval":1,"cumulative":1},{"upper_bound":5,"interval":2,"cumulative":2},{"upper_bound":100,"interval":0,"cumulative":1}]}]}]}` + "\n",
		"/stats/prometheus?filter=t.ms": "# TYPE envoy_t_ms histogram\nenvoy_t_ms_bucket{le=\"2\"} 1\nenvoy_t_ms_bucket{le=\"5\"} 3\n" +
			"envoy_t_ms_bucket{le=\"100\"} 4\nenvoy_t_ms_bucket{le=\"+Inf\"} 5\nenvoy_t_ms_sum{} 1014\nenvoy_t_ms_count{} 5\n",
	} {
		if code, got := get(t, Handler(c), target); code != http.StatusOK || got != want {
			t.Errorf("%s:\n got %s\nwant %s", target, got, want)
		}
	}
	if _, got := get(t, Handler(c), "/stats?filter=t.ms&histogram_buckets=detailed&format=json"); !strings.Contains(got, `"intervals":[{"lower_bound":1,"width":0.1,"count":1}`) {
		t.Error(got)
	}
	if _, got := get(t, Handler(c), "/stats/prometheus?filter=t.ms&histogram_buckets=summary"); !strings.Contains(got, "# TYPE envoy_t_ms summary\n") ||
		!strings.Contains(got, "envoy_t_ms{quantile=\"0.995\"} 1050\n") {
		t.Error(got)
	}
	if _, got := get(t, Handler(c), "/stats?filter=t.ms&invert_filter"); strings.Contains(got, "t.ms") || got == "" {
		t.Error(got)
	}
	for _, target := range []string{"/stats?histogram_buckets=odd", "/stats/prometheus?histogram_buckets=disjoint", "/stats?format=html", "/stats/prometheus?format=json"} {
		if code, _ := get(t, Handler(c), target); code != http.StatusBadRequest {
			t.Errorf("%s: %d", target, code)
		}
	}
}

// TestSnapshots: each has what came since the one before, also after a reset.
func TestSnapshots(t *testing.T) {
	store := NewStore(Options{})
	l := NewLocal()
	c := NewCollector(store, []*Local{l}, func(_ int, fn func()) error { fn(); return nil })
	rq, h := store.Root().Counter("cluster.a.rq"), store.Root().Histogram("cluster.a.ms")
	store.Root().Counter("cluster.a.never")
	take := func(value, delta, interval, total uint64) {
		t.Helper()
		s, err := c.Snapshot(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Counters) != 1 || s.Counters[0].Value != value || s.Counters[0].Delta != delta || s.Counters[0].Common != "cluster.rq" {
			t.Errorf("%+v", s.Counters)
		}
		if len(s.Histograms) != 1 || s.Histograms[0].Interval.Count != interval || s.Histograms[0].Total.Count != total {
			t.Errorf("%+v", s.Histograms)
		}
	}
	l.Add(rq, 3)
	l.Observe(h, 1)
	take(3, 3, 1, 1)
	take(3, 0, 0, 1)
	l.Add(rq, 2)
	l.Observe(h, 1)
	take(5, 2, 1, 2)
	if err := c.Reset(); err != nil {
		t.Fatal(err)
	}
	l.Inc(rq)
	take(1, 1, 0, 2)
}

func TestConfigRefused(t *testing.T) {
	for text, want := range map[string]string{
		`stats_tags { tag_name: "x" }`:                                                `stats_tags[0]: no regex specified for tag specifier and no default regex for name: "x"`,
		`stats_tags { regex: "(a)" }`:                                                 `stats_tags[0].tag_name: must not be empty`,
		`stats_tags { tag_name: "x" regex: "(" }`:                                     `stats_tags[0].regex: error parsing`,
		`stats_tags { tag_name: "x" regex: "a" }`:                                     `stats_tags[0].regex: has no group`,
		`stats_matcher { exclusion_list { patterns { safe_regex { regex: "(" } } } }`: `stats_matcher.exclusion_list.patterns[0]`,
		`histogram_bucket_settings { match { prefix: "a" } buckets: 0 }`:              `histogram_bucket_settings[0].buckets: 0 is not above 0`,
		`histogram_bucket_settings { match { prefix: "a" } }`:                         `histogram_bucket_settings[0].buckets: must not be empty`,
	} {
		if _, err := Compile(sdktest.NewCompiler(t), sdktest.Text[metricsv3.StatsConfig](t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
