package cluster

import (
	"maps"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// Fields declares what is done with each field of the messages that make a cluster.
// Of codecs' messages (Http1ProtocolOptions) it knows nothing; those are the codecs'
// to declare.
func Fields() sdk.FieldStatus {
	s := sdk.FieldStatus{}
	maps.Copy(s, fields.ConfigSource())
	for _, part := range []func(fieldsOf){
		clusterFields, balancingFields, protocolFields, endpointFields, connectionFields,
	} {
		part(func(message string, state sdk.FieldState, names ...string) {
			for _, name := range names {
				s["envoy."+message+"."+name] = state
			}
		})
	}
	return s
}

// fieldsOf declares fields of a message to be in a state.
type fieldsOf func(message string, state sdk.FieldState, names ...string)

func clusterFields(set fieldsOf) {
	const m = "config.cluster.v3.Cluster"
	set(m, sdk.Supported,
		"name", "alt_stat_name", "type", "eds_cluster_config", "connect_timeout", "per_connection_buffer_limit_bytes", "lb_policy", "load_assignment",
		"max_requests_per_connection", "circuit_breakers", "common_http_protocol_options", "http_protocol_options",
		"typed_extension_protocol_options", "dns_refresh_rate", "dns_jitter", "dns_failure_refresh_rate", "dns_lookup_family",
		"wait_for_warm_on_init", "upstream_bind_config", "ring_hash_lb_config", "maglev_lb_config", "least_request_lb_config",
		"round_robin_lb_config", "http2_protocol_options", "protocol_selection", "common_lb_config", "transport_socket", "metadata", "upstream_connection_options",
		"connection_pool_per_downstream_connection")
	// Without health checks nothing follows from a host's failing them. The resolver does
	// not tell TTLs. Nothing here is cleaned up by interval.
	set(m, sdk.NoEffect,
		"respect_dns_ttl", "cleanup_interval", "close_connections_on_host_health_failure", "ignore_health_on_host_removal")
	set(m, sdk.Refused,
		"transport_socket_matches", "transport_socket_matcher", "stats_matcher", "cluster_type",
		"per_connection_buffer_high_watermark_timeout", "health_checks", "upstream_http_protocol_options",
		"dns_resolvers", "use_tcp_for_dns_lookups", "dns_resolution_config",
		"typed_dns_resolver_config", "outlier_detection", "lb_subset_config", "original_dst_lb_config",
		"filters", "load_balancing_policy", "lrs_server", "lrs_report_endpoint_metrics", "track_timeout_budgets",
		"upstream_config", "track_cluster_stats", "preconnect_policy",
		"queuing_policies")
	set(m+".EdsClusterConfig", sdk.Supported, "eds_config", "service_name")
	set(m+".RefreshRate", sdk.Supported, "base_interval", "max_interval")

	const b = "config.cluster.v3.CircuitBreakers"
	set(b, sdk.Supported, "thresholds", "per_host_thresholds") // the latter where connections are shared
	set(b+".Thresholds", sdk.Supported,
		"priority", "max_connections", "max_pending_requests", "max_requests", "max_retries", "retry_budget", "track_remaining")
	set(b+".Thresholds", sdk.Refused, "max_connection_pools")
	set(b+".Thresholds.RetryBudget", sdk.Supported, "budget_percent", "min_retry_concurrency")
	set(b+".Thresholds.RetryBudget", sdk.Refused, "budget_interval")
	set("type.v3.Percent", sdk.Supported, "value")
}

func balancingFields(set fieldsOf) {
	const m = "config.cluster.v3.Cluster"
	set(m+".RoundRobinLbConfig", sdk.Refused, "slow_start_config")
	set(m+".LeastRequestLbConfig", sdk.Supported, "choice_count", "active_request_bias")
	set(m+".LeastRequestLbConfig", sdk.Refused, "slow_start_config")
	set("config.core.v3.RuntimeDouble", sdk.Supported, "default_value")
	set("config.core.v3.RuntimeDouble", sdk.NoEffect, "runtime_key") // no runtime layer reaches here yet
	set(m+".RingHashLbConfig", sdk.Supported, "minimum_ring_size", "hash_function", "maximum_ring_size")
	set(m+".MaglevLbConfig", sdk.Supported, "table_size")
	set(m+".CommonLbConfig", sdk.Supported, "healthy_panic_threshold", "consistent_hashing_lb_config")
	set(m+".CommonLbConfig", sdk.NoEffect, "update_merge_window", "ignore_new_hosts_until_first_hc")
	set(m+".CommonLbConfig", sdk.Refused,
		"zone_aware_lb_config", "locality_weighted_lb_config", "close_connections_on_host_set_change", "override_host_status")
	set(m+".CommonLbConfig.ConsistentHashingLbConfig", sdk.Supported, "use_hostname_for_hashing")
	set(m+".CommonLbConfig.ConsistentHashingLbConfig", sdk.Refused, "hash_balance_factor")
}

func protocolFields(set fieldsOf) {
	const h = "extensions.upstreams.http.v3.HttpProtocolOptions"
	set(h, sdk.Supported, "common_http_protocol_options", "explicit_http_config", "use_downstream_protocol_config", "auto_config")
	set(h, sdk.Refused,
		"upstream_http_protocol_options", "http_filters",
		"header_validation_config", "outlier_detection", "request_mirror_policies", "hash_policy", "retry_policy")
	set(h+".AutoHttpConfig", sdk.Refused, "alternate_protocols_cache_options")
	for _, m := range []string{".ExplicitHttpConfig", ".UseDownstreamHttpConfig", ".AutoHttpConfig"} {
		set(h+m, sdk.Supported, "http_protocol_options", "http2_protocol_options")
		set(h+m, sdk.Refused, "http3_protocol_options")
	}
	// Listeners and clusters share this message: what one of them does not support yet
	// is refused where it is compiled.
	set("config.core.v3.HttpProtocolOptions", sdk.Supported,
		"idle_timeout", "max_connection_duration", "max_connection_duration_jitter", "max_headers_count",
		"max_response_headers_kb", "max_stream_duration", "headers_with_underscores_action", "max_requests_per_connection")
}

func endpointFields(set fieldsOf) {
	const e = "config.endpoint.v3."
	set(e+"ClusterLoadAssignment", sdk.Supported, "cluster_name", "endpoints", "policy")
	set(e+"ClusterLoadAssignment", sdk.Ignored, "named_endpoints")
	set(e+"ClusterLoadAssignment.Policy", sdk.Supported, "overprovisioning_factor")
	set(e+"ClusterLoadAssignment.Policy", sdk.Refused, "drop_overloads", "endpoint_stale_after", "weighted_priority_health")
	set(e+"LocalityLbEndpoints", sdk.Supported, "locality", "lb_endpoints", "priority")
	// Weights and distances of localities matter to locality-weighted balancing alone,
	// which is refused.
	set(e+"LocalityLbEndpoints", sdk.NoEffect, "load_balancing_weight", "proximity", "metadata")
	set(e+"LocalityLbEndpoints", sdk.Ignored, "load_balancer_endpoints")
	set(e+"LocalityLbEndpoints", sdk.Refused, "leds_cluster_locality_config")
	set(e+"LbEndpoint", sdk.Supported, "endpoint", "health_status", "metadata", "load_balancing_weight")
	set(e+"LbEndpoint", sdk.Refused, "endpoint_name")
	set(e+"Endpoint", sdk.Supported, "address", "hostname")
	set(e+"Endpoint", sdk.NoEffect, "health_check_config") // there are no health checks yet
	set(e+"Endpoint", sdk.Refused, "additional_addresses", "observability_name")
	set("config.core.v3.Locality", sdk.Supported, "region", "zone", "sub_zone")
	set("config.core.v3.Metadata", sdk.Supported, "filter_metadata")
	set("config.core.v3.Metadata", sdk.NoEffect, "typed_filter_metadata")
}

func connectionFields(set fieldsOf) {
	set("config.cluster.v3.UpstreamConnectionOptions", sdk.Supported, "tcp_keepalive")
	set("config.cluster.v3.UpstreamConnectionOptions", sdk.NoEffect, "happy_eyeballs_config") // one address a host
	set("config.cluster.v3.UpstreamConnectionOptions", sdk.Refused, "set_local_interface_name_on_upstream_connections")
	set("config.core.v3.TcpKeepalive", sdk.Supported, "keepalive_probes", "keepalive_time", "keepalive_interval")
	set("config.core.v3.BindConfig", sdk.Supported, "source_address", "socket_options")
	set("config.core.v3.BindConfig", sdk.Refused, "freebind", "extra_source_addresses", "additional_source_addresses",
		"local_address_selector", "validate_network_namespaces")
	set("config.core.v3.SocketOption", sdk.Supported, "level", "name", "int_value", "buf_value", "state")
	set("config.core.v3.SocketOption", sdk.NoEffect, "description")
	set("config.core.v3.SocketOption", sdk.Refused, "type", "ip_version")
	set("config.core.v3.Address", sdk.Supported, "socket_address", "pipe")
	set("config.core.v3.Address", sdk.Refused, "envoy_internal_address")
	set("config.core.v3.Pipe", sdk.Supported, "path", "mode") // the mode is a listener's
	set("config.core.v3.SocketAddress", sdk.Supported, "protocol", "address", "port_value", "ipv4_compat")
	set("config.core.v3.SocketAddress", sdk.Refused, "named_port", "resolver_name", "network_namespace_filepath")
	set("config.core.v3.TransportSocket", sdk.Supported, "name", "typed_config")
}
