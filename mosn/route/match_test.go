package route

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// respond makes a route that is only a name and a match.
func respond(name, match string) string {
	return fmt.Sprintf("{name: %s, match: {%s}, direct_response: {status: 200}},\n", name, match)
}

func TestPaths(t *testing.T) {
	table := routesOf(t, respond("exact", "path: /exact")+
		respond("folded", "path: /Folded, case_sensitive: false")+
		respond("prefix", "prefix: /prefix")+
		respond("pfold", "prefix: /PFold, case_sensitive: false")+
		respond("regex", `safe_regex: {regex: "/re/[0-9]+"}`)+
		respond("separated", "path_separated_prefix: /sep")+
		respond("sepfold", "path_separated_prefix: /SepFold, case_sensitive: false")+
		respond("first", "prefix: /order")+
		respond("never", "prefix: /order/longer")+
		respond("never2", "path: /order/exact")+
		respond("query", `prefix: "/a?b"`))
	for path, want := range map[string]string{
		"/exact": "exact", "/exact?q=1": "exact", "/exact#f": "exact", "/exact/": "", "/Exact": "",
		"/fOLDED": "folded", "/prefixed": "prefix", "/prefix?": "prefix", "/PREFIX": "", "/pfOLDed": "pfold",
		"/re/12?q=/x": "regex", "/re/12x": "", "/q/re/12": "",
		"/sep": "separated", "/sep/x": "separated", "/sep?q": "separated", "/separate": "", "/sep#": "separated",
		"/sepfold/x": "sepfold", "/SEPFOLD": "sepfold", "/sepfolder": "",
		"/order/longer": "first", "/order/exact": "first",
		"/a?b": "", "/": "", "": "", "?": "",
	} {
		if got := routeName(table, request("h", path), nil); got != want {
			t.Errorf("%s: route %q, want %q", path, got, want)
		}
	}
}

