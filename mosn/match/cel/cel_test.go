package cel

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/cel-go/cel"
	exprpb "google.golang.org/genproto/googleapis/api/expr/v1alpha1"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func headers(lines ...string) *sdk.Headers {
	h := &sdk.Headers{}
	for _, l := range lines {
		i := strings.Index(l[1:], ":") + 1
		h.Add(l[:i], strings.TrimSpace(l[i+1:]))
	}
	return h
}

// sample is a stream that has ended.
func sample() *match.Data {
	info := &sdk.StreamInfo{
		StartTime: time.Unix(1700000000, 500_000_000), Start: 1e9, End: 2e9, UpstreamRequest: 3e9, UpstreamEnd: 4e9,
		Protocol: sdk.HTTP11, ResponseCode: 404, Details: "via_upstream", Flags: sdk.FlagNoRouteFound, BytesReceived: 7, BytesSent: 11,
		ConnectionID: 3, Attempts: 2, ClusterName: "c", VirtualHostName: "v", UpstreamHost: "10.0.0.9:8080",
		DownstreamRemote: netip.MustParseAddrPort("[::ffff:192.0.2.7]:1234"), DownstreamLocal: netip.MustParseAddrPort("10.0.0.1:80"),
		UpstreamLocal: netip.MustParseAddrPort("10.0.0.1:999"),
	}
	info.SetFilterState("text", "value")
	info.Dynamic.Merge("f", sdk.Struct(sdk.Field{Name: "k", Value: sdk.String("v")}, sdk.Field{Name: "n", Value: sdk.Number(5)},
		sdk.Field{Name: "s", Value: sdk.Struct(sdk.Field{Name: "t", Value: sdk.Bool(true)})},
		sdk.Field{Name: "l", Value: sdk.List(sdk.String("a"), sdk.Number(2))}, sdk.Field{Name: "z", Value: sdk.Null()}))
	info.RouteMetadata = &sdk.Metadata{}
	info.RouteMetadata.Set("r", "k", sdk.String("w"))
	info.SetFilterState("addr", netip.MustParseAddr("10.9.9.9"))
	info.SetFilterState("number", 5)
	return &match.Data{
		Info:             info,
		Request:          headers(":path: /Svc/m?q=1#f", ":authority: h", ":method: GET", "x-a: 1", "x-a: 2", "user-agent: me", "x-n: 12"),
		Response:         headers(":status: 404", "x-r: 1"),
		ResponseTrailers: headers("grpc-status: 5"),
	}
}

