//go:build linux

package procfs

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	line := "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 111 222 5 6 20 0 1 0 99 1000 2 18446744073709551615"
	got, err := parseStat(line)
	if want := (statFields{parent: 7, user: 111, system: 222}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "42 (x", "42 (x) S 7", "42 (x) S p 42 42 0 -1 1 1 2 3 4 111 222", "42 (x) S 7 42 42 0 -1 1 1 2 3 4 u 222"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestParseRollup(t *testing.T) {
	text := "55-7f ---p 00000000 00:00 0   [rollup]\nRss:     1672 kB\nPss:   395 kB\nPss_Anon:   112 kB\nAnonymous:    300 kB\n"
	got, err := parseRollup([]byte(text))
	if want := (Memory{RSS: 1672 << 10, Anonymous: 112 << 10}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := parseRollup([]byte("Rss: 1 kB\n")); err == nil {
		t.Error("a file without Pss_Anon was accepted")
	}
}

func TestParseProcessors(t *testing.T) {
	text := "cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 9 9 9 9 9 9 9 9\ncpu1 10 0 0 30 0 0 0 0 0 0\nintr 1 2 3 4 5 6 7 8 9\n"
	all, err := parseProcessors(text, "cpu")
	if want := (Processors{Total: 36, Busy: 19, Steal: 8}); err != nil || all != want {
		t.Errorf("got %+v, %v; want %+v (guest time is already part of user time)", all, err, want)
	}
	one, err := parseProcessors(text, "cpu1")
	if err != nil || one.BusyShare() != 0.25 || one.StealShare() != 0 {
		t.Errorf("got %+v, %v; want a quarter busy", one, err)
	}
	if _, err := parseProcessors(text, "cpu2"); err == nil {
		t.Error("a processor that is not there was found")
	}
	if _, err := parseProcessors("cpu 1 2 3 4 x 6 7 8\n", "cpu"); err == nil {
		t.Error("a malformed line was accepted")
	}
	if (Processors{}).BusyShare() != 0 {
		t.Error("without time passed the share must be 0, not NaN")
	}
}

func TestReadProcessors(t *testing.T) {
	all, err := ReadProcessors(-1)
	if err != nil {
		t.Fatal(err)
	}
	first, err := ReadProcessors(0)
	if err != nil || first.Total == 0 || all.Total < first.Total-2 {
		t.Errorf("processor 0 spent %+v, %v; all together %+v", first, err, all)
	}
	if _, err := ReadProcessors(1 << 20); err == nil {
		t.Error("a processor that does not exist has spent time")
	}
}

func TestUserShare(t *testing.T) {
	c := CPU{Nanos: 10, User: 30, System: 70}.Sub(CPU{Nanos: 4, User: 10, System: 10})
	if c.Nanos != 6 || c.UserShare() != 0.25 {
		t.Errorf("got %+v, share %v; want 6 ns and a quarter", c, c.UserShare())
	}
	if (CPU{Nanos: 1}).UserShare() != 0 {
		t.Error("without a tick the share must be 0, not NaN")
	}
}

// The CPU clock must be this process's own and must move with work: compared against what getrusage counts, by order only.
func TestReadCPUCountsWork(t *testing.T) {
	self := []int{os.Getpid()}
	before, err := ReadCPU(self)
	if err != nil {
		t.Fatal(err)
	}
	after := before
	for sum := 0; after.Nanos-before.Nanos < int64(time.Millisecond); { // ends only if work is counted
		for i := range 100_000 {
			sum += i
		}
		if after, err = ReadCPU(self); err != nil {
			t.Fatal(err)
		}
	}
	twice, err := ReadCPU([]int{self[0], self[0]})
	if err != nil || twice.Nanos < 2*after.Nanos {
		t.Errorf("two processes gave %d ns (%v), want the sum of both, at least %d", twice.Nanos, err, 2*after.Nanos)
	}
	if _, err := ReadCPU([]int{1 << 30}); err == nil {
		t.Error("a process that does not exist has a CPU time")
	}
}

func TestTreeFindsGrandchildren(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60 & echo; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var tree []int
	t.Cleanup(func() {
		for _, pid := range slices.Backward(tree) {
			if p, err := os.FindProcess(pid); err == nil && pid != os.Getpid() {
				_ = p.Kill()
			}
		}
		_ = cmd.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil { // sleep has been forked
		t.Fatal(err)
	}
	if tree, err = Tree(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if len(tree) != 2 || tree[0] != cmd.Process.Pid {
		t.Errorf("tree of a shell with one child = %v", tree)
	}
	mem, err := ReadMemory(tree)
	if err != nil || mem.RSS <= mem.Anonymous || mem.Anonymous <= 0 {
		t.Errorf("memory %+v, %v: want some, and files beside the anonymous part", mem, err)
	}
}
