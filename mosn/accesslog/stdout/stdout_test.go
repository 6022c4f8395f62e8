package stdout

import (
	"strings"
	"testing"

	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func TestLogger(t *testing.T) {
	h := &sdk.Headers{}
	for text, want := range map[string]string{
		"": `[0001-01-01T00:00:00.000Z] "- - -" 204 - 0 0 - - "-" "-" "-" "-" "-"` + "\n",
		`log_format { text_format: "%RESPONSE_CODE%\n" }`: "204\n",
	} {
		c := sdktest.NewCompiler(t)
		logger, err := Logger().Compile(c, sdktest.Text[streamv3.StdoutAccessLog](t, text))
		if err != nil {
			t.Fatal(err)
		}
		logger.Log(0, &sdk.StreamInfo{ResponseCode: 204}, h, h, h)
		if got := string(c.Output("/dev/stdout").Text); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestErrors(t *testing.T) {
	c := sdktest.NewCompiler(t).At("typed_config")
	_, err := Logger().Compile(c, sdktest.Text[streamv3.StdoutAccessLog](t, `log_format { text_format: "%NO%" }`))
	if err == nil || !strings.HasPrefix(err.Error(), "typed_config.log_format.text_format: %NO%") {
		t.Errorf("got %v", err)
	}
	if _, err := Logger().Compile(c, wrapperspb.String("")); err == nil {
		t.Error("another message was taken")
	}
}

func TestFieldsAreDeclared(t *testing.T) {
	table, err := fields.Merge(Logger().Fields, format.Fields())
	if err != nil {
		t.Fatal(err)
	}
	root := Logger().Config.ProtoReflect().Descriptor()
	if missing, extra := table.Undeclared(root), table.Unknown(root); missing != nil || extra != nil {
		t.Errorf("undeclared: %q, no such fields: %q", missing, extra)
	}
}
