package edit

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
)

// Options is a compiled list such as response_headers_to_add.
type Options []Option

// CompileOptions compiles the list in a field; c stands at the field's parent.
func CompileOptions(c sdk.Compiler, field string, pbs []*corev3.HeaderValueOption) (Options, error) {
	var list Options
	for i, pb := range pbs {
		o, err := CompileOption(c.At(fmt.Sprintf("%s[%d]", field, i)), pb)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}

// Apply changes h, a part of the stream of ctx. As in Envoy the options do not see each
// other: all values are made first, then headers are replaced, then added.
func (l Options) Apply(h *sdk.Headers, ctx *format.Context) {
	if len(l) == 0 {
		return
	}
	const some = 10
	var room [valueRoom]byte
	var marks [some + 1]int
	var applies [some]bool
	values, ends, use := room[:0], marks[:1], applies[:0]
	for i := range l {
		values = l[i].Value.Append(values, ctx)
		use = append(use, l[i].Applies(h, len(values)-ends[i]))
		ends = append(ends, len(values))
	}
	for _, replace := range [...]bool{true, false} {
		for i := range l {
			if use[i] && l[i].Replaces() == replace {
				l[i].Set(h, view(values[ends[i]:ends[i+1]]))
			}
		}
	}
}
