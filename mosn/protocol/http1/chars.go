package http1

import "sofamesh.io/sofamesh/sdk/httpfield"

// invalid reports whether p holds a control character that no head may hold:
// any but HTAB, CR and LF.
func invalid(p []byte) bool {
	for {
		n := httpfield.Plain(p)
		if n == len(p) {
			return false
		}
		if p[n] != '\r' && p[n] != '\n' {
			return true
		}
		p = p[n+1:]
	}
}

// The parts of a URL in which a character may stand.
const (
	inHost     uint8 = 1 << iota // the host of an absolute target, http_parser's strict rule
	inUserinfo                   // what stands before its @
	inTarget                     // that part of a target before its path, as balsa's caller checks it
	inScheme
)

// urlChars tells where each character may stand.
var urlChars = makeURLChars()

func makeURLChars() (t [256]uint8) {
	set := func(chars string, bits uint8) {
		for i := range len(chars) {
			t[chars[i]] |= bits
		}
	}
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	set(alnum, inHost|inUserinfo|inTarget|inScheme)
	set("!$%&'()*+,-.:;=@[]_~", inTarget)
	set(".-", inHost)
	set("-_.!~*'()%;:&=+$,", inUserinfo)
	set("+-.", inScheme)
	return t
}

// all reports whether each character of s may stand in the given part.
func all(s []byte, part uint8) bool {
	for _, c := range s {
		if urlChars[c]&part == 0 {
			return false
		}
	}
	return true
}
