//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

const tolerance = 1.05 // a bar is missed when the median exceeds it by more than 5%

// bar is one promise of the project, measured.
type bar struct {
	name  string
	unit  string
	limit float64
	value summary
}

func (b bar) state() string {
	switch {
	case math.IsNaN(b.value.median):
		return "not measured"
	case b.value.median > b.limit*tolerance:
		return "MISSED"
	}
	return "met"
}

// bars lists what mosn must hold.
func bars(r *results) []bar {
	cpu := func(s sample) float64 { return s.cpu }
	return []bar{
		{"CPU per request over nginx's, keep-alive 64", "x", 1.0, r.ratio(baseCase, "mosn", "nginx", cpu)},
		{"CPU per request over Envoy's, keep-alive 64", "x", 0.4, r.ratio(baseCase, "mosn", "envoy", cpu)},
		{"CPU per Bolt call over a forwarder's", "x", 1.4, r.ratio(boltCase, "mosn", "floor", cpu)},
		{"lost, wrong and foreign answers over Bolt, in the worst round", "", 0, r.figure(boltCase, "mosn", func(s sample) float64 { return s.errors }).worst()},
		{"CPU per gRPC call over Envoy's", "x", 0.55, r.ratio(grpcCase, "mosn", "envoy", cpu)},
		{"CPU per gRPC call over nginx's", "x", 0.7, r.ratio(grpcCase, "mosn", "nginx", cpu)},
		{"CPU per gRPC call over HAProxy's", "x", 1.0, r.ratio(grpcCase, "mosn", "haproxy", cpu)},
		{"lost, wrong and foreign answers over gRPC, in the worst round", "", 0, r.figure(grpcCase, "mosn", func(s sample) float64 { return s.errors }).worst()},
		{"anonymous memory after start, idle", "MB", 12, r.figure("start", "mosn", func(s sample) float64 { return s.anon })},
		{"anonymous memory per idle connection, at 10k", "B", 2048, r.figure("idle10k", "mosn", func(s sample) float64 { return s.each })},
		{"ready with 1000 clusters", "ms", 100, r.figure("clusters1k", "mosn", func(s sample) float64 { return s.ready })},
		{"p50 beside a CPU-bound goroutine", "ms", 1, r.figure("hog", "mosn", func(s sample) float64 { return s.p50 })},
	}
}

// judge prints the bars and fails unless all are met.
func judge(w io.Writer, r *results) error {
	fmt.Fprintf(w, "\nbars (missed: the median exceeds the bar by more than 5%%)\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var err error
	for _, b := range bars(r) {
		if b.state() != "met" {
			err = errMissed
		}
		fmt.Fprintf(tw, "  %s\t%s\t<= %v %s\t%s\n", b.state(), b.name, b.limit, b.unit, b.value.text(3))
	}
	if ferr := tw.Flush(); ferr != nil {
		return ferr
	}
	return err
}
