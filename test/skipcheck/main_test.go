package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// module writes a throw-away module and makes it the working directory.
func module(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "-mod=mod")
	files["go.mod"] = "module example.com/m\n\ngo 1.26\n"
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const passing = `package a
import "testing"
func TestOne(t *testing.T) { t.Log("not shown"); t.Run("sub", func(*testing.T) {}) }
`

const skipping = `package a
import "testing"
func TestSkips(t *testing.T) { t.Skip("no peer: nginx is missing") }
func TestSub(t *testing.T) { t.Run("x", func(t *testing.T) { t.Skip("half") }) }
`

const failing = `package a
import "testing"
func TestBad(t *testing.T) { t.Log("shown"); t.Error("wrong answer") }
`

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		ci    bool
		code  int
		want  []string // regular expressions, each found in the output
		not   []string
	}{
		{"pass", map[string]string{"a/a_test.go": passing, "skips": ""}, true, 0,
			[]string{`(?m)^ok  \texample.com/m/a\t`, `(?m)^2 passed, 0 failed, 0 skipped$`}, []string{"not shown", "PASS", "=== RUN"}},
		{"fail", map[string]string{"a/a_test.go": failing, "skips": ""}, true, 1,
			[]string{"wrong answer", "shown", `--- FAIL: TestBad`, `(?m)^FAIL\texample.com/m/a`, `0 passed, 1 failed, 0 skipped`}, nil},
		{"skip unlisted", map[string]string{"a/a_test.go": skipping, "skips": ""}, true, 1,
			[]string{`skipped \(not listed\): example.com/m/a TestSkips: no peer: nginx is missing`,
				`1 passed, 0 failed, 2 skipped`, `FAIL: 2 skipped and not listed in skips`}, nil},
		{"skip unlisted outside CI", map[string]string{"a/a_test.go": skipping, "skips": ""}, false, 0,
			[]string{`skipped \(not listed\)`, `(?m)^ok `}, []string{"FAIL"}},
		{"skip listed", map[string]string{"a/a_test.go": skipping, "skips": "# list\na TestSkips no nginx\na TestSub half\n"}, true, 0,
			[]string{`(?m)^skipped: example.com/m/a TestSkips: no peer`, `(?m)^skipped: example.com/m/a TestSub/x: half`}, []string{"not listed"}},
		{"does not compile", map[string]string{"a/a_test.go": "package a\nvar x int = \"s\"\n", "skips": ""}, true, 1,
			[]string{`cannot use "s"`, `FAIL\texample.com/m/a \[build failed\]`}, nil},
		{"panic", map[string]string{"a/a_test.go": "package a\nimport \"testing\"\nfunc TestP(*testing.T) { panic(\"boom\") }\n", "skips": ""}, true, 1,
			[]string{`panic: boom`, `0 passed, 1 failed`}, nil},
		{"exit without an event", map[string]string{"a/a_test.go": "package a\nimport (\"testing\"; \"os\")\nfunc TestMain(*testing.M) { os.Exit(3) }\n", "skips": ""}, true, 1,
			[]string{`FAIL\texample.com/m/a`}, nil},
		{"no tests", map[string]string{"a/a.go": "package a\n", "skips": ""}, true, 0,
			[]string{`\[no test files\]`, `0 passed, 0 failed, 0 skipped`}, nil},
		{"a reason is missing", map[string]string{"a/a_test.go": passing, "skips": "a TestOne\n"}, true, 2,
			[]string{`skips:1: want: package test reason`}, []string{"passed"}},
		{"no list", map[string]string{"a/a_test.go": passing}, true, 2, []string{`skips: no such file`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			module(t, c.files)
			var out strings.Builder
			if code := run([]string{"-skips", "skips", "--", "-count=1", "./..."}, &out, &out, c.ci); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.want {
				if !regexp.MustCompile(want).MatchString(out.String()) {
					t.Errorf("no %q in", want)
				}
			}
			for _, not := range c.not {
				if regexp.MustCompile(not).MatchString(out.String()) {
					t.Errorf("unwanted %q in", not)
				}
			}
			if t.Failed() {
				t.Log(out.String())
			}
		})
	}
}

func TestTally(t *testing.T) {
	module(t, map[string]string{"a/a_test.go": passing, "b/b_test.go": strings.ReplaceAll(failing, "package a", "package b"), "skips": ""})
	var out strings.Builder
	if code := run([]string{"-skips=skips", "-tally=sum", "./a"}, &out, &out, true); code != 0 {
		t.Fatalf("exit code %d\n%s", code, &out)
	}
	if code := run([]string{"-skips=skips", "-tally=sum", "./a", "./b"}, &out, &out, true); code != 1 {
		t.Fatalf("exit code %d\n%s", code, &out)
	}
	out.Reset()
	if code := run([]string{"-tally=sum"}, &out, &out, true); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if want := "total of 2 runs: 4 passed, 1 failed, 0 skipped\n"; out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
	if code := run([]string{"-tally=missing"}, &out, &out, true); code != 2 {
		t.Errorf("a missing tally gave exit code %d", code)
	}
}

func TestSkipListNamesWholeTests(t *testing.T) {
	list := skipList{{"test/interop", "TestPeer"}: "none"}
	for id, want := range map[testID]bool{
		{"sofamesh.io/sofamesh/test/interop", "TestPeer"}:         true,
		{"sofamesh.io/sofamesh/test/interop", "TestPeer/nginx"}:   true,
		{"sofamesh.io/sofamesh/test/interop", "TestPeers"}:        false,
		{"sofamesh.io/sofamesh/latest/interop", "TestPeer"}:       false,
		{"sofamesh.io/sofamesh/test/interop/envoy", "TestPeer"}:   false,
		{"sofamesh.io/sofamesh/x-test/interop", "TestPeer"}:       false,
		{"sofamesh.io/sofamesh/test/interop", "TestPee"}:          false,
		{"sofamesh.io/sofamesh/x/test/interop", "TestPeer/a/b/c"}: true,
	} {
		if got := list.has(id); got != want {
			t.Errorf("%v: %v, want %v", id, got, want)
		}
	}
}

// TestRepositoryList reads the list that CI uses.
func TestRepositoryList(t *testing.T) {
	if _, err := readSkips("../skips.txt"); err != nil {
		t.Error(err)
	}
}
