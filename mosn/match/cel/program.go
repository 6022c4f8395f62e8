package cel

import (
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
