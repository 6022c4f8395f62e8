package hessian

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestNumbers(t *testing.T) {
	var ints []int
	var longs []int64
	for _, edge := range []int{0x10, 0x2f, 0x7ff, 0x800, 0x3ffff, 0x40000, math.MaxInt32, 8, 15} {
		for d := -1; d <= 1; d++ {
			ints = append(ints, int(int32(edge+d)), int(int32(-edge+d)))
		}
	}
	for _, n := range ints {
		longs = append(longs, int64(n))
	}
	longs = append(longs, math.MaxInt64, math.MinInt64, 1<<31, -1<<31-1)
	for _, d := range []Dialect{Old, Final} {
		w := newWriter(d)
		for _, n := range ints {
			w.int(n).longInt(n)
		}
		for _, n := range longs {
			w.long(n)
		}
		r := reset(t, d, w.b)
		for _, n := range ints {
			for range 2 {
				if got, err := r.Int(); err != nil || int(got) != n {
					t.Fatalf("%d, %v; want %d", got, err, n)
				}
			}
		}
		for _, n := range longs {
			if k := r.Kind(); k != Long {
				t.Fatalf("kind %d", k)
			}
			if got, err := r.Long(); err != nil || got != n {
				t.Fatalf("%d, %v; want %d", got, err, n)
			}
		}
		if len(r.Rest()) > 0 {
			t.Errorf("%d bytes left", len(r.Rest()))
		}
	}
}

func TestIntIsNoLong(t *testing.T) {
	if n, err := reset(t, Old, newWriter(Old).long(5).b).Int(); err == nil {
		t.Errorf("a long was read as the int %d", n)
	}
	if n, err := reset(t, Old, newWriter(Old).int(-5).b).Long(); err != nil || n != -5 {
		t.Errorf("an int was read as the long %d, %v", n, err)
	}
	for _, b := range []string{"N", "T", "\x01a", "\x5c", "@"} {
		if n, err := reset(t, Final, []byte(b)).Long(); err == nil {
			t.Errorf("%q was read as %d", b, n)
		}
	}
}

func TestString(t *testing.T) {
	for _, d := range []Dialect{Old, Final} {
		for _, s := range []string{
			"", "a", strings.Repeat("x", 31), strings.Repeat("x", 32), strings.Repeat("x", 1023),
			strings.Repeat("y", 1024), strings.Repeat("中", 700), "a😀b", "\x00\n", "é中😀", strings.Repeat("😀", 600),
		} {
			got, err := reset(t, d, newWriter(d).text(s).b).String(nil)
			if err != nil || string(got) != s {
				t.Errorf("dialect %d: %q, %v; want %q", d, got, err, s)
			}
			scratch := make([]byte, 3, 64)
			got, err = reset(t, d, newWriter(d).chunks(s, "", s).b).String(scratch)
			if err != nil || string(got) != s+s {
				t.Errorf("dialect %d, chunks: %q, %v; want %q twice", d, got, err, s)
			}
		}
	}
}

func TestStringRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 2000 {
		d := Dialect(rng.IntN(2))
		s := randomText(rng, rng.IntN(1200))
		w := newWriter(d).text(s).null()
		r := reset(t, d, w.b)
		if got, err := r.String(nil); err != nil || string(got) != s || !r.Null() {
			t.Fatalf("%q, %v; want %q", got, err, s)
		}
	}
}

// TestStringRefused is about texts that two readers could take for different
// ones, and that are skipped all the same.
func TestStringRefused(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		skip bool
	}{
		"null":                   {"N", true},
		"a number":               {"\x91", true},
		"a truth value":          {"T", true},
		"a reference":            {"\x51\x90", true},
		"overlong in two bytes":  {"\x01\xc1\xa1", true},
		"overlong NUL":           {"\x01\xc0\x80", true},
		"overlong in three":      {"\x01\xe0\x81\xa1", true},
		"the high half":          {"\x02\xed\xa0\xbda", true},
		"the low half":           {"\x02\xed\xb8\x80a", true},
		"the halves turned":      {"\x02\xed\xb8\x80\xed\xa0\xbd", true},
		"halves in two chunks":   {"R\x00\x01\xed\xa0\xbd\x01\xed\xb8\x80", true},
		"four bytes":             {"\x01\xf0\x9f\x98\x80", false},
		"a chunk that is a null": {"R\x00\x01aN", false},
	} {
		if got, err := reset(t, Final, []byte(c.body)).String(nil); err == nil {
			t.Errorf("%s was read as %q", name, got)
		}
		if _, err := Skip(Final, []byte(c.body), Limits{}); (err == nil) != c.skip {
			t.Errorf("%s: skipped: %v", name, err)
		}
	}
}

