package hcm

import (
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

const pkg = "envoy.extensions.filters.network.http_connection_manager.v3."

// Fields declares the messages of the connection manager.
func Fields() sdk.FieldStatus {
	all := sdk.FieldStatus{}
	for _, m := range []sdk.FieldStatus{
		requestFields(),
		fields.Message(pkg+"HttpConnectionManager",
			fields.Supported("codec_type", "stat_prefix", "rds", "route_config", "http_filters", "add_user_agent",
				"common_http_protocol_options", "http_protocol_options", "http2_protocol_options", "server_name",
				"server_header_transformation", "scheme_header_transformation", "max_request_headers_kb",
				"stream_idle_timeout", "request_timeout", "request_headers_timeout", "delayed_close_timeout",
				"access_log", "local_reply_config", "use_remote_address", "xff_num_trusted_hops", "internal_address_config",
				"skip_xff_append", "via", "generate_request_id", "preserve_external_request_id",
				"always_set_request_id_in_response", "forward_client_cert_details", "proxy_100_continue",
				"upgrade_configs", "normalize_path", "merge_slashes", "path_with_escaped_slashes_action",
				"strip_matching_host_port", "strip_any_host_port", "strip_trailing_host_dot",
				"stream_error_on_invalid_http_message", "append_x_forwarded_port", "drain_timeout",
				"access_log_flush_interval", "flush_access_log_on_new_request", "access_log_options", "tracing", "request_id_extension",
				"original_ip_detection_extensions", "early_header_mutation_extensions"),
			fields.NoEffect("http3_protocol_options",
				"represent_ipv4_remote_address_as_ipv4_mapped_ipv6", "drain_timeout_jitter",
				"http1_safe_max_connection_duration", "record_route_resolution_stats", "stream_flush_timeout"),
			fields.Ignored("path_normalization_options"),
			fields.Refused("scoped_routes", "set_current_client_cert_details", "forward_client_cert_matcher",
				"proxy_status_config", "typed_header_validation_config", "forward_proto_config",
				"add_proxy_protocol_connection_state", "append_local_overload"),
		),
		fields.Message(pkg+"HttpConnectionManager.HcmAccessLogOptions",
			fields.Supported("access_log_flush_interval", "flush_access_log_on_new_request", "flush_log_on_tunnel_successfully_established")),
		fields.Message(pkg+"HttpConnectionManager.Tracing",
			fields.Supported("client_sampling", "random_sampling", "overall_sampling", "verbose", "max_path_tag_length", "custom_tags",
				"provider", "spawn_upstream_span", "operation", "upstream_operation", "no_context_propagation")),
		fields.Message("envoy.config.trace.v3.Tracing.Http", fields.Supported("name", "typed_config")),
		fields.Message("envoy.type.v3.Percent", fields.Supported("value")),
		fields.Message(pkg+"RequestIDExtension", fields.Supported("typed_config")),
		fields.Message("envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
			fields.Supported("pack_trace_reason", "use_request_id_for_trace_sampling")),
		fields.Message(pkg+"LocalReplyConfig", fields.Supported("mappers", "body_format")),
		fields.Message(pkg+"ResponseMapper",
			fields.Supported("filter", "status_code", "body", "body_format_override", "headers_to_add")),
		fields.Message(pkg+"HttpConnectionManager.UpgradeConfig",
			fields.Supported("upgrade_type", "enabled", "filters")),
		fields.Message(pkg+"HttpConnectionManager.InternalAddressConfig",
			fields.Supported("cidr_ranges"), fields.Refused("unix_sockets")),
		fields.Message(pkg+"HttpFilter",
			fields.Supported("name", "typed_config", "config_discovery", "is_optional", "disabled")),
		fields.Message(pkg+"Rds", fields.Supported("config_source", "route_config_name")),
		fields.Message("envoy.config.core.v3.ExtensionConfigSource",
			fields.Supported("config_source", "default_config", "apply_default_config_without_warming", "type_urls")),
		fields.ConfigSource(),
		fields.Message("envoy.config.core.v3.CidrRange", fields.Supported("address_prefix", "prefix_len")),
		fields.Message("envoy.config.core.v3.SchemeHeaderTransformation",
			fields.Supported("scheme_to_overwrite"), fields.Refused("match_upstream")),
	} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}
