package rbac

import (
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// declared are the messages that this package compiles. What is refused needs CEL,
// dynamic metadata, extensions or matcher trees, none of which is built yet.
func declared() sdk.FieldStatus {
	const own, p = "envoy.extensions.filters.http.rbac.v3.", "envoy.config.rbac.v3."
	return fields.Join(
		fields.Message(own+"RBAC",
			fields.Supported("rules", "rules_stat_prefix", "shadow_rules", "shadow_rules_stat_prefix", "track_per_rule_stats"),
			fields.Refused("matcher", "shadow_matcher")),
		fields.Message(own+"RBACPerRoute", fields.Supported("rbac")),
		fields.Message(p+"RBAC", fields.Supported("action", "policies"), fields.Refused("audit_logging_options")),
		fields.Message(p+"Policy", fields.Supported("permissions", "principals"),
			fields.Refused("condition", "checked_condition", "cel_config")),
		fields.Message(p+"Permission",
			fields.Supported("and_rules", "or_rules", "any", "header", "url_path", "destination_ip", "destination_port",
				"destination_port_range", "not_rule", "requested_server_name"),
			fields.Refused("metadata", "matcher", "uri_template", "sourced_metadata")),
		fields.Message(p+"Permission.Set", fields.Supported("rules")),
		fields.Message(p+"Principal",
			fields.Supported("and_ids", "or_ids", "any", "authenticated", "source_ip", "direct_remote_ip", "remote_ip",
				"header", "url_path", "filter_state", "not_id"),
			fields.Refused("metadata", "sourced_metadata", "custom")),
		fields.Message(p+"Principal.Set", fields.Supported("ids")),
		fields.Message(p+"Principal.Authenticated", fields.NoEffect("principal_name")), // nobody is, without TLS
		fields.Message("envoy.config.core.v3.CidrRange", fields.Supported("address_prefix", "prefix_len")),
		fields.Message("envoy.type.v3.Int32Range", fields.Supported("start", "end")),
		fields.Message("envoy.type.matcher.v3.PathMatcher", fields.Supported("path")),
		fields.Message("envoy.type.matcher.v3.FilterStateMatcher", fields.Supported("key", "string_match", "address_match")),
	)
}
