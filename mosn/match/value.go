package match

import (
	"strconv"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"

	"sofamesh.io/sofamesh/sdk"
)

// Value is a compiled envoy.type.matcher.v3.ValueMatcher.
type Value struct {
	kind    sdk.ValueKind // of what matches; NoValue where present, list or any decide
	present bool
	truth   bool
	numbers [2]float64 // from and below; equal for one number
	text    String
	list    *Value // one of a list
	any     []Value
}

// CompileValue compiles m.
func CompileValue(c sdk.Compiler, m *matcherv3.ValueMatcher) (v Value, err error) {
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.ValueMatcher_NullMatch_:
		v.kind = sdk.NullValue
	case *matcherv3.ValueMatcher_DoubleMatch:
		v.kind = sdk.NumberValue
		switch d := p.DoubleMatch.GetMatchPattern().(type) {
		case *matcherv3.DoubleMatcher_Exact:
			v.numbers = [2]float64{d.Exact, d.Exact}
		case *matcherv3.DoubleMatcher_Range:
			v.numbers = [2]float64{d.Range.GetStart(), d.Range.GetEnd()}
			if d.Range.GetStart() == d.Range.GetEnd() {
				v.numbers = [2]float64{1, 0} // nothing is in it
			}
		default:
			return v, c.At("double_match").Errorf("no match pattern is set")
		}
	case *matcherv3.ValueMatcher_StringMatch:
		v.kind = sdk.StringValue
		v.text, err = CompileString(c.At("string_match"), p.StringMatch)
	case *matcherv3.ValueMatcher_BoolMatch:
		v.kind, v.truth = sdk.BoolValue, p.BoolMatch
	case *matcherv3.ValueMatcher_PresentMatch:
		v.present = p.PresentMatch
	case *matcherv3.ValueMatcher_ListMatch:
		var one Value
		one, err = CompileValue(c.At("list_match.one_of"), p.ListMatch.GetOneOf())
		v.kind, v.list = sdk.ListValue, &one
	case *matcherv3.ValueMatcher_OrMatch:
		v.any = make([]Value, len(p.OrMatch.GetValueMatchers()))
		for i, m := range p.OrMatch.GetValueMatchers() {
			if v.any[i], err = CompileValue(c.At("or_match.value_matchers["+strconv.Itoa(i)+"]"), m); err != nil {
				break
			}
		}
	default:
		err = c.Errorf("no match pattern is set")
	}
	return v, err
}

// Match reports whether v matches. A struct is only ever present.
func (m *Value) Match(v sdk.Value) bool {
	if m.kind == sdk.NoValue {
		for i := range m.any {
			if m.any[i].Match(v) {
				return true
			}
		}
		return m.present && v.Exists()
	}
	if v.Kind() != m.kind {
		return false
	}
	switch m.kind {
	case sdk.BoolValue:
		return v.Bool() == m.truth
	case sdk.NumberValue:
		f := v.Number()
		return f == m.numbers[0] && f == m.numbers[1] || f >= m.numbers[0] && f < m.numbers[1]
	case sdk.StringValue:
		return m.text.Match(v.Text())
	case sdk.ListValue:
		for i := range v.Len() {
			if m.list.Match(v.At(i)) {
				return true
			}
		}
		return false
	}
	return true // null
}

// Metadata is a compiled envoy.type.matcher.v3.MetadataMatcher.
type Metadata struct {
	path   MetadataPath
	value  Value
	invert bool
}

// CompileMetadata compiles m.
func CompileMetadata(c sdk.Compiler, m *matcherv3.MetadataMatcher) (Metadata, error) {
	out := Metadata{path: MetadataPath{space: m.GetFilter()}, invert: m.GetInvert()}
	for _, p := range m.GetPath() {
		out.path.steps = append(out.path.steps, step{name: p.GetKey(), index: -1})
	}
	var err error
	out.value, err = CompileValue(c.At("value"), m.GetValue())
	return out, err
}

// Match reports whether md, which may be nil, matches.
func (m *Metadata) Match(md *sdk.Metadata) bool { return m.value.Match(m.path.Of(md)) != m.invert }

// Found reports whether md has a value where m looks for one.
func (m *Metadata) Found(md *sdk.Metadata) bool { return m.path.Of(md).Exists() }

// MetadataPath is a compiled envoy.type.metadata.v3.MetadataKey: where in metadata a
// value is.
type MetadataPath struct {
	space string
	steps []step
}

type step struct {
	name  string
	index int // in a list; -1 for a name
}

// CompileMetadataPath compiles k.
func CompileMetadataPath(k *metadatav3.MetadataKey) MetadataPath {
	p := MetadataPath{space: k.GetKey()}
	for _, s := range k.GetPath() {
		one := step{name: s.GetKey(), index: -1}
		if i, ok := s.GetSegment().(*metadatav3.MetadataKey_PathSegment_Index); ok {
			one.index = int(i.Index)
		}
		p.steps = append(p.steps, one)
	}
	return p
}

// Of returns what is there in md, which may be nil.
func (p *MetadataPath) Of(md *sdk.Metadata) sdk.Value {
	v := md.Namespace(p.space)
	for _, s := range p.steps {
		switch {
		case s.index < 0:
			v = v.Field(s.name)
		case v.Kind() == sdk.ListValue:
			v = v.At(s.index)
		default:
			return sdk.Value{}
		}
	}
	return v
}
