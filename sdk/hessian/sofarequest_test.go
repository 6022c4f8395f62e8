package hessian

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func readSofa(t testing.TB, body []byte) (q SofaRequest, err error) {
	t.Helper()
	err = q.Read(reset(t, Old, body))
	return q, err
}

func TestSofaRequestCaptured(t *testing.T) {
	for _, c := range []struct {
		what, method string
		writer       SofaWriter
	}{
		{"Java client: sync", "hello", SofaJava},
		{"Java client: one-way", "tell", SofaJava},
		{"Node client", "hello", SofaNode},
	} {
		body := captured(t, "sofarpc", c.what)
		q, err := readSofa(t, body)
		if err != nil || string(q.Service) != "Main$Echo:1.0" || string(q.Method) != c.method || q.Generic != nil || q.Writer != c.writer {
			t.Errorf("%s: %q %q %q %d, %v", c.what, q.Service, q.Method, q.Generic, q.Writer, err)
		}
	}
}

// TestSofaRequestBeginning checks that the end of the body is not needed, which
// matters for large ones.
func TestSofaRequestBeginning(t *testing.T) {
	for _, what := range []string{"Java client: sync", "Node client"} {
		const service = "Main$Echo:1.0" // what both write after the method
		body := captured(t, "sofarpc", what)
		enough := strings.Index(string(body), service) + len(service)
		for n := range len(body) {
			q, err := readSofa(t, body[:n])
			if n >= enough {
				if err != nil || string(q.Service) != "Main$Echo:1.0" {
					t.Fatalf("%s, %d bytes: %q, %v", what, n, q.Service, err)
				}
				continue
			}
			if e := new(Error); !errors.As(err, &e) || e.Reason != Truncated {
				t.Fatalf("%s, %d bytes: %v", what, n, err)
			}
		}
	}
}

// sofa writes a SofaRequest with the fields in the given order, each "name" or
// "name=value"; without a value it is null.
func sofa(fields ...string) *writer {
	w := newWriter(Old)
	names, values := []string{}, []string{}
	for _, f := range fields {
		name, value, ok := strings.Cut(f, "=")
		if !ok {
			value = "\x00null"
		}
		names, values = append(names, name), append(values, value)
	}
	w.define(SofaRequestClass, names...).object(0)
	for _, v := range values {
		if v == "\x00null" {
			w.null()
		} else {
			w.text(v)
		}
	}
	return w
}

func TestSofaRequestOrder(t *testing.T) {
	for _, fields := range [][]string{
		{"methodName=m", "targetServiceUniqueName=s"},
		{"targetServiceUniqueName=s", "methodName=m"},
		{"a", "b=x", "targetServiceUniqueName=s", "c", "methodName=m", "d"},
	} {
		if q, err := readSofa(t, sofa(fields...).b); err != nil || string(q.Service) != "s" || string(q.Method) != "m" {
			t.Errorf("%q: %q %q, %v", fields, q.Service, q.Method, err)
		}
	}
	// Chunked texts are put together.
	w := newWriter(Old).define(SofaRequestClass, "methodName", "targetServiceUniqueName").object(0)
	w.chunks("he", "llo").chunks("com.Echo", ":1.0")
	if q, err := readSofa(t, w.b); err != nil || string(q.Service) != "com.Echo:1.0" || string(q.Method) != "hello" {
		t.Errorf("%q %q, %v", q.Service, q.Method, err)
	}
}

// TestSofaRequestWriter: a known writer is one whose body begins with its very
// definition.
func TestSofaRequestWriter(t *testing.T) {
	java := []string{"targetAppName", "methodName=m", "targetServiceUniqueName=s", "requestProps", "methodArgSigs"}
	node := []string{"methodName=m", "methodArgSigs", "targetServiceUniqueName=s", "targetAppName", "requestProps"}
	other := []string{"targetAppName", "requestProps=forbidden", "targetServiceUniqueName=s", "methodName=m", "methodArgSigs"}
	for _, c := range []struct {
		name string
		body []byte
		want SofaWriter
	}{
		{"Java", sofa(java...).b, SofaJava},
		{"Node", sofa(node...).b, SofaNode},
		{"Java's first field", sofa(other...).b, SofaOther},
		{"one field more", sofa(append(java[:5:5], "x")...).b, SofaOther},
		{"another way to write the length", append([]byte("O\xc8\x2c"), sofa(java...).b[2:]...), SofaOther},
	} {
		q, err := readSofa(t, c.body)
		if err != nil || string(q.Service) != "s" || string(q.Method) != "m" || q.Writer != c.want {
			t.Errorf("%s: %q %q %d, %v", c.name, q.Service, q.Method, q.Writer, err)
		}
		if n := strings.LastIndex(string(c.body), "o\x90"); string(q.Definition) != string(c.body[:n]) {
			t.Errorf("%s: the definition is %q", c.name, q.Definition)
		}
	}
}

func TestSofaRequestGeneric(t *testing.T) {
	const service = "targetServiceUniqueName=s"
	for _, name := range []string{"$invoke", "$invokeAsync", "$genericInvoke"} {
		for _, w := range []*writer{
			sofa("methodName="+name, service, "requestProps", "methodArgSigs"),
			sofa("targetAppName", "methodName="+name, service, "requestProps", "methodArgSigs=x"),
			sofa("methodName="+name, "methodArgSigs=x", service, "targetAppName", "requestProps=x"),
		} {
			q, err := readSofa(t, w.text("real").strings("int").b)
			if err != nil || string(q.Method) != name || string(q.Generic) != "real" {
				t.Errorf("%s: %q, %v", name, q.Generic, err)
			}
		}
		for _, argument := range []string{"", "N", "\x91", "J\x00"} {
			w := sofa("methodName="+name, service, "requestProps")
			if q, err := readSofa(t, append(w.b, argument...)); err == nil {
				t.Errorf("%s: argument %q gave %q", name, argument, q.Generic)
			}
		}
	}
}

