package accesslog

import (
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// Fields declares the messages of an access log and its filter. Those of the loggers
// come with the loggers, those of header matchers with mosn/route, those of expressions
// with mosn/match/cel.
func Fields() sdk.FieldStatus {
	const p = "envoy.config.accesslog.v3."
	return fields.Join(
		fields.Message(p+"AccessLog", fields.Supported("name", "filter", "typed_config")),
		fields.Message(p+"AccessLogFilter",
			fields.Supported("status_code_filter", "duration_filter", "not_health_check_filter", "runtime_filter", "and_filter", "or_filter",
				"header_filter", "response_flag_filter", "grpc_status_filter", "metadata_filter", "log_type_filter",
				"extension_filter", "traceable_filter")),
		fields.Message(p+"ExtensionFilter", fields.Supported("name", "typed_config")),
		fields.Message("envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", fields.Supported("expression", "cel_config")),
		fields.Message(p+"GrpcStatusFilter", fields.Supported("statuses", "exclude")),
		fields.Message(p+"MetadataFilter", fields.Supported("matcher", "match_if_key_not_found")),
		fields.Message(p+"LogTypeFilter", fields.Supported("types", "exclude")),
		fields.Message(p+"ComparisonFilter", fields.Supported("op", "value")),
		fields.Message(p+"StatusCodeFilter", fields.Supported("comparison")),
		fields.Message(p+"DurationFilter", fields.Supported("comparison")),
		fields.Message(p+"RuntimeFilter", fields.Supported("runtime_key", "percent_sampled", "use_independent_randomness")),
		fields.Message(p+"AndFilter", fields.Supported("filters")),
		fields.Message(p+"OrFilter", fields.Supported("filters")),
		fields.Message(p+"HeaderFilter", fields.Supported("header")),
		fields.Message(p+"ResponseFlagFilter", fields.Supported("flags")),
		fields.Message("envoy.config.core.v3.RuntimeUInt32", fields.Supported("default_value", "runtime_key")),
		fields.Message("envoy.type.v3.FractionalPercent", fields.Supported("numerator", "denominator")),
	)
}
