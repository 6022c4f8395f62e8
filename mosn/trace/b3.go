package trace

import "sofamesh.io/sofamesh/sdk"

// The headers of B3 (openzipkin/b3-propagation).
const (
	b3Single  = "b3"
	b3Trace   = "x-b3-traceid"
	b3Span    = "x-b3-spanid"
	b3Parent  = "x-b3-parentspanid"
	b3Sampled = "x-b3-sampled"
)

// B3 is what a request says of its trace in B3's headers, the single one or the many.
type B3 struct {
	sdk.TraceContext        // none when the request does not say
	Parent           uint64 // of Span, 0 when it does not say
	Single           bool   // in the one header b3
	Decided          bool   // it says whether it is sampled
	Sampled          bool
}

// ParseB3 reads a request, as strictly as Envoy. ok is false for what cannot be read.
func ParseB3(h *sdk.Headers) (b B3, ok bool) {
	if v, found := h.Get(b3Single); found {
		return parseSingle(v)
	}
	if v, found := h.Get(b3Sampled); found {
		b.Decided, b.Sampled = true, v == "1" || v == "true"
	}
	id, hasTrace := h.Get(b3Trace)
	span, hasSpan := h.Get(b3Span)
	if !hasTrace || !hasSpan {
		return b, true
	}
	if b.High, b.Low, ok = parseTrace(id); !ok {
		return b, false
	}
	if b.Span, ok = ParseHex(span); !ok {
		return b, false
	}
	if v := h.Value(b3Parent); v != "" {
		b.Parent, ok = ParseHex(v)
	}
	return b, ok
}

// parseTrace reads a trace's id of 64 or 128 bits.
func parseTrace(s string) (high, low uint64, ok bool) {
	if len(s) == 32 {
		if high, ok = ParseHex(s[:16]); !ok {
			return 0, 0, false
		}
		s = s[16:]
	}
	low, ok = ParseHex(s)
	return high, low, ok
}

// parseSingle reads TRACE-SPAN[-SAMPLED[-PARENT]], or SAMPLED alone.
func parseSingle(v string) (b B3, ok bool) {
	b.Single = true
	if len(v) == 1 {
		return b, b.decide(v[0])
	}
	trace := 16
	if len(v) > 32 && v[32] == '-' {
		trace = 32
	}
	if len(v) < trace+1+16 || v[trace] != '-' {
		return b, false
	}
	if b.High, b.Low, ok = parseTrace(v[:trace]); !ok {
		return b, false
	}
	if b.Span, ok = ParseHex(v[trace+1 : trace+17]); !ok {
		return b, false
	}
	rest := v[trace+17:]
	if rest == "" {
		return b, true
	}
	if len(rest) < 2 || rest[0] != '-' || !b.decide(rest[1]) {
		return b, false
	}
	if rest = rest[2:]; rest == "" {
		return b, true
	}
	if len(rest) != 17 || rest[0] != '-' {
		return b, false
	}
	b.Parent, ok = ParseHex(rest[1:])
	return b, ok
}

// decide takes the character that tells whether a request is sampled.
func (b *B3) decide(c byte) bool {
	b.Decided, b.Sampled = true, c != '0'
	return c == '0' || c == '1' || c == 'd'
}

// InjectB3 writes where s stands, in the single header or the many.
func InjectB3(s *sdk.Span, h *sdk.Headers, single bool) {
	var b [32 + 1 + 16 + 2 + 1 + 16]byte
	if single {
		v := append(s.AppendTrace(b[:0]), '-')
		v = append(sdk.AppendHex(v, s.Span), '-', digit(s.Sampled)[0])
		if s.Parent != 0 {
			v = sdk.AppendHex(append(v, '-'), s.Parent)
		}
		h.Set(b3Single, str(v))
		return
	}
	h.Set(b3Trace, str(s.AppendTrace(b[:0])))
	h.Set(b3Span, str(sdk.AppendHex(b[:0], s.Span)))
	if s.Parent != 0 {
		h.Set(b3Parent, str(sdk.AppendHex(b[:0], s.Parent)))
	}
	h.Set(b3Sampled, digit(s.Sampled))
}

func digit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}
