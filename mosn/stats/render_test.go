package stats

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// sampleCollector has one metric of each kind.
func sampleCollector(t *testing.T) *Collector {
	t.Helper()
	s := NewStore(Options{})
	l := NewLocal()
	cluster := s.Root().Scope("cluster.up")
	l.Add(cluster.Counter("upstream_rq_200"), 2)
	l.Add(cluster.Counter("upstream_rq_4xx"), 1)
	l.AddGauge(cluster.Gauge("membership_total"), 1)
	h := cluster.Histogram("upstream_rq_time")
	for _, v := range []uint64{1, 43, 167} {
		l.Observe(h, v)
	}
	return NewCollector(s, []*Local{l}, inline)
}

func get(t *testing.T, h http.Handler, target string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w.Code, w.Body.String()
}

func TestText(t *testing.T) {
	code, got := get(t, Handler(sampleCollector(t)), "/stats?filter=^cluster")
	want := `cluster.up.membership_total: 1
cluster.up.upstream_rq_200: 2
cluster.up.upstream_rq_4xx: 1
cluster.up.upstream_rq_time: P0(nan,1.05) P25(nan,1.05) P50(nan,43.5) P75(nan,165) P90(nan,165) P95(nan,165) P99(nan,165) P99.5(nan,165) P99.9(nan,165) P100(nan,165)
`
	if code != 200 || got != want {
		t.Errorf("%d\n%s", code, got)
	}
}

func TestJSON(t *testing.T) {
	code, got := get(t, Handler(sampleCollector(t)), "/stats?format=json&usedonly")
	const head = `{"stats":[{"name":"cluster.up.membership_total","value":1},{"name":"cluster.up.upstream_rq_200","value":2},` +
		`{"name":"cluster.up.upstream_rq_4xx","value":1},{"histograms":{"supported_quantiles":[0,25,50,75,90,95,99,99.5,99.9,100],` +
		`"computed_quantiles":[{"name":"cluster.up.upstream_rq_time","values":[{"cumulative":1.05,"interval":null},`
	if code != 200 || !strings.HasPrefix(got, head) || !json.Valid([]byte(got)) {
		t.Errorf("%d\n%s", code, got)
	}
	if _, got := get(t, Handler(sampleCollector(t)), "/stats?format=json&filter=nothing"); got != `{"stats":[]}`+"\n" {
		t.Errorf("empty: %s", got)
	}
}

// TestPrometheus holds the form of Envoy 1.40's answer.
func TestPrometheus(t *testing.T) {
	code, got := get(t, Handler(sampleCollector(t)), "/stats/prometheus?usedonly")
	const head = `# TYPE envoy_cluster_upstream_rq counter
envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="up"} 2
# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{envoy_response_code_class="4",envoy_cluster_name="up"} 1
# TYPE envoy_cluster_membership_total gauge
envoy_cluster_membership_total{envoy_cluster_name="up"} 1
# TYPE envoy_cluster_upstream_rq_time histogram
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="up",le="0.5"} 0
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="up",le="1"} 1
`
	const tail = `envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="up",le="3600000"} 3
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="up",le="+Inf"} 3
envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="up"} 211
envoy_cluster_upstream_rq_time_count{envoy_cluster_name="up"} 3
`
	if code != 200 || !strings.HasPrefix(got, head) || !strings.HasSuffix(got, tail) {
		t.Errorf("%d\n%s", code, got)
	}
	if _, same := get(t, Handler(sampleCollector(t)), "/stats?format=prometheus&usedonly"); same != got {
		t.Error("?format=prometheus differs")
	}
}

