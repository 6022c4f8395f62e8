package trace

import (
	"fmt"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

const (
	high, low, span, parent = 0x0af7651916cd43dd, 0x8448eb211c80319c, 0xb7ad6b7169203331, 0x00f067aa0ba902b7

	wide   = "0af7651916cd43dd8448eb211c80319c"
	narrow = "8448eb211c80319c"
	spanID = "b7ad6b7169203331"
	above  = "00f067aa0ba902b7"
)

func TestW3C(t *testing.T) {
	for _, tt := range []struct {
		header  string
		sampled bool
		ok      bool
	}{
		{"00-" + wide + "-" + spanID + "-01", true, true},
		{"00-" + wide + "-" + spanID + "-00", false, true},
		{"00-" + strings.ToUpper(wide) + "-" + spanID + "-03", true, true},
		{"cc-" + wide + "-" + spanID + "-01", true, true},
		{"", false, false},
		{"00-" + wide + "-" + spanID, false, false},
		{"00-" + wide + "-" + spanID + "-01-more", false, false},
		{"00_" + wide + "-" + spanID + "-01", false, false},
		{"00-" + wide[:31] + "g-" + spanID + "-01", false, false},
		{"00-" + wide + "-" + spanID + "-0x", false, false},
		{"0x-" + wide + "-" + spanID + "-01", false, false},
		{"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", false, false},
		{"00-" + wide + "-" + strings.Repeat("0", 16) + "-01", false, false},
		{"-00" + wide + "-" + spanID + "-01", false, false},
	} {
		c, sampled, ok := ParseW3C(tt.header)
		if sampled != tt.sampled || ok != tt.ok {
			t.Errorf("%q: sampled %t, ok %t", tt.header, sampled, ok)
		}
		if !ok {
			continue
		}
		if c != (sdk.TraceContext{High: high, Low: low, Span: span, Wide: true}) {
			t.Errorf("%q: %+v", tt.header, c)
		}
		want := fmt.Sprintf("00-%s-%s-0%d", wide, spanID, map[bool]int{true: 1}[sampled])
		if got := string(AppendW3C(nil, c, sampled)); got != want {
			t.Errorf("%q goes on as %q", tt.header, got)
		}
	}
}

// b3 writes what was read in one line: trace, span, parent, decision, form.
func b3(b B3) string {
	decision := "-"
	if b.Decided {
		decision = fmt.Sprint(b.Sampled)
	}
	if b.None() {
		return "none " + decision
	}
	return fmt.Sprintf("%s %016x %016x %s", b.AppendTrace(nil), b.Span, b.Parent, decision)
}

func TestB3(t *testing.T) {
	for _, tt := range []struct{ headers, want string }{
		{"", "none -"},
		{"x-b3-sampled: 1", "none true"},
		{"x-b3-sampled: 0", "none false"},
		{"x-b3-sampled: true", "none true"},
		{"x-b3-traceid: " + wide, "none -"},
		{"x-b3-spanid: " + spanID, "none -"},
		{"x-b3-traceid: " + wide + "|x-b3-spanid: " + spanID, wide + " " + spanID + " 0000000000000000 -"},
		{"x-b3-traceid: " + narrow + "|x-b3-spanid: " + spanID + "|x-b3-parentspanid: " + above + "|x-b3-sampled: 1", narrow + " " + spanID + " " + above + " true"},
		{"x-b3-traceid: " + narrow + "|x-b3-spanid: " + spanID + "|x-b3-parentspanid: ", narrow + " " + spanID + " 0000000000000000 -"},
		{"x-b3-traceid: 1f|x-b3-spanid: 2", "000000000000001f 0000000000000002 0000000000000000 -"},
		{"x-b3-traceid: " + wide + "0|x-b3-spanid: 2", "bad"},
		{"x-b3-traceid: |x-b3-spanid: 2", "bad"},
		{"x-b3-traceid: x|x-b3-spanid: 2", "bad"},
		{"x-b3-traceid: 1|x-b3-spanid: x", "bad"},
		{"x-b3-traceid: 1|x-b3-spanid: 2|x-b3-parentspanid: x", "bad"},
		{"x-b3-traceid: " + wide[:31] + "x|x-b3-spanid: 2", "bad"},
		{"b3: 0", "none false"},
		{"b3: 1", "none true"},
		{"b3: d", "none true"},
		{"b3: x", "bad"},
		{"b3: ", "bad"},
		{"b3: " + wide + "-" + spanID, wide + " " + spanID + " 0000000000000000 -"},
		{"b3: " + narrow + "-" + spanID + "-d", narrow + " " + spanID + " 0000000000000000 true"},
		{"b3: " + wide + "-" + spanID + "-0-" + above, wide + " " + spanID + " " + above + " false"},
		{"b3: " + narrow + "-" + spanID + "-1-" + above, narrow + " " + spanID + " " + above + " true"},
		{"b3: " + narrow + "-" + spanID + "-1|x-b3-traceid: 1|x-b3-spanid: 2", narrow + " " + spanID + " 0000000000000000 true"},
		{"b3: " + narrow, "bad"},
		{"b3: " + narrow + "-" + spanID + "-", "bad"},
		{"b3: " + narrow + "-" + spanID + "-x", "bad"},
		{"b3: " + narrow + "-" + spanID + "-1-", "bad"},
		{"b3: " + narrow + "-" + spanID + "-1-" + above + "0", "bad"},
		{"b3: " + narrow + "-" + spanID + "_1", "bad"},
		{"b3: " + narrow + "_" + spanID, "bad"},
		{"b3: " + narrow[:15] + "x-" + spanID, "bad"},
	} {
		b, ok := ParseB3(headers(tt.headers))
		got := b3(b)
		if !ok {
			got = "bad"
		}
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.headers, got, tt.want)
		}
	}
}

