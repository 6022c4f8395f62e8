package grpcstats

import (
	"slices"
	"strings"
	"testing"
	"time"

	statsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func host(t testing.TB, config string) *sdktest.Host {
	t.Helper()
	return sdktest.NewHost(t, Filter(), sdktest.Text[statsv3.FilterConfig](t, config))
}

// messages returns a body of n messages of three bytes.
func messages(n int) string {
	p := grpc.Prefix(3)
	return strings.Repeat(string(p[:])+"abc", n)
}

// exchange is one call: two messages there, three back, in pieces that fit nothing.
func exchange(s *sdktest.Stream, path, status string) {
	s.SendRequest(false, ":path: "+path, "content-type: application/grpc+proto")
	body := messages(2)
	s.SendRequestData(body[:4], false)
	s.SendRequestData(body[4:9], false)
	s.SendRequestData(body[9:], true)
	s.SendResponse(false, ":status: 200", "content-type: application/grpc")
	body = messages(3)
	s.SendResponseData(body[:17], false)
	s.SendResponseData(body[17:], false)
	s.SendResponseTrailers("grpc-status: " + status)
}

// TestNames follows Envoy's test of the filter: which names a call is counted under.
func TestNames(t *testing.T) {
	const listed = `individual_method_stats_allowlist { services { name: "a.B" method_names: "C" method_names: "D" } services { name: "E" method_names: "D" } } `
	for _, c := range []struct {
		config, path, prefix string
	}{
		{"", "/a.B/C", ""},
		{"stats_for_all_methods { value: false }", "/a.B/C", ""},
		{"stats_for_all_methods { value: true }", "/a.B/C?x", "a.B.C."},
		{"stats_for_all_methods { value: true } replace_dots_in_grpc_service_name: true", "/a.b.B/C", "a_b_B.C."},
		{"replace_dots_in_grpc_service_name: true " + listed, "/a.B/C", "a.B.C."},
		{listed, "/a.B/D", "a.B.D."},
		{listed, "/a.B/X", ""},
		{listed, "/E/C", ""},
	} {
		h := host(t, c.config)
		s := h.Stream()
		exchange(s, c.path, "0")
		s.End()
		exchange(h.Stream(), c.path, "5")
		for name, want := range map[string]uint64{
			"0": 1, "5": 1, "success": 1, "failure": 1, "total": 2, "request_message_count": 4, "response_message_count": 6,
		} {
			if got := h.Counted("cluster.c.grpc." + c.prefix + name); got != want {
				t.Errorf("%s %s: %s%s = %d, want %d", c.config, c.path, c.prefix, name, got, want)
			}
		}
		if n := len(h.Scope().Names()); n != 7 {
			t.Errorf("%s %s: names %q", c.config, c.path, h.Scope().Names())
		}
	}
}

// TestNotCounted: what is no call of a method to a known cluster has no stats.
func TestNotCounted(t *testing.T) {
	for _, c := range []struct{ path, content, cluster string }{
		{"/a/b", "application/grpc-web", "c"},
		{"/a/b", "text/plain", "c"},
		{"/a", "application/grpc", "c"},
		{"/a/b/c", "application/grpc", "c"},
		{"/a/b", "application/grpc", ""},
	} {
		h := host(t, "stats_for_all_methods { value: true }")
		h.ClusterName = c.cluster
		s := h.Stream()
		s.SendRequest(false, ":path: "+c.path, "content-type: "+c.content)
		s.SendRequestData(messages(1), true)
		s.SendResponse(true, ":status: 200", "grpc-status: 0")
		if names := h.Scope().Names(); len(names) != 0 {
			t.Errorf("%v: %q", c, names)
		}
	}
}

// TestResponses: where a status is, and which bodies hold messages.
func TestResponses(t *testing.T) {
	for _, c := range []struct {
		name, head, trailers string
		end                  bool
		messages             uint64
		counted              string
	}{
		{"trailers-only", "grpc-status: 7", "", true, 0, "7 failure total"},
		{"trailers", "content-type: application/grpc", "grpc-status: 0", false, 1, "0 success total"},
		{"no status", "content-type: application/grpc", "x: y", false, 1, ""},
		{"not gRPC", "content-type: text/plain", "grpc-status: 0", false, 0, "0 success total"},
		{"unknown status", "content-type: application/grpc", "grpc-status: 99", false, 1, "failure total"},
	} {
		h := host(t, "")
		s := h.Stream()
		s.SendRequest(true, ":path: /a/b", "content-type: application/grpc")
		s.SendResponse(c.end, ":status: 200", c.head)
		if !c.end {
			s.SendResponseData(messages(1), false)
			s.SendResponseTrailers(c.trailers)
		}
		var got []string
		for _, name := range h.Scope().Names() {
			if name = strings.TrimPrefix(name, "cluster.c.grpc."); name != "response_message_count" {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.counted || h.Counted("cluster.c.grpc.response_message_count") != c.messages {
			t.Errorf("%s: %q, %d messages", c.name, got, h.Counted("cluster.c.grpc.response_message_count"))
		}
	}
}

func TestFilterState(t *testing.T) {
	h := host(t, "emit_filter_state: true")
	s := h.Stream()
	s.SendRequest(false, ":path: /a/b", "content-type: application/grpc")
	if s.Info().FilterState(name) != nil {
		t.Error("there before a message")
	}
	s.SendRequestData(messages(2), true)
	s.SendResponse(false, ":status: 200", "content-type: application/grpc")
	s.SendResponseData(messages(3), true)
	o, ok := s.Info().FilterState(name).(*statsv3.FilterObject)
	if !ok || o.RequestMessageCount != 2 || o.ResponseMessageCount != 3 {
		t.Errorf("%v", o)
	}
}

func TestUpstreamTime(t *testing.T) {
	const hist = "cluster.c.grpc.upstream_rq_time"
	for _, c := range []struct {
		config  string
		asked   time.Duration
		end     time.Duration
		trailer bool
		want    []uint64
	}{
		{"enable_upstream_stats: true", time.Second, 1500 * time.Millisecond, true, []uint64{500}},
		{"enable_upstream_stats: true", time.Second, 1500 * time.Millisecond, false, []uint64{500}},
		{"enable_upstream_stats: true", 2 * time.Second, time.Second, true, []uint64{0}},
		{"enable_upstream_stats: true", 0, time.Second, true, nil},
		{"", time.Second, 2 * time.Second, true, nil},
	} {
		h := host(t, c.config)
		s := h.Stream()
		s.SendRequest(true, ":path: /a/b", "content-type: application/grpc")
		s.Info().UpstreamRequestEnd, s.Info().UpstreamEnd = int64(c.asked), int64(c.end)
		s.SendResponse(!c.trailer, ":status: 200", "content-type: application/grpc", "x: y")
		if c.trailer {
			s.SendResponseTrailers("grpc-status: 0")
		}
		if got := h.Observed(hist); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestAllocs(t *testing.T) {
	h := host(t, "stats_for_all_methods { value: true } enable_upstream_stats: false")
	s := h.Stream()
	exchange(s, "/a.B/C", "0")
	var b sdk.Buffer
	b.Init(sdk.NewBufferPool(4))
	b.AppendString(messages(5))
	run := func() {
		fl := s.Again()
		fl.OnRequestHeaders(s, false)
		fl.OnRequestData(s, &b, true)
		fl.OnResponseHeaders(s, false)
		fl.OnResponseData(s, &b, false)
		fl.OnResponseTrailers(s)
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}
