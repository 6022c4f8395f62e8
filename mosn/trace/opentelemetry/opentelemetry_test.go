package opentelemetry

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/trace"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

const (
	wide = "0af7651916cd43dd8448eb211c80319c"
	span = "b7ad6b7169203331"

	overGRPC = `grpc_service { envoy_grpc { cluster_name: "far" } timeout { seconds: 1 } } `
	overHTTP = `http_service { http_uri { uri: "http://collector.test/v1/traces" cluster: "far" timeout { seconds: 1 } } } `
)

func newProvider(t testing.TB, c *sdktest.Compiler, text string) *provider {
	t.Helper()
	p, err := compile(c, sdktest.Text[tracev3.OpenTelemetryConfig](t, text))
	if err != nil {
		t.Fatal(err)
	}
	return p.(*provider)
}

// started is what Start makes of a request, in one line.
func started(p *provider, o sdk.SpanStart, lines ...string) string {
	h := &sdk.Headers{}
	h.Add(":authority", "shop.test")
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	o.Request, o.ID, o.Trace = h, 7, [2]uint64{1, 2}
	s := &sdk.Span{}
	if !p.Start(s, &o) {
		return "none"
	}
	p.Inject(s, h)
	return fmt.Sprintf("%q %d parent %x sampled %t: %s, %s", s.Name(), s.Kind, s.Parent, s.Sampled, h.Value(trace.TraceParent), h.Value(trace.TraceState))
}

