package rpcview

import (
	"bytes"
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	for key, want := range map[string]string{
		"App": "app", "trace.Id_1": "trace.id_1", "x-app": "x-app", "hosts": "hosts",
		"": "", ":path": "", "X-Envoy-Internal": "", "x-forwarded-for": "", "X-RPC-Status": "", "x-request-id": "", "X-Real-IP": "",
		"Host": "", "Content-Length": "", "transfer-encoding": "", "a b": "", "a\r\nb": "", "a\x00": "", "é": "", "a:b": "",
		strings.Repeat("n", MaxName): strings.Repeat("n", MaxName), strings.Repeat("n", MaxName+1): "",
	} {
		var buf [MaxName]byte
		if got := Name(buf[:], []byte(key)); string(got) != want {
			t.Errorf("%q is shown as %q, want %q", key, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{"a\tb é": "a\tb é", "a\r\nb\x00\x7f": "a??b??"} {
		p := []byte(in)
		if IsClean(p) != (in == want) {
			t.Errorf("%q: IsClean is wrong", in)
		}
		if Clean(p); string(p) != want || !IsClean(p) {
			t.Errorf("%q became %q", in, p)
		}
	}
}

// TestCleanEachByte holds the fast look at a value against the slow one.
func TestCleanEachByte(t *testing.T) {
	for n := range 20 {
		value := bytes.Repeat([]byte("a~\u00fc"), 6)[:n]
		if !IsClean(value) {
			t.Errorf("%q is clean", value)
		}
		for i := range n {
			for c := range 256 {
				bad := bytes.Clone(value)
				bad[i] = byte(c)
				cleaned, was := bytes.Clone(bad), IsClean(bad)
				Clean(cleaned)
				want := bytes.Clone(bad)
				if c < ' ' && c != '\t' || c == 0x7f {
					want[i] = '?'
				}
				if !bytes.Equal(cleaned, want) || was != bytes.Equal(bad, want) {
					t.Fatalf("%q became %q", bad, cleaned)
				}
			}
		}
	}
}

func TestParts(t *testing.T) {
	for s, want := range map[string][2]bool{
		"com.acme.Hello$1": {true, true}, "": {false, true}, "a/b": {false, true}, "a?": {false, true}, "%2e": {false, true},
		`a\b`: {false, true}, "a b": {false, false}, "a\n": {false, false}, "\x7f": {false, false}, "1.0": {true, true},
	} {
		if got := [2]bool{InPath([]byte(s)), InLine([]byte(s))}; got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}
