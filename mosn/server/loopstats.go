package server

import (
	"strconv"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// loopStats are gauges of one loop's turns, ours: how many there were, how many of them
// took longer than 10 ms, and the longest, in microseconds.
type loopStats struct{ turns, slow, longest sdk.Gauge }

func newLoopStats(root sdk.Scope, loops int) []loopStats {
	all := make([]loopStats, loops)
	for i := range all {
		prefix := "server.worker_" + strconv.Itoa(i) + "."
		all[i] = loopStats{root.Gauge(prefix + "turns"), root.Gauge(prefix + "turns_over_10ms"), root.Gauge(prefix + "longest_turn_us")}
	}
	return all
}

func (s *loopStats) update(to *stats.Shared, of eventloop.LoopStats) {
	to.SetGauge(s.turns, of.Turns)
	to.SetGauge(s.slow, of.Missed)
	to.SetGauge(s.longest, uint64(of.Longest.Microseconds()))
}
