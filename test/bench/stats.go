//go:build linux

package main

import (
	"math"
	"slices"

	"sofamesh.io/sofamesh/test/bench/load"
)

// sample is one measurement of one peer in one round. What a case does not measure is zero.
type sample struct {
	cpu    float64 // us of processor time per request
	user   float64 // the part of it in user space
	rps    float64
	p50    float64 // ms
	p99    float64
	p999   float64
	share  float64 // of the proxy's processor, percent
	others float64 // of the proxy's processor, percent, taken by anything but the proxy: by clock ticks, so only roughly
	side   float64 // of the load's processor, percent
	errors float64
	unsent float64 // percent of what was due

	ready float64 // ms from exec
	rss   float64 // MB
	anon  float64 // MB
	each  float64 // bytes of anonymous memory per idle connection or cluster
}

func fromResult(r load.Result) sample {
	s := sample{
		rps:    float64(r.Requests) / r.Window.Seconds(),
		p50:    millis(r.P50.Seconds()),
		p99:    millis(r.P99.Seconds()),
		p999:   millis(r.P999.Seconds()),
		share:  100 * float64(r.CPU.Nanos) / float64(r.Window),
		side:   100 * float64(r.Self.Nanos) / float64(r.Window),
		errors: float64(r.Errors()),
	}
	if r.Requests > 0 {
		s.cpu = float64(r.CPU.Nanos) / 1e3 / float64(r.Requests)
		s.user = s.cpu * r.CPU.UserShare()
	}
	s.others = max(0, 100*r.Busy-s.share)
	if all := r.Requests + r.Unsent; all > 0 {
		s.unsent = 100 * float64(r.Unsent) / float64(all)
	}
	return s
}

func millis(seconds float64) float64 { return seconds * 1e3 }

// summary is a figure: the median of the rounds and their spread.
type summary struct {
	median, min, max float64
	rounds           int
}

func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{median: math.NaN(), min: math.NaN(), max: math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	s := summary{median: sorted[mid], min: sorted[0], max: sorted[len(sorted)-1], rounds: len(sorted)}
	if len(sorted)%2 == 0 {
		s.median = (sorted[mid-1] + sorted[mid]) / 2
	}
	return s
}

// worst takes the highest round for the figure.
func (s summary) worst() summary {
	s.median = s.max
	return s
}

// results holds the samples by case and peer, in the order of rounds; a peer that failed in a case has none there, but a reason.
type results struct {
	samples  map[string]map[string][]sample
	failures map[string]map[string]string
}

func newResults() *results {
	return &results{samples: map[string]map[string][]sample{}, failures: map[string]map[string]string{}}
}

func (r *results) add(c, peer string, s sample) {
	if r.samples[c] == nil {
		r.samples[c] = map[string][]sample{}
	}
	r.samples[c][peer] = append(r.samples[c][peer], s)
}

// fail takes a peer out of a case: a figure from the rounds that happened to work would be no figure.
func (r *results) fail(c, peer, reason string) {
	if r.failures[c] == nil {
		r.failures[c] = map[string]string{}
	}
	r.failures[c][peer] = reason
	delete(r.samples[c], peer)
}

func (r *results) failed(c, peer string) bool { return r.failures[c][peer] != "" }

// figure summarises one value of a peer in a case.
func (r *results) figure(c, peer string, value func(sample) float64) summary {
	var values []float64
	for _, s := range r.samples[c][peer] {
		values = append(values, value(s))
	}
	return summarize(values)
}

// ratio summarises a value of one peer over that of another, round by round: what slows a whole round down cancels out.
func (r *results) ratio(c, over, under string, value func(sample) float64) summary {
	a, b := r.samples[c][over], r.samples[c][under]
	var values []float64
	for i := range min(len(a), len(b)) {
		if d := value(b[i]); d != 0 {
			values = append(values, value(a[i])/d)
		}
	}
	return summarize(values)
}
