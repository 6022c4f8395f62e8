package metadata

import (
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk/sdktest"
)

// read asks for one setting of each kind.
func read(t *testing.T, text string) (name string, n uint32, d time.Duration, err error) {
	t.Helper()
	s := Of(sdktest.NewCompiler(t), sdktest.Text[corev3.Metadata](t, text))
	name, n, d = s.String("name"), s.Uint32("number"), s.Duration("time", time.Minute)
	return name, n, d, s.Err()
}

func set(fields string) string {
	return `filter_metadata { key: "other" value { fields { key: "x" value { bool_value: true } } } }
		filter_metadata { key: "mosn" value { ` + fields + ` } }`
}

func field(key, value string) string { return `fields { key: "` + key + `" value { ` + value + ` } } ` }

func TestSettings(t *testing.T) {
	name, n, d, err := read(t, set(field("name", `string_value: "a"`)+field("number", "number_value: 7")+field("time", `string_value: "1.5s"`)))
	if name != "a" || n != 7 || d != 1500*time.Millisecond || err != nil {
		t.Errorf("%q %d %v %v", name, n, d, err)
	}
	for _, text := range []string{"", set("")} {
		if name, n, d, err = read(t, text); name != "" || n != 0 || d != time.Minute || err != nil {
			t.Errorf("without settings: %q %d %v %v", name, n, d, err)
		}
	}
	if _, _, d, err = read(t, set(field("time", `string_value: "0s"`))); d != 0 || err != nil {
		t.Errorf("no time at all: %v %v", d, err)
	}
}

// TestWrongSettings: what is misspelt or of another type is named with its place.
func TestWrongSettings(t *testing.T) {
	const at = "metadata.filter_metadata[mosn]."
	for field, want := range map[string]string{
		field("name", "number_value: 1"):            "name: must be a text",
		field("name", `string_value: ""`):           "name: must be a text",
		field("number", `string_value: "1"`):        "number: must be a whole number from 1 on",
		field("number", "number_value: 0"):          "number: must be a whole number from 1 on",
		field("number", "number_value: 1.5"):        "number: must be a whole number from 1 on",
		field("number", "number_value: 4294967296"): "number: must be a whole number from 1 on",
		field("time", "number_value: 1"):            `time: must be a time such as "1.5s"`,
		field("time", `string_value: "-1s"`):        `time: must be a time such as "1.5s"`,
		field("time", `string_value: "1m"`):         `time: must be a time such as "1.5s"`,
		field("nmae", `string_value: "a"`):          "nmae: is not known; there are name, number, time",
		field("name", "struct_value { "+"}"):        "name: must be a text",
	} {
		if _, _, _, err := read(t, set(field)); err == nil || err.Error() != at+want {
			t.Errorf("%s: %v, want %s", field, err, at+want)
		}
	}
}
