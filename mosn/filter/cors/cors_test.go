package cors

import (
	"slices"
	"strings"
	"testing"

	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// host runs the filter on a route that forwards and has the policies of levels, the
// outermost first.
func host(t testing.TB, levels ...string) *sdktest.Host {
	t.Helper()
	h := sdktest.NewHost(t, Filter(), &corsv3.Cors{})
	h.RouteValues = map[string]any{"route": true}
	h.Route = policy(t, h.Compiler, levels...)
	return h
}

func policy(t testing.TB, c sdk.Compiler, levels ...string) sdk.RouteConfig {
	t.Helper()
	var route sdk.RouteConfig
	for _, l := range levels {
		inner, err := Filter().CompileRoute(c, sdktest.Text[corsv3.CorsPolicy](t, l))
		if err != nil {
			t.Fatal(err)
		}
		if route != nil {
			inner = Filter().Merge(route, inner)
		}
		route = inner
	}
	return route
}

// asked sends a request and returns its stream and what a preflight answer says, nil if
// there was none.
func asked(h *sdktest.Host, lines ...string) (*sdktest.Stream, []string) {
	s := h.Stream()
	s.SendRequest(true, append([]string{":path: /"}, lines...)...)
	if len(s.Replies) == 0 {
		return s, nil
	}
	got := []string{s.Replies[0].Details}
	var head sdk.Headers
	s.Replies[0].Edit(&head)
	for name, value := range head.All() {
		got = append(got, strings.TrimPrefix(name, "access-control-")+": "+value)
	}
	return s, got
}

const (
	allowA = `allow_origin_string_match { exact: "http://a" } `
	all    = allowA + `allow_methods: "GET,PUT" allow_headers: "x-a" expose_headers: "x-e" max_age: "10"
		allow_credentials { value: true } allow_private_network_access { value: true } `
	// stop has the filter answer preflight requests of other origins too.
	stop = `forward_not_matching_preflights { value: false } `
)

var (
	preflight = []string{":method: OPTIONS", "origin: http://a", "access-control-request-method: PATCH",
		"access-control-request-headers: x-c, x-d", "access-control-request-private-network: true"}
	foreign = append(slices.Clone(preflight[2:]), ":method: OPTIONS", "origin: http://b")
)

func TestPreflight(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		lines        []string
		want         string // "" for no answer
	}{
		{"all", all, preflight, "cors_response, allow-credentials: true, allow-methods: GET,PUT, allow-headers: x-a, max-age: 10, allow-private-network: true"},
		{"little", allowA, preflight, "cors_response"},
		{"mirrored", allowA + `allow_methods: "*" allow_headers: "*"`, preflight, "cors_response, allow-methods: PATCH, allow-headers: x-c, x-d"},
		{"nothing to mirror", allowA + `allow_headers: "*"`, preflight[:3], "cors_response, allow-headers: "},
		{"not private", all, preflight[:3], "cors_response, allow-credentials: true, allow-methods: GET,PUT, allow-headers: x-a, max-age: 10"},
		{"refused answers", allowA + "allow_credentials { value: false } allow_private_network_access { value: false }", preflight, "cors_response"},
		{"another origin goes on", all, foreign, ""},
		{"another origin is answered", stop + `max_age: "1"`, foreign, "cors_response, max-age: 1"},
		{"no method", all, []string{preflight[0], preflight[1]}, ""},
		{"empty method", all, []string{preflight[0], preflight[1], "access-control-request-method: "}, ""},
		{"another method", all, append([]string{":method: GET"}, preflight[1:]...), ""},
		{"no origin", all, preflight[2:], ""},
		{"no origin, answered", stop, append([]string{":method: OPTIONS"}, preflight[2:]...), ""},
	} {
		s, got := asked(host(t, c.policy), c.lines...)
		if strings.Join(got, ", ") != c.want || s.ToServer.Ended == (got != nil) {
			t.Errorf("%s: %q, %+v", c.name, got, s.ToServer)
		}
	}
}

