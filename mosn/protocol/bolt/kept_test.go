package bolt

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/servicekey"
)

// TestServiceKept: what a connection keeps of the request before shows in no other.
func TestServiceKept(t *testing.T) {
	down, _ := ends(t, Limits{})
	c := down.New()
	long := strings.Repeat("a.", 400) + "B"
	for i, s := range []struct{ service, method, want string }{
		{"a.B:1.0", "first", "a.b /a.B/first 1.0"},
		{"a.B:1.0", "m", "a.b /a.B/m 1.0"},
		{"a.B:1.0:x", "m", "g-x.a.b /a.B/m 1.0 x"},
		{"a.B", "m", "a.b /a.B/m"},
		{"a. B", "m", ""},
		{"", "m", ""},
		{"a.B", "m/n", ""},
		{"a.B", "m", "a.b /a.B/m"},
		{long, "m", servicekey.Key{Interface: long}.Host() + " /" + long + "/m"},
		{"a.B", long, "a.b /a.B/" + long},
		{"a.B", "m", "a.b /a.B/m"},
	} {
		ev := sdk.Event{Msg: new(sdk.Message)}
		m := bare(headerService, s.service, headerMethod, s.method)
		m.id, m.kind, m.content = uint32(i+1), typeOneWay, ""
		_, err := c.Decode(m.bytes(), &ev)
		v := ev.Msg
		got := strings.TrimSpace(strings.Join([]string{v.Authority(), v.Path(), v.ID(sdk.HeaderRPCVersion), v.ID(sdk.HeaderRPCGroup)}, " "))
		if (err != nil) != (s.want == "") || err == nil && got != s.want {
			t.Errorf("%.20q: %v, %.60q, want %.60q", s.service, err, got, s.want)
		}
		if k := &c.(*conn).service; cap(k.name)+cap(k.authority)+cap(k.path) > 6*maxKept {
			t.Errorf("%.20q: %d bytes are kept", s.service, cap(k.name)+cap(k.authority)+cap(k.path))
		}
	}
}

// seen is what comes of the frame that a connection reads last.
func seen(t *testing.T, frames ...[]byte) string {
	t.Helper()
	down, _ := ends(t, Limits{})
	c, out := down.New(), ""
	for _, in := range frames {
		m := new(sdk.Message)
		ev := sdk.Event{Msg: m}
		n, err := c.Decode(in, &ev)
		var b strings.Builder
		fmt.Fprintf(&b, "%d %v %v share %d timeout %v frame %x:", n, err, ev.Kind, m.Share, m.Timeout, m.Frame[:max(len(m.Frame)-8, 0)])
		if err == nil {
			for name, value := range m.All() {
				fmt.Fprintf(&b, " %s=%q", name, value)
			}
		}
		out = b.String()
		for in = in[n:]; len(in) > 0 && n > 0; in = in[n:] {
			if n, err = c.Decode(in, &ev); err != nil {
				break
			}
		}
	}
	return out
}

// TestKeptIsNotSeen: a request is understood as if it were the connection's first,
// also when it differs from the one before in a single byte.
func TestKeptIsNotSeen(t *testing.T) {
	calls := [][]byte{
		hessianCall(javaBody("a.B:1.0", "m")).bytes(), hessianCall(javaBody("a.B:1.0", "mm")).bytes(),
		hessianCall(javaBody("a.B:1.0", "$invoke", "real")).bytes(), hessianCall(javaBody("a.B:1.0", "$invoke", "other")).bytes(),
		hessianCall(sofaBody("a.B:1.0", "m")).bytes(), bare(headerService, "a.B", headerMethod, "m").bytes(),
	}
	for _, p := range captured(t) {
		var f fixed
		if _ = f.parse(p); f.cmd == cmdRequest {
			calls = append(calls, p)
		}
	}
	for _, first := range calls {
		for _, second := range calls {
			second = bytes.Clone(second)
			patchID(second, 1<<20)
			if got, want := seen(t, first, second), seen(t, second); got != want {
				t.Errorf("after\n%x\n%x is\n%s, want\n%s", first, second, got, want)
			}
		}
	}
	first := calls[0]
	for i := range first {
		if i >= 5 && i < 10 {
			continue // its id
		}
		second := bytes.Clone(first)
		patchID(second, 1<<20)
		second[i] ^= 1
		if got, want := seen(t, first, second), seen(t, second); got != want {
			t.Errorf("byte %d: after the unchanged one it is\n%s, want\n%s", i, got, want)
		}
	}
	if !strings.Contains(seen(t, first), `:path="/a.B/m"`) {
		t.Error("the test sees nothing")
	}
}
