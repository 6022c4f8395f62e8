package hcm

import (
	"context"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"sofamesh.io/sofamesh/mosn/protocol/http1"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// provider is one that does nothing, and its queue.
type provider struct{ closed int }

func (*provider) Start(*sdk.Span, *sdk.SpanStart) bool                           { return false }
func (*provider) Child(*sdk.Span, *sdk.Span, uint64)                             {}
func (*provider) Inject(*sdk.Span, *sdk.Headers)                                 {}
func (*provider) Batching() sdk.Batching                                         { return sdk.Batching{} }
func (*provider) Export(context.Context, []*sdk.Span, func(sdk.Counter, uint64)) {}
func (*provider) Put(int, *sdk.Span)                                             {}
func (p *provider) Close()                                                       { p.closed++ }

func compileTraced(t *testing.T, p *provider, direction corev3.TrafficDirection, fields string) (*stream.Config, error) {
	t.Helper()
	c := sdktest.NewCompiler(t)
	c.AddCodec(http1.Codec())
	c.AddHTTPFilter(Router())
	c.AddTracer("acme", p, p)
	h := hosted{Compiler: c, root: c, listener: &listenerv3.Listener{TrafficDirection: direction}, codecs: []*sdk.Codec{http1.Codec()}}
	return compile(h, sdktest.Text[hcmv3.HttpConnectionManager](t, fields+` stat_prefix: "t" route_config {} http_filters { name: "r" typed_config {
		[type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] { start_child_span: true } } }`))
}

func TestTracing(t *testing.T) {
	p := &provider{}
	cfg, err := compileTraced(t, p, corev3.TrafficDirection_OUTBOUND, "")
	if err != nil || cfg.Tracing != nil {
		t.Fatalf("without tracing: %+v, %v", cfg, err)
	}
	cfg, err = compileTraced(t, p, corev3.TrafficDirection_OUTBOUND, "tracing {}")
	if err != nil {
		t.Fatal(err)
	}
	tr := cfg.Tracing
	if tr.Provider != nil || !tr.Outbound || tr.Hop || !tr.Child || tr.MaxPath != 256 || tr.Verbose {
		t.Errorf("defaults: %+v", tr)
	}
	all := runtime.Fraction{Key: "tracing.random_sampling", Numerator: 10000, Denominator: 10000}
	if tr.Sampling.Random != all || tr.Sampling.Client != (runtime.Fraction{Key: "tracing.client_enabled", Numerator: 100, Denominator: 100}) {
		t.Errorf("defaults: %+v", tr.Sampling)
	}
	cfg, err = compileTraced(t, p, corev3.TrafficDirection_INBOUND, `tracing { provider { name: "acme" } spawn_upstream_span { value: true } verbose: true
		max_path_tag_length { value: 9 } random_sampling { value: 0.05 } overall_sampling { value: 99.99 } client_sampling { value: 12.7 }
		operation: "%PROTOCOL%" no_context_propagation: true }`)
	if err != nil {
		t.Fatal(err)
	}
	tr = cfg.Tracing
	if tr.Provider == nil || tr.Outbound || !tr.Hop || tr.MaxPath != 9 || !tr.Verbose || tr.Name == nil || tr.UpstreamName != nil || !tr.NoPropagation {
		t.Errorf("%+v", tr)
	}
	if s := tr.Sampling; s.Random.Numerator != 5 || s.Overall.Numerator != 9999 || s.Client.Numerator != 12 {
		t.Errorf("%+v", s)
	}
	if cfg.Close(); p.closed != 1 {
		t.Errorf("the queue was closed %d times", p.closed)
	}
}

func TestTracingRefused(t *testing.T) {
	for fields, want := range map[string]string{
		`tracing { provider { name: "none" } }`:                                                        `tracing.provider: no tracer "none"`,
		`tracing { operation: "%X%" }`:                                                                 "tracing.operation: ",
		`tracing { upstream_operation: "%" }`:                                                          "tracing.upstream_operation: ",
		`tracing { custom_tags { tag: "a" value: "%X%" } }`:                                            "tracing.custom_tags[0].value: ",
		`request_id_extension { typed_config { [type.googleapis.com/envoy.config.core.v3.Node] {} } }`: "request_id_extension.typed_config: envoy.config.core.v3.Node is not supported",
	} {
		if _, err := compileTraced(t, &provider{}, 0, fields); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", fields, err)
		}
	}
}

func TestRequestID(t *testing.T) {
	const uuid = `request_id_extension { typed_config { [type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig] { %s } } }`
	for text, want := range map[string][2]bool{
		"": {}, strings.Replace(uuid, "%s", "", 1): {},
		strings.Replace(uuid, "%s", "pack_trace_reason { value: false }", 1):                 {true, false},
		strings.Replace(uuid, "%s", "use_request_id_for_trace_sampling { value: false }", 1): {false, true},
		strings.Replace(uuid, "%s", "pack_trace_reason { value: true }", 1):                  {},
	} {
		cfg, err := compileTraced(t, &provider{}, 0, text)
		if err != nil || cfg.BareRequestID != want[0] || cfg.IgnoreRequestID != want[1] {
			t.Errorf("%s: %+v, %v", text, cfg, err)
		}
	}
}
