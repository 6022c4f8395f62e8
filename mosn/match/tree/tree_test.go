package tree

import (
	"net/netip"
	"strings"
	"testing"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	commonmatcherv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

const (
	network = "envoy.extensions.matching.common_inputs.network.v3."
	custom  = "envoy.extensions.matching.input_matchers."
	http    = "envoy.type.matcher.v3.Http"
	xds     = "xds.type.matcher.v3."
)

// ext is an extension in protobuf's text format.
func ext(field, typ, config string) string {
	return field + ` { name: "n" typed_config { [type.googleapis.com/` + typ + `] { ` + config + ` } } } `
}

func in(typ, config string) string { return ext("input", typ, config) }
func headerInput(name string) string {
	return in(http+"RequestHeaderMatchInput", `header_name: "`+name+`"`)
}

// act is the action of a name.
func act(name string) string {
	return ext("action", "envoy.config.core.v3.Locality", `region: "`+name+`"`)
}
func on(name string) string        { return "on_match { " + act(name) + "} " }
func otherwise(name string) string { return "on_no_match { " + act(name) + "} " }
func one(of string) string         { return "single_predicate { " + of + "} " }
func exact(v string) string        { return `value_match { exact: "` + v + `" } ` }
func rows(of ...string) string {
	var b strings.Builder
	for _, r := range of {
		b.WriteString("matchers { " + r + "} ")
	}
	return "matcher_list { " + b.String() + "} "
}
func when(predicate string) string { return "predicate { " + predicate + "} " }

func action(_ sdk.Compiler, m proto.Message) (string, error) {
	return m.(*corev3.Locality).GetRegion(), nil
}

func compile(t testing.TB, text string, o Options[string]) (*Tree[string], error) {
	t.Helper()
	o.Action = action
	return Compile(sdktest.NewCompiler(t), sdktest.Text[xdsmatcherv3.Matcher](t, text), o)
}

func headers(lines ...string) *sdk.Headers {
	h := &sdk.Headers{}
	for _, l := range lines {
		i := strings.Index(l[1:], ":") + 1
		h.Add(l[:i], strings.TrimSpace(l[i+1:]))
	}
	return h
}

// data is that of a request without a response.
func data(lines ...string) *match.Data {
	info := &sdk.StreamInfo{
		DownstreamRemote: netip.MustParseAddrPort("192.0.2.7:1234"), DownstreamLocal: netip.MustParseAddrPort("10.0.0.1:80"),
		DownstreamDirectRemote: netip.MustParseAddrPort("10.0.0.2:99"),
	}
	info.SetFilterState("text", "value")
	info.Dynamic.Set("f", "k", sdk.String("v"))
	info.SetFilterState("addr", netip.MustParseAddr("10.9.9.9"))
	info.SetFilterState("number", 5)
	return &match.Data{Info: info, Request: headers(append([]string{":path: /p?q=1&r=%41", ":authority: h", "x-a: 1"}, lines...)...)}
}

// result is the action's name, "-" for no match, "?" for an unknown one.
func result(a string, r Outcome) string {
	switch r {
	case NoMatch:
		return "-" + a
	case Unknown:
		return "?" + a
	}
	return a
}

func check(t *testing.T, text string, d *match.Data, want string) {
	t.Helper()
	tree, err := compile(t, text, Options[string]{})
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	if got := result(tree.Match(d)); got != want {
		t.Errorf("%s: %s, want %s", text, got, want)
	}
}

func TestInputs(t *testing.T) {
	t.Setenv("TREE_TEST", "set")
	for _, c := range []struct{ input, exact, want string }{
		{headerInput("x-a"), "1", "yes"},
		{headerInput("X-A"), "1", "yes"},
		{headerInput("host"), "h", "yes"},
		{headerInput("x-b"), "", "-"},
		{headerInput("x-many"), "1,2,3", "yes"},
		{in(http+"RequestQueryParamMatchInput", `query_param: "q"`), "1", "yes"},
		{in(http+"RequestQueryParamMatchInput", `query_param: "r"`), "A", "yes"},
		{in(http+"RequestQueryParamMatchInput", `query_param: "none"`), "", "-"},
		{in(http+"RequestTrailerMatchInput", `header_name: "x"`), "1", "?"},
		{in(http+"ResponseHeaderMatchInput", `header_name: "x"`), "1", "?"},
		{in(http+"ResponseTrailerMatchInput", `header_name: "x"`), "1", "?"},
		{in(http+"ResponseStatusCodeMatchInput", ``), "200", "?"},
		{in(network+"SourceIPInput", ""), "192.0.2.7", "yes"},
		{in(network+"SourcePortInput", ""), "1234", "yes"},
		{in(network+"DestinationIPInput", ""), "10.0.0.1", "yes"},
		{in(network+"DestinationPortInput", ""), "80", "yes"},
		{in(network+"DirectSourceIPInput", ""), "10.0.0.2", "yes"},
		{in(network+"SourceTypeInput", ""), "local", "-"},
		{in(network+"ServerNameInput", ""), "", "-"},
		{in(network+"FilterStateInput", `key: "text"`), "value", "yes"},
		{in(network+"FilterStateInput", `key: "addr"`), "10.9.9.9", "yes"},
		{in(network+"FilterStateInput", `key: "number"`), "5", "-"},
		{in(network+"FilterStateInput", `key: "none"`), "", "-"},
		{in("envoy.extensions.matching.common_inputs.environment_variable.v3.Config", `name: "TREE_TEST"`), "set", "yes"},
		{in("envoy.extensions.matching.common_inputs.environment_variable.v3.Config", `name: "TREE_TEST_NONE"`), "", "-"},
	} {
		d := data("x-many: 1", "x-many: 2", "x-many: 3")
		check(t, rows(when(one(c.input+exact(c.exact)))+on("yes")), d, c.want)
		if c.want == "yes" {
			check(t, rows(when(one(c.input+exact("other")))+on("yes")), d, "-")
		}
	}
	d := data()
	d.Response, d.RequestTrailers, d.ResponseTrailers = headers(":status: 404", "x: 1"), headers("x: 2"), headers("x: 3")
	d.Info.DownstreamRemote = netip.MustParseAddrPort("[::ffff:127.0.0.1]:1")
	for input, v := range map[string]string{
		in(http+"ResponseStatusCodeMatchInput", ``):             "404",
		in(http+"ResponseStatusCodeClassMatchInput", ``):        "4xx",
		in(http+"ResponseHeaderMatchInput", `header_name: "x"`): "1", in(http+"RequestTrailerMatchInput", `header_name: "x"`): "2",
		in(http+"ResponseTrailerMatchInput", `header_name: "x"`): "3",
		in(network+"SourceTypeInput", ""):                        "local",
		in(network+"SourceIPInput", ""):                          "127.0.0.1",
	} {
		check(t, rows(when(one(input+exact(v)))+on("yes")), d, "yes")
	}
}

func TestMatchers(t *testing.T) {
	for _, c := range []struct{ input, matcher, want string }{
		{headerInput("x-a"), `value_match { prefix: "1" }`, "yes"},
		{headerInput("x-a"), `value_match { safe_regex { regex: "[0-9]" } }`, "yes"},
		{headerInput("x-up"), `value_match { exact: "abc" ignore_case: true }`, "yes"},
		{headerInput("x-ip"), ext("custom_match", custom+"ip.v3.Ip", `cidr_ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } stat_prefix: "s"`), "yes"},
		{headerInput("x-a"), ext("custom_match", custom+"ip.v3.Ip", `cidr_ranges { address_prefix: "0.0.0.0" prefix_len { value: 0 } } stat_prefix: "s"`), "-"},
		{headerInput("x-b"), ext("custom_match", custom+"ip.v3.Ip", `cidr_ranges { address_prefix: "0.0.0.0" prefix_len { value: 0 } } stat_prefix: "s"`), "-"},
		{in(network+"SourceIPInput", ""), ext("custom_match", custom+"ip.v3.Ip", `cidr_ranges { address_prefix: "192.0.2.0" prefix_len { value: 24 } } stat_prefix: "s"`), "yes"},
		{headerInput("x-a"), ext("custom_match", custom+"consistent_hashing.v3.ConsistentHashing", `threshold: 0 modulo: 1`), "yes"},
		{headerInput("x-a"), ext("custom_match", custom+"consistent_hashing.v3.ConsistentHashing", `threshold: 1 modulo: 1`), "-"},
		{headerInput("x-b"), ext("custom_match", custom+"consistent_hashing.v3.ConsistentHashing", `threshold: 0 modulo: 1`), "-"},
		{headerInput("x-a"), ext("custom_match", custom+"runtime_fraction.v3.RuntimeFraction", `runtime_fraction { default_value { numerator: 100 } }`), "yes"},
		{headerInput("x-a"), ext("custom_match", custom+"runtime_fraction.v3.RuntimeFraction", `runtime_fraction { default_value { numerator: 0 } }`), "-"},
		{in(network+"DynamicMetadataInput", `filter: "f" path { key: "k" }`), ext("custom_match", custom+"metadata.v3.Metadata", `value { string_match { exact: "v" } }`), "yes"},
		{in(network+"DynamicMetadataInput", `filter: "f" path { key: "k" }`), ext("custom_match", custom+"metadata.v3.Metadata", `value { string_match { exact: "v" } } invert: true`), "-"},
		{in(network+"DynamicMetadataInput", `filter: "f" path { key: "x" }`), ext("custom_match", custom+"metadata.v3.Metadata", `value { present_match: true }`), "-"},
		{in(network+"DynamicMetadataInput", `filter: "f" path { key: "x" }`), ext("custom_match", custom+"metadata.v3.Metadata", `value { present_match: true } invert: true`), "yes"},
		{in(xds+"HttpAttributesCelMatchInput", ""), ext("custom_match", xds+"CelMatcher",
			`expr_match { cel_expr_parsed { expr { call_expr { function: "_==_" args { select_expr { operand { ident_expr { name: "request" } } field: "host" } } args { const_expr { string_value: "h" } } } } } }`), "yes"},
	} {
		check(t, rows(when(one(c.input+c.matcher))+on("yes")), data("x-up: aBc", "x-ip: 10.1.1.1"), c.want)
	}
}

// TestPredicates: how outcomes combine; what is unknown is not decided.
func TestPredicates(t *testing.T) {
	yes, no := one(headerInput("x-a")+exact("1")), one(headerInput("x-a")+exact("2"))
	later := one(in(http+"ResponseHeaderMatchInput", `header_name: "x"`) + exact("1"))
	both := func(op, a, b string) string { return op + " { predicate { " + a + "} predicate { " + b + "} } " }
	for predicate, want := range map[string]string{
		yes: "a", no: "z", later: "?",
		both("and_matcher", yes, yes): "a", both("and_matcher", yes, no): "z", both("and_matcher", no, later): "z",
		both("and_matcher", later, no): "?", both("and_matcher", yes, later): "?",
		both("or_matcher", no, yes): "a", both("or_matcher", no, no): "z", both("or_matcher", later, yes): "a",
		both("or_matcher", later, no): "?", both("or_matcher", no, later): "?",
		"not_matcher { " + yes + "}": "z", "not_matcher { " + no + "}": "a", "not_matcher { " + later + "}": "?",
	} {
		check(t, rows(when(predicate)+on("a"))+otherwise("z"), data(), want)
	}
}

// TestTrees: lists and choices, and what follows from a nested matcher that does not
// match.
func TestTrees(t *testing.T) {
	yes, no := when(one(headerInput("x-a")+exact("1"))), when(one(headerInput("x-a")+exact("2")))
	nothing := "on_match { matcher { " + rows(no+on("no")) + "} } "
	nested := func(inner string) string { return "on_match { matcher { " + inner + "} } " }
	entry := func(key, on string) string { return `map { key: "` + key + `" value { ` + on + `} } ` }
	choose := func(in, kind, entries string) string { return "matcher_tree { " + in + kind + " { " + entries + "} } " }
	value := func(on string) string { return strings.TrimSuffix(strings.TrimPrefix(on, "on_match { "), "} ") }
	of := func(field string, in, typ, config string) string {
		return "matcher_tree { " + in + ext("custom_match", typ, config) + "} "
	}
	v := headerInput("x-v")
	for _, c := range []struct{ tree, v, want string }{
		{"", "", "-"},
		{otherwise("z"), "", "z"},
		{rows(no+on("a"), yes+on("b"), yes+on("c")), "", "b"},
		{rows(yes+nothing, yes+on("b")), "", "b"},
		{rows(yes+nothing) + otherwise("z"), "", "z"},
		{rows(yes+nested(rows(no+on("a"))+otherwise("inner")), yes+on("b")), "", "inner"},
		{choose(v, "exact_match_map", entry("k", act("a"))), "k", "a"},
		{choose(v, "exact_match_map", entry("k", act("a"))), "kk", "-"},
		{choose(v, "exact_match_map", entry("k", act("a"))) + otherwise("z"), "", "z"},
		{choose(v, "exact_match_map", entry("k", value(nothing))) + otherwise("z"), "k", "z"},
		{choose(v, "prefix_match_map", entry("/", act("a"))+entry("/b", act("b"))+entry("/b/c", act("c"))), "/b/cc", "c"},
		{choose(v, "prefix_match_map", entry("/", act("a"))+entry("/b", act("b"))+entry("/b/c", act("c"))), "/b/", "b"},
		{choose(v, "prefix_match_map", entry("/", act("a"))+entry("/b", act("b"))), "b", "-"},
		{choose(v, "prefix_match_map", entry("/", act("a"))+entry("/b", act("b"))+entry("/b/c", value(nothing))), "/b/c", "b"},
		{choose(v, "prefix_match_map", entry("/b", value(nothing))) + otherwise("z"), "/b", "z"},
		{choose(in(http+"ResponseHeaderMatchInput", `header_name: "x"`), "exact_match_map", entry("k", act("a"))) + otherwise("z"), "", "?"},
		{of("", v, xds+"ServerNameMatcher", `domain_matchers { domains: "a.b.c" `+on("exact")+`} domain_matchers { domains: ["*.b.c", "*.c"] `+on("wild")+`} domain_matchers { domains: "*" `+on("any")+"}"), "a.b.c", "exact"},
		{of("", v, xds+"ServerNameMatcher", `domain_matchers { domains: "a.b.c" `+nothing+`} domain_matchers { domains: "*.b.c" `+nothing+`} domain_matchers { domains: "*.c" `+on("wild")+`}`), "a.b.c", "wild"},
		{of("", v, xds+"ServerNameMatcher", `domain_matchers { domains: "*.b.c" `+on("deep")+`} domain_matchers { domains: "*.c" `+on("wild")+`} domain_matchers { domains: "*" `+on("any")+"}"), "x.c", "wild"},
		{of("", v, xds+"ServerNameMatcher", `domain_matchers { domains: "*.b.c" `+on("deep")+`} domain_matchers { domains: "*" `+on("any")+"}"), "b.c", "any"},
		{of("", v, xds+"ServerNameMatcher", `domain_matchers { domains: "*.b.c" `+on("deep")+`}`) + otherwise("z"), "b.c", "z"},
		{of("", v, xds+"ServerNameMatcher", `domain_matchers { domains: "*" `+on("any")+"}") + otherwise("z"), "", "z"},
		{of("", v, xds+"IPMatcher", `range_matchers { ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } `+on("wide")+`} range_matchers { ranges { address_prefix: "10.1.0.0" prefix_len { value: 16 } } `+on("narrow")+"}"), "10.1.2.3", "narrow"},
		{of("", v, xds+"IPMatcher", `range_matchers { ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } `+on("wide")+`} range_matchers { ranges { address_prefix: "10.1.0.0" prefix_len { value: 16 } } `+on("narrow")+"}"), "10.2.2.3", "wide"},
		{of("", v, xds+"IPMatcher", `range_matchers { ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } `+on("wide")+`} range_matchers { ranges { address_prefix: "10.1.0.0" prefix_len { value: 16 } } `+nothing+"}"), "10.1.2.3", "wide"},
		{of("", v, xds+"IPMatcher", `range_matchers { exclusive: true ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } `+on("wide")+`} range_matchers { ranges { address_prefix: "10.1.0.0" prefix_len { value: 16 } } `+nothing+"}") + otherwise("z"), "10.1.2.3", "z"},
		{of("", v, xds+"IPMatcher", `range_matchers { ranges { address_prefix: "::" prefix_len { value: 0 } } `+on("v6")+"}") + otherwise("z"), "10.1.2.3", "z"},
		{of("", v, xds+"IPMatcher", `range_matchers { ranges { address_prefix: "fd00::" prefix_len { value: 64 } } `+on("v6")+"}") + otherwise("z"), "fd00::1", "v6"},
		{of("", v, xds+"IPMatcher", `range_matchers { ranges { address_prefix: "0.0.0.0" prefix_len { value: 0 } } `+on("v4")+"}") + otherwise("z"), "no address", "z"},
		{of("", in(network+"SourceIPInput", ""), xds+"IPMatcher", `range_matchers { ranges { address_prefix: "192.0.2.7" prefix_len { value: 32 } } `+on("v4")+"}"), "", "v4"},
	} {
		d := data()
		if c.v != "" {
			d = data("x-v: " + c.v)
		}
		check(t, c.tree, d, c.want)
	}
}

func TestKeepMatching(t *testing.T) {
	yes := when(one(headerInput("x-a") + exact("1")))
	text := rows(yes+"on_match { keep_matching: true "+act("a")+"} ", yes+"on_match { keep_matching: true matcher { "+rows(yes+on("b"))+"} } ", yes+on("c"))
	var skipped []string
	tree, err := compile(t, text, Options[string]{Skip: func(_ *match.Data, a string) { skipped = append(skipped, a) }})
	if err != nil {
		t.Fatal(err)
	}
	if got := result(tree.Match(data())); got != "c" || strings.Join(skipped, " ") != "a b" {
		t.Errorf("%s, skipped %q", got, skipped)
	}
}

// TestPartsOfText: the ways of matching text that no other test has.
func TestPartsOfText(t *testing.T) {
	for _, m := range []*xdsmatcherv3.StringMatcher{
		sdktest.Text[xdsmatcherv3.StringMatcher](t, `suffix: "z"`), sdktest.Text[xdsmatcherv3.StringMatcher](t, `contains: "y"`),
	} {
		pb := sdktest.Text[xdsmatcherv3.Matcher](t, rows(when(one(headerInput("x-v")+exact("a")))+on("a")))
		pb.GetMatcherList().Matchers[0].Predicate.GetSinglePredicate().Matcher = &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{ValueMatch: m}
		tree, err := Compile(sdktest.NewCompiler(t), pb, Options[string]{Action: action})
		if err != nil {
			t.Fatal(err)
		}
		for v, want := range map[string]string{"xyz": "a", "xzx": "-"} {
			if got := result(tree.Match(data("x-v: " + v))); got != want {
				t.Errorf("%v of %s: %s", m, v, got)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	yes := when(one(headerInput("x-a") + exact("1")))
	at := func(single string) string { return rows(when("single_predicate { "+single+"} ") + on("a")) }
	const row, predicate = "matcher_list.matchers[0].", "matcher_list.matchers[0].predicate.single_predicate."
	for text, want := range map[string]string{
		rows(yes + "on_match { keep_matching: true " + act("a") + "} "):                                                                                   row + "on_match.keep_matching: is not supported in this context",
		rows(yes + "on_match { } "):                                                                                                                       row + "on_match: neither a matcher nor an action",
		at(in(network+"TransportProtocolInput", "") + exact("tls")):                                                                                       predicate + "input: no envoy.matching.http.input extension",
		at(in(network+"SourceIPInput", "") + exact("a")):                                                                                                  predicate + "input: " + network + "SourceIPInput cannot be matched on in this context",
		at(headerInput("x") + "value_match { safe_regex { regex: '(' } }"):                                                                                predicate + "value_match.safe_regex",
		at(headerInput("x") + ext("custom_match", "envoy.config.core.v3.Node", "")):                                                                       predicate + "custom_match.typed_config: no envoy.matching.input_matchers extension",
		at(headerInput("x") + ext("custom_match", custom+"consistent_hashing.v3.ConsistentHashing", "threshold: 3 modulo: 2")):                            predicate + "custom_match.typed_config.threshold: 3 is more",
		at(headerInput("x") + ext("custom_match", xds+"CelMatcher", "expr_match { cel_expr_parsed { expr { ident_expr { name: 'x' } } } }")):              "cannot match on envoy.type.matcher.v3.HttpRequestHeaderMatchInput, only on attributes",
		at(in(xds+"HttpAttributesCelMatchInput", "") + exact("a")):                                                                                        predicate + "value_match: cannot match on xds.type.matcher.v3.HttpAttributesCelMatchInput, which gives no text",
		at(in(xds+"HttpAttributesCelMatchInput", "") + ext("custom_match", xds+"CelMatcher", "expr_match { cel_expr_string: 'true' }")):                   predicate + "custom_match.typed_config.expr_match.cel_expr_string",
		"matcher_tree { " + in(xds+"HttpAttributesCelMatchInput", "") + `exact_match_map { map { key: "a" value { ` + act("a") + "} } } }":                "matcher_tree.input: gives no text",
		"matcher_tree { " + headerInput("x") + ext("custom_match", xds+"ServerNameMatcher", `domain_matchers { domains: "a*" `+on("a")+"}") + "}":         `matcher_tree.custom_match.typed_config.domain_matchers[0].domains[0]: "a*" is neither`,
		"matcher_tree { " + headerInput("x") + ext("custom_match", xds+"ServerNameMatcher", `domain_matchers { domains: ["a", "a"] `+on("a")+"}") + "}":   "is there twice",
		"matcher_tree { " + headerInput("x") + ext("custom_match", xds+"IPMatcher", `range_matchers { ranges { address_prefix: "x" } `+on("a")+"}") + "}": "range_matchers[0].ranges[0].address_prefix",
	} {
		_, err := compile(t, text, Options[string]{Inputs: []string{http + "RequestHeaderMatchInput", xds + "HttpAttributesCelMatchInput"}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestCommon: both names of the message are one message, down to the numbers of fields.
func TestCommon(t *testing.T) {
	var same func(a, b protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool)
	same = func(a, b protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) {
		if seen[a.FullName()] || a.Name() == "GoogleRE2" { // which chooses an engine that is not ours
			return
		}
		seen[a.FullName()] = true
		for i := range a.Fields().Len() {
			f := a.Fields().Get(i)
			g := b.Fields().ByNumber(f.Number())
			if g == nil || g.Name() != f.Name() || g.Kind() != f.Kind() || g.Cardinality() != f.Cardinality() {
				t.Errorf("%s and %s differ", f.FullName(), b.FullName())
				continue
			}
			if f.Message() != nil {
				same(f.Message(), g.Message(), seen)
			}
		}
	}
	a, b := (&commonmatcherv3.Matcher{}).ProtoReflect().Descriptor(), (&xdsmatcherv3.Matcher{}).ProtoReflect().Descriptor()
	same(a, b, map[protoreflect.FullName]bool{})
	pb := sdktest.Text[commonmatcherv3.Matcher](t, rows(when(one(headerInput("x-a")+exact("1")))+on("a")))
	tree, err := CompileCommon(sdktest.NewCompiler(t), pb, Options[string]{Action: action})
	if err != nil {
		t.Fatal(err)
	}
	if got := result(tree.Match(data())); got != "a" {
		t.Error(got)
	}
}

// large is a tree as a gateway has them: a map of paths over lists of headers.
func large(t testing.TB) *Tree[string] {
	yes := when("and_matcher { predicate { " + one(headerInput("x-a")+exact("1")) + "} predicate { not_matcher { " + one(in(network+"SourceIPInput", "")+exact("10.0.0.1")) + "} } }")
	var entries strings.Builder
	for _, key := range []string{"/", "/p", "/api/v1", "/api/v2"} {
		entries.WriteString(`map { key: "` + key + `" value { matcher { ` + rows(yes+on(key)) + "} } } ")
	}
	tree, err := compile(t, "matcher_tree { "+headerInput(":path")+"prefix_match_map { "+entries.String()+"} } ", Options[string]{})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestAllocs(t *testing.T) {
	tree, d := large(t), data()
	if got := result(tree.Match(d)); got != "/p" {
		t.Fatal(got)
	}
	if n := testing.AllocsPerRun(100, func() { tree.Match(d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHeaderTree(b *testing.B) {
	tree, d := large(b), data()
	b.ReportAllocs()
	for b.Loop() {
		tree.Match(d)
	}
}
