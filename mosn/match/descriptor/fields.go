package descriptor

import (
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// Fields declares the messages that this package compiles.
func Fields() sdk.FieldStatus {
	const m = "envoy.config.route.v3.RateLimit"
	a := m + ".Action"
	return fields.Join(
		fields.Message(m,
			fields.Supported("stage", "disable_key", "actions", "hits_addend", "x_ratelimit_option"),
			fields.NoEffect("limit", "apply_on_stream_done")), // of the global rate limit filter
		fields.Message(m+".HitsAddend", fields.Supported("number", "format", "is_negative_hits")),
		fields.Message(a,
			fields.Supported("source_cluster", "destination_cluster", "request_headers", "query_parameters", "remote_address",
				"generic_key", "header_value_match", "metadata", "masked_remote_address", "query_parameter_value_match",
				"remote_address_match"),
			fields.Refused("dynamic_metadata", // Envoy refuses it too, for metadata
				"extension")),
		fields.Message(a+".RequestHeaders", fields.Supported("header_name", "descriptor_key", "skip_if_absent")),
		fields.Message(a+".QueryParameters", fields.Supported("query_parameter_name", "descriptor_key", "skip_if_absent")),
		fields.Message(a+".MaskedRemoteAddress", fields.Supported("v4_prefix_mask_len", "v6_prefix_mask_len")),
		fields.Message(a+".GenericKey", fields.Supported("descriptor_value", "descriptor_key", "default_value")),
		fields.Message(a+".HeaderValueMatch",
			fields.Supported("descriptor_value", "descriptor_key", "default_value", "expect_match", "headers")),
		fields.Message(a+".QueryParameterValueMatch",
			fields.Supported("descriptor_value", "descriptor_key", "default_value", "expect_match", "query_parameters")),
		fields.Message(a+".RemoteAddressMatch",
			fields.Supported("descriptor_value", "descriptor_key", "default_value", "address_matcher")),
		fields.Message(a+".MetaData",
			fields.Supported("descriptor_key", "metadata_key", "default_value", "source", "skip_if_absent")),
		fields.Message("envoy.type.metadata.v3.MetadataKey", fields.Supported("key", "path")),
		fields.Message("envoy.type.metadata.v3.MetadataKey.PathSegment", fields.Supported("key", "index")),
	)
}
