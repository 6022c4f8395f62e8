package lua

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strconv"
	"strings"
	"testing"

	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func host(t testing.TB, script string) *sdktest.Host {
	t.Helper()
	return sdktest.NewHost(t, Filter(), sdktest.Text[luav3.Lua](t, `default_source_code { inline_string: `+strconv.Quote(script)+` }`))
}

// onRequest is a script that does something with a request.
func onRequest(body string) string { return "function envoy_on_request(h)\n" + body + "\nend" }

// said are the lines that the script has logged.
func said(s *sdktest.Stream) string {
	var list []string
	for _, l := range s.Lines {
		list = append(list, strings.TrimPrefix(l, "lua: script log: "))
	}
	return strings.Join(list, ";")
}

// TestExpressions: what a script sees in a request without a body.
func TestExpressions(t *testing.T) {
	for expression, want := range map[string]string{
		`h:headers():get("x-a")`:               "1",
		`h:headers():get("X-Two")`:             "a,b",
		`(h:headers():get("none"))`:            "nil",
		`h:headers():getNumValues("x-two")`:    "2",
		`h:headers():getAtIndex("x-two", 1)`:   "b",
		`(h:headers():getAtIndex("x-two", 2))`: "nil",
		`h:headers():get("host")`:              "example",
		`h:requestHeaders():get(":path")`:      "/p",
		`(h:body())`:                           "nil",
		`(h:trailers())`:                       "nil",
		`h:body(true):length()`:                "0",
		`h:base64Escape("hello")`:              "aGVsbG8=",
		`h:base64Decode("!!")`:                 "nil",
		`h:base64Decode("aGVsbG8=")`:           "hello",
		`h:streamInfo():protocol()`:            "HTTP/2",
		`h:streamInfo():routeName() .. "|" .. h:streamInfo():virtualClusterName()`: "|",
		`h:streamInfo():downstreamSslConnection()`:                                 "nil",
		`h:connection():ssl()`:                                                                 "nil",
		`(h:streamInfo():filterState():get("none"))`:                                           "nil",
		`(h:metadata():get("none"))`:                                                           "nil",
		`(h:connectionStreamInfo():dynamicMetadata():get("x"))`:                                "nil",
		`type(h:timestamp()) .. type(h:timestampString(EnvoyTimestampResolution.MICROSECOND))`: "numberstring",
		`tostring(io) .. tostring(require) .. tostring(loadfile) .. tostring(dofile) .. tostring(debug) .. tostring(os.execute)`: "nilnilnilnilnilnil",
		`type(os.clock()) .. type(os.time())`:                                                                           "numbernumber",
		`select(2, pcall(function() h:headers():get() end)) ~= nil`:                                                     "true",
		`select(2, pcall(h.timestamp, h, 1)):match("timestamp.*")`:                                                      "timestamp format must be MILLISECOND.",
		`select(2, pcall(function() h:headers():add("a", "b\n") end))`:                                                  `[string "function envoy_on_request(h)..."]:2: bad argument #3 to add (a header value has CR, LF or NUL)`,
		`select(2, pcall(function() h:httpCall("none", {}, "", 1) end))`:                                                `[string "function envoy_on_request(h)..."]:2: http call cluster invalid. Must be configured`,
		`select(2, pcall(function() h:httpCall("c", {}, "", -1) end))`:                                                  `[string "function envoy_on_request(h)..."]:2: http call timeout must be >= 0`,
		`select(2, pcall(function() h:httpCall("c", {[":path"] = "/"}, "", 1) end))`:                                    `[string "function envoy_on_request(h)..."]:2: http call headers must include ':path', ':method', and ':authority'`,
		`select(2, pcall(function() h:respond({[":status"] = "100"}) end))`:                                             `[string "function envoy_on_request(h)..."]:2: :status must be between 200-599`,
		`select(2, pcall(function() string.rep("x", 1e9) end)):match("would have.*")`:                                   "would have 1000000000 bytes",
		`loadstring("return 1 + 1")()`:                                                                                  "2",
		`(loadstring("return return"))`:                                                                                 "nil",
		`select(2, loadstring(("x"):rep(100000)))`:                                                                      "the text is too large to be compiled",
		`(function() local t = {"return ", "7"} local i = 0 return load(function() i = i + 1 return t[i] end)() end)()`: "7",
		`(loadstring("local n = 0 for c in ... do n = n + 1 end return n"))(("abc"):gmatch("."))`:                       "3",
		`("x"):rep(100000):find("y", 1, true)`:                                                                          "nil",
		`("a.b"):gsub("%.", "-")`:                                                                                       "a-b",
		`("ab"):gsub(".", function(c) return c .. c end)`:                                                               "aabb",
		`pcall(error, {1})`:                  "false",
		`select(2, pcall(error, "text", 0))`: "text",
		`select(2, xpcall(function() error("a", 0) end, function(e) return e .. "b" end))`: "ab",
		`select(2, pcall(nil))`: "attempt to call a nil value",
		`(function() local s = "" for k, v in pairs({a = 1}) do s = s .. k .. v end return s end)()`:                                    "a1",
		`(function() local s = "" for i, v in ipairs({5, 6}) do s = s .. i .. v end return s end)()`:                                    "1526",
		`(function() for k, v in pairs({1, 2, 3}) do if v == 2 then return k end end end)()`:                                            "2",
		`(function() local n = 0 for w in ("a b c"):gmatch("%a") do n = n + 1 if w == "b" then break end end return n end)()`:           "2",
		`(function() local f = {} for _, v in ipairs({1, 2}) do f[#f + 1] = function() return v end end return f[1]() .. f[2]() end)()`: "12",
	} {
		h := host(t, onRequest("h:logErr(tostring("+expression+"))"))
		h.Members = map[string]sdk.Members{"c": {Total: 1}}
		s := h.Stream()
		s.SendRequest(true, ":method: GET", ":path: /p", ":authority: example", "x-a: 1", "x-two: a", "x-two: b")
		if got := said(s); got != want || !s.ToServer.Ended {
			t.Errorf("%s is %s, want %s", expression, got, want)
		}
		s.End()
	}
}

