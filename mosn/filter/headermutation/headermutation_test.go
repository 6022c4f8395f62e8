package headermutation

import (
	"slices"
	"strings"
	"testing"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func host(t testing.TB, config string) *sdktest.Host {
	t.Helper()
	return sdktest.NewHost(t, Filter(), sdktest.Text[mutationv3.HeaderMutation](t, config))
}

// set is a mutation that replaces a header, add one that adds a line of it.
func set(key, value string) string {
	return `append { header { key: "` + key + `" value: "` + value + `" } append_action: OVERWRITE_IF_EXISTS_OR_ADD }`
}

func add(key, value string) string {
	return `append { header { key: "` + key + `" value: "` + value + `" } }`
}

func TestRequestMutations(t *testing.T) {
	head := []string{":method: GET", ":path: /p", "x-a: 1", "x-b: b", "x-a: 2"}
	for _, c := range []struct {
		name      string
		mutations []string
		want      []string // but for :method and :path
	}{
		{"none", nil, []string{"x-a: 1", "x-b: b", "x-a: 2"}},
		{"add", []string{add("X-A", "3"), add("x-c", "%REQ(x-b)%-%REQ(:path)%")},
			[]string{"x-a: 1", "x-b: b", "x-a: 2", "x-a: 3", "x-c: b-/p"}},
		{"each sees those before", []string{set("x-b", "c"), add("x-c", "%REQ(x-b)%"), add("x-c", "%REQ(x-c)%d")},
			[]string{"x-a: 1", "x-b: c", "x-a: 2", "x-c: c", "x-c: cd"}},
		{"set", []string{set("x-a", "3")}, []string{"x-a: 3", "x-b: b"}},
		{"if absent", []string{
			`append { header { key: "x-b" value: "c" } append_action: ADD_IF_ABSENT }`,
			`append { header { key: "x-c" value: "c" } append_action: ADD_IF_ABSENT }`},
			[]string{"x-a: 1", "x-b: b", "x-a: 2", "x-c: c"}},
		{"if exists", []string{
			`append { header { key: "x-b" value: "c" } append_action: OVERWRITE_IF_EXISTS }`,
			`append { header { key: "x-c" value: "c" } append_action: OVERWRITE_IF_EXISTS }`},
			[]string{"x-a: 1", "x-b: c", "x-a: 2"}},
		{"older field", []string{`append { header { key: "x-b" value: "c" } append { value: false } }`}, []string{"x-a: 1", "x-b: c", "x-a: 2"}},
		{"nothing", []string{set("x-b", "%REQ(x-none)%")}, []string{"x-a: 1", "x-b: b", "x-a: 2"}},
		{"nothing kept", []string{`append { header { key: "x-b" value: "%REQ(x-none)%" } append_action: OVERWRITE_IF_EXISTS keep_empty_value: true }`},
			[]string{"x-a: 1", "x-b: ", "x-a: 2"}},
		{"remove", []string{`remove: "X-A"`, `remove: "x-none"`}, []string{"x-b: b"}},
		{"remove and add", []string{`remove: "x-a"`, add("x-a", "3")}, []string{"x-b: b", "x-a: 3"}},
		{"remove matching", []string{`remove_on_match { key_matcher { prefix: "X-" ignore_case: true } }`}, nil},
		{"case counts", []string{`remove_on_match { key_matcher { prefix: "X-" } }`}, []string{"x-a: 1", "x-b: b", "x-a: 2"}},
	} {
		config := "mutations {"
		for _, m := range c.mutations {
			config += " request_mutations { " + m + " }"
		}
		s := host(t, config+" }").Stream()
		s.SendRequest(true, head...)
		if got := s.ToServer.Head; !slices.Equal(got[2:], c.want) || !slices.Equal(got[:2], head[:2]) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// TestPlaces: each list changes its own head or trailers, and operators read what is there.
func TestPlaces(t *testing.T) {
	s := host(t, `mutations {
		request_mutations { `+add("q", "%REQ(a)%%RESP(:status)%%RESPONSE_CODE%")+` }
		request_trailers_mutations { `+add("qt", "%REQ(a)%%TRAILER(qt)%")+` }
		response_mutations { `+add("r", "%REQ(q)%%RESP(:status)%%TRAILER(t)%")+` }
		response_trailers_mutations { `+add("rt", "%REQ(a)%%RESP(r)%%TRAILER(t)%")+` }
		response_trailers_mutations { remove: "t" }
	}`).Stream()
	s.SendRequest(false, ":path: /", "a: 1")
	s.SendRequestTrailers("t: 2")
	s.SendResponse(false, ":status: 200")
	s.SendResponseData("x", false)
	s.SendResponseTrailers("t: 3")
	got := []string{s.ToServer.Value("q"), s.ToServer.Trailer("qt"), s.ToClient.Value("r"), s.ToClient.Trailer("rt"), s.ToClient.Trailer("t")}
	if want := []string{"10", "1", "10200", "1102003", "-"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLevels: the filter's own mutations come first; then all levels of the route count.
func TestLevels(t *testing.T) {
	f := Filter()
	const own = `mutations { request_mutations { append { header { key: "x" value: "own" } } } response_mutations { append { header { key: "x" value: "own" } } } }`
	for config, want := range map[string]string{
		own: "x: own,x: route,x: host,x: table",
		own + " most_specific_header_mutations_wins: true": "x: own,x: table,x: host,x: route",
	} {
		h := host(t, config)
		var route sdk.RouteConfig
		for _, level := range []string{"table", "host", "route"} {
			pb := sdktest.Text[mutationv3.HeaderMutationPerRoute](t,
				`mutations { request_mutations { `+add("x", level)+` } response_mutations { `+add("x", level)+` } }`)
			inner, err := f.CompileRoute(h.Compiler, pb)
			if err != nil {
				t.Fatal(err)
			}
			if route != nil {
				inner = f.Merge(route, inner)
			}
			route = inner
		}
		h.Route = route
		s := h.Stream()
		s.SendRequest(true, ":path: /")
		h.Route = nil // another route for the response does not matter
		s.SendResponse(true, ":status: 200")
		for _, head := range [][]string{s.ToServer.Head, s.ToClient.Head} {
			if got := strings.Join(head[1:], ","); got != want {
				t.Errorf("%s: %s", config, got)
			}
		}
		h.Route = route
		s = h.Stream()
		s.SendResponse(true, ":status: 503") // a reply of a filter before this one
		if got := strings.Join(s.ToClient.Head[1:], ","); got != want {
			t.Errorf("reply: %s: %s", config, got)
		}
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`request_mutations { ` + add(":path", "/") + ` }`:                                                        "mutations.request_mutations[0].append.header.key",
		`response_mutations { remove: "x" } response_mutations { ` + add("Host", "h") + ` }`:                     "mutations.response_mutations[1].append.header.key",
		`request_trailers_mutations { ` + add("a", "%NONE%") + ` }`:                                              "mutations.request_trailers_mutations[0].append.header.value",
		`response_trailers_mutations { append { header { key: "a" } append { } append_action: ADD_IF_ABSENT } }`: "mutations.response_trailers_mutations[0].append",
		`query_parameter_mutations { }`:                                                                          "mutations.query_parameter_mutations[0]",
		`query_parameter_mutations { remove: "a" append { record { key: "a" } } }`:                               "only one",
		`query_parameter_mutations { append { } }`:                                                               "append.record",
		`query_parameter_mutations { append { record { key: "a" value { number_value: 1 } } } }`:                 "append.record.value",
		`query_parameter_mutations { append { record { key: "a" value { string_value: "%" } } } }`:               "append.record.value",
	} {
		_, err := Filter().Compile(sdktest.NewCompiler(t), sdktest.Text[mutationv3.HeaderMutation](t, "mutations { "+config+" }"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
		if _, err := Filter().CompileRoute(sdktest.NewCompiler(t), sdktest.Text[mutationv3.HeaderMutationPerRoute](t, "mutations { "+config+" }")); err == nil {
			t.Errorf("%s on a route", config)
		}
	}
}

func TestAllocs(t *testing.T) {
	h := host(t, `mutations {
		request_mutations { `+set("x-a", "%REQ(x-b)%/%START_TIME%")+` }
		request_mutations { remove_on_match { key_matcher { suffix: "-c" } } }
		query_parameter_mutations { append { record { key: "k" value { string_value: "%REQ(x-b)%" } } } }
		query_parameter_mutations { remove: "a" }
		response_mutations { remove: "server" }
	}`)
	h.RouteConfig(Filter(), sdktest.Text[mutationv3.HeaderMutationPerRoute](t, `mutations { request_mutations { `+set("x-d", "%PROTOCOL%")+` } }`))
	s := h.Stream()
	s.SendRequest(true, ":path: /p?a=1&b=2", "x-b: v", "x-c: gone")
	s.SendResponse(true, ":status: 200", "server: s")
	if n := testing.AllocsPerRun(100, func() {
		s.Request().SetID(sdk.HeaderPath, "/p?a=1&b=2&c=%20")
		s.Request().Reset()
		s.Request().Add(":path", "/p?a=1&b=2&c=%20")
		s.Request().Add("x-b", "v")
		fl := s.Again()
		fl.OnRequestHeaders(s, true)
		fl.OnResponseHeaders(s, true)
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}
