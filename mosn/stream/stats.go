package stream

import (
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// Stats are the handles of one connection manager, with Envoy's names under
// http.<stat_prefix>.
type Stats struct {
	CxTotal, CxDestroy, CxDestroyLocal, CxDestroyRemote, CxDestroyRemoteActiveRq sdk.Counter
	CxHTTP1Total, CxIdleTimeout, CxMaxDuration, CxProtocolError                  sdk.Counter
	CxRxBytes, CxTxBytes                                                         sdk.Counter
	RqTotal, RqHTTP1Total, RqCompleted, RqRxReset, RqTxReset                     sdk.Counter
	RqTimeout, RqHeaderTimeout, RqIdleTimeout, RqMaxDuration                     sdk.Counter
	RqTooLarge, RsTooLarge, RqRespBeforeComplete                                 sdk.Counter
	FlowPausedReading, FlowResumedReading                                        sdk.Counter
	NoRoute, NoCluster, RqRedirect, RqDirect                                     sdk.Counter
	RqClass                                                                      [5]sdk.Counter
	CxSSLTotal                                                                   sdk.Counter
	CxSSLActive                                                                  sdk.Gauge
	CxActive, CxHTTP1Active, RqActive                                            sdk.Gauge
	CxHTTP2Total, RqHTTP2Total                                                   sdk.Counter
	CxHTTP2Active                                                                sdk.Gauge
	// Of the protocols that Envoy does not have.
	CxRPCTotal, RqRPCTotal sdk.Counter
	CxRPCActive            sdk.Gauge
	// Requests of hosts to their clients.
	RqReverseTotal   sdk.Counter
	RqReverseActive  sdk.Gauge
	CxLength, RqTime sdk.Histogram
}

// Names are the stat names of connection managers, made once and shared by all.
type Names struct{ names *stats.Names }

// counterNames and so on stand in the order in which NewStats reads them.
func counterNames() []string {
	return []string{
		"downstream_cx_total", "downstream_cx_destroy", "downstream_cx_destroy_local",
		"downstream_cx_destroy_remote", "downstream_cx_destroy_remote_active_rq",
		"downstream_cx_http1_total", "downstream_cx_idle_timeout", "downstream_cx_max_duration_reached",
		"downstream_cx_protocol_error", "downstream_cx_rx_bytes_total", "downstream_cx_tx_bytes_total",
		"downstream_rq_total", "downstream_rq_http1_total", "downstream_rq_completed",
		"downstream_rq_rx_reset", "downstream_rq_tx_reset",
		"downstream_rq_timeout", "downstream_rq_header_timeout", "downstream_rq_idle_timeout",
		"downstream_rq_max_duration_reached", "downstream_rq_too_large", "rs_too_large",
		"downstream_rq_response_before_rq_complete",
		"downstream_flow_control_paused_reading_total", "downstream_flow_control_resumed_reading_total",
		"no_route", "no_cluster", "rq_redirect", "rq_direct_response",
		"downstream_cx_http2_total", "downstream_rq_http2_total",
		"downstream_cx_rpc_total", "downstream_rq_rpc_total", "downstream_rq_reverse_total", "downstream_cx_ssl_total",
		"downstream_rq_1xx", "downstream_rq_2xx", "downstream_rq_3xx", "downstream_rq_4xx", "downstream_rq_5xx",
	}
}

// NewNames returns the names.
func NewNames() Names {
	return Names{stats.NewNames(stats.List{
		Gauges: []string{"downstream_cx_active", "downstream_cx_http1_active", "downstream_rq_active",
			"downstream_cx_http2_active", "downstream_cx_rpc_active", "downstream_rq_reverse_active",
			"downstream_cx_ssl_active"},
		Counters:   counterNames(),
		Histograms: []string{"downstream_cx_length_ms", "downstream_rq_time"},
	})}
}

// New makes the handles in a scope, which is "http.<stat_prefix>".
func (n Names) New(scope sdk.Scope) Stats {
	b := stats.BlockOf(scope, n.names)
	var s Stats
	counters := []*sdk.Counter{
		&s.CxTotal, &s.CxDestroy, &s.CxDestroyLocal,
		&s.CxDestroyRemote, &s.CxDestroyRemoteActiveRq,
		&s.CxHTTP1Total, &s.CxIdleTimeout, &s.CxMaxDuration,
		&s.CxProtocolError, &s.CxRxBytes, &s.CxTxBytes,
		&s.RqTotal, &s.RqHTTP1Total, &s.RqCompleted,
		&s.RqRxReset, &s.RqTxReset,
		&s.RqTimeout, &s.RqHeaderTimeout, &s.RqIdleTimeout,
		&s.RqMaxDuration, &s.RqTooLarge, &s.RsTooLarge,
		&s.RqRespBeforeComplete,
		&s.FlowPausedReading, &s.FlowResumedReading,
		&s.NoRoute, &s.NoCluster, &s.RqRedirect, &s.RqDirect,
		&s.CxHTTP2Total, &s.RqHTTP2Total,
		&s.CxRPCTotal, &s.RqRPCTotal, &s.RqReverseTotal, &s.CxSSLTotal,
	}
	for i := range s.RqClass {
		counters = append(counters, &s.RqClass[i])
	}
	for i, c := range counters {
		*c = b.Counter(i)
	}
	for i, g := range []*sdk.Gauge{&s.CxActive, &s.CxHTTP1Active, &s.RqActive, &s.CxHTTP2Active, &s.CxRPCActive, &s.RqReverseActive, &s.CxSSLActive} {
		*g = b.Gauge(i)
	}
	s.CxLength, s.RqTime = b.Histogram(0), b.Histogram(1)
	return s
}