func (h *calls) answer(t testing.TB, host *sdktest.Host) {
	host.Members = map[string]sdk.Members{"c": {Total: 1}}
	host.AnswerCalls(func(cluster string, r *sdk.CallRequest) (*sdk.CallResponse, *sdk.CallError) {
		h.made = append(h.made, cluster+" "+r.Headers.Path()+" "+string(r.Body)+" "+r.Timeout.String())
		if r.Headers.Path() == "/fail" {
			return nil, &sdk.CallError{Err: &sdk.Error{}, Status: 503, Text: "no healthy upstream"}
		}
		resp := &sdk.CallResponse{Body: []byte("answer")}
		for _, l := range [][2]string{{":status", "200"}, {"x-c", "1"}, {"x-c", "2"}} {
			resp.Headers.Add(l[0], l[1])
		}
		return resp, nil
	})
}

type calls struct{ made []string }

const aCall = `{[":method"] = "GET", [":path"] = "%s", [":authority"] = "a"}`

// TestCalls: a script waits for the answer to a call, also within pcall and a loop, and the
// request with it.
func TestCalls(t *testing.T) {
	call := func(path, rest string) string {
		return `h:httpCall("c", ` + strings.Replace(aCall, "%s", path, 1) + rest + `)`
	}
	for script, want := range map[string]string{
		`local head, body = ` + call("/a", `, "b", 1000`) + ` h:logErr(head[":status"] .. head["x-c"] .. body) h:headers():add("x-b", body)`:     "2002answer|c /a b 1s|answer",
		`local head = ` + call("/a", `, nil, {timeout_ms = 5, return_duplicate_headers = true}`) + ` h:logErr(head["x-c"][1] .. head["x-c"][2])`: "12|c /a  5ms|-",
		call("/a", `, "b", 7, true`) + ` h:logErr("on")`:                                                                                                             "on|c /a b 7ms|-",
		`local head, body = ` + call("/fail", `, nil, 10`) + ` h:logErr(head[":status"] .. body)`:                                                                    "503no healthy upstream|c /fail  10ms|-",
		`local ok, head = pcall(function() return ` + call("/a", `, nil, 10`) + ` end) h:logErr(tostring(ok) .. head[":status"])`:                                    "true200|c /a  10ms|-",
		`for i, p in ipairs({"/x", "/y"}) do local _, b = h:httpCall("c", {[":method"] = "GET", [":path"] = p, [":authority"] = "a"}, nil, 10) h:logErr(i .. b) end`: "1answer;2answer|c /x  10ms,c /y  10ms|-",
		`local _, b = ` + call("/a", `, nil, 10`) + ` h:respond({[":status"] = "418", ["x-l"] = {"1", "2"}}, b) h:logErr("not reached")`:                             "|c /a  10ms|replied",
		`local _, b = ` + call("/a", `, nil, 10`) + ` error("boom")`:                                                                                                 `[string "function envoy_on_request(h)..."]:2: boom|c /a  10ms|-`,
	} {
		h := host(t, onRequest(script))
		c := &calls{}
		c.answer(t, h)
		s := h.Stream()
		s.SendRequest(true, ":path: /")
		s.Settle()
		head := s.ToServer.Value("x-b")
		if len(s.Replies) > 0 {
			head = "replied"
		} else if !s.ToServer.Ended {
			t.Errorf("%s: the request stands still", script)
		}
		if got := said(s) + "|" + strings.Join(c.made, ",") + "|" + head; got != want {
			t.Errorf("%s:\n%s, want\n%s", script, got, want)
		}
		s.End()
	}
}

