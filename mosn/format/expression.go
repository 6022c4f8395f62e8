package format

import (
	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// appendExpression appends what an expression gives: as text, or with its type.
func (p *part) appendExpression(dst []byte, ctx *Context) ([]byte, kind) {
	if ctx.Info == nil {
		return dst, missing
	}
	d := &match.Data{Info: ctx.Info, Request: ctx.Request, Response: ctx.Response, ResponseTrailers: ctx.Trailers}
	if p.op == opTypedCEL {
		v := p.program.Value(d)
		switch v.Kind() {
		case sdk.NoValue:
			return dst, missing
		case sdk.StringValue:
			return append(dst, truncate(v.Text(), p.limit)...), text
		}
		return appendValue(dst, v), raw
	}
	start := len(dst)
	dst, ok := p.program.AppendText(dst, d)
	if !ok {
		return dst, missing
	}
	if p.limit > 0 && len(dst)-start >= p.limit {
		dst = dst[:start+p.limit-1]
	}
	return dst, text
}
