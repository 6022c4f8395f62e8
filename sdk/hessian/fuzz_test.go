package hessian

import (
	"bytes"
	"errors"
	"testing"
	"unicode/utf8"
)

// skipTwice checks what must hold of any bytes: a value that is skipped is
// skipped alike alone, and is truncated without its last byte.
func skipTwice(t *testing.T, d Dialect, body []byte) {
	n, err := Skip(d, body, Limits{Depth: 64})
	if err != nil {
		if e := new(Error); !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(body) {
			t.Fatalf("error %+v", err)
		}
		return
	}
	if n <= 0 || n > len(body) {
		t.Fatalf("skipped %d of %d", n, len(body))
	}
	if m, err := Skip(d, bytes.Clone(body[:n]), Limits{Depth: 64}); err != nil || m != n {
		t.Fatalf("skipped %d, then %d of them: %v", n, m, err)
	}
	_, err = Skip(d, body[:n-1:n-1], Limits{Depth: 64})
	if e := new(Error); !errors.As(err, &e) || e.Reason != Truncated {
		t.Fatalf("skipped %d, and without the last byte: %v", n, err)
	}
}

func FuzzSkipOld(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) { skipTwice(t, Old, body) })
}

func FuzzSkipFinal(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) { skipTwice(t, Final, body) })
}

func checkTexts(t *testing.T, texts ...[]byte) {
	t.Helper()
	for _, s := range texts {
		if !utf8.Valid(s) || len(s) > 64<<10 {
			t.Fatalf("text %q", s)
		}
	}
}

// FuzzSofaRequest checks that the names are proper texts, and that a server's
// way to them, all fields one after another, finds the same ones.
func FuzzSofaRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := readSofa(t, body)
		if err != nil {
			return
		}
		checkTexts(t, q.Service, q.Method, q.Generic)
		r := reset(t, Old, body)
		o, err := r.Object()
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for found < 2 {
			name, ok, err := o.Next()
			if !ok || err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			want, is := map[string][]byte{sofaMethod: q.Method, sofaService: q.Service}[string(name)]
			if !is {
				if err := r.Skip(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			found++
			if got, err := r.String(nil); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: %q, %q, %v", name, got, want, err)
			}
		}
	})
}

// FuzzDubboRequest checks that the texts are proper, and that five values, the
// arguments and the attachments are the whole body.
func FuzzDubboRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		r := reset(t, Final, body)
		var q DubboRequest
		if q.Read(r) != nil {
			return
		}
		checkTexts(t, q.Dubbo, q.Path, q.Version, q.Method, q.Descriptor, q.Generic)
		a, err := q.Attachments(r)
		if err != nil {
			return
		}
		target, err := a.Target(&q)
		if err != nil {
			return
		}
		checkTexts(t, target.Group, target.Interface)
		n, err := all(reset(t, Final, body))
		if err != nil || n != 5+q.Arguments+1 {
			t.Fatalf("%d values, %d arguments: %v", n, q.Arguments, err)
		}
	})
}
