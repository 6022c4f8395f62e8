package route

import (
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// Fields declares the messages that this package compiles; those of matchers are
// in match.Fields, those of header edits in edit.Fields, those of formats in
// format.Fields.
func Fields() sdk.FieldStatus {
	return fields.Join(tableFields(), virtualClusterFields(), routeFields(), actionFields(), policyFields(), valueFields())
}

func tableFields() sdk.FieldStatus {
	return fields.Join(
		fields.Message("envoy.config.route.v3.RouteConfiguration",
			fields.Supported("name", "virtual_hosts", "internal_only_headers",
				"response_headers_to_add", "response_headers_to_remove", "request_headers_to_add", "request_headers_to_remove",
				"most_specific_header_mutations_wins", "validate_clusters", "max_direct_response_body_size_bytes",
				"request_mirror_policies", "ignore_port_in_host_matching", "ignore_path_parameters_in_path_matching",
				"typed_per_filter_config"),
			fields.NoEffect("metadata"), // neither formats nor filters of Envoy read it
			fields.Refused("vhds", "cluster_specifier_plugins", "vhost_header", "route_specifiers")),
		fields.Message("envoy.config.route.v3.VirtualHost",
			fields.Supported("name", "domains", "routes", "require_tls",
				"request_headers_to_add", "request_headers_to_remove", "response_headers_to_add", "response_headers_to_remove",
				"typed_per_filter_config", "include_request_attempt_count", "include_attempt_count_in_response",
				"include_is_timeout_retry_header", "retry_policy", "per_request_buffer_limit_bytes", "request_body_buffer_limit",
				"request_mirror_policies", "cors", "rate_limits", "metadata", "virtual_clusters"),
			fields.Refused("matcher", "hedge_policy", "route_specifiers"),
			fields.Ignored("retry_policy_typed_config")),
	)
}

func virtualClusterFields() sdk.FieldStatus {
	return fields.Message("envoy.config.route.v3.VirtualCluster", fields.Supported("headers", "name"))
}

func routeFields() sdk.FieldStatus {
	return fields.Join(
		fields.Message("envoy.config.route.v3.Route",
			fields.Supported("name", "match", "route", "redirect", "direct_response", "typed_per_filter_config",
				"request_headers_to_add", "request_headers_to_remove", "response_headers_to_add", "response_headers_to_remove",
				"per_request_buffer_limit_bytes", "request_body_buffer_limit", "metadata", "stat_prefix", "decorator", "tracing"),
			fields.Refused("filter_action", "non_forwarding_action", "route_specifiers")),
		fields.Message("envoy.config.route.v3.Decorator", fields.Supported("operation", "propagate")),
		fields.Message("envoy.config.route.v3.Tracing", fields.Supported("client_sampling", "random_sampling",
			"overall_sampling", "custom_tags", "operation", "upstream_operation")),
		fields.Message("envoy.config.route.v3.RouteMatch",
			fields.Supported("prefix", "path", "safe_regex", "connect_matcher", "path_separated_prefix", "case_sensitive",
				"runtime_fraction", "headers", "query_parameters", "cookies", "grpc", "tls_context", "dynamic_metadata", "filter_state"),
			fields.Refused("path_match_policy")),
		fields.Message("envoy.config.route.v3.RouteMatch.TlsContextMatchOptions",
			fields.Supported("presented", "validated")),
		fields.Message("envoy.config.route.v3.FilterConfig",
			fields.Supported("config", "is_optional", "disabled")),
	)
}

func actionFields() sdk.FieldStatus {
	return fields.Join(
		fields.Message("envoy.config.route.v3.RouteAction",
			fields.Supported("cluster", "cluster_header", "weighted_clusters", "cluster_not_found_response_code",
				"prefix_rewrite", "regex_rewrite", "host_rewrite_literal", "auto_host_rewrite", "host_rewrite_header",
				"host_rewrite_path_regex", "append_x_forwarded_host", "timeout", "idle_timeout", "retry_policy",
				"request_mirror_policies", "priority", "hash_policy", "max_grpc_timeout", "grpc_timeout_offset",
				"upgrade_configs", "max_stream_duration", "cors", "rate_limits", "include_vh_rate_limits"),
			fields.NoEffect("metadata_match", // chooses among subsets of a cluster, which are refused there
				"early_data_policy"), // there is no TLS early data
			fields.Ignored("retry_policy_typed_config"),
			fields.Refused("cluster_specifier_plugin", "inline_cluster_specifier_plugin", "path_rewrite_policy", "path_rewrite",
				"host_rewrite", "flush_timeout", "internal_redirect_policy",
				"internal_redirect_action", "max_internal_redirects", "hedge_policy")),
		fields.Message("envoy.config.route.v3.RouteAction.UpgradeConfig",
			fields.Supported("upgrade_type", "enabled"), fields.Refused("connect_config")),
		fields.Message("envoy.config.route.v3.RouteAction.MaxStreamDuration",
			fields.Supported("max_stream_duration", "grpc_timeout_header_max", "grpc_timeout_header_offset")),
		fields.Message("envoy.config.route.v3.WeightedCluster",
			fields.Supported("clusters", "runtime_key_prefix", "header_name"),
			fields.Ignored("total_weight"),
			fields.Refused("use_hash_policy")),
		fields.Message("envoy.config.route.v3.WeightedCluster.ClusterWeight",
			fields.Supported("name", "cluster_header", "weight", "request_headers_to_add", "request_headers_to_remove",
				"response_headers_to_add", "response_headers_to_remove", "typed_per_filter_config", "host_rewrite_literal"),
			fields.NoEffect("metadata_match")),
		fields.Message("envoy.config.route.v3.RedirectAction",
			fields.Supported("https_redirect", "scheme_redirect", "host_redirect", "port_redirect", "path_redirect",
				"prefix_rewrite", "regex_rewrite", "response_code", "strip_query"),
			fields.Refused("path_rewrite")),
		fields.Message("envoy.config.route.v3.DirectResponseAction",
			fields.Supported("status", "body"),
			fields.Refused("body_format")),
	)
}

func policyFields() sdk.FieldStatus {
	return fields.Join(
		fields.Message("envoy.config.route.v3.CorsPolicy", // for the filter of that name
			fields.Supported("allow_origin_string_match", "allow_methods", "allow_headers", "expose_headers", "max_age",
				"allow_credentials", "filter_enabled", "shadow_enabled", "allow_private_network_access",
				"forward_not_matching_preflights")),
		fields.Message("envoy.config.route.v3.RetryPolicy",
			fields.Supported("retry_on", "num_retries", "per_try_timeout", "per_try_idle_timeout", "retry_host_predicate",
				"host_selection_retry_max_attempts", "retriable_status_codes", "retry_back_off", "rate_limited_retry_back_off",
				"retriable_headers", "retriable_request_headers"),
			fields.Refused("retry_priority", "retry_options_predicates", "refresh_cluster_on_retry")),
		fields.Message("envoy.config.route.v3.RetryPolicy.RetryHostPredicate",
			fields.Supported("name", "typed_config")), // previous_hosts alone
		fields.Message("envoy.config.route.v3.RetryPolicy.RetryBackOff",
			fields.Supported("base_interval", "max_interval")),
		fields.Message("envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff",
			fields.Supported("reset_headers", "max_interval")),
		fields.Message("envoy.config.route.v3.RetryPolicy.ResetHeader",
			fields.Supported("name", "format")),
		fields.Message("envoy.config.route.v3.RouteAction.RequestMirrorPolicy",
			fields.Supported("cluster", "cluster_header", "runtime_fraction", "disable_shadow_host_suffix_append", "host_rewrite_literal",
				"trace_sampled"),
			fields.Refused("request_headers_mutations")),
		fields.Message("envoy.config.route.v3.RouteAction.HashPolicy",
			fields.Supported("header", "cookie", "connection_properties", "query_parameter", "terminal"),
			fields.Refused("filter_state")),
		fields.Message("envoy.config.route.v3.RouteAction.HashPolicy.Header",
			fields.Supported("header_name", "regex_rewrite")),
		fields.Message("envoy.config.route.v3.RouteAction.HashPolicy.Cookie",
			fields.Supported("name", "ttl", "path", "attributes")),
		fields.Message("envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute",
			fields.Supported("name", "value")),
		fields.Message("envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties",
			fields.Supported("source_ip")),
		fields.Message("envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter",
			fields.Supported("name")),
	)
}

// valueFields declares small messages of envoy.config.core that others may declare
// too.
func valueFields() sdk.FieldStatus {
	return fields.Join(
		fields.Message("envoy.config.core.v3.Metadata",
			fields.Supported("filter_metadata"), fields.NoEffect("typed_filter_metadata")),
		fields.Message("envoy.config.core.v3.RuntimeFractionalPercent",
			fields.Supported("default_value", "runtime_key")),
		fields.Message("envoy.type.v3.FractionalPercent",
			fields.Supported("numerator", "denominator")),
	)
}
