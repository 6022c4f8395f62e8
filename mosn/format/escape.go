package format

import "unicode/utf8"

// The escapes work on the end of dst, which holds a value as it is: most values
// need none, so looking is all that is paid for.

// escapeText escapes CR, LF and NUL in dst[start:].
func escapeText(dst []byte, start int) []byte {
	for i := start; i < len(dst); i++ {
		if c := dst[i]; c == '\n' || c == '\r' || c == 0 {
			return escapeTail(dst, i, false)
		}
	}
	return dst
}

// escapeJSON escapes dst[start:] as the inside of a JSON string.
func escapeJSON(dst []byte, start int) []byte {
	for i := start; i < len(dst); i++ {
		if c := dst[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return escapeTail(dst, i, true)
		}
	}
	return dst
}

// escapeTail rewrites dst[from:], for JSON or for text. The input is copied behind the
// place where its escaped form can end, six bytes for each byte, and then read from
// there. What escapes a character appends that and returns how many bytes of the input
// it is; it is no function value, by which dst could not be on the caller's stack.
func escapeTail(dst []byte, from int, json bool) []byte {
	n := len(dst) - from
	for range 6 * n {
		dst = append(dst, 0)
	}
	src := dst[from+6*n : from+7*n]
	copy(src, dst[from:from+n])
	dst = dst[:from]
	for len(src) > 0 {
		var used int
		if json {
			dst, used = appendJSONRune(dst, src)
		} else {
			dst, used = appendTextByte(dst, src)
		}
		src = src[used:]
	}
	return dst
}

func appendTextByte(dst, src []byte) ([]byte, int) {
	switch c := src[0]; c {
	case '\n':
		return append(dst, `\n`...), 1
	case '\r':
		return append(dst, `\r`...), 1
	case 0:
		return append(dst, `\0`...), 1
	default:
		return append(dst, c), 1
	}
}

func appendJSONRune(dst, src []byte) ([]byte, int) {
	const hex = "0123456789abcdef"
	switch c := src[0]; {
	case c == '"' || c == '\\':
		return append(dst, '\\', c), 1
	case c == '\n':
		return append(dst, `\n`...), 1
	case c == '\r':
		return append(dst, `\r`...), 1
	case c == '\t':
		return append(dst, `\t`...), 1
	case c < ' ':
		return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15]), 1
	case c < utf8.RuneSelf:
		return append(dst, c), 1
	}
	r, size := utf8.DecodeRune(src)
	if r == utf8.RuneError && size == 1 {
		return append(dst, `\ufffd`...), 1
	}
	return append(dst, src[:size]...), size
}
