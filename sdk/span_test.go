package sdk

import (
	"strings"
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	s := &Span{}
	s.SetName("egress ", "a")
	s.Tag("one", "1")
	s.TagUint("two", 2)
	s.SetTag(TagText, "one", "more")
	s.SetTag(TagInt, "int", "-5")
	s.SetTag(TagDouble, "double", "0.5")
	s.SetTag(TagBool, "yes", "true")
	s.SetTag(TagBool, "no", "0")
	s.SetTag(TagInt, "odd", "5x")
	s.SetTag(TagInt, "int", "6")
	at := time.Unix(1, 0)
	s.Event(at, "e")
	if s.Name() != "egress a" || s.Tags() != 7 || s.Get("one") != "more" || s.Get("two") != "2" || s.Get("none") != "" {
		t.Errorf("%q, %d tags, %q %q", s.Name(), s.Tags(), s.Get("one"), s.Get("two"))
	}
	for i, want := range []struct {
		kind    TagKind
		integer int64
		double  float64
	}{{TagText, 0, 0}, {TagText, 0, 0}, {TagInt, 6, 0}, {TagDouble, 0, 0.5}, {TagBool, 1, 0}, {TagBool, 0, 0}, {TagText, 0, 0}} {
		kind, integer, double := s.TypedAt(i)
		if kind != want.kind || want.kind != TagText && (integer != want.integer || double != want.double) {
			name, _ := s.TagAt(i)
			t.Errorf("%s is %d %d %v", name, kind, integer, double)
		}
	}
	if when, name := s.EventAt(0); s.Events() != 1 || when != at || name != "e" {
		t.Errorf("event %v %q", when, name)
	}
	s.SetName("b")
	s.SetState("x=y")
	if s.Name() != "b" || s.State() != "x=y" {
		t.Errorf("%q %q", s.Name(), s.State())
	}
	s.Parent, s.Sampled, s.High = 1, true, 2
	if s.Reset(); s.Name() != "" || s.Tags() != 0 || s.Events() != 0 || s.Parent != 0 || s.Sampled || s.High != 0 || s.Size() != 0 {
		t.Errorf("after Reset: %+v", s)
	}
}

// TestSpanIsBounded: what a peer sends does not make a span large.
func TestSpanIsBounded(t *testing.T) {
	s := &Span{}
	s.Tag("a", strings.Repeat("x", 1<<20))
	if got := len(s.Get("a")); got != maxTag {
		t.Errorf("a tag has %d bytes", got)
	}
	for range 100 {
		s.Tag("a", strings.Repeat("x", maxTag))
	}
	if s.Reset(); cap(s.buf) != 0 {
		t.Errorf("%d bytes are kept", cap(s.buf))
	}
}

func TestTraceContext(t *testing.T) {
	for _, tt := range []struct {
		c    TraceContext
		want string
	}{
		{TraceContext{Low: 0xabc}, "0000000000000abc"},
		{TraceContext{Low: 0xabc, Wide: true}, "00000000000000000000000000000abc"},
		{TraceContext{High: 1, Low: 0xabc}, "00000000000000010000000000000abc"},
	} {
		if got := string(tt.c.AppendTrace(nil)); got != tt.want || tt.c.None() {
			t.Errorf("%+v is %s", tt.c, got)
		}
	}
	if !(TraceContext{Span: 1, Wide: true}).None() {
		t.Error("there is a trace without an id")
	}
}
