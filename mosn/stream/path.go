package stream

import (
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// normalizePath applies path_with_escaped_slashes_action, normalize_path (RFC 3986,
// 6.2.2: percent-encoded unreserved characters and dot segments) and merge_slashes
// to :path. A path that needs nothing of it costs one look.
func (s *Stream) normalizePath() *sdk.Reply {
	cfg := s.cfg
	path := s.req.Path()
	if strings.IndexByte(path, '#') >= 0 {
		return s.badPath()
	}
	if cfg.EscapedSlashes == EscapedKeep && !cfg.NormalizePath && !cfg.MergeSlashes || path == "" {
		return nil
	}
	p, query := path, ""
	if i := strings.IndexByte(path, '?'); i >= 0 {
		p, query = path[:i], path[i:]
	}
	if cfg.EscapedSlashes != EscapedKeep && hasEscapedSlash(p) {
		p = unescapeSlashes(p)
		if cfg.EscapedSlashes == EscapedReject {
			s.req.SetID(sdk.HeaderPath, p+query) // what Envoy logs
			return s.badPath()
		}
		if cfg.EscapedSlashes == EscapedRedirect {
			return s.redirectToNormal(p + query)
		}
	}
	if cfg.NormalizePath {
		var ok bool
		if p, ok = canonicalPath(p); !ok {
			return s.badPath()
		}
	}
	if cfg.MergeSlashes {
		p = mergeSlashes(p)
	}
	if len(p)+len(query) != len(path) || p != path[:len(p)] {
		s.req.SetID(sdk.HeaderPath, p+query)
	}
	return nil
}

func (s *Stream) badPath() *sdk.Reply {
	s.w.stats.Inc(s.cfg.Stats.RqNormalizeFailed)
	return s.bad(400, "path_normalization_failed", "")
}

// redirectToNormal sends the client to the path without escaped slashes.
func (s *Stream) redirectToNormal(path string) *sdk.Reply {
	if s.cfg.NormalizePath {
		p, query := path, ""
		if i := strings.IndexByte(path, '?'); i >= 0 {
			p, query = path[:i], path[i:]
		}
		if c, ok := canonicalPath(p); ok {
			path = c + query
		}
	}
	s.req.SetID(sdk.HeaderPath, path)
	s.w.stats.Inc(s.cfg.Stats.RqNormalizeRedirected)
	return &sdk.Reply{
		Status: 307, Details: "path_normalization_failed",
		Edit: func(h *sdk.Headers) { h.SetID(sdk.HeaderLocation, path) },
	}
}

func hasEscapedSlash(p string) bool {
	for i := strings.IndexByte(p, '%'); i >= 0 && i+2 < len(p); {
		if isEscapedSlash(p[i:]) != 0 {
			return true
		}
		n := strings.IndexByte(p[i+1:], '%')
		if n < 0 {
			break
		}
		i += 1 + n
	}
	return false
}

// isEscapedSlash returns the slash that "%2F" or "%5C" at the start of p stands
// for, 0 when it is another escape.
func isEscapedSlash(p string) byte {
	if len(p) < 3 || p[0] != '%' {
		return 0
	}
	switch {
	case p[1] == '2' && lower(p[2]) == 'f':
		return '/'
	case p[1] == '5' && lower(p[2]) == 'c':
		return '\\'
	}
	return 0
}

func unescapeSlashes(p string) string {
	var b strings.Builder
	b.Grow(len(p))
	for i := 0; i < len(p); i++ {
		if c := isEscapedSlash(p[i:]); c != 0 {
			b.WriteByte(c)
			i += 2
			continue
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

// canonicalPath decodes escapes of unreserved characters, turns "\" into "/", and resolves "." and ".." segments. ok
// is false for a broken escape or one of NUL.
func canonicalPath(p string) (string, bool) {
	if plainPath(p) {
		return p, true
	}
	b := make([]byte, 0, len(p))
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '\\':
			b = append(b, '/')
		case c != '%':
			b = append(b, c)
		default:
			if i+2 >= len(p) || !isHex(p[i+1]) || !isHex(p[i+2]) {
				return "", false
			}
			v := unhex(p[i+1])<<4 | unhex(p[i+2])
			if v == 0 {
				return "", false
			}
			if unreserved(v) {
				b = append(b, v)
			} else {
				b = append(b, p[i:i+3]...)
			}
			i += 2
		}
	}
	return removeDots(string(b)), true
}

// plainPath reports whether there is nothing to normalise.
func plainPath(p string) bool {
	for i := range len(p) {
		switch p[i] {
		case '%', '\\':
			return false
		case '.':
			if i > 0 && p[i-1] == '/' || i > 1 && p[i-1] == '.' && p[i-2] == '/' {
				return false
			}
		}
	}
	return true
}

// removeDots resolves "." and ".." (RFC 3986, 5.2.4); empty segments count.
func removeDots(p string) string {
	var out []string
	segments := strings.Split(strings.TrimPrefix(p, "/"), "/")
	for i, seg := range segments {
		last := i == len(segments)-1
		switch seg {
		case ".":
			if last {
				out = append(out, "")
			}
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, seg)
		}
	}
	return "/" + strings.Join(out, "/")
}

func mergeSlashes(p string) string {
	if !strings.Contains(p, "//") {
		return p
	}
	var b strings.Builder
	b.Grow(len(p))
	for i := range len(p) {
		if p[i] != '/' || i == 0 || p[i-1] != '/' {
			b.WriteByte(p[i])
		}
	}
	return b.String()
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= lower(c) && lower(c) <= 'f' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}

func unreserved(c byte) bool {
	return 'a' <= lower(c) && lower(c) <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
