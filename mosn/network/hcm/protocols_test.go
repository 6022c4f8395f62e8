package hcm

import (
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"sofamesh.io/sofamesh/mosn/protocol/bolt"
	"sofamesh.io/sofamesh/mosn/protocol/http1"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/framecodec"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// hosted is a compiler with what the store's has beside sdk.Compiler.
type hosted struct {
	*sdktest.Compiler
	root     sdk.Compiler
	listener *listenerv3.Listener
	codecs   []*sdk.Codec
}

func (h hosted) Node() *corev3.Node             { return nil }
func (h hosted) Listener() *listenerv3.Listener { return h.listener }
func (h hosted) ListenerStats() sdk.Scope       { return h.Stats().Scope("listener.l") }
func (h hosted) RouteNames() *route.StatNames   { return route.NewStatNames() }
func (h hosted) Root() sdk.Compiler             { return h.root }
func (h hosted) Codecs() []*sdk.Codec           { return h.codecs }
func (h hosted) Runtime() *runtime.Values       { return nil }
func (h hosted) Tracing() *tracev3.Tracing_Http { return nil }

// protocol is one of a level, which nobody speaks.
func protocol(name string, level sdk.Level) *sdk.Codec {
	return framecodec.New(framecodec.Protocol{
		Name: name, Level: level, Mode: sdk.Multiplexed,
		Match: func([]byte) sdk.Verdict { return sdk.NoMatch },
		Cut:   func([]byte) (int, int, error) { return 0, 0, nil },
		Read:  func([]byte, *framecodec.Frame) error { return nil },
		SetID: func([]byte, uint64) {},
	})
}

// compileWith compiles a connection manager on a listener whose metadata fixes a
// protocol ("" does not), and returns the names of its codecs.
func compileWith(t *testing.T, only, fields string) (names []string, err error) {
	t.Helper()
	c := sdktest.NewCompiler(t)
	h := hosted{Compiler: c, root: c, listener: &listenerv3.Listener{}}
	for _, codec := range []*sdk.Codec{
		bolt.Codec(bolt.Limits{}), http1.Codec(), protocol("light", sdk.Light), protocol("medium", sdk.Medium),
	} {
		c.AddCodec(codec)
		h.codecs = append(h.codecs, codec)
	}
	c.AddHTTPFilter(Router())
	c.AddCluster("c")
	if only != "" {
		h.listener = sdktest.Text[listenerv3.Listener](t, `metadata { filter_metadata { key: "mosn" value {
			fields { key: "protocol" value { string_value: "`+only+`" } } } } }`)
	}
	cfg, err := compile(h, sdktest.Text[hcmv3.HttpConnectionManager](t, fields+` stat_prefix: "t" http_filters { name: "r" typed_config {
		[type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] {} } }`))
	if err != nil {
		return nil, err
	}
	for _, cc := range cfg.Codecs {
		names = append(names, cc.Codec().Name)
	}
	return names, nil
}

func TestProtocols(t *testing.T) {
	for _, tt := range []struct{ only, fields, want string }{
		{"", "", "http1 bolt light medium"},
		{"", "codec_type: HTTP1", "http1"},
		{"bolt", "", "bolt"},
		{"http1", "", "http1"},
		{"http1", "codec_type: HTTP1", "http1"},
	} {
		names, err := compileWith(t, tt.only, "route_config {} "+tt.fields)
		if got := strings.Join(names, " "); got != tt.want || err != nil {
			t.Errorf("%q %q: %s, %v; want %s", tt.only, tt.fields, got, err, tt.want)
		}
	}
	if _, err := compileWith(t, "bolt", "route_config {} codec_type: HTTP1"); err == nil || !strings.Contains(err.Error(), "codec_type: is HTTP1, but") {
		t.Errorf("two protocols: %v", err)
	}
	_, err := compileWith(t, "blot", "route_config {}")
	if err == nil || !strings.Contains(err.Error(), `metadata.filter_metadata[mosn].protocol: there is no protocol "blot"; there are bolt, http1, light, medium`) {
		t.Errorf("a protocol that there is not: %v", err)
	}
}

// TestLevels: where a listener has one protocol, a rule that it cannot follow is
// refused by name.
func TestLevels(t *testing.T) {
	const (
		add     = `_headers_to_add { header { key: "a" value: "b" } }`
		forward = `match { prefix: "/" } route { cluster: "c" `
	)
	vh := func(fields string) string { return `virtual_hosts { name: "v" domains: "*" ` + fields + ` }` }
	route := func(fields string) string { return vh(`routes { ` + fields + ` }`) }
	for _, tt := range []struct{ levels, table, err string }{
		{"", route(forward + `}`), ""},
		{"light", `virtual_hosts { name: "v" domains: "a.b" }`, "virtual_hosts[0].domains[0]: the protocol light of this listener shows no service names"},
		{"", `virtual_hosts { name: "v" domains: "*" domains: "light" }`, ""},
		{"light", route(`match { prefix: "/a" } route { cluster: "c" }`), `routes[0].match: the protocol light of this listener shows no methods`},
		{"light", route(`match { path: "/a" } route { cluster: "c" }`), `shows no methods`},
		{"light", route(`match { prefix: "/" headers { name: "a" present_match: true } } route { cluster: "c" }`), "match.headers: "},
		{"light medium bolt", route(`match { prefix: "/" query_parameters { name: "a" } } route { cluster: "c" }`), "match.query_parameters: "},
		{"light medium", `request` + add, "route_config.request_headers_to_add: "},
		{"light medium", `response_headers_to_remove: "a"`, "route_config.response_headers_to_remove: "},
		{"light medium", vh(`response` + add), "virtual_hosts[0].response_headers_to_add: the protocol"},
		{"light medium", route(forward + `} request_headers_to_remove: "a"`), "routes[0].request_headers_to_remove: "},
		{"light medium", route(forward[:len(forward)-len(`cluster: "c" `)] + `weighted_clusters { clusters { name: "c" weight { value: 1 } request` + add + ` } } }`),
			"routes[0].route.weighted_clusters.clusters[0].request_headers_to_add: "},
		{"light medium bolt", route(forward + `prefix_rewrite: "/x" }`), "route.prefix_rewrite: "},
		{"light medium bolt", route(forward + `host_rewrite_literal: "x" }`), "route.host_rewrite_literal: "},
		{"light medium bolt", route(forward + `auto_host_rewrite { value: true } }`), "route.auto_host_rewrite: "},
	} {
		for _, only := range []string{"light", "medium", "bolt", "http1", ""} {
			_, err := compileWith(t, only, `route_config { `+tt.table+` }`)
			refused := slices.Contains(strings.Fields(tt.levels), only)
			switch {
			case refused && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("%q with %s: %v, want %s", only, tt.table, err, tt.err)
			case !refused && err != nil:
				t.Errorf("%q with %s: %v", only, tt.table, err)
			}
		}
	}
}
