package format

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk/sdktest"
)

// TestExpressions: CEL as text and with its type.
func TestExpressions(t *testing.T) {
	for format, want := range map[string]string{
		"%CEL(request.path)%":                  "/a?q=1",
		"%CEL(request.path):2%":                "/a",
		"%CEL(request.headers['none'])%":       "-",
		"%CEL(request.headers['two'])%":        "1,2",
		"%CEL((1 + 2) * 3 == 9)%":              "true",
		"%CEL(int(7) % 4 == 3)%":               "true",
		"%TYPED_CEL(request.headers['none'])%": "-",
		"%TYPED_CEL(request.host):2%":          "ho",
		`%COALESCE({"operators": [{"command": "CEL", "param": "request.headers['none']"}, {"command": "CEL", "param": "request.method"}]})%`: "GET",
	} {
		if got := render(t, format, proxied()); got != want {
			t.Errorf("%s: %s, want %s", format, got, want)
		}
	}
	if got := render(t, "%CEL(request.path)%", &Context{}); got != "-" {
		t.Errorf("nothing is known: %s", got)
	}
	const config = `formatters { name: "c" typed_config { [type.googleapis.com/envoy.extensions.formatter.cel.v3.Cel] { cel_config { enable_string_concat: true } } } } `
	for text, want := range map[string]string{
		config + `text_format: "%CEL(request.method + '!')%"`: "GET!",
		`json_format { fields { key: "t" value { string_value: "%CEL(request.size)%" } } fields { key: "n" value { string_value: "%TYPED_CEL(request.size)%" } }
			fields { key: "s" value { string_value: "%TYPED_CEL(request.method)%" } } fields { key: "l" value { string_value: "%TYPED_CEL([1, 'a', true])%" } }
			fields { key: "z" value { string_value: "%TYPED_CEL(request.scheme)%" } } }`: `{"l":[1,"a",true],"n":0,"s":"GET","t":"0","z":null}` + "\n",
	} {
		f, err := Compile(sdktest.NewCompiler(t), sdktest.Text[corev3.SubstitutionFormatString](t, text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		ctx := proxied()
		ctx.Info.BytesReceived = 0
		if got := string(f.Append(nil, ctx)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if _, err := Compile(sdktest.NewCompiler(t), sdktest.Text[corev3.SubstitutionFormatString](t, `text_format: "%CEL(request.method + '!')%"`)); err == nil {
		t.Error("text is joined without being enabled")
	}
}
