package fault

import (
	"fmt"
	"strings"
	"testing"
	"time"

	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// provider is a compiler that knows runtime values.
type provider struct {
	sdk.Compiler
	values *runtime.Values
}

func (p provider) Runtime() *runtime.Values { return p.values }

func host(t testing.TB, config string, values map[string]any) *sdktest.Host {
	t.Helper()
	layer, err := structpb.NewStruct(values)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := runtime.New(layer)
	if err != nil {
		t.Fatal(err)
	}
	f := Filter()
	compile := f.Compile
	f.Compile = func(c sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
		return compile(provider{c, snapshot}, m)
	}
	return sdktest.NewHost(t, f, sdktest.Text[faultv3.HTTPFault](t, config))
}

// outcome is what a request has met: "pass", "429", "delay pass", "delay 429" ...
func outcome(s *sdktest.Stream) string {
	var b strings.Builder
	if len(s.Replies) == 0 && s.ToServer.Head == nil {
		b.WriteString("delay ")
		s.Time += time.Hour
		s.Settle()
	}
	switch {
	case len(s.Replies) > 0:
		fmt.Fprint(&b, s.Replies[0].Status)
		if n := s.Replies[0].GRPCStatus; n != 0 {
			fmt.Fprintf(&b, "/%d", n)
		}
	case s.ToServer.Ended:
		b.WriteString("pass")
	default:
		b.WriteString("held")
	}
	return b.String()
}

const (
	all        = "percentage { numerator: 100 } "
	delay      = "delay { fixed_delay { seconds: 3 } " + all + "} "
	abort      = "abort { http_status: 429 " + all + "} "
	byHeader   = "delay { header_delay {} " + all + "} abort { header_abort {} " + all + "} "
	ofAbort    = "x-envoy-fault-abort-request"
	ofGRPC     = "x-envoy-fault-abort-grpc-request"
	downstream = "x-envoy-downstream-service-cluster: me"
)

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name, config string
		runtime      map[string]any
		headers      string
		random       uint64
		want         string
	}{
		{"none", "", nil, "", 0, "pass"},
		{"abort", abort, nil, "", 0, "429"},
		{"delay", delay, nil, "", 0, "delay pass"},
		{"both", delay + abort, nil, "", 0, "delay 429"},
		{"share, hit", "abort { http_status: 500 percentage { numerator: 30 } }", nil, "", 29, "500"},
		{"share, missed", "abort { http_status: 500 percentage { numerator: 30 } }", nil, "", 30, "pass"},
		{"gRPC", "abort { grpc_status: 5 " + all + "}", nil, "", 0, "200/5"},
		{"header", byHeader, nil, ofAbort + ": 418", 0, "418"},
		{"header, gRPC", byHeader, nil, ofGRPC + ": 7", 0, "200/7"},
		{"header, both", byHeader, nil, ofGRPC + ": 7;" + ofAbort + ": 503", 0, "503"},
		{"header, too small", byHeader, nil, ofAbort + ": 199", 0, "pass"},
		{"header, too large", byHeader, nil, ofAbort + ": 600", 0, "pass"},
		{"header, no number", byHeader, nil, ofAbort + ": 5x", 0, "pass"},
		{"header, delay", byHeader, nil, "x-envoy-fault-delay-request: 10", 0, "delay pass"},
		{"header, no delay", byHeader, nil, "x-envoy-fault-delay-request: 0", 0, "pass"},
		{"header, share", byHeader, nil, ofAbort + ": 503;" + ofAbort + "-percentage: 10", 10, "pass"},
		{"header, no more than the share", "abort { header_abort {} percentage { numerator: 10 } }", nil, ofAbort + ": 503;" + ofAbort + "-percentage: 99", 10, "pass"},
		{"header without header_abort", abort, nil, ofAbort + ": 503;" + ofAbort + "-percentage: 0", 0, "429"},

		{"for another cluster", `upstream_cluster: "d" ` + abort, nil, "", 0, "pass"},
		{"for the cluster", `upstream_cluster: "c" ` + abort, nil, "", 0, "429"},
		{"for another node", `downstream_nodes: "n" ` + abort, nil, "x-envoy-downstream-service-node: m", 0, "pass"},
		{"for no node", `downstream_nodes: "n" ` + abort, nil, "", 0, "pass"},
		{"for the node", `downstream_nodes: "m" downstream_nodes: "n" ` + abort, nil, "x-envoy-downstream-service-node: n", 0, "429"},
		{"for other headers", `headers { name: "x" string_match { exact: "y" } } ` + abort, nil, "x: z", 0, "pass"},
		{"for the headers", `headers { name: "x" string_match { exact: "y" } } ` + abort, nil, "x: y", 0, "429"},

		{"runtime, share", abort, map[string]any{"fault.http.abort.abort_percent": 0}, "", 0, "pass"},
		{"runtime, status", abort, map[string]any{"fault.http.abort.http_status": 503}, "", 0, "503"},
		{"runtime, no status", abort, map[string]any{"fault.http.abort.http_status": 99}, "", 0, "429"},
		{"runtime, gRPC", "abort { grpc_status: 5 " + all + "}", map[string]any{"fault.http.abort.grpc_status": 6}, "", 0, "200/6"},
		{"runtime, delay share", delay, map[string]any{"fault.http.delay.fixed_delay_percent": 0}, "", 0, "pass"},
		{"runtime, no delay", delay, map[string]any{"fault.http.delay.fixed_duration_ms": 0}, "", 0, "pass"},
		{"runtime, own keys", `abort_percent_runtime: "a" ` + abort, map[string]any{"a": 0}, "", 0, "pass"},
		{"runtime, caller", abort, map[string]any{"fault.http.me.abort.abort_percent": 0}, downstream, 0, "pass"},
		{"runtime, another caller", abort, map[string]any{"fault.http.you.abort.abort_percent": 0}, downstream, 0, "429"},
		{"runtime, the caller's instead of the common", abort, map[string]any{"fault.http.abort.abort_percent": 0}, downstream, 0, "429"},
		{"runtime, caller's status", abort, map[string]any{"fault.http.me.abort.http_status": 502}, downstream, 0, "502"},
		{"runtime, caller's delay", delay, map[string]any{"fault.http.me.delay.fixed_duration_ms": 0}, downstream, 0, "pass"},
		{"too many", "max_active_faults { value: 0 } " + abort + delay, nil, "", 0, "pass"},
		{"runtime, too many", abort, map[string]any{"fault.http.max_active_faults": 0}, "", 0, "pass"},
	} {
		h := host(t, c.config, c.runtime)
		s := h.Stream()
		s.Rand = c.random
		lines := []string{":path: /"}
		if c.headers != "" {
			lines = append(lines, strings.Split(c.headers, ";")...)
		}
		s.SendRequest(true, lines...)
		if got := outcome(s); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		s.End()
		if n := h.Counted("fault.active_faults"); n != 0 {
			t.Errorf("%s: %d faults are active at the end", c.name, n)
		}
	}
}