// headers makes headers of "name: value|name: value".
func headers(text string) *sdk.Headers {
	h := &sdk.Headers{}
	for line := range strings.SplitSeq(text, "|") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			h.Add(name, value)
		}
	}
	return h
}

func text(h *sdk.Headers) string {
	var lines []string
	for name, value := range h.All() {
		lines = append(lines, name+": "+value)
	}
	return strings.Join(lines, "|")
}

func TestInjectB3(t *testing.T) {
	s := &sdk.Span{TraceContext: sdk.TraceContext{Low: low, Span: span}, Sampled: true}
	for _, tt := range []struct {
		parent       uint64
		wide, single bool
		want         string
	}{
		{0, false, false, "x-b3-traceid: " + narrow + "|x-b3-spanid: " + spanID + "|x-b3-sampled: 1"},
		{parent, true, false, "x-b3-traceid: " + wide + "|x-b3-spanid: " + spanID + "|x-b3-parentspanid: " + above + "|x-b3-sampled: 1"},
		{0, false, true, "b3: " + narrow + "-" + spanID + "-1"},
		{parent, true, true, "b3: " + wide + "-" + spanID + "-1-" + above},
	} {
		s.Parent, s.High = tt.parent, 0
		if tt.wide {
			s.High = high
		}
		h := &sdk.Headers{}
		InjectB3(s, h, tt.single)
		if got := text(h); got != tt.want {
			t.Errorf("%+v gives %s", tt, got)
		}
		if b, ok := ParseB3(h); !ok || b.Span != span || b.Parent != tt.parent || !b.Sampled || b.Single != tt.single {
			t.Errorf("%s reads as %+v, %t", text(h), b, ok)
		}
	}
}

func TestSofa(t *testing.T) {
	const trace = "c00002021795253337474100115681"
	for _, tt := range []struct{ headers, trace, rpc, caller, next string }{
		{"a: b", "", "", "", ""},
		{"rpc_trace_context.sofatraceid: " + trace, "", "", "", ""},
		{"rpc_trace_context.sofatraceid: " + trace + "|rpc_trace_context.sofarpcid: 0|rpc_trace_context.sofacallerapp: shop|rpc_trace_context.samp: true", trace, "0", "shop",
			"rpc_trace_context.sofatraceid: " + trace + "|rpc_trace_context.sofarpcid: 0.1|rpc_trace_context.sofacallerapp: shop|rpc_trace_context.samp: true"},
		{"new_rpc_trace_context: tcid=" + trace + "&spid=0.2&pspid=0&sample=true&_sys_a=b&", trace, "0.2", "",
			"new_rpc_trace_context: tcid=" + trace + "&spid=0.2.1&pspid=0.2&sample=true&_sys_a=b&"},
		{"new_rpc_trace_context: tcid=" + trace + "&spid=0", trace, "0", "", "new_rpc_trace_context: tcid=" + trace + "&spid=0.1"},
		{"rpc_trace_context.sofatraceid: " + trace + "|rpc_trace_context.sofarpcid: 0.x", "", "", "", ""},
		{"rpc_trace_context.sofatraceid: " + trace + "|rpc_trace_context.sofarpcid: " + strings.Repeat("0.", 200), "", "", "", ""},
		{"rpc_trace_context.sofatraceid: " + strings.Repeat("a", 65) + "|rpc_trace_context.sofarpcid: 0", "", "", "", ""},
	} {
		h := headers(tt.headers)
		s, ok := ParseSofa(h)
		if ok != (tt.trace != "") {
			t.Errorf("%s: %+v, %t", tt.headers, s, ok)
		}
		if !ok {
			continue
		}
		if s.Trace != tt.trace || s.RPC != tt.rpc || s.Caller != tt.caller || s.Dropped {
			t.Errorf("%s: %+v", tt.headers, s)
		}
		InjectSofa(h, string(AppendNext(nil, s.RPC, 1)), nil)
		if got := text(h); got != tt.next {
			t.Errorf("%s goes on as %s", tt.headers, got)
		}
	}
	for _, dropped := range []string{
		"rpc_trace_context.sofatraceid: a|rpc_trace_context.sofarpcid: 0|rpc_trace_context.samp: false",
		"new_rpc_trace_context: tcid=a&spid=0&sample=false&",
	} {
		if s, ok := ParseSofa(headers(dropped)); !ok || !s.Dropped {
			t.Errorf("%s: %+v, %t", dropped, s, ok)
		}
	}
}

