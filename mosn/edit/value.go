package edit

import (
	"strings"

	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
)

// Value is a configured value: a text, or a format with operators. The zero Value is
// the empty text.
type Value struct {
	text   string
	format *format.Format // nil for a text
}

// CompileValue compiles a value; an operator without a value stands for nothing,
// not for "-".
func CompileValue(c sdk.Compiler, text string) (Value, error) {
	if strings.ContainsAny(text, "\r\n\x00") {
		return Value{}, c.Errorf("a header value has no CR, LF or NUL")
	}
	f, err := format.CompileText(c, text)
	if err != nil {
		return Value{}, err
	}
	if literal, ok := f.Literal(); ok {
		return Value{text: literal}, nil
	}
	return Value{format: f}, nil
}

// Append appends the value for a stream to dst.
func (v *Value) Append(dst []byte, ctx *format.Context) []byte {
	if v.format == nil {
		return append(dst, v.text...)
	}
	return v.format.AppendText(dst, ctx)
}
