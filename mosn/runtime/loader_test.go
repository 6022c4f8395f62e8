package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func loaderOf(t *testing.T, layers string) *Loader {
	t.Helper()
	l, err := NewLoader(sdktest.Text[bootstrapv3.LayeredRuntime](t, layers), "c1")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestDisk: what Envoy 1.40 shows for the same files.
func TestDisk(t *testing.T) {
	root := tree(t, map[string]string{
		"a/num": "7\n", "a/str": "  hello \n", "frac": "numerator: 5\ndenominator: TEN_THOUSAND\n", "flag": "true\n",
		"empty": "# comment\n", "multi": "# c\nline1\nline2\n\n", "frac2": "{numerator: 3}", "yes": "yes", "neg": "-5",
		"c1/a/num": "9\n", ".hidden": "ok",
	})
	l := loaderOf(t, `layers { name: "disk" disk_layer { symlink_root: "`+root+`" } }
		layers { name: "none" disk_layer { symlink_root: "`+root+`" subdirectory: "none" } }
		layers { name: "over" disk_layer { symlink_root: "`+root+`" append_service_cluster: true } }
		layers { name: "admin" admin_layer {} }`)
	store := stats.NewStore(stats.Options{})
	l.Count(store)
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	d := l.Dump()
	if want := []string{"disk", "over", "admin"}; !reflect.DeepEqual(d.Layers, want) {
		t.Errorf("layers are %v, want %v", d.Layers, want)
	}
	for key, want := range map[string]DumpEntry{
		"a.num": {[]string{"7", "9", ""}, "9"}, "a.str": {[]string{"  hello", "", ""}, "  hello"},
		"empty": {[]string{"", "", ""}, ""}, "multi": {[]string{"line1\nline2", "", ""}, "line1\nline2"},
		"c1.a.num": {[]string{"9", "", ""}, "9"}, ".hidden": {[]string{"ok", "", ""}, "ok"},
	} {
		if got := d.Entries[key]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", key, got, want)
		}
	}
	v := l.Values()
	if v.Uint("a.num", 0) != 9 || !v.Bool("flag", false) || !v.Bool("yes", false) || v.Float("neg", 0) != -5 || v.Uint("neg", 4) != 4 {
		t.Error("values of files are not read as what they are")
	}
	for random, want := range map[uint64]bool{4: true, 5: false, 9999: false, 10_004: true} {
		if got := (Fraction{Key: "frac"}).Enabled(v, random); got != want {
			t.Errorf("%d of 5/10000: %v", random, got)
		}
	}
	if f := (Fraction{Key: "frac2"}); !f.Enabled(v, 2) || f.Enabled(v, 3) {
		t.Error("a fraction without denominator is not one of a hundred")
	}
}

// TestModify: values in use change under those who hold them.
func TestModify(t *testing.T) {
	l := loaderOf(t, `layers { name: "base" static_layer { fields { key: "k" value { number_value: 1 } } } } layers { name: "admin" admin_layer {} }`)
	v := l.Values()
	modify := func(key, text string, want uint64) {
		t.Helper()
		if err := l.Modify(map[string]string{key: text}); err != nil {
			t.Fatal(err)
		}
		if got := v.Uint("k", 99); got != want {
			t.Errorf("after %s=%q k is %d, want %d", key, text, got, want)
		}
	}
	modify("k", "2", 2)
	modify("x", "{numerator: 1}", 2)
	modify("k", "no number", 99)
	modify("k", "", 1)
	if e := l.Dump().Entries["x"]; e.Final != "{numerator: 1}" {
		t.Errorf("x is %+v", e)
	}
	other := loaderOf(t, `layers { name: "base" static_layer { fields { key: "k" value { number_value: 7 } } } } layers { name: "admin" admin_layer {} }`)
	if ok, err := l.Adopt(other); !ok || err != nil || v.Uint("k", 0) != 7 || l.Dump().Entries["x"].Final == "" {
		t.Errorf("adopted %v, %v: k is %d", ok, err, v.Uint("k", 0))
	}
	if ok, _ := l.Adopt(loaderOf(t, `layers { name: "base" admin_layer {} }`)); ok {
		t.Error("other layers are adopted")
	}
	if err := loaderOf(t, "").Modify(map[string]string{"a": "b"}); !errors.Is(err, ErrNoAdminLayer) {
		t.Errorf("without an admin layer: %v", err)
	}
}

func TestLoaderRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`layers { name: "a" admin_layer {} } layers { name: "b" admin_layer {} }`:                                  "too many admin layers",
		`layers { name: "a" static_layer {} } layers { name: "a" static_layer {} }`:                                "duplicate layer name: a",
		`layers { name: "a" static_layer { fields { key: "x" value { list_value {} } } } }`:                        "x: a list is no runtime value",
		`layers { name: "a" static_layer { fields { key: "x" value { null_value: NULL_VALUE } } } }`:               "x: null is no runtime value",
		`layers { name: "a" static_layer { fields { key: "x" value { struct_value { fields { key: "y" } } } } } }`: "x.y: null is no runtime value",
	} {
		if _, err := NewLoader(sdktest.Text[bootstrapv3.LayeredRuntime](t, text), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	deep := "x"
	for range maxDepth {
		deep = filepath.Join("d", deep)
	}
	l := loaderOf(t, `layers { name: "disk" disk_layer { symlink_root: "`+tree(t, map[string]string{deep: "1"})+`" } } layers { name: "s" static_layer { fields { key: "k" value { number_value: 1 } } } }`)
	if err := l.Load(); err == nil || !strings.Contains(err.Error(), "error loading runtime values for layer disk from disk") {
		t.Errorf("a tree too deep: %v", err)
	}
	if l.Values().Uint("k", 0) != 1 {
		t.Error("the other layer is not in force")
	}
}
