package stream

import (
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// Stats are the handles of one connection manager, with Envoy's names under
// http.<stat_prefix>.
type Stats struct {
	CxTotal, CxHTTP1Total, CxHTTP2Total                                        sdk.Counter
	CxDestroy, CxDestroyActiveRq                                               sdk.Counter
	CxDestroyLocal, CxDestroyLocalActiveRq                                     sdk.Counter
	CxDestroyRemote, CxDestroyRemoteActiveRq                                   sdk.Counter
	CxDelayedCloseTimeout, CxDrainClose, CxIdleTimeout                         sdk.Counter
	CxMaxDuration, CxMaxRequests, CxProtocolError, CxUpgradesTotal             sdk.Counter
	CxRxBytes, CxTxBytes                                                       sdk.Counter
	RqTotal, RqHTTP1Total, RqHTTP2Total, RqRxReset, RqTxReset                  sdk.Counter
	RqTimeout, RqHeaderTimeout, RqIdleTimeout, RqMaxDuration, RqRejectedIP     sdk.Counter
	RqTooLarge, RsTooLarge, RqRespBeforeComplete                               sdk.Counter
	RqNonRelativePath, RqNormalizeFailed, RqNormalizeRedirected, RqNotUpgraded sdk.Counter
	FlowPausedReading, FlowResumedReading                                      sdk.Counter
	RouterRqTotal, NoRoute, NoCluster, RqDirect, RqResetAfterResponse          sdk.Counter
	HealthCheck                                                                sdk.Counter
	CxActive, CxHTTP1Active, CxHTTP2Active, CxUpgradesActive, RqActive         sdk.Gauge
	CxSSLTotal                                                                 sdk.Counter
	CxSSLActive                                                                sdk.Gauge
	// Of the protocols that Envoy does not have.
	CxRPCTotal, RqRPCTotal sdk.Counter
	CxRPCActive            sdk.Gauge
	// Requests of hosts to their clients.
	RqReverseTotal   sdk.Counter
	RqReverseActive  sdk.Gauge
	CxLength, RqTime sdk.Histogram

	Answers  Answers     // of the connection manager
	Listener Answers     // the same under listener.<address>.http.<stat_prefix>
	HTTP2    stats.HTTP2 // of all connection managers
}

// Answers are the handles of the responses, by class.
type Answers struct {
	Completed sdk.Counter
	Class     [5]sdk.Counter
}

func answerNames() []string {
	return []string{
		"downstream_rq_completed",
		"downstream_rq_1xx", "downstream_rq_2xx", "downstream_rq_3xx", "downstream_rq_4xx", "downstream_rq_5xx",
	}
}

// named is a stat's name and where its handle is kept.
type named[T any] struct {
	name string
	at   *T
}

func (s *Stats) counters() []named[sdk.Counter] {
	return []named[sdk.Counter]{
		{"downstream_cx_total", &s.CxTotal}, {"downstream_cx_http1_total", &s.CxHTTP1Total},
		{"downstream_cx_destroy", &s.CxDestroy}, {"downstream_cx_destroy_active_rq", &s.CxDestroyActiveRq},
		{"downstream_cx_destroy_local", &s.CxDestroyLocal},
		{"downstream_cx_destroy_local_active_rq", &s.CxDestroyLocalActiveRq},
		{"downstream_cx_destroy_remote", &s.CxDestroyRemote},
		{"downstream_cx_destroy_remote_active_rq", &s.CxDestroyRemoteActiveRq},
		{"downstream_cx_rx_bytes_total", &s.CxRxBytes}, {"downstream_cx_tx_bytes_total", &s.CxTxBytes},
		{"downstream_rq_total", &s.RqTotal}, {"downstream_rq_http1_total", &s.RqHTTP1Total}, {"rq_total", &s.RouterRqTotal},
		{"downstream_rq_http2_total", &s.RqHTTP2Total}, {"downstream_cx_http2_total", &s.CxHTTP2Total},
		{"downstream_cx_delayed_close_timeout", &s.CxDelayedCloseTimeout}, {"downstream_cx_drain_close", &s.CxDrainClose},
		{"downstream_cx_idle_timeout", &s.CxIdleTimeout}, {"downstream_cx_max_duration_reached", &s.CxMaxDuration},
		{"downstream_cx_max_requests_reached", &s.CxMaxRequests},
		{"downstream_cx_protocol_error", &s.CxProtocolError}, {"downstream_cx_upgrades_total", &s.CxUpgradesTotal},
		{"downstream_rq_rx_reset", &s.RqRxReset}, {"downstream_rq_tx_reset", &s.RqTxReset},
		{"downstream_rq_timeout", &s.RqTimeout}, {"downstream_rq_header_timeout", &s.RqHeaderTimeout},
		{"downstream_rq_idle_timeout", &s.RqIdleTimeout}, {"downstream_rq_max_duration_reached", &s.RqMaxDuration},
		{"downstream_rq_rejected_via_ip_detection", &s.RqRejectedIP},
		{"downstream_rq_too_large", &s.RqTooLarge}, {"rs_too_large", &s.RsTooLarge},
		{"downstream_rq_response_before_rq_complete", &s.RqRespBeforeComplete},
		{"downstream_rq_non_relative_path", &s.RqNonRelativePath},
		{"downstream_rq_failed_path_normalization", &s.RqNormalizeFailed},
		{"downstream_rq_redirected_with_normalized_path", &s.RqNormalizeRedirected},
		{"downstream_rq_ws_on_non_ws_route", &s.RqNotUpgraded},
		{"downstream_flow_control_paused_reading_total", &s.FlowPausedReading},
		{"downstream_flow_control_resumed_reading_total", &s.FlowResumedReading},
		{"no_route", &s.NoRoute}, {"no_cluster", &s.NoCluster}, {"rq_direct_response", &s.RqDirect},
		{"rq_reset_after_downstream_response_started", &s.RqResetAfterResponse},
		{"tracing.health_check", &s.HealthCheck},
		{"downstream_cx_rpc_total", &s.CxRPCTotal}, {"downstream_rq_rpc_total", &s.RqRPCTotal},
		{"downstream_rq_reverse_total", &s.RqReverseTotal}, {"downstream_cx_ssl_total", &s.CxSSLTotal},
	}
}

func (s *Stats) gauges() []named[sdk.Gauge] {
	return []named[sdk.Gauge]{
		{"downstream_cx_active", &s.CxActive}, {"downstream_cx_http1_active", &s.CxHTTP1Active},
		{"downstream_rq_active", &s.RqActive}, {"downstream_cx_http2_active", &s.CxHTTP2Active},
		{"downstream_cx_upgrades_active", &s.CxUpgradesActive},
		{"downstream_cx_rpc_active", &s.CxRPCActive}, {"downstream_rq_reverse_active", &s.RqReverseActive}, {"downstream_cx_ssl_active", &s.CxSSLActive},
	}
}

// foreign are counters that Envoy has and that stay 0 here, or in Envoy too, so that a
// dashboard finds them.
func foreign() []string {
	return []string{
		"downstream_cx_http1_soft_drain", "downstream_cx_http3_total", "downstream_cx_overload_disable_keepalive",
		"downstream_rq_http3_total", "downstream_rq_overload_close", "downstream_rq_too_many_premature_resets",
		"passthrough_internal_redirect_bad_location", "passthrough_internal_redirect_no_route",
		"passthrough_internal_redirect_predicate", "passthrough_internal_redirect_too_many_redirects",
		"passthrough_internal_redirect_unsafe_scheme", "rq_overload_local_reply", "rq_redirect",
	}
}

// Names are the stat names of connection managers, made once and shared by all.
type Names struct {
	manager, listener *stats.Names
	codecs            stats.CodecNames
}

// NewNames returns the names.
func NewNames() Names {
	var l stats.List
	var s Stats
	for _, g := range s.gauges() {
		l.Gauges = append(l.Gauges, g.name)
	}
	for _, c := range s.counters() {
		l.Counters = append(l.Counters, c.name)
	}
	l.Counters = append(append(l.Counters, answerNames()...), foreign()...)
	l.Histograms = []string{"downstream_cx_length_ms", "downstream_rq_time"}
	return Names{stats.NewNames(l), stats.NewNames(stats.List{Counters: answerNames()}), stats.NewCodecNames()}
}

// New makes the handles of a connection manager: below root and below the scope of its
// listener.
func (n Names) New(root, listener sdk.Scope, prefix string) Stats {
	s := n.WithoutHTTP2(root, listener, prefix)
	s.HTTP2 = n.codecs.HTTP2(root)
	return s
}

// WithoutHTTP2 is New for what does not speak HTTP/2.
func (n Names) WithoutHTTP2(root, listener sdk.Scope, prefix string) Stats {
	b := stats.BlockOf(root.Scope("http."+prefix), n.manager)
	var s Stats
	for i, g := range s.gauges() {
		*g.at = b.Gauge(i)
	}
	counters := s.counters()
	for i, c := range counters {
		*c.at = b.Counter(i)
	}
	s.CxLength, s.RqTime = b.Histogram(0), b.Histogram(1)
	s.Answers = answersOf(b, len(counters))
	s.Listener = answersOf(stats.BlockOf(listener.Scope("http."+prefix), n.listener), 0)
	return s
}

func answersOf(b stats.Block, first int) Answers {
	a := Answers{Completed: b.Counter(first)}
	for i := range a.Class {
		a.Class[i] = b.Counter(first + 1 + i)
	}
	return a
}

// answered counts a response that goes to the client.
func (d *serverConn) answered(code int) {
	st, l := &d.cfg.Stats, d.w.stats
	l.Inc(st.Answers.Completed)
	l.Inc(st.Listener.Completed)
	if class := code/100 - 1; class >= 0 && class < len(st.Answers.Class) {
		l.Inc(st.Answers.Class[class])
		l.Inc(st.Listener.Class[class])
	}
}
