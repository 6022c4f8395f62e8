package cluster

import "sofamesh.io/sofamesh/mosn/stats"

// Stat is a counter that every cluster has, under Envoy's name. Those from
// RqCancelled on, but for the pool's own, are the stream's to count.
type Stat int

// The counters.
const (
	CxTotal Stat = iota
	CxHTTP1Total
	CxHTTP2Total
	CxHTTP3Total
	CxConnectFail
	CxConnectTimeout
	CxConnectAttemptsExceeded
	CxOverflow
	CxPoolOverflow
	CxDestroy
	CxDestroyLocal
	CxDestroyRemote
	CxDestroyWithActiveRq
	CxDestroyLocalWithActiveRq
	CxDestroyRemoteWithActiveRq
	CxCloseNotify
	CxIdleTimeout
	CxMaxRequests
	CxMaxDurationReached
	CxNoneHealthy
	CxProtocolError
	CxRxBytesTotal
	CxTxBytesTotal
	FlowBackedUp
	FlowDrained
	FlowPausedReading
	FlowResumedReading
	RqTotal
	RqActiveOverflow
	RqPendingTotal
	RqPendingOverflow
	RqPendingFailureEject
	RqCancelled
	RqCompleted
	RqMaintenanceMode
	RqTimeout
	RqMaxDurationReached
	RqPerTryTimeout
	RqPerTryIdleTimeout
	RqRxReset
	RqTxReset
	RqRetry
	RqRetryBackoffExponential
	RqRetryBackoffRatelimited
	RqRetryLimitExceeded
	RqRetryOverflow
	RqRetrySuccess
	RetryOrShadowAbandoned
	InternalRedirectSucceeded
	InternalRedirectFailed
	LBHealthyPanic
	BindErrors
	MembershipChange
	UpdateAttempt
	UpdateSuccess
	UpdateFailure
	UpdateEmpty
	UpdateNoRebuild
	TransportMatch // hosts that take the cluster's own transport socket

	numStats
)

func counterNames() []string {
	names := [numStats]string{
		CxTotal: "upstream_cx_total", CxHTTP1Total: "upstream_cx_http1_total",
		CxHTTP2Total: "upstream_cx_http2_total", CxHTTP3Total: "upstream_cx_http3_total",
		CxConnectFail: "upstream_cx_connect_fail", CxConnectTimeout: "upstream_cx_connect_timeout",
		CxConnectAttemptsExceeded: "upstream_cx_connect_attempts_exceeded",
		CxOverflow:                "upstream_cx_overflow", CxPoolOverflow: "upstream_cx_pool_overflow",
		CxDestroy: "upstream_cx_destroy", CxDestroyLocal: "upstream_cx_destroy_local",
		CxDestroyRemote:             "upstream_cx_destroy_remote",
		CxDestroyWithActiveRq:       "upstream_cx_destroy_with_active_rq",
		CxDestroyLocalWithActiveRq:  "upstream_cx_destroy_local_with_active_rq",
		CxDestroyRemoteWithActiveRq: "upstream_cx_destroy_remote_with_active_rq",
		CxCloseNotify:               "upstream_cx_close_notify", CxIdleTimeout: "upstream_cx_idle_timeout",
		CxMaxRequests: "upstream_cx_max_requests", CxMaxDurationReached: "upstream_cx_max_duration_reached",
		CxNoneHealthy: "upstream_cx_none_healthy", CxProtocolError: "upstream_cx_protocol_error",
		CxRxBytesTotal: "upstream_cx_rx_bytes_total", CxTxBytesTotal: "upstream_cx_tx_bytes_total",
		FlowBackedUp:       "upstream_flow_control_backed_up_total",
		FlowDrained:        "upstream_flow_control_drained_total",
		FlowPausedReading:  "upstream_flow_control_paused_reading_total",
		FlowResumedReading: "upstream_flow_control_resumed_reading_total",
		RqTotal:            "upstream_rq_total", RqActiveOverflow: "upstream_rq_active_overflow",
		RqPendingTotal: "upstream_rq_pending_total", RqPendingOverflow: "upstream_rq_pending_overflow",
		RqPendingFailureEject: "upstream_rq_pending_failure_eject", RqCancelled: "upstream_rq_cancelled",
		RqCompleted: "upstream_rq_completed", RqMaintenanceMode: "upstream_rq_maintenance_mode",
		RqTimeout: "upstream_rq_timeout", RqMaxDurationReached: "upstream_rq_max_duration_reached",
		RqPerTryTimeout: "upstream_rq_per_try_timeout", RqPerTryIdleTimeout: "upstream_rq_per_try_idle_timeout",
		RqRxReset: "upstream_rq_rx_reset", RqTxReset: "upstream_rq_tx_reset", RqRetry: "upstream_rq_retry",
		RqRetryBackoffExponential: "upstream_rq_retry_backoff_exponential",
		RqRetryBackoffRatelimited: "upstream_rq_retry_backoff_ratelimited",
		RqRetryLimitExceeded:      "upstream_rq_retry_limit_exceeded",
		RqRetryOverflow:           "upstream_rq_retry_overflow", RqRetrySuccess: "upstream_rq_retry_success",
		RetryOrShadowAbandoned:    "retry_or_shadow_abandoned",
		InternalRedirectSucceeded: "upstream_internal_redirect_succeeded_total",
		InternalRedirectFailed:    "upstream_internal_redirect_failed_total",
		LBHealthyPanic:            "lb_healthy_panic", BindErrors: "bind_errors",
		MembershipChange: "membership_change", UpdateAttempt: "update_attempt", UpdateSuccess: "update_success",
		UpdateFailure: "update_failure", UpdateEmpty: "update_empty", UpdateNoRebuild: "update_no_rebuild",
		TransportMatch: "default.total_match_count",
	}
	return append(names[:], foreign()...)
}

