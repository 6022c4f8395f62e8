package route

import (
	"net/netip"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// sum is a stand-in for xxHash64 that a test can compute in its head.
func sum(s string, seed uint64) uint64 {
	h := seed*31 + uint64(len(s))
	for i := range len(s) {
		h = h*31 + uint64(s[i])
	}
	return h
}

func hashOf(t *testing.T, policy string, h *sdk.Headers) (HashPolicies, HashResult) {
	t.Helper()
	f := action(t, "hash_policy: ["+policy+"]")
	info := &sdk.StreamInfo{DownstreamRemote: netip.MustParseAddrPort("[::ffff:10.0.0.1]:1234"), DownstreamLocal: netip.MustParseAddrPort("10.0.0.2:80")}
	return f.Hash, f.Hash.Hash(&HashInput{Headers: h, Info: info, Sum: sum, Scratch: &Scratch{}})
}

func TestHash(t *testing.T) {
	rotated := func(a, b uint64) uint64 { return a<<1 ^ a>>63 ^ b }
	for _, c := range []struct {
		policy string
		lines  []string
		want   uint64
		ok     bool
	}{
		{"{header: {header_name: X-A}}", []string{"x-a: v"}, sum("v", 0), true},
		{"{header: {header_name: x-a}}", []string{"x-a: "}, sum("", 0), true},
		{"{header: {header_name: x-a}}", nil, 0, false},
		{`{header: {header_name: x-a, regex_rewrite: {pattern: {regex: "^(.).*$"}, substitution: '\1'}}}`, []string{"x-a: vw"}, sum("v", 0), true},
		{"{cookie: {name: c}}", []string{"cookie: b=1; c=v"}, sum("v", 0), true},
		{"{cookie: {name: c}}", []string{"cookie: c="}, 0, false},
		{"{cookie: {name: c}}", nil, 0, false},
		{"{query_parameter: {name: q}}", nil, sum("1", 0), true},
		{"{query_parameter: {name: p}}", nil, 0, false},
		{"{connection_properties: {source_ip: true}}", nil, sum("10.0.0.1", 0), true},
		{"{header: {header_name: x-a}}, {header: {header_name: x-b}}", []string{"x-a: v", "x-b: w"}, rotated(sum("v", 0), sum("w", 0)), true},
		{"{header: {header_name: x-a}}, {header: {header_name: x-b}}", []string{"x-b: w"}, sum("w", 0), true},
		{"{header: {header_name: x-a}, terminal: true}, {header: {header_name: x-b}}", []string{"x-a: v", "x-b: w"}, sum("v", 0), true},
		{"{header: {header_name: x-a}, terminal: true}, {header: {header_name: x-b}}", []string{"x-b: w"}, sum("w", 0), true},
	} {
		_, got := hashOf(t, c.policy, request("h", "/?q=1", c.lines...))
		if got.Hash != c.want || got.OK != c.ok {
			t.Errorf("%s %q: %+v, want %d %v", c.policy, c.lines, got, c.want, c.ok)
		}
	}
}

// TestHashOfSeveralLines: their order does not matter.
func TestHashOfSeveralLines(t *testing.T) {
	ab, ba := request("h", "/"), request("h", "/")
	for i, v := range []string{"a", "b"} {
		ab.Add("x-a", v)
		ba.Add("x-a", []string{"b", "a"}[i])
	}
	_, one := hashOf(t, "{header: {header_name: x-a}}", ab)
	_, two := hashOf(t, "{header: {header_name: x-a}}", ba)
	if one != two || one.Hash != sum("b", sum("a", 0)) {
		t.Errorf("%+v and %+v", one, two)
	}
}

// TestHashCookies holds the form of Envoy's set-cookie headers.
func TestHashCookies(t *testing.T) {
	for _, c := range []struct {
		policy, cookie string
		want           []string // # is the value
	}{
		{"{cookie: {name: c, ttl: 5s, path: /p, attributes: [{name: SameSite, value: None}, {name: Secure}]}}", "", []string{`c="#"; Max-Age=5; Path=/p; SameSite=None; Secure; HttpOnly`}},
		{"{cookie: {name: c, ttl: 0s}}", "", []string{`c="#"; HttpOnly`}},
		{"{cookie: {name: c, ttl: 1.5s}}", "", []string{`c="#"; Max-Age=1; HttpOnly`}},
		{"{cookie: {name: c, ttl: 5s}}", "c=", []string{`c="#"; Max-Age=5; HttpOnly`}},
		{"{cookie: {name: c, ttl: 5s}}", "c=1", nil},
		{"{cookie: {name: c}}", "", nil},
		{
			"{cookie: {name: c, ttl: 5s}}, {cookie: {name: d, ttl: 5s}, terminal: true}, {cookie: {name: e, ttl: 5s}}", "",
			[]string{`c="#"; Max-Age=5; HttpOnly`, `d="#"; Max-Age=5; HttpOnly`},
		},
	} {
		l, r := hashOf(t, c.policy, request("h", "/", "cookie: "+c.cookie))
		resp := new(sdk.Headers)
		l.AddCookies(resp, r, &Scratch{})
		value := string(appendHex(nil, sum("[::ffff:10.0.0.1]:123410.0.0.2:80", 0)))
		if len(value) != 16 {
			t.Fatalf("value %q", value)
		}
		want := ""
		for _, w := range c.want {
			want += "set-cookie: " + strings.Replace(w, "#", value, 1) + "\n"
		}
		if got := dump(resp); got != want {
			t.Errorf("%s:\n%swant\n%s", c.policy, got, want)
		}
		if len(c.want) == 1 && r.Hash != sum(value, 0) {
			t.Errorf("%s: the request is not hashed as those that will follow", c.policy)
		}
	}
}

func TestHashErrors(t *testing.T) {
	refused(t, "hash_policy: [{connection_properties: {}}]", "hash_policy[0].connection_properties: ")
	refused(t, "hash_policy: [{filter_state: {key: x}}]", "hash_policy[0]: ")
	refused(t, `hash_policy: [{header: {header_name: x, regex_rewrite: {pattern: {regex: "("}, substitution: y}}}]`, "hash_policy[0].header.regex_rewrite.pattern.regex: ")
	refused(t, "hash_policy: ["+strings.Repeat("{query_parameter: {name: q}},", 33)+"]", "more than 32")
}

func TestHashAllocatesNothing(t *testing.T) {
	f := action(t, "hash_policy: [{header: {header_name: x-a}}, {cookie: {name: c, ttl: 1s}}, {query_parameter: {name: q}}, {connection_properties: {source_ip: true}}]")
	h, resp := request("h", "/?q=1", "x-a: 1"), new(sdk.Headers)
	info := &sdk.StreamInfo{DownstreamRemote: netip.MustParseAddrPort("10.0.0.1:1234")}
	in := &HashInput{Headers: h, Info: info, Sum: sum, Scratch: &Scratch{}}
	if n := testing.AllocsPerRun(100, func() {
		resp.Reset()
		f.Hash.AddCookies(resp, f.Hash.Hash(in), in.Scratch)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestHashOfUnixSocket: there is no source address.
func TestHashOfUnixSocket(t *testing.T) {
	f := action(t, "hash_policy: [{connection_properties: {source_ip: true}}]")
	if r := f.Hash.Hash(&HashInput{Headers: request("h", "/"), Info: &sdk.StreamInfo{}, Sum: sum, Scratch: &Scratch{}}); r.OK {
		t.Errorf("%+v", r)
	}
}