// TestBodies: what scripts see and make of bodies and trailers.
func TestBodies(t *testing.T) {
	for _, c := range []struct{ script, said, body, length string }{
		{`local b = h:body() h:logErr(b:length() .. b:getBytes(1, 3)) h:logErr(tostring(b:setBytes("new")))`, "6bcd;3", "new", "3"},
		{`h:logErr((h:body():getBytes(0, 6)))`, "abcdef", "abcdef", "6"},
		{`h:body():getBytes(0, 7)`, `[string "function envoy_on_request(h)..."]:2: index/length must be >= 0 and (index + length) must be <= buffer size`, "abcdef", "6"},
		{`for c in h:bodyChunks() do h:logErr(c:getBytes(0, c:length())) end h:logErr("end")`, "ab;cd;ef;end", "abcdef", "6"},
		{`for c in h:bodyChunks() do c:setBytes("<" .. c:getBytes(0, c:length()) .. ">") end`, "", "<ab><cd><ef>", ""},
		{`for c in h:bodyChunks() do end h:headers():add("a", "b")`, `[string "function envoy_on_request(h)..."]:2: header map can no longer be modified`, "abcdef", "6"},
		{`h:logErr(tostring(h:trailers() and h:trailers():get("t")))`, "1", "abcdef", "6"},
		{`h:trailers():replace("t", "2") h:logErr(h:trailers():get("t"))`, "2", "abcdef", "6"},
		{`keep = h:body() local ok, e = pcall(function() h:bodyChunks() end) h:logErr(e)`, `[string "function envoy_on_request(h)..."]:2: cannot call bodyChunks after body processing has begun`, "abcdef", "6"},
		{`local co = coroutine.wrap(function() coroutine.yield(1) end) h:logErr(tostring(co())) coroutine.yield()`, "1;script performed an unexpected yield", "abcdef", "6"},
	} {
		s := host(t, onRequest(c.script)).Stream()
		s.SendRequest(false, ":path: /", "content-length: 6")
		for _, p := range []string{"ab", "cd", "ef"} {
			s.SendRequestData(p, false)
		}
		s.SendRequestTrailers("t: 1")
		if !s.ToServer.Ended || s.ToServer.Body != c.body || c.length != "" && s.ToServer.Value("content-length") != c.length {
			t.Errorf("%s: %+v", c.script, s.ToServer)
		}
		if got := said(s); got != c.said {
			t.Errorf("%s: said %s, want %s", c.script, got, c.said)
		}
		s.End()
	}
}

