package sdk

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// newHeaders makes headers of names and values.
func newHeaders(fields ...string) *Headers {
	h := new(Headers)
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return h
}

// dump prints the live fields.
func dump(h *Headers) string {
	var b strings.Builder
	for name, value := range h.All() {
		fmt.Fprintf(&b, "%s=%s;", name, value)
	}
	return b.String()
}

func wantFields(t *testing.T, h *Headers, want string) {
	t.Helper()
	if got := dump(h); got != want {
		t.Fatalf("fields %q, want %q", got, want)
	}
	n, size := 0, 0
	for name, value := range h.All() {
		n, size = n+1, size+len(name)+len(value)
	}
	if h.Len() != n || h.ByteSize() != size {
		t.Fatalf("Len %d, ByteSize %d, want %d, %d", h.Len(), h.ByteSize(), n, size)
	}
}

func TestHeadersZeroValue(t *testing.T) {
	var h Headers
	wantFields(t, &h, "")
	if v, ok := h.Get("host"); v != "" || ok || h.Has("x") || h.Find("x", 0) != -1 || h.ID(HeaderPath) != "" || h.Status() != 0 || h.Slots() != 0 {
		t.Fatal("an empty Headers has something")
	}
	h.Reset()
	h.Add("x", "")
	if v, ok := h.Get("x"); v != "" || !ok {
		t.Fatal("an empty value is no value")
	}
}

// TestHeadersPristine: every change ends it, and what changes nothing does not.
func TestHeadersPristine(t *testing.T) {
	fill := func() *Headers {
		h := newHeaders("x", "1", "via", "a", "x", "2")
		h.SetPristine()
		return h
	}
	for name, edit := range map[string]func(*Headers){
		"Add":         func(h *Headers) { h.Add("y", "") },
		"AddID":       func(h *Headers) { h.AddID(HeaderPath, "/") },
		"AddBytes":    func(h *Headers) { h.AddBytes(HeaderOther, []byte("y"), nil) },
		"AddOriginal": func(h *Headers) { h.AddOriginal(HeaderOther, []byte("y"), []byte("Y"), nil) },
		"AddLoaded":   func(h *Headers) { h.Load([]byte("y")); h.AddLoaded(LoadedField{NameEnd: 1}) },
		"Set":         func(h *Headers) { h.Set("x", "1") },
		"SetID":       func(h *Headers) { h.SetID(HeaderVia, "b") },
		"SetInt":      func(h *Headers) { h.SetInt(HeaderVia, 1) },
		"SetStatus":   func(h *Headers) { h.SetStatus(200) },
		"AppendID":    func(h *Headers) { h.AppendID(HeaderVia, ",", "b") },
		"AppendID 2":  func(h *Headers) { h.AppendID(HeaderServer, ",", "b") },
		"SetValueAt":  func(h *Headers) { h.SetValueAt(0, "3") },
		"RemoveAt":    func(h *Headers) { h.RemoveAt(0) },
		"Remove":      func(h *Headers) { h.Remove("x") },
		"RemoveID":    func(h *Headers) { h.RemoveID(HeaderVia) },
		"Reset":       func(h *Headers) { h.Reset() },
		"CopyFrom":    func(h *Headers) { h.CopyFrom(newHeaders("x", "1")) },
		"Swap":        func(h *Headers) { h.Swap(newHeaders("x", "1")) },
	} {
		h := fill()
		if edit(h); h.Pristine() {
			t.Errorf("%s is not noticed", name)
		}
	}
	h := fill()
	h.Remove("y")
	h.RemoveID(HeaderPath)
	var o, p Headers
	o.CopyFrom(h)
	p.Swap(&o)
	if !h.Pristine() || !p.Pristine() || o.Pristine() {
		t.Error("a copy differs, or what changes nothing counts")
	}
}