// TestTold: what the caller, the log and the stats are told.
func TestTold(t *testing.T) {
	h := host(t, delay+`abort { http_status: 400 response_body: "own" `+all+"}", nil)
	for range 2 {
		s := h.Stream()
		s.SendRequest(true, ":path: /", downstream)
		s.Time += 2999 * time.Millisecond
		s.Settle()
		if len(s.Replies) > 0 || s.Info().Flags != sdk.FlagDelayInjected || h.Counted("fault.active_faults") != 1 {
			t.Errorf("early: %v, flags %v", s.Replies, s.Info().Flags.Names())
		}
		s.Time += time.Millisecond
		s.Settle()
		if r := s.Replies[0]; r.Body != "own" || r.Details != details || r.Flag != sdk.FlagFaultInjected {
			t.Errorf("%+v", r)
		}
		s.End()
	}
	for _, name := range []string{"aborts_injected", "delays_injected", "me.aborts_injected", "me.delays_injected"} {
		if n := h.Counted("fault." + name); n != 2 {
			t.Errorf("%s: %d", name, n)
		}
	}
	for i := range 1000 {
		s := h.Stream()
		s.SendRequest(true, ":path: /", fmt.Sprintf("x-envoy-downstream-service-cluster: c%d", i))
		s.End()
	}
	if n := len(h.Scope().Names()); n > maxClusters*2+10 {
		t.Errorf("%d names", n)
	}
	h = host(t, "disable_downstream_cluster_stats: true "+abort, nil)
	h.Stream().SendRequest(true, ":path: /", downstream)
	if names := h.Scope().Names(); strings.Contains(strings.Join(names, " "), "me.") {
		t.Errorf("%q", names)
	}
}

