//go:build linux

package main

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/bench/load"
	"sofamesh.io/sofamesh/test/bench/procfs"
)

func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want summary
	}{
		{[]float64{3}, summary{3, 3, 3, 1}},
		{[]float64{9, 1, 5}, summary{5, 1, 9, 3}},
		{[]float64{4, 1, 2, 100}, summary{3, 1, 100, 4}},
	} {
		in := append([]float64(nil), c.in...)
		if got := summarize(in); got != c.want {
			t.Errorf("%v gave %+v, want %+v", c.in, got, c.want)
		}
		for i := range in {
			if in[i] != c.in[i] {
				t.Errorf("%v was reordered to %v: rounds would no longer pair", c.in, in)
				break
			}
		}
	}
	if s := summarize(nil); !math.IsNaN(s.median) || s.rounds != 0 {
		t.Errorf("no rounds gave %+v", s)
	}
}

func TestFromResult(t *testing.T) {
	s := fromResult(load.Result{
		Requests: 30_000, Window: 2 * time.Second, Unsent: 10_000, Busy: 0.9,
		CPU: procfs.CPU{Nanos: 1.5e9, User: 1, System: 3}, Self: procfs.CPU{Nanos: 1e9},
		P50: time.Millisecond, P99: 2 * time.Millisecond, P999: 3 * time.Millisecond, Cut: 1, Status: 2,
	})
	want := sample{cpu: 50, user: 12.5, rps: 15_000, p50: 1, p99: 2, p999: 3, share: 75, others: 15, side: 50, errors: 3, unsent: 25}
	if math.Abs(s.others-want.others) < 1e-9 {
		s.others = want.others
	}
	if s != want {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
	if none := fromResult(load.Result{Window: time.Second}); none.cpu != 0 || math.IsNaN(none.unsent) {
		t.Errorf("no requests gave %+v", none)
	}
}

// Ratios pair rounds: a round in which the machine was twice as slow for everybody changes no ratio.
func TestRatioPairsRounds(t *testing.T) {
	r := newResults()
	for _, slow := range []float64{1, 2, 1} {
		r.add("c", "a", sample{cpu: 10 * slow})
		r.add("c", "b", sample{cpu: 20 * slow})
	}
	cpu := func(s sample) float64 { return s.cpu }
	if got := r.ratio("c", "a", "b", cpu); got != (summary{0.5, 0.5, 0.5, 3}) {
		t.Errorf("got %+v, want one half in each round", got)
	}
	if got := r.ratio("c", "a", "nobody", cpu); !math.IsNaN(got.median) {
		t.Errorf("a ratio to nobody is %+v", got)
	}
}

func TestAFailureTakesThePeerOutOfTheCase(t *testing.T) {
	r := newResults()
	r.add("c", "a", sample{cpu: 1})
	r.add("d", "a", sample{cpu: 1})
	r.fail("c", "a", "it died")
	if !r.failed("c", "a") || r.failed("d", "a") || len(r.samples["c"]["a"]) != 0 || len(r.samples["d"]["a"]) != 1 {
		t.Errorf("%+v", r)
	}
	var out bytes.Buffer
	if err := r.table(&out, benchCase{name: "c"}, []string{"a"}, "a"); err != nil || !strings.Contains(out.String(), "a: it died") {
		t.Errorf("%v: %s", err, out.String())
	}
}

// good are samples that meet every bar exactly.
func good() *results {
	r := newResults()
	for range 3 {
		r.add(baseCase, "mosn", sample{cpu: 10})
		r.add(baseCase, "nginx", sample{cpu: 10})
		r.add(baseCase, "envoy", sample{cpu: 25})
		r.add(boltCase, "mosn", sample{cpu: 14})
		r.add(boltCase, "floor", sample{cpu: 10})
		r.add(grpcCase, "mosn", sample{cpu: 7})
		r.add(grpcCase, "envoy", sample{cpu: 7 / 0.55})
		r.add(grpcCase, "nginx", sample{cpu: 10})
		r.add(grpcCase, "haproxy", sample{cpu: 7})
		r.add("start", "mosn", sample{anon: 12})
		r.add("idle10k", "mosn", sample{each: 2048})
		r.add("clusters1k", "mosn", sample{ready: 100})
		r.add("hog", "mosn", sample{p50: 1})
	}
	return r
}

func TestBars(t *testing.T) {
	var out bytes.Buffer
	if err := judge(&out, good()); err != nil || strings.Count(out.String(), "\n  met ") != 12 {
		t.Fatalf("%v: %s", err, out.String())
	}
	// Each bar, one at a time: within the tolerance, above it, and without figures.
	for i, c := range []struct {
		of, peer string
		set      func(*sample, float64)
	}{
		{baseCase, "mosn", func(s *sample, v float64) { s.cpu = 10 * v }},
		{boltCase, "mosn", func(s *sample, v float64) { s.cpu = 14 * v }},
		{grpcCase, "envoy", func(s *sample, v float64) { s.cpu = 7 / 0.55 / v }},
		{grpcCase, "nginx", func(s *sample, v float64) { s.cpu = 10 / v }},
		{grpcCase, "haproxy", func(s *sample, v float64) { s.cpu = 7 / v }},
		{"start", "mosn", func(s *sample, v float64) { s.anon = 12 * v }},
		{"idle10k", "mosn", func(s *sample, v float64) { s.each = 2048 * v }},
		{"clusters1k", "mosn", func(s *sample, v float64) { s.ready = 100 * v }},
		{"hog", "mosn", func(s *sample, v float64) { s.p50 = v }},
	} {
		for _, x := range []struct {
			factor float64
			want   string
		}{{1.04, "met"}, {1.06, "MISSED"}} {
			r := good()
			for j := range r.samples[c.of][c.peer] {
				c.set(&r.samples[c.of][c.peer][j], x.factor)
			}
			var out bytes.Buffer
			err := judge(&out, r)
			if errors.Is(err, errMissed) != (x.want == "MISSED") || strings.Contains(out.String(), "MISSED") != (x.want == "MISSED") {
				t.Errorf("bar %d at %v: %v\n%s", i, x.factor, err, out.String())
			}
		}
		r := good()
		r.fail(c.of, c.peer, "gone")
		if err := judge(&bytes.Buffer{}, r); !errors.Is(err, errMissed) {
			t.Errorf("bar %d without figures: %v; what was not measured is not met", i, err)
		}
	}
}

// One answer to the wrong caller in one round is enough.
func TestBarOfWrongAnswers(t *testing.T) {
	for _, c := range []string{boltCase, grpcCase} {
		r := good()
		r.samples[c]["mosn"][1].errors = 1
		var out bytes.Buffer
		if err := judge(&out, r); !errors.Is(err, errMissed) || strings.Count(out.String(), "MISSED") != 1 {
			t.Errorf("%s: %v: %s", c, err, out.String())
		}
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	base := benchCase{name: baseCase, title: "a title"}
	if err := good().table(&out, base, []string{"nginx", "envoy", "mosn"}, "mosn"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ka64: a title", "10.00 [10.00..10.00]", "CPU per request, mosn over nginx: 1.000 [1.000..1.000]", "mosn over envoy: 0.400",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "NOT QUIET") {
		t.Errorf("a quiet machine is blamed:\n%s", out.String())
	}
	noisy := newResults()
	noisy.add(baseCase, "mosn", sample{cpu: 1, others: 20})
	var warned bytes.Buffer
	if err := noisy.table(&warned, base, []string{"mosn"}, "mosn"); err != nil || !strings.Contains(warned.String(), "NOT QUIET: others took 20%") {
		t.Errorf("%v: no warning in\n%s", err, warned.String())
	}
	if strings.Contains(out.String(), "mosn over mosn") || strings.Contains(out.String(), "NaN") {
		t.Errorf("nonsense in\n%s", out.String())
	}
}
