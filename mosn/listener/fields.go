package listener

import (
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

const core, pkg = "envoy.config.core.v3.", "envoy.config.listener.v3."

// Fields declares the messages of listeners, and those of addresses and socket
// options that others share.
func Fields() sdk.FieldStatus {
	return fields.Join(
		fields.Message(pkg+"Listener",
			fields.Supported("name", "address", "additional_addresses", "stat_prefix", "filter_chains",
				"default_filter_chain", "per_connection_buffer_limit_bytes", "transparent", "freebind",
				"socket_options", "tcp_fast_open_queue_length", "enable_reuse_port", "access_log",
				"tcp_backlog_size", "bind_to_port", "tcp_keepalive", "traffic_direction", "metadata"),
			fields.NoEffect("drain_type", "listener_filters_timeout", "continue_on_listener_filters_timeout",
				"max_connections_to_accept_per_socket_event", "ignore_global_conn_limit", "bypass_overload_manager"),
			fields.Ignored("reuse_port", "deprecated_v1"),
			fields.Refused("stats_matcher", "fcds_config", "filter_chain_matcher", "use_original_dst",
				"per_connection_buffer_high_watermark_timeout", "listener_filters", "udp_listener_config", "api_listener",
				"connection_balance_config", "internal_listener", "enable_mptcp"),
		),
		fields.Message(pkg+"AdditionalAddress",
			fields.Supported("address", "socket_options", "tcp_keepalive")),
		fields.Message(pkg+"FilterChain",
			fields.Supported("name", "filter_chain_match", "filters", "transport_socket", "transport_socket_connect_timeout"),
			fields.NoEffect("metadata"),
			fields.Refused("use_proxy_proto"),
		),
		// checkMatch refuses, by name, what is set to something.
		fields.Message(pkg+"FilterChainMatch",
			fields.Supported("transport_protocol"),
			fields.Refused("destination_port", "prefix_ranges", "address_suffix", "suffix_len",
				"direct_source_prefix_ranges", "source_type", "source_prefix_ranges", "source_ports", "server_names",
				"application_protocols"),
		),
		fields.Message(pkg+"Filter",
			fields.Supported("name", "typed_config"), fields.Refused("config_discovery")),
		AddressFields(),
	)
}

// AddressFields declares the messages of addresses, sockets and transport sockets.
func AddressFields() sdk.FieldStatus {
	return fields.Join(
		fields.Message(core+"Address",
			fields.Supported("socket_address", "pipe"), fields.Refused("envoy_internal_address")),
		fields.Message(core+"SocketAddress",
			fields.Supported("protocol", "address", "port_value", "ipv4_compat"),
			fields.Refused("named_port", "resolver_name", "network_namespace_filepath")),
		fields.Message(core+"Pipe", fields.Supported("path", "mode")),
		fields.Message(core+"SocketOptionsOverride", fields.Supported("socket_options")),
		fields.Message(core+"SocketOption",
			fields.Supported("level", "name", "int_value", "buf_value", "state"),
			fields.NoEffect("description"), fields.Refused("type", "ip_version")),
		fields.Message(core+"TcpKeepalive",
			fields.Supported("keepalive_probes", "keepalive_time", "keepalive_interval")),
		fields.Message(core+"TransportSocket", fields.Supported("name", "typed_config")),
	)
}
