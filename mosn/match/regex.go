package match

import (
	"regexp"
	"regexp/syntax"
	"strings"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"sofamesh.io/sofamesh/sdk"
)

// Regex is a compiled envoy.type.matcher.v3.RegexMatcher: RE2 syntax, matched
// against whole values.
//
// Like Envoy's, it works on bytes: a byte from 0x80 is the Latin-1 character of
// that number, in patterns and in values. Go's engine works on UTF-8, so both are
// translated; for ASCII there is nothing to translate.
type Regex struct {
	whole *regexp.Regexp // anchored at both ends
	any   *regexp.Regexp // as written, for Replace
	// simple is set when the expression is a text with at most one wildcard in it,
	// which is most of what people write: then whole is not needed.
	simple *wildcard
}

// wildcard is "head.*tail" or, with min 1, "head.+tail"; exact has no wildcard.
type wildcard struct {
	head, tail string
	min        int
	exact      bool
}

// CompileRegex compiles m. max_program_size is a limit of another engine and has
// no meaning here: like RE2, Go's engine is linear in the size of its input.
func CompileRegex(c sdk.Compiler, m *matcherv3.RegexMatcher) (*Regex, error) {
	pattern := fromLatin1(m.GetRegex())
	alone, err := regexp.Compile(pattern)
	if err != nil {
		return nil, c.At("regex").Errorf("%w", err)
	}
	whole, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return nil, c.At("regex").Errorf("%w", err)
	}
	return &Regex{whole: whole, any: alone, simple: simplify(pattern)}, nil
}

// Match reports whether the whole of v matches.
func (r *Regex) Match(v string) bool {
	if r.simple != nil {
		return r.simple.match(v)
	}
	return r.whole.MatchString(fromLatin1(v))
}

// Groups returns the number of capturing groups.
func (r *Regex) Groups() int { return r.any.NumSubexp() }

func (w *wildcard) match(v string) bool {
	if w.exact {
		return v == w.head
	}
	rest := len(v) - len(w.head) - len(w.tail)
	return rest >= w.min && strings.HasPrefix(v, w.head) && strings.HasSuffix(v, w.tail) &&
		strings.IndexByte(v[len(w.head):len(w.head)+rest], '\n') < 0 // "." is any byte but this one
}

// simplify returns the wildcard that means the same as the pattern, nil when there
// is none. Only ASCII is looked at, so that bytes and characters are the same.
func simplify(pattern string) *wildcard {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || !isASCII(pattern) {
		return nil
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	w := &wildcard{exact: true}
	for _, p := range parts {
		switch {
		case p.Op == syntax.OpLiteral && p.Flags&syntax.FoldCase == 0:
			if w.exact {
				w.head += string(p.Rune)
			} else {
				w.tail += string(p.Rune)
			}
		case (p.Op == syntax.OpStar || p.Op == syntax.OpPlus) && p.Sub[0].Op == syntax.OpAnyCharNotNL && w.exact:
			w.exact = false
			if p.Op == syntax.OpPlus {
				w.min = 1
			}
		case p.Op == syntax.OpEmptyMatch, p.Op == syntax.OpBeginText && w.exact && w.head == "":
			// "^" at the start says what whole matching says anyway
		case p.Op == syntax.OpEndText && p == parts[len(parts)-1]:
		default:
			return nil
		}
	}
	return w
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// fromLatin1 returns s with each byte as a character, in UTF-8.
func fromLatin1(s string) string {
	if isASCII(s) {
		return s
	}
	b := make([]rune, len(s))
	for i := range len(s) {
		b[i] = rune(s[i])
	}
	return string(b)
}

// toLatin1 undoes fromLatin1.
func toLatin1(s string) string {
	if isASCII(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}
