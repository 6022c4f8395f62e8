package arch

import (
	"go/importer"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// tree parses the files of a txtar archive as a module named m.
func tree(t *testing.T, archive string) *Tree {
	t.Helper()
	root := t.TempDir()
	for _, f := range append(txtar.Parse([]byte(archive)).Files, txtar.File{Name: "go.mod", Data: []byte("module m\n")}) {
		name := filepath.Join(root, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// expect compares findings with lines "where: what" in any order.
func expect(t *testing.T, found []Finding, want ...string) {
	t.Helper()
	var got []string
	for _, f := range found {
		if f.Why == "" {
			t.Errorf("%v gives no reason", f)
		}
		got = append(got, f.Where+": "+f.What)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, path, unit string
		ok                  bool
	}{
		{"mosn/stats", "mosn/stats", "mosn/stats", true},
		{"mosn/stats", "mosn/stats/x", "", false},
		{"mosn/cluster/...", "mosn/cluster", "mosn/cluster", true},
		{"mosn/cluster/...", "mosn/cluster/lb", "mosn/cluster", true},
		{"mosn/cluster/...", "mosn/clusters", "", false},
		{"mosn/protocol/*", "mosn/protocol/http1", "mosn/protocol/http1", true},
		{"mosn/protocol/*", "mosn/protocol/http1/x/y", "mosn/protocol/http1", true},
		{"mosn/protocol/*", "mosn/protocol", "", false},
		{"mosn/protocol/*", "mosn/protocols/x", "", false},
	} {
		unit, ok := match(c.pattern, c.path)
		if ok != c.ok || ok && unit != c.unit {
			t.Errorf("match(%q, %q) = %q, %v; want %q, %v", c.pattern, c.path, unit, ok, c.unit, c.ok)
		}
	}
}

// TestImportTable asks the table about pairs of packages: each line is a
// decision of the design.
func TestImportTable(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"mosn/stream", "mosn/cluster", true},
		{"mosn/stream", "mosn/cluster/lb", true},
		{"mosn/stream", "mosn/route", true},
		{"mosn/stream", "mosn/accesslog", true},
		{"mosn/cluster", "mosn/stream", false},
		{"mosn/cluster", "mosn/cluster/lb", true},
		{"mosn/route", "mosn/eventloop", false},
		{"mosn/transport/tls", "mosn/transport/raw", false},
		{"mosn/transport/tls", "mosn/eventloop", true},
		{"mosn/stream", "mosn/protocol/http1", false},
		{"mosn/stream", "mosn/filter/fault", false},
		{"mosn/listener", "mosn/network/tcpproxy", false},
		{"mosn/config", "mosn/listener", true},
		{"mosn/config", "mosn/server", false},
		{"mosn/config", "mosn/builtin", false},
		{"mosn/server", "mosn/builtin", false},
		{"mosn/agent", "registry/nacos", true},
		{"mosn/xds", "registry/nacos", false},
		{"mosn/builtin", "mosn/filter/fault", true},
		{"mosn/builtin", "mosn/protocol/http1", true},
		{"mosn/builtin", "mosn/accesslog/file", true},
		{"mosn/server", "mosn/accesslog/file", false},
		{"mosn/stats", "mosn/shared", true},
		{"mosn/stats", "mosn/route", false},
		{"mosn/protocol/http1", "mosn/match", true},
		{"mosn/protocol/http1", "mosn/protocol/http2", false},
		{"mosn/protocol/http1", "mosn/protocol/http1/header", true},
		{"mosn/protocol/bolt", "sdk", true},
		{"mosn/protocol/bolt", "mosn/match", false},
		{"mosn/filter/fault", "mosn/filter/cors", false},
		{"mosn/filter/fault", "mosn/cluster", false},
		{"sdk", "sdk/servicekey", true},
		{"sdk", "mosn/stats", false},
		{"registry/nacos", "registry/model", true},
		{"registry/nacos", "registry/consul", false},
		{"registry/builtin", "registry/consul", true},
		{"pilot/istiod", "registry/model", true},
		{"pilot/istiod", "mosn/xds", false},
		{"meshctl/run", "pilot/istiod", false},
		{"cmd/mosn", "mosn/server", true},
		{"cmd/mosn", "mosn/stream", false},
		{"mosn/server", "cmd/mosn", false},
		{"test/sim", "mosn/stream", true},
		{"mosn/stream", "test/sim", false},
		{"examples/quickstart/backend", "mosn/server", false},
	} {
		l, unit, ok := lookup(layers(), c.from)
		if !ok {
			t.Errorf("no line covers %s", c.from)
			continue
		}
		if what, _ := judge("m", c.from, unit, "m/"+c.to, l, nil); (what == "") != c.ok {
			t.Errorf("%s -> %s: %q, want allowed = %v", c.from, c.to, what, c.ok)
		}
	}
}

// TestEveryKnownFolderIsCovered keeps the table and the layout in step.
func TestEveryKnownFolderIsCovered(t *testing.T) {
	for _, name := range folders()["mosn"] {
		_, _, self := lookup(layers(), "mosn/"+name)
		_, _, below := lookup(layers(), "mosn/"+name+"/x")
		if !self && !below {
			t.Errorf("the import table has no line for mosn/%s", name)
		}
	}
}

func TestImportsBad(t *testing.T) {
	expect(t, CheckImports(tree(t, `
-- mosn/stream/a.go --
package stream
import _ "m/mosn/server"
-- mosn/stream/a_test.go --
package stream
import _ "m/mosn/server"
-- mosn/route/a.go --
package route
import _ "istio.io/istio/pilot"
import _ "istio.io/api/envoy/config"
-- mosn/surprise/a.go --
package surprise
-- mosn/protocol/http1/a.go --
package http1
import _ "net"
import _ "net/netip"
-- mosn/cluster/a.go --
package cluster
import _ "m/mosn/eventloop/looptest"
-- sdk/a.go --
package sdk
import _ "github.com/envoyproxy/go-control-plane/envoy"
import _ "google.golang.org/protobuf/proto"
-- pilot/catalog/a.go --
package catalog
import _ "istio.io/istio/pilot"
-- pilot/istiod/a.go --
package istiod
import _ "istio.io/istio/pilot"
`)),
		"mosn/stream/a.go:2: mosn/stream must not import mosn/server",
		"mosn/route/a.go:2: mosn/route must not import istio.io/istio/pilot",
		"mosn/surprise: no line of the import table covers this package",
		"mosn/protocol/http1/a.go:2: mosn/protocol/http1 must not import net",
		"mosn/cluster/a.go:2: mosn/cluster imports the test kit mosn/eventloop/looptest outside a test",
		"sdk/a.go:2: sdk must not import github.com/envoyproxy/go-control-plane/envoy",
		"pilot/catalog/a.go:2: pilot/catalog must not import istio.io/istio/pilot",
	)
}

func TestDocsBad(t *testing.T) {
	expect(t, CheckDocs(tree(t, `
-- good/a.go --
// Package good is documented.
package good
-- bare/a.go --
package bare
-- bare/a_test.go --
// Package bare is documented in the wrong place.
package bare
-- wrong/a.go --
// This package has a comment that does not name it.
package wrong
-- testonly/a_test.go --
// Package testonly_test has no other files.
package testonly_test
-- cmd/tool/main.go --
// Tool does a thing.
package main
-- testdata/x.go --
package ignored
`)),
		"bare: no package doc comment",
		`wrong/a.go:1: the doc comment does not begin with "Package wrong"`,
	)
}

func TestInitBad(t *testing.T) {
	expect(t, CheckInit(tree(t, `
-- a/a.go --
package a
import _ "net/http/pprof"
import _ "embed"
type T struct{}
func (T) init() {}
func init() {}
-- a/a_test.go --
package a
func init() {}
-- a/gen.go --
// Code generated by x. DO NOT EDIT.
package a
func init() {}
`)),
		`a/a.go:2: import for side effects of "net/http/pprof"`,
		"a/a.go:6: func init",
	)
}

func TestSansIOBad(t *testing.T) {
	expect(t, CheckSansIO(tree(t, `
-- mosn/protocol/x/a.go --
package x
import clock "time"
var d = clock.Second
func f() {
	go f()
	clock.Now()
}
-- mosn/filter/y/a.go --
package y
import "time"
func f() {
	time.Now()
	go f()
}
-- mosn/stream/a.go --
package stream
func f() { go f() }
`)),
		"mosn/protocol/x/a.go:5: go statement",
		"mosn/protocol/x/a.go:6: time.Now",
		"mosn/filter/y/a.go:5: go statement",
	)
}

func TestLayoutBad(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{".ci", "mosn/stream", "mosn/utils", "helpers", "cmd/tool", "test/arch"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	found, err := CheckLayout(root)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, found, "cmd/tool: unknown folder", "helpers: unknown folder", "mosn/utils: unknown folder")
}

func TestMapBad(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"sdk", "cmd", "mosn/stream", "mosn/cluster", "mosn/route", "bin"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := "`sdk/` and `cmd/x`, `mosn/stream/`, `route/`; cluster/ is in plain text only\n"
	if err := os.WriteFile(filepath.Join(root, "MAP.md"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := CheckMap(root, "MAP.md")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, found, "mosn/cluster: is not in MAP.md")
}

func TestGoModBad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "go.mod")
	mod := `module m
go 1.26
require example.com/tagged v1.2.3
require example.com/commit v0.0.0-20260101000000-0123456789ab
require example.com/later v1.2.4-0.20260101000000-0123456789ab
require example.com/chosen v0.0.0-20260101000000-0123456789ab // indirect
exclude example.com/tagged v1.2.2
replace example.com/tagged => ../tagged
`
	if err := os.WriteFile(file, []byte(mod), 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := CheckGoMod(file)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, found,
		file+": replace", file+": exclude",
		file+": example.com/commit v0.0.0-20260101000000-0123456789ab is an untagged commit",
		file+": example.com/later v1.2.4-0.20260101000000-0123456789ab is an untagged commit",
	)
}

// std resolves the standard library's packages by the compiler's export data.
func state(t *testing.T, archive string, allow map[string]string) []Finding {
	t.Helper()
	return CheckState(tree(t, archive), importer.Default(), allow)
}