// TestAttributes: what attributes give; an expression that fails gives "error".
func TestAttributes(t *testing.T) {
	for expression, want := range map[string]string{
		`request.path`:                                       "/Svc/m?q=1#f",
		`request.url_path`:                                   "/Svc/m",
		`request.query`:                                      "q=1",
		`request.host`:                                       "h",
		`request.method`:                                     "GET",
		`request.scheme`:                                     "error",
		`request.useragent`:                                  "me",
		`request.headers['x-a']`:                             "1,2",
		`request.headers['X-A']`:                             "1,2",
		`request.headers['host']`:                            "h",
		`request.headers['none']`:                            "error",
		`'x-a' in request.headers`:                           "true",
		`'none' in request.headers`:                          "false",
		`has(request.headers.none)`:                          "false",
		`size(request.headers)`:                              "7",
		`has(request.path)`:                                  "true",
		`has(request.scheme)`:                                "false",
		`request['path']`:                                    "/Svc/m?q=1#f",
		`request['nonsense']`:                                "error",
		`request`:                                            "CelMap value",
		`request.time`:                                       "2023-11-14T22:13:20.5+00:00",
		`request.time.getFullYear()`:                         "2023",
		`request.duration`:                                   "1s",
		`request.duration < duration('2s')`:                  "true",
		`request.protocol`:                                   "HTTP/1.1",
		`request.size`:                                       "7",
		`request.total_size > request.size`:                  "true",
		`response.code`:                                      "404",
		`response.code >= 400 && response.code < 500`:        "true",
		`response.code_details`:                              "via_upstream",
		`response.flags`:                                     "256",
		`response.grpc_status`:                               "5",
		`response.headers['x-r']`:                            "1",
		`response.trailers['grpc-status']`:                   "5",
		`response.size`:                                      "11",
		`response.backend_latency`:                           "1s",
		`source.address`:                                     "192.0.2.7:1234",
		`source.port`:                                        "1234",
		`destination.address`:                                "10.0.0.1:80",
		`destination.port == 80`:                             "true",
		`connection.id`:                                      "3",
		`connection.id == 3`:                                 "true",
		`connection.mtls`:                                    "false",
		`connection.requested_server_name`:                   "",
		`connection.uri_san_peer_certificate`:                "error",
		`upstream.address`:                                   "10.0.0.9:8080",
		`upstream.port`:                                      "8080",
		`upstream.local_address`:                             "10.0.0.1:999",
		`upstream.request_attempt_count > 1`:                 "true",
		`filter_state['text']`:                               "value",
		`filter_state['text'] == b'value'`:                   "true",
		`filter_state['addr'] == b'10.9.9.9'`:                "true",
		`filter_state['number'] == 5`:                        "error",
		`'text' in filter_state`:                             "true",
		`metadata.filter_metadata['f']['k']`:                 "v",
		`metadata.filter_metadata['f']['n'] == 5`:            "true",
		`metadata.filter_metadata['f'].n > 4.5`:              "true",
		`metadata.filter_metadata['f']['s']['t'] == true`:    "true",
		`'a' in metadata.filter_metadata['f']['l']`:          "true",
		`metadata.filter_metadata['f']['l'][1] == 2`:         "true",
		`metadata.filter_metadata['f']['none'] == 2`:         "error",
		`metadata.filter_metadata['none']['k'] == 2`:         "error",
		`'none' in metadata.filter_metadata`:                 "false",
		`metadata.filter_metadata['f']['z'] == null`:         "true",
		`xds.route_metadata.filter_metadata['r']['k']`:       "w",
		`xds.cluster_metadata.filter_metadata['r']['k']`:     "error",
		`xds.node.id == 'x'`:                                 "error",
		`xds.cluster_name`:                                   "c",
		`xds.route_name`:                                     "",
		`xds.virtual_host_name`:                              "v",
		`int(request.headers['x-n']) + 1`:                    "13",
		`uint(7)`:                                            "7",
		`1.5`:                                                "1.5",
		`null`:                                               "NULL",
		`[1, 2]`:                                             "CelList value",
		`request.path.startsWith('/Svc') ? 'a' : 'b'`:        "a",
		`request.path.matches('^/Svc/.*')`:                   "true",
		`matches(request.path, '^/Svc/.*')`:                  "true",
		`request.scheme == 'x' || true`:                      "true",
		`request.scheme == 'x' || false`:                     "error",
		`request.scheme == 'x' && false`:                     "false",
		`request.method in ['GET', 'HEAD']`:                  "true",
		`{'GET': 1, 'PUT': 2}[request.method]`:               "1",
		`request.method == 'GET' && response.code / 0 == 1`:  "error",
		`request.headers == request.headers`:                 "error",
		`bytes(request.method) == b'GET'`:                    "true",
		`timestamp('2020-01-01T00:00:00Z') < request.time`:   "true",
		`request.headers['x-n'] == '12' && !connection.mtls`: "true",
	} {
		p, err := CompileText(sdktest.NewCompiler(t), expression, nil, Anything)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		got, ok := p.AppendText(nil, sample())
		if !ok {
			got = []byte("error")
		}
		if string(got) != want {
			t.Errorf("%s: %s, want %s", expression, got, want)
		}
		if p.Match(sample()) != (want == "true") {
			t.Errorf("%s: as a condition it is %v", expression, want != "true")
		}
	}
}

// TestNothingYet: of a stream that has just begun nothing is there, and nothing breaks.
func TestNothingYet(t *testing.T) {
	for name := range attributes(nil) {
		p, err := CompileText(sdktest.NewCompiler(t), name, nil, Anything)
		if err != nil {
			t.Fatal(err)
		}
		p.AppendText(nil, &match.Data{Info: &sdk.StreamInfo{}})
	}
}

// TestDecide: what was asked of a response that has not come is not final, unless it does
// not matter.
func TestDecide(t *testing.T) {
	for expression, want := range map[string][2]bool{
		`response.code == 404`:                          {false, false},
		`!(response.code == 404)`:                       {false, false},
		`has(response.code)`:                            {false, false},
		`response.size == 0`:                            {true, true},
		`true || response.code == 404`:                  {true, true},
		`request.path == 'x'`:                           {false, true},
		`request.method == 'x' && response.code == 404`: {false, true},
	} {
		p, err := CompileText(sdktest.NewCompiler(t), expression, nil, Condition)
		if err != nil {
			t.Fatal(err)
		}
		d := &match.Data{Info: &sdk.StreamInfo{}, Request: headers(":path: x/", ":method: GET")}
		if is, final := p.Decide(d); is != want[0] || final != want[1] {
			t.Errorf("%s: %v, final %v", expression, is, final)
		}
		d.Response = headers(":status: 200")
		if _, final := p.Decide(d); !final {
			t.Errorf("%s: not final with a response", expression)
		}
	}
}

