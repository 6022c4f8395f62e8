package hessian

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// dubbo writes the head of a request.
func dubbo(path, version, method, descriptor string) *writer {
	return newWriter(Final).text("2.0.2").text(path).text(version).text(method).text(descriptor)
}

// attach writes a map of attachments from pairs of texts.
func (w *writer) attach(pairs ...string) *writer {
	w.beginMap()
	for _, s := range pairs {
		w.text(s)
	}
	return w.end()
}

func TestDubboRequestCaptured(t *testing.T) {
	user := func(more ...string) []string {
		return append([]string{"path=Main$Echo", "remote.application=peer-consumer", "interface=Main$Echo", "user=u1", "version=1.0"}, more...)
	}
	for _, c := range []struct {
		what, method string
		arguments    int
		attachments  []string
	}{
		{`2.7.23 request hello`, "hello", 1, user("group=g1")},
		{`2.7.23 request map`, "map", 2, user("group=g1")},
		{`2.7.23 one-way`, "tell", 1, user("group=g1")},
		{`3.3.4 request`, "hello", 1, user("timeout=1500", "group=g1")},
	} {
		body := captured(t, "dubbo", c.what)
		r := reset(t, Final, body)
		var q DubboRequest
		if err := q.Read(r); err != nil {
			t.Fatal(err)
		}
		head := fmt.Sprintf("%s %s %s %s %d", q.Dubbo, q.Path, q.Version, q.Method, q.Arguments)
		if want := fmt.Sprintf("2.0.2 Main$Echo 1.0 %s %d", c.method, c.arguments); head != want || q.Generic != nil {
			t.Errorf("%s: %s, want %s", c.what, head, want)
		}
		a, err := q.Attachments(r)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		place := r.Offset()
		for {
			e, ok, err := a.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if e.Start != place || e.Kind != Text || string(body[e.From+1:e.End]) != string(e.Value) {
				t.Errorf("%s: %q at %d, %d, %d", c.what, e.Key, e.Start, e.From, e.End)
			}
			place = e.End
			got = append(got, string(e.Key)+"="+string(e.Value))
		}
		slices.Sort(got)
		slices.Sort(c.attachments)
		if !slices.Equal(got, c.attachments) {
			t.Errorf("%s: %q, want %q", c.what, got, c.attachments)
		}
		start, end, null := a.Span()
		if end != len(body) || place != end-1 || body[start] != 'H' || null {
			t.Errorf("%s: span %d to %d of %d, null %v", c.what, start, end, len(body), null)
		}
	}
}

