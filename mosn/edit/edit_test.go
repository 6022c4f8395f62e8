package edit

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func TestValue(t *testing.T) {
	var h sdk.Headers
	h.Add("a", "1")
	ctx := format.Context{Info: &sdk.StreamInfo{}, Request: &h}
	for text, want := range map[string]string{
		"":                    "",
		"plain 100%%":         "plain 100%",
		"<%REQ(a)%>":          "<1>",
		"<%REQ(b)%>":          "<>",
		"%REQ(a)%%PROTOCOL%2": "12",
	} {
		v, err := CompileValue(sdktest.NewCompiler(t), text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := v.Append([]byte("> "), &ctx); string(got) != "> "+want {
			t.Errorf("%q: %q", text, got)
		}
	}
	for _, text := range []string{"a\rb", "a\nb", "a\x00", "100%", "%NONE%"} {
		if _, err := CompileValue(sdktest.NewCompiler(t), text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// TestRawValue: the bytes are a value too, where there is no text.
func TestRawValue(t *testing.T) {
	for text, want := range map[string]string{
		`header { key: "A" raw_value: "%REQ(x)%\377" }`:       "1\xff",
		`header { key: "a" value: "v" raw_value: "ignored" }`: "v",
	} {
		o, err := CompileOption(sdktest.NewCompiler(t), sdktest.Text[corev3.HeaderValueOption](t, text))
		if err != nil {
			t.Fatal(err)
		}
		var h sdk.Headers
		h.Add("x", "1")
		o.apply(&h, &format.Context{Info: &sdk.StreamInfo{}, Request: &h})
		if got := h.Value("a"); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// TestLongValue: the room on the stack is no limit.
func TestLongValue(t *testing.T) {
	long := strings.Repeat("v", 3*valueRoom)
	o, err := CompileOption(sdktest.NewCompiler(t), &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: "a", Value: "%REQ(x)%"}})
	if err != nil {
		t.Fatal(err)
	}
	var h sdk.Headers
	h.Add("x", long)
	o.apply(&h, &format.Context{Info: &sdk.StreamInfo{}, Request: &h})
	if h.Value("a") != long {
		t.Error("the value was cut")
	}
}
