package servicekey

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// Protocol decides which version is the default.
type Protocol uint8

const (
	// Other protocols have no default version but the empty one (HSF).
	Other Protocol = iota
	// SOFARPC has 1.0.
	SOFARPC
	// Dubbo has 0.0.0.
	Dubbo
)

// Key names a service as its protocol does.
type Key struct {
	Protocol  Protocol
	Interface string // in its own case; a codec refuses requests where it is empty
	Version   string // empty: the default
	Group     string // Dubbo's group, SOFARPC's unique id; empty: none
}

// Canonical returns k with an empty version if it has the default one. Keys that
// name the same service are then equal.
func (k Key) Canonical() Key {
	if k.Protocol == SOFARPC && k.Version == "1.0" || k.Protocol == Dubbo && k.Version == "0.0.0" {
		k.Version = ""
	}
	return k
}

// Host returns the host of k. On the path of a request use Append.
func (k Key) Host() string { return string(Append(nil, k)) }

const (
	maxLabel  = 63  // bytes: RFC 1035 section 2.3.4
	maxName   = 253 // bytes: the same section's 255 octets, as text
	digestLen = 9   // '-' and 8 digits
)

// Append appends the host of k to dst and returns it. It does not allocate if dst
// has room for 253 bytes, and for the texts of k if they are longer.
func Append(dst []byte, k Key) []byte {
	k = k.Canonical()
	start := len(dst)
	if k.Group != "" {
		dst = append(appendLabel(dst, "g-", k.Group), '.')
	}
	if k.Version != "" {
		dst = append(appendLabel(dst, "v-", k.Version), '.')
	}
	label, rest, more := strings.Cut(k.Interface, ".")
	if looksPrefixed(label) {
		from := len(dst)
		dst, _ = appendFolded(dst, label)
		dst = digestLabel(dst, from)
	} else {
		dst = appendLabel(dst, "", label)
	}
	for more {
		label, rest, more = strings.Cut(rest, ".")
		dst = appendLabel(append(dst, '.'), "", label)
	}
	return endName(dst, start)
}

// looksPrefixed reports whether a label, once folded, begins as that of a group
// or a version.
func looksPrefixed(label string) bool {
	return len(label) > 1 && folded[label[1]] == '-' && (folded[label[0]] == 'g' || folded[label[0]] == 'v')
}

// appendLabel appends prefix and s as one valid label.
func appendLabel(dst []byte, prefix, s string) []byte {
	from := len(dst)
	dst, plain := appendFolded(append(dst, prefix...), s)
	if n := len(dst) - from; plain && n > 0 && n <= maxLabel && dst[from] != '-' && dst[len(dst)-1] != '-' {
		return dst
	}
	return digestLabel(dst, from)
}

// folded maps the bytes of a name to what they become, and those that no label
// may have to 0.
var folded = foldedBytes()

func foldedBytes() (t [256]byte) {
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = c, c
	}
	for c := byte('0'); c <= '9'; c++ {
		t[c] = c
	}
	t['-'], t['.'], t['$'], t['_'] = '-', '-', '-', '-'
	return t
}

// appendFolded appends s as it is folded, and reports whether a label may have
// all of its characters. The others stay, so that the digest sees them.
func appendFolded(dst []byte, s string) (_ []byte, plain bool) {
	from := len(dst)
	dst, plain = append(dst, s...), true
	for i, c := range dst[from:] {
		if f := folded[c]; f != 0 {
			dst[from+i] = f
		} else {
			plain = false
		}
	}
	return dst, plain
}

// digestLabel makes a valid label of the folded one that starts at from.
func digestLabel(dst []byte, from int) []byte {
	label := dst[from:]
	sum := sha256.Sum256(label)
	shown := label[:0]
	for _, c := range label {
		if folded[c] == 0 {
			c = '-'
		}
		if c != '-' || len(shown) > 0 {
			shown = append(shown, c)
		}
	}
	return appendDigest(dst[:from+min(len(shown), maxLabel-digestLen)], from, sum)
}

// appendDigest ends the label that starts at from in the digest, without hyphens
// or dots before it.
func appendDigest(dst []byte, from int, sum [sha256.Size]byte) []byte {
	for len(dst) > from && dst[len(dst)-1] == '-' {
		dst = dst[:len(dst)-1]
	}
	if len(dst) > from {
		dst = append(dst, '-')
	}
	return hex.AppendEncode(dst, sum[:4])
}

// endName cuts the name that starts at start if it is too long.
func endName(dst []byte, start int) []byte {
	name := dst[start:]
	if len(name) <= maxName {
		return dst
	}
	sum := sha256.Sum256(name)
	name = name[:maxName-digestLen]
	for name[len(name)-1] == '.' || name[len(name)-1] == '-' {
		name = name[:len(name)-1]
	}
	label := bytes.LastIndexByte(name, '.')
	from := start + label + 1
	return appendDigest(dst[:min(start+len(name), from+maxLabel-digestLen)], from, sum)
}

// ParseTarget reads the name that SOFARPC gives a service,
// `interface[:version[:uniqueId]]`, as it stands in Bolt's headers and in the
// body. The key's texts are parts of target. Refused are an empty interface, and
// characters that would change what the target looks like elsewhere: spaces,
// control characters, and in the interface those with a meaning in a path.
func ParseTarget(target string) (Key, error) {
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c == 0x7f {
			return Key{}, errors.New("servicekey: a space or control character in a SOFARPC target")
		}
	}
	k := Key{Protocol: SOFARPC}
	var rest string
	k.Interface, rest, _ = strings.Cut(target, ":")
	k.Version, k.Group, _ = strings.Cut(rest, ":")
	if k.Interface == "" {
		return Key{}, errors.New("servicekey: a SOFARPC target without an interface")
	}
	if strings.ContainsAny(k.Interface, "/?#%\\") {
		return Key{}, errors.New("servicekey: a character of paths in the interface of a SOFARPC target")
	}
	return k, nil
}
