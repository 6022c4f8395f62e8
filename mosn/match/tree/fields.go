package tree

import (
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// Fields declares the messages that this package compiles, those of expressions aside.
func Fields() sdk.FieldStatus {
	const x, n, i = "xds.type.matcher.v3.", "envoy.extensions.matching.common_inputs.network.v3.", "envoy.extensions.matching.input_matchers."
	t := "envoy.type.matcher.v3."
	return fields.Join(
		matcher(x),
		fields.Message("xds.core.v3.TypedExtensionConfig", fields.Supported("name", "typed_config")),
		fields.Message(x+"StringMatcher",
			fields.Supported("exact", "prefix", "suffix", "safe_regex", "contains", "ignore_case"), fields.Refused("custom")),
		fields.Message(x+"RegexMatcher", fields.Supported("regex"), fields.NoEffect("google_re2")),
		fields.Message(x+"IPMatcher", fields.Supported("range_matchers")),
		fields.Message(x+"IPMatcher.IPRangeMatcher", fields.Supported("ranges", "on_match", "exclusive")),
		fields.Message(x+"ServerNameMatcher", fields.Supported("domain_matchers")),
		fields.Message(x+"ServerNameMatcher.DomainMatcher", fields.Supported("domains", "on_match")),
		fields.Message(t+"HttpRequestHeaderMatchInput", fields.Supported("header_name")),
		fields.Message(t+"HttpRequestTrailerMatchInput", fields.Supported("header_name")),
		fields.Message(t+"HttpResponseHeaderMatchInput", fields.Supported("header_name")),
		fields.Message(t+"HttpResponseTrailerMatchInput", fields.Supported("header_name")),
		fields.Message(t+"HttpRequestQueryParamMatchInput", fields.Supported("query_param")),
		fields.Message(n+"FilterStateInput", fields.Supported("key"), fields.Refused("field")),
		fields.Message(n+"DynamicMetadataInput", fields.Supported("filter", "path")),
		fields.Message(n+"DynamicMetadataInput.PathSegment", fields.Supported("key")),
		fields.Message("envoy.extensions.matching.common_inputs.environment_variable.v3.Config", fields.Supported("name")),
		fields.Message(i+"ip.v3.Ip", fields.Supported("cidr_ranges"), fields.NoEffect("stat_prefix")),
		fields.Message(i+"consistent_hashing.v3.ConsistentHashing", fields.Supported("threshold", "modulo", "seed")),
		fields.Message(i+"metadata.v3.Metadata", fields.Supported("value", "invert")),
		fields.Message(i+"runtime_fraction.v3.RuntimeFraction", fields.Supported("runtime_fraction", "seed")),
	)
}

// matcher is the message that there is twice; nothing that is read has the older one.
func matcher(p string) sdk.FieldStatus {
	m := p + "Matcher"
	l := m + ".MatcherList"
	return fields.Join(
		fields.Message(m, fields.Supported("matcher_list", "matcher_tree", "on_no_match")),
		fields.Message(m+".OnMatch", fields.Supported("matcher", "action", "keep_matching")),
		fields.Message(l, fields.Supported("matchers")),
		fields.Message(l+".FieldMatcher", fields.Supported("predicate", "on_match")),
		fields.Message(l+".Predicate", fields.Supported("single_predicate", "or_matcher", "and_matcher", "not_matcher")),
		fields.Message(l+".Predicate.SinglePredicate", fields.Supported("input", "value_match", "custom_match")),
		fields.Message(l+".Predicate.PredicateList", fields.Supported("predicate")),
		fields.Message(m+".MatcherTree", fields.Supported("input", "exact_match_map", "prefix_match_map", "custom_match")),
		fields.Message(m+".MatcherTree.MatchMap", fields.Supported("map")),
	)
}
