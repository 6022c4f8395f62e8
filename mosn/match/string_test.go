package match

import (
	"strings"
	"testing"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"sofamesh.io/sofamesh/sdk/sdktest"
)

func compileString(t testing.TB, text string) String {
	t.Helper()
	s, err := CompileString(sdktest.NewCompiler(t), sdktest.Text[matcherv3.StringMatcher](t, text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func TestString(t *testing.T) {
	for _, c := range []struct {
		config  string
		yes, no []string
	}{
		{`exact: "v"`, []string{"v"}, []string{"", "V", "vv"}},
		{`exact: ""`, []string{""}, []string{"v"}},
		{`exact: "vA" ignore_case: true`, []string{"va", "VA", "vA"}, []string{"v", "vaa", "v\xc1"}},
		{`exact: "[" ignore_case: true`, []string{"["}, []string{"{"}},
		{`prefix: "ab"`, []string{"ab", "abc"}, []string{"a", "Ab", "cab"}},
		{`prefix: "ab" ignore_case: true`, []string{"AB", "aBc"}, []string{"a", "ba"}},
		{`suffix: "ab"`, []string{"ab", "cab"}, []string{"b", "caB", "abc"}},
		{`suffix: "AB" ignore_case: true`, []string{"ab", "caB"}, []string{"b", "abc"}},
		{`contains: "ab"`, []string{"ab", "xaby"}, []string{"", "aB", "a-b"}},
		{`contains: "Ab" ignore_case: true`, []string{"aB", "xABy", "aab"}, []string{"", "a", "a-b"}},
		{`exact: "\303\204" ignore_case: true`, []string{"Ä"}, []string{"ä"}}, // only ASCII is folded
	} {
		s := compileString(t, c.config)
		for _, v := range c.yes {
			if !s.Match(v) {
				t.Errorf("%s does not match %q", c.config, v)
			}
		}
		for _, v := range c.no {
			if s.Match(v) {
				t.Errorf("%s matches %q", c.config, v)
			}
		}
	}
}

func TestStringErrors(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{``, "no match pattern"},
		{`safe_regex: { regex: "(" }`, "safe_regex.regex: "},
		{`safe_regex: { regex: "a" } ignore_case: true`, "ignore_case: "},
		{`custom: { name: "x.y" }`, `custom: matcher "x.y"`},
	} {
		_, err := CompileString(sdktest.NewCompiler(t), sdktest.Text[matcherv3.StringMatcher](t, c.config))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.config, err, c.want)
		}
	}
}

func compileRegex(t testing.TB, pattern string) *Regex {
	t.Helper()
	re, err := CompileRegex(sdktest.NewCompiler(t), &matcherv3.RegexMatcher{Regex: pattern})
	if err != nil {
		t.Fatalf("%s: %v", pattern, err)
	}
	return re
}

// TestRegex compares whole values, as bytes: the last lines were tried on Envoy.
func TestRegex(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{`a|ab`, []string{"a", "ab"}, []string{"abc", "b", ""}},
		{`/re/[0-9]+`, []string{"/re/12"}, []string{"/re/", "/re/12x", "x/re/12"}},
		{`^/a$`, []string{"/a"}, []string{"/a/", "/a\n"}},
		{`(?i)abc`, []string{"ABC", "abc"}, []string{"ab"}},
		{`a\.b`, []string{"a.b"}, []string{"axb"}},
		{`/x/.*`, []string{"/x/", "/x/y"}, []string{"/x", "/x/a\nb"}},
		{`/x/.+`, []string{"/x/y"}, []string{"/x/", "/y/z"}},
		{`.*\.js`, []string{".js", "a.js"}, []string{"ajs", "a.js2"}},
		{`ab.*bc`, []string{"abbc", "ab-bc"}, []string{"abc"}},
		{`(?s)a.*`, []string{"a\nb"}, []string{"b"}},
		{`a.*b.*c`, []string{"abc", "a1b2c"}, []string{"ac"}},
		{``, []string{""}, []string{"a"}},
		{"V.", []string{"V\xff"}, []string{"V\xc3\xa4", "V"}},
		{"V..", []string{"V\xc3\xa4"}, []string{"V\xff"}},
		{"V[^a]", []string{"V\xff", "Vb"}, []string{"V\xc3\xa4", "Va"}},
		{`V\pL`, []string{"V\xff", "Vx"}, []string{"V1"}},
		{"Vä", []string{"V\xc3\xa4"}, []string{"V\xe4"}},
		{"(?i)VÄ", []string{"vÄ"}, []string{"vä"}},
	} {
		re := compileRegex(t, c.pattern)
		for _, v := range c.yes {
			if !re.Match(v) {
				t.Errorf("%s does not match %q", c.pattern, v)
			}
		}
		for _, v := range c.no {
			if re.Match(v) {
				t.Errorf("%s matches %q", c.pattern, v)
			}
		}
	}
}

