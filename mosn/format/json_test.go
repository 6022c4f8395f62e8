package format

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk"
)

func jsonFormat(t *testing.T, text string, omit bool) *Format {
	t.Helper()
	s := &structpb.Struct{}
	if err := protojson.Unmarshal([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	f, err := ParseJSON(s, omit)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestJSON holds what Envoy 1.40 printed.
func TestJSON(t *testing.T) {
	const format = `{"z": "%REQ(x-a)%", "a": "%RESPONSE_CODE%", "m": {"dur": "%DURATION%", "none": "%REQ(none)%", "mixed": "x-%PROTOCOL%-%REQ(none)%"},
		"list": ["%REQ(x-a)%", "lit", "%BYTES_SENT%"], "st": "%START_TIME%", "fl": "%RESPONSE_FLAGS%", "lit": "a\"b", "num": 5, "b": true,
		"up": "%UPSTREAM_HOST%", "port": "%DOWNSTREAM_LOCAL_PORT%", "emp": "", "q": "%REQ(x-q)%", "half": 1.5, "nil": null}`
	want := `{"a":200,"b":true,"emp":"","fl":"-","half":1.5,"list":[null,"lit",5],"lit":"a\"b","m":{"dur":2,"mixed":"x-HTTP/1.1--","none":null},` +
		`"nil":null,"num":5,"port":19000,"q":"q\"\\x","st":"2026-11-21T13:00:52.985Z","up":"127.0.0.1:19002","z":null}` + "\n"
	if got := string(jsonFormat(t, format, false).Append(nil, proxied())); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestJSONOmitsWhatIsMissing(t *testing.T) {
	const format = `{"z": "%REQ(x-b)%", "none": "%REQ(none)%", "m": {"none": "%REQ(none)%"}, "mixed": "x-%PROTOCOL%-%REQ(none)%",
		"list": ["%REQ(none)%","a"], "elist": ["%REQ(none)%"], "lit": "x", "e": {}}`
	want := `{"elist":[],"list":["a"],"lit":"x","mixed":"x-HTTP/1.1-","z":"abcdef"}` + "\n"
	if got := string(jsonFormat(t, format, true).Append(nil, proxied())); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if got := string(jsonFormat(t, `{"a":"%PROTOCOL%"}`, true).Append(nil, &Context{})); got != "{}\n" {
		t.Errorf("got %s", got)
	}
}

func TestJSONEscapes(t *testing.T) {
	ctx := &Context{Info: &sdk.StreamInfo{RouteName: "\x00\x1f\t\n\r\"\\é\xff" + strings.Repeat("\x01", 40)}}
	f := jsonFormat(t, `{"k\n\"": "%ROUTE_NAME%", "two": "%ROUTE_NAME%%ROUTE_NAME%"}`, false)
	got := f.Append(nil, ctx)
	s := &structpb.Struct{}
	if err := protojson.Unmarshal(got, s); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	want := "\x00\x1f\t\n\r\"\\é\ufffd" + strings.Repeat("\x01", 40)
	if v := s.Fields["k\n\""].GetStringValue(); v != want {
		t.Errorf("got %q", v)
	}
}

func TestJSONErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": {"b": ["x", "%NO%"]}}`: "a: b: [1]: %NO%: is not an operator",
		`{"a": "%"}`:                  "a: no operator",
	} {
		s := &structpb.Struct{}
		if err := protojson.Unmarshal([]byte(text), s); err != nil {
			t.Fatal(err)
		}
		if _, err := ParseJSON(s, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
