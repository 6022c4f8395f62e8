// Package rpcview says what of an RPC's own names and values may enter the view
// through which routes, filters and logs see it (sdk.Message). A peer must not pass
// for the proxy by a header of the proxy's, nor smuggle a line into HTTP or a log.
//
// Codecs call it on their loop for each message. All functions are pure and none
// allocates.
package rpcview

import "encoding/binary"

// MaxName is the longest name that is shown, in bytes.
const MaxName = 256

// Name returns the name under which a header of an RPC is shown: in lower case, in
// dst, which has room for it up to MaxName and may be the key itself. It returns nil,
// and has spoilt dst, if the header is not shown at all: what is no token (RFC 9110
// section 5.6.2), what is longer than MaxName, and what is Hidden.
func Name(dst, key []byte) []byte {
	if len(key) == 0 || len(key) > MaxName {
		return nil
	}
	name := dst[:len(key)]
	for i, c := range key {
		if c = tokenLower[c]; c == 0 {
			return nil
		}
		name[i] = c
	}
	if Hidden(name) {
		return nil
	}
	return name
}

// tokenLower maps the characters of a token to lower case and all others to 0.
//
//nolint:gochecknoglobals // a constant table
var tokenLower = makeTokenLower()

func makeTokenLower() (t [256]byte) {
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = c, c
	}
	for _, c := range []byte("0123456789!#$%&'*+-.^_`|~") {
		t[c] = c
	}
	return t
}

// Hidden reports whether a lower-case name, which is not empty, belongs to HTTP's
// own machinery: pseudo headers, framing and hops, and what Envoy sanitises or adds
// at each hop.
func Hidden[S string | []byte](name S) bool {
	switch name[0] {
	case ':':
		return true
	case 'x':
		return hasPrefix(name, "x-envoy-") || hasPrefix(name, "x-forwarded-") || hasPrefix(name, "x-rpc-") ||
			string(name) == "x-request-id" || string(name) == "x-client-trace-id" || string(name) == "x-real-ip"
	case 'c', 'd', 'e', 'h', 'k', 'p', 's', 't', 'u', 'v':
		switch string(name) {
		case "connection", "content-length", "content-type", "date", "expect", "host", "http2-settings", "keep-alive",
			"proxy-connection", "server", "te", "trailer", "transfer-encoding", "upgrade", "via":
			return true
		}
	}
	return false
}

func hasPrefix[S string | []byte](name S, prefix string) bool {
	return len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix
}

// Clean replaces what is not fit for HTTP and for lines of a log by '?'.
func Clean(value []byte) {
	if plain(value) {
		return
	}
	for i, c := range value {
		if control(c) {
			value[i] = '?'
		}
	}
}

// IsClean reports whether Clean would change nothing.
func IsClean(value []byte) bool {
	if plain(value) {
		return true
	}
	for _, c := range value {
		if control(c) {
			return false
		}
	}
	return true
}

// plain looks at 8 bytes at a time. It says no to some values that are clean.
func plain(value []byte) bool {
	n := len(value)
	if n < 8 {
		for _, c := range value {
			if control(c) {
				return false
			}
		}
		return true
	}
	for i := 0; i < n-8; i += 8 {
		if hasControl(binary.LittleEndian.Uint64(value[i:])) {
			return false
		}
	}
	return !hasControl(binary.LittleEndian.Uint64(value[n-8:])) // some of them again
}

// hasControl reports whether one of 8 bytes is below ' ' or, its top bit apart, 0x7f.
func hasControl(x uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	return ((x-ones*' ')&^x|(x&^tops+ones))&tops != 0
}

func control(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

// InPath reports whether a service or method may stand in a path: it is not empty
// and has no space, no control character and none that means something there.
func InPath(s []byte) bool {
	for _, c := range s {
		switch {
		case c <= ' ' || c == 0x7f, c == '/', c == '?', c == '#', c == '%', c == '\\':
			return false
		}
	}
	return len(s) > 0
}

// InLine reports whether a version or group may be shown: it has no space and no
// control character.
func InLine(s []byte) bool {
	for _, c := range s {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
