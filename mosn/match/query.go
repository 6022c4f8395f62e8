package match

import (
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/sdk"
)

// Query is a compiled envoy.config.route.v3.QueryParameterMatcher. The first
// parameter of the name counts. Nothing is percent-decoded.
type Query struct {
	name string
	any  bool // the value does not matter
	want bool // for any: there or not there
	str  String
}

// Queries is a list of matchers that must all match.
type Queries []Query

// CompileQueries compiles the matchers of a repeated field; c is at the field's
// parent.
func CompileQueries(c sdk.Compiler, field string, pbs []*routev3.QueryParameterMatcher) (Queries, error) {
	var list Queries
	for i, pb := range pbs {
		q := Query{name: pb.GetName(), any: true, want: true}
		switch p := pb.GetQueryParameterMatchSpecifier().(type) {
		case *routev3.QueryParameterMatcher_PresentMatch:
			q.want = p.PresentMatch
		case *routev3.QueryParameterMatcher_StringMatch:
			str, err := CompileString(c.At(index(field, i)+".string_match"), p.StringMatch)
			if err != nil {
				return nil, err
			}
			q.any, q.str = false, str
		}
		list = append(list, q)
	}
	return list, nil
}

// Match reports whether all matchers match the query of path; an empty list does.
func (l Queries) Match(path string) bool {
	for i := range l {
		if !l[i].Match(path) {
			return false
		}
	}
	return true
}

// Match reports whether the query of path matches.
func (q *Query) Match(path string) bool {
	v, ok := QueryParameter(path, q.name)
	if q.any {
		return ok == q.want
	}
	return ok && q.str.Match(v)
}

// QueryParameter returns the value of the first parameter called name in the query
// of path, as it stands there.
func QueryParameter(path, name string) (value string, ok bool) {
	_, rest, more := strings.Cut(path, "?")
	for more && rest != "" {
		var param string
		param, rest, more = strings.Cut(rest, "&")
		if key, v, _ := strings.Cut(param, "="); key == name {
			return v, true
		}
	}
	return "", false
}

// index names an element of a repeated field for error messages.
func index(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