func TestHeadersSetAndRemove(t *testing.T) {
	h := newHeaders("x", "1", ":path", "/", "x", "2", "via", "a", "y", "3", "x", "4", "via", "b")
	wantFields(t, h, "x=1;:path=/;x=2;via=a;y=3;x=4;via=b;")
	held := h.Value("x")
	h.Set("x", "longer than before")
	wantFields(t, h, "x=longer than before;:path=/;via=a;y=3;via=b;")
	if held != "1" {
		t.Fatalf("a string got before has become %q", held)
	}
	h.Set("new", "5")
	h.SetID(HeaderVia, "c")
	h.SetID(HeaderHost, "h")
	wantFields(t, h, "x=longer than before;:path=/;via=c;y=3;new=5;host=h;")
	if !h.Remove("y") || h.Remove("y") || !h.RemoveID(HeaderPath) || h.RemoveID(HeaderPath) {
		t.Fatal("Remove does not tell whether there was something")
	}
	wantFields(t, h, "x=longer than before;via=c;new=5;host=h;")
	h.Add(":path", "/2")
	if h.Path() != "/2" || h.Value(":path") != "/2" {
		t.Fatal("a name that came back is not found")
	}
	h.Reset()
	wantFields(t, h, "")
}

func TestHeadersIndexFollows(t *testing.T) {
	h := newHeaders("via", "1", "via", "2", "via", "3")
	h.RemoveAt(0)
	h.RemoveAt(0)
	if h.ID(HeaderVia) != "2" {
		t.Fatalf("the first via is %q", h.ID(HeaderVia))
	}
	if i := h.Find("via", 0); i != 1 {
		t.Fatalf("Find gives %d", i)
	}
	if i := h.Find("via", 2); i != 2 || h.ValueAt(i) != "3" {
		t.Fatalf("the next is %d", i)
	}
	h.RemoveAt(1)
	h.RemoveAt(2)
	if h.HasID(HeaderVia) || h.Find("via", 0) != -1 {
		t.Fatal("via is still there")
	}
	if _, _, ok := h.At(1); ok || h.IDAt(1) != HeaderOther {
		t.Fatal("a removed field is shown")
	}
}

func TestHeadersAppendID(t *testing.T) {
	var h Headers
	h.AppendID(HeaderForwardedFor, ", ", "1.1.1.1")
	h.Add("x", "y")
	h.AppendID(HeaderForwardedFor, ", ", "2.2.2.2")
	wantFields(t, &h, "x-forwarded-for=1.1.1.1, 2.2.2.2;x=y;")
}

func TestHeadersNumbers(t *testing.T) {
	var h Headers
	h.SetStatus(503)
	h.SetInt(HeaderContentLength, -1)
	h.SetInt(HeaderContentLength, 12345678901)
	wantFields(t, &h, ":status=503;content-length=12345678901;")
	for s, want := range map[string]int{"200": 200, "099": 99, "20": 0, "2000": 0, "2x0": 0, "": 0, "-20": 0} {
		h.SetID(HeaderStatus, s)
		if h.Status() != want {
			t.Errorf("%q is status %d", s, h.Status())
		}
	}
}

func TestHeadersPseudo(t *testing.T) {
	h := newHeaders(":method", "GET", ":path", "/p", ":authority", "h", ":scheme", "https")
	if h.Method() != "GET" || h.Path() != "/p" || h.Authority() != "h" || h.Scheme() != "https" {
		t.Fatal(dump(h))
	}
}

func TestHeadersCopyAndSwap(t *testing.T) {
	a := newHeaders("x", "1", ":path", "/")
	var b Headers
	b.CopyFrom(a)
	a.Set("x", "2")
	a.RemoveID(HeaderPath)
	wantFields(t, &b, "x=1;:path=/;")
	if b.Path() != "/" {
		t.Fatal("the copy has no index")
	}
	b.Swap(a)
	wantFields(t, &b, "x=2;")
	wantFields(t, a, "x=1;:path=/;")
}

func TestHeadersOriginal(t *testing.T) {
	var h Headers
	h.AddOriginal(LookupHeader("x-foo"), []byte("x-foo"), []byte("X-fOO"), []byte("1"))
	h.AddOriginal(HeaderContentType, []byte("content-type"), []byte("Content-Type"), []byte("2"))
	h.AddOriginal(HeaderAuthority, []byte("host"), []byte("HoSt"), []byte("3"))
	h.Add("plain", "4")
	for i, want := range []string{"X-fOO", "Content-Type", "HoSt", "plain"} {
		if got := h.OriginalNameAt(i); got != want || h.HasOriginalAt(i) != (i < 3) {
			t.Errorf("name %d is %q", i, got)
		}
	}
	wantFields(t, &h, "x-foo=1;content-type=2;:authority=3;plain=4;")
}

