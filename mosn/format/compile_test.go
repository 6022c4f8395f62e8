package format

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func TestCompile(t *testing.T) {
	t.Setenv("FORMAT_TEST", "env %PROTOCOL%")
	file := filepath.Join(t.TempDir(), "format")
	if err := os.WriteFile(file, []byte("file %PROTOCOL%"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`text_format: "t %PROTOCOL% %REQ(none)%"`:                               "t HTTP/1.1 -",
		`text_format: "%REQ(none)%" omit_empty_values: true`:                    "",
		`text_format_source { inline_string: "s %PROTOCOL%" }`:                  "s HTTP/1.1",
		`text_format_source { inline_bytes: "b %PROTOCOL%" }`:                   "b HTTP/1.1",
		`text_format_source { environment_variable: "FORMAT_TEST" }`:            "env HTTP/1.1",
		fmt.Sprintf(`text_format_source { filename: %q }`, file):                "file HTTP/1.1",
		`json_format { fields { key: "p" value { string_value: "%PROTOCOL%"}}}`: `{"p":"HTTP/1.1"}` + "\n",
	} {
		f, err := Compile(sdktest.NewCompiler(t), sdktest.Text[corev3.SubstitutionFormatString](t, text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := string(f.Append(nil, proxied())); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		``:                       "log_format: no format is given",
		`text_format: "%NO%"`:    "log_format.text_format: %NO%: is not an operator",
		`text_format_source { }`: "log_format.text_format_source: no source is given",
		`text_format_source { inline_string: "%" }`:                       "log_format.text_format_source.inline_string: no operator",
		`text_format_source { environment_variable: "FORMAT_NONE" }`:      "log_format.text_format_source.environment_variable: FORMAT_NONE is not set",
		`text_format_source { filename: "/does/not/exist" }`:              "log_format.text_format_source.filename: stat",
		fmt.Sprintf(`text_format_source { filename: %q }`, big):           "has more than",
		`json_format { fields { key: "p" value { string_value: "%NO%"}}}`: "log_format.json_format: p: %NO%",
		`text_format: "x" formatters { name: "f" }`:                       "log_format.formatters[0]",
	} {
		_, err := Compile(sdktest.NewCompiler(t).At("log_format"), sdktest.Text[corev3.SubstitutionFormatString](t, text))
		if err == nil || !strings.HasPrefix(err.Error(), want) && !strings.Contains(err.Error(), "has more than") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestExtensions(t *testing.T) {
	c := sdktest.NewCompiler(t)
	pb := sdktest.Text[corev3.SubstitutionFormatString](t, `text_format: "%REQ_WITHOUT_QUERY(x?:path)% %REQ_WITHOUT_QUERY(x-b):2% %REQ_WITHOUT_QUERY(x)% %METADATA(ROUTE:a)%"
		formatters { name: "a" typed_config { [type.googleapis.com/envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery] {} } }
		formatters { name: "b" typed_config { [type.googleapis.com/envoy.extensions.formatter.metadata.v3.Metadata] {} } }`)
	f, err := Compile(c, pb)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(f.Append(nil, proxied())); got != "/a ab - -" {
		t.Error(got)
	}
	pb.Formatters[0].TypedConfig = sdktest.Any(t, &corev3.RuntimeUInt32{RuntimeKey: "k"})
	if _, err := Compile(c, pb); err == nil || !strings.Contains(err.Error(), `formatters[0]: the formatter "a" is not supported`) {
		t.Error(err)
	}
}

func TestFieldsAreDeclared(t *testing.T) {
	table, err := fields.Merge(Fields())
	if err != nil {
		t.Fatal(err)
	}
	root := (&corev3.SubstitutionFormatString{}).ProtoReflect().Descriptor()
	if missing := table.Undeclared(root); missing != nil {
		t.Errorf("undeclared: %q", missing)
	}
	if extra := table.Unknown(root); extra != nil {
		t.Errorf("no such fields: %q", extra)
	}
}
