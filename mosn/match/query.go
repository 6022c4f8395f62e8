package match

import (
	"strconv"
	"strings"
	"unsafe"

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

// MatchDecoded is Match for parameters whose names and values are percent-decoded, as
// Envoy takes them in some places. What is decoded is put behind buf.
func (l Queries) MatchDecoded(buf []byte, path string) (bool, []byte) {
	for i := range l {
		q := &l[i]
		var v string
		var ok bool
		v, buf, ok = DecodedParameter(buf, path, q.name)
		if q.any && ok != q.want || !q.any && !(ok && q.str.Match(v)) {
			return false, buf
		}
	}
	return true, buf
}

// DecodedParameter returns the value of the first parameter called name in the query of
// path, both percent-decoded. The value is part of path or, decoded, of the memory that
// buf grows to.
func DecodedParameter(buf []byte, path, name string) (value string, grown []byte, ok bool) {
	_, rest, more := strings.Cut(path, "?")
	for more && rest != "" {
		var param string
		param, rest, more = strings.Cut(rest, "&")
		key, v, _ := strings.Cut(param, "=")
		if key, buf = decode(buf, key); key == name {
			v, buf = decode(buf, v)
			return v, buf, true
		}
	}
	return "", buf, false
}

// decode returns s percent-decoded; what is no escape stays as it is, and so does "+".
func decode(buf []byte, s string) (string, []byte) {
	if strings.IndexByte(s, '%') < 0 {
		return s, buf
	}
	start := len(buf)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 16 && lo < 16 {
				c = hi<<4 | lo
				i += 2
			}
		}
		buf = append(buf, c)
	}
	b := buf[start:]
	return unsafe.String(unsafe.SliceData(b), len(b)), buf
}

// unhex returns the value of a hex digit, 16 for what is none.
func unhex(c byte) byte {
	switch c = lower(c); {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 16
}

// index names an element of a repeated field for error messages.
func index(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
