package config

import (
	"strings"
	"testing"

	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// TestFiltersCountBelowTheirManager: the scope of an HTTP filter, and of its configuration
// of a route, is that of the connection manager; both know the runtime.
func TestFiltersCountBelowTheirManager(t *testing.T) {
	var got []sdk.Counter
	known := 0
	ask := func(c sdk.Compiler) {
		got = append(got, c.At("some.field").Stats().Counter("mine"))
		if runtime.Of(c) != nil {
			known++
		}
	}
	e := extensions()
	e.HTTPFilters = append(e.HTTPFilters, &sdk.HTTPFilter{
		Name: "mine", Config: &corsv3.Cors{}, Route: &corsv3.CorsPolicy{},
		Compile:      func(c sdk.Compiler, _ proto.Message) (sdk.HTTPConfig, error) { ask(c); return passing{}, nil },
		CompileRoute: func(c sdk.Compiler, _ proto.Message) (sdk.RouteConfig, error) { ask(c); return nil, nil },
	})
	registry, err := NewRegistry(e)
	if err != nil {
		t.Fatal(err)
	}
	const typ = "type.googleapis.com/envoy.extensions.filters.http."
	boot, err := Load(Source{Path: write(t, "b.yaml", strings.Replace(hcmListener(`
          http_filters:
          - {name: mine, typed_config: {"@type": `+typ+`cors.v3.Cors}}
          - {name: router, typed_config: {"@type": `+typ+`router.v3.Router}}
`), `domains: ["*"],`, `domains: ["*"], typed_per_filter_config: {mine: {"@type": `+typ+`cors.v3.CorsPolicy}},`, 1)+`
layered_runtime: {layers: [{name: s, static_layer: {a: 1}}]}
`)}, registry)
	if err != nil {
		t.Fatal(err)
	}
	names := stats.NewStore(stats.Options{})
	r := NewStore(Options{Registry: registry, Stats: names, Loops: 1, Runtime: boot.Runtime.Values()}).Apply(boot.Resources())
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	want := names.Root().Scope("http.web").Counter("mine")
	if len(got) != 2 || got[0] != want || got[1] != want || known != 2 {
		t.Errorf("%v, want %v; %d know the runtime", got, want, known)
	}
}

// passing is a filter that does nothing.
type passing struct{}

func (passing) New(sdk.Stream) sdk.Filter { return sdk.PassThrough{} }
func (passing) Close()                    {}
