package route

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// stringFilter is a filter whose route configuration is a text.
func stringFilter(name string, merge func(outer, inner sdk.RouteConfig) sdk.RouteConfig) *sdk.HTTPFilter {
	return &sdk.HTTPFilter{
		Name: name, Route: &wrapperspb.StringValue{}, Merge: merge,
		CompileRoute: func(c sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			v := m.(*wrapperspb.StringValue).Value
			if v == "bad" {
				return nil, c.At("value").Errorf("is %w", errors.New("bad"))
			}
			return v, nil
		},
	}
}

func filterCompiler(t *testing.T) *sdktest.Compiler {
	t.Helper()
	c := sdktest.NewCompiler(t)
	c.AddHTTPFilter(stringFilter("plain", nil))
	c.AddHTTPFilter(stringFilter("merged", func(outer, inner sdk.RouteConfig) sdk.RouteConfig {
		if outer == nil {
			return inner
		}
		return outer.(string) + "+" + inner.(string)
	}))
	c.AddHTTPFilter(&sdk.HTTPFilter{Name: "none", Config: &wrapperspb.BoolValue{}})
	return c
}

const (
	stringType = `"@type": type.googleapis.com/google.protobuf.StringValue`
	wrapped    = `"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig`
)

func TestFilterConfig(t *testing.T) {
	const text = `
typed_per_filter_config:
  merged: {` + stringType + `, value: table}
  plain: {` + stringType + `, value: table}
virtual_hosts:
- name: v
  domains: [v]
  typed_per_filter_config:
    merged: {` + stringType + `, value: vhost}
    plain: {` + wrapped + `, disabled: true}
  routes:
  - match: {path: /own}
    route: {cluster: c}
    typed_per_filter_config:
      merged: {` + wrapped + `, config: {` + stringType + `, value: route}}
      plain: {` + stringType + `, value: route}
  - match: {path: /inherits}
    route: {cluster: c}
  - match: {path: /weighted}
    typed_per_filter_config: {merged: {` + stringType + `, value: route}}
    route: {weighted_clusters: {clusters: [{name: c, weight: 1, typed_per_filter_config: {merged: {` + stringType + `, value: cluster}}}]}}
- {name: w, domains: [w]}
`
	c := filterCompiler(t)
	table, err := Compile(c, parse(t, text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, w := table.VirtualHost("v"), table.VirtualHost("w")
	at := func(path string) *Route {
		_, r := table.Match(request("v", path), &MatchInput{})
		return r
	}
	for _, c := range []struct {
		name          string
		vh            *VirtualHost
		r             *Route
		merged, plain any
		off, set      bool
	}{
		{"table", nil, nil, "table", "table", false, true},
		{"other host", w, nil, "table", "table", false, true},
		{"host", v, nil, "table+vhost", "table", true, true},
		{"route", v, at("/own"), "table+vhost+route", "route", false, true},
		{"inherits", v, at("/inherits"), "table+vhost", "table", true, true},
		{"cluster", v, at("/weighted"), "table+vhost+route+cluster", "table", true, true},
	} {
		if got := table.FilterConfig("merged", c.vh, c.r); got != c.merged {
			t.Errorf("%s: merged is %v, want %v", c.name, got, c.merged)
		}
		if got := table.FilterConfig("plain", c.vh, c.r); got != c.plain {
			t.Errorf("%s: plain is %v, want %v", c.name, got, c.plain)
		}
		if off, set := table.FilterDisabled("plain", c.vh, c.r); off != c.off || set != c.set {
			t.Errorf("%s: disabled is %v, %v", c.name, off, set)
		}
		if _, set := table.FilterDisabled("else", c.vh, c.r); set || table.FilterConfig("else", c.vh, c.r) != nil {
			t.Errorf("%s: something is known of a filter that nobody named", c.name)
		}
	}
	if n := testing.AllocsPerRun(10, func() { table.FilterConfig("merged", v, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFilterErrors(t *testing.T) {
	for config, want := range map[string]string{
		`nope: {"@type": type.googleapis.com/google.protobuf.Int32Value, value: 1}`:                            `typed_per_filter_config["nope"]: no HTTP filter`,
		`nope: {` + wrapped + `, config: {"@type": type.googleapis.com/google.protobuf.Int32Value, value: 1}}`: `typed_per_filter_config["nope"].config: no HTTP filter`,
		`plain: {` + wrapped + `}`:                                                    `["plain"].config: is empty`,
		`plain: {` + stringType + `, value: bad}`:                                     `["plain"].value: is bad`,
		`plain: {"@type": type.googleapis.com/google.protobuf.Int32Value, value: 1}`:  `filter "plain" takes google.protobuf.StringValue here, not google.protobuf.Int32Value`,
		`none: {"@type": type.googleapis.com/google.protobuf.BoolValue, value: true}`: `filter "none" has no configuration by route`,
	} {
		for _, text := range []string{
			"typed_per_filter_config: {" + config + "}",
			"virtual_hosts: [{name: v, domains: [v], typed_per_filter_config: {" + config + "}}]",
			"virtual_hosts: [{name: v, domains: [v], routes: [{match: {prefix: /}, direct_response: {status: 200}, typed_per_filter_config: {" + config + "}}]}]",
			"virtual_hosts: [{name: v, domains: [v], routes: [{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: c, weight: 1, typed_per_filter_config: {" + config + "}}]}}}]}]",
		} {
			if _, err := Compile(filterCompiler(t), parse(t, text), Options{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v\nwant one with %q for\n%s", err, want, text)
			}
		}
	}
	optional := `typed_per_filter_config: {nope: {` + wrapped + `, is_optional: true, config: {"@type": type.googleapis.com/google.protobuf.Int32Value, value: 1}}}`
	table, err := Compile(filterCompiler(t), parse(t, optional), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if off, set := table.FilterDisabled("nope", nil, nil); off || !set || table.FilterConfig("nope", nil, nil) != nil {
		t.Error("an optional configuration of an unknown filter does not just turn it on")
	}
	table, err = Compile(filterCompiler(t), parse(t, `typed_per_filter_config: {plain: {`+wrapped+`, config: {}}}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if off, set := table.FilterDisabled("plain", nil, nil); off || !set || table.FilterConfig("plain", nil, nil) != nil {
		t.Error("an empty configuration does not just turn the filter on")
	}
}
