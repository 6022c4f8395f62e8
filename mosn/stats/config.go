package stats

import (
	"fmt"
	"math"
	"regexp"
	"slices"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// Config is how metrics are shown: a compiled envoy.config.metrics.v3.StatsConfig. It
// is immutable. Nothing of it is on the path of a request: what is rejected is counted
// all the same, and not shown.
type Config struct {
	tags      *tagger
	matcher   func(name string) bool // whether a name is shown; nil: all are
	histogram []bucketRule
	usual     []float64 // the bounds of those that no rule is for
}

// DefaultConfig is that of a bootstrap without stats_config.
func DefaultConfig() *Config { return &Config{tags: newTagger(allTags), usual: defaultBounds()} }

// bucketRule is histogram_bucket_settings.
type bucketRule struct {
	match  match.String
	bounds []float64
}

// customTag is a tag specifier with a regular expression of its own.
type customTag struct {
	tag string
	re  *regexp.Regexp
}

// find returns the tag: the first group goes out of the name, and the second is the
// value, or the first if there is none.
func (t *customTag) find(name string) (span, bool) {
	m := t.re.FindStringSubmatchIndex(name)
	if m == nil || m[2] < 0 {
		return span{}, false
	}
	s := span{t.tag, m[2], m[3], m[2], m[3]}
	if len(m) > 4 && m[4] >= 0 {
		s.valueFrom, s.valueTo = m[4], m[5]
	}
	return s, true
}

// Fields declares the messages that Compile reads.
func Fields() sdk.FieldStatus {
	const p = "envoy.config.metrics.v3."
	return fields.Join(
		fields.Message(p+"StatsConfig", fields.Supported("stats_tags", "use_all_default_tags", "stats_matcher",
			"histogram_bucket_settings", "allow_default_tag_overrides")),
		fields.Message(p+"StatsMatcher", fields.Supported("reject_all", "exclusion_list", "inclusion_list")),
		fields.Message(p+"TagSpecifier", fields.Supported("tag_name", "regex", "fixed_value")),
		fields.Message(p+"HistogramBucketSettings", fields.Supported("match", "buckets"), fields.NoEffect("bins")),
		fields.Message("envoy.type.matcher.v3.ListStringMatcher", fields.Supported("patterns")),
		fields.Message(p+"StatsSink", fields.Supported("name", "typed_config")),
	)
}

// Compile makes a Config; c stands at the message.
func Compile(c sdk.Compiler, pb *metricsv3.StatsConfig) (*Config, error) {
	all := pb.GetUseAllDefaultTags() == nil || pb.GetUseAllDefaultTags().GetValue()
	byName, own := map[string]bool{}, map[string]bool{}
	for _, t := range pb.GetStatsTags() {
		if isDefault := t.GetRegex() == "" && t.GetFixedValue() == ""; isDefault {
			byName[t.GetTagName()] = true
		} else {
			own[t.GetTagName()] = pb.GetAllowDefaultTagOverrides().GetValue()
		}
	}
	cfg := &Config{tags: newTagger(func(tag string) bool { return all && !own[tag] || byName[tag] }), usual: defaultBounds()}
	for i, t := range pb.GetStatsTags() {
		if err := cfg.addTag(c.At(fmt.Sprintf("stats_tags[%d]", i)), t); err != nil {
			return nil, err
		}
	}
	if err := cfg.compileMatcher(c.At("stats_matcher"), pb.GetStatsMatcher()); err != nil {
		return nil, err
	}
	return cfg, cfg.compileBuckets(c, pb.GetHistogramBucketSettings())
}

// defaultTags are the names of the tags that Envoy finds by itself.
func defaultTags() []string {
	names := []string{tagCode, tagCodeClass, tagWorker,
		// Of what there is not here.
		"envoy.dynamo_operation", "envoy.dynamo_table", "envoy.dynamo_partition_id", "envoy.mongo_cmd",
		"envoy.mongo_collection", "envoy.mongo_callsite", "envoy.google_grpc_client_prefix", "envoy.ext_authz_prefix",
		"envoy.rbac_policy_name", "envoy.proxy_protocol_version", "envoy.proxy_protocol_prefix", "envoy.xds_resource_name",
	}
	for _, p := range defaultPatterns() {
		names = append(names, p.tag)
	}
	return names
}

func (cfg *Config) addTag(c sdk.Compiler, t *metricsv3.TagSpecifier) error {
	name := t.GetTagName()
	if name == "" {
		return c.At("tag_name").Errorf("must not be empty")
	}
	if fixed, ok := t.GetTagValue().(*metricsv3.TagSpecifier_FixedValue); ok {
		cfg.tags.fixed = append(cfg.tags.fixed, sdk.StatTag{Name: name, Value: fixed.FixedValue})
		return nil
	}
	expr := t.GetRegex()
	if expr == "" {
		if !slices.Contains(defaultTags(), name) {
			return c.Errorf("no regex specified for tag specifier and no default regex for name: %q", name)
		}
		return nil
	}
	re, err := regexp.Compile(expr)
	switch {
	case err != nil:
		return c.At("regex").Errorf("%w", err)
	case re.NumSubexp() == 0:
		return c.At("regex").Errorf("has no group for the value")
	}
	cfg.tags.custom = append(cfg.tags.custom, customTag{name, re})
	return nil
}

func (cfg *Config) compileMatcher(c sdk.Compiler, pb *metricsv3.StatsMatcher) error {
	switch m := pb.GetStatsMatcher().(type) {
	case *metricsv3.StatsMatcher_RejectAll:
		if m.RejectAll {
			cfg.matcher = func(string) bool { return false }
		}
	case *metricsv3.StatsMatcher_ExclusionList:
		list, err := compileList(c.At("exclusion_list"), m.ExclusionList)
		if err != nil {
			return err
		}
		cfg.matcher = func(name string) bool { return !list(name) }
	case *metricsv3.StatsMatcher_InclusionList:
		list, err := compileList(c.At("inclusion_list"), m.InclusionList)
		if err != nil {
			return err
		}
		cfg.matcher = list
	}
	return nil
}

func compileList(c sdk.Compiler, pb *matcherv3.ListStringMatcher) (func(string) bool, error) {
	list := make([]match.String, len(pb.GetPatterns()))
	for i, p := range pb.GetPatterns() {
		var err error
		if list[i], err = match.CompileString(c.At(fmt.Sprintf("patterns[%d]", i)), p); err != nil {
			return nil, err
		}
	}
	return func(name string) bool {
		for i := range list {
			if list[i].Match(name) {
				return true
			}
		}
		return false
	}, nil
}

func (cfg *Config) compileBuckets(c sdk.Compiler, list []*metricsv3.HistogramBucketSettings) error {
	for i, pb := range list {
		at := c.At(fmt.Sprintf("histogram_bucket_settings[%d]", i))
		m, err := match.CompileString(at.At("match"), pb.GetMatch())
		if err != nil {
			return err
		}
		bounds := slices.Clone(pb.GetBuckets())
		if len(bounds) == 0 {
			return at.At("buckets").Errorf("must not be empty")
		}
		slices.Sort(bounds)
		for _, b := range bounds {
			if b <= 0 || math.IsNaN(b) || math.IsInf(b, 0) {
				return at.At("buckets").Errorf("%v is not above 0", b)
			}
		}
		cfg.histogram = append(cfg.histogram, bucketRule{m, slices.Compact(bounds)})
	}
	return nil
}

// bounds returns the bounds of the buckets in which a histogram is shown.
func (cfg *Config) bounds(name string) []float64 {
	for i := range cfg.histogram {
		if cfg.histogram[i].match.Match(name) {
			return cfg.histogram[i].bounds
		}
	}
	return cfg.usual
}

// defaultBounds are Envoy's, in the unit of the metric.
func defaultBounds() []float64 {
	return []float64{
		0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
	}
}