// TestResponses: scripts on the way back, and what of the request they see.
func TestResponses(t *testing.T) {
	h := host(t, `
		function envoy_on_request(h) h:streamInfo():dynamicMetadata():set("f", "k", {a = 1, l = {1, "x", true}, e = {}}) end
		function envoy_on_response(h)
			h:headers():add("x-seen", h:requestHeaders():get("x-a") .. h:streamInfo():dynamicMetadata():get("f").k.l[2])
			h:headers():remove("x-gone")
			h:headers():replace("x-old", "new")
			for name, value in pairs(h:headers()) do h:logErr(name .. "=" .. value) end
			h:body():setBytes("changed")
			local ok, e = pcall(function() h:requestHeaders():add("a", "b") end)
			h:logErr(tostring(ok) .. e)
			local ok, e = pcall(function() h:respond({[":status"] = "200"}) end)
			h:logErr(tostring(ok) .. e)
		end`)
	s := h.Stream()
	s.SendRequest(true, ":path: /", "x-a: 1")
	s.SendResponse(false, ":status: 200", "x-gone: 1", "x-old: old", "content-length: 4")
	s.SendResponseData("body", true)
	if s.ToClient.Body != "changed" || s.ToClient.Value("content-length") != "7" || s.ToClient.Value("x-seen") != "1x" ||
		s.ToClient.Value("x-gone") != "-" || s.ToClient.Value("x-old") != "new" {
		t.Errorf("%+v", s.ToClient)
	}
	want := `:status=200;x-old=new;content-length=4;x-seen=1x;false[string "..."]:9: header map can no longer be modified;` +
		`false[string "..."]:11: respond not currently supported in the response path`
	if got := said(s); got != want {
		t.Errorf("said %s\nwant %s", got, want)
	}
	if v := s.Info().Dynamic.Get("f", "k"); v.Field("a").Number() != 1 || v.Field("l").Len() != 3 || v.Field("e").Kind() != sdk.StructValue {
		t.Errorf("%v", v.Any())
	}
	if h.Counted("lua.executions") != 2 || h.Counted("lua.errors") != 0 {
		t.Errorf("%d executions, %d errors", h.Counted("lua.executions"), h.Counted("lua.errors"))
	}
}

// TestBounds: a script that will not end is stopped, and the request goes on.
func TestBounds(t *testing.T) {
	for script, want := range map[string]string{
		`while true do end`: "the script runs too long",
		`while true do pcall(function() while true do end end) end`:              "the script runs too long",
		`local co = coroutine.wrap(function() while true do end end) co()`:       "the script runs too long",
		`local function f() return f() end f()`:                                  "stack overflow",
		`local function f() return 1 + f() end f()`:                              "stack overflow",
		`local t = {} t.t = t h:streamInfo():dynamicMetadata():set("f", "k", t)`: "more than 32 deep",
		`local s = ("a"):rep(20000) string.match(s, ".-b")`:                      "the script runs too long",
		`local s = ("a"):rep(20000) pcall(string.gsub, s, "(a*)(a*)b", "")`:      "the script runs too long",
		`for x in ("a"):rep(20000):gmatch("a-a-b") do end`:                       "the script runs too long",
		`string.find(("a"):rep(999), ("a?"):rep(999))`:                           "pattern too complex",
		`local s = ("a"):rep(10000) string.gsub(s, "a", s)`:                      "would have more than",
		`string.rep("x", 1000000000)`:                                            "would have 1000000000 bytes",
		`error({})`:                                                              "table:",
	} {
		h := host(t, onRequest(script))
		s := h.Stream()
		s.SendRequest(true, ":path: /")
		if got := said(s); !strings.Contains(got, want) || !s.ToServer.Ended || h.Counted("lua.errors") != 1 {
			t.Errorf("%s: %s, %+v, %d errors", script, got, s.ToServer, h.Counted("lua.errors"))
		}
		s.End()
	}
}

