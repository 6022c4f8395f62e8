package trace

import "sofamesh.io/sofamesh/sdk"

// The headers of W3C Trace Context.
const (
	TraceParent = "traceparent"
	TraceState  = "tracestate"
)

// parentSize is the size of traceparent: version, trace, parent, flags.
const parentSize = 2 + 1 + 32 + 1 + 16 + 1 + 2

// ParseW3C reads a traceparent header, as strictly as Envoy: any version, but of this
// form.
func ParseW3C(v string) (c sdk.TraceContext, sampled, ok bool) {
	if len(v) != parentSize || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return c, false, false
	}
	_, ok1 := ParseHex(v[:2])
	high, ok2 := ParseHex(v[3:19])
	low, ok3 := ParseHex(v[19:35])
	span, ok4 := ParseHex(v[36:52])
	flags, ok5 := ParseHex(v[53:])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || high|low == 0 || span == 0 {
		return c, false, false
	}
	return sdk.TraceContext{High: high, Low: low, Span: span, Wide: true}, flags&1 != 0, true
}

// AppendW3C appends a traceparent header.
func AppendW3C(dst []byte, c sdk.TraceContext, sampled bool) []byte {
	dst = append(dst, "00-"...)
	dst = sdk.AppendHex(dst, c.High)
	dst = sdk.AppendHex(dst, c.Low)
	dst = append(dst, '-')
	dst = sdk.AppendHex(dst, c.Span)
	if sampled {
		return append(dst, "-01"...)
	}
	return append(dst, "-00"...)
}

// ParseHex reads 1 to 16 hexadecimal digits.
func ParseHex(s string) (n uint64, ok bool) {
	if s == "" || len(s) > 16 {
		return 0, false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | uint64(c)
	}
	return n, true
}

// InjectW3C writes where s stands into traceparent.
func InjectW3C(s *sdk.Span, h *sdk.Headers) {
	var b [parentSize]byte
	h.Set(TraceParent, str(AppendW3C(b[:0], s.TraceContext, s.Sampled)))
}
