package route

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
)

// headerValue is a configured value: a text, or a format with operators.
type headerValue struct {
	text   string
	format *format.Format // nil for a text
}

// compileValue compiles a value; an operator without a value stands for nothing,
// not for "-".
func compileValue(c sdk.Compiler, text string) (headerValue, error) {
	if strings.ContainsAny(text, "\r\n\x00") {
		return headerValue{}, c.Errorf("a header value has no CR, LF or NUL")
	}
	f, err := format.Compile(c, &corev3.SubstitutionFormatString{
		Format: &corev3.SubstitutionFormatString_TextFormatSource{
			TextFormatSource: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}},
		},
		OmitEmptyValues: true,
	})
	if err != nil {
		return headerValue{}, err
	}
	if literal, ok := f.Literal(); ok {
		return headerValue{text: literal}, nil
	}
	return headerValue{format: f}, nil
}

func (v *headerValue) append(dst []byte, req, resp *sdk.Headers, info *sdk.StreamInfo) []byte {
	if v.format == nil {
		return append(dst, v.text...)
	}
	return v.format.Append(dst, &format.Context{Info: info, Request: req, Response: resp})
}
