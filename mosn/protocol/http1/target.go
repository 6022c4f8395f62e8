package http1

import (
	"bytes"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// validTarget judges the characters of a request target, before it is known
// whether it is one that means something.
func validTarget(p []byte, connect bool) bool {
	if p[0] == '/' || p[0] == '*' {
		return httpfield.Printable(httpfield.String(p)) // it holds no blank: it ends at the first
	}
	if !connect {
		if c := p[0] | 0x20; c < 'a' || c > 'z' {
			return false
		}
		colon := bytes.Index(p, []byte("://"))
		if colon < 0 || !all(p[:colon], inScheme) {
			return false
		}
		p = p[colon+3:]
	}
	host, path := splitAuthority(p)
	return all(host, inTarget) && !bytes.Contains(host, []byte("@@")) && httpfield.Printable(httpfield.String(path))
}

// splitAuthority splits what follows a scheme before its path or query.
func splitAuthority(p []byte) (host, path []byte) {
	for i, c := range p {
		if c == '/' || c == '?' {
			return p[:i], p[i:]
		}
	}
	return p, nil
}

// target adds :method, :path and, from a target that names them, :scheme and
// :authority. The authority of a target replaces the host header (RFC 9112,
// 3.2.2).
func (c *config) target(l *requestLine, m *sdk.Message) error {
	m.AddBytes(sdk.HeaderMethod, nil, l.method)
	origin := l.target[0] == '/' || string(l.target) == "*" && string(l.method) == "OPTIONS"
	if !l.connect && (origin || !c.absoluteURL) {
		m.AddBytes(sdk.HeaderPath, nil, l.target)
		return nil
	}
	rest := l.target
	var scheme []byte
	if !l.connect {
		colon := bytes.Index(rest, []byte("://"))
		if colon < 0 {
			return errURL
		}
		scheme, rest = rest[:colon], rest[colon+3:]
	}
	authority, path := splitAuthority(rest)
	at := bytes.LastIndexByte(authority, '@')
	if at >= 0 && (l.connect || !all(authority[:at], inUserinfo)) {
		return errURL
	}
	authority = authority[at+1:]
	hasPort, ok := validHost(authority)
	if !ok || l.connect && (!hasPort || len(path) > 0) {
		return errURL
	}
	m.SetID(sdk.HeaderAuthority, httpfield.String(authority))
	if l.connect {
		return nil
	}
	switch {
	case httpfield.EqualFold(httpfield.String(scheme), "http"):
		m.AddID(sdk.HeaderScheme, "http")
	case httpfield.EqualFold(httpfield.String(scheme), "https"):
		m.AddID(sdk.HeaderScheme, "https")
	default:
		return errScheme
	}
	if len(path) == 0 {
		path = []byte("/")
	}
	m.AddBytes(sdk.HeaderPath, nil, path)
	return nil
}

// validHost judges host[:port] of a target by http_parser's strict rule: letters,
// digits, dots and hyphens, or an IPv6 address in brackets without a zone; a port
// up to 65535.
func validHost(p []byte) (hasPort, ok bool) {
	var host, port []byte
	if len(p) > 0 && p[0] == '[' {
		end := bytes.IndexByte(p, ']')
		if end < 2 {
			return false, false
		}
		for _, c := range p[1:end] {
			if !isHex(c) && c != ':' && c != '.' {
				return false, false
			}
		}
		host, port = p[:end+1], p[end+1:]
	} else {
		colon := bytes.IndexByte(p, ':')
		if colon < 0 {
			colon = len(p)
		}
		host, port = p[:colon], p[colon:]
		if !all(host, inHost) {
			return false, false
		}
	}
	if len(host) == 0 {
		return false, false
	}
	if len(port) == 0 {
		return false, true
	}
	n, ok := httpfield.ParseLength(httpfield.String(port[1:]))
	return true, ok && port[0] == ':' && n <= 65535
}

func isHex(c byte) bool { return hexValue[c] < 16 }
