package cel

import (
	"strconv"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"sofamesh.io/sofamesh/mosn/match"
)

// Match reports whether the condition is true for a stream; an error is not.
func (p *Program) Match(d *match.Data) bool {
	is, _ := p.Decide(d)
	return is
}

// Decide is Match where the answer may come later: it is final if the condition is true,
// or did not ask for a response that is not there yet.
func (p *Program) Decide(d *match.Data) (is, final bool) {
	a := activation{attributes: p.attributes, data: d}
	is = p.eval(&a) == types.True
	return is, is || !a.response || d.Response != nil
}

// eval returns nil for an error.
func (p *Program) eval(a *activation) ref.Val {
	v, _, err := p.program.Eval(a)
	if err != nil || types.IsUnknownOrError(v) {
		return nil
	}
	return v
}

// AppendText appends what the expression gives for a stream, in Envoy's form of text; ok
// is false for an error, and dst as it was.
func (p *Program) AppendText(dst []byte, d *match.Data) (out []byte, ok bool) {
	switch v := p.eval(&activation{attributes: p.attributes, data: d}).(type) {
	case nil:
		return dst, false
	case types.Bool:
		return strconv.AppendBool(dst, bool(v)), true
	case types.Int:
		return strconv.AppendInt(dst, int64(v), 10), true
	case types.Uint:
		return strconv.AppendUint(dst, uint64(v), 10), true
	case types.Double:
		return strconv.AppendFloat(dst, float64(v), 'g', 6, 64), true
	case types.String:
		return append(dst, v...), true
	case types.Bytes:
		return append(dst, v...), true
	case types.Duration:
		return append(dst, v.String()...), true
	case types.Timestamp:
		return v.UTC().AppendFormat(dst, "2006-01-02T15:04:05.999999999-07:00"), true
	case types.Null:
		return append(dst, "NULL"...), true
	default:
		return append(append(dst, v.Type().TypeName()...), " value"...), true
	}
}