func TestStart(t *testing.T) {
	const (
		fresh    = ": 00-00000000000000010000000000000002-0000000000000007-01, "
		freshOff = ": 00-00000000000000010000000000000002-0000000000000007-00, "
		from     = " parent " + span + " sampled "
		on, off  = ": 00-" + wide + "-0000000000000007-01, ", ": 00-" + wide + "-0000000000000007-00, "
		parent   = "traceparent: 00-" + wide + "-" + span
	)
	p := newProvider(t, sdktest.NewCompiler(t), "")
	foreign := sdk.TraceContext{Low: 5, Span: 6}
	for _, tt := range []struct {
		name    string
		o       sdk.SpanStart
		headers []string
		want    string
	}{
		{"new", sdk.SpanStart{Sampled: true}, nil, `"ingress" 0 parent 0 sampled true` + fresh},
		{"new, unsampled", sdk.SpanStart{}, nil, `"" 0 parent 0 sampled false` + freshOff},
		{"outbound", sdk.SpanStart{Sampled: true, Outbound: true}, nil, `"egress shop.test" 1 parent 0 sampled true` + fresh},
		{"outbound, a hop", sdk.SpanStart{Sampled: true, Outbound: true, Hop: true}, nil, `"egress shop.test" 0 parent 0 sampled true` + fresh},
		{"named", sdk.SpanStart{Sampled: true, Name: "a/b"}, nil, `"a/b" 0 parent 0 sampled true` + fresh},
		{"parent", sdk.SpanStart{}, []string{parent + "-01"}, `"ingress" 0` + from + "true" + on},
		{"unsampled parent", sdk.SpanStart{Sampled: true}, []string{parent + "-00", "tracestate: a=b"}, `"" 0` + from + "false" + off + "a=b"},
		{"state without parent", sdk.SpanStart{Sampled: true}, []string{"tracestate: a=b"}, `"ingress" 0 parent 0 sampled true` + fresh},
		{"malformed", sdk.SpanStart{Sampled: true}, []string{"traceparent: x"}, "none"},
		{"empty", sdk.SpanStart{Sampled: true}, []string{"traceparent: "}, "none"},
		{"foreign", sdk.SpanStart{Sampled: true, Foreign: foreign}, nil,
			`"ingress" 0 parent 6 sampled true: 00-00000000000000000000000000000005-0000000000000007-01, `},
		{"foreign, and a parent", sdk.SpanStart{Foreign: foreign}, []string{parent + "-01"}, `"ingress" 0` + from + "true" + on},
	} {
		if got := started(p, tt.o, tt.headers...); got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestChild(t *testing.T) {
	p := newProvider(t, sdktest.NewCompiler(t), "")
	parent := &sdk.Span{TraceContext: sdk.TraceContext{High: 1, Low: 2, Span: 3, Wide: true}, Sampled: true}
	parent.SetState("a=b")
	s := &sdk.Span{}
	p.Child(s, parent, 4)
	if s.TraceContext != (sdk.TraceContext{High: 1, Low: 2, Span: 4, Wide: true}) || s.Parent != 3 || !s.Sampled || s.Kind != sdk.SpanClient || s.State() != "a=b" {
		t.Errorf("%+v", s)
	}
}

// TestSamplers: they have a say in what the connection manager wants to trace, and no
// other.
func TestSamplers(t *testing.T) {
	const prefix = `sampler { name: "s" typed_config { [type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.`
	ratio := func(n int) string {
		return fmt.Sprintf(prefix+"TraceIdRatioBasedSamplerConfig] { sampling_percentage { numerator: %d } } } }", n)
	}
	byParent := prefix + "ParentBasedSamplerConfig] { wrapped_sampler { " + strings.TrimPrefix(strings.TrimSuffix(ratio(0), "}"), "sampler { ") + "} } } }"
	for _, tt := range []struct {
		config            string
		high              uint64
		child, sampled    bool
		decided, sampled2 bool
	}{
		{prefix + "AlwaysOnSamplerConfig] {} } }", 0, false, false, true, true},
		{prefix + "AlwaysOnSamplerConfig] {} } }", 0, true, true, false, false},
		{ratio(50), 0x3100000000000000, false, false, true, true},  // its bytes reversed are 49
		{ratio(50), 0x3200000000000000, false, false, true, false}, // 50
		{ratio(50), 0x3100000000000000, false, false, false, false},
		{ratio(0), 0, true, true, true, false},
		{ratio(100), 0xffffffffffffffff, true, false, true, true},
		{byParent, 0, false, false, true, false},
		{byParent, 0, true, true, true, true},
		{byParent, 0, true, false, true, false},
	} {
		p := newProvider(t, sdktest.NewCompiler(t), tt.config)
		h := &sdk.Headers{}
		if tt.child {
			h.Add("traceparent", string(trace.AppendW3C(nil, sdk.TraceContext{High: tt.high, Low: 1, Span: 1}, tt.sampled)))
		}
		s := &sdk.Span{}
		if ok := p.Start(s, &sdk.SpanStart{Request: h, Sampled: tt.decided, Trace: [2]uint64{tt.high, 1}, ID: 1}); !ok || s.Sampled != tt.sampled2 {
			t.Errorf("%+v: %t, %t", tt, ok, s.Sampled)
		}
	}
}

func TestResource(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "a=1,b=2,,odd,=x,y=")
	const detectors = `resource_detectors { name: "e" typed_config { [type.googleapis.com/envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig] {} } }
		resource_detectors { name: "s" typed_config { [type.googleapis.com/envoy.extensions.tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig] { attributes { key: "b" value: "3" } } } }`
	const bare = `set_service_name_resource_attribute { value: false } set_telemetry_sdk_resource_attributes { value: false } `
	for text, want := range map[string]string{
		bare: "", `service_name: "shop" set_telemetry_sdk_resource_attributes { value: false }`: "service.name=shop",
		`set_telemetry_sdk_resource_attributes { value: false }`: "service.name=unknown_service:envoy",
		bare + detectors: "a=1 b=3",
	} {
		c := sdktest.NewCompiler(t)
		var got []string
		for _, kv := range newProvider(t, c, text).resource.GetAttributes() {
			got = append(got, kv.Key+"="+kv.Value.GetStringValue())
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", text, s, want)
		}
		if strings.Contains(text, "Environment") && len(c.Warnings()) != 3 {
			t.Errorf("warnings %q", c.Warnings())
		}
	}
	if got := newProvider(t, sdktest.NewCompiler(t), "").resource.GetAttributes(); len(got) != 4 {
		t.Errorf("the default is %v", got)
	}
}

// sample is an ended span with everything.
func sample() *sdk.Span {
	at := time.Unix(1700000000, 5)
	s := &sdk.Span{TraceContext: sdk.TraceContext{High: 1, Low: 2, Span: 3}, Parent: 4, Sampled: true, Start: at, End: at.Add(time.Millisecond)}
	s.SetName("a ", "b")
	s.SetState("x=y")
	s.Tag("text", "v")
	s.SetTag(sdk.TagInt, "int", "5")
	s.SetTag(sdk.TagDouble, "double", "1.5")
	s.SetTag(sdk.TagBool, "bool", "true")
	s.SetTag(sdk.TagInt, "not int", "x")
	s.Event(at.Add(time.Microsecond), "something")
	return s
}

func TestExport(t *testing.T) {
	for name, config := range map[string]string{"grpc": overGRPC, "http": overHTTP} {
		t.Run(name, func(t *testing.T) {
			c := sdktest.NewCompiler(t)
			p := newProvider(t, c, config)
			var got *tracev1.TracesData
			status := "200"
			c.AnswerCalls(func(cluster string, r *sdk.CallRequest) (*sdk.CallResponse, *sdk.CallError) {
				body := r.Body
				if name == "grpc" {
					body = body[5:]
				} else if r.Headers.Authority() != "collector.test" || r.Headers.Path() != "/v1/traces" || r.Headers.Value("content-type") != "application/x-protobuf" {
					t.Errorf("the call is %v", r.Headers)
				}
				got = &tracev1.TracesData{}
				if err := proto.Unmarshal(body, got); err != nil || cluster != "far" {
					t.Errorf("%v, for %s", err, cluster)
				}
				return sdktest.Response("\x00\x00\x00\x00\x00", ":status: "+status, "grpc-status: 0"), nil
			})
			counts := map[uint32]uint64{}
			export := func() {
				p.Export(context.Background(), []*sdk.Span{sample(), sample()}, func(c sdk.Counter, n uint64) { counts[c.ID] += n })
			}
			export()
			spans := got.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()
			const want = `trace_id:"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02" span_id:"\x00\x00\x00\x00\x00\x00\x00\x03" ` +
				`trace_state:"x=y" parent_span_id:"\x00\x00\x00\x00\x00\x00\x00\x04" name:"a b" kind:SPAN_KIND_SERVER ` +
				`start_time_unix_nano:1700000000000000005 end_time_unix_nano:1700000000001000005 ` +
				`attributes:{key:"text" value:{string_value:"v"}} attributes:{key:"int" value:{int_value:5}} attributes:{key:"double" value:{double_value:1.5}} ` +
				`attributes:{key:"bool" value:{bool_value:true}} attributes:{key:"not int" value:{string_value:"x"}} ` +
				`events:{time_unix_nano:1700000000000001005 name:"something"} status:{}`
			if len(spans) != 2 || squeeze(spans[0].String()) != squeeze(want) {
				t.Errorf("got %v\nwant %s", spans, want)
			}
			id := c.Scope().ID
			if counts[id("tracing.opentelemetry.spans_sent")] != 2 || counts[id("tracing.opentelemetry.spans_dropped")] != 0 {
				t.Errorf("counted %v", counts)
			}
			if status = "503"; name == "grpc" {
				c.AnswerCalls(nil)
			}
			export()
			if counts[id("tracing.opentelemetry.spans_sent")] != 4 || counts[id("tracing.opentelemetry.spans_dropped")] != 2 {
				t.Errorf("after a failure: %v", counts)
			}
		})
	}
}

// squeeze makes protobuf's text comparable: it has spaces at random.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestNobodyToSendTo(t *testing.T) {
	newProvider(t, sdktest.NewCompiler(t), "").Export(context.Background(), []*sdk.Span{sample()}, func(sdk.Counter, uint64) {
		t.Error("something was counted")
	})
}

