package trace

import (
	"strings"
	"testing"

	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// compileTags compiles tags, one a line.
func compileTags(t *testing.T, lines ...string) (Tags, error) {
	t.Helper()
	var list []*tracingv3.CustomTag
	for _, line := range lines {
		list = append(list, sdktest.Text[tracingv3.CustomTag](t, line))
	}
	return CompileTags(sdktest.NewCompiler(t).At("tracing"), list)
}

// config is metadata with a namespace "app".
func config(t *testing.T, fields map[string]any) *sdk.Metadata {
	t.Helper()
	s, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return sdk.NewMetadata(map[string]*structpb.Struct{"app": s})
}

func TestTags(t *testing.T) {
	t.Setenv("TRACE_TAGS_TEST", "from env")
	metadata := func(kind, key string) string {
		return `metadata { kind { ` + kind + ` {} } metadata_key { key: "app" path { key: "` + key + `" } } default_value: "none" }`
	}
	info := &sdk.StreamInfo{
		ResponseCode:    201,
		RouteMetadata:   config(t, map[string]any{"a": "route", "n": 1.25, "b": true, "list": []any{1, "x"}, "struct": map[string]any{"k": "v"}, "null": nil}),
		ClusterMetadata: config(t, map[string]any{"a": "cluster"}),
		HostMetadata:    config(t, map[string]any{"a": "host"}),
	}
	info.Dynamic.Set("app", "a", sdk.String("dynamic"))
	request := headers("x-a: 1|:authority: shop|user-agent: me|x-empty: ")
	for _, tt := range []struct{ tag, want string }{
		{`literal { value: "v" }`, "v"},
		{`environment { name: "TRACE_TAGS_TEST" default_value: "d" }`, "from env"},
		{`environment { name: "TRACE_TAGS_NONE" default_value: "d" }`, "d"},
		{`environment { name: "TRACE_TAGS_NONE" }`, ""},
		{`request_header { name: "X-A" }`, "1"},
		{`request_header { name: "user-agent" }`, "me"},
		{`request_header { name: "Host" }`, "shop"},
		{`request_header { name: "x-none" default_value: "d" }`, "d"},
		{`request_header { name: "x-none" }`, ""},
		{`request_header { name: "x-empty" default_value: "d" }`, ""},
		{metadata("request", "a"), "dynamic"}, {metadata("route", "a"), "route"}, {metadata("cluster", "a"), "cluster"}, {metadata("host", "a"), "host"},
		{metadata("route", "n"), "1.25"}, {metadata("route", "b"), "true"}, {metadata("route", "list"), `[1,"x"]`},
		{metadata("route", "struct"), `{"k":"v"}`}, {metadata("route", "null"), "none"}, {metadata("route", "other"), "none"},
		{`value: "%RESPONSE_CODE% %REQ(x-a)%%REQ(x-none)%"`, "201 1"},
		{`value: "%REQ(x-none)%"`, ""},
	} {
		tags, err := compileTags(t, `tag: "t" `+tt.tag)
		if err != nil {
			t.Errorf("%s: %v", tt.tag, err)
			continue
		}
		s := &sdk.Span{}
		tags.Apply(s, &format.Context{Info: info, Request: request}, nil, nil)
		if got := s.Get("t"); got != tt.want || s.Tags() == 0 != (tt.want == "") {
			t.Errorf("%s: %q of %d tags, want %q", tt.tag, got, s.Tags(), tt.want)
		}
	}
}

// TestTagsOverride: the route's tags count before the connection manager's of the same
// name, also when they say nothing; of equal names in one list the first counts.
func TestTagsOverride(t *testing.T) {
	outer, err := compileTags(t, `tag: "a" literal { value: "outer" }`, `tag: "b" literal { value: "outer" }`, `tag: "a" literal { value: "again" }`)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := compileTags(t, `tag: "b" request_header { name: "x-none" }`)
	if err != nil {
		t.Fatal(err)
	}
	s := &sdk.Span{}
	s.Tag("a", "our own")
	outer.Apply(s, &format.Context{Info: &sdk.StreamInfo{}, Request: &sdk.Headers{}}, &inner, nil)
	inner.Apply(s, &format.Context{Info: &sdk.StreamInfo{}, Request: &sdk.Headers{}}, nil, nil)
	if s.Tags() != 1 || s.Get("a") != "outer" {
		t.Errorf("%d tags, a is %q, b is %q", s.Tags(), s.Get("a"), s.Get("b"))
	}
}

func TestTagsRefused(t *testing.T) {
	for tag, want := range map[string]string{
		`tag: "t"`: "tracing.custom_tags[0]: says of no kind",
		`tag: "t" metadata { metadata_key { key: "app" path { key: "a" } } }`: "tracing.custom_tags[0].metadata.kind: ",
		`tag: "t" value: "%NO_SUCH%"`:                                         "tracing.custom_tags[0].value: ",
	} {
		if _, err := compileTags(t, tag); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", tag, err)
		}
	}
}
