package config

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// greeter is a filter from outside that has no message of its own.
func greeter(got *string) *sdk.HTTPFilter {
	return &sdk.HTTPFilter{
		Name: "acme.filters.http.greeter", Config: &structpb.Struct{},
		Compile: func(c sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
			config := struct {
				Greeting string `json:"greeting"`
				Times    int    `json:"times"`
			}{Times: 1}
			if err := sdk.DecodeStruct(c, m.(*structpb.Struct), &config); err != nil {
				return nil, err
			}
			*got = strings.Repeat(config.Greeting, config.Times)
			return &plainConfig{}, nil
		},
	}
}

type plainConfig struct{}

func (*plainConfig) New(sdk.Stream) sdk.Filter { return sdk.PassThrough{} }
func (*plainConfig) Close()                    {}

// TestTypedStruct: a filter finds its configuration however it is written, and errors
// name the field.
func TestTypedStruct(t *testing.T) {
	const typed = `{"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: `
	for _, c := range []struct{ name, config, got, err string }{
		{"any", typed + `acme/acme.filters.http.greeter, value: {greeting: hi}}`, "hi", ""},
		{"any", `{"@type": type.googleapis.com/udpa.type.v1.TypedStruct, type_url: acme/acme.filters.http.greeter, value: {greeting: hi, times: 2}}`, "hihi", ""},
		{"acme.filters.http.greeter", `{"@type": type.googleapis.com/google.protobuf.Struct, value: {greeting: ho}}`, "ho", ""},
		{"any", typed + `acme/acme.filters.http.greeter, value: {greting: hi}}`, "", "http_filters[0].typed_config.greting: there is no such field"},
		{"any", typed + `acme/acme.filters.http.greeter, value: {times: many}}`, "", "typed_config.times: a string cannot be read as int"},
		{"any", typed + `acme/acme.filters.http.other, value: {}}`, "", `there is no envoy.filters.http extension named "any" with configuration of type acme.filters.http.other`},
		{"any", typed + `x/envoy.extensions.filters.http.router.v3.Router, value: {suppress_envoy_headers: maybe}}`, "",
			"typed_config.value: is no envoy.extensions.filters.http.router.v3.Router"},
		{"any", typed + `x/envoy.extensions.filters.http.router.v3.Router, value: {suppress_envoy_headers: true}}`, "", "terminal filter"},
	} {
		var got string
		reg, err := NewRegistry(extensions().Add(sdk.Extensions{HTTPFilters: []*sdk.HTTPFilter{greeter(&got)}}))
		if err != nil {
			t.Fatal(err)
		}
		yaml := hcmListener(strings.Replace(routerFilter, "          - name: router", "          - {name: "+c.name+", typed_config: "+c.config+"}\n          - name: router", 1))
		boot, err := Load(Source{YAML: yaml}, reg)
		if err != nil {
			t.Fatal(err)
		}
		err = NewStore(Options{Registry: reg, Stats: stats.NewStore(stats.Options{}), Loops: 1}).Apply(boot.Resources()).Err()
		if got != c.got || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %q, error %v; want %q, %q", c.config, got, err, c.got, c.err)
		}
	}
}
