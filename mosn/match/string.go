package match

import (
	"strings"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"sofamesh.io/sofamesh/sdk"
)

type stringKind uint8

const (
	exact stringKind = iota
	prefix
	suffix
	contains
	regex
)

// String is a compiled envoy.type.matcher.v3.StringMatcher. The zero value matches
// the empty string.
type String struct {
	kind  stringKind
	fold  bool   // value is lower case and so is what it is compared with
	value string // what is compared, unless kind is regex
	re    *Regex
}

// CompileString compiles m. A custom matcher is refused.
func CompileString(c sdk.Compiler, m *matcherv3.StringMatcher) (String, error) {
	s := String{fold: m.GetIgnoreCase()}
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		s.kind, s.value = exact, p.Exact
	case *matcherv3.StringMatcher_Prefix:
		s.kind, s.value = prefix, p.Prefix
	case *matcherv3.StringMatcher_Suffix:
		s.kind, s.value = suffix, p.Suffix
	case *matcherv3.StringMatcher_Contains:
		s.kind, s.value = contains, p.Contains
	case *matcherv3.StringMatcher_SafeRegex:
		if s.fold {
			return String{}, c.At("ignore_case").Errorf("has no effect with safe_regex")
		}
		re, err := CompileRegex(c.At("safe_regex"), p.SafeRegex)
		return String{kind: regex, re: re}, err
	case *matcherv3.StringMatcher_Custom:
		return String{}, c.At("custom").Errorf("matcher %q is not supported", p.Custom.GetName())
	default:
		return String{}, c.Errorf("no match pattern is set")
	}
	if s.fold {
		s.value = lowerASCII(s.value)
	}
	return s, nil
}

// Exact, Prefix and Suffix return matchers for a fixed text; fold ignores the case
// of ASCII letters.
func Exact(value string, fold bool) String { return fixed(exact, value, fold) }

// Prefix matches what begins with value.
func Prefix(value string, fold bool) String { return fixed(prefix, value, fold) }

// Suffix matches what ends in value.
func Suffix(value string, fold bool) String { return fixed(suffix, value, fold) }

func fixed(kind stringKind, value string, fold bool) String {
	if fold {
		value = lowerASCII(value)
	}
	return String{kind: kind, value: value, fold: fold}
}

// FromRegex returns a matcher of whole strings by re.
func FromRegex(re *Regex) String { return String{kind: regex, re: re} }

// Match reports whether v matches.
func (s *String) Match(v string) bool {
	n := len(s.value)
	switch {
	case s.kind == regex:
		return s.re.Match(v)
	case len(v) < n:
		return false
	case s.kind == exact:
		return len(v) == n && s.same(v)
	case s.kind == prefix:
		return s.same(v[:n])
	case s.kind == suffix:
		return s.same(v[len(v)-n:])
	case !s.fold:
		return strings.Contains(v, s.value)
	}
	for i := 0; i+n <= len(v); i++ {
		if equalLower(v[i:i+n], s.value) {
			return true
		}
	}
	return false
}

// same compares v, which is as long as the value.
func (s *String) same(v string) bool {
	return v == s.value || s.fold && equalLower(v, s.value)
}

// lower returns the lower case of an ASCII letter and other bytes as they are.
func lower(b byte) byte {
	if b-'A' < 26 {
		b |= 0x20
	}
	return b
}

// lowerASCII is strings.ToLower for ASCII letters alone, as Envoy folds case.
func lowerASCII(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}

// equalLower compares v with an equally long text in lower case.
func equalLower(v, low string) bool {
	for i := range len(v) {
		if lower(v[i]) != low[i] {
			return false
		}
	}
	return true
}
