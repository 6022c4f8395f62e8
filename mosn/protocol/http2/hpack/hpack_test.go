package hpack

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	oracle "golang.org/x/net/http2/hpack"

	"sofamesh.io/sofamesh/sdk"
)

// read decodes a block and returns its fields, one a line.
func read(d *Decoder, block []byte) (string, error) {
	var h sdk.Headers
	var b strings.Builder
	d.Begin(block)
	for {
		var f Field
		more, err := d.Next(&h, &f, false)
		if err != nil {
			return "", err
		}
		if !more {
			return b.String(), nil
		}
		h.AddLine(f.ID, f.Name, f.Value, f.Sensitive)
		i := h.Slots() - 1
		name, value, _ := h.At(i)
		if want := name + ": " + value + "\r\n"; string(h.LineAt(i)) != want {
			return "", fmt.Errorf("the line is %q, not %q", h.LineAt(i), want)
		}
		fmt.Fprintf(&b, "%s=%s", name, value)
		if f.Sensitive {
			b.WriteString(" (sensitive)")
		}
		if f.Invalid {
			b.WriteString(" (invalid)")
		}
		b.WriteByte('\n')
	}
}

func newDecoder(limit int) *Decoder {
	d := new(Decoder)
	d.Init(limit)
	return d
}

func newEncoder(limit int, h Huffman) *Encoder {
	e := new(Encoder)
	e.Init(limit, h)
	return e
}

// write encodes names and values; a name that begins with ! is sensitive.
func write(e *Encoder, fields ...string) []byte {
	block := make([]byte, BeginMax)
	block = block[:e.Begin(block)]
	for i := 0; i < len(fields); i += 2 {
		name, sensitive := strings.CutPrefix(fields[i], "!")
		p := make([]byte, FieldMax(name, fields[i+1]))
		block = append(block, p[:e.Put(p, sdk.LookupHeader(name), name, fields[i+1], sensitive)]...)
	}
	return block
}

func TestHuffmanCode(t *testing.T) {
	p := make([]byte, 0, 3*256)
	for a := range 256 {
		for b := range 256 {
			s := string([]byte{byte(a), byte(b), byte(a)})
			want := oracle.AppendHuffmanString(nil, s)
			if n := huffmanLen(s); n != len(want) {
				t.Fatalf("%q has length %d, want %d", s, n, len(want))
			}
			p = p[:len(want)]
			if n := putHuffman(p, s); n != len(want) || !bytes.Equal(p, want) {
				t.Fatalf("%q is %x, want %x", s, p, want)
			}
			out := make([]byte, decodedMax(len(p)))
			if n, err := decodeHuffman(out, p); err != nil || string(out[:n]) != s {
				t.Fatalf("%x is %q, %v, want %q", p, out[:n], err, s)
			}
		}
	}
}

// TestHuffmanHostile compares what random bytes decode to, and whether they do.
func TestHuffmanHostile(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		p := make([]byte, rnd.IntN(9))
		for i := range p {
			if p[i] = byte(rnd.Uint32()); rnd.IntN(3) == 0 {
				p[i] = 0xff
			}
		}
		want, wantErr := oracle.HuffmanDecodeToString(p)
		out := make([]byte, decodedMax(len(p)))
		n, err := decodeHuffman(out, p)
		if (err == nil) != (wantErr == nil) || err == nil && string(out[:n]) != want {
			t.Fatalf("%x is %q, %v, want %q, %v", p, out[:n], err, want, wantErr)
		}
	}
}