func TestResponses(t *testing.T) {
	for _, c := range []struct{ name, policy, origin, want string }{
		{"all", all, "http://a", "allow-origin: http://a, allow-credentials: true, expose-headers: x-e"},
		{"little", allowA, "http://a", "allow-origin: http://a, allow-credentials: theirs"},
		{"another origin", all, "http://b", "allow-origin: theirs, allow-origin: too, allow-credentials: theirs"},
		{"star", `allow_origin_string_match { exact: "*" }`, "http://b", "allow-origin: http://b, allow-credentials: theirs"},
		{"pattern", `allow_origin_string_match { suffix: ".c" } allow_origin_string_match { prefix: "http://B" ignore_case: true }`, "http://b", "allow-origin: http://b, allow-credentials: theirs"},
		{"none", "", "http://b", "allow-origin: theirs, allow-origin: too, allow-credentials: theirs"},
	} {
		s, _ := asked(host(t, c.policy), ":method: GET", "origin: "+c.origin)
		s.SendResponse(true, ":status: 200", "access-control-allow-origin: theirs", "access-control-allow-origin: too", "access-control-allow-credentials: theirs")
		got := strings.ReplaceAll(strings.Join(s.ToClient.Head[1:], ", "), "access-control-", "")
		if got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// TestOriginIsKept: what other filters make of the request does not matter.
func TestOriginIsKept(t *testing.T) {
	s, _ := asked(host(t, allowA), ":method: GET", "origin: http://a")
	s.Request().Set("origin", "http://else")
	s.SendResponse(true, ":status: 200")
	if got := s.ToClient.Value("access-control-allow-origin"); got != "http://a" {
		t.Error(got)
	}
}

// TestLevels: inner levels say what outer ones do not, but for the share of requests.
func TestLevels(t *testing.T) {
	never := "filter_enabled { default_value { numerator: 0 } } "
	for _, c := range []struct {
		levels []string
		want   string
	}{
		{[]string{all, `allow_methods: "X"`}, "cors_response, allow-credentials: true, allow-methods: X, allow-headers: x-a, max-age: 10, allow-private-network: true"},
		{[]string{all, `allow_headers: "y"`, `max_age: "3" allow_credentials { }`}, "cors_response, allow-methods: GET,PUT, allow-headers: y, max-age: 3, allow-private-network: true"},
		{[]string{allowA, `allow_origin_string_match { exact: "http://b" }`}, ""},
		{[]string{allowA, `allow_origin_string_match { exact: "http://b" }`, stop}, "cors_response"},
		{[]string{stop, `allow_methods: "X"`, "forward_not_matching_preflights { value: true }"}, ""},
		{[]string{never, allowA}, "cors_response"},
		{[]string{allowA, never}, ""},
	} {
		if _, got := asked(host(t, c.levels...), preflight...); strings.Join(got, ", ") != c.want {
			t.Errorf("%q: %q", c.levels, got)
		}
	}
}

// TestWhere: the policy is the route's configuration, else the older field; a route that
// does not forward has none.
func TestWhere(t *testing.T) {
	h := host(t)
	older := policy(t, h.Compiler, allowA)
	typed := policy(t, h.Compiler, allowA+`max_age: "1"`)
	for _, c := range []struct {
		route  sdk.RouteConfig
		values map[string]any
		want   string
	}{
		{nil, map[string]any{"route": true}, ""},
		{nil, map[string]any{"route": true, "cors": older}, "cors_response"},
		{typed, map[string]any{"route": true, "cors": older}, "cors_response, max-age: 1"},
		{typed, map[string]any{"cors": older}, ""},
	} {
		h.Route, h.RouteValues = c.route, c.values
		s, got := asked(h, preflight...)
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%v: %q", c.values, got)
		}
		s.End()
	}
}

func TestShares(t *testing.T) {
	half := func(n string) string { return `{ default_value { numerator: ` + n + ` } runtime_key: "k" } ` }
	for _, c := range []struct {
		policy         string
		random         uint64
		answered       bool
		valid, invalid uint64
	}{
		{"", 99, true, 1, 1},
		{"filter_enabled " + half("50"), 49, true, 1, 1},
		{"filter_enabled " + half("50"), 50, false, 0, 0},
		{"filter_enabled " + half("0") + "shadow_enabled " + half("50"), 49, false, 1, 1},
		{"filter_enabled " + half("0") + "shadow_enabled " + half("50"), 50, false, 0, 0},
		{"filter_enabled " + half("50") + "shadow_enabled " + half("100"), 49, true, 1, 1},
		{"shadow_enabled " + half("0"), 0, true, 1, 1},
	} {
		h := host(t, allowA+stop+c.policy)
		for _, lines := range [][]string{preflight, foreign} {
			s := h.Stream()
			s.Rand = c.random
			s.SendRequest(true, lines...)
			if (len(s.Replies) == 1) != c.answered {
				t.Errorf("%+v: %v", c, s.Replies)
			}
			s.SendResponse(true, ":status: 200")
			if got := s.ToClient.Value("access-control-allow-origin"); !c.answered && got != "-" {
				t.Errorf("%+v: %s", c, got)
			}
			s.End()
		}
		if v, i := h.Counted("cors.origin_valid"), h.Counted("cors.origin_invalid"); v != c.valid || i != c.invalid {
			t.Errorf("%+v: %d %d", c, v, i)
		}
	}
}

// withRuntime is a compiler that knows runtime values.
type withRuntime struct {
	sdk.Compiler
	values *runtime.Values
}

func (w withRuntime) Runtime() *runtime.Values { return w.values }

func TestRuntime(t *testing.T) {
	layer, _ := structpb.NewStruct(map[string]any{"k": 0})
	values, err := runtime.New(layer)
	if err != nil {
		t.Fatal(err)
	}
	h := host(t)
	h.Route = policy(t, withRuntime{h.Compiler, values}, allowA+`filter_enabled { default_value { numerator: 100 } runtime_key: "k" }`)
	if _, got := asked(h, preflight...); got != nil {
		t.Errorf("the key does not count: %q", got)
	}
}

func TestRefused(t *testing.T) {
	_, err := Filter().CompileRoute(sdktest.NewCompiler(t), sdktest.Text[corsv3.CorsPolicy](t, allowA+`allow_origin_string_match { safe_regex { regex: "(" } }`))
	if err == nil || !strings.Contains(err.Error(), "allow_origin_string_match[1].safe_regex") {
		t.Error(err)
	}
}

func TestAllocs(t *testing.T) {
	h := host(t, allowA, all)
	s, _ := asked(h, ":method: GET", "origin: http://a")
	s.SendResponse(true, ":status: 200")
	if n := testing.AllocsPerRun(100, func() {
		s.Response().Reset()
		fl := s.Again()
		fl.OnRequestHeaders(s, true)
		fl.OnResponseHeaders(s, true)
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}
