package tls

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// hello returns the ClientHello that crypto/tls would send.
func hello(tb testing.TB, name string) []byte {
	tb.Helper()
	here, there := net.Pipe()
	defer here.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(there, &tls.Config{ServerName: name, NextProtos: []string{"h2"}}).Handshake()
	}()
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(here, head); err != nil {
		tb.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(here, body); err != nil {
		tb.Fatal(err)
	}
	here.Close()
	<-done
	return append(head, body...)
}

// fragment puts the payload of one record into many.
func fragment(record []byte, size int) (out []byte) {
	for p := record[headerSize:]; len(p) > 0; p = p[min(size, len(p)):] {
		n := min(size, len(p))
		out = append(out, record[0], record[1], record[2], byte(n>>8), byte(n))
		out = append(out, p[:n]...)
	}
	return out
}

func TestWholeHello(t *testing.T) {
	whole := hello(t, "a.example")
	for _, size := range []int{1, 3, 4, 5, 100, len(whole)} {
		in := fragment(whole, size)
		for n := range in {
			if wholeHello(in[:n]) {
				t.Fatalf("in fragments of %d: %d bytes of %d are enough", size, n, len(in))
			}
		}
		if !wholeHello(in) || !wholeHello(append(in, "more"...)) {
			t.Errorf("in fragments of %d: all of it is not", size)
		}
	}
	for _, bad := range []string{"G", "\x17", "\x16\x02", "\x16\x03\x01\x00\x00", "\x16\x03\x01\x60\x00", "\x16\x03\x01\x00\x04\x02", "\x16\x03\x01\x00\x04\x01\x01\x00\x00"} {
		if !wholeHello([]byte(bad)) {
			t.Errorf("%q is waited for", bad)
		}
	}
}

func TestWholeRecords(t *testing.T) {
	one := []byte("\x17\x03\x03\x00\x02ab")
	for in, want := range map[string]int{
		"": 0, string(one[:4]): 0, string(one[:6]): 0, string(one): 7, string(one) + "\x17": 7, string(one) + string(one): 14,
		string(one) + "\x17\x02\x00\x00\x00": 12, "\x17\x03\x03\x7f\xff": 5,
	} {
		if got := wholeRecords([]byte(in)); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

// FuzzHello: what is whole stays whole with more behind it, and is never beyond the
// input or without bound.
func FuzzHello(f *testing.F) {
	whole := hello(f, "a.example")
	f.Add(whole)
	f.Add(fragment(whole, 7))
	f.Add([]byte("GET / HTTP/1.1"))
	f.Fuzz(func(t *testing.T, in []byte) {
		n := wholeRecords(in)
		if n < 0 || n > len(in) {
			t.Fatalf("%d of %d bytes", n, len(in))
		}
		if wholeHello(in) && !wholeHello(append(bytes.Clone(in), 0)) {
			t.Fatal("was whole and is no longer")
		}
		if !wholeHello(in) && len(in) > (maxHello+4)*(headerSize+1)+maxRecord {
			t.Fatalf("%d bytes are not enough", len(in))
		}
		if wholeHello(in) && n == 0 && len(in) > headerSize && len(in) > maxRecord+headerSize {
			t.Fatal("a whole hello without a whole record")
		}
	})
}
