package opentelemetry

import (
	"fmt"
	"maps"
	"math/bits"
	"os"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	detectorsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/tracers/opentelemetry/resource_detectors/v3"
	samplersv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/tracers/opentelemetry/samplers/v3"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

// sampler decides on a request that the connection manager wants to trace: by the first
// half of the trace's id, whether there is a parent, and whether that is sampled.
type sampler func(high uint64, child, sampled bool) bool

func compileSampler(c sdk.Compiler, pb *corev3.TypedExtensionConfig) (sampler, error) {
	m, err := unpack(c, pb, "sampler", (&samplersv3.AlwaysOnSamplerConfig{}), &samplersv3.ParentBasedSamplerConfig{}, &samplersv3.TraceIdRatioBasedSamplerConfig{})
	if err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *samplersv3.ParentBasedSamplerConfig:
		root, err := compileSampler(c.At("typed_config.wrapped_sampler"), m.GetWrappedSampler())
		return func(high uint64, child, sampled bool) bool {
			if child {
				return sampled
			}
			return root(high, child, sampled)
		}, err
	case *samplersv3.TraceIdRatioBasedSamplerConfig:
		share := runtime.CompilePercent("", m.GetSamplingPercentage())
		return func(high uint64, _, _ bool) bool {
			return share.Enabled(nil, bits.ReverseBytes64(high)) // Envoy reads the id's bytes so
		}, nil
	}
	return func(uint64, bool, bool) bool { return true }, nil
}

// unpack unpacks an extension's configuration, which must be of one of some types.
func unpack(c sdk.Compiler, pb *corev3.TypedExtensionConfig, what string, known ...proto.Message) (proto.Message, error) {
	url := pb.GetTypedConfig().GetTypeUrl()
	typ := url[strings.LastIndexByte(url, '/')+1:]
	if !slices.ContainsFunc(known, func(m proto.Message) bool { return string(m.ProtoReflect().Descriptor().FullName()) == typ }) {
		return nil, c.Errorf("the %s %s (%s) is not supported", what, pb.GetName(), typ)
	}
	return c.At("typed_config").Unpack(pb.GetTypedConfig())
}

// compileResource makes what OTLP says of the process; nil for nothing.
func compileResource(c sdk.Compiler, pb *tracev3.OpenTelemetryConfig) (*resourcev1.Resource, error) {
	all := map[string]string{}
	if unlessFalse(pb.GetSetServiceNameResourceAttribute()) {
		if all["service.name"] = pb.GetServiceName(); pb.GetServiceName() == "" {
			all["service.name"] = "unknown_service:envoy"
		}
	}
	if unlessFalse(pb.GetSetTelemetrySdkResourceAttributes()) {
		all["telemetry.sdk.language"], all["telemetry.sdk.name"], all["telemetry.sdk.version"] = "go", sdkName, version()
	}
	for i, d := range pb.GetResourceDetectors() {
		c := c.At(fmt.Sprintf("resource_detectors[%d]", i))
		m, err := unpack(c, d, "resource detector", &detectorsv3.EnvironmentResourceDetectorConfig{}, &detectorsv3.StaticConfigResourceDetectorConfig{})
		if err != nil {
			return nil, err
		}
		if s, ok := m.(*detectorsv3.StaticConfigResourceDetectorConfig); ok {
			maps.Copy(all, s.GetAttributes())
			continue
		}
		maps.Copy(all, environment(c, os.Getenv("OTEL_RESOURCE_ATTRIBUTES")))
	}
	if len(all) == 0 {
		return nil, nil
	}
	r := &resourcev1.Resource{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r.Attributes = append(r.Attributes, &commonv1.KeyValue{
			Key: name, Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: all[name]}},
		})
	}
	return r, nil
}

// environment reads "a=1,b=2".
func environment(c sdk.Compiler, list string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(list, ",") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		if name == "" || value == "" || strings.Contains(value, "=") {
			c.Warnf("OTEL_RESOURCE_ATTRIBUTES: %q is not name=value", pair)
			continue
		}
		out[name] = value
	}
	return out
}

func unlessFalse(v *wrapperspb.BoolValue) bool { return v == nil || v.GetValue() }
