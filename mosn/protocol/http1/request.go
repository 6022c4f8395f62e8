package http1

import (
	"bytes"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// methods are those that Envoy knows when allow_custom_methods is off.
var methods = [...]string{
	"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE",
	"ACL", "BIND", "CHECKOUT", "COPY", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE",
	"MSEARCH", "NOTIFY", "PROPFIND", "PROPPATCH", "PURGE", "REBIND", "REPORT", "SEARCH", "SOURCE", "SUBSCRIBE",
	"UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE",
}

func knownMethod(p []byte) bool {
	for i := range methods {
		if methods[i] == string(p) {
			return true
		}
	}
	return false
}

// validMethod judges the method of a request line.
func (c *config) validMethod(p []byte) bool {
	if !c.customMethods {
		return knownMethod(p)
	}
	for _, b := range p {
		if httpfield.Lower(b) == 0 {
			return false
		}
	}
	return len(p) > 0
}

// version is a protocol version times ten.
type version uint8

const (
	v09 version = 9
	v10 version = 10
	v11 version = 11
)

// parseVersion accepts HTTP/d.d, and nothing at all, which is HTTP/0.9.
func parseVersion(p []byte) (version, bool) {
	if len(p) == 0 {
		return v09, true
	}
	if len(p) != 8 || string(p[:5]) != "HTTP/" || p[6] != '.' {
		return 0, false
	}
	major, minor := p[5]-'0', p[7]-'0'
	return version(major*10 + minor), major <= 9 && minor <= 9
}

// requestLine is a request line taken apart; the slices alias the input.
type requestLine struct {
	method, target []byte
	version        version
	connect        bool
}

// parse reads the first line of p and returns its length, 0 when p holds no
// whole line.
func (l *requestLine) parse(c *config, p []byte) (int, error) {
	nl := bytes.IndexByte(p, '\n')
	if nl < 0 {
		return 0, nil
	}
	line := p[:nl]
	if nl > 0 && line[nl-1] == '\r' {
		line = line[:nl-1]
	}
	rest, err := l.split(line)
	if err != nil {
		return 0, err
	}
	if !c.validMethod(l.method) {
		return 0, errMethod
	}
	if len(l.target) == 0 {
		return 0, errRequestLine
	}
	var ok bool
	if l.version, ok = parseVersion(rest); !ok {
		return 0, errVersion
	}
	l.connect = string(l.method) == "CONNECT"
	if !validTarget(l.target, l.connect) {
		return 0, errTarget
	}
	return nl + 1, nil
}

// split divides a line into method, target and the rest. As with Envoy the parts
// may be divided by any number of blanks, tabs and bare CRs.
func (l *requestLine) split(line []byte) (rest []byte, err error) {
	if httpfield.Printable(httpfield.String(line)) {
		if i := bytes.IndexByte(line, ' '); i >= 0 {
			l.method, rest = line[:i], line[i+1:]
			if i = bytes.IndexByte(rest, ' '); i > 0 && len(rest)-i == len(" HTTP/1.1") {
				l.target = rest[:i]
				return rest[i+1:], nil
			}
		}
	} else if invalid(line) {
		return nil, errCharacters
	}
	l.method, rest = island(line)
	l.target, rest = island(rest)
	for len(rest) > 0 && rest[len(rest)-1] <= ' ' {
		rest = rest[:len(rest)-1]
	}
	for len(rest) > 0 && rest[0] <= ' ' {
		rest = rest[1:]
	}
	return rest, nil
}

// island splits p after its first word.
func island(p []byte) (word, rest []byte) {
	start := 0
	for start < len(p) && p[start] <= ' ' {
		start++
	}
	end := start
	for end < len(p) && p[end] > ' ' {
		end++
	}
	return p[start:end], p[end:]
}

// request makes the view of a request from its line and its fields, which are in
// m, and judges it as a whole. The order of the checks is Envoy's.
func (c *config) request(l *requestLine, f *framing, m *sdk.Message) error {
	if f.tooMany {
		return errTooMany
	}
	m.Protocol = sdk.HTTP11
	if l.version != v11 {
		m.Protocol = sdk.HTTP10
		if !c.http10 {
			return errLowVersion
		}
	}
	if f.repeated {
		httpfield.Join(&m.Headers, c.side)
	}
	if m.HasID(sdk.HeaderUpgrade) {
		m.Upgrade = c.upgrade(&m.Headers)
	}
	if err := c.lengths(f, m, l.connect); err != nil {
		return err
	}
	if err := c.target(l, m); err != nil {
		return err
	}
	m.Close = closes(m)
	if l.connect {
		m.Upgrade = true
	} else if !m.Upgrade && m.HasID(sdk.HeaderConnection) && !c.asksH2C(&m.Headers) && !dropNominated(&m.Headers) {
		return errConnection
	}
	if !m.HasID(sdk.HeaderAuthority) {
		if m.Protocol == sdk.HTTP10 && c.defaultHost != "" {
			m.AddID(sdk.HeaderAuthority, c.defaultHost)
		}
		return nil
	}
	if !httpfield.ValidAuthority(m.Authority()) {
		return errAuthority
	}
	return nil
}

// lengths settles what a message says of its body (RFC 9112, 6.3).
func (c *config) lengths(f *framing, m *sdk.Message, connect bool) error {
	if f.coding != notCoded && f.hasLength {
		if f.coding != chunked || !c.chunkedLength {
			return errBothLengths
		}
		m.RemoveID(sdk.HeaderContentLength)
		f.hasLength, f.length = false, 0
	}
	if f.coding == unsupported || f.coding == chunked && connect {
		return errCoding
	}
	if connect && f.hasLength {
		if m.ID(sdk.HeaderContentLength) != "0" {
			return errNoBody
		}
		m.RemoveID(sdk.HeaderContentLength)
	}
	return nil
}