func TestStaticTable(t *testing.T) {
	d := oracle.NewDecoder(4096, nil)
	for i := 1; i <= staticLen; i++ {
		want, err := d.DecodeFull([]byte{0x80 | byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		s := static[i]
		if line := want[0].Name + ": " + want[0].Value + "\r\n"; s.line != line || s.id != sdk.LookupHeader(want[0].Name) {
			t.Errorf("entry %d is %q, want %q", i, s.line, line)
		}
		name, value := want[0].Name, want[0].Value
		first := i
		for static[first-1].line != "" && static[first-1].line[:static[first-1].name] == name {
			first--
		}
		if s.id == sdk.HeaderOther && staticName(name) != first {
			t.Errorf("%s is entry %d, want %d", name, staticName(name), first)
		}
		if s.id != sdk.HeaderOther && int(staticIDs[s.id]) != first {
			t.Errorf("%s is entry %d, want %d", name, staticIDs[s.id], first)
		}
		if value != "" && staticField(s.id, value) != i {
			t.Errorf("%s: %s is entry %d, want %d", name, value, staticField(s.id, value), i)
		}
	}
}

func TestDecoderRefuses(t *testing.T) {
	for _, c := range []struct {
		name, block string
		want        error
	}{
		{"index 0", "\x80", errIndex},
		{"index of no entry", "\xbe", errIndex},
		{"name of no entry", "\x7f\x00\x01a", errIndex},
		{"number cut off", "\xff", errInteger},
		{"number cut off later", "\xff\x80\x80", errInteger},
		{"number too large", "\xff\xff\xff\xff\xff\x7f", errInteger},
		{"no value", "\x41", errString},
		{"value cut off", "\x41\x05abcd", errString},
		{"name cut off", "\x40\x02a", errString},
		{"no name", "\x40", errString},
		{"Huffman end of string", "\x41\x84\xff\xff\xff\xff", errHuffman},
		{"Huffman padding too long", "\x41\x82\x1f\xff", errHuffman},
		{"Huffman padding of zeros", "\x41\x81\x18", errHuffman},
		{"update too large", "\x3f\xe2\x1f", errUpdate},
		{"update behind a field", "\x82\x20", errUpdate},
	} {
		if _, err := read(newDecoder(4096), []byte(c.block)); err != c.want {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

func TestDecoderJudges(t *testing.T) {
	for _, c := range []struct {
		name, value string
		invalid     bool
	}{
		{"x-a", "b", false}, {"x-a", "", false}, {"x-a", "a\tb c\xff", false}, {":path", "/", false},
		{"X-a", "b", true}, {"x a", "b", true}, {"", "b", true}, {":unknown", "b", true}, {"x:a", "b", true}, {"x-\xe4", "b", true},
		{"x-a", "a\r\nb: c", true}, {"x-a", "a\x00", true}, {"x-a", "\n", true}, {"x-a", "a\x7fb", true},
		{"x-a", " b", true}, {"x-a", "b\t", true}, {"cookie", "a\x01", true}, {"Host", "b", true},
	} {
		for _, kind := range []byte{0, 0x10, 0x40} {
			block := []byte{kind, byte(len(c.name))}
			block = append(block, c.name...)
			block = append(block, byte(len(c.value)))
			block = append(block, c.value...)
			d := newDecoder(4096)
			for i := range 2 {
				var h sdk.Headers
				var f Field
				d.Begin(block)
				if _, err := d.Next(&h, &f, false); err != nil || f.Invalid != c.invalid || f.Sensitive != (kind == 0x10) {
					t.Errorf("%q: %q, kind %x, read %d times: invalid %v, sensitive %v, %v", c.name, c.value, kind, i, f.Invalid, f.Sensitive, err)
				}
				if kind == 0x40 {
					block = []byte{0x80 | staticLen + 1}
				}
			}
		}
	}
}

// TestDecoderNameOfInvalidEntry: the name of a field with a bad value is a good name.
func TestDecoderNameOfInvalidEntry(t *testing.T) {
	got, err := read(newDecoder(4096), []byte("\x40\x03x-a\x01\n\x7e\x01b\x40\x03X-A\x01c\x7e\x01d"))
	if want := "x-a=\n (invalid)\nx-a=b\nX-A=c (invalid)\nX-A=d (invalid)\n"; got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestDecoderLimit(t *testing.T) {
	d := newDecoder(100)
	if _, err := read(d, []byte("\x40\x01a\x01b\xbe")); err != nil {
		t.Fatal("before the settings are acknowledged a table has 4096 bytes", err)
	}
	d.SetLimit(100)
	if _, err := read(d, []byte("\x82")); err != errUpdate {
		t.Fatalf("a block without a size update: %v", err)
	}
	d = newDecoder(100)
	d.SetLimit(100)
	if got, err := read(d, []byte("\x3f\x45\x40\x01a\x01b\xbe")); err != nil || got != "a=b\na=b\n" {
		t.Fatalf("with one: %q, %v", got, err)
	}
	if _, err := read(d, []byte("\x3f\x46\x82")); err != errUpdate {
		t.Fatalf("an update to 101: %v", err)
	}
}

// TestDecoderBounded: whatever comes, the table holds about what it may.
func TestDecoderBounded(t *testing.T) {
	d := newDecoder(4096)
	value := strings.Repeat("v", 300)
	for i := range 10_000 {
		name := fmt.Sprintf("x-%d", i)
		if i%7 == 0 {
			name, value = "", ""
		} else {
			value = strings.Repeat("v", i%4200)
		}
		b := []byte{0x40, byte(len(name))}
		b = append(b, name...)
		p := make([]byte, 10)
		b = append(b, p[:putNumber(p, 0, 7, len(value))]...)
		b = append(b, value...)
		if _, err := read(d, b); err != nil {
			t.Fatal(err)
		}
		if d.table.size > 4096 || cap(d.table.text) > 4*4096+4096 || len(d.table.entries) > 256 {
			t.Fatalf("the table has %d bytes, %d of text, %d entries", d.table.size, cap(d.table.text), len(d.table.entries))
		}
	}
}

func TestEncoderChoices(t *testing.T) {
	e := newEncoder(4096, HuffmanOnce)
	for i, c := range []struct {
		fields []string
		want   string
	}{
		{[]string{":method", "GET", ":scheme", "https", ":status", "200", ":path", "/"}, "\x82\x87\x88\x84"},
		{[]string{"x-a", "one"}, "\x00\x03x-a\x03one"},
		{[]string{"x-a", "one"}, "\x40\x03x-a\x82=E"},
		{[]string{"x-a", "one"}, "\xbe"},
		{[]string{"x-a", "two"}, "\x00\x03x-a\x03two"},
		{[]string{"!x-a", "one"}, "\x10\x03x-a\x03one"},
		{[]string{"authorization", "one"}, "\x1f\x08\x03one"},
		{[]string{"authorization", "one"}, "\x1f\x08\x03one"},
		{[]string{"cookie", "a=b"}, "\x1f\x11\x03a=b"},
		{[]string{"proxy-authorization", "a"}, "\x1f\x22\x01a"},
		{[]string{"set-cookie", "a"}, "\x0f\x28\x01a"},
		{[]string{"accept-language", ""}, "\x0f\x02\x00"},
	} {
		if got := write(e, c.fields...); string(got) != c.want {
			t.Errorf("%d: %q is %q, want %q", i, c.fields, got, c.want)
		}
	}
	long := strings.Repeat("x", 3000)
	for range 3 {
		if got := write(e, "x-long", long); got[0] != 0 {
			t.Error("a field that would fill the table is put there")
		}
	}
	never := newEncoder(4096, HuffmanNever)
	always := newEncoder(4096, HuffmanAlways)
	for _, want := range []int{2 + 1 + 6, 1 + 1 + 6, 1} {
		if n := len(write(never, "www-authenticate", "aaaaaa")); n != want {
			t.Errorf("%d bytes without Huffman, want %d", n, want)
		}
	}
	if n := len(write(always, "www-authenticate", "aaaaaa")); n != 2+1+4 {
		t.Errorf("%d bytes with Huffman", n)
	}
}

func TestEncoderSizeUpdates(t *testing.T) {
	e := newEncoder(4096, HuffmanOnce)
	d := oracle.NewDecoder(4096, nil)
	check := func(when string, first byte, fields ...string) {
		t.Helper()
		block := write(e, fields...)
		if block[0] != first {
			t.Errorf("%s: the block is %x", when, block)
		}
		if _, err := d.DecodeFull(block); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	check("at first", 0x82, ":method", "GET", "x-a", "b")
	check("again", 0x82, ":method", "GET", "x-a", "b")
	e.SetLimit(100)
	e.SetLimit(8192)
	d.SetAllowedMaxDynamicTableSize(8192)
	block := write(e, "x-a", "b")
	if want := "\x20\x3f\xe1\x1f\x40\x03x-a\x01b"; string(block) != want {
		t.Errorf("smaller and larger again: %x, want %x", block, want)
	}
	if f, err := d.DecodeFull(block); err != nil || f[0].Name != "x-a" {
		t.Errorf("%v, %v", f, err)
	}
	e.SetLimit(0)
	check("no table", 0x20, "x-a", "b")
	check("no table", 0, "x-a", "b")
	check("no table", 0, "x-a", "b")
	none := newEncoder(0, HuffmanOnce)
	if got := string(write(none, ":method", "GET")); got != "\x20\x82" {
		t.Errorf("an encoder without a table begins with %x", got)
	}
}
