package headermutation

import (
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// param is a mutation of a query.
func param(key, value, action string) string {
	return `query_parameter_mutations { append { record { key: "` + key + `" value { string_value: "` + value + `" } } action: ` + action + ` } } `
}

const (
	always    = "APPEND_IF_EXISTS_OR_ADD"
	absent    = "ADD_IF_ABSENT"
	overwrite = "OVERWRITE_IF_EXISTS_OR_ADD"
	exists    = "OVERWRITE_IF_EXISTS"
)

// TestQuery holds paths that Envoy 1.40 sent upstream, but for those with escapes in
// them.
func TestQuery(t *testing.T) {
	gone := `query_parameter_mutations { remove: "a" } `
	for _, c := range []struct{ mutations, path, want string }{
		{gone, "/p", "/p"},
		{gone, "/p?", "/p"},
		{gone, "/p?a", "/p"},
		{gone, "/p?b&c&a=1", "/p?b=&c="},
		{gone, "/p?c=1&b=2&a=3&b=1&a", "/p?b=2&b=1&c=1"},
		{gone, "/p?&&=x&d", "/p?=&=&=x&d="},
		{gone, "/p?d=a=b&d", "/p?d=a=b&d="},
		{param("z", "a b&%REQ(x-a)%", always), "/", "/?z=a%20b%261"},
		{param("z", "1", always), "/?z=2&y", "/?y=&z=2&z=1"},
		{param("z", "%REQ(x-none)%", always), "/?y=1", "/?y=1&z="},
		{param("z", "1", absent), "/?z", "/?z="},
		{param("z", "1", absent), "/?y", "/?y=&z=1"},
		{param("b", "new", exists), "/?b=1&b=2", "/?b=new"},
		{param("b", "new", exists), "/?c", "/?c="},
		{param("b", "new", overwrite), "/?b=1&c&b", "/?b=new&c="},
		{param("b", "new", overwrite), "/?c", "/?b=new&c="},
		{param("b", "1", always) + param("b", "2", always) + param("a", "3", overwrite), "/", "/?a=3&b=1&b=2"},
		{param("b", "1", overwrite) + `query_parameter_mutations { remove: "b" }`, "/?b", "/"},
		{param("z", "100%%!*-._~^", always), "/p?a", "/p?a=&z=100%25%21*-._%7E%5E"},
		// Names are compared without their escapes, and what is kept keeps them.
		{gone, "/p?%61=1&b=2", "/p?b=2"},
		{gone, "/p?b=%26a%3D1%20HTTP/1.1%0d%0a&a", "/p?b=%26a%3D1%20HTTP/1.1%0d%0a"},
		{param("b&", "1", overwrite), "/p?b%26=0&c", "/p?b%26=1&c="},
		{gone, "/p?%6=1&%zz=2&%61b=3&%", "/p?%=&%6=1&%zz=2&%61b=3"},
		{gone, "/p?ab=1&%61%62=2&%61=3", "/p?ab=1&%61%62=2"},
	} {
		s := host(t, "mutations { "+c.mutations+"}").Stream()
		s.SendRequest(true, ":path: "+c.path, "x-a: 1")
		if got := s.ToServer.Value(":path"); got != c.want {
			t.Errorf("%s with %s: %s, want %s", c.path, c.mutations, got, c.want)
		}
	}
}

// TestNoQuery: CONNECT has no path; a method of RPC is none.
func TestNoQuery(t *testing.T) {
	h := host(t, "mutations { "+param("a", "1", always)+"}")
	s := h.Stream()
	s.SendRequest(true, ":method: CONNECT")
	if got := s.ToServer.Value(":path"); got != "-" {
		t.Errorf("CONNECT: %q", got)
	}
	s = h.Stream()
	s.Info().Protocol = sdk.RPC
	s.SendRequest(true, ":path: /a.B/c")
	if got := s.ToServer.Value(":path"); got != "/a.B/c" {
		t.Errorf("RPC: %q", got)
	}
}

func TestManyParameters(t *testing.T) {
	s := host(t, "mutations { "+param("m", strings.Repeat("v", 600), always)+"}").Stream()
	s.SendRequest(true, ":path: /?"+strings.Repeat("z&a&", 2000))
	want := "/?" + strings.Repeat("a=&", 2000) + "m=" + strings.Repeat("v", 600) + strings.Repeat("&z=", 2000)
	if got := s.ToServer.Value(":path"); got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}
