package match

import (
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// Fields declares the messages that this package compiles.
func Fields() sdk.FieldStatus {
	return fields.Join(
		fields.Message("envoy.type.matcher.v3.StringMatcher",
			fields.Supported("exact", "prefix", "suffix", "safe_regex", "contains", "ignore_case"),
			fields.Refused("custom")),
		fields.Message("envoy.type.matcher.v3.RegexMatcher",
			fields.Supported("regex"),
			fields.NoEffect("google_re2")), // chooses and limits an engine that is not ours
		fields.Message("envoy.type.matcher.v3.RegexMatchAndSubstitute",
			fields.Supported("pattern", "substitution")),
		fields.Message("envoy.config.route.v3.HeaderMatcher",
			fields.Supported("name", "exact_match", "safe_regex_match", "range_match", "present_match", "prefix_match",
				"suffix_match", "contains_match", "string_match", "invert_match", "treat_missing_header_as_empty")),
		fields.Message("envoy.type.v3.Int64Range", fields.Supported("start", "end")),
		fields.Message("envoy.config.route.v3.QueryParameterMatcher",
			fields.Supported("name", "string_match", "present_match")),
		fields.Message("envoy.config.route.v3.CookieMatcher",
			fields.Supported("name", "string_match", "invert_match")),
		fields.Message("envoy.type.matcher.v3.FilterStateMatcher", fields.Supported("key", "string_match", "address_match")),
		fields.Message("envoy.type.matcher.v3.MetadataMatcher", fields.Supported("filter", "path", "value", "invert")),
		fields.Message("envoy.type.matcher.v3.MetadataMatcher.PathSegment", fields.Supported("key")),
		fields.Message("envoy.type.matcher.v3.ValueMatcher",
			fields.Supported("null_match", "double_match", "string_match", "bool_match", "present_match", "list_match", "or_match")),
		fields.Message("envoy.type.matcher.v3.DoubleMatcher", fields.Supported("range", "exact")),
		fields.Message("envoy.type.v3.DoubleRange", fields.Supported("start", "end")),
		fields.Message("envoy.type.matcher.v3.ListMatcher", fields.Supported("one_of")),
		fields.Message("envoy.type.matcher.v3.OrMatcher", fields.Supported("value_matchers")),
		fields.Message("envoy.type.metadata.v3.MetadataKey", fields.Supported("key", "path")),
		fields.Message("envoy.type.metadata.v3.MetadataKey.PathSegment", fields.Supported("key", "index")),
		fields.Message("xds.core.v3.CidrRange", fields.Supported("address_prefix", "prefix_len")),
		fields.Message("envoy.type.matcher.v3.AddressMatcher", fields.Supported("ranges", "invert_match")),
	)
}