// TestSofaIDs: SOFATracer's own Zipkin reporter makes these ids.
func TestSofaIDs(t *testing.T) {
	for _, tt := range []struct{ trace, want string }{
		{"c00002021795253337474100115681", "00c00002021795253337474100115681"},
		{"0a0fe93f1488349732342100153695T", "000a0fe93f1488349732342100153695"},
		{"0a0fe66b14781611", "0a0fe66b14781611"},
		{"1f", "000000000000001f"},
	} {
		got := string(Sofa{Trace: tt.trace, RPC: "0"}.Context().AppendTrace(nil))
		if got != tt.want {
			t.Errorf("%s is %s, want %s", tt.trace, got, tt.want)
		}
	}
	if a, b := (Sofa{Trace: "not hexadecimal", RPC: "0"}).Context(), (Sofa{Trace: "nor this one is", RPC: "0"}).Context(); a.None() || a.High == b.High || !a.Wide {
		t.Errorf("%+v and %+v", a, b)
	}
	// FNV-1a of 64 bits, as published: of "a" and "foobar".
	if SofaSpan("a") != 0xaf63dc4c8601ec8c || SofaSpan("foobar") != 0x85944171f73967e8 {
		t.Errorf("%#x %#x", SofaSpan("a"), SofaSpan("foobar"))
	}
}

func TestReasons(t *testing.T) {
	const id = "12345678-1234-4234-8234-123456789012"
	for _, r := range []Reason{NotTraceable, Sampled, ServiceForced, ClientForced} {
		h := headers("x-request-id: " + id)
		SetReason(h, r)
		got := h.ID(sdk.HeaderRequestID)
		if ReasonOf(got) != r || got[:14]+"4"+got[15:] != id {
			t.Errorf("reason %d makes %s, which is reason %d", r, got, ReasonOf(got))
		}
	}
	h := headers("x-request-id: mine")
	SetReason(h, Sampled)
	if h.ID(sdk.HeaderRequestID) != "mine" || ReasonOf("mine") != NotTraceable {
		t.Error("an id that is no UUID is made to tell something")
	}
	if n, ok := RandomOf(id); !ok || n != 0x12345678%10000 {
		t.Errorf("%d, %t", n, ok)
	}
	for _, bad := range []string{"", "1234567", "1234567x-"} {
		if _, ok := RandomOf(bad); ok {
			t.Errorf("%q is drawn by", bad)
		}
	}
}

func FuzzB3(f *testing.F) {
	f.Add(wide + "-" + spanID + "-0-" + above)
	f.Add("d")
	f.Fuzz(func(t *testing.T, v string) {
		h := &sdk.Headers{}
		h.Add("b3", v)
		b, ok := ParseB3(h)
		if !ok || b.None() {
			return
		}
		s := &sdk.Span{TraceContext: b.TraceContext, Parent: b.Parent, Sampled: b.Sampled}
		InjectB3(s, h, true)
		again, ok := ParseB3(h)
		if !ok || again.Low != b.Low || again.High != b.High || again.Span != b.Span || again.Parent != b.Parent {
			t.Errorf("%q: %+v goes on as %q: %+v", v, b, h.Value("b3"), again)
		}
	})
}