// load adds the lines of a text as a codec does.
func load(h *Headers, text string, kept bool) {
	orig := 0
	if kept {
		h.Load([]byte(text))
		orig = -len(text)
	}
	p := h.Load([]byte(text))
	at := 0
	for line := range strings.Lines(text) {
		colon := strings.Index(line, ": ")
		name := p[at : at+colon]
		copy(name, strings.ToLower(string(name)))
		f := LoadedField{
			ID: LookupHeader(string(name)), Name: at, NameEnd: at + colon, Value: at + colon + 2, ValueEnd: at + len(line) - 2, Exact: true,
		}
		if kept {
			f.Original = orig + at
		}
		h.AddLoaded(f)
		at += len(line)
	}
}

func TestHeadersLoad(t *testing.T) {
	const text = "Host: h\r\nX-A: 1\r\nVia: a\r\nx-a: 2\r\n"
	for _, kept := range []bool{false, true} {
		h := newHeaders("first", "0")
		load(h, text, kept)
		wantFields(t, h, "first=0;host=h;x-a=1;via=a;x-a=2;")
		for i, want := range []string{"", "host: h\r\n", "x-a: 1\r\n", "via: a\r\n", "x-a: 2\r\n"} {
			if got := string(h.LineAt(i)); got != want || h.CleanAt(i) != (want != "") {
				t.Errorf("line %d is %q, clean %v", i, got, h.CleanAt(i))
			}
		}
		for i, want := range []string{"first", "Host", "X-A", "Via", "x-a"} {
			if got := h.OriginalNameAt(i); kept && got != want || !kept && got != strings.ToLower(want) {
				t.Errorf("kept %v: name %d was %q", kept, i, got)
			}
		}
		h.Set("x-a", "evil\r\n")
		h.AppendID(HeaderVia, ",", "b")
		h.RemoveID(HeaderHost)
		for i := range h.Slots() {
			if h.LineAt(i) != nil || h.CleanAt(i) && i != 1 {
				t.Errorf("line %d is not known to be changed", i)
			}
		}
		wantFields(t, h, "first=0;x-a=evil\r\n;via=a,b;")
		h.Reset()
		load(h, text, kept)
		wantFields(t, h, "host=h;x-a=1;via=a;x-a=2;")
	}
	var h Headers
	h.Load([]byte("abc")) // a head that turned out to be unfinished
	h.Reset()
	load(&h, "a: b\r\n", false)
	wantFields(t, &h, "a=b;")
}

// TestHeadersAgainstModel applies random edits to Headers and to a plain list.
func TestHeadersAgainstModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	names := []string{"x", "via", ":path", "content-length", "y-z", "cookie"}
	type pair struct{ name, value string }
	for range 300 {
		h := new(Headers)
		var model []pair
		for step := range 40 {
			name, value := names[rnd.IntN(len(names))], fmt.Sprint(step)
			first := slices.IndexFunc(model, func(p pair) bool { return p.name == name })
			others := func(p pair) bool { return p.name == name }
			switch rnd.IntN(4) {
			case 0:
				h.Add(name, value)
				model = append(model, pair{name, value})
			case 1:
				h.Set(name, value)
				if first < 0 {
					model = append(model, pair{name, value})
					break
				}
				rest := slices.DeleteFunc(slices.Clone(model[first+1:]), others)
				model = append(append(model[:first:first], pair{name, value}), rest...)
			case 2:
				if h.Remove(name) != (first >= 0) {
					t.Fatal("Remove is wrong about " + name)
				}
				model = slices.DeleteFunc(model, others)
			case 3:
				load(h, name+": "+value+"\r\n", step%2 == 0)
				model = append(model, pair{name, value})
			}
			want := ""
			for _, p := range model {
				want += p.name + "=" + p.value + ";"
			}
			wantFields(t, h, want)
			for _, name := range names {
				i := slices.IndexFunc(model, func(p pair) bool { return p.name == name })
				v, ok := h.Get(name)
				if ok != (i >= 0) || ok && v != model[i].value {
					t.Fatalf("%s is %q, %v", name, v, ok)
				}
			}
		}
	}
}

