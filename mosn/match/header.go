package match

//lint:file-ignore SA1019 Envoy still reads these fields, so we do

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/sdk"
)

type valueKind uint8

const (
	present valueKind = iota // the matcher is about the name alone
	text
	number
)

// Header is a compiled envoy.config.route.v3.HeaderMatcher.
//
// A header that stands on several lines matches when one of its values does, and
// with invert_match when none does. A missing header matches neither way, unless
// it is to be treated as empty or the matcher is about presence.
type Header struct {
	name   string
	kind   valueKind
	want   bool // for present: there or not there
	invert bool
	empty  bool // a missing header is an empty one
	str    String
	lo, hi int64 // for number: lo <= value < hi
}

// Headers is a list of matchers that must all match.
type Headers []Header

// CompileHeaders compiles the matchers of a repeated field; c is at the field's
// parent and name is the field's name.
func CompileHeaders(c sdk.Compiler, field string, pbs []*routev3.HeaderMatcher) (Headers, error) {
	if len(pbs) == 0 {
		return nil, nil
	}
	list := make(Headers, len(pbs))
	for i, pb := range pbs {
		m, err := CompileHeader(c.At(index(field, i)), pb)
		if err != nil {
			return nil, err
		}
		list[i] = m
	}
	return list, nil
}

// CompileHeader compiles one matcher.
func CompileHeader(c sdk.Compiler, pb *routev3.HeaderMatcher) (Header, error) {
	m := Header{name: HeaderName(pb.GetName()), invert: pb.GetInvertMatch(), empty: pb.GetTreatMissingHeaderAsEmpty()}
	var err error
	switch p := pb.GetHeaderMatchSpecifier().(type) {
	case nil:
		m.kind, m.want = present, true
	case *routev3.HeaderMatcher_PresentMatch:
		m.kind, m.want = present, p.PresentMatch
	case *routev3.HeaderMatcher_RangeMatch:
		m.kind, m.lo, m.hi = number, p.RangeMatch.GetStart(), p.RangeMatch.GetEnd()
	case *routev3.HeaderMatcher_StringMatch:
		m.kind = text
		m.str, err = CompileString(c.At("string_match"), p.StringMatch)
	default:
		m.kind = text
		m.str, err = compileLegacy(c, pb)
	}
	return m, err
}

// compileLegacy compiles the specifiers that string_match has replaced.
func compileLegacy(c sdk.Compiler, pb *routev3.HeaderMatcher) (String, error) {
	switch p := pb.GetHeaderMatchSpecifier().(type) {
	case *routev3.HeaderMatcher_ExactMatch:
		return Exact(p.ExactMatch, false), nil
	case *routev3.HeaderMatcher_PrefixMatch:
		return Prefix(p.PrefixMatch, false), nil
	case *routev3.HeaderMatcher_SuffixMatch:
		return Suffix(p.SuffixMatch, false), nil
	case *routev3.HeaderMatcher_ContainsMatch:
		return fixed(contains, p.ContainsMatch, false), nil
	case *routev3.HeaderMatcher_SafeRegexMatch:
		re, err := CompileRegex(c.At("safe_regex_match"), p.SafeRegexMatch)
		return FromRegex(re), err
	default:
		return String{}, c.Errorf("%T is not supported", p)
	}
}

// HeaderName returns a configured header name as it stands in sdk.Headers: lower
// case, and :authority for host.
func HeaderName(name string) string {
	name = lowerASCII(name)
	if name == "host" {
		return sdk.HeaderAuthority.Name()
	}
	return name
}

// Match reports whether all matchers match; an empty list does.
func (l Headers) Match(h *sdk.Headers) bool {
	for i := range l {
		if !l[i].Match(h) {
			return false
		}
	}
	return true
}

// Any reports whether at least one matcher matches; none does of an empty list.
func (l Headers) Any(h *sdk.Headers) bool {
	for i := range l {
		if l[i].Match(h) {
			return true
		}
	}
	return false
}

// Match reports whether h matches.
func (m *Header) Match(h *sdk.Headers) bool {
	i := h.Find(m.name, 0)
	switch {
	case m.kind == present:
		return ((i >= 0 || m.empty) == m.want) != m.invert
	case i < 0:
		return m.empty && m.value("") != m.invert
	}
	for ; i >= 0; i = h.Find(m.name, i+1) {
		if m.value(h.ValueAt(i)) {
			return !m.invert
		}
	}
	return m.invert
}

func (m *Header) value(v string) bool {
	if m.kind == text {
		return m.str.Match(v)
	}
	n, ok := parseInt(v)
	return ok && m.lo <= n && n < m.hi
}

// parseInt reads a decimal number with an optional sign. Unlike strconv's, its
// failure allocates nothing.
func parseInt(s string) (int64, bool) {
	neg := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		neg = s[0] == '-'
		s = s[1:]
	}
	if s == "" {
		return 0, false
	}
	const limit = uint64(1) << 63
	n := uint64(0)
	for i := range len(s) {
		d := uint64(s[i] - '0')
		if d > 9 || n > limit/10 {
			return 0, false
		}
		if n = n*10 + d; n > limit {
			return 0, false
		}
	}
	switch {
	case neg:
		return int64(-n), true
	case n == limit:
		return 0, false
	}
	return int64(n), true
}
