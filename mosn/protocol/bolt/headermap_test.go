package bolt

import (
	"bytes"
	"testing"
)

// TestIsClean holds the fast look at a value against the slow one.
func TestIsClean(t *testing.T) {
	for n := range 20 {
		value := bytes.Repeat([]byte("a~\u00fc"), 6)[:n]
		if !isClean(value) {
			t.Errorf("%q is clean", value)
		}
		for i := range n {
			for c := range 256 {
				bad := bytes.Clone(value)
				bad[i] = byte(c)
				cleaned := bytes.Clone(bad)
				clean(cleaned)
				want := bytes.Clone(bad)
				if c < ' ' && c != '\t' || c == 0x7f {
					want[i] = '?'
				}
				if !bytes.Equal(cleaned, want) {
					t.Fatalf("%q became %q", bad, cleaned)
				}
			}
		}
	}
}