// TestTags: names and labels as Envoy 1.40 gave them.
func TestTags(t *testing.T) {
	for name, want := range map[string]string{
		"cluster.up.upstream_rq_503":                                `cluster.upstream_rq{envoy_response_code="503",envoy_cluster_name="up"}`,
		"cluster.up.external.upstream_rq_5xx":                       `cluster.external.upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="up"}`,
		"cluster.up.upstream_rq_timeout":                            `cluster.upstream_rq_timeout{envoy_cluster_name="up"}`,
		"cluster.up.circuit_breakers.high.rq_open":                  `cluster.circuit_breakers.high.rq_open{envoy_cluster_name="up"}`,
		"http.ingress.downstream_rq_2xx":                            `http.downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="ingress"}`,
		"http.ingress.rds.routes.update_success":                    `http.rds.update_success{envoy_rds_route_config="routes",envoy_http_conn_manager_prefix="ingress"}`,
		"listener.127.0.0.1_19000.downstream_cx_total":              `listener.downstream_cx_total{envoy_listener_address="127.0.0.1_19000"}`,
		"listener.[__1]_80.downstream_cx_total":                     `listener.downstream_cx_total{envoy_listener_address="[__1]_80"}`,
		"listener.named.downstream_cx_total":                        `listener.downstream_cx_total{envoy_listener_address="named"}`,
		"listener.127.0.0.1_19000.worker_0.downstream_cx_total":     `listener.worker_downstream_cx_total{envoy_worker_id="0",envoy_listener_address="127.0.0.1_19000"}`,
		"listener.127.0.0.1_19000.http.ingress.downstream_rq_xx":    `listener.http.downstream_rq_xx{envoy_http_conn_manager_prefix="ingress",envoy_listener_address="127.0.0.1_19000"}`,
		"listener.admin.downstream_cx_total":                        `listener.admin.downstream_cx_total{}`,
		"server.worker_3.watchdog_miss":                             `server.worker_watchdog_miss{envoy_worker_id="3"}`,
		"workers.watchdog_miss":                                     `workers.watchdog_miss{}`,
		"vhost.v.vcluster.other.upstream_rq_200":                    `vhost.vcluster.upstream_rq{envoy_response_code="200",envoy_virtual_cluster="other",envoy_virtual_host="v"}`,
		"tcp.front.downstream_cx_total":                             `tcp.downstream_cx_total{envoy_tcp_prefix="front"}`,
		"filesystem.write_completed":                                `filesystem.write_completed{}`,
		"server":                                                    `server{}`,
		"cluster.lonely":                                            `cluster.lonely{}`,
		"cluster.outbound|80||a.b.svc.cluster.local.upstream_rq_xx": `cluster.b.svc.cluster.local.upstream_rq_xx{envoy_cluster_name="outbound|80||a"}`,
	} {
		got, tags := DefaultConfig().tags.extract(name)
		if got += "{" + labels(tags) + "}"; got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	if got, want := labels([]sdk.StatTag{{Name: "l", Value: "a\"b\\c\nd"}}), `l="a\"b\\c\nd"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHandlerRefuses(t *testing.T) {
	h := Handler(sampleCollector(t))
	for target, want := range map[string]string{
		"/stats?filter=(":    "missing closing )",
		"/stats?format=xml":  "usage: /stats?format=",
		"/stats?type=pieces": `invalid type "pieces"`,
	} {
		if code, body := get(t, h, target); code != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", target, code, body)
		}
	}
	for target, want := range map[string]string{
		"/stats?type=Gauges&filter=^cl":     "cluster.up.membership_total: 1\n",
		"/stats?type=TextReadouts":          "",
		"/stats?type=Counters&filter=4xx":   "cluster.up.upstream_rq_4xx: 1\n",
		"/stats?type=Histograms&filter=4xx": "",
		"/stats?type=All&filter=4xx":        "cluster.up.upstream_rq_4xx: 1\n",
	} {
		if code, body := get(t, h, target); code != http.StatusOK || body != want {
			t.Errorf("%s: %d %q", target, code, body)
		}
	}
}

// TestTexts: texts stand before the numbers, in quotes, as Envoy writes them.
func TestTexts(t *testing.T) {
	s := NewStore(Options{})
	scope := s.Root().Scope("a")
	SetText(scope, "version_text", "old")
	SetText(scope, "version_text", "v1")
	SetText(s.Root(), "b", "")
	scope.Counter("n")
	c := NewCollector(s, nil, nil)
	for filter, want := range map[string]string{
		"filter=^a":                       "a.version_text: \"v1\"\na.n: 0\n",
		"filter=^(a|b)&type=TextReadouts": "a.version_text: \"v1\"\nb: \"\"\n",
		"filter=^(a|b)&type=Counters":     "a.n: 0\n",
		"filter=^(a|b)&usedonly":          "a.version_text: \"v1\"\n",
		"filter=^a&format=json":           `{"stats":[{"name":"a.version_text","value":"v1"},{"name":"a.n","value":0}]}` + "\n",
	} {
		w := httptest.NewRecorder()
		Handler(c).ServeHTTP(w, httptest.NewRequest("GET", "/stats?"+filter, nil))
		if got := w.Body.String(); got != want {
			t.Errorf("%s: %q, want %q", filter, got, want)
		}
	}
}