func TestStatus(t *testing.T) {
	for _, tt := range []struct {
		kind       sdk.SpanKind
		http, grpc string
		failed     bool
	}{
		{sdk.SpanServer, "200", "", false}, {sdk.SpanServer, "404", "", false}, {sdk.SpanServer, "503", "", true}, {sdk.SpanServer, "0", "", false},
		{sdk.SpanClient, "200", "", false}, {sdk.SpanClient, "404", "", true}, {sdk.SpanClient, "503", "", true}, {sdk.SpanClient, "0", "", false},
		{sdk.SpanServer, "200", "0", false}, {sdk.SpanServer, "200", "5", false}, {sdk.SpanServer, "200", "14", true}, {sdk.SpanServer, "503", "0", false},
		{sdk.SpanClient, "200", "0", false}, {sdk.SpanClient, "200", "5", true}, {sdk.SpanClient, "200", "x", false}, {sdk.SpanClient, "503", "0", true},
	} {
		s := &sdk.Span{Kind: tt.kind}
		s.Tag("http.status_code", tt.http)
		if tt.grpc != "" {
			s.Tag("grpc.status_code", tt.grpc)
		}
		if got := status(s) == tracev1.Status_STATUS_CODE_ERROR; got != tt.failed {
			t.Errorf("%+v: %t", tt, got)
		}
	}
}
