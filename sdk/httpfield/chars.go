package httpfield

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

// Plain returns the length of the longest prefix of p that holds no control
// character other than HTAB: where a value ends.
func Plain(p []byte) int {
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

// Printable reports whether s consists of ASCII from the blank to the tilde.
func Printable(s string) bool {
	p := Raw(s)
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

// Blank reports whether c is a blank or HTAB.
func Blank(c byte) bool { return c == ' ' || c == '\t' }

// ValidValue reports whether p can be the value of a field as RFC 9113, 8.2.1, wants
// it: no control character but HTAB, no blank at either end.
func ValidValue(p []byte) bool {
	n := len(p)
	return n == 0 || !Blank(p[0]) && !Blank(p[n-1]) && Plain(p) == n
}

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

// Lower returns c in lower case, 0 when it may not stand in a token.
func Lower(c byte) byte { return tokenLower[c] }

// Token reports whether s is a token.
func Token(s string) bool {
	for i := range len(s) {
		if tokenLower[s[i]] == 0 {
			return false
		}
	}
	return s != ""
}

// LowerToken reports whether p is a token without upper-case letters.
func LowerToken(p []byte) bool {
	for _, c := range p {
		if tokenLower[c] != c || c == 0 {
			return false
		}
	}
	return len(p) > 0
}

// authority has the characters that may stand in a host header, as Envoy checks it.
var authority = makeAuthority()

func makeAuthority() (t [256]bool) {
	const chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!$%&'()*+,-.:;=@[]_~"
	for i := range len(chars) {
		t[chars[i]] = true
	}
	return t
}

// ValidAuthority reports whether s can be a host with or without a port, by its
// characters.
func ValidAuthority(s string) bool {
	for i := range len(s) {
		if !authority[s[i]] {
			return false
		}
	}
	return true
}

// String views p as a string for the length of a call.
func String(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// Raw views s as bytes, which must not be written.
func Raw(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
