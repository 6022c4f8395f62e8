package stream

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/trace"
	"sofamesh.io/sofamesh/mosn/trace/opentelemetry"
	"sofamesh.io/sofamesh/mosn/trace/zipkin"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// spanLog is a queue that keeps spans as text, one line each, or drops them.
type spanLog struct {
	lines  []string
	closed int
	drop   bool
	// untimed shows no times.
	untimed bool
}

// Put implements sdk.SpanQueue.
func (q *spanLog) Put(_ int, s *sdk.Span) {
	defer s.Reset()
	if q.drop {
		return
	}
	var tags []string
	for i := range s.Tags() {
		name, value := s.TagAt(i)
		switch name {
		case "component", "node_id", "zone", "downstream_cluster", "user_agent", "upstream_cluster", "upstream_cluster.name", "peer.address",
			"http.protocol", "http.method", "http.url", "guid:x-request-id", "request_size", "response_size":
			continue
		}
		tags = append(tags, name+"="+value)
	}
	slices.Sort(tags)
	kind := "server"
	if s.Kind == sdk.SpanClient {
		kind = "client"
	}
	took := s.End.Sub(s.Start)
	if q.untimed {
		took = 0
	}
	q.lines = append(q.lines, fmt.Sprintf("%s %s %v %s", s.Name(), kind, took, strings.Join(tags, " ")))
}

// Close implements sdk.SpanQueue.
func (q *spanLog) Close() { q.closed++ }

func (q *spanLog) take() string {
	s := strings.Join(q.lines, "\n")
	q.lines = nil
	return s
}

// tracedBy has a connection manager trace by a provider.
func tracedBy(t testing.TB, q *spanLog, o setup, tracer sdk.Tracer, pb proto.Message, edit func(*Tracing)) setup {
	t.Helper()
	c := sdktest.NewCompiler(t)
	c.AddCluster("c")
	p, err := tracer.Compile(c, pb)
	if err != nil {
		t.Fatal(err)
	}
	all := runtime.Fraction{Numerator: 100, Denominator: 100}
	tr := &Tracing{Provider: p, Queue: q, MaxPath: 256, Sampling: trace.Sampling{Client: all, Random: all, Overall: all}}
	if edit != nil {
		edit(tr)
	}
	before := o.edit
	o.edit = func(cfg *Config) {
		cfg.GenerateRequestID, cfg.Tracing = true, tr
		if before != nil {
			before(cfg)
		}
	}
	return o
}

func traced(t testing.TB, q *spanLog, o setup, edit func(*Tracing)) setup {
	t.Helper()
	return tracedBy(t, q, o, opentelemetry.Tracer(), &tracev3.OpenTelemetryConfig{}, edit)
}

func child(tr *Tracing) { tr.Child, tr.Hop = true, true }

