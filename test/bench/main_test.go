//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/bench/procfs"
)

// The runner starts its own binary as the floor and as the load side; in a test that is this one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"floor", "boltfloor", "side"}, os.Args[1]) {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestParse(t *testing.T) {
	o, err := parse(nil, io.Discard)
	if err != nil || o.rounds != 7 || len(o.cases) != len(allCases()) || !o.wants("nginx") || o.subject != "mosn" {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	o, err = parse([]string{"-quick", "-peers", "floor,mosn", "-cases", "close,ka8"}, io.Discard)
	if err != nil || o.rounds != 3 || o.wants("nginx") || !o.wants("mosn") || len(o.cases) != 2 || o.cases[0].name != "ka8" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{
		{"-cases", "ka9"}, {"-peers", "apache"}, {"-subject", "x"}, {"-rounds", "0"}, {"-duration", "0s"}, {"-rate-of", "all"}, {"stray"}, {"-nonsense"},
	} {
		if _, err := parse(bad, io.Discard); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestSelectCases(t *testing.T) {
	names := func(list string, quick bool) string {
		cases, err := selectCases(list, quick)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, c := range cases {
			all = append(all, c.name)
		}
		return strings.Join(all, " ")
	}
	for list, want := range map[string]string{
		"rate60,rate30": "rate30 rate60 ka64", // an open loop needs the saturation it is a share of
		"hog":           "hog ka64",
		"bolt60":        "bolt60 bolt",
		"grpc60":        "grpc60 grpc",
		"rate30,ka64":   "ka64 rate30",
		"start":         "start",
		"clusters10k":   "clusters10k",
	} {
		if got := names(list, true); got != want {
			t.Errorf("%s gave %s, want %s", list, got, want)
		}
	}
	if strings.Contains(names("", true), "clusters10k") || !strings.Contains(names("", false), "clusters10k") {
		t.Error("10k clusters belong to a full run and not to a quick one")
	}
}

// The whole way with whatever peers this machine has: each has figures in every case and no error, or is named as skipped.
func TestCompare(t *testing.T) {
	report := filepath.Join(t.TempDir(), "report")
	o, err := parse([]string{
		"-rounds", "2", "-duration", "300ms", "-warm", "50ms", "-settle", "10ms", "-install=false", "-proxy-cpu", "-1", "-load-cpu", "-1",
		"-peers", "floor,nginx,haproxy,envoy", "-subject", "floor", "-cases", "start,ka8,body16k,close,rate30", "-o", report,
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	if err := compare(context.Background(), o, &out, &progress); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	t.Log(text)
	if file, err := os.ReadFile(report); err != nil || string(file) != text {
		t.Errorf("-o wrote %d bytes (%v), standard output has %d", len(file), err, len(text))
	}
	for _, name := range []string{"floor", "nginx", "haproxy", "envoy"} {
		rows := regexp.MustCompile(`(?m)^ *`+name+` +2 .*$`).FindAllString(text, -1)
		if len(rows) != 6 && !strings.Contains(text, "skipped "+name) {
			t.Errorf("%s has %d rows of figures, want one for each of 6 cases", name, len(rows))
		}
		for _, row := range rows[min(1, len(rows)):] { // the first is of memory
			if !strings.HasSuffix(strings.TrimSpace(row), " 0") {
				t.Errorf("errors: %s", row)
			}
		}
	}
	if strings.Contains(text, "skipped floor") {
		t.Error("the floor is always there")
	}
}

// Bolt's cases have peers, a backend and a floor of their own.
func TestCompareBolt(t *testing.T) {
	o, err := parse([]string{
		"-rounds", "2", "-duration", "300ms", "-warm", "50ms", "-install=false", "-proxy-cpu", "-1", "-load-cpu", "-1",
		"-peers", "floor,nginx", "-subject", "floor", "-cases", "bolt,boltburst,bolt60",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := compare(context.Background(), o, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	rows := regexp.MustCompile(`(?m)^ *floor +2 .*$`).FindAllString(out.String(), -1)
	if len(rows) != 3 || regexp.MustCompile(`(?m)^ *nginx +2`).MatchString(out.String()) {
		t.Errorf("%d rows of figures, want one for each of 3 cases and none for who has no Bolt", len(rows))
	}
	for _, row := range rows {
		if !strings.HasSuffix(strings.TrimSpace(row), " 0") {
			t.Errorf("errors: %s", row)
		}
	}
}

// HTTP/2's cases have peers of their own and no floor.
func TestCompareHTTP2(t *testing.T) {
	o, err := parse([]string{
		"-rounds", "2", "-duration", "300ms", "-warm", "50ms", "-install=false", "-proxy-cpu", "-1", "-load-cpu", "-1",
		"-peers", "floor,nginx,haproxy,envoy", "-subject", "haproxy", "-cases", "h2c,grpc,grpcstream,grpc60",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := compare(context.Background(), o, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	t.Log(text)
	if regexp.MustCompile(`(?m)^ *floor +2`).MatchString(text) {
		t.Error("the floor has figures")
	}
	for _, name := range []string{"nginx", "haproxy", "envoy"} {
		rows := regexp.MustCompile(`(?m)^ *`+name+` +2 .*$`).FindAllString(text, -1)
		if len(rows) != 4 && !strings.Contains(text, "skipped "+name) {
			t.Errorf("%s has %d rows of figures, want one for each of 4 cases", name, len(rows))
		}
		for _, row := range rows {
			if !strings.HasSuffix(strings.TrimSpace(row), " 0") {
				t.Errorf("errors: %s", row)
			}
		}
	}
}

func TestIdleConnectionsAndTheirMemory(t *testing.T) {
	o, err := parse([]string{"-rounds", "1", "-duration", "50ms", "-warm", "10ms", "-settle", "10ms", "-proxy-cpu", "-1", "-load-cpu", "-1", "-peers", "floor"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, stop, err := startSide(self, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	g, err := gather(t.Context(), o, t.TempDir(), io.Discard)
	if err != nil || len(g.peers) != 1 {
		t.Fatalf("%+v, %v", g, err)
	}
	r := &rig{o: o, gear: g, dir: t.TempDir(), files: 1024, side: c, port: firstPort + 1000, results: newResults(), log: io.Discard}
	x, err := r.launch(t.Context(), g.peers[0], "floor", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Stop()
	s, err := r.withIdle(t.Context(), benchCase{count: 200}, x)
	if err != nil || s.ready <= 0 || s.anon <= 0 || s.rss <= s.anon {
		t.Errorf("%+v, %v", s, err)
	}
	// And a peer that cannot start is a reason, not an abort.
	g.peers[0].Path = "/nonexistent"
	o.cases, r.gear = o.of(kindSaturation), g
	r.o = o
	if err := r.measureLoad(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reason := r.results.failures["ka8"]["floor"]; !strings.Contains(reason, "nonexistent") {
		t.Errorf("the failure is told as %q", reason)
	}
}

// The overlay puts a computing goroutine into a main package that knows nothing of it.
func TestHogComputesBesideTheProgram(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":           "module m\n",
		"cmd/mosn/main.go": "package main\nimport \"os\"\nfunc main() { os.Stdout.WriteString(\"up\"); os.Stdin.Read(make([]byte, 1)) }\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path, err := buildHog(t.Context(), root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(root, "cmd", "mosn", "*")); err != nil || len(left) != 1 {
		t.Errorf("the sources now hold %v, %v", left, err)
	}
	pid := runUntilEnd(t, path)
	for used := int64(0); used < int64(50*time.Millisecond); { // ends only if the program computes while it waits for its input
		cpu, err := procfs.ReadCPU([]int{pid})
		if err != nil {
			t.Fatal(err)
		}
		used = cpu.Nanos
		time.Sleep(time.Millisecond)
	}
	if _, err := build(t.Context(), t.TempDir(), t.TempDir(), "mosn", ""); err == nil || !strings.Contains(err.Error(), "no cmd/mosn") {
		t.Errorf("%v: want a reason to skip mosn by", err)
	}
}
