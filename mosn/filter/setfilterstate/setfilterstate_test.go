package setfilterstate

import (
	"strings"
	"testing"

	statev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"

	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func host(t testing.TB, config string) *sdktest.Host {
	t.Helper()
	return sdktest.NewHost(t, Filter(), sdktest.Text[statev3.Config](t, config))
}

// element is one of on_request_headers; more goes into its format.
func element(key, text string, more ...string) string {
	return `on_request_headers { object_key: "` + key + `" factory_key: "envoy.string" format_string { ` + strings.Join(more, " ") +
		` text_format_source { inline_string: "` + text + `" } } } `
}

const omit = "omit_empty_values: true"

// shown is the state as logs print it.
func shown(t *testing.T, s *sdktest.Stream, text string) string {
	t.Helper()
	f, err := format.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(f.Append(nil, &format.Context{Info: s.Info(), Request: s.Request()}))
}

func TestValues(t *testing.T) {
	skipped := func(text string) string {
		return `on_request_headers { object_key: "k" factory_key: "envoy.hashable_string" skip_if_empty: true
			format_string { omit_empty_values: true text_format_source { inline_string: "` + text + `" } } } `
	}
	for _, c := range []struct{ config, want string }{
		{element("k", "v%REQ(x-a)%%REQ(x-none)%"), `"v1-"`},
		{element("k", "%REQ(x-none)%"), `"-"`},
		{element("k", "%REQ(x-none)%", omit), `""`},
		{element("k", "plain"), `"plain"`},
		{element("k", ""), `""`},
		{element("k", "a") + element("k", "b%REQ(x-a)%"), `"b1"`},
		{element("k", "a%REQ(x-a)%") + element("k", "<%FILTER_STATE(k:PLAIN)%>"), `"<a1>"`},
		{element("k", "a") + skipped("%REQ(x-none)%"), `"a"`},
		{element("k", "a") + skipped(""), `"a"`},
		{element("k", "a") + skipped("%REQ(x-a)%"), `"1"`},
		{skipped(""), "-"},
		{element("other", "a"), "-"},
		{`on_request_headers { object_key: "k" factory_key: "envoy.string" read_only: true shared_with_upstream: ONCE
			format_string { json_format { fields { key: "a" value { string_value: "%REQ(x-a)%" } } } } }`, `"{\"a\":\"1\"}\n"`},
	} {
		s := host(t, c.config).Stream()
		s.SendRequest(true, ":path: /", "x-a: 1")
		if got := shown(t, s, "%FILTER_STATE(k)%"); got != c.want || s.Cleared != 0 {
			t.Errorf("%s: %s", c.config, got)
		}
	}
}

// TestLevels: the filter's own values come first, then those of the route from outside in.
func TestLevels(t *testing.T) {
	h := host(t, element("k", "own")+"clear_route_cache: true")
	var route sdk.RouteConfig
	for _, level := range []string{"table", "host", "route"} {
		inner, err := Filter().CompileRoute(h.Compiler, sdktest.Text[statev3.Config](t, element("k", "%FILTER_STATE(k:PLAIN)% "+level)))
		if err != nil {
			t.Fatal(err)
		}
		if route != nil {
			inner = Filter().Merge(route, inner)
		}
		route = inner
	}
	h.Route = route
	s := h.Stream()
	s.SendRequest(true, ":path: /")
	if got := shown(t, s, "%FILTER_STATE(k:PLAIN)%"); got != "own table host route" || s.Cleared != 1 {
		t.Errorf("%s, cleared %d times", got, s.Cleared)
	}
}

// TestReuse: what a stream keeps is not seen by the next.
func TestReuse(t *testing.T) {
	h := host(t, element("a", "%REQ(x-a)%")+element("b", "%REQ(x-a)%%REQ(x-a)%"))
	for _, v := range []string{"long" + strings.Repeat("x", maxKept), "1", "22"} {
		s := h.Stream()
		s.SendRequest(true, ":path: /", "x-a: "+v)
		if got := shown(t, s, "%FILTER_STATE(a:PLAIN)% %FILTER_STATE(b:PLAIN)%"); got != v+" "+v+v {
			t.Errorf("%q", got)
		}
		s.End()
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`on_request_headers { object_key: "k" format_string { text_format_source { inline_string: "v" } } }`: "on_request_headers[0].object_key",
		element("k", "v") + strings.Replace(element("k", "v"), "envoy.string", "envoy.network.ip", 1):        "on_request_headers[1].factory_key",
		element("k", "%NONE%"): "on_request_headers[0].format_string.text_format_source",
		`on_request_headers { object_key: "k" factory_key: "envoy.string" format_string { } }`: "on_request_headers[0].format_string",
	} {
		_, err := Filter().Compile(sdktest.NewCompiler(t), sdktest.Text[statev3.Config](t, config))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
		if _, err := Filter().CompileRoute(sdktest.NewCompiler(t), sdktest.Text[statev3.Config](t, config)); err == nil {
			t.Errorf("%s on a route", config)
		}
	}
	// A name that Envoy knows is its own factory.
	s := host(t, `on_request_headers { object_key: "envoy.string" format_string { text_format_source { inline_string: "v" } } }`).Stream()
	s.SendRequest(true, ":path: /")
	if got := shown(t, s, "%FILTER_STATE(envoy.string:PLAIN)%"); got != "v" {
		t.Error(got)
	}
}

func TestAllocs(t *testing.T) {
	s := host(t, element("a", "%REQ(x-a)%-%PROTOCOL%")+element("b", "plain")).Stream()
	s.SendRequest(true, ":path: /", "x-a: 1")
	if n := testing.AllocsPerRun(100, func() { s.Again().OnRequestHeaders(s, true) }); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}