func TestStringLimit(t *testing.T) {
	for _, c := range []struct {
		body []byte
		ok   bool
	}{
		{newWriter(Old).text("abcd").b, true},
		{newWriter(Old).text("abcde").b, false},
		{newWriter(Old).chunks("ab", "cd").b, true},
		{newWriter(Old).chunks("abc", "de").b, false},
		{newWriter(Old).text("中a").b, true},
		{newWriter(Old).text("中中").b, false},
	} {
		r := &Reader{}
		if err := r.Reset(Old, c.body, Limits{Text: 4}); err != nil {
			t.Fatal(err)
		}
		got, err := r.String(nil)
		if e := new(Error); c.ok != (err == nil) || err != nil && (!errors.As(err, &e) || e.Reason != Exceeded) {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// TestStringBorrows checks that a text in one piece is a part of the body, which
// an append to it does not write into, and that another is not.
func TestStringBorrows(t *testing.T) {
	for _, c := range []struct {
		body   []byte
		within bool
	}{
		{newWriter(Old).text("中a").null().b, true},
		{newWriter(Old).text("😀").null().b, false},
		{newWriter(Old).chunks("a", "b").null().b, false},
	} {
		r := reset(t, Old, c.body)
		s, err := r.String(nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = append(s, 'X')
		if !r.Null() {
			t.Fatal("an append to the text changed the body")
		}
		clear(c.body)
		if (s[0] == 0) != c.within {
			t.Errorf("%q: part of the body: %v", s, !c.within)
		}
	}
}

// TestWalk goes into an object and a map in it.
func TestWalk(t *testing.T) {
	for _, d := range []Dialect{Old, Final} {
		w := newWriter(d)
		w.define("com.Outer", "name", "when", "m", "other").define("com.Inner")
		w.object(0).text("n").bytes(w.pick('d', 0x4a), 0, 0, 0, 0, 0, 0, 0, 1)
		w.beginMap().text("k").int(5).int(6).bytes(0x21, 'x').null().bytes('T').end()
		w.object(1).long(9)
		r := reset(t, d, w.b)
		if k := r.Kind(); k != Object {
			t.Fatalf("kind %d", k)
		}
		o, err := r.Object()
		if err != nil {
			t.Fatal(err)
		}
		if c, err := o.Class(); err != nil || string(c) != "com.Outer" {
			t.Fatalf("class %q, %v", c, err)
		}
		var names []string
		var found []Kind
		for {
			name, ok, err := o.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			names, found = append(names, string(name)), append(found, r.Kind())
			if string(name) != "m" {
				if err := r.Skip(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err := r.Map(); err != nil {
				t.Fatal(err)
			}
			for !r.End() {
				found = append(found, r.Kind())
				if err := r.Skip(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if want := []string{"name", "when", "m", "other"}; !slices.Equal(names, want) {
			t.Errorf("fields %q", names)
		}
		if want := []Kind{Text, Date, Map, Text, Int, Int, Binary, Null, Bool, Object}; !slices.Equal(found, want) {
			t.Errorf("kinds %d, want %d", found, want)
		}
		if k := r.Kind(); k != Long || r.Offset() != len(w.b)-1 {
			t.Errorf("stands at %d before %d", r.Offset(), k)
		}
		if err := r.Skip(); err != nil || r.Kind() != None || r.Null() || r.End() {
			t.Errorf("at the end: %v, %d", err, r.Kind())
		}
	}
}

func TestWrongKind(t *testing.T) {
	w := newWriter(Final).int(1)
	if err := reset(t, Final, w.b).Map(); err == nil {
		t.Error("an int was entered as a map")
	}
	if _, err := reset(t, Final, w.b).Object(); err == nil {
		t.Error("an int was entered as an object")
	}
	if err := reset(t, Final, nil).Map(); err == nil {
		t.Error("nothing was entered as a map")
	}
}