// TestSofaRequestEvasion tries to show the proxy another target than the server,
// or one that readers may take differently.
func TestSofaRequestEvasion(t *testing.T) {
	const service, method = "targetServiceUniqueName=s", "methodName=m"
	withValue := func(value string) []byte { // before the target
		w := newWriter(Old).define(SofaRequestClass, "requestProps", "methodName", "targetServiceUniqueName").object(0)
		w.b = append(w.b, value...)
		return w.text("m").text("s").b
	}
	accepted := map[string][]byte{
		"a map of plain values": withValue("M\x01a\x91\x01bTz"),
		"a list of Strings":     withValue("Vt\x00\x11[java.lang.Stringl\x00\x00\x00\x01\x01az"),
		"a list of strings":     withValue("Vt\x00\x07[stringn\x01\x01az"),
		"a list without a type": withValue("V\x01az"),
	}
	for name, body := range accepted {
		if _, err := readSofa(t, body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, body := range map[string][]byte{
		"two methods":                sofa(method, service, "methodName=n").b,
		"two services":               sofa(service, method, "targetServiceUniqueName=x").b,
		"no method":                  sofa(service).b,
		"no service":                 sofa(method).b,
		"null method":                sofa("methodName", service).b,
		"null service":               sofa(method, "targetServiceUniqueName").b,
		"another class":              newWriter(Old).define("com.SofaRequest", "methodName", "targetServiceUniqueName").object(0).text("m").text("s").b,
		"a typed map":                newWriter(Old).bytes('M').typ(SofaRequestClass).text("methodName").text("m").end().b,
		"a number for the method":    newWriter(Old).define(SofaRequestClass, "methodName", "targetServiceUniqueName").object(0).int(1).text("s").b,
		"an overlong method":         newWriter(Old).define(SofaRequestClass, "methodName", "targetServiceUniqueName").object(0).bytes(1, 0xc1, 0xad).text("s").b,
		"a class before":             newWriter(Old).define("C", "x").define(SofaRequestClass, "methodName", "targetServiceUniqueName").object(1).text("m").text("s").b,
		"the class before":           sofaTwice("methodName", "targetServiceUniqueName").object(1).text("m").text("s").b,
		"the class behind":           sofaTwice("targetServiceUniqueName", "methodName").object(0).text("m").text("s").b,
		"Java's class twice":         sofaTwice("targetAppName", "methodName", "targetServiceUniqueName", "requestProps", "methodArgSigs").object(1).null().text("m").text("s").b,
		"a null before":              append([]byte("N"), sofa(method, service).b...),
		"an object before":           withValue("o\x90N"),
		"an object deeper":           withValue("M\x01aVo\x90Nzz"),
		"a typed map before":         withValue("Mt\x00\x01Xz"),
		"a typed map, as strings":    withValue("Mt\x00\x07[stringz"),
		"a typed list before":        withValue("Vt\x00\x07[objectz"),
		"a list of another type":     withValue("Vt\x00\x11[java.io.XStringsz"),
		"a list of a longer type":    withValue("Vt\x00\x08[string[z"),
		"a list of a known type":     withValue("v\x90\x90"),
		"a list by reference":        withValue("Vu\x90z"),
		"a list by reference, old T": withValue("VT\x90z"),
		"a remote object before":     withValue("rt\x00\x01X\x01u"),
	} {
		q, err := readSofa(t, body)
		if e := new(Error); !errors.As(err, &e) || e.Reason != Refused {
			t.Errorf("%s: %q %q, %v", name, q.Service, q.Method, err)
		}
	}
}

// sofaTwice defines the class with the fields, and again in another order.
func sofaTwice(fields ...string) *writer {
	other := slices.Clone(fields)
	slices.Reverse(other)
	return newWriter(Old).define(SofaRequestClass, fields...).define(SofaRequestClass, other...)
}

// TestSofaRequestPlainEnds checks that a Reader which refused an object does not
// go on refusing.
func TestSofaRequestPlainEnds(t *testing.T) {
	var r Reader
	for range 2 {
		if err := r.Reset(Old, sofa("x", "methodName=m", "targetServiceUniqueName=s").define("C").object(1).b, Limits{}); err != nil {
			t.Fatal(err)
		}
		var q SofaRequest
		if err := q.Read(&r); err != nil {
			t.Fatal(err)
		}
		if err := r.Skip(); err != nil {
			t.Fatal(err)
		}
		bad := newWriter(Old).define(SofaRequestClass, "a", "methodName", "targetServiceUniqueName").object(0).object(0)
		if err := r.Reset(Old, bad.b, Limits{}); err != nil {
			t.Fatal(err)
		}
		if err := q.Read(&r); err == nil {
			t.Fatal("an object before the target was taken")
		}
	}
}

func TestSofaRequestAllocations(t *testing.T) {
	for _, what := range []string{"Java client: sync", "Node client"} {
		body := captured(t, "sofarpc", what)
		var r Reader
		var q SofaRequest
		if n := testing.AllocsPerRun(20, func() {
			if err := r.Reset(Old, body, Limits{}); err != nil {
				t.Fatal(err)
			}
			if err := q.Read(&r); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func BenchmarkSofaRequest(b *testing.B) {
	for _, what := range []string{"Java client: sync", "Node client"} {
		b.Run(what, func(b *testing.B) {
			body := captured(b, "sofarpc", what)
			var r Reader
			var q SofaRequest
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Reset(Old, body, Limits{}); err != nil {
					b.Fatal(err)
				}
				if err := q.Read(&r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
