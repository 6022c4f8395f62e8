package bolt

import (
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/hessian"
	"sofamesh.io/sofamesh/sdk/rpcview"
)

// decoded reads one request and returns the view.
func decoded(t *testing.T, m msg) (*sdk.Message, error) {
	t.Helper()
	down, _ := ends(t, Limits{})
	ev := sdk.Event{Msg: new(sdk.Message)}
	p := m.bytes()
	n, err := down.New().Decode(p, &ev)
	if err == nil && ev.Kind != sdk.EventHeaders {
		t.Fatalf("no head: %+v", ev)
	}
	if ce, ok := err.(*sdk.CodecError); ok && ce.Stream && (n == 0 || ev.Stream == 0 || ce.Status != 400) {
		t.Fatalf("a refused call gives %d, %+v", n, ev)
	}
	return ev.Msg, err
}

func hessianCall(content string, headers ...string) msg {
	m := call(7, content)
	m.serial, m.headers = serialHessian, headers
	return m
}

func bare(headers ...string) msg {
	m := call(7, "x")
	m.headers = headers
	return m
}

// TestIdentity: whom a call is for, and each way to say it twice differently.
func TestIdentity(t *testing.T) {
	const s, target, method = headerService, headerTarget, headerMethod
	body := sofaBody("a.B:1.0", "m", "arg")
	classed := call(7, "x")
	classed.class = "java.lang.String"
	nothing := classed
	nothing.class = ""
	slashed := classed
	slashed.class = "a/b"
	fury := call(7, "x")
	fury.serial = 22
	trims := func(class string) msg {
		m := hessianCall(body)
		m.class = class
		return m
	}
	serial4 := hessianCall(sofaBody("a.B:1.0", "other"), s, "a.B:1.0", method, "m")
	serial4.serial = serialHessian2
	for _, c := range []struct {
		name string
		msg  msg
		err  error
		want string // authority, path, version, group, generic
	}{
		{"protobuf", call(7, "x"), nil, "com.acme.hello /com.acme.Hello/sayHi 1.0  "},
		{"second header alone", bare(target, "a.B:2.0:blue", method, "m"), nil, "g-blue.v-2-0.a.b /a.B/m 2.0 blue "},
		{"both headers agree", bare(target, "a.B:1.0", s, "a.B:1.0", method, "m"), nil, "a.b /a.B/m 1.0  "},
		{"both headers differ", bare(target, "a.B:1.0", s, "a.C:1.0", method, "m"), errTargets, ""},
		{"both differ in the version", bare(target, "a.B:1.0", s, "a.B:2.0", method, "m"), errTargets, ""},
		{"service twice", bare(s, "a.B:1.0", s, "a.C:1.0", method, "m"), errSpelling, ""},
		{"method twice", bare(s, "a.B:1.0", method, "m", method, "n"), errSpelling, ""},
		{"target twice", bare(target, "a.B", target, "a.B", method, "m"), errSpelling, ""},
		{"service in another case", bare(s, "a.B:1.0", "Service", "a.C:1.0", method, "m"), errSpelling, ""},
		{"method in another case", bare(s, "a.B:1.0", "SOFA_head_method_name", "m"), errSpelling, ""},
		{"null service counts for none", bare(s, "\xff", target, "a.B", method, "m"), nil, "a.b /a.B/m   "},
		{"empty service", bare(s, "", method, "m"), errNoName, ""},
		{"no service", bare(method, "m"), errNoName, ""},
		{"no method", bare(s, "a.B"), errNoName, ""},
		{"inner class, case kept", bare(s, "com.Acme.Outer$In_ner:1.0", method, "doIt"), nil, "com.acme.outer-in-ner /com.Acme.Outer$In_ner/doIt 1.0  "},
		{"slash in the service", bare(s, "a/../B", method, "m"), errBadName, ""},
		{"line break in the service", bare(s, "a.B\r\nx", method, "m"), errBadName, ""},
		{"slash in the method", bare(s, "a.B", method, "m/n"), errBadName, ""},
		{"query in the method", bare(s, "a.B", method, "m?x"), errBadName, ""},
		{"NUL in the method", bare(s, "a.B", method, "m\x00"), errBadName, ""},
		{"body alone (Node)", hessianCall(body, s, "a.B:1.0"), nil, "a.b /a.B/m 1.0  "},
		{"body alone, no headers", hessianCall(body), nil, "a.b /a.B/m 1.0  "},
		{"body of another service", hessianCall(body, s, "a.C:1.0", method, "m"), errBodyNames, ""},
		{"body of another method", hessianCall(body, s, "a.B:1.0", method, "n"), errBodyNames, ""},
		{"body of another version", hessianCall(body, s, "a.B:1.1"), errBodyNames, ""},
		{"the other number of Hessian", serial4, errBodyNames, ""},
		{"body is no request", hessianCall("\x05hello", s, "a.B:1.0", method, "m"), errBody, ""},
		{"empty body", hessianCall("", s, "a.B:1.0", method, "m"), errBody, ""},
		{"cut body", hessianCall(body[:60], s, "a.B:1.0", method, "m"), errBody, ""},
		{"generic by Hessian", hessianCall(sofaBody("a.B:1.0", "$invoke", "real"), s, "a.B:1.0", method, "$invoke"), nil, "a.b /a.B/real 1.0  $invoke"},
		{"generic by Hessian, asynchronous", hessianCall(javaBody("a.B:1.0", "$invokeAsync", "real")), nil, "a.b /a.B/real 1.0  $invokeAsync"},
		{"generic by Hessian, another name", hessianCall(javaBody("a.B:1.0", "$genericInvoke", "real")), nil, "a.b /a.B/real 1.0  $genericInvoke"},
		{"generic by Hessian, ordinary by header", hessianCall(javaBody("a.B:1.0", "$invoke", "real"), method, "other"), errBodyNames, ""},
		{"generic by Hessian, its method by header", hessianCall(javaBody("a.B:1.0", "$invoke", "real"), method, "real"), errBodyNames, ""},
		{"generic of a slash", hessianCall(javaBody("a.B:1.0", "$invoke", "re/al")), errBadName, ""},
		{"generic of nothing", hessianCall(javaBody("a.B:1.0", "$invoke", "")), errNoName, ""},
		{"generic of a generic", hessianCall(javaBody("a.B:1.0", "$invoke", "$invoke", "real")), errBody, ""},
		{"generic in a body that is not read", bare(s, "a.B", method, "$invoke"), errBody, ""},
		{"generic without its method", hessianCall(sofaBody("a.B:1.0", "$invoke"), s, "a.B:1.0"), errBody, ""},
		{"SOFARPC generic", bare(s, "a.B", method, "m", headerGeneric, "2"), nil, "a.b /a.B/m   2"},
		{"generic type in another case", bare(s, "a.B", method, "m", "SOFA_head_generic_type", "2"), errSpelling, ""},
		{"generic type in lines", bare(s, "a.B", method, "m", headerGeneric, "2\r\nx"), nil, "a.b /a.B/m   2??x"},
		{"null method counts for none", bare(s, "a.B", method, "\xff"), errNoName, ""},
		{"null key", bare("\xff", "a.C", s, "a.B", method, "m"), nil, "a.b /a.B/m   "},
		{"default version said", bare(s, "a.B:1.0:", method, "m"), nil, "a.b /a.B/m 1.0  "},
		{"unique id of dots", bare(s, "a.B:1.0:x.y", method, "m"), nil, "g-x-y.a.b /a.B/m 1.0 x.y "},
		{"version in another place", bare(s, "a.B::2.0", method, "m"), nil, "g-2-0.a.b /a.B/m  2.0 "},
		{"blank service", bare(s, " ", target, "a.B", method, "m"), errTargets, ""},
		{"space behind the service", bare(s, "a.B ", method, "m"), errBadName, ""},
		{"only a version", bare(s, ":1.0", method, "m"), errBadName, ""},
		{"percent in the method", bare(s, "a.B", method, "%6d"), errBadName, ""},
		{"a body with names that is not read", fury, errSerial, ""},
		{"JSON goes by the headers", func() msg { m := call(7, body); m.serial = serialJSON; return m }(), nil, "com.acme.hello /com.acme.Hello/sayHi 1.0  "},
		{"class with a space behind", trims(hessian.SofaRequestClass + " "), errBadName, ""},
		{"class with a wide space before", trims("\u00a0" + hessian.SofaRequestClass), errBadName, ""},
		{"class with a mark behind", trims(hessian.SofaRequestClass + "\ufeff"), errBadName, ""},
		{"class with a line's end behind", trims(hessian.SofaRequestClass + "\u2028"), errBadName, ""},
		{"class in another case", trims("com.alipay.sofa.rpc.core.request.sofaRequest"), nil, "com.alipay.sofa.rpc.core.request.sofarequest /com.alipay.sofa.rpc.core.request.sofaRequest   "},
		{"bare Bolt", classed, nil, "java.lang.string /java.lang.String   "},
		{"no class", nothing, errBadName, ""},
		{"class with a slash", slashed, errBadName, ""},
	} {
		m, err := decoded(t, c.msg)
		if err != c.err {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
			continue
		}
		got := strings.Join([]string{
			m.Authority(), m.Path(), m.ID(sdk.HeaderRPCVersion), m.ID(sdk.HeaderRPCGroup), m.ID(sdk.HeaderRPCGeneric),
		}, " ")
		if err == nil && (got != c.want || m.Method() != "POST") {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestNamesBehindTheLookAhead: a body whose names stand too far back is refused
// whatever the headers say, because the server will go by the body.
func TestNamesBehindTheLookAhead(t *testing.T) {
	m := hessianCall(sofaBody("a.B:1.0", "m", strings.Repeat("x", 100)), headerService, "a.B:1.0", headerMethod, "m")
	for _, c := range []struct {
		ahead int
		err   error
	}{{140, nil}, {90, errBody}, {20, errBody}} {
		down, _ := ends(t, Limits{LookAhead: c.ahead})
		ev := sdk.Event{Msg: new(sdk.Message)}
		if _, err := down.New().Decode(m.bytes(), &ev); err != c.err {
			t.Errorf("with %d bytes: %v, want %v", c.ahead, err, c.err)
		}
	}
}

// TestHostileHeaders: what never enters the view, and that all of it still goes on
// as it came.
func TestHostileHeaders(t *testing.T) {
	hostile := []string{
		":path", "/admin", ":authority", "evil", "X-Envoy-Internal", "true", "x-forwarded-client-cert", "By=me",
		"X-Forwarded-For", "1.1.1.1", "x-rpc-generic", "no", "x-request-id", "1", "Host", "evil", "Content-Length", "9",
		"Transfer-Encoding", "chunked", "connection", "close", "a b", "1", "a\r\nb", "1", "a\x00", "1", "", "1", "\xff", "1",
		"nul", "\xff", "n\u00e4me", "1", strings.Repeat("n", rpcview.MaxName+1), "1",
	}
	shown := []string{"CamelCase", "v", "crlf", "a\r\nx-envoy-internal: 1\x00\x7f", "tab", "a\tb", "traceparent", "00-1"}
	m := call(7, "x", append(hostile, shown...)...)
	view, err := decoded(t, m)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for name, value := range view.All() {
		got = append(got, name+"="+value)
	}
	want := ":method=POST content-length=1 " +
		"service=com.acme.Hello:1.0 sofa_head_method_name=sayHi camelcase=v crlf=a??x-envoy-internal: 1?? tab=a\tb traceparent=00-1 " +
		":authority=com.acme.hello :path=/com.acme.Hello/sayHi x-rpc-version=1.0"
	if strings.Join(got, " ") != want {
		t.Errorf("the view is\n%q, want\n%q", strings.Join(got, " "), want)
	}
	down, up := ends(t, Limits{})
	r := newRelay(t, down.New(), up.New())
	r.run(m.bytes())
	if got, want := string(take(r.out)), string(withID(m.bytes(), 1)); got != want {
		t.Errorf("sent on\n%q, want\n%q", got, want)
	}
}

// TestUsualNames: the short way comes to what the long one does, and is for this
// spelling alone.
func TestUsualNames(t *testing.T) {
	found := map[string]bool{}
	for _, frame := range captured(t) {
		var f fixed
		_ = f.parse(frame)
		block := frame[f.size+f.class : f.head()]
		for e := (entry{}); e.end < len(block) && e.next(block); {
			key := block[e.key:e.keyEnd]
			if name := usual(key); name != "" {
				found[string(key)] = true
			}
		}
	}
	for _, key := range []string{"app", "type", "protocol", "rpc_trace_context.samp", "rpc_trace_context.sofaRpcId", "rpc_trace_context.sofaTraceId",
		"rpc_trace_context.sysPenAttrs", "rpc_trace_context.sofaPenAttrs", "rpc_trace_context.sofaCallerApp",
		"rpc_trace_context.sofaCallerIp", "rpc_trace_context.sofaCallerZone", "rpc_trace_context.sofaCallerIdc"} {
		var buf [rpcview.MaxName]byte
		name := string(rpcview.Name(buf[:], []byte(key)))
		if usual([]byte(key)) != name || name == "" || sdk.LookupHeader(name) != sdk.HeaderOther {
			t.Errorf("%s is %q, want %q", key, usual([]byte(key)), name)
		}
		if usual([]byte(strings.ToUpper(key))) != "" {
			t.Errorf("%s is known in capitals", key)
		}
	}
	if len(found) < 8 {
		t.Errorf("of the names only %v were recorded", found)
	}
}

// TestRefusedCall: the connection outlives it, its content is skipped, and it is
// answered in its version.
func TestRefusedCall(t *testing.T) {
	bad := hessianCall(strings.Repeat("x", 50000))
	bad.version = 1
	oneWay := bad
	oneWay.kind = typeOneWay
	down, up := ends(t, Limits{})
	r := newRelay(t, down.New(), up.New())
	rest := r.run(append(append(bad.bytes(), oneWay.bytes()...), call(9, "good").bytes()...))
	if len(rest) > 0 || len(r.seen) != 2 || r.seen[0] != errBody.Text {
		t.Fatalf("%d bytes are left, %q", len(rest), r.seen)
	}
	if got, want := string(take(r.out)), string(withID(call(9, "good").bytes(), 1)); got != want {
		t.Errorf("sent on %q, want %q", got, want)
	}
	want := msg{
		version: 1, cmd: cmdResponse, id: 7, serial: serialHessian, class: hessian.SofaResponseClass,
		headers: []string{headerFailed, "true"}, content: string(hessian.AppendSofaResponse(nil, errBody.Text, true)),
	}
	if got := string(take(r.said)); got != string(want.bytes()) {
		t.Errorf("answered %q, want %q", got, want.bytes())
	}
}

func TestMalformedMap(t *testing.T) {
	for _, block := range []string{"\x00", "\x00\x00\x00\x05ab", "\x00\x00\x00\x01a", "\xff\xff\xff\xfe\x00\x00\x00\x00", "\x00\x00\x00\x01a\x7f\xff\xff\xff"} {
		p := call(7, "x").bytes()
		var f fixed
		_ = f.parse(p)
		p = append(append(append([]byte{}, p[:f.size+f.class]...), block...), 'x')
		f.headers = len(block)
		f.setLengths(p)
		down, _ := ends(t, Limits{})
		ev := sdk.Event{Msg: new(sdk.Message)}
		if _, err := down.New().Decode(p, &ev); err != errMap {
			t.Errorf("%q: %v", block, err)
		}
	}
}
