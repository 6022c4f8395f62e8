package http1

import (
	"bytes"

	"sofamesh.io/sofamesh/sdk"
)

// nameSize is the longest header name that is lower-cased without allocating.
const nameSize = 96

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

// fields reads header lines up to and with the empty line that ends them and
// returns their length, 0 when p ends before. It fills m and f. For trailers f
// is nil: what would frame or route a message is dropped there (stricter than
// Envoy, which forwards it; RFC 9110, 6.5.1). With m nil the lines are only
// checked.
func (c *config) fields(p []byte, m *sdk.Message, f *framing) (int, error) {
	var name [nameSize]byte
	for i := 0; i < len(p); {
		switch p[i] {
		case '\n':
			return i + 1, nil
		case '\r':
			if i+1 < len(p) && p[i+1] != '\n' {
				return 0, errName
			}
			if i+1 == len(p) {
				return 0, nil
			}
			return i + 2, nil
		}
		n, err := c.line(p[i:], &name, m, f)
		if n == 0 {
			return 0, err
		}
		i += n
	}
	return 0, nil
}

// line reads one header line, its continuations included. It returns 0 and nil
// when p ends before the byte that follows the line.
func (c *config) line(p []byte, scratch *[nameSize]byte, m *sdk.Message, f *framing) (int, error) {
	n := lower(p, scratch)
	name := scratch[:n]
	if n == nameSize {
		name = longName(p)
		n = len(name)
	}
	if n == len(p) {
		return 0, nil
	}
	if n == 0 || p[n] != ':' {
		return 0, errName
	}
	v := p[n+1:]
	start := 0
	for start < len(v) && blank(v[start]) {
		start++
	}
	end := start + plain(v[start:])
	next := end + 1
	if end+1 < len(v) && v[end] == '\r' && v[end+1] == '\n' {
		next++
	}
	var value []byte
	if next < len(v) && v[next-1] == '\n' && !blank(v[next]) {
		for end > start && blank(v[end-1]) {
			end--
		}
		value = v[start:end]
	} else {
		var err error
		if value, next, err = unusual(v); next == 0 {
			return 0, err
		}
	}
	if m != nil {
		if err := c.add(m, f, name, p[:n], value); err != nil {
			return 0, err
		}
	}
	return n + 1 + next, nil
}

// unusual reads a value that is folded over lines or holds a bare CR. As with
// Envoy the line ends and bare CRs are dropped, and the blanks between the parts
// stay. next is 0 when v ends too early.
func unusual(v []byte) (value []byte, next int, err error) {
	for {
		nl := bytes.IndexByte(v[next:], '\n')
		if nl < 0 || next+nl+1 == len(v) {
			return nil, 0, nil
		}
		next += nl + 1
		if !blank(v[next]) {
			break
		}
	}
	v = v[:next]
	if invalid(v) {
		return nil, 0, errCharacters
	}
	value = make([]byte, 0, len(v))
	for _, c := range v {
		if c != '\r' && c != '\n' {
			value = append(value, c)
		}
	}
	return trim(value), next, nil
}

// lower copies the token at the start of p to dst in lower case and returns its
// length, at most len(dst).
func lower(p []byte, dst *[nameSize]byte) int {
	n := min(len(p), len(dst))
	for i := range n {
		c := tokenLower[p[i]]
		if c == 0 {
			return i
		}
		dst[i] = c
	}
	return n
}

// longName is lower for a name that fits no scratch.
func longName(p []byte) []byte {
	var name []byte
	for _, b := range p {
		c := tokenLower[b]
		if c == 0 {
			break
		}
		name = append(name, c)
	}
	return name
}

// add puts one field into the view, or takes note of it when it is framing.
func (c *config) add(m *sdk.Message, f *framing, name, orig, value []byte) error {
	if c.underscore != underscoreAllow && bytes.IndexByte(name, '_') >= 0 {
		if c.underscore == underscoreDrop {
			return nil
		}
		return errUnderscore
	}
	id := sdk.LookupHeader(str(name))
	switch id {
	case sdk.HeaderTransferEncoding:
		f.code(value)
		return nil
	case sdk.HeaderContentLength:
		if f == nil {
			return nil
		}
		if !f.setLength(value) {
			return errLength
		}
	case sdk.HeaderHost:
		if f == nil {
			return nil
		}
		if c.side == sdk.Downstream {
			id = sdk.HeaderAuthority
		}
	}
	if m.Len() >= c.maxCount {
		if f == nil {
			return errTooMany
		}
		f.tooMany = true // what is malformed in the lines that follow comes first
		return nil
	}
	if f != nil && id != sdk.HeaderOther && m.HasID(id) {
		f.repeated = true
	}
	if c.keepCase {
		m.AddOriginal(id, name, orig, value)
		return nil
	}
	m.AddBytes(id, name, value)
	return nil
}

// code notes a transfer-encoding. Only one field with the one word chunked is
// understood, as with Envoy.
func (f *framing) code(value []byte) {
	switch {
	case f == nil:
	case f.coding == notCoded && equalFold(str(value), "chunked"):
		f.coding = chunked
	default:
		f.coding = unsupported
	}
}

// setLength notes the content-length and reports whether it is the only one and
// a decimal number of 64 bits.
func (f *framing) setLength(value []byte) bool {
	n, ok := parseLength(str(value))
	ok = ok && !f.hasLength
	f.length, f.hasLength = n, true
	return ok
}

// parseLength parses 1*DIGIT (RFC 9110, 8.6): no sign, no list, no blanks.
func parseLength(s string) (uint64, bool) {
	var n uint64
	for i := range len(s) {
		d := uint64(s[i] - '0')
		if d > 9 || n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(s) > 0
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