// TestLookupHeader finds every known name, and nothing else.
func TestLookupHeader(t *testing.T) {
	for id := HeaderOther + 1; id < numHeaderIDs; id++ {
		name := id.Name()
		if name == "" {
			t.Errorf("id %d has no name", id)
			continue
		}
		if got := LookupHeader(name); got != id {
			t.Errorf("%q is found as %d, want %d", name, got, id)
		}
		for _, other := range []string{name + "x", name[:len(name)-1], "x" + name[1:], strings.ToUpper(name)} {
			if got := LookupHeader(other); got != HeaderOther && got.Name() != other {
				t.Errorf("%q is found as %q", other, got.Name())
			}
		}
	}
}

func TestHeadersAllocateNothing(t *testing.T) {
	text := "host: h\r\nx-a: 1\r\nvia: a\r\naccept: */*\r\n"
	var h, other Headers
	p := []byte(text)
	edit := func() {
		h.Reset()
		h.Load(p)
		h.AddLoaded(LoadedField{ID: HeaderHost, NameEnd: 4, Value: 6, ValueEnd: 7, Exact: true})
		h.AddBytes(HeaderOther, p[9:12], p[14:15])
		h.Add(":path", "/")
		h.SetID(HeaderPath, "/longer")
		h.SetInt(HeaderContentLength, 12345)
		h.AppendID(HeaderForwardedFor, ",", "1.1.1.1")
		h.Remove("x-a")
		for i := range h.Slots() {
			h.At(i)
		}
		other.CopyFrom(&h)
	}
	edit()
	if n := testing.AllocsPerRun(100, edit); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkHeadersAdd(b *testing.B) {
	names := []string{":authority", "user-agent", "accept", "x-request-id", "x-b3-traceid", "traceparent", "content-type", "cookie"}
	var h Headers
	for b.Loop() {
		h.Reset()
		for _, name := range names {
			h.Add(name, "a value of usual length")
		}
	}
}

func BenchmarkHeadersGet(b *testing.B) {
	h := newHeaders(":method", "GET", ":path", "/", ":authority", "h", "x-a", "1", "x-b", "2", "traceparent", "3", "x-c", "4")
	b.Run("id", func(b *testing.B) {
		for b.Loop() {
			if h.Path() == "" {
				b.Fatal()
			}
		}
	})
	b.Run("known name", func(b *testing.B) {
		for b.Loop() {
			if h.Value(":path") == "" {
				b.Fatal()
			}
		}
	})
	b.Run("other name", func(b *testing.B) {
		for b.Loop() {
			if h.Value("x-c") == "" {
				b.Fatal()
			}
		}
	})
}

func BenchmarkLookupHeader(b *testing.B) {
	names := []string{"host", "user-agent", "accept", "x-request-id", "x-b3-traceid", "traceparent", "content-type", "sec-ch-ua-platform"}
	for b.Loop() {
		for _, name := range names {
			LookupHeader(name)
		}
	}
}

func TestHeadersLines(t *testing.T) {
	var h Headers
	line := func(id HeaderID, name, value string, sensitive bool) {
		text := name + ": " + value + "\r\n"
		p := h.StartLine(len(text) + 10)
		copy(p, text)
		h.AddLine(id, len(name), len(value), sensitive)
	}
	line(HeaderPath, ":path", "/", false)
	line(HeaderOther, "x-key", "secret", true)
	copy(h.StartLine(100), "dropped")
	line(HeaderOther, "x-a", "", false)
	h.Add("x-b", "1")
	wantFields(t, &h, ":path=/;x-key=secret;x-a=;x-b=1;")
	for i, want := range []string{":path: /\r\n", "x-key: secret\r\n", "x-a: \r\n", ""} {
		if got := string(h.LineAt(i)); got != want || h.CleanAt(i) != (want != "") || h.SensitiveAt(i) != (i == 1) {
			t.Errorf("line %d is %q, clean %v, sensitive %v", i, got, h.CleanAt(i), h.SensitiveAt(i))
		}
	}
	h.Set("x-key", "other")
	if h.LineAt(1) != nil || !h.SensitiveAt(1) {
		t.Error("a value that was replaced is as sensitive as before, and no line")
	}
	h.Reset()
	load(&h, "a: b\r\n", false)
	if h.SensitiveAt(0) {
		t.Error("a slot that is used again is still sensitive")
	}
}
