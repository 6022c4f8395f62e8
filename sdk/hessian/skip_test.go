package hessian

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// frame is a body of testdata/frames.txt.
type frame struct {
	writer, what string
	body         []byte
}

func (f frame) dialect() Dialect {
	if f.writer == "dubbo" || f.writer == "final" {
		return Final
	}
	return Old
}

func frames(t testing.TB) (list []frame) {
	t.Helper()
	text, err := os.ReadFile("testdata/frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "== "); ok {
			writer, what, _ := strings.Cut(title, ": ")
			list = append(list, frame{writer: writer, what: what})
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		last := &list[len(list)-1]
		last.body = append(last.body, b...)
	}
	return list
}

// captured returns the body whose description starts so.
func captured(t testing.TB, writer, what string) []byte {
	t.Helper()
	for _, f := range frames(t) {
		if f.writer == writer && strings.HasPrefix(f.what, what) {
			return f.body
		}
	}
	t.Fatalf("no frame %s: %s", writer, what)
	return nil
}

// all skips values up to the end of the body.
func all(r *Reader) (n int, err error) {
	for ; len(r.Rest()) > 0; n++ {
		if err := r.Skip(); err != nil {
			return n, err
		}
	}
	return n, nil
}

func reset(t testing.TB, d Dialect, body []byte) *Reader {
	t.Helper()
	r := &Reader{}
	if err := r.Reset(d, body, Limits{}); err != nil {
		t.Fatal(err)
	}
	return r
}

// wantTruncated checks that each beginning of body, cut at every step-th byte,
// either ends between two values or is said to be truncated, at its end.
func wantTruncated(t *testing.T, d Dialect, body []byte, step int) {
	t.Helper()
	r := &Reader{}
	for i := 0; i < len(body); i += step {
		if err := r.Reset(d, body[:i], Limits{}); err != nil {
			t.Fatal(err)
		}
		_, err := all(r)
		if err == nil {
			continue
		}
		if e := new(Error); !errors.As(err, &e) || e.Reason != Truncated || e.Offset != i {
			t.Fatalf("%d of %d bytes: %v", i, len(body), err)
		}
	}
}

func TestSkipFrames(t *testing.T) {
	for _, f := range frames(t) {
		t.Run(f.writer+" "+f.what, func(t *testing.T) {
			n, err := all(reset(t, f.dialect(), f.body))
			if err != nil {
				t.Fatal(err)
			}
			if f.what == "24 values" && n != 24 {
				t.Errorf("skipped %d values", n)
			}
			wantTruncated(t, f.dialect(), f.body, 1)
		})
	}
}

func TestSkipRandom(t *testing.T) {
	for _, d := range []Dialect{Old, Final} {
		rng := rand.New(rand.NewPCG(1, uint64(d)))
		for i := range 3000 {
			w := newWriter(d)
			w.random(rng, 5)
			first := len(w.b)
			w.random(rng, 3)
			n, err := Skip(d, w.b, Limits{})
			if err != nil || n != first {
				t.Fatalf("dialect %d, value %d: skipped %d of %d: %v\n%x", d, i, n, first, err, w.b[:first])
			}
			if got, err := all(reset(t, d, w.b)); err != nil || got != 2 {
				t.Fatalf("dialect %d, value %d: %d values: %v\n%x", d, i, got, err, w.b)
			}
			wantTruncated(t, d, w.b, 1+len(w.b)/50)
		}
	}
}

// TestEveryFirstByte says how long a value is for each first byte of both
// dialects, by the grammar; "-" starts none, "*" is tested elsewhere.
func TestEveryFirstByte(t *testing.T) {
	sizes := func(d Dialect) (list []string) {
		for b := range 256 {
			body := append([]byte{byte(b)}, make([]byte, 1<<16)...)
			n, err := Skip(d, body, Limits{})
			switch e := new(Error); {
			case err == nil:
				list = append(list, fmt.Sprint(n))
			case errors.As(err, &e) && e.What == "no value starts with this byte" && e.Offset == 0:
				list = append(list, "-")
			default:
				list = append(list, "*")
			}
		}
		return list
	}
	for _, c := range []struct {
		d    Dialect
		want string
	}{
		// After S, s, B and b come zeroes: an empty chunk, and then an empty text,
		// which ends a text and is no binary data. V and M are followed by the
		// texts of length 0, never by an end.
		{Old, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 " +
			"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 - - - - - - - - 3 3 3 3 3 3 3 3 " +
			"- - 3 - 9 - 1 - - 5 2 3 9 * 1 * - - 5 3 1 - * - - - - - - - - - " +
			"- - * - 9 - - 1 1 2 3 5 - - - * - - 2 4 - - * 5 - - * - - - - - "},
		{Final, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 " +
			"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 2 258 514 770 2 258 514 770 3 3 3 3 3 3 3 3 " +
			"- * 3 * 9 - 1 - * 5 9 5 9 * 1 * - * 4 3 1 * * * * 5 * 1 1 2 3 5 " +
			"* * * * * * * * * * * * * * * * 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 "},
	} {
		common := strings.Repeat("1 ", 0x40) + strings.Repeat("2 ", 0x10) + strings.Repeat("3 ", 8) +
			strings.Repeat("1 ", 0x18) + strings.Repeat("2 ", 0x10)
		want := strings.Fields(c.want + common)
		got := sizes(c.d)
		if len(want) != 256 {
			t.Fatalf("dialect %d: the table has %d entries", c.d, len(want))
		}
		for b := range 256 {
			if got[b] != want[b] {
				t.Errorf("dialect %d, first byte %#02x: %s, want %s", c.d, b, got[b], want[b])
			}
		}
	}
}