// foreign are counters that Envoy has and that stay 0 here, so that a dashboard finds
// them.
func foreign() []string {
	return []string{
		"assignment_stale", "assignment_timeout_received", "assignment_use_cached",
		"lb_local_cluster_not_ok", "lb_recalculate_zone_structures", "lb_subsets_created", "lb_subsets_fallback",
		"lb_subsets_fallback_panic", "lb_subsets_removed", "lb_subsets_selected", "lb_zone_cluster_too_small",
		"lb_zone_no_capacity_left", "lb_zone_routing_all_directly", "lb_zone_routing_cross_zone",
		"lb_zone_routing_sampled", "original_dst_host_invalid",
		"upstream_cx_connect_with_0_rtt", "upstream_cx_preconnect_skipped", "upstream_queue_overloaded", "upstream_http3_broken", "upstream_rq_0rtt", "upstream_rq_rx_reset_no_error",
	}
}

// The gauges. Those that the Manager sets come first.
const (
	gMembershipTotal = iota
	gMembershipHealthy
	gMembershipDegraded
	gMembershipExcluded
	gBreakers // numBreakerGauges for each priority
)

const numBreakerGauges = 5

// Gauges that the loops change.
const (
	gCxActive = gBreakers + int(numPriorities)*numBreakerGauges + iota
	gRqActive
	gRqPendingActive
)

func gaugeNames() []string {
	names := []string{"membership_total", "membership_healthy", "membership_degraded", "membership_excluded"}
	for _, prio := range []string{"default", "high"} {
		for _, what := range []string{"cx_open", "cx_pool_open", "rq_pending_open", "rq_open", "rq_retry_open"} {
			names = append(names, "circuit_breakers."+prio+"."+what)
		}
	}
	return append(names, "upstream_cx_active", "upstream_rq_active", "upstream_rq_pending_active")
}

// The histograms, in milliseconds.
const (
	hConnect = iota
	hLength
	hRqTime
	hRqTimeExternal
	hRqTimeInternal
	hRqPerCx // not milliseconds
)

func histogramNames() []string {
	return []string{"upstream_cx_connect_ms", "upstream_cx_length_ms", "upstream_rq_time",
		"external.upstream_rq_time", "internal.upstream_rq_time", "upstream_rq_per_cx"}
}

// ResponseKind says what else than a response a response is.
type ResponseKind int

// The kinds, each with a prefix of its own.
const (
	External ResponseKind = iota // the request came from outside
	Internal
	Canary  // the host says that it is one (x-envoy-upstream-canary)
	Retried // another attempt follows
)

func responsePrefixes() []string { return []string{"external.", "internal.", "canary.", "retry."} }

// Kind is what all clusters of a process have in common: the names of their stats.
// It is immutable; make one and share it.
type Kind struct {
	names     *stats.Names
	remaining [numPriorities]*stats.Names // for track_remaining
	codes     *stats.Codes
	http2     stats.CodecNames
	perCode   int // lazy counters for one prefix
	completed int // the first lazy counter of all responses of a prefix
	stray     int // the lazy counter of responses that nobody waits for
}

// NewKind returns a Kind.
func NewKind() *Kind {
	k := &Kind{codes: stats.NewCodes(), http2: stats.NewCodecNames()}
	lazy := k.codes.Names("upstream_rq_")
	k.perCode = len(lazy)
	for _, prefix := range responsePrefixes() {
		lazy = append(lazy, k.codes.Names(prefix+"upstream_rq_")...)
	}
	k.completed = len(lazy)
	for _, prefix := range responsePrefixes() {
		lazy = append(lazy, prefix+"upstream_rq_completed")
	}
	// Not Envoy's: responses on shared connections to calls that were given up, or to none.
	k.stray = len(lazy)
	lazy = append(lazy, "upstream_rq_stray_response")
	k.names = stats.NewNames(stats.List{
		Gauges: gaugeNames(), Counters: counterNames(), Lazy: lazy, Histograms: histogramNames(),
	})
	for i, prio := range []string{"default", "high"} {
		var names []string
		for _, what := range []string{"cx", "cx_pools", "pending", "rq", "retries"} {
			names = append(names, "circuit_breakers."+prio+".remaining_"+what)
		}
		k.remaining[i] = stats.NewNames(stats.List{Gauges: names})
	}
	return k
}
