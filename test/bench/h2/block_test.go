//go:build linux

package h2

import (
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// decode reads a block with somebody else's decoder.
func decode(t *testing.T, d *hpack.Decoder, p []byte) (fields []header) {
	t.Helper()
	all, err := d.DecodeFull(p)
	if err != nil {
		t.Fatalf("%x: %v", p, err)
	}
	for _, f := range all {
		fields = append(fields, header{f.Name, f.Value})
	}
	return fields
}

// Whatever order blocks come in, each is what it says; told once, it is a byte for each field.
func TestBlocks(t *testing.T) {
	var e encoder
	d := hpack.NewDecoder(4096, nil)
	for round := range 3 {
		for i := range blocks {
			b := (i*3 + block(round)) % blocks
			p := e.append(nil, b)
			if got := decode(t, d, p); !slices.Equal(got, b.headers()) {
				t.Errorf("block %d reads %v, want %v", b, got, b.headers())
			}
			if again := e.append(nil, b); len(again) != len(b.headers()) {
				t.Errorf("block %d takes %d bytes for %d fields", b, len(again), len(b.headers()))
			}
		}
	}
	// A peer that keeps no table (nginx, to its backends) is told so once, and everything else each time.
	e.forget()
	d.SetAllowedMaxDynamicTableSize(0)
	for i := range 4 {
		p := appendPath(e.begin(nil), NewMark(77))
		p = e.append(p, getBlock)
		if (p[0] == 0x20) != (i == 0) {
			t.Errorf("block %d begins with %#x", i, p[0])
		}
		want := append([]header{{":path", "/item?id=000000000000004d"}}, getBlock.headers()...)
		if got := decode(t, d, p); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	out := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(10, func() { out = e.append(out[:0], getBlock) }); n != 0 {
		t.Errorf("%v allocations for a block", n)
	}
}
