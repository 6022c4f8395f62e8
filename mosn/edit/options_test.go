package edit

import (
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func compileOptions(t testing.TB, text string) Options {
	t.Helper()
	l, err := CompileOptions(sdktest.NewCompiler(t), "f", sdktest.Text[routev3.VirtualHost](t, text).GetResponseHeadersToAdd())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestOptions: the options of a list do not see each other.
func TestOptions(t *testing.T) {
	add := func(key, value, action string) string {
		return `response_headers_to_add { header { key: "` + key + `" value: "` + value + `" } append_action: ` + action + " } "
	}
	const more, set, absent, exists = "APPEND_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS"
	for _, c := range []struct{ config, want string }{
		{"", "a: 1"},
		{add("a", "2", more), "a: 1,a: 2"},
		{add("a", "2", more) + add("a", "3", set), "a: 3,a: 2"},
		{add("a", "2", absent) + add("b", "%RESP(a)%%PROTOCOL%", absent), "a: 1,b: 1HTTP/2"},
		{add("b", "2", absent) + add("b", "3", absent) + add("c", "%RESP(b)%", set) + add("b", "4", exists), "a: 1,b: 2,b: 3"},
		{strings.Repeat(add("b", "x", more), 70) + add("a", "y", set), "a: y" + strings.Repeat(",b: x", 70)},
	} {
		var h sdk.Headers
		h.Add("a", "1")
		compileOptions(t, c.config).Apply(&h, &format.Context{Info: &sdk.StreamInfo{Protocol: sdk.HTTP2}, Response: &h})
		var got []string
		for name, value := range h.All() {
			got = append(got, name+": "+value)
		}
		if r := strings.Join(got, ","); r != c.want {
			t.Errorf("%s: %s, want %s", c.config, r, c.want)
		}
	}
}

func TestOptionsAllocs(t *testing.T) {
	l := compileOptions(t, `response_headers_to_add { header { key: "x-a" value: "%PROTOCOL%" } append_action: OVERWRITE_IF_EXISTS_OR_ADD }
		response_headers_to_add { header { key: "x-b" value: "b" } append_action: OVERWRITE_IF_EXISTS_OR_ADD }`)
	var h sdk.Headers
	ctx := &format.Context{Info: &sdk.StreamInfo{Protocol: sdk.HTTP2}, Response: &h}
	run := func() { h.Reset(); l.Apply(&h, ctx) }
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
