package route

import (
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// TestVirtualClusters: the first that fits counts a request, else "other".
func TestVirtualClusters(t *testing.T) {
	const text = `virtual_hosts { name: "v" domains: "*"
		virtual_clusters { name: "a" headers { name: ":path" string_match { prefix: "/a" } } }
		virtual_clusters { name: "b" headers { name: ":path" string_match { prefix: "/" } } headers { name: "x" present_match: true } }
		routes { match { prefix: "/" } stat_prefix: "r" direct_response { status: 200 } } }`
	store := stats.NewStore(stats.Options{})
	l := stats.NewLocal()
	table, err := Compile(sdktest.NewCompiler(t), sdktest.Text[routev3.RouteConfiguration](t, text),
		Options{Scope: store.Root(), Names: NewStatNames()})
	if err != nil {
		t.Fatal(err)
	}
	vh := table.VirtualHost("h")
	for _, headers := range [][]string{{":path", "/a"}, {":path", "/a", "x", "1"}, {":path", "/c", "x", "1"}, {":path", "/c"}} {
		var h sdk.Headers
		for i := 0; i < len(headers); i += 2 {
			h.Add(headers[i], headers[i+1])
		}
		s := vh.VirtualCluster(&h)
		if n := testing.AllocsPerRun(100, func() { vh.VirtualCluster(&h) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
		s.Inc(l, RqTotal)
		s.Code(l, 503)
		s.Time(l, 7)
	}
	c := stats.NewCollector(store, []*stats.Local{l}, func(_ int, fn func()) error { fn(); return nil })
	v, err := c.Scrape(stats.Filter{UsedOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint64{"a": 2, "b": 1, "other": 1} {
		for _, stat := range []string{"upstream_rq_total", "upstream_rq_503", "upstream_rq_5xx", "upstream_rq_completed"} {
			if got, _ := v.Value("vhost.v.vcluster." + name + "." + stat); got != want {
				t.Errorf("%s of %s: %d, want %d", stat, name, got, want)
			}
		}
	}
	if _, err := Compile(sdktest.NewCompiler(t), sdktest.Text[routev3.RouteConfiguration](t,
		`virtual_hosts { name: "v" domains: "*" virtual_clusters { name: "a" } }`), Options{}); err == nil ||
		!strings.Contains(err.Error(), "virtual_hosts[0].virtual_clusters[0]: virtual clusters must define 'headers'") {
		t.Errorf("without headers: %v", err)
	}
}

// TestNobodyCounts: where no scope is given everything does nothing.
func TestNobodyCounts(t *testing.T) {
	var s *RequestStats
	s.Inc(nil, RqTotal)
	s.Code(nil, 200)
	s.Time(nil, 1)
}
