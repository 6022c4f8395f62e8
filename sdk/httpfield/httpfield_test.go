package httpfield

import (
	"fmt"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

func TestCharacters(t *testing.T) {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	const host = "!$%&'()*+,-.:;=@[]_~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for c := range 256 {
		b := byte(c)
		s := string([]byte{b})
		isToken, upper := strings.Contains(token, s), b >= 'A' && b <= 'Z'
		if Token(s) != isToken || LowerToken([]byte{b}) != (isToken && !upper) || (Lower(b) != 0) != isToken {
			t.Errorf("%q: token %v", s, Token(s))
		}
		if ValidAuthority(s) != strings.Contains(host, s) {
			t.Errorf("%q: authority %v", s, ValidAuthority(s))
		}
		control := b < ' ' && b != '\t' || b == 0x7f
		for at := range 20 { // in a word and behind it
			p := []byte(strings.Repeat("a", 20))
			p[at] = b
			if n := Plain(p); control != (n == at) || !control && n != 20 {
				t.Errorf("%q at %d: plain up to %d", s, at, n)
			}
			if Printable(string(p)) != (b >= ' ' && b < 0x7f) {
				t.Errorf("%q at %d: printable %v", s, at, Printable(string(p)))
			}
			edge := at == 0 || at == 19
			if ValidValue(p) != !(control || edge && Blank(b)) {
				t.Errorf("%q at %d: valid %v", s, at, ValidValue(p))
			}
		}
	}
	if Token("") || LowerToken(nil) || !ValidValue(nil) || Lower('A') != 'a' {
		t.Error("the empty ones")
	}
}

func TestLists(t *testing.T) {
	for _, c := range []struct {
		list, token string
		want        bool
	}{
		{"", "a", false}, {"a", "a", true}, {"A", "a", true}, {"b, A ,c", "a", true}, {"ab", "a", false}, {",,a", "a", true}, {"a;q=1", "a", false},
	} {
		if got := HasToken(c.list, c.token); got != c.want {
			t.Errorf("%q has %q: %v", c.list, c.token, got)
		}
	}
	item, rest := NextToken(" a\t, b")
	if item != "a" || rest != " b" {
		t.Errorf("%q, %q", item, rest)
	}
}

func TestParseLength(t *testing.T) {
	for s, want := range map[string]uint64{"0": 0, "007": 7, "18446744073709551615": 1<<64 - 1} {
		if n, ok := ParseLength(s); n != want || !ok {
			t.Errorf("%q is %d, %v", s, n, ok)
		}
	}
	for _, s := range []string{"", "-1", "+1", " 1", "1 ", "1,1", "0x1", "18446744073709551616", "99999999999999999999"} {
		if n, ok := ParseLength(s); ok {
			t.Errorf("%q is %d", s, n)
		}
	}
}

func TestJoin(t *testing.T) {
	for side, want := range map[sdk.Side]string{
		sdk.Downstream: "x-forwarded-for=1,2,3 x-a=1 x-a=2 set-cookie=a set-cookie=b etag=a etag=b ",
		sdk.Upstream:   "x-forwarded-for=1 x-a=1 x-forwarded-for=2 x-a=2 set-cookie=a set-cookie=b etag=a,b x-forwarded-for=3 ",
	} {
		var h sdk.Headers
		for _, f := range [][2]string{
			{"x-forwarded-for", "1"}, {"x-a", "1"}, {"x-forwarded-for", "2"}, {"x-a", "2"}, {"set-cookie", "a"}, {"set-cookie", "b"},
			{"etag", "a"}, {"etag", "b"}, {"x-forwarded-for", "3"},
		} {
			h.Add(f[0], f[1])
		}
		Join(&h, side)
		got := ""
		for name, value := range h.All() {
			got += fmt.Sprintf("%s=%s ", name, value)
		}
		if got != want {
			t.Errorf("side %d: %s, want %s", side, got, want)
		}
	}
}