// TestActive: the limit holds while faults are under way, and no longer.
func TestActive(t *testing.T) {
	h := host(t, "max_active_faults { value: 1 } "+delay, nil)
	first := h.Stream()
	first.SendRequest(true, ":path: /")
	f := first.Again() // the state of another stream, though the Host has one at a time
	if f.OnRequestHeaders(first, true) != sdk.Continue || h.Counted("fault.faults_overflow") != 1 {
		t.Errorf("%d overflows", h.Counted("fault.faults_overflow"))
	}
}

// TestRoute: a route's faults come instead of the chain's.
func TestRoute(t *testing.T) {
	h := host(t, abort, nil)
	h.RouteConfig(Filter(), sdktest.Text[faultv3.HTTPFault](t, "abort { http_status: 503 "+all+"}"))
	s := h.Stream()
	s.SendRequest(true, ":path: /")
	if got := outcome(s); got != "503" {
		t.Error(got)
	}
}

// TestRate: a response goes on in pieces of 50 ms.
func TestRate(t *testing.T) {
	for name, c := range map[string]struct{ config, header string }{
		"fixed":  {"response_rate_limit { fixed_limit { limit_kbps: 1 } " + all + "}", "x: y"},
		"header": {"response_rate_limit { header_limit {} " + all + "}", "x-envoy-fault-throughput-response: 1"},
	} {
		h := host(t, c.config, nil)
		s := h.Stream()
		s.SendRequest(true, ":path: /", c.header)
		s.SendResponse(false, ":status: 200")
		s.SendResponseData(strings.Repeat("a", 100), false)
		s.SendResponseData(strings.Repeat("b", 60), false)
		s.SendResponseTrailers("x-end: 1")
		var got []int
		for range 5 {
			s.Settle()
			got = append(got, len(s.ToClient.Body))
			s.Time += interval
		}
		if s.ToClient.Head == nil || fmt.Sprint(got) != "[51 102 153 160 160]" || s.ToClient.Trailer("x-end") != "1" {
			t.Errorf("%s: %v, trailers %v", name, got, s.ToClient.Trailers)
		}
		if n := h.Counted("fault.response_rl_injected"); n != 1 {
			t.Errorf("%s: counted %d", name, n)
		}
	}
	h := host(t, "response_rate_limit { header_limit {} "+all+"}", nil)
	s := h.Stream()
	s.SendRequest(true, ":path: /", "x-envoy-fault-throughput-response: 0")
	s.SendResponse(false, ":status: 200")
	if s.SendResponseData("abc", true); !s.ToClient.Ended {
		t.Error("slowed down to nothing")
	}
}

func TestAllocs(t *testing.T) {
	h := host(t, "delay { fixed_delay { seconds: 3 } percentage {} } abort { http_status: 429 percentage {} } response_rate_limit { fixed_limit { limit_kbps: 1 } percentage {} }", nil)
	s := h.Stream()
	s.SendRequest(true, ":path: /")
	if n := testing.AllocsPerRun(100, func() {
		f := s.Again()
		f.OnRequestHeaders(s, true)
		f.OnResponseHeaders(s, true)
		f.OnEnd(s)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestMetadata: what is to be said of a fault is said when there is one.
func TestMetadata(t *testing.T) {
	const say = ` filter_metadata { fields { key: "k" value { string_value: "v" } } }`
	for config, want := range map[string]string{
		"abort { http_status: 429 percentage { numerator: 100 } }" + say:           "v",
		"delay { fixed_delay { seconds: 3 } percentage { numerator: 100 } }" + say: "v",
		"abort { http_status: 429 percentage {} }" + say:                           "",
		"abort { http_status: 429 percentage { numerator: 100 } }":                 "",
	} {
		s := host(t, config, nil).Stream()
		s.SendRequest(true, ":path: /")
		if got := s.Info().Dynamic.Get("envoy.filters.http.fault", "k").Text(); got != want {
			t.Errorf("%s: %q", config, got)
		}
		s.End()
	}
}
