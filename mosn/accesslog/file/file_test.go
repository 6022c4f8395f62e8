package file

import (
	"strings"
	"testing"

	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func TestFormats(t *testing.T) {
	h := &sdk.Headers{}
	info := &sdk.StreamInfo{ResponseCode: 204}
	for text, want := range map[string]string{
		`format: "%RESPONSE_CODE%\n"`: "204\n",
		`log_format { text_format_source { inline_string: "code %RESPONSE_CODE%\n" } }`:                "code 204\n",
		`log_format { json_format { fields { key: "c" value { string_value: "%RESPONSE_CODE%" } } } }`: `{"c":204}` + "\n",
		`json_format { fields { key: "c" value { string_value: "%RESPONSE_CODE%" } } }`:                `{"c":204}` + "\n",
		`typed_json_format { fields { key: "c" value { string_value: "%RESPONSE_CODE%" } } }`:          `{"c":204}` + "\n",
		``:           `[0001-01-01T00:00:00.000Z] "- - -" 204 - 0 0 - - "-" "-" "-" "-" "-"` + "\n",
		`format: ""`: `[0001-01-01T00:00:00.000Z] "- - -" 204 - 0 0 - - "-" "-" "-" "-" "-"` + "\n",
	} {
		c := sdktest.NewCompiler(t)
		logger, err := Logger().Compile(c, sdktest.Text[filev3.FileAccessLog](t, `path: "/log" `+text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		logger.Log(0, info, h, h, h)
		if got := string(c.Output("/log").Text); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	if format.Default == "" {
		t.Error("there is no default")
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		`format: "%NO%"`:                     "typed_config.format: %NO%: is not an operator",
		`log_format { text_format: "%NO%" }`: "typed_config.log_format.text_format: %NO%",
		`typed_json_format { fields { key: "c" value { string_value: "%" } } }`: "typed_config.typed_json_format: c: no operator",
		`json_format { fields { key: "c" value { string_value: "%NO%" } } }`:    "typed_config.json_format: c: %NO%",
	} {
		_, err := Logger().Compile(sdktest.NewCompiler(t).At("typed_config"), sdktest.Text[filev3.FileAccessLog](t, text))
		if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), "file_v3", "filev3"), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Logger().Compile(sdktest.NewCompiler(t), wrapperspb.String("")); err == nil {
		t.Error("another message was taken")
	}
}

func TestFieldsAreDeclared(t *testing.T) {
	table, err := fields.Merge(Logger().Fields, format.Fields())
	if err != nil {
		t.Fatal(err)
	}
	root := Logger().Config.ProtoReflect().Descriptor()
	if missing := table.Undeclared(root); missing != nil {
		t.Errorf("undeclared: %q", missing)
	}
	if extra := table.Unknown(root); extra != nil {
		t.Errorf("no such fields: %q", extra)
	}
}
