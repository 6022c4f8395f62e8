package rbac

import (
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/match/cel"
	"sofamesh.io/sofamesh/mosn/match/tree"
	"sofamesh.io/sofamesh/sdk"
)

// declared are the messages that this package compiles.
func declared() sdk.FieldStatus {
	const own, p = "envoy.extensions.filters.http.rbac.v3.", "envoy.config.rbac.v3."
	return fields.Join(tree.Fields(), cel.Fields(),
		fields.Message(own+"RBAC",
			fields.Supported("rules", "rules_stat_prefix", "shadow_rules", "shadow_rules_stat_prefix", "track_per_rule_stats",
				"matcher", "shadow_matcher")),
		fields.Message(own+"RBACPerRoute", fields.Supported("rbac")),
		fields.Message(p+"RBAC", fields.Supported("action", "policies"), fields.Ignored("audit_logging_options")),
		fields.Message(p+"Policy", fields.Supported("permissions", "principals", "condition", "checked_condition", "cel_config")),
		fields.Message(p+"Action", fields.Supported("name", "action")),
		fields.Message(p+"SourcedMetadata", fields.Supported("metadata_matcher", "metadata_source")),
		fields.Message(p+"Permission",
			fields.Supported("and_rules", "or_rules", "any", "header", "url_path", "destination_ip", "destination_port",
				"destination_port_range", "not_rule", "requested_server_name", "metadata", "matcher", "sourced_metadata"),
			fields.Refused("uri_template")),
		fields.Message(p+"Permission.Set", fields.Supported("rules")),
		fields.Message(p+"Principal",
			fields.Supported("and_ids", "or_ids", "any", "authenticated", "source_ip", "direct_remote_ip", "remote_ip",
				"header", "url_path", "filter_state", "not_id", "metadata", "sourced_metadata", "custom")),
		fields.Message(p+"Principal.Set", fields.Supported("ids")),
		fields.Message(p+"Principal.Authenticated", fields.NoEffect("principal_name")), // nobody is, without TLS
		fields.Message("envoy.extensions.rbac.matchers.upstream_ip_port.v3.UpstreamIpPortMatcher",
			fields.Supported("upstream_ip", "upstream_port_range")),
		fields.Message("envoy.extensions.rbac.principals.mtls_authenticated.v3.Config", // nobody is, without TLS
			fields.NoEffect("san_matcher", "any_validated_client_certificate")),
		fields.Message("envoy.type.v3.Int64Range", fields.Supported("start", "end")),
		fields.Message("envoy.config.core.v3.CidrRange", fields.Supported("address_prefix", "prefix_len")),
		fields.Message("envoy.type.v3.Int32Range", fields.Supported("start", "end")),
		fields.Message("envoy.type.matcher.v3.PathMatcher", fields.Supported("path")),
		fields.Message("envoy.type.matcher.v3.FilterStateMatcher", fields.Supported("key", "string_match", "address_match")),
	)
}
