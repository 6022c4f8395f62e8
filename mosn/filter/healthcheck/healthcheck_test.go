package healthcheck

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	checkv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

const (
	path   = `headers { name: ":path" string_match { exact: "/hc" } } `
	asks   = "pass_through_mode { value: true } " + path
	alone  = "pass_through_mode { } " + path
	cached = asks + "cache_time { seconds: 2 } "
)

func host(t testing.TB, config string) *sdktest.Host {
	t.Helper()
	return sdktest.NewHost(t, Filter(), sdktest.Text[checkv3.HealthCheck](t, config))
}

// ask sends a question, and says what was answered; a reply goes back through the filter,
// as in the proxy.
func ask(t *testing.T, h *sdktest.Host, at time.Duration) string {
	t.Helper()
	s := h.Stream()
	defer s.End()
	s.Time = at
	s.SendRequest(true, ":path: /hc")
	if !s.Info().HealthCheck {
		t.Error("it is not noted as a health check")
	}
	return said(t, h, s)
}

func said(t *testing.T, h *sdktest.Host, s *sdktest.Stream) string {
	t.Helper()
	if len(s.Replies) == 0 {
		return "asked"
	}
	r := s.Replies[0]
	var head sdk.Headers
	head.SetStatus(r.Status)
	if r.Edit != nil {
		r.Edit(&head)
	}
	got := fmt.Sprint(r.Status, " ", r.Flag.Names(), " ", r.Details)
	if head.Has("x-envoy-degraded") {
		got += " degraded"
	}
	return got
}

func TestAlone(t *testing.T) {
	const two = `cluster_min_healthy_percentages { key: "a" value { value: 50.9 } } cluster_min_healthy_percentages { key: "b" value { value: 0 } } `
	h := host(t, alone)
	if got := ask(t, h, 0); got != "200 - health_check_ok" {
		t.Error(got)
	}
	h.Failing = true
	if got := ask(t, h, 0); got != "503 LH health_check_failed" {
		t.Error(got)
	}
	for _, c := range []struct {
		a, b *sdk.Members
		want string
	}{
		{&sdk.Members{Total: 2, Healthy: 1}, &sdk.Members{}, "200 - health_check_ok_cluster_healthy"},
		{&sdk.Members{Total: 4, Healthy: 1, Degraded: 1}, &sdk.Members{Total: 1}, "200 - health_check_ok_cluster_healthy"},
		{&sdk.Members{Total: 5, Healthy: 1, Degraded: 1}, &sdk.Members{}, "503 LH health_check_failed_cluster_unhealthy"},
		{&sdk.Members{}, &sdk.Members{}, "503 LH health_check_failed_cluster_empty"},
		{nil, &sdk.Members{}, "503 LH health_check_failed_no_cluster_found"},
		{&sdk.Members{Total: 1, Healthy: 1}, nil, "503 LH health_check_failed_no_cluster_found"},
	} {
		h := host(t, alone+two)
		h.Members = map[string]sdk.Members{}
		for name, m := range map[string]*sdk.Members{"a": c.a, "b": c.b} {
			if m != nil {
				h.Members[name] = *m
			}
		}
		if got := ask(t, h, 0); got != c.want {
			t.Errorf("%v %v: %s", c.a, c.b, got)
		}
		h.Failing = true
		if got := ask(t, h, 0); got != "503 LH health_check_failed" {
			t.Error(got)
		}
	}
	if got := ask(t, host(t, asks+two), 0); got != "asked" {
		t.Errorf("pass through, with minima: %s", got)
	}
}

// TestOthers: what is no question passes, and hears of a failing proxy.
func TestOthers(t *testing.T) {
	for _, failing := range []bool{false, true} {
		h := host(t, alone)
		h.Failing = failing
		s := h.Stream()
		s.SendRequest(false, ":path: /x")
		s.SendRequestData("abc", true)
		s.SendResponse(true, ":status: 200")
		got := s.ToClient.Value("x-envoy-immediate-health-check-fail")
		if (got == "true") != failing || s.ToServer.Body != "abc" || s.Info().HealthCheck || len(s.ToClient.Head) > 2 {
			t.Errorf("%v: %+v %+v", failing, s.ToServer, s.ToClient)
		}
	}
}

// TestBodies: an answer waits for the end of the question, and holds nothing of it.
func TestBodies(t *testing.T) {
	h := host(t, alone)
	h.Limit = 4
	for _, trailers := range []bool{false, true} {
		s := h.Stream()
		s.SendRequest(false, ":path: /hc")
		for range 5 {
			s.SendRequestData("abc", false)
		}
		if len(s.Replies) != 0 || s.RequestBody().Len() != 0 {
			t.Errorf("%v, %d held", s.Replies, s.RequestBody().Len())
		}
		if trailers {
			s.SendRequestTrailers("x: y")
		} else {
			s.SendRequestData("d", true)
		}
		if got := said(t, h, s); got != "200 - health_check_ok" || s.ToServer.Head != nil {
			t.Errorf("%s, %+v", got, s.ToServer)
		}
		s.End()
	}
}

