package codectest

import (
	"fmt"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// lineConn is a codec of lines: each is a message of one data event. Its fields
// make it break one promise each.
type lineConn struct {
	sdk.CodecConn
	id        uint64
	writes    bool // to the input
	overreads bool
	splits    bool // depends on how the input is cut
	keeps     bool // an alias of the input
	plain     bool // reports errors that are no *CodecError
	kept      []byte
	said      []byte
	refuses   bool // lines that begin with '-', and answers those with '?'
}

func (c *lineConn) Pending() bool { return len(c.said) > 0 }

func (c *lineConn) Flush(out *sdk.Buffer) {
	out.Append(c.said)
	c.said = nil
}

func (c *lineConn) Decode(in []byte, ev *sdk.Event) (int, error) {
	*ev = sdk.Event{Msg: ev.Msg}
	if c.keeps && c.kept != nil {
		ev.Kind, ev.Data = sdk.EventData, c.kept
		c.kept = nil
		return 1, nil
	}
	i := strings.IndexByte(string(in), '\n')
	switch {
	case c.overreads:
		return len(in) + 1, nil
	case c.splits && i < 0:
		ev.Kind = sdk.EventReset
		return len(in), nil
	case i < 0:
		return 0, nil
	case i == 0 && c.plain:
		return 0, fmt.Errorf("empty")
	case i == 0:
		return 0, &sdk.CodecError{Status: 400, Details: "empty", Text: "empty line"}
	}
	if c.writes {
		in[0] = 'x'
	}
	c.id++
	if c.refuses && in[0] == '-' {
		ev.Stream = c.id
		return i + 1, &sdk.CodecError{Status: 403, Details: "minus", Text: "no", Stream: true}
	}
	if c.refuses && in[0] == '?' {
		c.said = append(c.said, '!')
	}
	if c.keeps {
		c.kept = in[:1]
	}
	ev.Kind, ev.Stream, ev.Data, ev.End = sdk.EventData, c.id, in[:i], true
	return i + 1, nil
}

func (c *lineConn) EOF(ev *sdk.Event) error {
	*ev = sdk.Event{Msg: ev.Msg, Kind: sdk.EventGoAway}
	return nil
}

// failing is a TB that notes a failure instead of failing.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	panic(f)
}

// complaint runs the suite over a connection and returns what it complains of.
func complaint(t *testing.T, c lineConn, input string) (said string) {
	t.Helper()
	f := &failing{TB: t}
	defer func() {
		if r := recover(); r != nil && r != f {
			panic(r)
		}
		said = f.said
	}()
	Suite{New: func() sdk.CodecConn { conn := c; return &conn }}.Splits(f, []byte(input))
	return f.said
}

func TestSuiteFindsBrokenPromises(t *testing.T) {
	for _, c := range []struct {
		name string
		conn lineConn
		want string
	}{
		{"good", lineConn{}, ""},
		{"writes", lineConn{writes: true}, "has written to its input"},
		{"overreads", lineConn{overreads: true}, "has consumed"},
		{"splits", lineConn{splits: true}, "cut at 1"},
		{"keeps", lineConn{keeps: true}, "want, as in one piece"},
		{"plain errors", lineConn{plain: true}, "is no *sdk.CodecError"},
	} {
		if got := complaint(t, c.conn, "ab\ncd\n\n"); got == "" != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: the suite says %q", c.name, got)
		}
	}
}

func TestTranscript(t *testing.T) {
	s := Suite{New: func() sdk.CodecConn { return new(lineConn) }}
	want := "data 1 \"ab\"\nend 1\ndata 2 \"c\"\nend 2\ngoaway 0\n"
	if got := s.Read(t, []byte("a"), []byte("b\nc\nd")); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if got := s.Read(t, []byte("\nx\n")); got != "error 400 empty: empty line\n" {
		t.Fatalf("got %q", got)
	}
	s.Mutated(t, []byte("ab\ncd\n"), 50)
	asked := 0
	s.Open = func(_ sdk.CodecConn, _ *sdk.Buffer, ended uint64) bool {
		asked++
		return ended < 1
	}
	if got := s.Read(t, []byte("a\nb\n")); got != "data 1 \"a\"\nend 1\n" || asked != 2 {
		t.Fatalf("reading goes on after Open said no: %q, asked %d times", got, asked)
	}
}

// TestTalk: a stream that is refused is not the end of the connection, and what a
// codec says by itself is part of the transcript.
func TestTalk(t *testing.T) {
	s := Suite{New: func() sdk.CodecConn { return &lineConn{refuses: true} }}
	want := "refused 1 403 minus: no\nend 1\ndata 2 \"?\"\nend 2\ndata 3 \"?\"\nend 3\nsaid 2121\n"
	if got := s.Read(t, []byte("-\n?\n?\n")); !strings.HasPrefix(got, want[:len(want)-len("said 2121\n")]) || !strings.HasSuffix(got, "said 2121\n") {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	s.Splits(t, []byte("-\n?\n-\n?"))
}