// spansAre compares the spans that have ended since the last time.
func (w *world) spansAre(q *spanLog, want ...string) {
	w.t.Helper()
	if got := q.take(); got != strings.Join(want, "\n") {
		w.t.Errorf("spans\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// TestTraceEnds: whatever ends a request ends its spans, each once.
func TestTraceEnds(t *testing.T) {
	const (
		try  = "router c egress client 0s "
		host = "upstream_address=10.0.0.1:80"
	)
	t.Run("answer", func(t *testing.T) {
		q := &spanLog{}
		w := newWorld(t, traced(t, q, setup{}, child))
		c := w.client()
		w.send(c, get)
		w.Advance(5 * time.Millisecond)
		w.send(w.backend(1), ok2)
		w.spansAre(q, "router c egress client 5ms http.status_code=200 response_flags=- "+host, "ingress server 5ms http.status_code=200 response_flags=-")
	})
	t.Run("client gone", func(t *testing.T) {
		q := &spanLog{}
		w := newWorld(t, traced(t, q, setup{}, child))
		c := w.client()
		w.send(c, get)
		w.backend(1)
		c.Reset()
		w.Settle()
		w.spansAre(q, try+"canceled=true error=true http.status_code=0 response_flags=- "+host, "ingress server 0s error=true http.status_code=0 response_flags=DC")
	})
	t.Run("cut off", func(t *testing.T) {
		q := &spanLog{}
		w := newWorld(t, traced(t, q, setup{}, child))
		c := w.client()
		w.send(c, get)
		b := w.backend(1)
		w.send(b, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
		b.Reset()
		w.Settle()
		w.spansAre(q, try+"error.reason=protocol error error=true http.status_code=200 response_flags=UPE "+host,
			"ingress server 0s http.status_code=200 response_flags=UPE")
	})
	t.Run("local reply", func(t *testing.T) {
		q := &spanLog{}
		w := newWorld(t, traced(t, q, setup{route: `match { prefix: "/other" } route { cluster: "c" }`}, child))
		w.send(w.client(), get)
		w.spansAre(q, "ingress server 0s http.status_code=404 response_flags=NR")
	})
	t.Run("malformed", func(t *testing.T) {
		q := &spanLog{}
		w := newWorld(t, traced(t, q, setup{}, child))
		w.send(w.client(), "GET / HTTP/1.1\r\nx\r\n\r\n")
		w.spansAre(q) // nothing is known of it
	})
	t.Run("unreadable context", func(t *testing.T) {
		q := &spanLog{}
		w := newWorld(t, traced(t, q, setup{}, child))
		w.send(w.client(), strings.Replace(get, "\r\n\r\n", "\r\ntraceparent: 00-1\r\n\r\n", 1))
		b := w.backend(1)
		if got := b.Received(); !strings.Contains(got, "traceparent: 00-1\r\n") {
			t.Errorf("the host got %q", got)
		}
		w.send(b, ok2)
		w.spansAre(q)
	})
	t.Run("retries", func(t *testing.T) {
		q := &spanLog{}
		w := newWorld(t, traced(t, q, setup{action: `retry_policy { retry_on: "5xx" num_retries { value: 2 } }`}, child))
		c := w.client()
		w.send(c, get)
		b := w.backend(1)
		first := b.Received()
		w.send(b, "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
		w.Advance(time.Second)
		second := b.Received()
		q.untimed = true // a back-off is drawn
		w.send(b, ok2)
		w.spansAre(q, try+"error=true http.status_code=503 response_flags=- "+host, try+"http.status_code=200 response_flags=- retry.count=1 "+host,
			"ingress server 0s http.status_code=200 response_flags=-")
		if a, b := contextOf(first), contextOf(second); a[:35] != b[:35] || a == b {
			t.Errorf("the attempts have the contexts %s and %s", a, b)
		}
	})
	t.Run("mirror", func(t *testing.T) {
		q := &spanLog{}
		w := newWorld(t, traced(t, q, setup{action: `request_mirror_policies { cluster: "m" }`, clusters: map[string]string{"m": ""}}, nil))
		c := w.client()
		w.send(c, get)
		w.send(w.backend(1), ok2)
		w.spansAre(q, "ingress server 0s http.status_code=200 response_flags=-")
		w.Advance(3 * time.Millisecond)
		w.send(w.backend(11), ok2)
		w.spansAre(q, "mirror client 3ms http.status_code=200 response_flags=- upstream_address=10.0.0.11:80")
	})
}

// contextOf is what a request says in traceparent.
func contextOf(request string) string {
	_, rest, _ := strings.Cut(request, "traceparent: ")
	v, _, _ := strings.Cut(rest, "\r\n")
	return v
}

// TestTraceQueueIsClosed with the connection manager.
func TestTraceQueueIsClosed(t *testing.T) {
	q := &spanLog{}
	w := newWorld(t, traced(t, q, setup{}, nil))
	if w.cfg.Close(); q.closed != 1 {
		t.Errorf("it was closed %d times", q.closed)
	}
}

// TestTraceAllocs: a request that is not sampled costs no memory though tracing is on,
// nor does one that is, but for what its spans have not had before.
func TestTraceAllocs(t *testing.T) {
	none := func(tr *Tracing) { tr.Sampling.Random.Numerator = 0 }
	all := func(tr *Tracing) {
		tr.Child, tr.Verbose = true, true
		var err error
		if tr.Tags, err = trace.CompileTags(sdktest.NewCompiler(t), []*tracingv3.CustomTag{
			sdktest.Text[tracingv3.CustomTag](t, `tag: "a" request_header { name: "x-client" }`),
			sdktest.Text[tracingv3.CustomTag](t, `tag: "b" value: "%REQ(:METHOD)% %RESPONSE_CODE%"`),
		}); err != nil {
			t.Fatal(err)
		}
	}
	withParent := strings.Replace(benchRequest, "\r\n\r\n", "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\ntracestate: a=b\r\n\r\n", 1)
	zipkins := func(edit func(*Tracing)) func(*spanLog) setup {
		return func(q *spanLog) setup {
			return tracedBy(t, q, setup{}, zipkin.Tracer(), &tracev3.ZipkinConfig{
				CollectorCluster: "c", CollectorEndpoint: "/", CollectorEndpointVersion: tracev3.ZipkinConfig_HTTP_JSON,
			}, edit)
		}
	}
	otel := func(edit func(*Tracing)) func(*spanLog) setup {
		return func(q *spanLog) setup { return traced(t, q, setup{}, edit) }
	}
	for _, tt := range []struct {
		name string
		o    func(*spanLog) setup
		req  string
	}{
		{"unsampled", otel(none), benchRequest},
		{"unsampled, by its parent", otel(all), withParent},
		{"unsampled, B3", zipkins(none), benchRequest},
		{"sampled", otel(nil), benchRequest},
		{"sampled, with all there is", otel(all), benchRequest},
		{"sampled, B3", zipkins(all), benchRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := &spanLog{drop: true}
			x := newExchanger(t, tt.o(q), tt.req, benchResponse)
			if n := testing.AllocsPerRun(1000, func() { x.exchange(t) }); n != 0 {
				t.Errorf("%v allocations a request", n)
			}
		})
	}
}

// sofaCall is a call of a client that SOFATracer traces.
func sofaCall(id uint32, more ...string) frame {
	f := request(id, "hello", 3000, "x")
	f.headers = append(f.headers, more...)
	return f
}

// headersIn are the values of some headers in what a host got of Bolt.
func headersIn(got string, names ...string) string {
	var out []string
	for _, name := range names {
		_, rest, ok := strings.Cut(got, name)
		if !ok || len(rest) < 4 {
			out = append(out, "-")
			continue
		}
		n := int(rest[2])<<8 | int(rest[3])
		out = append(out, rest[4:4+n])
	}
	return strings.Join(out, " ")
}

// TestTraceBolt: an RPC takes its place in the trace of SOFATracer's that it comes with.
func TestTraceBolt(t *testing.T) {
	const (
		id    = "c00002021795253337474100115681"
		other = "new_rpc_trace_context"
	)
	sofa := []string{"rpc_trace_context.sofaTraceId", id, "rpc_trace_context.sofaRpcId", "0", "rpc_trace_context.sofaCallerApp", "shop"}
	spanOf := func(rpc string) string { return hex.EncodeToString(be64(trace.SofaSpan(rpc))) }
	for _, tt := range []struct {
		name    string
		edit    func(*Tracing)
		headers []string
		want    string // the next hop's sofaRpcId, context of the new form, traceparent
		spans   []string
	}{
		{"joined", nil, sofa, "0.1 - 00-00" + id + "-" + spanOf("0.1") + "-01",
			[]string{"a.Service/hello server 0s http.status_code=200 response_flags=- rpc.method=hello rpc.service=a.Service rpc.status=0 rpc.system=bolt " +
				"sofa.caller_app=shop sofa.rpc_id=0.1 sofa.trace_id=" + id}},
		{"attempts", child, sofa, "0.1.1 - 00-00" + id + "-" + spanOf("0.1.1") + "-01",
			[]string{"router c egress client 0s http.status_code=200 response_flags=- upstream_address=10.0.0.1:80",
				"a.Service/hello server 0s http.status_code=200 response_flags=- rpc.method=hello rpc.service=a.Service rpc.status=0 rpc.system=bolt " +
					"sofa.caller_app=shop sofa.rpc_id=0.1 sofa.trace_id=" + id}},
		{"new form", nil, []string{other, "tcid=" + id + "&spid=0.3&pspid=0&sample=true&"},
			"- tcid=" + id + "&spid=0.3.1&pspid=0.3&sample=true& 00-00" + id + "-" + spanOf("0.3.1") + "-01",
			[]string{"a.Service/hello server 0s http.status_code=200 response_flags=- rpc.method=hello rpc.service=a.Service rpc.status=0 rpc.system=bolt " +
				"sofa.rpc_id=0.3.1 sofa.trace_id=" + id}},
		{"dropped by the caller", nil, append(slices.Clone(sofa), "rpc_trace_context.samp", "false"), "0 - -", nil},
		{"unsampled", func(tr *Tracing) { tr.Sampling.Random.Numerator = 0 }, sofa, "0 - -", nil},
		{"kept to ourselves", func(tr *Tracing) { tr.NoPropagation = true }, sofa, "0 - -",
			[]string{"a.Service/hello server 0s http.status_code=200 response_flags=- rpc.method=hello rpc.service=a.Service rpc.status=0 rpc.system=bolt " +
				"sofa.caller_app=shop sofa.rpc_id=0.1 sofa.trace_id=" + id}},
		{"W3C before SOFA", nil, append(slices.Clone(sofa), "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
			"0.1 - 00-0af7651916cd43dd8448eb211c80319c-" + spanOf("0.1") + "-01",
			[]string{"a.Service/hello server 0s http.status_code=200 response_flags=- rpc.method=hello rpc.service=a.Service rpc.status=0 rpc.system=bolt " +
				"sofa.caller_app=shop sofa.rpc_id=0.1 sofa.trace_id=" + id}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := &spanLog{}
			w := newWorld(t, withBolt(traced(t, q, setup{}, tt.edit)))
			c := w.client()
			w.says(c, sofaCall(7, tt.headers...))
			host := w.backend(1)
			got := host.Received()
			if seen := headersIn(got, "rpc_trace_context.sofaRpcId", other, "traceparent"); seen != tt.want {
				t.Errorf("the host got %s\nwant %s", seen, tt.want)
			}
			if len(tt.spans) == 0 && got[9:] != sofaCall(7, tt.headers...).String()[9:] {
				t.Error("a call that is not traced was edited")
			}
			w.says(host, answerTo(1, "hi"))
			w.hears(c, "answer 7 status=0 hi")
			w.spansAre(q, tt.spans...)
		})
	}
}

func be64(n uint64) []byte {
	return []byte{byte(n >> 56), byte(n >> 48), byte(n >> 40), byte(n >> 32), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// TestTraceBoltZipkin: the same in B3.
func TestTraceBoltZipkin(t *testing.T) {
	q := &spanLog{}
	w := newWorld(t, withBolt(tracedBy(t, q, setup{}, zipkin.Tracer(), &tracev3.ZipkinConfig{
		CollectorCluster: "c", CollectorEndpoint: "/", CollectorEndpointVersion: tracev3.ZipkinConfig_HTTP_JSON,
	}, nil)))
	w.says(w.client(), sofaCall(7, "rpc_trace_context.sofaTraceId", "c0000202179525333", "rpc_trace_context.sofaRpcId", "0.1"))
	host := w.backend(1)
	span := hex.EncodeToString(be64(trace.SofaSpan("0.1.1")))
	above := hex.EncodeToString(be64(trace.SofaSpan("0.1")))
	want := "0.1.1 000000000000000c0000202179525333 " + span + " " + above + " 1"
	if got := headersIn(host.Received(), "rpc_trace_context.sofaRpcId", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled"); got != want {
		t.Errorf("the host got %s\nwant %s", got, want)
	}
	w.says(host, answerTo(1, "hi"))
	w.spansAre(q, "a.Service/hello server 0s http.status_code=200 response_flags=- rpc.method=hello rpc.service=a.Service rpc.status=0 rpc.system=bolt "+
		"sofa.rpc_id=0.1.1 sofa.trace_id=c0000202179525333")
}

// TestTraceBoltAllocs: a burst of calls of a Java client that are not sampled costs
// nothing, one that is sampled neither.
func TestTraceBoltAllocs(t *testing.T) {
	for name, share := range map[string]uint32{"unsampled": 0, "sampled": 100} {
		t.Run(name, func(t *testing.T) {
			x := newBoltBurst(t, traced(t, &spanLog{drop: true}, setup{}, func(tr *Tracing) { tr.Sampling.Random.Numerator = share }), 16)
			if n := testing.AllocsPerRun(200, func() { x.exchange(t) }); n != 0 {
				t.Errorf("%v allocations in 16 calls", n)
			}
		})
	}
}

// BenchmarkProxyTraced is BenchmarkProxyRequest with tracing: of nothing, and of all.
func BenchmarkProxyTraced(b *testing.B) {
	for name, share := range map[string]uint32{"unsampled": 0, "sampled": 100} {
		b.Run(name, func(b *testing.B) {
			o := traced(b, &spanLog{drop: true}, setup{}, func(tr *Tracing) { tr.Sampling.Random.Numerator = share })
			x := newExchanger(b, o, benchRequest, benchResponse)
			b.ReportAllocs()
			for b.Loop() {
				x.exchange(b)
			}
		})
	}
}
