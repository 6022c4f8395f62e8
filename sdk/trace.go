package sdk

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
)

// Tracer is a tracing provider as an extension, exported by its package as a value and
// listed in builtin.
type Tracer struct {
	Name    string        // Envoy's name: "envoy.tracers.zipkin"
	Config  proto.Message // the type of typed_config, as an empty message
	Fields  FieldStatus
	Compile func(Compiler, proto.Message) (TraceProvider, error)
}

// TraceProvider is a compiled tracer: how a trace is carried from hop to hop, and where
// spans go. It is read-only and shared by all loops. What a span says is the stream's
// business.
type TraceProvider interface {
	// Start fills in what makes s a span of the request: ids, parent, sampling, kind and
	// name. It reports false when the request says of its trace what cannot be read: then
	// there is no span. It is called on a loop, for a span that is empty.
	Start(s *Span, o *SpanStart) bool
	// Child makes s, which is empty, the client's span with an id below parent. It is called
	// on a loop.
	Child(s, parent *Span, id uint64)
	// Inject writes the context of s into a request that goes on. It is called on a loop.
	Inject(s *Span, h *Headers)
	// Batching says when spans are sent. It is called by the goroutine of Export.
	Batching() Batching
	// Export sends ended spans, which it must not keep, and waits for the answer. count
	// adds to a counter. It is called by one goroutine at a time, never on a loop; ctx ends
	// with the proxy.
	Export(ctx context.Context, spans []*Span, count func(Counter, uint64))
}

// Batching says when a provider's spans are sent: when so many wait, or from time to time.
type Batching struct {
	Spans    int           // at least 1
	Interval time.Duration // positive
	// Most is the most spans of a loop that wait, and of one Export.
	Most int
	// Dropped counts spans for which there was no room, Timed what Interval has started.
	Dropped, Timed Counter
}

// SpanQueue takes ended spans to the goroutine that exports them.
type SpanQueue interface {
	// Put takes the contents of s, or drops them when there is no room; s is empty then.
	// It is called on the loop with that index, and neither blocks nor allocates once the
	// spans have grown.
	Put(loop int, s *Span)
	// Close gives the queue up; what is in it is still sent.
	Close()
}

// SpanStart is what is known of a request when its span begins.
type SpanStart struct {
	Request  *Headers
	Sampled  bool // what the connection manager has decided
	Outbound bool // the proxy stands at the side of the request's client
	// Hop says that the proxy is a hop of its own in the trace, with spans both for the
	// request that comes and for those that go.
	Hop bool
	// Name is what the span is called, "" where the provider has its own custom.
	Name string
	// Foreign is the context that the request brings in a form that providers do not know,
	// for a request that has none in the provider's own; the zero value is none.
	Foreign TraceContext
	// ID is what the span's own id is to be, Trace that of a trace that begins here.
	ID    uint64
	Trace [2]uint64
	Wall  time.Time
}

// TraceContext tells where in which trace something is. The zero value is nowhere.
type TraceContext struct {
	High, Low uint64 // the trace
	Span      uint64
	// Wide says that the trace's id is written with all of its 128 bits, Spanned that the
	// provider shows the ids of spans.
	Wide, Spanned bool
}

// None reports whether there is no trace.
func (c TraceContext) None() bool { return c.High|c.Low == 0 }

// AppendTrace appends the trace's id, in hexadecimal digits.
func (c TraceContext) AppendTrace(dst []byte) []byte {
	if c.Wide || c.High != 0 {
		dst = AppendHex(dst, c.High)
	}
	return AppendHex(dst, c.Low)
}

// AppendHex appends the 16 digits of n.
func AppendHex(dst []byte, n uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[n>>shift&15])
	}
	return dst
}
