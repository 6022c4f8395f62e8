package match

import (
	"strings"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"sofamesh.io/sofamesh/sdk"
)

// Substitute is a compiled envoy.type.matcher.v3.RegexMatchAndSubstitute.
type Substitute struct {
	re       *Regex
	template string // in Go's syntax
	broken   bool   // the substitution is not valid: nothing is ever replaced
}

// CompileSubstitute compiles m. As in Envoy, a substitution that names a group
// which the pattern does not have replaces nothing, and one with a backslash
// before anything but a digit or a backslash ends there; both are worth a warning.
func CompileSubstitute(c sdk.Compiler, m *matcherv3.RegexMatchAndSubstitute) (*Substitute, error) {
	re, err := CompileRegex(c.At("pattern"), m.GetPattern())
	if err != nil {
		return nil, err
	}
	s := &Substitute{re: re}
	template, maxGroup, whole := goTemplate(fromLatin1(m.GetSubstitution()))
	if !whole {
		c.At("substitution").Warnf("%q has a backslash that means nothing: it ends there", m.GetSubstitution())
	}
	if maxGroup > re.Groups() {
		c.At("substitution").Warnf("the pattern has no group %d: nothing will be replaced", maxGroup)
		s.broken = true
	}
	s.template = template
	return s, nil
}

// Replace returns v with every match replaced. It allocates when there is one,
// because Go's regexp does.
func (s *Substitute) Replace(v string) string {
	if s.broken {
		return v
	}
	return toLatin1(s.re.any.ReplaceAllString(fromLatin1(v), s.template))
}

// goTemplate translates RE2's substitution (\0 to \9, \\) into Go's (${0}, $$).
// It also returns the highest group that is named anywhere, and whether the text
// was translated to its end.
func goTemplate(s string) (template string, maxGroup int, whole bool) {
	var b strings.Builder
	whole = true
	for i := 0; i < len(s); i++ {
		text := s[i : i+1]
		if s[i] == '\\' {
			i++
			switch {
			case i < len(s) && s[i] == '\\':
			case i < len(s) && s[i] >= '0' && s[i] <= '9':
				maxGroup = max(maxGroup, int(s[i]-'0'))
				text = "${" + s[i:i+1] + "}"
			default:
				whole = false
			}
		} else if text == "$" {
			text = "$$"
		}
		if whole {
			b.WriteString(text)
		}
	}
	return b.String(), maxGroup, whole
}
