package route

import (
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func TestTrace(t *testing.T) {
	c := sdktest.NewCompiler(t)
	for _, tt := range []struct {
		fields string
		check  func(*Trace) bool
	}{
		{"", func(tr *Trace) bool { return tr == nil }},
		{`decorator { operation: "op" }`, func(tr *Trace) bool { return tr.Operation == "op" && !tr.Quiet && tr.Sampling == nil }},
		{`decorator { operation: "op" propagate { value: true } }`, func(tr *Trace) bool { return !tr.Quiet }},
		{`decorator { operation: "op" propagate { value: false } }`, func(tr *Trace) bool { return tr.Quiet }},
		{`tracing {}`, func(tr *Trace) bool { // a route that says anything says all
			all := runtime.Fraction{Key: "tracing.random_sampling", Numerator: 100, Denominator: 100}
			return tr.Operation == "" && tr.Sampling.Random == all && tr.Sampling.Overall.Numerator == 100 && tr.Name == nil
		}},
		{`tracing { random_sampling { numerator: 5 denominator: MILLION } operation: "a" upstream_operation: "b" }`, func(tr *Trace) bool {
			return tr.Sampling.Random.Numerator == 5 && tr.Sampling.Random.Denominator == 1000000 && tr.Name != nil && tr.UpstreamName != nil
		}},
	} {
		tr, err := compileTrace(c, sdktest.Text[routev3.Route](t, tt.fields))
		if err != nil || !tt.check(tr) {
			t.Errorf("%s: %+v, %v", tt.fields, tr, err)
		}
	}
	for fields, want := range map[string]string{
		`tracing { operation: "%X%" }`:                    "tracing.operation: ",
		`tracing { upstream_operation: "%X%" }`:           "tracing.upstream_operation: ",
		`tracing { custom_tags { tag: "a" value: "%" } }`: "tracing.custom_tags[0].value: ",
	} {
		if _, err := compileTrace(c, sdktest.Text[routev3.Route](t, fields)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", fields, err)
		}
	}
}
