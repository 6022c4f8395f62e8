package headermutation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
)

// queryMutations change the parameters of a path's query, in turn. As in Envoy the query
// is written anew: parameters are sorted by name, each with an equals sign. Unlike
// Envoy's, what a client has escaped stays escaped, or it would be let out of its
// parameter ("%26"), or of the request line ("%20").
type queryMutations []queryMutation

type queryMutation struct {
	key    string // not escaped
	remove bool
	action corev3.KeyValueAppend_KeyValueAppendAction
	value  edit.Value
}

func compileQuery(c sdk.Compiler, pbs []*corev3.KeyValueMutation) (queryMutations, error) {
	var list queryMutations
	for i, pb := range pbs {
		m, err := compileQueryMutation(c.At(fmt.Sprintf("query_parameter_mutations[%d]", i)), pb)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

func compileQueryMutation(c sdk.Compiler, pb *corev3.KeyValueMutation) (m queryMutation, err error) {
	switch {
	case pb.GetAppend() == nil && pb.GetRemove() == "":
		return m, c.Errorf("one of append and remove must be set")
	case pb.GetAppend() == nil:
		return queryMutation{key: pb.GetRemove(), remove: true}, nil
	case pb.GetRemove() != "":
		return m, c.Errorf("only one of append and remove may be set")
	}
	record := pb.GetAppend().GetRecord()
	text, ok := record.GetValue().GetKind().(*structpb.Value_StringValue)
	switch {
	case record == nil:
		return m, c.At("append.record").Errorf("is required")
	case !ok:
		return m, c.At("append.record.value").Errorf("must be a string")
	}
	m = queryMutation{key: record.GetKey(), action: pb.GetAppend().GetAction()}
	m.value, err = edit.CompileValue(c.At("append.record.value"), text.StringValue)
	return m, err
}

func queryFields() sdk.FieldStatus {
	const core = "envoy.config.core.v3."
	return fields.Join(
		fields.Message(core+"KeyValueMutation", fields.Supported("append", "remove")),
		fields.Message(core+"KeyValueAppend", fields.Supported("record", "action"), fields.Refused("entry")),
		fields.Message(core+"KeyValuePair", fields.Supported("key", "value")),
	)
}

// parameter is one of a query, as it is written there.
type parameter struct {
	name, value string // escaped
	// made says that it is ours: the name is not escaped, nor the value, which stands
	// elsewhere.
	made       bool
	start, end int
}

// apply changes h's path, if there is one.
func (l queryMutations) apply(h *sdk.Headers, ctx *format.Context) {
	path, query, _ := strings.Cut(h.Path(), "?")
	if !h.HasID(sdk.HeaderPath) {
		return
	}
	var room [32]parameter
	params := parse(room[:0], query)
	var texts [512]byte
	values := texts[:0]
	for i := range l {
		m := &l[i]
		if m.remove {
			params = remove(params, m.key)
			continue
		}
		has := index(params, m.key) >= 0
		if m.action == corev3.KeyValueAppend_ADD_IF_ABSENT && has || m.action == corev3.KeyValueAppend_OVERWRITE_IF_EXISTS && !has {
			continue
		}
		if m.action != corev3.KeyValueAppend_APPEND_IF_EXISTS_OR_ADD {
			params = remove(params, m.key)
		}
		from := len(values)
		values = m.value.Append(values, ctx)
		params = append(params, parameter{name: m.key, made: true, start: from, end: len(values)})
	}
	slices.SortStableFunc(params, compare)
	var out [512]byte
	h.SetID(sdk.HeaderPath, view(write(append(out[:0], path...), params, values)))
}

func parse(params []parameter, query string) []parameter {
	for query != "" {
		var one string
		one, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(one, "=")
		params = append(params, parameter{name: name, value: value})
	}
	return params
}

func index(params []parameter, key string) int {
	return slices.IndexFunc(params, func(p parameter) bool { return p.is(key) })
}

func remove(params []parameter, key string) []parameter {
	return slices.DeleteFunc(params, func(p parameter) bool { return p.is(key) })
}

func (p parameter) is(key string) bool { return compare(p, parameter{name: key, made: true}) == 0 }

// compare orders by name, without escapes.
func compare(a, b parameter) int {
	for i, j := 0, 0; ; {
		if i == len(a.name) || j == len(b.name) {
			return cmp.Compare(len(a.name)-i, len(b.name)-j)
		}
		x, n := a.next(i)
		y, m := b.next(j)
		if x != y {
			return cmp.Compare(x, y)
		}
		i, j = i+n, j+m
	}
}

// next returns the byte of the name at i, and how long it is written.
func (p parameter) next(i int) (c byte, n int) {
	if c = p.name[i]; c == '%' && !p.made && i+2 < len(p.name) {
		hi, ok1 := unhex(p.name[i+1])
		lo, ok2 := unhex(p.name[i+2])
		if ok1 && ok2 {
			return hi<<4 | lo, 3
		}
	}
	return c, 1
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// write appends a query; the values of parameters of ours are in made.
func write(dst []byte, params []parameter, made []byte) []byte {
	sep := byte('?')
	for _, p := range params {
		dst = append(dst, sep)
		if p.made {
			dst = escape(append(escape(dst, p.name), '='), view(made[p.start:p.end]))
		} else {
			dst = append(append(append(dst, p.name...), '='), p.value...)
		}
		sep = '&'
	}
	return dst
}

// escape leaves what the form encoding of the URL standard leaves, as Envoy.
func escape(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c|0x20 && c|0x20 <= 'z', c == '*', c == '-', c == '.', c == '_':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
