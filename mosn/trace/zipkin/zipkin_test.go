package zipkin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	"google.golang.org/protobuf/encoding/protowire"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

const base = `collector_cluster: "far" collector_endpoint: "/api/v2/spans" collector_endpoint_version: HTTP_JSON `

// hosted is a compiler that knows who the proxy is.
type hosted struct{ *sdktest.Compiler }

func (hosted) Node() *corev3.Node   { return &corev3.Node{Cluster: "shop"} }
func (hosted) LocalAddress() string { return "10.1.2.3" }

func newProvider(t testing.TB, c *sdktest.Compiler, text string) *provider {
	t.Helper()
	c.AddCluster("far")
	p, err := compile(hosted{c}, sdktest.Text[tracev3.ZipkinConfig](t, text))
	if err != nil {
		t.Fatal(err)
	}
	return p.(*provider)
}

// started is what Start makes of a request, in one line, and what it writes into it.
func started(p *provider, o sdk.SpanStart, lines ...string) string {
	h := &sdk.Headers{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	o.Request, o.ID, o.Trace, o.Wall = h, 7, [2]uint64{1, 2}, time.Unix(0x65000000, 0)
	s := &sdk.Span{}
	if !p.Start(s, &o) {
		return "none"
	}
	p.Inject(s, h)
	var out []string
	for name, value := range h.All() {
		out = append(out, strings.TrimPrefix(name, "x-b3-")+" "+value)
	}
	slices.Sort(out)
	return fmt.Sprintf("%d %s", s.Kind, strings.Join(out, ", "))
}

func TestStart(t *testing.T) {
	const (
		t64, t128, id, above = "8448eb211c80319c", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
		seven                = "0000000000000007"
		w3c                  = "traceparent: 00-" + t128 + "-" + id
	)
	many := []string{"x-b3-traceid: " + t64, "x-b3-spanid: " + id, "x-b3-parentspanid: " + above, "x-b3-sampled: 1"}
	on, foreign := sdk.SpanStart{Sampled: true}, sdk.SpanStart{Sampled: true, Foreign: sdk.TraceContext{Low: 5, Span: 6}}
	for _, tt := range []struct {
		name, config string
		o            sdk.SpanStart
		headers      []string
		want         string
	}{
		{"new", "", on, nil, "0 sampled 1, spanid " + seven + ", traceid " + seven},
		{"new, unsampled", "", sdk.SpanStart{}, nil, "0 sampled 0, spanid " + seven + ", traceid " + seven},
		{"new, wide", "trace_id_128bit: true", on, nil, "0 sampled 1, spanid " + seven + ", traceid 0000000000000001" + seven},
		{"new, dated", "timestamp_trace_ids: true", on, nil, "0 sampled 1, spanid " + seven + ", traceid 6500000000000007"},
		{"new, wide, dated", "timestamp_trace_ids: true trace_id_128bit: true", on, nil, "0 sampled 1, spanid " + seven + ", traceid 6500000000000001" + seven},
		{"shared", "", sdk.SpanStart{}, many, "0 parentspanid " + above + ", sampled 1, spanid " + id + ", traceid " + t64},
		{"not shared", "shared_span_context { value: false }", on, many, "0 parentspanid " + id + ", sampled 1, spanid " + seven + ", traceid " + t64},
		{"outbound", "", sdk.SpanStart{Outbound: true}, many, "1 parentspanid " + id + ", sampled 1, spanid " + seven + ", traceid " + t64},
		{"outbound, a hop", "", sdk.SpanStart{Outbound: true, Hop: true}, many, "0 parentspanid " + above + ", sampled 1, spanid " + id + ", traceid " + t64},
		{"outbound, split", "split_spans_for_request: true", sdk.SpanStart{Outbound: true}, many, "0 parentspanid " + above + ", sampled 1, spanid " + id + ", traceid " + t64},
		{"single", "", sdk.SpanStart{}, []string{"b3: " + t128 + "-" + id + "-1"}, "0 b3 " + t128 + "-" + id + "-1"},
		{"single, a decision", "", on, []string{"b3: 0"}, "0 b3 " + seven + "-" + seven + "-0"},
		{"malformed", "", on, []string{"b3: x"}, "none"},
		{"W3C is not looked at", "", on, []string{w3c + "-00"}, "0 sampled 1, spanid " + seven + ", traceid " + seven + ", " + strings.Replace(w3c, ":", "", 1) + "-00"},
		{"W3C", "trace_context_option: USE_B3_WITH_W3C_PROPAGATION", on, []string{w3c + "-00"},
			"0 sampled 0, spanid " + id + ", traceid " + t128 + ", traceparent 00-" + t128 + "-" + id + "-00"},
		{"W3C malformed", "trace_context_option: USE_B3_WITH_W3C_PROPAGATION", on, []string{"traceparent: x"},
			"0 sampled 1, spanid " + seven + ", traceid " + seven + ", traceparent 00-0000000000000000" + seven + "-" + seven + "-01"},
		{"B3 before W3C", "trace_context_option: USE_B3_WITH_W3C_PROPAGATION", on, append([]string{w3c + "-00"}, many...),
			"0 parentspanid " + above + ", sampled 1, spanid " + id + ", traceid " + t64 + ", traceparent 00-0000000000000000" + t64 + "-" + id + "-01"},
		{"foreign", "", foreign, nil, "0 parentspanid 0000000000000006, sampled 1, spanid " + seven + ", traceid 0000000000000005"},
		{"foreign, and B3", "", foreign, many, "0 parentspanid " + above + ", sampled 1, spanid " + id + ", traceid " + t64},
	} {
		got := started(newProvider(t, sdktest.NewCompiler(t), base+tt.config), tt.o, tt.headers...)
		if got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// sample is an ended span with everything.
func sample(kind sdk.SpanKind) *sdk.Span {
	at := time.Unix(1700000000, 5000)
	s := &sdk.Span{TraceContext: sdk.TraceContext{Low: 2, Span: 3}, Parent: 4, Sampled: true, Kind: kind, Start: at, End: at.Add(time.Millisecond)}
	s.SetName("shop.test")
	s.Tag("a", "b")
	s.Tag("empty", "")
	s.Event(at.Add(time.Microsecond), "something")
	return s
}

func TestJSON(t *testing.T) {
	p := newProvider(t, sdktest.NewCompiler(t), base)
	b, err := p.encoder.append([]byte("x"), []*sdk.Span{sample(sdk.SpanServer), sample(sdk.SpanClient)})
	if err != nil {
		t.Fatal(err)
	}
	const rest = `"name":"shop.test","timestamp":1700000000000005,"duration":1000,"localEndpoint":{"ipv4":"10.1.2.3","port":0,"serviceName":"shop"},` +
		`"annotations":[{"timestamp":1700000000000006,"value":"something"},{"timestamp":1700000000001005,"value":"%s"}],"tags":{"a":"b"}%s}`
	want := `x[{"traceId":"0000000000000002","parentId":"0000000000000004","id":"0000000000000003","kind":"SERVER",` + fmt.Sprintf(rest, "ss", `,"shared":true`) +
		`,{"traceId":"0000000000000002","parentId":"0000000000000004","id":"0000000000000003","kind":"CLIENT",` + fmt.Sprintf(rest, "cr", "") + `]`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

// numbers lists the fields of a message by number, those of protobuf's wire in order.
func numbers(b []byte) (list []protowire.Number) {
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return nil
		}
		list, b = append(list, num), b[n:]
	}
	return list
}

func TestProto(t *testing.T) {
	p := newProvider(t, sdktest.NewCompiler(t), strings.Replace(base, "HTTP_JSON", "HTTP_PROTO", 1))
	if p.encoder.contentType() != "application/x-protobuf" {
		t.Error(p.encoder.contentType())
	}
	s := sample(sdk.SpanServer)
	s.High, s.Wide = 1, true
	b, err := p.encoder.append(nil, []*sdk.Span{s, sample(sdk.SpanClient)})
	if err != nil {
		t.Fatal(err)
	}
	if got := numbers(b); !slices.Equal(got, []protowire.Number{1, 1}) {
		t.Fatalf("the list has the fields %v", got)
	}
	one, _ := protowire.ConsumeBytes(b[1:])
	if got := numbers(one); !slices.Equal(got, []protowire.Number{1, 2, 3, 4, 5, 6, 7, 8, 10, 10, 11, 13}) {
		t.Errorf("a span has the fields %v", got)
	}
	for _, want := range [][]byte{
		{1<<3 | 2, 16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2}, {4 << 3, 2}, {2<<3 | 2, 4, 10, 1, 2, 3}, {13 << 3, 1},
		[]byte("\x0a\x01a\x12\x01b"), []byte("\x2a\x09shop.test"),
	} {
		if !bytes.Contains(one, want) {
			t.Errorf("%x is not in %x", want, one)
		}
	}
}

func TestExport(t *testing.T) {
	c := sdktest.NewCompiler(t)
	p := newProvider(t, c, base+`collector_hostname: "zipkin.test"`)
	answer := "202"
	answered := func(cluster string, r *sdk.CallRequest) (*sdk.CallResponse, *sdk.CallError) {
		var list []span
		if err := json.Unmarshal(r.Body, &list); err != nil || len(list) != 2 || cluster != "far" {
			t.Errorf("%v, %d spans for %s", err, len(list), cluster)
		}
		if h := &r.Headers; h.Method() != "POST" || h.Path() != "/api/v2/spans" || h.Authority() != "zipkin.test" ||
			h.Value("content-type") != "application/json" || r.Timeout != 5*time.Second {
			t.Errorf("the call is %+v", r)
		}
		return sdktest.Response("", ":status: "+answer), nil
	}
	failed := func(string, *sdk.CallRequest) (*sdk.CallResponse, *sdk.CallError) {
		return nil, &sdk.CallError{Err: &sdk.Error{Flag: sdk.FlagUpstreamConnectionFailure}, Status: 503}
	}
	for _, tt := range []struct {
		answer sdktest.Answer
		status string
		count  string
	}{
		{answered, "202", "reports_sent"}, {answered, "200", "reports_dropped"}, {answered, "500", "reports_dropped"},
		{failed, "", "reports_failed"}, {nil, "", "reports_skipped_no_cluster"},
	} {
		answer = tt.status
		c.AnswerCalls(tt.answer)
		counts := map[uint32]uint64{}
		p.Export(context.Background(), []*sdk.Span{sample(sdk.SpanServer), sample(sdk.SpanServer)}, func(c sdk.Counter, n uint64) { counts[c.ID] += n })
		id := c.Scope().ID
		if len(counts) != 2 || counts[id("tracing.zipkin.spans_sent")] != 2 || counts[id("tracing.zipkin."+tt.count)] != 1 {
			t.Errorf("%s: counted %v", tt.count, counts)
		}
	}
}

func TestCollector(t *testing.T) {
	for text, want := range map[string]string{
		base: "far http://far/api/v2/spans",
		`collector_service { http_uri { uri: "http://zipkin.test:9411/a" cluster: "far" timeout { seconds: 1 } } } collector_endpoint_version: HTTP_JSON`: "far http://zipkin.test:9411/a",
		`collector_service { http_uri { uri: "/a/b" cluster: "far" timeout { seconds: 1 } } } collector_endpoint_version: HTTP_JSON`:                      "far http://far/a/b",
	} {
		h := newProvider(t, sdktest.NewCompiler(t), text).http
		if got := h.Cluster + " " + h.Scheme + "://" + h.Host + h.Path; got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
