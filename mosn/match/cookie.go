package match

import (
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/sdk"
)

// Cookie is a compiled envoy.config.route.v3.CookieMatcher. The first cookie of
// the name counts; a missing one matches only when inverted.
type Cookie struct {
	name   string
	str    String
	invert bool
}

// Cookies is a list of matchers that must all match.
type Cookies []Cookie

// CompileCookies compiles the matchers of a repeated field; c is at the field's
// parent.
func CompileCookies(c sdk.Compiler, field string, pbs []*routev3.CookieMatcher) (Cookies, error) {
	var list Cookies
	for i, pb := range pbs {
		str, err := CompileString(c.At(index(field, i)+".string_match"), pb.GetStringMatch())
		if err != nil {
			return nil, err
		}
		list = append(list, Cookie{pb.GetName(), str, pb.GetInvertMatch()})
	}
	return list, nil
}

// Match reports whether all matchers match; an empty list does.
func (l Cookies) Match(h *sdk.Headers) bool {
	for i := range l {
		m := &l[i]
		v, ok := CookieValue(h, m.name)
		if (ok && m.str.Match(v)) == m.invert {
			return false
		}
	}
	return true
}

// CookieValue returns the value of the first cookie called name in the cookie
// headers, without quotes around it.
func CookieValue(h *sdk.Headers, name string) (value string, ok bool) {
	header := sdk.HeaderCookie.Name()
	for i := h.Find(header, 0); i >= 0; i = h.Find(header, i+1) {
		rest, more := h.ValueAt(i), true
		for more {
			var pair string
			pair, rest, more = strings.Cut(rest, ";")
			key, v, found := strings.Cut(strings.TrimLeft(pair, " \t"), "=")
			if !found || key != name {
				continue
			}
			v = strings.TrimRight(v, " \t")
			if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
				v = v[1 : len(v)-1]
			}
			return v, true
		}
	}
	return "", false
}
