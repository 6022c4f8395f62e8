//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/procfs"
)

const firstPort = 18000 // of the proxies

// compare is a whole run: gather, measure, report, judge. The report goes to stdout, what happens meanwhile to progress.
func compare(ctx context.Context, o options, stdout, progress io.Writer) (err error) {
	out := stdout
	if o.output != "" {
		f, err := os.Create(o.output)
		if err != nil {
			return err
		}
		defer f.Close()
		out = io.MultiWriter(stdout, f)
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // nginx's worker is another user
		return err
	}
	if runtime.NumCPU() < 2 && o.proxyCPU >= 0 {
		return errors.New("one processor: the proxy and its load would share it (-proxy-cpu -1 -load-cpu -1 lets them)")
	}
	files, err := raiseFiles()
	if err != nil {
		return err
	}
	g, err := gather(ctx, o, dir, progress)
	if err != nil {
		return err
	}
	r := &rig{o: o, gear: g, dir: dir, files: files, port: firstPort, results: newResults(), log: progress}
	before, err := procfs.ReadProcessors(-1)
	if err != nil {
		return err
	}
	if err := r.heading(out); err != nil {
		return err
	}
	if err := r.measure(ctx); err != nil {
		return err
	}
	after, err := procfs.ReadProcessors(-1)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "steal: %.1f%% of the machine's time went to others\n", 100*after.Sub(before).StealShare())
	return r.report(out)
}

func (r *rig) measure(ctx context.Context) error {
	if err := pinSelf(r.o.loadCPU); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c, stop, err := startSide(self, r.o.loadCPU)
	if err != nil {
		return err
	}
	defer stop()
	r.side = c
	for _, part := range []func(context.Context) error{r.measureFresh, r.measureLoad, r.measureBolt, r.measureHTTP2, r.measureHog} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// heading says what was compared on what.
func (r *rig) heading(w io.Writer) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	avg, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s, Linux %s %s, %s, %d processors (proxy on %d, load and backend on %d), %s\n",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]),
		processor(), runtime.NumCPU(), r.o.proxyCPU, r.o.loadCPU, runtime.Version())
	fmt.Fprintf(w, "load average before: %s", avg)
	fmt.Fprintf(w, "median [lowest..highest] of %d interleaved rounds of %v each after %v of warm-up\n", r.o.rounds, r.o.duration, r.o.warm)
	for _, p := range r.gear.peers {
		fmt.Fprintf(w, "  %s: %s\n", p.Name, p.Describe())
	}
	for _, s := range r.gear.skipped {
		fmt.Fprintf(w, "  skipped %s\n", s)
	}
	return nil
}

func processor() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, "\t :\n")
		}
	}
	return "unnamed processor"
}

// report prints all tables and, when asked, judges the bars.
func (r *rig) report(w io.Writer) error {
	var names []string
	for _, p := range r.gear.peers {
		names = append(names, p.Name)
	}
	for _, c := range r.o.cases {
		if c.kind == kindHog && r.gear.hog.Path == "" {
			continue // named among the skipped
		}
		if err := r.results.table(w, c, names, r.o.subject); err != nil {
			return err
		}
	}
	if r.o.check {
		return judge(w, r.results)
	}
	return nil
}