func TestHostile(t *testing.T) {
	nest := func(n int, begin, end string) string {
		return strings.Repeat(begin, n) + "N" + strings.Repeat(end, n)
	}
	bomb := func(d Dialect, classes, fields int) string {
		w := newWriter(d)
		names := make([]string, fields)
		for range classes {
			w.define("C", names...)
		}
		w.object(0)
		for range fields {
			w.null()
		}
		return string(w.b)
	}
	for _, c := range []struct {
		name   string
		d      Dialect
		body   string
		reason Reason
		offset int
	}{
		{"nothing", Old, "", Truncated, 0},
		{"an unknown byte", Old, "\x40", Malformed, 0},
		{"xml", Old, "X\x00\x00", Malformed, 0},
		{"the other dialect's map", Old, "HZ", Malformed, 0},
		{"the other dialect's object", Final, "o\x90", Malformed, 0},
		{"an end", Old, "z", Malformed, 0},
		{"an end", Final, "Z", Malformed, 0},
		{"half a pair", Old, "M\x01az", Malformed, 3},
		{"half a pair", Final, "H\x01aZ", Malformed, 3},
		{"256 maps", Old, nest(257, "M\x00", "z"), Exceeded, 512},
		{"256 lists", Final, nest(257, "\x79", ""), Exceeded, 256},
		{"256 open lists", Final, nest(257, "\x57", "Z"), Exceeded, 256},
		{"endless nesting", Old, strings.Repeat("V", 1<<20), Exceeded, 256},
		{"a list of 2147483647", Final, "\x58I\x7f\xff\xff\xffNN", Truncated, 8},
		{"a list of 2147483647", Old, "Vl\x7f\xff\xff\xffNN", Truncated, 8},
		{"a list of -1", Final, "\x58I\xff\xff\xff\xffN", Malformed, 1},
		{"a list of -1", Old, "Vl\xff\xff\xff\xffNz", Malformed, 1},
		{"a known list of -1", Old, "v\x90\x8fN", Malformed, 2},
		{"a list that is longer", Old, "Vn\x01NNz", Refused, 4},
		{"a list that is shorter", Old, "Vn\x02Nz", Malformed, 4},
		{"a count that is a double", Final, "\x58\x5c", Refused, 1},
		{"a count that is true", Final, "\x58T", Refused, 1},
		{"a type that is null", Final, "MNZ", Refused, 1},
		{"a negative type", Old, "Mu\x8fz", Malformed, 2},
		{"a negative type", Final, "M\x8fZ", Malformed, 1},
		{"a negative reference", Final, "\x51\x8f", Malformed, 1},
		{"a reference to a text", Final, "\x51\x01a", Refused, 1},
		{"no such class", Old, "o\x90", Malformed, 0},
		{"no such class", Final, "\x60", Malformed, 0},
		{"no such class", Final, "O\xd7\xff\xff", Malformed, 0},
		{"class -1", Old, "O\x91a\x90o\x8f", Malformed, 5},
		{"a definition and nothing", Old, "O\x91a\x90", Truncated, 4},
		{"a class name of 2147483647", Old, "OI\x7f\xff\xff\xff", Truncated, 6},
		{"a class name of -1", Old, "O\x8f\x90o\x90", Malformed, 1},
		{"a class with a number for a name", Final, "C\x91\x90\x60", Refused, 1},
		{"a class with -1 fields", Final, "C\x01a\x8f\x60", Malformed, 3},
		{"a class with 2147483647 fields", Final, "C\x01aI\x7f\xff\xff\xff\x60", Exceeded, 0},
		{"a field with a number for a name", Old, "O\x91a\x91\x91o\x90N", Refused, 4},
		{"1025 classes", Old, bomb(Old, 1025, 0), Exceeded, 4096},
		{"1025 classes", Final, bomb(Final, 1025, 0), Exceeded, 4096},
		{"1025 fields", Old, bomb(Old, 1, 1025), Exceeded, 0},
		{"a text of 65535", Old, "S\xff\xffabc", Truncated, 6},
		{"a text, then a number", Old, "s\x00\x01a\x91", Malformed, 4},
		{"a text, then data", Final, "R\x00\x01a\x21x", Malformed, 4},
		{"data, then a text", Final, "A\x00\x01a\x01x", Malformed, 4},
		{"chunks without end", Old, strings.Repeat("s\x00\x00", 1000), Truncated, 3000},
		{"a continuation first", Old, "\x01\x80", Malformed, 1},
		{"four bytes", Old, "\x01\xf0\x9f\x98\x80", Malformed, 1},
		{"four bytes for two", Final, "\x02\xf0\x9f\x98\x80", Malformed, 1},
		{"no continuation", Final, "\x01\xc3a", Malformed, 2},
		{"half a continuation", Final, "\x01\xe4\xb8a", Malformed, 3},
		{"a character cut off", Final, "\x01\xe4\xb8", Truncated, 3},
		{"remote without a url", Old, "rt\x00\x01a\x91", Refused, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Skip(c.d, []byte(c.body), Limits{})
			e := new(Error)
			if !errors.As(err, &e) || e.Reason != c.reason || e.Offset != c.offset {
				t.Errorf("%v (%+v), want reason %d at %d", err, e, c.reason, c.offset)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	w := newWriter(Final)
	w.define("A", "x", "y").object(0).text("v").bytes(0x7a, 'N', 'N') // a list of two nulls
	for _, c := range []struct {
		limits Limits
		ok     bool
	}{
		{Limits{}, true},
		{Limits{Bytes: len(w.b)}, true},
		{Limits{Bytes: len(w.b) - 1}, false},
		{Limits{Depth: 2}, true},
		{Limits{Depth: 1}, false},
		{Limits{Values: 5}, true},
		{Limits{Values: 4}, false},
		{Limits{Classes: 1, Fields: 2}, true},
		{Limits{Fields: 1}, false},
		{Limits{Text: 1}, true},
	} {
		n, err := Skip(Final, w.b, c.limits)
		if c.ok && (err != nil || n != len(w.b)) {
			t.Errorf("%+v: %d, %v", c.limits, n, err)
		}
		if e := new(Error); !c.ok && (!errors.As(err, &e) || e.Reason != Exceeded) {
			t.Errorf("%+v: %v", c.limits, err)
		}
	}
}

// TestNextBody checks that a Reader forgets the classes of the body before.
func TestNextBody(t *testing.T) {
	r := reset(t, Final, newWriter(Final).define("A").object(0).b)
	if err := r.Skip(); err != nil {
		t.Fatal(err)
	}
	if err := r.Reset(Final, []byte{0x60}, Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := r.Skip(); err == nil {
		t.Error("an object of the last body's class was taken")
	}
}

func TestErrorText(t *testing.T) {
	_, err := Skip(Old, []byte("M\x01a\x40z"), Limits{})
	if got, want := fmt.Sprint(err), "hessian: at byte 3: no value starts with this byte"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSkipAllocations(t *testing.T) {
	for _, f := range frames(t) {
		var r Reader
		if n := testing.AllocsPerRun(20, func() {
			if err := r.Reset(f.dialect(), f.body, Limits{}); err != nil {
				t.Fatal(err)
			}
			if _, err := all(&r); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %s: %v allocations", f.writer, f.what, n)
		}
	}
	plain := []byte("\x58\x93\x05helloNH\x01aTZ")
	if n := testing.AllocsPerRun(20, func() {
		if _, err := Skip(Final, plain, Limits{}); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Skip of a value without classes: %v allocations", n)
	}
}

func BenchmarkSkip(b *testing.B) {
	long := newWriter(Final).chunks(strings.Repeat("a", 30000), strings.Repeat("b", 30000)).b
	ints := newWriter(Final).bytes(0x58).int(10000)
	for i := range 10000 {
		ints.int(i)
	}
	for _, c := range []frame{
		{"sofarpc", "Java request", captured(b, "sofarpc", "Java client: sync")},
		{"final", "24 values", captured(b, "final", "24")},
		{"final", "60000 characters", long},
		{"final", "10000 ints", ints.b},
		{"final", "Chinese", newWriter(Final).text(strings.Repeat("中文", 500)).b},
	} {
		b.Run(c.what, func(b *testing.B) {
			var r Reader
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Reset(c.dialect(), c.body, Limits{}); err != nil {
					b.Fatal(err)
				}
				if _, err := all(&r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
