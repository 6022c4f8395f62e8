package hpack

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	oracle "golang.org/x/net/http2/hpack"
)

// names and values for random blocks; some are the static table's.
func randomField(rnd *rand.Rand) (name, value string) {
	names := []string{":path", ":method", "host", "cookie", "x-a", "x-b", "accept-encoding", "x-forwarded-for", "date", "link", "if-match"}
	values := []string{"", "GET", "/", "gzip, deflate", "a", "b", "some longer value that is met again", strings.Repeat("z", 900)}
	name, value = names[rnd.IntN(len(names))], values[rnd.IntN(len(values))]
	switch rnd.IntN(8) {
	case 0:
		value = fmt.Sprint(rnd.Uint64())
	case 1:
		name = fmt.Sprintf("x-%d", rnd.IntN(200))
	case 2:
		p := make([]byte, rnd.IntN(40))
		for i := range p {
			p[i] = byte(33 + rnd.IntN(90))
		}
		value = string(p)
	}
	return name, value
}

// TestAgainstOracle has each side's blocks read by the other, over connections on
// which the size of the table changes.
func TestAgainstOracle(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for round := range 60 {
		e, d := newEncoder(4096, Huffman(round%3)), newDecoder(4096)
		var theirs bytes.Buffer
		oe, od := oracle.NewEncoder(&theirs), oracle.NewDecoder(4096, nil)
		for step := range 200 {
			if rnd.IntN(20) == 0 {
				size := rnd.IntN(5000)
				e.SetLimit(size)
				oe.SetMaxDynamicTableSize(uint32(min(size, 4096)))
			}
			theirs.Reset()
			var fields []string
			want := ""
			for range rnd.IntN(12) {
				name, value := randomField(rnd)
				sensitive := rnd.IntN(20) == 0
				if err := oe.WriteField(oracle.HeaderField{Name: name, Value: value, Sensitive: sensitive}); err != nil {
					t.Fatal(err)
				}
				want += name + "=" + value
				if sensitive {
					name = "!" + name
					want += " (sensitive)"
				}
				want += "\n"
				fields = append(fields, name, value)
			}
			got, err := read(d, theirs.Bytes())
			if got != want || err != nil {
				t.Fatalf("round %d, step %d: read %q, %v, want %q", round, step, got, err, want)
			}
			back, err := od.DecodeFull(write(e, fields...))
			if err != nil {
				t.Fatalf("round %d, step %d: the oracle refuses our block: %v", round, step, err)
			}
			for i, f := range back {
				if f.Name != strings.TrimPrefix(fields[2*i], "!") || f.Value != fields[2*i+1] || strings.HasPrefix(fields[2*i], "!") && !f.Sensitive {
					t.Fatalf("round %d, step %d: the oracle reads %v, want %q", round, step, f, fields[2*i:2*i+2])
				}
			}
			if len(back) != len(fields)/2 {
				t.Fatalf("the oracle reads %d fields, want %d", len(back), len(fields)/2)
			}
		}
	}
}

// FuzzDecoder compares what any two blocks on one connection mean with the oracle.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"), []byte("\x82\x86\x84\xbe\x58\x08no-cache"))
	f.Add([]byte("\x40\x03x-a\x01b\x3f\xe1\x1f"), []byte("\x20\x10\x01a\x01b"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		d, o := newDecoder(4096), oracle.NewDecoder(4096, nil)
		for _, block := range [][]byte{a, b} {
			fields, wantErr := o.DecodeFull(block)
			got, err := read(d, block)
			if err != nil && wantErr == nil {
				if err == errInteger || err == errUpdate {
					return // stricter about numbers, and updates behind the first
				}
				t.Fatalf("%x: error %v, the oracle has none", block, err)
			}
			if wantErr != nil {
				if err == nil && !strings.Contains(wantErr.Error(), "table size update") {
					t.Fatalf("%x is %q, and for the oracle an error: %v", block, got, wantErr)
				}
				return
			}
			want := ""
			for _, x := range fields {
				want += x.Name + "=" + x.Value
				if x.Sensitive {
					want += " (sensitive)"
				}
				want += "\n"
			}
			if strings.ReplaceAll(got, " (invalid)\n", "\n") != want {
				t.Fatalf("%x is %q, want %q", block, got, want)
			}
		}
	})
}
