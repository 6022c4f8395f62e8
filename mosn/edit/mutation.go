package edit

import (
	"fmt"
	"unsafe"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// valueRoom is how long a value may be that is made without allocating.
const valueRoom = 512

// Mutations is a compiled list of envoy.config.common.mutation_rules.v3.HeaderMutation.
// They are carried out in turn: each sees what those before it have done.
type Mutations []mutation

type mutation struct {
	kind  kind
	name  string // remove
	match match.String
	set   Option
}

type kind uint8

const (
	set kind = iota
	remove
	removeMatching
)

// CompileMutations compiles the list in a field; c stands at the field's parent.
func CompileMutations(c sdk.Compiler, field string, pbs []*mutationv3.HeaderMutation) (Mutations, error) {
	var list Mutations
	for i, pb := range pbs {
		m, err := compileMutation(c.At(fmt.Sprintf("%s[%d]", field, i)), pb)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

func compileMutation(c sdk.Compiler, pb *mutationv3.HeaderMutation) (m mutation, err error) {
	switch a := pb.GetAction().(type) {
	case *mutationv3.HeaderMutation_Append:
		m.set, err = CompileOption(c.At("append"), a.Append)
	case *mutationv3.HeaderMutation_Remove:
		m.kind, m.name = remove, match.HeaderName(a.Remove)
	case *mutationv3.HeaderMutation_RemoveOnMatch_:
		m.kind = removeMatching
		m.match, err = match.CompileString(c.At("remove_on_match.key_matcher"), a.RemoveOnMatch.GetKeyMatcher())
	default:
		err = c.Errorf("no action is set")
	}
	return m, err
}

// Apply changes h: the headers or trailers of the stream of ctx.
func (l Mutations) Apply(h *sdk.Headers, ctx *format.Context) {
	for i := range l {
		switch m := &l[i]; m.kind {
		case set:
			m.set.apply(h, ctx)
		case remove:
			h.Remove(m.name)
		case removeMatching:
			m.removeFrom(h)
		}
	}
}

func (m *mutation) removeFrom(h *sdk.Headers) {
	for i := range h.Slots() {
		if name, _, ok := h.At(i); ok && m.match.Match(name) {
			h.RemoveAt(i)
		}
	}
}

// Fields declares the messages that this package compiles; those of matchers are in
// match.Fields, those of formats in format.Fields.
func Fields() sdk.FieldStatus {
	return fields.Join(
		fields.Message("envoy.config.core.v3.HeaderValueOption",
			fields.Supported("header", "append", "append_action", "keep_empty_value")),
		fields.Message("envoy.config.core.v3.HeaderValue",
			fields.Supported("key", "value", "raw_value")),
		fields.Message("envoy.config.common.mutation_rules.v3.HeaderMutation",
			fields.Supported("remove", "append", "remove_on_match")),
		fields.Message("envoy.config.common.mutation_rules.v3.HeaderMutation.RemoveOnMatch",
			fields.Supported("key_matcher")),
	)
}

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