func TestPathParameters(t *testing.T) {
	const routes = `
virtual_hosts: [{name: all, domains: ["*"], routes: [
  {name: path, match: {path: /a}, direct_response: {status: 200}},
  {name: never, match: {prefix: "/p;x"}, direct_response: {status: 200}},
  {name: sep, match: {path_separated_prefix: /s}, direct_response: {status: 200}},
  {name: regex, match: {safe_regex: {regex: /r}}, direct_response: {status: 200}}]}]`
	ignoring, strict := compileTable(t, "ignore_path_parameters_in_path_matching: true"+routes), compileTable(t, routes)
	for path, want := range map[string][2]string{
		"/a;v=1?q": {"path", ""}, "/p;x": {"", "never"}, "/s;x/y": {"sep", ""}, "/r;z": {"regex", ""}, "/a?q;x": {"path", "path"},
	} {
		h := request("h", path)
		if got := [2]string{routeName(ignoring, h, nil), routeName(strict, h, nil)}; got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestConditions(t *testing.T) {
	table := routesOf(t, respond("header", `prefix: /h, headers: [{name: x-a, string_match: {exact: v}}, {name: x-b}]`)+
		respond("query", `prefix: /q, query_parameters: [{name: q, string_match: {exact: v}}]`)+
		respond("cookie", `prefix: /c, cookies: [{name: c, string_match: {exact: v}}]`)+
		respond("grpc", `prefix: /g, grpc: {}`)+
		respond("presented", `prefix: /tls, tls_context: {presented: true}`)+
		respond("unvalidated", `prefix: /tls, tls_context: {validated: false}`))
	for _, c := range []struct {
		h    *sdk.Headers
		in   MatchInput
		want string
	}{
		{request("h", "/h", "x-a: v", "x-b: "), MatchInput{}, "header"},
		{request("h", "/h", "x-a: v"), MatchInput{}, ""},
		{request("h", "/q?q=v"), MatchInput{}, "query"},
		{request("h", "/q?q=w"), MatchInput{}, ""},
		{request("h", "/c", "cookie: c=v"), MatchInput{}, "cookie"},
		{request("h", "/c", "cookie: c=w"), MatchInput{}, ""},
		{request("h", "/g", "content-type: application/grpc"), MatchInput{}, "grpc"},
		{request("h", "/g", "content-type: application/grpc+proto"), MatchInput{}, "grpc"},
		{request("h", "/g", "content-type: application/grpc-web"), MatchInput{}, ""},
		{request("h", "/g", "content-type: APPLICATION/GRPC"), MatchInput{}, ""},
		{request("h", "/g", "content-type: application/grpc; a"), MatchInput{}, ""},
		{request("h", "/g"), MatchInput{}, ""},
		{request("h", "/tls"), MatchInput{PeerPresented: true}, "presented"},
		{request("h", "/tls"), MatchInput{}, "unvalidated"},
		{request("h", "/tls"), MatchInput{PeerValidated: true}, ""},
	} {
		if got := routeName(table, c.h, &c.in); got != c.want {
			t.Errorf("%s%+v: route %q, want %q", dump(c.h), c.in, got, c.want)
		}
	}
}

func TestConnect(t *testing.T) {
	table := routesOf(t, respond("any", "prefix: /")+respond("connect", "connect_matcher: {}"))
	connect := new(sdk.Headers)
	connect.Add(":method", "CONNECT")
	connect.Add(":authority", "h:80")
	if got := routeName(table, connect, nil); got != "connect" {
		t.Errorf("CONNECT without a path: route %q", got)
	}
	connect.Add(":path", "/p") // as HTTP/2's extended CONNECT has
	if got := routeName(table, connect, nil); got != "any" {
		t.Errorf("CONNECT with a path: route %q", got)
	}
	if got := routeName(routesOf(t, respond("connect", "connect_matcher: {}")), request("h", "/"), nil); got != "" {
		t.Errorf("GET: route %q", got)
	}
}

func TestRuntimeFraction(t *testing.T) {
	table := routesOf(t, respond("tenth", "prefix: /, runtime_fraction: {default_value: {numerator: 1, denominator: TEN_THOUSAND}, runtime_key: k}")+
		respond("never", "prefix: /, runtime_fraction: {default_value: {numerator: 0}}")+
		respond("third", "prefix: /, runtime_fraction: {default_value: {numerator: 30}}")+
		respond("rest", "prefix: /, runtime_fraction: {default_value: {numerator: 1000000, denominator: MILLION}}"))
	layer, err := structpb.NewStruct(map[string]any{"k": 100})
	if err != nil {
		t.Fatal(err)
	}
	all, err := runtime.New(layer)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in   MatchInput
		want string
	}{
		{MatchInput{Random: 0}, "tenth"}, {MatchInput{Random: 10_000}, "tenth"}, {MatchInput{Random: 1}, "third"},
		{MatchInput{Random: 10_029}, "third"}, {MatchInput{Random: 30}, "rest"}, {MatchInput{Random: 99}, "rest"},
		{MatchInput{Random: 99, Runtime: all}, "tenth"},
	} {
		if got := routeName(table, request("h", "/"), &c.in); got != c.want {
			t.Errorf("%d: route %q, want %q", c.in.Random, got, c.want)
		}
	}
}

// TestLongLists holds the index of exact paths against the plain list.
func TestLongLists(t *testing.T) {
	var all, some strings.Builder
	for i := range 40 {
		line := respond(fmt.Sprint("r", i), []string{
			fmt.Sprintf("path: /p%d", i%10),
			fmt.Sprintf("path: /p%d, headers: [{name: x-a}]", i%10),
			fmt.Sprintf("prefix: /p%d, headers: [{name: x-b}]", i%7),
			fmt.Sprintf("path: /P%d, case_sensitive: false, query_parameters: [{name: q}]", i%10),
		}[(i*7+i/10)%4])
		all.WriteString(line)
		if i < 6 {
			some.WriteString(line)
		}
	}
	table := routesOf(t, all.String())
	indexed := table.any.routes
	if indexed.paths == nil {
		t.Fatal("forty routes have no index")
	}
	plain := routeList{all: indexed.all}
	for i := range 12 {
		for _, path := range []string{fmt.Sprint("/p", i), fmt.Sprint("/p", i, "?q"), fmt.Sprint("/P", i, "?q"), fmt.Sprint("/p", i, "/x")} {
			for _, lines := range [][]string{nil, {"x-a: 1"}, {"x-b: 1"}, {"x-a: 1", "x-b: 1"}} {
				h := request("h", path, lines...)
				if got, want := indexed.match(h, &MatchInput{}, false), plain.match(h, &MatchInput{}, false); got != want {
					t.Errorf("%s %q: %v, want %v", path, lines, got, want)
				}
			}
		}
	}
	if routesOf(t, some.String()).any.routes.paths != nil {
		t.Error("six routes need no index")
	}
}

func TestMatchErrors(t *testing.T) {
	const route = "virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200}}, {match: {%s}, direct_response: {status: 200}}]}]"
	for match, want := range map[string]string{
		`safe_regex: {regex: "("}`: "virtual_hosts[0].routes[1].match.safe_regex.regex: ",
		`path_match_policy: {name: x.y, typed_config: {"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig}}`: `path_match_policy: extension "x.y"`,
		`prefix: /, headers: [{name: x, string_match: {safe_regex: {regex: "("}}}]`:                                       "match.headers[0].string_match.safe_regex.regex: ",
		`prefix: /, query_parameters: [{name: x, string_match: {safe_regex: {regex: "("}}}]`:                              "match.query_parameters[0].string_match",
		`prefix: /, cookies: [{name: x, string_match: {safe_regex: {regex: "("}}}]`:                                       "match.cookies[0].string_match",
	} {
		mustFail(t, fmt.Sprintf(route, match), want)
	}
}

func BenchmarkMatch(b *testing.B) {
	var api strings.Builder
	for i := range 1000 {
		api.WriteString(respond(fmt.Sprint("r", i), fmt.Sprintf("path: /api/v1/things/%d", i)))
	}
	for _, c := range []struct{ name, routes, path string }{
		{"one", respond("r", "prefix: /"), "/index.html"},
		{"header", respond("r", "prefix: /, headers: [{name: x-b, string_match: {exact: v}}]") + respond("s", "prefix: /"), "/index.html"},
		{"paths1000", api.String(), "/api/v1/things/999"},
	} {
		table := routesOf(b, c.routes)
		h := request("service-1.default.svc.cluster.local", c.path, "user-agent: u", "accept: */*", "x-request-id: 1")
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			in := &MatchInput{Random: 1}
			for b.Loop() {
				if _, r := table.Match(h, in); r == nil {
					b.Fatal("no route")
				}
			}
		})
	}
}

