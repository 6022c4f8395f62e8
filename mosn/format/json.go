package format

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"
)

// node is a value of a JSON format: constant text, a value with operators, an object
// or a list.
type node struct {
	constant string // JSON
	parts    []part
	keys     []string // of an object: `"key":`, sorted
	children []node   // of an object or list
	list     bool
	omit     bool // leave out what is missing
}

// ParseJSON compiles a JSON format: the strings in it may hold operators; one that
// is an operator and nothing else keeps the operator's type, so a number stays a
// number and what is missing is null, or left out with omitEmpty. Keys are sorted,
// as in Envoy, and a line ends in LF.
func ParseJSON(s *structpb.Struct, omitEmpty bool) (*Format, error) {
	return (*extensions)(nil).parseJSON(s, omitEmpty)
}

func (more *extensions) parseJSON(s *structpb.Struct, omitEmpty bool) (*Format, error) {
	n, err := more.parseObject(s, omitEmpty)
	if err != nil {
		return nil, err
	}
	f := &Format{json: &n, empty: "-"}
	if omitEmpty {
		f.empty = ""
	}
	return f, nil
}

func (more *extensions) parseObject(s *structpb.Struct, omit bool) (node, error) {
	n := node{omit: omit}
	for _, key := range slices.Sorted(maps.Keys(s.GetFields())) {
		child, err := more.parseValue(s.Fields[key], omit)
		if err != nil {
			return n, fmt.Errorf("%s: %w", key, err)
		}
		n.keys = append(n.keys, string(append(quote(key), ':')))
		n.children = append(n.children, child)
	}
	return n, nil
}

func (more *extensions) parseValue(v *structpb.Value, omit bool) (node, error) {
	switch kind := v.GetKind().(type) {
	case *structpb.Value_StructValue:
		return more.parseObject(kind.StructValue, omit)
	case *structpb.Value_ListValue:
		n := node{omit: omit, list: true}
		for i, item := range kind.ListValue.GetValues() {
			child, err := more.parseValue(item, omit)
			if err != nil {
				return n, fmt.Errorf("[%d]: %w", i, err)
			}
			n.children = append(n.children, child)
		}
		return n, nil
	case *structpb.Value_StringValue:
		return more.parseString(kind.StringValue)
	}
	b, err := json.Marshal(v.AsInterface())
	return node{constant: string(b)}, err
}

func (more *extensions) parseString(s string) (node, error) {
	parts, err := more.parse(s)
	switch {
	case err != nil:
		return node{}, err
	case len(parts) == 0:
		return node{constant: `""`}, nil
	case len(parts) == 1 && parts[0].op == opLiteral:
		return node{constant: string(quote(parts[0].text))}, nil
	}
	return node{parts: parts}, nil
}

// quote returns s as a JSON string.
func quote(s string) []byte {
	return append(escapeJSON(append([]byte{'"'}, s...), 1), '"')
}

// append appends the value; ok is false when it is missing.
func (n *node) append(dst []byte, ctx *Context, empty string) (_ []byte, ok bool) {
	switch {
	case n.constant != "":
		return append(dst, n.constant...), true
	case n.list:
		return n.appendList(dst, ctx, empty), true
	case n.parts == nil:
		return n.appendObject(dst, ctx, empty)
	case len(n.parts) > 1:
		// Several parts make a string.
		dst = append(dst, '"')
		start := len(dst)
		dst = appendParts(dst, n.parts, ctx, empty)
		return append(escapeJSON(dst, start), '"'), true
	}
	start := len(dst)
	dst, kind := n.parts[0].value(append(dst, '"'), ctx)
	switch kind {
	case missing:
		return append(dst[:start], "null"...), false
	case text:
		return append(escapeJSON(dst, start+1), '"'), true
	}
	// No quotes: the value is moved over the one that was put there.
	return append(dst[:start], dst[start+1:]...), true
}

func (n *node) appendList(dst []byte, ctx *Context, empty string) []byte {
	dst = append(dst, '[')
	first := true
	for i := range n.children {
		before := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		var ok bool
		dst, ok = n.children[i].append(dst, ctx, empty)
		if !ok && n.omit {
			dst = dst[:before]
			continue
		}
		first = false
	}
	return append(dst, ']')
}

// appendObject appends an object. One without members is missing.
func (n *node) appendObject(dst []byte, ctx *Context, empty string) (_ []byte, ok bool) {
	dst = append(dst, '{')
	first := true
	for i := range n.children {
		before := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = append(dst, n.keys[i]...)
		var ok bool
		dst, ok = n.children[i].append(dst, ctx, empty)
		if !ok && n.omit {
			dst = dst[:before]
			continue
		}
		first = false
	}
	return append(dst, '}'), !first
}
