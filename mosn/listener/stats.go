package listener

import (
	"strconv"

	"sofamesh.io/sofamesh/mosn/stats"
)

// The indexes of the names in StatNames.
const (
	gaugeActive = iota
	gaugePreActive
	gaugeWorkers // from here one a loop
)

const (
	counterTotal = iota
	counterDestroy
	counterOverflow
	counterNoChain
	_
	_
	_
	counterHandshakeTimeout
	counterWorkers = 10 // from here one a loop, behind those that stay 0 here
)

const histogramLength = 0

// StatNames returns the names of a listener's stats, as Envoy has them, for a
// number of loops. Make it once.
func StatNames(loops int) *stats.Names {
	l := stats.List{
		Gauges: []string{"downstream_cx_active", "downstream_pre_cx_active"},
		Counters: []string{
			"downstream_cx_total", "downstream_cx_destroy", "downstream_cx_overflow", "no_filter_chain_match",
			"downstream_cx_overload_reject", "downstream_global_cx_overflow", "downstream_pre_cx_timeout",
			"downstream_cx_transport_socket_connect_timeout", "downstream_listener_filter_error",
			"downstream_listener_filter_remote_close",
		},
		Histograms: []string{"downstream_cx_length_ms"},
	}
	for i := range loops {
		worker := "worker_" + strconv.Itoa(i) + "."
		l.Gauges = append(l.Gauges, worker+"downstream_cx_active")
		l.Counters = append(l.Counters, worker+"downstream_cx_total")
	}
	return stats.NewNames(l)
}