func TestPassThrough(t *testing.T) {
	h := host(t, asks)
	s := h.Stream()
	s.SendRequest(false, ":path: /hc")
	s.SendRequestData("abc", false)
	s.SendRequestTrailers("x: y")
	if !s.ToServer.Ended || s.ToServer.Body != "abc" {
		t.Errorf("%+v", s.ToServer)
	}
	s.End()
	h.Failing = true
	if got := ask(t, h, 0); got != "503 LH health_check_failed" {
		t.Error(got)
	}
}

func TestCache(t *testing.T) {
	h := host(t, cached)
	answer := func(at time.Duration, lines ...string) {
		t.Helper()
		s := h.Stream()
		s.Time = at
		s.SendRequest(true, ":path: /hc")
		if len(s.Replies) > 0 {
			t.Fatalf("at %v: %+v", at, s.Replies)
		}
		s.SendResponse(true, lines...)
		s.End()
	}
	check := func(at time.Duration, want string) {
		t.Helper()
		if got := ask(t, h, at); got != want {
			t.Errorf("at %v: %s, want %s", at, got, want)
		}
	}
	check(0, "asked")
	answer(1500*time.Millisecond, ":status: 204")
	check(1999*time.Millisecond, "204 - health_check_cached")
	check(2*time.Second, "asked") // periods begin by themselves
	answer(2*time.Second, ":status: 503", "x-envoy-degraded: 1")
	check(3999*time.Millisecond, "503 LH health_check_cached degraded")
	answer(7*time.Second, ":status: 200")
	check(7*time.Second, "200 - health_check_cached")
	h.Failing = true
	check(7*time.Second, "503 LH health_check_failed")
	h.Failing = false

	s := h.Stream() // no question: no answer to remember
	s.Time = 9 * time.Second
	s.SendRequest(true, ":path: /x")
	s.SendResponse(true, ":status: 500")
	s.End()
	check(9*time.Second, "asked")
}

func TestShortCache(t *testing.T) {
	h := host(t, asks+"cache_time { nanos: 999999 }")
	s := h.Stream()
	s.SendRequest(true, ":path: /hc")
	s.SendResponse(true, ":status: 200")
	s.End()
	if got := ask(t, h, 0); got != "asked" {
		t.Error(got)
	}
}

// node is a compiler that knows its node.
type node struct{ sdk.Compiler }

func (node) Node() *corev3.Node { return &corev3.Node{Cluster: "mine"} }

func TestResponseHeaders(t *testing.T) {
	conf, err := Filter().Compile(node{sdktest.NewCompiler(t)}, sdktest.Text[checkv3.HealthCheck](t, asks))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, want string
		failing    bool
		protocol   sdk.Protocol
	}{
		{"/hc", "mine", false, sdk.HTTP2},
		{"/hc", "mine true", true, sdk.HTTP11},
		{"/x", "", false, sdk.HTTP2},
		{"/x", "true", true, sdk.HTTP2},
		{"/hc", "", true, sdk.RPC},
	} {
		h := host(t, asks)
		h.Failing = c.failing
		s := h.Stream()
		s.Info().Protocol = c.protocol
		s.Request().Add(":path", c.path)
		s.Response().SetStatus(200)
		f := conf.New(s)
		f.OnRequestHeaders(s, false)
		f.OnResponseHeaders(s, true)
		got := s.Response().Value("x-envoy-upstream-healthchecked-cluster") + " " + s.Response().Value("x-envoy-immediate-health-check-fail")
		if strings.TrimSpace(got) != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestCompile(t *testing.T) {
	for config, want := range map[string]string{
		alone + "cache_time { seconds: 1 }":                                       "cache_time: must not be set",
		alone + `headers { name: "a" safe_regex_match { regex: "(" } }`:           "headers[1]",
		asks + `headers { name: "b" string_match { safe_regex { regex: "(" } } }`: "headers[1]",
	} {
		_, err := Filter().Compile(sdktest.NewCompiler(t), sdktest.Text[checkv3.HealthCheck](t, config))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
	c := sdktest.NewCompiler(t)
	c.AddCluster("a")
	if _, err := Filter().Compile(c, sdktest.Text[checkv3.HealthCheck](t, alone+
		`cluster_min_healthy_percentages { key: "a" value { } } cluster_min_healthy_percentages { key: "b" value { } }`)); err != nil {
		t.Fatal(err)
	}
	if w := c.Warnings(); len(w) != 1 || !strings.Contains(w[0], `["b"]`) || strings.Join(c.Clusters(), " ") != "a b" {
		t.Errorf("%q %q", w, c.Clusters())
	}
}

func TestAllocs(t *testing.T) {
	s := host(t, cached).Stream()
	s.SendRequest(true, ":path: /x")
	s.SendResponse(true, ":status: 200")
	if n := testing.AllocsPerRun(100, func() {
		fl := s.Again()
		fl.OnRequestHeaders(s, true)
		fl.OnResponseHeaders(s, true)
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}
