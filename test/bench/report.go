//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

const quiet = 5 // percent of the proxy's processor that others may take

// column is one figure of a table.
type column struct {
	head   string
	value  func(sample) float64
	digits int
	bare   bool // the median alone, without its spread
}

func loadColumns() []column {
	return []column{
		{"CPU us/req", func(s sample) float64 { return s.cpu }, 2, false},
		{"in user space", func(s sample) float64 { return s.user }, 1, true},
		{"requests/s", func(s sample) float64 { return s.rps }, 0, false},
		{"p50 ms", func(s sample) float64 { return s.p50 }, 3, false},
		{"p99 ms", func(s sample) float64 { return s.p99 }, 3, false},
		{"p99.9 ms", func(s sample) float64 { return s.p999 }, 3, false},
		{"core %", func(s sample) float64 { return s.share }, 0, true},
		{"others %", func(s sample) float64 { return s.others }, 0, true},
		{"load %", func(s sample) float64 { return s.side }, 0, true},
		{"RSS MB", func(s sample) float64 { return s.rss }, 1, true},
		{"anon MB", func(s sample) float64 { return s.anon }, 1, true},
		{"unsent %", func(s sample) float64 { return s.unsent }, 1, true},
		{"errors", func(s sample) float64 { return s.errors }, 0, true},
	}
}

func memoryColumns(each string) []column {
	cols := []column{
		{"RSS MB", func(s sample) float64 { return s.rss }, 2, false},
		{"anon MB", func(s sample) float64 { return s.anon }, 2, false},
		{"ready ms", func(s sample) float64 { return s.ready }, 1, false},
	}
	if each != "" {
		cols = append(cols, column{"anon B per " + each, func(s sample) float64 { return s.each }, 0, false})
	}
	return cols
}

func (c benchCase) columns() []column {
	switch c.kind {
	case kindStart:
		return memoryColumns("")
	case kindIdle:
		return memoryColumns("connection")
	case kindClusters:
		return memoryColumns("cluster")
	}
	return loadColumns()
}

// text prints a figure with its spread.
func (s summary) text(digits int) string {
	if math.IsNaN(s.median) {
		return "-"
	}
	return fmt.Sprintf("%.*f [%.*f..%.*f]", digits, s.median, digits, s.min, digits, s.max)
}

// table prints one case: a line for each peer, then the subject's ratios.
func (r *results) table(w io.Writer, c benchCase, peers []string, subject string) error {
	fmt.Fprintf(w, "\n%s: %s\n", c.name, c.title)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	cols := c.columns()
	heads := []string{"", "rounds"}
	for _, col := range cols {
		heads = append(heads, col.head)
	}
	fmt.Fprintln(tw, strings.Join(heads, "\t")+"\t")
	for _, p := range peers {
		if len(r.samples[c.name][p]) > 0 {
			fmt.Fprintln(tw, r.line(c.name, p, cols))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(r.failures[c.name])) {
		fmt.Fprintf(w, "  %s: %s\n", p, r.failures[c.name][p])
	}
	r.noise(w, c.name, peers)
	r.ratios(w, c, peers, subject)
	return nil
}

// noise warns of figures taken while something else ran on the proxy's processor.
func (r *results) noise(w io.Writer, c string, peers []string) {
	for _, p := range peers {
		if s := r.figure(c, p, func(s sample) float64 { return s.others }); s.median > quiet {
			fmt.Fprintf(w, "  NOT QUIET: others took %.0f%% of the processor beside %s; do not quote this\n", s.median, p)
		}
	}
}

func (r *results) line(c, peer string, cols []column) string {
	cells := []string{peer, fmt.Sprint(len(r.samples[c][peer]))}
	for _, col := range cols {
		s := r.figure(c, peer, col.value)
		if col.bare {
			cells = append(cells, fmt.Sprintf("%.*f", col.digits, s.median))
		} else {
			cells = append(cells, s.text(col.digits))
		}
	}
	return strings.Join(cells, "\t") + "\t"
}

// ratios prints the subject's CPU per request over each other peer's, where the case has one.
func (r *results) ratios(w io.Writer, c benchCase, peers []string, subject string) {
	for _, p := range peers {
		if p == subject || c.kind >= kindHog {
			continue
		}
		if s := r.ratio(c.name, subject, p, func(s sample) float64 { return s.cpu }); s.rounds > 0 {
			fmt.Fprintf(w, "  CPU per request, %s over %s: %s\n", subject, p, s.text(3))
		}
	}
}
