package http2

import (
	"strings"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// request judges the head of a request as a whole and makes the view of it, in which
// extended CONNECT looks like HTTP/1's Upgrade, as with Envoy. It returns what the
// stream is.
func (d *fields) request(end bool) (streamFlags, *fault) {
	m := d.m
	if d.fault != nil {
		return 0, d.fault
	}
	if !httpfield.Token(m.Method()) {
		if !m.HasID(sdk.HeaderMethod) {
			return 0, errMissing
		}
		return 0, errMethod
	}
	if m.HasID(sdk.HeaderAuthority) && !validAuthority(m.Authority()) {
		return 0, errAuthority
	}
	if end && d.length > 0 {
		return 0, errNoBody
	}
	connect := m.Method() == "CONNECT"
	if connect && !m.HasID(sdk.HeaderProtocol) {
		return d.connect()
	}
	if err := d.target(); err != nil {
		return 0, err
	}
	d.join()
	if !connect {
		if m.HasID(sdk.HeaderProtocol) {
			return 0, errConnect
		}
		return 0, nil
	}
	return d.extended()
}

// target judges scheme and path.
func (d *fields) target() *fault {
	m := d.m
	if !m.HasID(sdk.HeaderScheme) || !m.HasID(sdk.HeaderPath) {
		return errMissing
	}
	if s := m.Scheme(); s != "http" && s != "https" {
		return errScheme
	}
	p := m.Path()
	if p == "" || p[0] != '/' && !(p == "*" && m.Method() == "OPTIONS") || !unbroken(p) {
		return errPath
	}
	return nil
}

// unbroken reports whether s is printable ASCII without blanks.
func unbroken(s string) bool { return httpfield.Printable(s) && strings.IndexByte(s, ' ') < 0 }

// connect ends the judgement of a plain CONNECT.
func (d *fields) connect() (streamFlags, *fault) {
	m := d.m
	switch {
	case m.HasID(sdk.HeaderScheme), m.HasID(sdk.HeaderPath):
		return 0, errConnect
	case !m.HasID(sdk.HeaderAuthority):
		return 0, errMissing
	case d.length > 0:
		return 0, errLength
	}
	m.RemoveID(sdk.HeaderContentLength)
	d.join()
	m.Upgrade = true
	return tunnel, nil
}

// extended makes an upgrade of an extended CONNECT (RFC 8441).
func (d *fields) extended() (streamFlags, *fault) {
	m := d.m
	switch {
	case !d.c.cfg.allowConnect, !m.HasID(sdk.HeaderAuthority):
		return 0, errConnect
	case !httpfield.Token(m.ID(sdk.HeaderProtocol)):
		return 0, errField
	case d.length > 0:
		return 0, errLength
	}
	m.RemoveID(sdk.HeaderContentLength)
	m.SetID(sdk.HeaderMethod, "GET")
	m.AddID(sdk.HeaderUpgrade, m.ID(sdk.HeaderProtocol))
	m.AddID(sdk.HeaderConnection, "upgrade")
	m.RemoveID(sdk.HeaderProtocol)
	m.Upgrade = true
	return tunnel | extended, nil
}

// response judges the head of a response as a whole, makes the view of it and notes
// how long its body is.
func (d *fields) response(s *stream, end bool) *fault {
	m := d.m
	if d.fault != nil {
		return d.fault
	}
	if !m.HasID(sdk.HeaderStatus) {
		return errMissing
	}
	status := m.Status()
	switch {
	case status < 100 || status == 101:
		return errStatus
	case status < 200 && end:
		return errTrailersEnd
	case (status < 200 || status == 204) && d.hasLength:
		if d.length > 0 {
			return errLength
		}
		m.RemoveID(sdk.HeaderContentLength)
		d.hasLength = false
	}
	d.join()
	switch {
	case status < 200:
	case s.is(tunnel) && status < 300:
		d.granted(s)
	case s.is(headOnly), status == 204, status == 304:
		s.left = 0
	case end && d.length > 0:
		return errNoBody
	case d.hasLength:
		s.left = d.length
	}
	return nil
}

// granted makes the view of a response that opens a tunnel.
func (d *fields) granted(s *stream) {
	m := d.m
	m.Upgrade = true
	m.RemoveID(sdk.HeaderContentLength)
	if s.is(extended) {
		m.SetStatus(101)
		m.AddID(sdk.HeaderUpgrade, d.c.upgrades[s.id])
		m.AddID(sdk.HeaderConnection, "upgrade")
	}
}

// validAuthority reports whether s is a host with or without a port. User information
// must not be there (RFC 9113, 8.3.1).
func validAuthority(s string) bool {
	return s != "" && strings.IndexByte(s, '@') < 0 && httpfield.ValidAuthority(s)
}
