package http1

import (
	"bytes"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// coding is what the transfer-encoding fields of a message say.
type coding uint8

const (
	notCoded coding = iota
	chunked
	unsupported
)

// framing is what the header lines say of the body that follows.
type framing struct {
	length    uint64
	hasLength bool
	repeated  bool // a well-known name came twice
	tooMany   bool // more fields than allowed
	coding    coding
}

// lines is a run of header lines that is being read.
type lines struct {
	c *config
	// p is the text: what m.Load returned, which is worked on in place, or, with m
	// nil, the input, which is only looked at.
	p []byte
	m *sdk.Message
	// trailers drops what would frame or route a message (stricter than Envoy, which
	// forwards it; RFC 9110, 6.5.1).
	trailers bool
	f        framing
	// kept is the distance from the text to the copy before it, whose names keep
	// their case, 0 when there is none.
	kept int
}

// read reads header lines from offset at up to and with the empty line that ends
// them and returns the offset after it, 0 when the text ends before.
func (l *lines) read(at int) (int, error) {
	for p := l.p; at < len(p); {
		switch p[at] {
		case '\n':
			return at + 1, nil
		case '\r':
			if at+1 < len(p) && p[at+1] != '\n' {
				return 0, errName
			}
			if at+1 == len(p) {
				return 0, nil
			}
			return at + 2, nil
		}
		next, err := l.line(at)
		if next == 0 || err != nil {
			return 0, err
		}
		at = next
	}
	return 0, nil
}

// line reads the header line at offset at, its continuations included, and returns
// the offset after it. It returns 0 and nil when the text ends before the byte
// that follows the line.
func (l *lines) line(at int) (int, error) {
	p := l.p
	colon := at
	if l.m != nil {
		colon += lower(p[at:])
	} else {
		colon += token(p[at:])
	}
	if colon == len(p) {
		return 0, nil
	}
	if colon == at || p[colon] != ':' {
		return 0, errName
	}
	start := colon + 1
	for start < len(p) && httpfield.Blank(p[start]) {
		start++
	}
	end := start + httpfield.Plain(p[start:])
	next := end + 1
	if next < len(p) && p[end] == '\r' && p[next] == '\n' {
		next++
	}
	if next >= len(p) || p[next-1] != '\n' || httpfield.Blank(p[next]) {
		return l.unusual(at, colon, start)
	}
	exact := start == colon+2 && p[colon+1] == ' ' && next == end+2
	for end > start && httpfield.Blank(p[end-1]) {
		end--
		exact = false
	}
	if l.m == nil {
		return next, nil
	}
	return next, l.add(at, colon, start, end, exact)
}

// token returns the length of the token at the start of p.
func token(p []byte) int {
	for i, b := range p {
		if httpfield.Lower(b) == 0 {
			return i
		}
	}
	return len(p)
}

// lower is token, and makes the token lower case where it stands.
func lower(p []byte) int {
	for i, b := range p {
		c := httpfield.Lower(b)
		if c == 0 {
			return i
		}
		p[i] = c
	}
	return len(p)
}

// unusual ends the reading of a line whose value is folded over lines, holds a bare
// CR, or is not all there. As with Envoy line ends and bare CRs are dropped and
// the blanks between the parts stay.
func (l *lines) unusual(name, colon, start int) (int, error) {
	p, next := l.p, start
	for {
		nl := bytes.IndexByte(p[next:], '\n')
		if nl < 0 || next+nl+1 == len(p) {
			return 0, nil
		}
		next += nl + 1
		if !httpfield.Blank(p[next]) {
			break
		}
	}
	if invalid(p[start:next]) {
		return 0, errCharacters
	}
	if l.m == nil {
		return next, nil
	}
	end := start
	for _, c := range p[start:next] {
		if c != '\r' && c != '\n' {
			p[end] = c
			end++
		}
	}
	for start < end && httpfield.Blank(p[start]) {
		start++
	}
	for end > start && httpfield.Blank(p[end-1]) {
		end--
	}
	return next, l.add(name, colon, start, end, false)
}

// add puts one field into the view, or takes note of it when it is framing.
func (l *lines) add(name, nameEnd, value, valueEnd int, exact bool) error {
	key := l.p[name:nameEnd]
	if l.c.underscore != httpfield.UnderscoreAllow && bytes.IndexByte(key, '_') >= 0 {
		if l.c.underscore == httpfield.UnderscoreDrop {
			return nil
		}
		return errUnderscore
	}
	id := sdk.LookupHeader(httpfield.String(key))
	switch id {
	case sdk.HeaderOther:
	case sdk.HeaderTransferEncoding, sdk.HeaderContentLength, sdk.HeaderHost:
		if l.trailers {
			return nil
		}
		if id == sdk.HeaderTransferEncoding {
			l.f.code(l.p[value:valueEnd])
			return nil
		}
		if id == sdk.HeaderContentLength && !l.f.setLength(l.p[value:valueEnd]) {
			return errLength
		}
		if id == sdk.HeaderHost && l.c.side == sdk.Downstream {
			id, exact = sdk.HeaderAuthority, false
		}
		fallthrough
	default:
		if l.m.HasID(id) {
			l.f.repeated = true
		}
	}
	if l.m.Len() >= l.c.maxCount {
		if l.trailers {
			return errTooMany
		}
		l.f.tooMany = true // what is malformed in the lines that follow comes first
		return nil
	}
	orig := 0
	if l.kept != 0 {
		orig = l.kept + name
	}
	l.m.AddLoaded(sdk.LoadedField{
		ID: id, Name: name, NameEnd: nameEnd, Value: value, ValueEnd: valueEnd, Exact: exact, Original: orig,
	})
	return nil
}

// code notes a transfer-encoding. Only one field with the one word chunked is
// understood, as with Envoy.
func (f *framing) code(value []byte) {
	switch {
	case f.coding == notCoded && httpfield.EqualFold(httpfield.String(value), "chunked"):
		f.coding = chunked
	default:
		f.coding = unsupported
	}
}

// setLength notes the content-length and reports whether it is the only one and
// a decimal number of 64 bits.
func (f *framing) setLength(value []byte) bool {
	n, ok := httpfield.ParseLength(httpfield.String(value))
	ok = ok && !f.hasLength
	f.length, f.hasLength = n, true
	return ok
}

// headEnd returns the length of the head whose lines begin in p, or -1 when p
// ends before its empty line. The search starts at offset from.
func headEnd(p []byte, from int) int {
	for i := from; ; i++ {
		nl := bytes.IndexByte(p[i:], '\n')
		if nl < 0 {
			return -1
		}
		i += nl
		rest := p[i+1:]
		switch {
		case len(rest) > 0 && rest[0] == '\n':
			return i + 2
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return i + 3
		}
	}
}
