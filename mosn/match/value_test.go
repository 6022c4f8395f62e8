package match

import (
	"strings"
	"testing"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func metadata(t testing.TB) *sdk.Metadata {
	t.Helper()
	s := &structpb.Struct{}
	if err := s.UnmarshalJSON([]byte(`{"s":"text","n":2,"t":true,"f":false,"z":null,"l":["a",1,null],"o":{"i":"in"}}`)); err != nil {
		t.Fatal(err)
	}
	return sdk.NewMetadata(map[string]*structpb.Struct{"space": s})
}

func TestMetadata(t *testing.T) {
	md := metadata(t)
	for _, c := range []struct{ path, value, want string }{
		{"s", `string_match { exact: "text" }`, "yes"},
		{"s", `string_match { prefix: "tex" }`, "yes"},
		{"s", `string_match { exact: "tex" }`, "no"},
		{"n", `string_match { exact: "2" }`, "no"},
		{"o i", `string_match { exact: "in" }`, "yes"},
		{"s i", `present_match: true`, "no"},
		{"n", `double_match { exact: 2 }`, "yes"},
		{"n", `double_match { exact: 2.5 }`, "no"},
		{"n", `double_match { range { start: 2 end: 3 } }`, "yes"},
		{"n", `double_match { range { start: 1 end: 2 } }`, "no"},
		{"n", `double_match { range { start: 2 end: 2 } }`, "no"},
		{"s", `double_match { exact: 0 }`, "no"},
		{"t", `bool_match: true`, "yes"},
		{"t", `bool_match: false`, "no"},
		{"f", `bool_match: false`, "yes"},
		{"z", `bool_match: false`, "no"},
		{"z", `null_match {}`, "yes"},
		{"x", `null_match {}`, "no"},
		{"z", `present_match: true`, "yes"},
		{"o", `present_match: true`, "yes"},
		{"x", `present_match: true`, "no"},
		{"s", `present_match: false`, "no"},
		{"x", `present_match: false`, "no"},
		{"l", `list_match { one_of { string_match { exact: "a" } } }`, "yes"},
		{"l", `list_match { one_of { double_match { exact: 1 } } }`, "yes"},
		{"l", `list_match { one_of { bool_match: true } }`, "no"},
		{"s", `list_match { one_of { string_match { exact: "text" } } }`, "no"},
		{"n", `or_match { value_matchers { bool_match: true } value_matchers { double_match { exact: 2 } } }`, "yes"},
		{"n", `or_match { value_matchers { bool_match: true } value_matchers { null_match {} } }`, "no"},
	} {
		text := `filter: "space" `
		for _, name := range strings.Fields(c.path) {
			text += `path { key: "` + name + `" } `
		}
		text += `value { ` + c.value + ` }`
		m, err := CompileMetadata(sdktest.NewCompiler(t), sdktest.Text[matcherv3.MetadataMatcher](t, text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		inverted, err := CompileMetadata(sdktest.NewCompiler(t), sdktest.Text[matcherv3.MetadataMatcher](t, text+" invert: true"))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := m.Match(md), c.want == "yes"; got != want || inverted.Match(md) == want {
			t.Errorf("%s: %v", text, got)
		}
		if m.Match(nil) || m.Found(nil) || m.Found(md) != (c.path != "x" && c.path != "s i") {
			t.Errorf("%s: what is there", text)
		}
	}
}

func TestMetadataRefused(t *testing.T) {
	for text, want := range map[string]string{
		`value {}`:                                             "value",
		`value { double_match {} }`:                            "value.double_match",
		`value { string_match {} }`:                            "value.string_match",
		`value { list_match { one_of {} } }`:                   "value.list_match.one_of",
		`value { or_match { value_matchers {} } }`:             "value.or_match.value_matchers[0]",
		`value { string_match { safe_regex { regex: "(" } } }`: "value.string_match.safe_regex",
	} {
		_, err := CompileMetadata(sdktest.NewCompiler(t), sdktest.Text[matcherv3.MetadataMatcher](t, text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestMetadataPath(t *testing.T) {
	md := metadata(t)
	for text, want := range map[string]string{
		`key: "space" path { key: "l" } path { index: 0 }`: "a",
		`key: "space" path { key: "l" } path { index: 9 }`: "",
		`key: "space" path { key: "o" } path { index: 0 }`: "",
		`key: "space" path { key: "o" } path { key: "i" }`: "in",
		`key: "other" path { key: "s" }`:                   "",
	} {
		p := CompileMetadataPath(sdktest.Text[metadatav3.MetadataKey](t, text))
		if got := p.Of(md).Text(); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}

type stringer struct{}

func (stringer) String() string { return "10.0.0.1" }

func TestFilterState(t *testing.T) {
	info := &sdk.StreamInfo{}
	info.SetFilterState("text", "v")
	info.SetFilterState("ip", stringer{})
	info.SetFilterState("number", 1)
	for text, want := range map[string]bool{
		`key: "text" string_match { exact: "v" }`:                                                                        true,
		`key: "text" string_match { exact: "w" }`:                                                                        false,
		`key: "none" string_match { exact: "" }`:                                                                         false,
		`key: "number" string_match { exact: "1" }`:                                                                      false,
		`key: "ip" address_match { ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } }`:                      true,
		`key: "ip" address_match { ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } invert_match: true }`:   false,
		`key: "text" address_match { ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } }`:                    false,
		`key: "text" address_match { ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } invert_match: true }`: false,
	} {
		f, err := CompileFilterState(sdktest.NewCompiler(t), sdktest.Text[matcherv3.FilterStateMatcher](t, text))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Match(info); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
