package accesslog

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
)

// Text is an access logger that formats a line and writes it to an output: what the
// file, stdout and stderr loggers are.
type Text struct {
	format *format.Format
	out    sdk.LogOutput
}

var _ sdk.AccessLogger = (*Text)(nil)

// NewText opens path and returns a logger on it. f nil means Envoy's default format.
func NewText(c sdk.Compiler, path string, f *format.Format) (*Text, error) {
	if f == nil {
		var err error
		if f, err = format.Parse(format.Default); err != nil {
			return nil, c.Errorf("%w", err)
		}
	}
	out, err := c.LogOutput(path)
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	return &Text{f, out}, nil
}

// Format compiles a log_format field; c stands at the field's parent. nil gives nil.
func Format(c sdk.Compiler, pb *corev3.SubstitutionFormatString) (*format.Format, error) {
	if pb == nil {
		return nil, nil
	}
	return format.Compile(c.At("log_format"), pb)
}

// Log implements sdk.AccessLogger.
func (t *Text) Log(loop int, info *sdk.StreamInfo, request, response, trailers *sdk.Headers) {
	ctx := format.Context{Info: info, Request: request, Response: response, Trailers: trailers}
	t.out.Write(loop, t.format.Append(t.out.Scratch(loop), &ctx))
}