func TestRegexIsValidAlone(t *testing.T) {
	_, err := CompileRegex(sdktest.NewCompiler(t), &matcherv3.RegexMatcher{Regex: "a)(b"})
	if err == nil {
		t.Error("a)(b compiles, though only the parentheses around it make it valid")
	}
}

// TestSimpleRegex says which patterns need no engine.
func TestSimpleRegex(t *testing.T) {
	for pattern, simple := range map[string]bool{
		"abc": true, "/a/.*": true, ".*": true, ".+x": true, "^/a/.*$": true, "": true, `a\.b.*c`: true,
		"a|b": false, "a.*b.*": false, "a.": false, "[ab]": false, "(?i)abc": false, "(?s)a.*": false, "(a)": false, "ä.*": false, "a^b": false, "a$b": false,
	} {
		if got := compileRegex(t, pattern).simple != nil; got != simple {
			t.Errorf("%s: simple = %v, want %v", pattern, got, simple)
		}
	}
}

// FuzzRegex compares the short cut with the engine.
func FuzzRegex(f *testing.F) {
	for _, seed := range [][2]string{{"/a/.*", "/a/b"}, {"^a$", "a"}, {".+x", "x"}, {"a.*a", "a"}, {"V.", "V\xff"}, {"(?i)k", "K"}, {"^^a.*$$", "ab\n"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, value string) {
		re, err := CompileRegex(sdktest.NewCompiler(t), &matcherv3.RegexMatcher{Regex: pattern})
		if err != nil {
			return
		}
		if got, want := re.Match(value), re.whole.MatchString(fromLatin1(value)); got != want {
			t.Errorf("%q on %q: %v, the engine says %v", pattern, value, got, want)
		}
	})
}

func TestSubstitute(t *testing.T) {
	for _, c := range []struct{ pattern, substitution, in, out string }{
		{`^/re/([^/]+)/(.*)$`, `/\2/of/\1`, "/re/a/b/c", "/b/c/of/a"},
		{`o`, `0`, "/foo", "/f00"},
		{`b*`, `-`, "/abbc", "-/-a-c-"},
		{`b`, `$1${0}\0`, "/abbc", "/a$1${0}b$1${0}bc"},
		{`b`, `\\`, "abc", `a\c`},
		{`x`, `y`, "abc", "abc"},
		{`^/(.*)$`, `/\2`, "/abc", "/abc"},   // no such group: nothing happens
		{`^/(.*)$`, `/\x\1`, "/abc", "/"},    // ends at the bad escape
		{`(a)`, `\1` + `1`, "a", "a1"},       // a group has one digit
		{`ä`, `ö\0`, "/ä\xff", "/öä\xff"},    // bytes stay bytes
		{`.`, `<\0>`, "\xff", "<\xff>"},      // one character a byte
		{`a`, `\`, "xa", "x"},                // a lone backslash
		{`^$`, `x`, "", "x"},                 // an empty value
		{`(?P<n>a)`, `\1`, "ba", "ba"},       // a named group has a number
		{`a`, `ends in $`, "a", "ends in $"}, // a dollar is a dollar
	} {
		s, err := CompileSubstitute(sdktest.NewCompiler(t), &matcherv3.RegexMatchAndSubstitute{
			Pattern: &matcherv3.RegexMatcher{Regex: c.pattern}, Substitution: c.substitution,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Replace(c.in); got != c.out {
			t.Errorf("%s -> %s: %q becomes %q, want %q", c.pattern, c.substitution, c.in, got, c.out)
		}
	}
}

func TestSubstituteWarns(t *testing.T) {
	for substitution, warned := range map[string]int{`\0\1`: 0, `\2`: 1, `\x`: 1, `\x\2`: 2} {
		c := sdktest.NewCompiler(t)
		if _, err := CompileSubstitute(c, &matcherv3.RegexMatchAndSubstitute{
			Pattern: &matcherv3.RegexMatcher{Regex: "(a)"}, Substitution: substitution,
		}); err != nil {
			t.Fatal(err)
		}
		if len(c.Warnings()) != warned {
			t.Errorf("%s: warnings %q", substitution, c.Warnings())
		}
	}
	_, err := CompileSubstitute(sdktest.NewCompiler(t), &matcherv3.RegexMatchAndSubstitute{Pattern: &matcherv3.RegexMatcher{Regex: "("}})
	if err == nil || !strings.HasPrefix(err.Error(), "pattern.regex: ") {
		t.Errorf("a bad pattern gives %v", err)
	}
}