func TestDubboTargetCaptured(t *testing.T) {
	for _, what := range []string{"2.7.23 request hello", "2.7.23 request map", "3.3.4 request"} {
		r := reset(t, Final, captured(t, "dubbo", what))
		got, err := dubboTarget(r)
		if err != nil || string(got.Group) != "g1" || string(got.Interface) != "Main$Echo" {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}

func dubboTarget(r *Reader) (DubboTarget, error) {
	var q DubboRequest
	if err := q.Read(r); err != nil {
		return DubboTarget{}, err
	}
	a, err := q.Attachments(r)
	if err != nil {
		return DubboTarget{}, err
	}
	return a.Target(&q)
}

func TestDubboTarget(t *testing.T) {
	head := func() *writer { return dubbo("p", "v", "m", "") }
	for name, w := range map[string]*writer{
		"the same":    head().attach("path", "p", "version", "v", "group", "g", "interface", "i"),
		"nothing":     head().attach(),
		"null":        head().null(),
		"others":      head().beginMap().text("x").int(1).text("x").beginMap().end().end(),
		"a null":      newWriter(Final).text("2").text("p").null().text("m").text("").beginMap().text("version").null().end(),
		"null, empty": newWriter(Final).text("2").text("p").null().text("m").text("").attach("version", ""),
		"a typed map": head().bytes('M').typ("java.util.TreeMap").text("path").text("p").end(),
	} {
		if _, err := dubboTarget(reset(t, Final, w.b)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, w := range map[string]*writer{
		"another path":        head().attach("path", "q"),
		"another version":     head().attach("version", "w"),
		"no version":          head().attach("version", ""),
		"null path":           head().beginMap().text("path").null().end(),
		"two paths":           head().attach("path", "p", "path", "p"),
		"two groups":          head().attach("group", "a", "x", "y", "group", "b"),
		"two interfaces":      head().attach("interface", "a", "interface", "b"),
		"a number":            head().beginMap().text("group").int(1).end(),
		"an object":           head().beginMap().text("group").define("java.lang.String", "value").object(0).text("g").end(),
		"a reference":         head().beginMap().text("group").bytes(0x51, 0x90).end(),
		"a key not a text":    head().beginMap().int(1).text("p").end(),
		"a reference as map":  head().bytes(0x51, 0x90),
		"a list as map":       head().bytes(0x78),
		"an overlong key":     head().beginMap().bytes(4, 0xc1, 0xb0, 'a', 't', 'h').text("q").end(),
		"an end of the other": head().attach().attach(),
		"a byte behind":       head().attach("path", "p").null(),
	} {
		got, err := dubboTarget(reset(t, Final, w.b))
		if e := new(Error); !errors.As(err, &e) || e.Reason != Refused {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestDubboAttachmentObjects(t *testing.T) {
	w := dubbo("p", "", "m", "I").int(1).beginMap().text("o").define("C", "f").object(0).int(2).text("n").null().end()
	r := reset(t, Final, w.b)
	var q DubboRequest
	if err := q.Read(r); err != nil {
		t.Fatal(err)
	}
	if q.Offset != r.Offset() {
		t.Errorf("arguments at %d, reader at %d", q.Offset, r.Offset())
	}
	a, err := q.Attachments(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		key  string
		kind Kind
	}{{"o", Object}, {"n", Null}} {
		e, ok, err := a.Next()
		if err != nil || !ok || string(e.Key) != want.key || e.Kind != want.kind || e.Value != nil {
			t.Errorf("%q %d %q, %v %v", e.Key, e.Kind, e.Value, ok, err)
		}
	}
	for range 2 {
		if e, ok, err := a.Next(); ok || err != nil {
			t.Errorf("after the end: %q, %v", e.Key, err)
		}
	}
}

func TestDubboNullAttachments(t *testing.T) {
	r := reset(t, Final, dubbo("p", "", "m", "").null().b)
	var q DubboRequest
	if err := q.Read(r); err != nil {
		t.Fatal(err)
	}
	a, err := q.Attachments(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := a.Next(); ok || err != nil {
		t.Errorf("an entry in null: %v", err)
	}
	if start, end, null := a.Span(); start != len(r.b)-1 || end != len(r.b) || !null {
		t.Errorf("%d %d %v", start, end, null)
	}
}

func TestDubboGeneric(t *testing.T) {
	const descriptor = "Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;"
	for _, method := range []string{"$invoke", "$invokeAsync"} {
		// The server trims the name, so must we.
		for _, name := range []string{"real", " real\t", "\x00real\n"} {
			w := dubbo("p", "", method, descriptor).text(name).strings("int").bytes(0x79).int(1).attach("group", "g")
			r := reset(t, Final, w.b)
			var q DubboRequest
			if err := q.Read(r); err != nil || string(q.Generic) != "real" || string(q.Method) != method {
				t.Errorf("%s %q: %q, %v", method, name, q.Generic, err)
			}
			if got, err := dubboTarget(reset(t, Final, w.b)); err != nil || string(got.Group) != "g" {
				t.Errorf("%s %q: %q, %v", method, name, got.Group, err)
			}
		}
		for name, w := range map[string]*writer{
			"null":             dubbo("p", "", method, descriptor).null(),
			"a number":         dubbo("p", "", method, descriptor).int(1),
			"a String object":  dubbo("p", "", method, descriptor).define("java.lang.String", "value").object(0).text("x"),
			"without argument": dubbo("p", "", method, "").attach(),
		} {
			var q DubboRequest
			err := q.Read(reset(t, Final, w.b))
			if e := new(Error); !errors.As(err, &e) || e.Reason != Refused {
				t.Errorf("%s: %s: %q, %v", method, name, q.Generic, err)
			}
		}
	}
}

func TestDubboHead(t *testing.T) {
	for name, w := range map[string]*writer{
		"a number":       newWriter(Final).text("2").int(1),
		"an object":      newWriter(Final).text("2").define("C").object(0),
		"bad descriptor": dubbo("p", "", "m", "Q"),
		"a heartbeat":    newWriter(Final).null(),
	} {
		var q DubboRequest
		if err := q.Read(reset(t, Final, w.b)); err == nil {
			t.Errorf("%s: %+v", name, q)
		}
	}
	body := dubbo("p", "", "m", "I").b
	for n := range len(body) {
		var q DubboRequest
		err := q.Read(reset(t, Final, body[:n]))
		if e := new(Error); !errors.As(err, &e) || e.Reason != Truncated {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	var q DubboRequest
	if err := q.Read(reset(t, Final, body)); err != nil || q.Offset != len(body) {
		t.Errorf("the head alone: %v", err)
	}
}

func TestParameters(t *testing.T) {
	for d, want := range map[string]int{
		"": 0, "I": 1, "BCDFIJSZ": 8, "Ljava/lang/String;": 1, "[I": 1, "[[Lx;J": 2, "La;Lb;[Z": 3,
		"V": -1, "[": -1, "I[": -1, "L": -1, "L;": -1, "Lx": -1, "x": -1, "I ": -1, "II;": -1,
	} {
		if n, ok := parameters([]byte(d)); ok != (want >= 0) || ok && n != want {
			t.Errorf("%q: %d, %v", d, n, ok)
		}
	}
}

func TestDubboAllocations(t *testing.T) {
	body := captured(t, "dubbo", "3.3.4 request")
	var r Reader
	if n := testing.AllocsPerRun(20, func() {
		if err := r.Reset(Final, body, Limits{}); err != nil {
			t.Fatal(err)
		}
		if _, err := dubboTarget(&r); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDubboRequest(b *testing.B) {
	body := captured(b, "dubbo", "3.3.4 request")
	var r Reader
	b.Run("head", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Reset(Final, body, Limits{}); err != nil {
				b.Fatal(err)
			}
			var q DubboRequest
			if err := q.Read(&r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("target", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Reset(Final, body, Limits{}); err != nil {
				b.Fatal(err)
			}
			if _, err := dubboTarget(&r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
