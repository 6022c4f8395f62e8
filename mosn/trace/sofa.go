package trace

import (
	"strconv"
	"strings"
	"unsafe"

	"sofamesh.io/sofamesh/sdk"
)

// SOFATracer's headers, as views show them: to servers from version 5.1.0 on that said
// so clients write the one, else the others.
const (
	sofaContext = "new_rpc_trace_context"
	sofaTrace   = "rpc_trace_context.sofatraceid"
	sofaRPC     = "rpc_trace_context.sofarpcid"
	sofaSampled = "rpc_trace_context.samp"
	sofaCaller  = "rpc_trace_context.sofacallerapp"
)

// maxRPCID bounds the text of a SOFA RPC id: 32 hops.
const maxRPCID = 256

// Sofa is where a request stands in a trace of SOFATracer: its trace, and the id of the
// call ("0.1.2"), which tells by its dots from where to where it went. The strings are
// the request's.
type Sofa struct {
	Trace, RPC string
	Caller     string // the application that called
	Dropped    bool   // the caller has decided not to sample
}

// ParseSofa reads a request; without a trace of SOFATracer's, or with one that cannot be
// one, ok is false.
func ParseSofa(h *sdk.Headers) (s Sofa, ok bool) {
	if v := h.Value(sofaContext); v != "" {
		var sampled string
		for rest := v; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, "&")
			switch key, value, _ := strings.Cut(pair, "="); key {
			case "tcid":
				s.Trace = value
			case "spid":
				s.RPC = value
			case "sample":
				sampled = value
			}
		}
		s.Dropped = sampled == "false"
	} else {
		s.Trace, s.RPC = h.Value(sofaTrace), h.Value(sofaRPC)
		s.Dropped = h.Value(sofaSampled) == "false"
	}
	s.Caller = h.Value(sofaCaller)
	return s, s.Trace != "" && len(s.Trace) <= 64 && s.RPC != "" && len(s.RPC) <= maxRPCID && dotted(s.RPC)
}

// dotted reports whether an RPC id is made of numbers and dots.
func dotted(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '.' {
			return false
		}
	}
	return true
}

// Context is the trace as the providers know it, by SOFATracer's own rules for Zipkin
// (ZipkinV2SpanAdapter): the trace's id is its hexadecimal digits, filled up with zeros
// (any other text is hashed), a span's id is the hash of its RPC id.
func (s Sofa) Context() sdk.TraceContext {
	c := sdk.TraceContext{Span: SofaSpan(s.RPC)}
	id := strings.TrimSuffix(s.Trace, "T")
	var ok bool
	if n := len(id); n <= 16 {
		c.Low, ok = ParseHex(id)
	} else if n <= 32 {
		var low bool
		c.High, ok = ParseHex(id[:n-16])
		c.Low, low = ParseHex(id[n-16:])
		ok = ok && low
	}
	if !ok || c.None() {
		c.Low = fnv(fnvOffset, s.Trace)
		c.High = fnv(c.Low, s.Trace)
	}
	c.Wide = c.High != 0
	return c
}

// SofaSpan is the id of the span of an RPC id.
func SofaSpan[T string | []byte](rpc T) uint64 { return fnv(fnvOffset, rpc) }

// Random is a number by which all hops of the trace draw alike.
func (s Sofa) Random() uint64 { return fnv(fnvOffset, s.Trace) }

const fnvOffset = 0xcbf29ce484222325

// fnv is FNV-1a of 64 bits.
func fnv[T string | []byte](h uint64, s T) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

// AppendNext appends the RPC id of the nth call that the one with id makes.
func AppendNext(dst []byte, id string, n int) []byte {
	return strconv.AppendInt(append(append(dst, id...), '.'), int64(n), 10)
}

// InjectSofa makes a request that has a trace of SOFATracer's the call with an RPC id.
// scratch is for text, and returned as it has grown.
func InjectSofa(h *sdk.Headers, rpc string, scratch []byte) []byte {
	if i := h.Find(sofaRPC, 0); i >= 0 {
		h.SetValueAt(i, rpc)
	}
	i := h.Find(sofaContext, 0)
	if i < 0 {
		return scratch
	}
	b := scratch[:0]
	for rest := h.ValueAt(i); rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		switch key, _, _ := strings.Cut(pair, "="); key {
		case "spid":
			b = append(append(b, "spid="...), rpc...)
		case "pspid":
			b = append(append(b, "pspid="...), rpc[:max(strings.LastIndexByte(rpc, '.'), 0)]...)
		default:
			b = append(b, pair...)
		}
		if rest != "" || strings.HasSuffix(h.ValueAt(i), "&") {
			b = append(b, '&')
		}
	}
	h.SetValueAt(i, str(b))
	return b
}

// str is b as a string, for callers that copy it at once.
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
