package lua

import (
	"strings"
	"testing"
)

// TestPatterns: what Lua 5.1 says of its patterns (manual, 5.4 and 5.4.1).
func TestPatterns(t *testing.T) {
	for expression, want := range map[string]string{
		`string.find("hello Lua user", "Lua")`:                                            "7 9",
		`string.find("hello", "l", -2)`:                                                   "4 4",
		`string.find("hello", "", 9)`:                                                     "6 5",
		`string.find("a.b", ".", 1, true)`:                                                "2 2",
		`string.find("a+b", "+", 1, true)`:                                                "2 2",
		`string.find("key = value", "(%w+)%s*=%s*(%w+)")`:                                 "1 11 key value",
		`string.find("abc", "b()")`:                                                       "2 2 3",
		`string.find("abc", "^b")`:                                                        "nil",
		`string.find("abc", "^b", 2)`:                                                     "2 2",
		`string.match("  trim  ", "^%s*(.-)%s*$")`:                                        "trim",
		`string.match("/a/b?x=1&y=2", "[?&]y=([^&]*)")`:                                   "2",
		`string.match("2026-11-29", "(%d+)-(%d+)-(%d+)")`:                                 "2026 11 29",
		`string.match("f(a(b)c)d", "%b()")`:                                               "(a(b)c)",
		`string.match("THE (quick) fox", "%f[%a]%a+%f[%A]", 5)`:                           "quick",
		`string.match("x[]]y", "[]]+")`:                                                   "]]",
		`string.match("x^-y", "[%^-]+")`:                                                  "^-",
		`string.match("a-z", "[a-]+")`:                                                    "a-",
		`string.match("abc", "[^a-b]")`:                                                   "c",
		`string.match("aXb", "%u")`:                                                       "X",
		`string.match("12ab", "%D+")`:                                                     "ab",
		`string.match("say 'it' now", "(['\"])(.-)%1")`:                                   "' it",
		`string.match("colour", "colou?r")`:                                               "colour",
		`string.match("color", "colou?r")`:                                                "color",
		`string.match("aaa", "a-$")`:                                                      "aaa",
		`string.match("a$", "a$$")`:                                                       "a$",
		`string.match("a.b", "a%.b")`:                                                     "a.b",
		`string.match("none", "x")`:                                                       "nil",
		`string.match("a\0b", "%z")`:                                                      "\x00",
		`string.gsub("hello world", "o", "0")`:                                            "hell0 w0rld 2",
		`string.gsub("hello world", "o", "0", 1)`:                                         "hell0 world 1",
		`string.gsub("abc", "", "-")`:                                                     "-a-b-c- 4",
		`string.gsub("abc", "b*", "x")`:                                                   "xaxxcx 4",
		`string.gsub("hello world", "(%w+)", "<%1>")`:                                     "<hello> <world> 2",
		`string.gsub("hello world", "%w+", "%0 %0", 1)`:                                   "hello hello world 1",
		`string.gsub("a b", "(%w) (%w)", "%2%%%1")`:                                       "b%a 1",
		`string.gsub("abc", "^a", "x")`:                                                   "xbc 1",
		`string.gsub("$name is $x", "%$(%w+)", {name = "lua"})`:                           "lua is $x 2",
		`string.gsub("abc", "%w", function(c) if c ~= "b" then return c:upper() end end)`: "AbC 3",
		`string.gsub("abc", "()", "%1")`:                                                  "1a2b3c4 4",
		`("x"):rep(3):gsub("x", "yz")`:                                                    "yzyzyz 3",
		`(function() local t = {} for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do t[#t+1] = k .. v end return table.concat(t, ";") end)()`: "a1;b2",
		`(function() local n = 0 for _ in ("abc"):gmatch("") do n = n + 1 end return n end)()`:                                               "4",
		`select(2, pcall(string.match, "a", "["))`:            "malformed pattern (missing ']')",
		`select(2, pcall(string.match, "a", "%"))`:            "malformed pattern (ends with '%')",
		`select(2, pcall(string.match, "a", "%b("))`:          "malformed pattern (missing arguments to '%b')",
		`select(2, pcall(string.match, "a", "%f"))`:           "malformed pattern (missing '[' after '%f')",
		`select(2, pcall(string.match, "a", "(a"))`:           "unfinished capture",
		`select(2, pcall(string.match, "a", "a)"))`:           "invalid pattern capture",
		`select(2, pcall(string.match, "a", "%1"))`:           "invalid capture index",
		`select(2, pcall(string.match, "a", ("()"):rep(33)))`: "too many captures",
		`select(2, pcall(string.gsub, "a", "a", "%2"))`:       "invalid capture index",
		`select(2, pcall(string.gsub, "a", "a", "%"))`:        "invalid use of '%' in replacement string",
		`select(2, pcall(string.gsub, "a", "a", {a = {}}))`:   "invalid replacement value (a table)",
		`select(2, pcall(string.gsub, "a", "a", true))`:       "string/function/table expected",
	} {
		h := host(t, onRequest(`local t = {`+expression+`} for i = 1, #t do t[i] = tostring(t[i]) end
			h:logErr(#t == 0 and "nil" or table.concat(t, " "))`))
		s := h.Stream()
		s.SendRequest(true, ":path: /")
		if got := said(s); got != want && (!strings.Contains(expression, "pcall") || !strings.Contains(got, want)) {
			t.Errorf("%s is %q, want %q", expression, got, want)
		}
		s.End()
	}
}

// TestLongText: what takes no more than one look at each byte takes a text of any length.
func TestLongText(t *testing.T) {
	h := host(t, onRequest(`local s = ("a"):rep(100000) .. "b" h:logErr(string.match(s, "^a+()b"))`))
	s := h.Stream()
	s.SendRequest(true, ":path: /")
	if got := said(s); got != "100001" {
		t.Error(got)
	}
	s.End()
}
