package sdk

import (
	"strconv"
	"time"
	"unsafe"
)

// SpanKind says on which side of a call a span is.
type SpanKind uint8

// The kinds.
const (
	SpanServer SpanKind = iota
	SpanClient
)

// Span is one span of a trace, while it lasts and on its way to the collector. Its text
// is in an arena that is reused, so that a span costs nothing once it has grown. The zero
// value is empty. A Span belongs to a stream, later to a SpanQueue.
type Span struct {
	TraceContext
	Parent  uint64 // 0 for none
	Sampled bool   // it is to be sent
	Kind    SpanKind
	// Form is the provider's: in which of its forms the context came.
	Form       uint8
	Start, End time.Time

	name, state text
	tags        []tag
	events      []event
	buf         []byte
}

// text is a piece of a span's arena.
type text struct{ off, len uint32 }

type tag struct {
	name, value text
	kind        TagKind
	number      float64
	integer     int64
}

type event struct {
	at   time.Time
	name text
}

// TagKind is the type of a tag's value.
type TagKind uint8

// The types. All values read as text too.
const (
	TagText TagKind = iota
	TagInt
	TagDouble
	TagBool
)

// maxTag bounds the text of one tag: what is longer is cut off.
const maxTag = 4 << 10

// Reset empties s and keeps its storage, unless that is unusually large.
func (s *Span) Reset() {
	const keep = 16 << 10
	buf, tags, events := s.buf[:0], s.tags[:0], s.events[:0]
	if cap(buf) > keep {
		buf = nil
	}
	*s = Span{buf: buf, tags: tags, events: events}
}

// Size is about how many bytes the span's text has.
func (s *Span) Size() int { return len(s.buf) }

func (s *Span) store(v string) text {
	if len(v) > maxTag {
		v = v[:maxTag]
	}
	off := len(s.buf)
	s.buf = append(s.buf, v...)
	return text{uint32(off), uint32(len(v))}
}

func (s *Span) str(t text) string {
	if t.len == 0 {
		return ""
	}
	return unsafe.String(&s.buf[t.off], int(t.len))
}

// Name returns what the span is called.
func (s *Span) Name() string { return s.str(s.name) }

// SetName calls the span by what the parts make together.
func (s *Span) SetName(parts ...string) {
	s.name = text{uint32(len(s.buf)), 0}
	for _, p := range parts {
		s.name.len += s.store(p).len
	}
}

// State returns what vendors say of the trace (W3C tracestate).
func (s *Span) State() string { return s.str(s.state) }

// SetState sets what State returns.
func (s *Span) SetState(v string) { s.state = s.store(v) }

// Tag adds a tag with a name that s does not have yet.
func (s *Span) Tag(name, value string) {
	s.tags = append(s.tags, tag{name: s.store(name), value: s.store(value)})
}

// TagUint is Tag for the digits of a number.
func (s *Span) TagUint(name string, n uint64) {
	var b [20]byte
	s.TagBytes(name, strconv.AppendUint(b[:0], n, 10))
}

// TagBytes is Tag for text that is in bytes.
func (s *Span) TagBytes(name string, value []byte) {
	s.Tag(name, unsafe.String(unsafe.SliceData(value), len(value)))
}

// SetTag adds a tag, in place of one of that name. Its value is of a type, if it reads as
// one; else it is text.
func (s *Span) SetTag(kind TagKind, name, value string) {
	t := s.place(name)
	t.value = s.store(value)
	var err error
	switch kind {
	case TagInt:
		t.integer, err = strconv.ParseInt(value, 10, 64)
	case TagDouble:
		t.number, err = strconv.ParseFloat(value, 64)
	case TagBool:
		var b bool
		if b, err = strconv.ParseBool(value); b {
			t.integer = 1
		}
	}
	if err == nil {
		t.kind = kind
	}
}

// place returns the empty tag with a name.
func (s *Span) place(name string) *tag {
	for i := range s.tags {
		if s.str(s.tags[i].name) == name {
			s.tags[i] = tag{name: s.tags[i].name}
			return &s.tags[i]
		}
	}
	s.tags = append(s.tags, tag{name: s.store(name)})
	return &s.tags[len(s.tags)-1]
}

// Tags is the number of tags.
func (s *Span) Tags() int { return len(s.tags) }

// TagAt returns a tag.
func (s *Span) TagAt(i int) (name, value string) {
	t := &s.tags[i]
	return s.str(t.name), s.str(t.value)
}

// TypedAt returns of what type the value of a tag is, and the value if it is a number or
// (as 0 or 1) a boolean.
func (s *Span) TypedAt(i int) (kind TagKind, integer int64, double float64) {
	t := &s.tags[i]
	return t.kind, t.integer, t.number
}

// Get returns the value of a tag, "" when there is none.
func (s *Span) Get(name string) string {
	for i := range s.tags {
		if n, v := s.TagAt(i); n == name {
			return v
		}
	}
	return ""
}

// Event notes that something has happened.
func (s *Span) Event(at time.Time, name string) {
	s.events = append(s.events, event{at, s.store(name)})
}

// Events is the number of events.
func (s *Span) Events() int { return len(s.events) }

// EventAt returns an event.
func (s *Span) EventAt(i int) (at time.Time, name string) {
	return s.events[i].at, s.str(s.events[i].name)
}
