package server

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func testLog(t *testing.T, args string) (*Log, *bytes.Buffer) {
	t.Helper()
	o, err := ParseArgs(strings.Fields(args), nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l, err := NewLog(o, &out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, &out
}

func TestDefaultLogFormat(t *testing.T) {
	l, out := testLog(t, "")
	l.For(compMain).Info("hello", "n", 5)
	want := regexp.MustCompile(`^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\]\[\d+\]\[info\]\[main\] \[\S*/mosn/server/log_test\.go:\d+\] hello n=5\n$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("%q", out)
	}
}

func TestLogPattern(t *testing.T) {
	r := slog.NewRecord(time.Date(2001, 2, 3, 4, 5, 6, 7008009, time.Local), slog.LevelWarn, "m\tn", 0)
	for pattern, want := range map[string]string{
		"%v":                "m\tn",
		"%Y-%m-%d %H:%M:%S": "2001-02-03 04:05:06",
		"%T.%e":             "04:05:06.007",
		"%f %F":             "007008 007008009",
		"%l %L %n":          "warning W admin",
		"%j":                `m\tn`,
		"a%%b%":             "a%b%",
		"%^%v%$":            "m\tn",
		"%K":                "%K",
		"%a %b %R %D %C":    "Sat Feb 04:05 02/03/01 01",
	} {
		l, out := testLog(t, "")
		l.pattern = parsePattern(pattern)
		if err := l.For(compAdmin).Handler().Handle(t.Context(), r); err != nil || out.String() != want+"\n" {
			t.Errorf("%s: %q, %v; want %q", pattern, out, err, want)
		}
	}
}

func TestEscapedLog(t *testing.T) {
	l, out := testLog(t, "--log-format-escaped --log-format %v")
	l.For(compMain).Info("a\nb\"c")
	if out.String() != `a\nb"c`+"\n" {
		t.Errorf("%q", out)
	}
}

func TestLogLevels(t *testing.T) {
	l, out := testLog(t, "-l warning --component-log-level admin:trace,http:debug --log-format %n:%v")
	l.For(compMain).Info("no")
	l.For(compMain).Warn("yes")
	l.For(compAdmin).Debug("yes")
	if err := l.SetLevel("main", "debug"); err != nil {
		t.Error(err)
	}
	l.For(compMain).Debug("now")
	if err := l.SetLevel("", "off"); err != nil {
		t.Error(err)
	}
	l.For(compMain).Error("no")
	l.For(compAdmin).Error("no")
	if out.String() != "main:yes\nadmin:yes\nmain:now\n" {
		t.Errorf("%q", out)
	}
	if l.SetLevel("nobody", "info") == nil || l.SetLevel("main", "loud") == nil {
		t.Error("nonsense is accepted")
	}
	var list bytes.Buffer
	l.WriteLevels(&list)
	if !strings.Contains(list.String(), "  admin: off\n") {
		t.Errorf("%q", &list)
	}
}

func TestLogFileReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	l, _ := testLog(t, "--log-format %v --log-path "+path)
	l.For(compMain).Info("one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.For(compMain).Info("two")
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.For(compMain).Info("three")
	for file, want := range map[string]string{path + ".1": "one\ntwo\n", path: "three\n"} {
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
}

func TestLogPathCannotBeOpened(t *testing.T) {
	o := &Options{LogLevel: "info", LogPath: filepath.Join(t.TempDir(), "none", "x.log")}
	if _, err := NewLog(o, nil); err == nil || !strings.Contains(err.Error(), "--log-path") {
		t.Error(err)
	}
}