// TestText: the forms of values, as Envoy 1.40 printed them.
func TestText(t *testing.T) {
	for expression, want := range map[string]string{
		`duration('1500ms')`: "1.5s", `duration('3600s')`: "1h", `duration('90s')`: "1m30s", `duration('-1.5s')`: "-1.5s",
		`duration('10ms')`: "10ms", `duration('7384.5s')`: "2h3m4.5s", `duration('0s')`: "0", `duration('0.0000015s')`: "1.5us",
		`duration('0.000000015s')`: "15ns", `duration('25h')`: "25h", `duration('0.01005s')`: "10.05ms",
		`timestamp('2020-01-01T00:00:00.25Z')`: "2020-01-01T00:00:00.25+00:00", `timestamp('2020-01-01T00:00:00Z')`: "2020-01-01T00:00:00+00:00",
		`1.5`: "1.5", `1.0`: "1", `1e30`: "1e+30", `0.1 + 0.2`: "0.3", `-1e-7`: "-1e-07", `123456789.0`: "1.23457e+08", `100000.5`: "100000",
		`b'ab'`: "ab", `null`: "NULL", `[1]`: "CelList value", `{'a': 1}`: "CelMap value", `int`: "type value",
	} {
		p, err := CompileText(sdktest.NewCompiler(t), expression, nil, Anything)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got, _ := p.AppendText([]byte("x"), sample()); string(got) != "x"+want {
			t.Errorf("%s: %s, want %s", expression, got[1:], want)
		}
	}
}

func TestValue(t *testing.T) {
	for expression, want := range map[string]any{
		`response.code`: 404.0, `connection.id`: 3.0, `1.5`: 1.5, `true`: true, `request.host`: "h", `b'ab'`: "YWI=", `null`: nil,
		`duration('90s')`: "90s", `duration('-1.5s')`: "-1.500s", `duration('0.000001s')`: "0.000001s",
		`timestamp('2020-01-01T00:00:00Z')`: "2020-01-01T00:00:00Z", `timestamp('2020-01-01T00:00:00.25Z')`: "2020-01-01T00:00:00.250Z", `request.headers`: nil, `request.scheme`: nil,
		`[1, 'a']`: []any{1.0, "a"}, `metadata.filter_metadata['f']['l']`: []any{"a", 2.0}, `metadata.filter_metadata['f']['s']`: map[string]any{"t": true},
	} {
		p, err := CompileText(sdktest.NewCompiler(t), expression, nil, Anything)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := p.Value(sample()).Any(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", expression, got, want)
		}
	}
}

func TestConfig(t *testing.T) {
	all := &corev3.CelExpressionConfig{EnableStringConcat: true, EnableStringConversion: true, EnableStringFunctions: true}
	for expression, want := range map[string]string{
		`request.host + 'x'`:                      "hx",
		`string(response.code)`:                   "404",
		`request.path.lowerAscii()`:               "/svc/m?q=1#f",
		`request.path.replace('/', '-')`:          "-Svc-m?q=1#f",
		`request.url_path.split('/')[1]`:          "Svc",
		`request.url_path.split('/').join('.')`:   ".Svc.m",
		`string(filter_state['text']) == 'value'`: "true",
	} {
		p, err := CompileText(sdktest.NewCompiler(t), expression, all, Anything)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got, _ := p.AppendText(nil, sample()); string(got) != want {
			t.Errorf("%s: %s, want %s", expression, got, want)
		}
		if _, err := CompileText(sdktest.NewCompiler(t), expression, nil, Anything); err == nil {
			t.Errorf("%s is not allowed without being enabled", expression)
		}
	}
}

func TestRefused(t *testing.T) {
	all := &corev3.CelExpressionConfig{EnableStringConcat: true, EnableStringConversion: true, EnableStringFunctions: true}
	for expression, want := range map[string]string{
		`foo == 1`:                                     "line 1, column 1: undeclared reference to 'foo'",
		`request.foo == 1`:                             "there is no attribute request.foo",
		`upstream.num_endpoints == 1`:                  "the attribute upstream.num_endpoints is not built yet",
		`xds.node.foo == 1`:                            "there is no attribute xds.node.foo",
		`metadata.typed_filter_metadata['a'] == 1`:     "the attribute metadata.typed_filter_metadata is not built yet",
		`request.path == 1`:                            "line 1, column 14: found no matching overload for '_==_' applied to '(string, int)'",
		`request.path`:                                 "a condition gives true or false, this is of type string",
		`request.headers.exists(k, k == '')`:           "undeclared reference to 'exists'",
		`request.path.matches('[')`:                    "missing closing ]",
		`request.path.matches(request.host)`:           "the arguments of matches must be constants",
		`matches(request.path, request.host)`:          "the arguments of matches must be constants",
		`request.path.replace('', request.host) == ''`: "the arguments of replace must be constants",
		`'%s'.format([1]) == ''`:                       "format is not built",
		`nofunc(1)`:                                    "undeclared reference to 'nofunc'",
		`request.path ==`:                              "Syntax error",
		`google.protobuf.Int32Value{value: 1} == 1`:    "messages (google.protobuf.Int32Value) cannot be made",
		`[1] + [2] == [1, 2]`:                          "found no matching overload for '_+_'",
		strings.Repeat("(", 300) + "true" + strings.Repeat(")", 300):                            "recursion",
		strings.Repeat("request.path.matches('"+strings.Repeat("a", 200)+"') || ", 20) + "true": "steps, more than",
	} {
		_, err := CompileText(sdktest.NewCompiler(t), expression, all, Condition)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", expression, err, want)
		}
	}
}

