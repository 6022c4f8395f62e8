package trace

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// Tags are what custom_tags adds to spans. The zero value adds nothing.
type Tags struct{ list []customTag }

type customTag struct {
	name string
	kind sdk.TagKind
	from source
	text string // the value of a literal, else the default
	id   sdk.HeaderID
	head string
	path match.MetadataPath
	form *format.Format
}

// source is where the value of a tag comes from.
type source uint8

const (
	fromText source = iota
	fromHeader
	fromRequest // dynamic metadata
	fromRoute
	fromCluster
	fromHost
	fromFormat
)

// CompileTags compiles custom_tags; c stands at the field's parent. Of tags with one name
// the first counts, as in Envoy.
func CompileTags(c sdk.Compiler, list []*tracingv3.CustomTag) (Tags, error) {
	var t Tags
	for i, pb := range list {
		one, err := compileTag(c.At(fmt.Sprintf("custom_tags[%d]", i)), pb)
		if err != nil {
			return t, err
		}
		if !t.has(one.name) {
			t.list = append(t.list, one)
		}
	}
	return t, nil
}

func (t *Tags) has(name string) bool {
	return slices.ContainsFunc(t.list, func(o customTag) bool { return o.name == name })
}

func compileTag(c sdk.Compiler, pb *tracingv3.CustomTag) (customTag, error) {
	t := customTag{name: pb.GetTag()}
	switch pb.GetValueType() {
	case tracingv3.CustomTag_INT:
		t.kind = sdk.TagInt
	case tracingv3.CustomTag_DOUBLE:
		t.kind = sdk.TagDouble
	case tracingv3.CustomTag_BOOL:
		t.kind = sdk.TagBool
	}
	switch v := pb.GetType().(type) {
	case *tracingv3.CustomTag_Literal_:
		t.text = v.Literal.GetValue()
	case *tracingv3.CustomTag_Environment_:
		var ok bool
		if t.text, ok = os.LookupEnv(v.Environment.GetName()); !ok {
			t.text = v.Environment.GetDefaultValue()
		}
	case *tracingv3.CustomTag_RequestHeader:
		t.from, t.text = fromHeader, v.RequestHeader.GetDefaultValue()
		t.head = strings.ToLower(v.RequestHeader.GetName())
		if t.head == "host" {
			t.head = ":authority"
		}
		t.id = sdk.LookupHeader(t.head)
	case *tracingv3.CustomTag_Metadata_:
		t.text, t.path = v.Metadata.GetDefaultValue(), match.CompileMetadataPath(v.Metadata.GetMetadataKey())
		switch v.Metadata.GetKind().GetKind().(type) {
		case *metadatav3.MetadataKind_Request_:
			t.from = fromRequest
		case *metadatav3.MetadataKind_Route_:
			t.from = fromRoute
		case *metadatav3.MetadataKind_Cluster_:
			t.from = fromCluster
		case *metadatav3.MetadataKind_Host_:
			t.from = fromHost
		default:
			return t, c.At("metadata.kind").Errorf("no kind is set")
		}
	case *tracingv3.CustomTag_Value:
		var err error
		if t.form, err = format.ParseOmitting(v.Value); err != nil {
			return t, c.At("value").Errorf("%w", err)
		}
		t.from = fromFormat
	default:
		return t, c.Errorf("says of no kind of tag what it is")
	}
	return t, nil
}

// Apply adds the tags to s, but for those that over, which may be nil, has too. scratch is
// for text, and returned as it has grown.
func (t *Tags) Apply(s *sdk.Span, ctx *format.Context, over *Tags, scratch []byte) []byte {
	for i := range t.list {
		one := &t.list[i]
		if over != nil && over.has(one.name) {
			continue
		}
		scratch = one.append(scratch[:0], ctx)
		if len(scratch) > 0 {
			s.SetTag(one.kind, one.name, str(scratch))
		}
	}
	return scratch
}

// append appends the value of the tag.
func (t *customTag) append(dst []byte, ctx *format.Context) []byte {
	switch t.from {
	case fromHeader:
		v, ok := "", false
		if t.id != sdk.HeaderOther {
			v, ok = ctx.Request.ID(t.id), ctx.Request.HasID(t.id)
		} else {
			v, ok = ctx.Request.Get(t.head)
		}
		if ok {
			return append(dst, v...)
		}
	case fromFormat:
		return t.form.Append(dst, ctx)
	case fromText:
	default:
		if b, ok := appendValue(dst, t.path.Of(t.metadata(ctx.Info))); ok {
			return b
		}
	}
	return append(dst, t.text...)
}

func (t *customTag) metadata(info *sdk.StreamInfo) *sdk.Metadata {
	switch t.from {
	case fromRequest:
		return &info.Dynamic
	case fromRoute:
		return info.RouteMetadata
	case fromCluster:
		return info.ClusterMetadata
	}
	return info.HostMetadata
}

// appendValue appends a value of metadata as Envoy writes it into a tag.
func appendValue(dst []byte, v sdk.Value) ([]byte, bool) {
	switch v.Kind() {
	case sdk.BoolValue:
		return strconv.AppendBool(dst, v.Bool()), true
	case sdk.NumberValue:
		return strconv.AppendFloat(dst, v.Number(), 'g', 6, 64), true
	case sdk.StringValue:
		return append(dst, v.Text()...), true
	case sdk.ListValue, sdk.StructValue:
		b, err := json.Marshal(v.Any())
		return append(dst, b...), err == nil
	}
	return dst, false
}

// Fields declares the messages of custom tags.
func Fields() sdk.FieldStatus {
	const tag, kind = "envoy.type.tracing.v3.CustomTag", "envoy.type.metadata.v3.MetadataKind"
	return fields.Join(
		fields.Message(tag, fields.Supported("tag", "literal", "environment", "request_header", "metadata", "value", "value_type")),
		fields.Message(tag+".Literal", fields.Supported("value")),
		fields.Message(tag+".Environment", fields.Supported("name", "default_value")),
		fields.Message(tag+".Header", fields.Supported("name", "default_value")),
		fields.Message(tag+".Metadata", fields.Supported("kind", "metadata_key", "default_value")),
		fields.Message(kind, fields.Supported("request", "route", "cluster", "host")),
	)
}
