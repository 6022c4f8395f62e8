package match

import (
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// headers makes a request of "name: value" lines.
func headers(lines ...string) *sdk.Headers {
	h := new(sdk.Headers)
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return h
}

func compileHeader(t testing.TB, text string) Header {
	t.Helper()
	m, err := CompileHeader(sdktest.NewCompiler(t), sdktest.Text[routev3.HeaderMatcher](t, text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

// TestHeader holds the verdicts that Envoy 1.40 gave for the same matchers.
func TestHeader(t *testing.T) {
	const v = `string_match: { exact: "v" }`
	for _, c := range []struct {
		config  string
		present []string // lines of x-a
		want    bool
	}{
		{v, []string{"v"}, true},
		{v, []string{"w"}, false},
		{v, nil, false},
		{v + "invert_match: true", []string{"w"}, true},
		{v + "invert_match: true", []string{"v"}, false},
		{v + "invert_match: true", nil, false},
		{v + "invert_match: true treat_missing_header_as_empty: true", nil, true},
		{`string_match: { exact: "" } treat_missing_header_as_empty: true`, nil, true},
		{`string_match: { exact: "" }`, nil, false},

		{``, []string{""}, true},
		{``, nil, false},
		{`invert_match: true`, nil, true},
		{`invert_match: true`, []string{"1"}, false},
		{`invert_match: true treat_missing_header_as_empty: true`, nil, false},
		{`present_match: true`, []string{"1"}, true},
		{`present_match: true`, nil, false},
		{`present_match: true treat_missing_header_as_empty: true`, nil, true},
		{`present_match: true invert_match: true`, nil, true},
		{`present_match: false`, nil, true},
		{`present_match: false`, []string{"1"}, false},
		{`present_match: false invert_match: true`, nil, false},
		{`present_match: false invert_match: true`, []string{"1"}, true},
		{`present_match: false treat_missing_header_as_empty: true`, nil, false},

		{`range_match: { start: 1 end: 5 }`, []string{"1"}, true},
		{`range_match: { start: 1 end: 5 }`, []string{"5"}, false},
		{`range_match: { start: 1 end: 5 } invert_match: true`, nil, false},
		{`range_match: { start: 1 end: 5 } invert_match: true`, []string{"z"}, true},
		{`range_match: { start: 0 end: 5 } treat_missing_header_as_empty: true`, nil, false},

		// Several lines: one that matches is enough, and none may when inverted.
		{`string_match: { exact: "1" }`, []string{"1", "2"}, true},
		{`string_match: { exact: "2" }`, []string{"1", "2"}, true},
		{`string_match: { exact: "1,2" }`, []string{"1", "2"}, false},
		{`string_match: { exact: "1" } invert_match: true`, []string{"1", "2"}, false},
		{`string_match: { exact: "2" } invert_match: true`, []string{"1", "2"}, false},
		{`string_match: { exact: "3" } invert_match: true`, []string{"1", "2"}, true},
		{`range_match: { start: 2 end: 3 }`, []string{"1", "2"}, true},

		{`exact_match: "v"`, []string{"v"}, true},
		{`exact_match: "v"`, []string{"w"}, false},
		{`prefix_match: "v"`, []string{"vw"}, true},
		{`prefix_match: "v"`, []string{"wv"}, false},
		{`suffix_match: "v"`, []string{"wv"}, true},
		{`suffix_match: "v"`, []string{"vw"}, false},
		{`contains_match: "v"`, []string{"wvw"}, true},
		{`contains_match: "v"`, []string{"w"}, false},
		{`safe_regex_match: { regex: "v[0-9]" }`, []string{"v1"}, true},
		{`safe_regex_match: { regex: "v[0-9]" }`, []string{"v12"}, false},
	} {
		m := compileHeader(t, `name: "X-A" `+c.config)
		h := headers(":method: GET", "x-b: v")
		for _, v := range c.present {
			h.Add("x-a", v)
		}
		h.Add("last", "1")
		if got := m.Match(h); got != c.want {
			t.Errorf("%s on %q: %v", c.config, c.present, got)
		}
	}
}

func TestHeaderRangeNumbers(t *testing.T) {
	m := compileHeader(t, `name: "x-a" range_match: { start: -9223372036854775808 end: 9223372036854775807 }`)
	for v, want := range map[string]bool{
		"4": true, "+4": true, "-4": true, "04": true, "-9223372036854775808": true, "9223372036854775806": true,
		"9223372036854775807": false, // the end is out
		"9223372036854775808": false, "-9223372036854775809": false, "99999999999999999999": false, "18446744073709551616": false,
		"": false, "-": false, "+": false, "4a": false, "0x4": false, "- 4": false, "--4": false, "4.5": false, "1_0": false,
	} {
		if got := m.Match(headers("x-a: " + v)); got != want {
			t.Errorf("%q: %v", v, got)
		}
	}
}

func TestHeaderNames(t *testing.T) {
	for _, c := range []struct{ config, line string }{
		{`name: "Host" string_match: { exact: "h" }`, ":authority: h"},
		{`name: ":method" string_match: { exact: "POST" }`, ":method: POST"},
		{`name: "User-Agent" string_match: { exact: "u" }`, "user-agent: u"},
		{`name: "X-Own" string_match: { exact: "u" }`, "x-own: u"},
	} {
		m := compileHeader(t, c.config)
		if !m.Match(headers("x: y", c.line)) {
			t.Errorf("%s does not match %q", c.config, c.line)
		}
		if m.Match(headers("x: y")) {
			t.Errorf("%s matches without the header", c.config)
		}
	}
}

func TestHeaderLists(t *testing.T) {
	list, err := CompileHeaders(sdktest.NewCompiler(t), "headers", []*routev3.HeaderMatcher{
		sdktest.Text[routev3.HeaderMatcher](t, `name: "x-a" present_match: true`),
		sdktest.Text[routev3.HeaderMatcher](t, `name: "x-b" present_match: true`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		lines    []string
		all, any bool
	}{
		{nil, false, false},
		{[]string{"x-a: 1"}, false, true},
		{[]string{"x-a: 1", "x-b: 1"}, true, true},
	} {
		h := headers(c.lines...)
		if list.Match(h) != c.all || list.Any(h) != c.any {
			t.Errorf("%q: Match = %v, Any = %v", c.lines, list.Match(h), list.Any(h))
		}
	}
	var none Headers
	if !none.Match(headers()) || none.Any(headers()) {
		t.Error("an empty list must match all of nothing and none of something")
	}
	_, err = CompileHeaders(sdktest.NewCompiler(t), "headers", []*routev3.HeaderMatcher{
		{Name: "x"},
		sdktest.Text[routev3.HeaderMatcher](t, `name: "x" string_match: { safe_regex: { regex: "(" } }`),
	})
	if err == nil || !strings.HasPrefix(err.Error(), "headers[1].string_match.safe_regex.regex: ") {
		t.Errorf("error %v does not name the field", err)
	}
	_, err = CompileHeader(sdktest.NewCompiler(t), sdktest.Text[routev3.HeaderMatcher](t, `name: "x" safe_regex_match: { regex: "(" }`))
	if err == nil || !strings.HasPrefix(err.Error(), "safe_regex_match.regex: ") {
		t.Errorf("error %v does not name the field", err)
	}
}

func TestQuery(t *testing.T) {
	const exact = `name: "q" string_match: { exact: "v" }`
	for _, c := range []struct {
		config, path string
		want         bool
	}{
		{exact, "/?a=b&q=v", true},
		{exact, "/?q=w&q=v", false},
		{exact, "/?q=v&q=w", true},
		{exact, "/", false},
		{exact, "/?q=%76", false},
		{exact, "/?%71=v", false},
		{exact, "/?qq=v", false},
		{exact, "/?q=v?", false},
		{exact, "/?&&q=v", true},
		{exact, "/?q;q=v", false},
		{`name: "q" string_match: { exact: "a=b" }`, "/?q=a=b", true},
		{`name: "q" string_match: { exact: "x?y=1" }`, "/?q=x?y=1", true},
		{`name: "q" string_match: { exact: "" }`, "/?q", true},
		{`name: "q" string_match: { exact: "" }`, "/?q=", true},
		{`name: "q" string_match: { exact: "" }`, "/", false},
		{`name: "q" string_match: { safe_regex: { regex: "v+" } }`, "/?q=vvv", true},
		{`name: "q"`, "/?q", true},
		{`name: "q"`, "/?a&q=", true},
		{`name: "q"`, "/?qq", false},
		{`name: "q"`, "/q", false},
		{`name: "q" present_match: true`, "/?q=1", true},
		{`name: "q" present_match: false`, "/?q=1", false},
		{`name: "q" present_match: false`, "/?", true},
	} {
		list, err := CompileQueries(sdktest.NewCompiler(t), "query_parameters",
			[]*routev3.QueryParameterMatcher{sdktest.Text[routev3.QueryParameterMatcher](t, c.config)})
		if err != nil {
			t.Fatal(err)
		}
		if got := list.Match(c.path); got != c.want {
			t.Errorf("%s on %s: %v", c.config, c.path, got)
		}
	}
	_, err := CompileQueries(sdktest.NewCompiler(t), "query_parameters", []*routev3.QueryParameterMatcher{
		sdktest.Text[routev3.QueryParameterMatcher](t, `name: "q" string_match: { safe_regex: { regex: "(" } }`),
	})
	if err == nil || !strings.HasPrefix(err.Error(), "query_parameters[0].string_match.safe_regex.regex: ") {
		t.Errorf("error %v does not name the field", err)
	}
}

// TestCookie holds Envoy's verdicts on c=v.
func TestCookie(t *testing.T) {
	compile := func(text string) Cookies {
		t.Helper()
		list, err := CompileCookies(sdktest.NewCompiler(t), "cookies", []*routev3.CookieMatcher{sdktest.Text[routev3.CookieMatcher](t, text)})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	plain := compile(`name: "c" string_match: { exact: "v" }`)
	inverted := compile(`name: "c" string_match: { exact: "v" } invert_match: true`)
	for _, c := range []struct {
		lines []string
		want  bool
	}{
		{[]string{"c=v"}, true}, {[]string{"c=w"}, false}, {[]string{"a=1; c=v"}, true}, {[]string{"a=1;c=v"}, true},
		{[]string{`c="v"`}, true}, {[]string{`c="v`}, false}, {[]string{""}, false}, {nil, false},
		{[]string{"c=v; c=w"}, true}, {[]string{"c=w; c=v"}, false}, {[]string{"C=v"}, false},
		{[]string{"c = v"}, false}, {[]string{" c=v "}, true}, {[]string{"a=b", "c=v"}, true}, {[]string{"c", "c=v"}, true},
		{[]string{"cc=v"}, false},
	} {
		h := headers(":path: /")
		for _, l := range c.lines {
			h.Add("cookie", l)
		}
		if got := plain.Match(h); got != c.want {
			t.Errorf("%q: %v", c.lines, got)
		}
		if got := inverted.Match(h); got == c.want {
			t.Errorf("%q: inverted is %v too", c.lines, got)
		}
	}
	_, err := CompileCookies(sdktest.NewCompiler(t), "cookies", []*routev3.CookieMatcher{{Name: "c"}})
	if err == nil || !strings.HasPrefix(err.Error(), "cookies[0].string_match: ") {
		t.Errorf("error %v does not name the field", err)
	}
}

func TestFieldsAreComplete(t *testing.T) {
	table, err := fields.Merge(Fields())
	if err != nil {
		t.Fatal(err)
	}
	if missing := table.Undeclared(
		(&routev3.HeaderMatcher{}).ProtoReflect().Descriptor(), (&routev3.QueryParameterMatcher{}).ProtoReflect().Descriptor(),
		(&routev3.CookieMatcher{}).ProtoReflect().Descriptor(), (&routev3.RedirectAction{}).ProtoReflect().Descriptor().Fields().ByName("regex_rewrite").Message(),
	); len(missing) > 0 {
		t.Errorf("no status: %q", missing)
	}
}

func TestMatchingAllocatesNothing(t *testing.T) {
	h := headers(":method: GET", ":path: /a?b=c&q=v", "x-a: 12", "x-a: 13", "cookie: a=b; c=v")
	ms := Headers{
		compileHeader(t, `name: "x-a" string_match: { exact: "13" }`),
		compileHeader(t, `name: "x-a" string_match: { contains: "3" ignore_case: true }`),
		compileHeader(t, `name: "x-a" string_match: { safe_regex: { regex: "[0-9]+" } }`),
		compileHeader(t, `name: "x-a" string_match: { safe_regex: { regex: "1.*" } }`),
		compileHeader(t, `name: "x-a" range_match: { start: 1 end: 13 }`),
		compileHeader(t, `name: "x-z" present_match: false`),
	}
	cookies := Cookies{{name: "c", str: Exact("v", false)}}
	queries := Queries{{name: "q", str: Exact("v", true)}}
	if n := testing.AllocsPerRun(100, func() {
		if !ms.Match(h) || !cookies.Match(h) || !queries.Match(h.Path()) {
			t.Fatal("no match")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHeader(b *testing.B) {
	h := headers(":method: GET", ":path: /", ":authority: h", "accept: */*", "user-agent: b", "x-a: 12", "x-b: 13")
	for name, text := range map[string]string{
		"exact":  `name: "x-b" string_match: { exact: "13" }`,
		"known":  `name: ":method" string_match: { exact: "GET" }`,
		"prefix": `name: "x-b" string_match: { safe_regex: { regex: "1.*" } }`,
		"regex":  `name: "x-b" string_match: { safe_regex: { regex: "[0-9]+" } }`,
	} {
		m := compileHeader(b, text)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if !m.Match(h) {
					b.Fatal("no match")
				}
			}
		})
	}
}