// TestMatchInfo: routes by what filters have said of the stream.
func TestMatchInfo(t *testing.T) {
	table := routesOf(t, respond("dynamic", `prefix: /, dynamic_metadata: [{filter: f, path: [{key: k}], value: {string_match: {exact: v}}},
		{filter: f, path: [{key: x}], value: {present_match: true}, invert: true}]`)+
		respond("state", `prefix: /, filter_state: [{key: s, string_match: {prefix: v}}]`)+
		respond("none", `prefix: /`))
	for _, c := range []struct {
		set  func(*sdk.StreamInfo)
		want string
	}{
		{func(*sdk.StreamInfo) {}, "none"},
		{func(i *sdk.StreamInfo) { i.Dynamic.Set("f", "k", sdk.String("v")) }, "dynamic"},
		{func(i *sdk.StreamInfo) {
			i.Dynamic.Merge("f", sdk.Struct(sdk.Field{Name: "k", Value: sdk.String("v")}, sdk.Field{Name: "x"}))
		}, "dynamic"},
		{func(i *sdk.StreamInfo) {
			i.Dynamic.Set("f", "k", sdk.String("v"))
			i.Dynamic.Set("f", "x", sdk.Null())
			i.SetFilterState("s", "vw")
		}, "state"},
		{func(i *sdk.StreamInfo) { i.SetFilterState("s", "w") }, "none"},
	} {
		info := &sdk.StreamInfo{}
		c.set(info)
		if got := routeName(table, request("h", "/"), &MatchInput{Info: info}); got != c.want {
			t.Errorf("%v: route %q, want %q", info.Dynamic.All().Any(), got, c.want)
		}
	}
	for text, want := range map[string]string{
		`dynamic_metadata: [{filter: f, path: [{key: k}], value: {string_match: {safe_regex: {regex: "("}}}}]`: "dynamic_metadata[0].value.string_match.safe_regex",
		`filter_state: [{key: s, string_match: {safe_regex: {regex: "("}}}]`:                                   "filter_state[0].string_match.safe_regex",
	} {
		pb := parse(t, "virtual_hosts: [{name: all, domains: ['*'], routes: ["+respond("r", "prefix: /, "+text)+"]}]")
		if _, err := Compile(sdktest.NewCompiler(t), pb, Options{}); err == nil || !strings.Contains(err.Error(), "routes[0].match."+want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
