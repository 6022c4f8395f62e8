package tree

import (
	"testing"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// FuzzTree compiles any matcher and matches hostile values: it must neither panic nor
// name what is not one of its actions.
func FuzzTree(f *testing.F) {
	yes := when(one(headerInput("x-a") + exact("1")))
	for _, seed := range []string{
		rows(yes+on("a")) + otherwise("z"),
		"matcher_tree { " + headerInput("x-a") + `prefix_match_map { map { key: "1" value { ` + act("p") + `} } map { key: "" value { matcher { ` + rows(yes+on("b")) + "} } } } } ",
		"matcher_tree { " + headerInput("x-a") + ext("custom_match", xds+"IPMatcher", `range_matchers { ranges { address_prefix: "::" } `+on("v6")+"}") + "} ",
		"matcher_tree { " + headerInput("x-a") + ext("custom_match", xds+"ServerNameMatcher", `domain_matchers { domains: ["*.b", "*"] `+on("d")+"}") + "} ",
		rows(when(one(in(xds+"HttpAttributesCelMatchInput", "")+ext("custom_match", xds+"CelMatcher",
			`expr_match { cel_expr_parsed { expr { call_expr { function: "_==_" args { select_expr { operand { ident_expr { name: "request" } } field: "host" } } args { const_expr { string_value: "h" } } } } } }`))) + on("c")),
		rows(when(one(in(network+"DynamicMetadataInput", `filter: "f" path { key: "k" }`)+ext("custom_match", custom+"metadata.v3.Metadata", `value { present_match: true }`))) + on("m")),
	} {
		m := &xdsmatcherv3.Matcher{}
		if err := prototext.Unmarshal([]byte(seed), m); err != nil {
			f.Fatal(err)
		}
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, "1")
		f.Add(b, "::1%x")
		f.Add(b, "a..b.")
	}
	f.Fuzz(func(t *testing.T, b []byte, value string) {
		m := &xdsmatcherv3.Matcher{}
		if proto.Unmarshal(b, m) != nil {
			return
		}
		actions := map[string]bool{"": true}
		tree, err := Compile(sdktest.NewCompiler(t), m, Options[string]{
			Skip: func(*match.Data, string) {},
			Action: func(_ sdk.Compiler, m proto.Message) (string, error) {
				name := string(m.ProtoReflect().Descriptor().FullName())
				actions[name] = true
				return name, nil
			}})
		if err != nil {
			return
		}
		d := data()
		for range 2 {
			d.Request.Add("x-a", value)
			if a, r := tree.Match(d); r == Matched && !actions[a] || r != Matched && a != "" {
				t.Fatalf("%q, %v", a, r)
			}
		}
	})
}
