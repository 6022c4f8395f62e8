package config

import (
	"sofamesh.io/sofamesh/mosn/accesslog"
	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/listener"
	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/match/cel"
	"sofamesh.io/sofamesh/mosn/match/descriptor"
	"sofamesh.io/sofamesh/mosn/match/tree"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/mosn/service"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/mosn/trace"
	"sofamesh.io/sofamesh/mosn/transport/tls"
	"sofamesh.io/sofamesh/sdk"
)

const core, boot = "envoy.config.core.v3.", "envoy.config.bootstrap.v3."

// coreFields declares the messages of a bootstrap and of its resources, but for those
// of extensions.
func coreFields() []sdk.FieldStatus {
	return []sdk.FieldStatus{bootstrapFields(), nodeFields(), listener.Fields(), cluster.Fields(),
		route.Fields(), match.Fields(), descriptor.Fields(), tree.Fields(), cel.Fields(), accesslog.Fields(), edit.Fields(), format.Fields(), service.Fields(),
		stats.Fields(), trace.Fields(), tls.Fields(),
		fields.Message(core+"TypedExtensionConfig", fields.Supported("name", "typed_config"))}
}

func bootstrapFields() sdk.FieldStatus {
	return fields.Join(
		fields.Message(boot+"Bootstrap",
			fields.Supported("node", "static_resources", "dynamic_resources", "cluster_manager", "stats_flush_interval",
				"layered_runtime", "admin", "stats_server_version_override", "bootstrap_extensions",
				"stats_config", "stats_sinks", "stats_flush_on_admin", "tracing"),
			fields.NoEffect("node_context_params", "deferred_stat_options", "watchdog", "watchdogs",
				"enable_dispatcher_stats", "inline_headers", "perf_tracing_file_path", "default_regex_engine",
				"grpc_async_client_manager_config", "memory_allocator_manager", "enable_worker_cpu_affinity",
				"flags_path"),
			fields.Ignored("certificate_provider_instances"),
			fields.Refused("hds_config", "stats_eviction_interval",
				"overload_manager", "header_prefix", "use_tcp_for_dns_lookups", "dns_resolution_config",
				"typed_dns_resolver_config", "fatal_actions", "config_sources",
				"default_config_source", "default_socket_interface",
				"xds_delegate_extension", "xds_config_tracker_extension", "listener_manager",
				"application_log_config"),
		),
		fields.Message("envoy.config.trace.v3.Tracing", fields.Supported("http")),
		fields.Message("envoy.config.trace.v3.Tracing.Http", fields.Supported("name", "typed_config")),
		fields.Message(boot+"Bootstrap.StaticResources",
			fields.Supported("listeners", "clusters", "secrets")),
		fields.Message(boot+"Bootstrap.DynamicResources",
			fields.Supported("lds_config", "cds_config"),
			fields.Refused("lds_resources_locator", "cds_resources_locator", "ads_config")),
		fields.ConfigSource(),
		fields.Message(boot+"ClusterManager",
			fields.Supported("upstream_bind_config"), fields.NoEffect("enable_deferred_cluster_creation"),
			fields.Refused("local_cluster_name", "outlier_detection", "load_stats_config")),
		fields.Message(boot+"LayeredRuntime", fields.Supported("layers")),
		fields.Message(boot+"RuntimeLayer",
			fields.Supported("name", "static_layer", "disk_layer", "admin_layer"), fields.Refused("rtds_layer")),
		fields.Message(boot+"RuntimeLayer.DiskLayer",
			fields.Supported("symlink_root", "subdirectory", "append_service_cluster")),
		fields.Message(boot+"Admin",
			fields.Supported("access_log", "access_log_path", "address", "allow_paths", "profile_path"),
			fields.NoEffect("ignore_global_conn_limit"), fields.Refused("socket_options")),
	)
}

func nodeFields() sdk.FieldStatus {
	return fields.Join(
		fields.Message(core+"Node",
			fields.Supported("id", "cluster", "metadata", "locality"),
			fields.NoEffect("dynamic_parameters", "user_agent_name", "user_agent_version", "user_agent_build_version",
				"extensions", "client_features", "listening_addresses")),
		fields.Message(core+"Locality", fields.Supported("region", "zone", "sub_zone")),
	)
}