// expr parses an expression with all macros, as whoever made a parsed one may have.
func expr(t testing.TB, text string) *exprpb.Expr {
	t.Helper()
	e, err := cel.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	a, issues := e.Parse(text)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	p, err := cel.AstToParsedExpr(a)
	if err != nil {
		t.Fatal(err)
	}
	return p.GetExpr()
}

func TestParsed(t *testing.T) {
	for expression, want := range map[string]string{
		`request.method == 'GET' && has(request.path)`: "",
		`request.headers.exists(k, k == 'a')`:          "comprehensions",
		`request.headers.all(k, k == 'a')`:             "comprehensions",
	} {
		pb := expr(t, expression)
		p, err := CompileExpr(sdktest.NewCompiler(t), pb, nil)
		switch {
		case want == "" && (err != nil || !p.Match(sample())):
			t.Errorf("%s: %v", expression, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %s", expression, err, want)
		}
	}
	for _, pb := range []*exprpb.Expr{nil, {}, {ExprKind: &exprpb.Expr_CallExpr{CallExpr: &exprpb.Expr_Call{Function: "_&&_"}}}} {
		if _, err := CompileExpr(sdktest.NewCompiler(t), pb, nil); err == nil {
			t.Errorf("%v is an expression", pb)
		}
	}
	deep := expr(t, "true")
	for range maxDepth + 1 {
		deep = &exprpb.Expr{ExprKind: &exprpb.Expr_CallExpr{CallExpr: &exprpb.Expr_Call{Function: "!_", Args: []*exprpb.Expr{deep}}}}
	}
	if _, err := CompileExpr(sdktest.NewCompiler(t), deep, nil); err == nil || !strings.Contains(err.Error(), "nested") {
		t.Errorf("too deep: %v", err)
	}
	// Expressions without numbers, as one writes them by hand.
	ident := func(name string) *exprpb.Expr {
		return &exprpb.Expr{ExprKind: &exprpb.Expr_IdentExpr{IdentExpr: &exprpb.Expr_Ident{Name: name}}}
	}
	path := &exprpb.Expr{ExprKind: &exprpb.Expr_SelectExpr{SelectExpr: &exprpb.Expr_Select{Operand: ident("request"), Field: "method"}}}
	get := &exprpb.Expr{ExprKind: &exprpb.Expr_ConstExpr{ConstExpr: &exprpb.Constant{ConstantKind: &exprpb.Constant_StringValue{StringValue: "GET"}}}}
	equal := &exprpb.Expr{ExprKind: &exprpb.Expr_CallExpr{CallExpr: &exprpb.Expr_Call{Function: "_==_", Args: []*exprpb.Expr{path, get}}}}
	if p, err := CompileExpr(sdktest.NewCompiler(t), equal, nil); err != nil || !p.Match(sample()) {
		t.Errorf("without numbers: %v", err)
	}
}

// TestAllocs: what looks at a few texts costs the boxes around them.
func TestAllocs(t *testing.T) {
	for expression, most := range map[string]float64{
		`response.code >= 400`: 2, `request.headers['x-n'] == '12' && request.method == 'GET'`: 5,
	} {
		p, err := CompileText(sdktest.NewCompiler(t), expression, nil, Condition)
		if err != nil {
			t.Fatal(err)
		}
		d := sample()
		if n := testing.AllocsPerRun(100, func() { p.Match(d) }); n > most {
			t.Errorf("%s: %v allocations", expression, n)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	p, err := CompileText(sdktest.NewCompiler(b), `request.headers['x-n'] == '12' && request.path.startsWith('/Svc/')`, nil, Condition)
	if err != nil {
		b.Fatal(err)
	}
	d := sample()
	b.ReportAllocs()
	for b.Loop() {
		p.Match(d)
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := CompileText(sdktest.NewCompiler(b), `request.headers['x-n'] == '12' && request.path.startsWith('/Svc/')`, nil, Condition); err != nil {
			b.Fatal(err)
		}
	}
}