// TestKept: what a script keeps beyond its time is of no use to it then.
func TestKept(t *testing.T) {
	h := host(t, `local old
		function envoy_on_request(h)
			if old then h:logErr(select(2, pcall(function() return old:headers() end))) end
			old = h
			n = (n or 0) + 1
			h:headers():add("n", tostring(n))
		end`)
	for i, want := range []string{"", `[string "local old..."]:3: object used outside of proper scope`} {
		s := h.Stream()
		s.SendRequest(true, ":path: /")
		if got := said(s); got != want || s.ToServer.Value("n") != strconv.Itoa(i+1) || s.Cleared != 1 {
			t.Errorf("%d: %s, %+v", i, got, s.ToServer)
		}
		s.End()
	}
}

func TestRoutes(t *testing.T) {
	h := sdktest.NewHost(t, Filter(), sdktest.Text[luav3.Lua](t, `stat_prefix: "p" clear_route_cache { value: false }
		default_source_code { inline_string: "function envoy_on_request(h) h:headers():add('by', 'default' .. tostring(h:filterContext():get('k') or '')) error('x') end" }
		source_codes { key: "n" value { inline_string: "function envoy_on_request(h) h:headers():add('by', 'named' .. h:filterContext():get('k')) end" } }
		filter_context { fields { key: "k" value { string_value: "own" } } }`))
	for _, c := range []struct{ route, by string }{
		{"", "defaultown"},
		{`disabled: true`, "-"},
		{`name: "n"`, "namedown"},
		{`name: "none"`, "-"},
		{`filter_context {}`, "default"},
		{`name: "n" filter_context { fields { key: "k" value { number_value: 2 } } }`, "named2"},
		{`source_code { inline_string: "function envoy_on_request(h) h:headers():add('by', 'route') end" }`, "route"},
	} {
		h.Route = nil
		if c.route != "" {
			h.RouteConfig(Filter(), sdktest.Text[luav3.LuaPerRoute](t, c.route))
		}
		s := h.Stream()
		s.SendRequest(true, ":path: /")
		if got := s.ToServer.Value("by"); got != c.by || s.Cleared != 0 {
			t.Errorf("%s: %s", c.route, got)
		}
		s.End()
	}
	if h.Counted("lua.p.errors") != 2 {
		t.Errorf("%d errors", h.Counted("lua.p.errors"))
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`default_source_code { inline_string: "function (" }`:                          "default_source_code: script load error: ",
		`inline_code: "error('at once')"`:                                              `inline_code: script load error: [string "error('at once')"]:1: at once`,
		`inline_code: "while true do end"`:                                             "the script runs too long",
		`inline_code: "x = 1" default_source_code { inline_string: "x = 1" }`:          "only one of",
		`source_codes { key: "a" value { environment_variable: "NO_SUCH_VARIABLE" } }`: `source_codes["a"].environment_variable`,
		`inline_code: "require('x')"`:                                                  "attempt to call",
	} {
		_, err := Filter().Compile(sdktest.NewCompiler(t), sdktest.Text[luav3.Lua](t, config))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
	if _, err := Filter().CompileRoute(sdktest.NewCompiler(t), sdktest.Text[luav3.LuaPerRoute](t, `source_code { inline_string: "(" }`)); err == nil {
		t.Error("a route's script that is none")
	}
}

func TestStats(t *testing.T) {
	h := host(t, onRequest(`local s = h:stats()
		s:counter("c"):inc() s:counter("c"):add(2) s:gauge("g"):add(5) s:gauge("g"):dec() s:histogram("t", "ms"):recordValue(7)
		for i = 1, 1000 do s:counter("many" .. i):inc() end`))
	s := h.Stream()
	s.SendRequest(true, ":path: /")
	if h.Counted("lua.c") != 3 || h.Counted("lua.g") != 4 || len(h.Observed("lua.t")) != 1 || h.Counted("lua.many1") != 1 || said(s) != "" {
		t.Errorf("%d %d %v %s", h.Counted("lua.c"), h.Counted("lua.g"), h.Observed("lua.t"), said(s))
	}
	if n := len(h.Scope().Names()); n > maxStats+10 {
		t.Errorf("%d names", n)
	}
}

func TestOverride(t *testing.T) {
	s := host(t, onRequest(`h:setUpstreamOverrideHost("1.2.3.4:5", true) h:clearRouteCache() h:streamInfo():drainConnectionUponCompletion()
		h:streamInfo():filterState():set("k", "envoy.string", "v") h:logErr(h:streamInfo():filterState():get("k"))`)).Stream()
	s.SendRequest(true, ":path: /")
	if s.Override != "1.2.3.4:5!" || s.Cleared != 1 || !s.Info().CloseConnection || s.Info().FilterState("k") != "v" || said(s) != "v" {
		t.Errorf("%q, %d, %s", s.Override, s.Cleared, said(s))
	}
}

// TestGone: a stream that ends while its script waits.
func TestGone(t *testing.T) {
	h := host(t, onRequest(`h:body() h:logErr("reached")`))
	s := h.Stream()
	s.SendRequest(false, ":path: /")
	s.End()
	if said(s) != "" {
		t.Error(said(s))
	}
}

// TestSignatures: keys of all kinds; what is wrong is told.
func TestSignatures(t *testing.T) {
	const text = "signed text"
	sum := sha256.Sum256([]byte(text))
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	byRSA, err := rsa.SignPKCS1v15(rand.Reader, r, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	byECDSA, err := ecdsa.SignASN1(rand.Reader, e, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key             any
		signature       []byte
		hash, text, say string
	}{
		{&r.PublicKey, byRSA, "sha256", text, "true"},
		{&e.PublicKey, byECDSA, "SHA256", text, "true"},
		{&r.PublicKey, byRSA, "sha256", "other", "falseFailed to verify digital signature. Error code: 0"},
		{&e.PublicKey, byRSA, "sha256", text, "falseFailed to verify digital signature. Error code: 0"},
		{&r.PublicKey, byRSA, "sha1", text, "falseFailed to verify digital signature. Error code: 0"},
		{&r.PublicKey, byRSA, "md5", text, "falsemd5 is not supported."},
		{nil, byRSA, "sha256", text, "falseFailed to initialize digest verify. Error code: 0"},
	} {
		var der []byte
		if c.key != nil {
			if der, err = x509.MarshalPKIXPublicKey(c.key); err != nil {
				t.Fatal(err)
			}
		}
		b64 := base64.StdEncoding.EncodeToString
		s := host(t, onRequest(`local der, sig = h:base64Decode("`+b64(der)+`"), h:base64Decode("`+b64(c.signature)+`")
			local ok, e = h:verifySignature("`+c.hash+`", h:importPublicKey(der, #der), sig, #sig, "`+c.text+`", `+strconv.Itoa(len(c.text))+`)
			h:logErr(tostring(ok) .. e)`)).Stream()
		s.SendRequest(true, ":path: /")
		if got := said(s); got != c.say {
			t.Errorf("%T by %s: %s, want %s", c.key, c.hash, got, c.say)
		}
		s.End()
	}
}

func BenchmarkHeaders(b *testing.B) {
	s := host(b, onRequest(`h:headers():add("x", h:headers():get("x-a"))`)).Stream()
	s.SendRequest(true, ":path: /", "x-a: 1")
	b.ReportAllocs()
	for b.Loop() {
		f := s.Again()
		f.OnRequestHeaders(s, true)
		f.OnEnd(s)
		s.Request().Remove("x")
	}
}

// BenchmarkBudget is what a script takes of a loop before it is stopped.
func BenchmarkBudget(b *testing.B) {
	s := host(b, onRequest(`while true do end`)).Stream()
	s.SendRequest(true, ":path: /")
	for b.Loop() {
		f := s.Again()
		f.OnRequestHeaders(s, true)
		f.OnEnd(s)
		s.Lines = nil
	}
}
