package http1

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// controls has the top bit set of every byte of x that is a control character
// (below 0x20, or 0x7f). Bytes above the first one found may be marked wrongly.
func controls(x uint64) uint64 {
	low := x - 0x20*lows
	del := x ^ 0x7f*lows - lows
	return (low | del) &^ x & highs
}

// plain returns the length of the longest prefix of p that holds no control
// character other than HTAB: where a header value ends.
func plain(p []byte) int {
	i := 0
	for i+8 <= len(p) {
		m := controls(binary.LittleEndian.Uint64(p[i:]))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if p[i] != '\t' {
			return i
		}
		i++
	}
	for ; i < len(p); i++ {
		if c := p[i]; c < ' ' && c != '\t' || c == 0x7f {
			return i
		}
	}
	return i
}

// invalid reports whether p holds a control character that no head may hold:
// any but HTAB, CR and LF.
func invalid(p []byte) bool {
	for {
		n := plain(p)
		if n == len(p) {
			return false
		}
		if p[n] != '\r' && p[n] != '\n' {
			return true
		}
		p = p[n+1:]
	}
}

// printable reports whether s consists of ASCII from the blank to the tilde.
func printable(s string) bool {
	p := raw(s)
	var odd uint64
	for len(p) >= 8 {
		x := binary.LittleEndian.Uint64(p)
		odd |= controls(x) | x&highs
		p = p[8:]
	}
	for _, c := range p {
		if c < ' ' || c >= 0x7f {
			return false
		}
	}
	return odd == 0
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// tokenLower maps the characters of a token (RFC 9110, 5.6.2) to lower case and
// all others to 0.
var tokenLower = makeTokenLower()

func makeTokenLower() (t [256]byte) {
	for c := range len(t) {
		b := byte(c)
		switch {
		case b >= 'A' && b <= 'Z':
			t[c] = b + 'a' - 'A'
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9':
			t[c] = b
		}
	}
	for _, b := range []byte("!#$%&'*+-.^_`|~") {
		t[b] = b
	}
	return t
}

// The parts of a URL in which a character may stand.
const (
	inAuthority uint8 = 1 << iota // a host header, as Envoy checks it
	inHost                        // the host of an absolute target, http_parser's strict rule
	inUserinfo                    // what stands before its @
	inTarget                      // that part of a target before its path, as balsa's caller checks it
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
	set(alnum, inAuthority|inHost|inUserinfo|inTarget|inScheme)
	set("!$%&'()*+,-.:;=@[]_~", inAuthority|inTarget)
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

// str views p as a string for the length of a call.
func str(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// raw views s as bytes, which must not be written.
func raw(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// equalFold compares s with a lower-case token, ignoring the case of letters.
func equalFold(s, token string) bool {
	if len(s) != len(token) {
		return false
	}
	for i := range len(s) {
		if tokenLower[s[i]] != token[i] {
			return false
		}
	}
	return true
}
