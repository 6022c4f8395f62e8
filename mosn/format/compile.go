package format

import (
	"fmt"
	"os"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/cel/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/metadata/v3"
	withoutv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/req_without_query/v3"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// maxFile bounds a format that is read from a file.
const maxFile = 1 << 20

// Compile compiles Envoy's message. c stands at the message's field.
func Compile(c sdk.Compiler, pb *corev3.SubstitutionFormatString) (*Format, error) {
	more, err := compileExtensions(c, pb.GetFormatters())
	if err != nil {
		return nil, err
	}
	omit := pb.GetOmitEmptyValues()
	var f *Format
	at := c
	switch kind := pb.GetFormat().(type) {
	case *corev3.SubstitutionFormatString_JsonFormat:
		at = c.At("json_format")
		f, err = more.parseJSON(kind.JsonFormat, omit)
	case *corev3.SubstitutionFormatString_TextFormat:
		at = c.At("text_format")
		//lint:ignore SA1019 deprecated, and in many configurations
		f, err = parseText(kind.TextFormat, omit, more)
	case *corev3.SubstitutionFormatString_TextFormatSource:
		at = c.At("text_format_source")
		var s string
		if s, err = Source(at, kind.TextFormatSource); err != nil {
			return nil, err
		}
		if _, inline := kind.TextFormatSource.GetSpecifier().(*corev3.DataSource_InlineString); inline {
			at = at.At("inline_string")
		}
		f, err = parseText(s, omit, more)
	default:
		return nil, c.Errorf("no format is given")
	}
	if err != nil {
		return nil, at.Errorf("%w", err)
	}
	return f, nil
}

// CompileText compiles a text that stands at c by itself. An operator without a value
// stands for nothing, not for "-".
func CompileText(c sdk.Compiler, text string) (*Format, error) {
	f, err := parseText(text, true, &extensions{place: here{nowhere{}, c}})
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	return f, nil
}

// compileExtensions compiles the formatters that a format asks for.
func compileExtensions(c sdk.Compiler, pbs []*corev3.TypedExtensionConfig) (*extensions, error) {
	more := &extensions{operators: map[string]spec{}, place: here{nowhere{}, c}}
	for i, pb := range pbs {
		c := c.At(fmt.Sprintf("formatters[%d]", i))
		m, err := c.Unpack(pb.GetTypedConfig())
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *withoutv3.ReqWithoutQuery:
			more.operators["REQ_WITHOUT_QUERY"] = spec{opReqWithoutQuery, someParams, true}
		case *metadatav3.Metadata: // METADATA is there anyway
		case *celv3.Cel: // and so is CEL, but not all that it could do
			more.cel = m.GetCelConfig()
		default:
			return nil, c.Errorf("the formatter %q is not supported", pb.GetName())
		}
	}
	return more, nil
}

// here is the place of an expression in a format of c, which says where the format is.
type here struct {
	nowhere
	c sdk.Compiler
}

// Node says who this proxy is.
func (h here) Node() *corev3.Node {
	if n, ok := h.c.(interface{ Node() *corev3.Node }); ok {
		return n.Node()
	}
	return nil
}

// Source reads a DataSource; c stands at it.
func Source(c sdk.Compiler, ds *corev3.DataSource) (string, error) {
	switch kind := ds.GetSpecifier().(type) {
	case *corev3.DataSource_InlineString:
		return kind.InlineString, nil
	case *corev3.DataSource_InlineBytes:
		return string(kind.InlineBytes), nil
	case *corev3.DataSource_EnvironmentVariable:
		value, ok := os.LookupEnv(kind.EnvironmentVariable)
		if !ok {
			return "", c.At("environment_variable").Errorf("%s is not set", kind.EnvironmentVariable)
		}
		return value, nil
	case *corev3.DataSource_Filename:
		c = c.At("filename")
		info, err := os.Stat(kind.Filename)
		if err != nil {
			return "", c.Errorf("%w", err)
		}
		if info.Size() > maxFile {
			return "", c.Errorf("%s has more than %d bytes", kind.Filename, maxFile)
		}
		b, err := os.ReadFile(kind.Filename)
		if err != nil {
			return "", c.Errorf("%w", err)
		}
		return string(b), nil
	}
	return "", c.Errorf("no source is given")
}

// Fields declares the messages that Compile reads; mosn/match/cel has the one of its
// formatter.
func Fields() sdk.FieldStatus {
	return fields.Join(
		fields.Message("envoy.config.core.v3.SubstitutionFormatString",
			fields.Supported("text_format", "json_format", "text_format_source", "omit_empty_values", "json_format_options", "formatters",
				"content_type")), // which only local replies have
		fields.Message("envoy.config.core.v3.TypedExtensionConfig", fields.Supported("name", "typed_config")),
		fields.Message("envoy.extensions.formatter.metadata.v3.Metadata"),
		fields.Message("envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery"),
		fields.Message("envoy.config.core.v3.JsonFormatOptions",
			fields.NoEffect("sort_properties")), // keys are always sorted, as in Envoy
		SourceFields(),
	)
}

// SourceFields declares the message that Source reads.
func SourceFields() sdk.FieldStatus {
	return fields.Message("envoy.config.core.v3.DataSource",
		fields.Supported("filename", "inline_bytes", "inline_string", "environment_variable"),
		fields.Refused("watched_directory"))
}
