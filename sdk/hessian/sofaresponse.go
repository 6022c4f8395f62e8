package hessian

import "unicode/utf8"

// SofaResponseClass is the class of the object that a SOFARPC response consists
// of, as it stands in the body and in Bolt's class name.
const SofaResponseClass = "com.alipay.sofa.rpc.core.response.SofaResponse"

// AppendSofaResponse appends to dst the body of a SOFARPC response in the old
// dialect, byte for byte what SOFARPC's own server writes. Without failed it is a
// result, the text. With failed it is an error of the framework, of which the
// client makes a SofaRpcException with the text as its message.
func AppendSofaResponse(dst []byte, text string, failed bool) []byte {
	dst = append(append(dst, 'O', byte(0x90+len(SofaResponseClass))), SofaResponseClass...)
	dst = append(dst, 0x94)
	for _, field := range [...]string{"isError", "errorMsg", "appResponse", "responseProps"} {
		dst = appendText(dst, field)
	}
	dst = append(dst, 'o', 0x90)
	if failed {
		dst = appendText(append(dst, 'T'), text)
		return append(dst, 'N', 'N')
	}
	dst = appendText(append(dst, 'F', 'N'), text)
	return append(dst, 'N')
}

// maxChunk is the most UTF-16 units that a chunk of a text gets.
const maxChunk = 0x8000

// appendText writes a text in the old dialect, in as many chunks as it takes.
// What is no UTF-8 becomes U+FFFD.
func appendText(dst []byte, s string) []byte {
	for {
		n, units := 0, 0
		for n < len(s) && units < maxChunk-1 {
			c, size := utf8.DecodeRuneInString(s[n:])
			n, units = n+size, units+unitsOf(c)
		}
		switch {
		case n < len(s):
			dst = append(dst, 's', byte(units>>8), byte(units))
		case units < 32:
			dst = append(dst, byte(units))
		default:
			dst = append(dst, 'S', byte(units>>8), byte(units))
		}
		for _, c := range s[:n] {
			dst = appendUnits(dst, c)
		}
		if s = s[n:]; s == "" {
			return dst
		}
	}
}

// unitsOf is the number of UTF-16 units of a character.
func unitsOf(c rune) int {
	if c < 1<<16 {
		return 1
	}
	return 2
}

// appendUnits writes a character as Java does: each UTF-16 unit by itself, in one
// to three bytes.
func appendUnits(dst []byte, c rune) []byte {
	if c < 1<<16 {
		return utf8.AppendRune(dst, c)
	}
	c -= 1 << 16
	for _, u := range [...]rune{0xd800 + c>>10, 0xdc00 + c&0x3ff} {
		dst = append(dst, 0xed, 0x80|byte(u>>6&0x3f), 0x80|byte(u&0x3f))
	}
	return dst
}
