package format

import (
	"maps"
	"math"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk"
)

// proxied is a request that went through: what Envoy 1.40 was given when the
// expectations below were taken from its own log.
func proxied() *Context {
	info := &sdk.StreamInfo{
		StartTime: time.Date(2026, 11, 21, 13, 0, 52, 985456789, time.UTC),
		Start:     1_000_000_000, RequestEnd: 1_000_010_000, UpstreamRequest: 1_000_883_000, UpstreamRequestEnd: 1_000_890_000,
		UpstreamResponse: 1_001_500_000, UpstreamEnd: 1_001_900_000, ResponseStart: 1_001_950_000, End: 1_002_100_000,
		Protocol: sdk.HTTP11, ResponseCode: 200, Details: "via_upstream", BytesSent: 5, StreamID: 9, ConnectionID: 3, Attempts: 1,
		RouteName: "main", ClusterName: "up", ClusterStatName: "up_alt", UpstreamProtocol: "HTTP/2", FilterChainName: "fc", ListenerName: "l",
		DownstreamWire: sdk.Wire{Received: 1, Sent: 2}, UpstreamWire: sdk.Wire{Received: 3, Sent: 4},
		UpstreamHostname: "name.example:99", UpstreamAttempt: 1_000_100_000, UpstreamReady: 1_003_100_000,
		UpstreamConnect: 1_000_100_000, UpstreamConnected: 1_000_300_000, UpstreamBody: 1_001_600_000,
		Tried: []sdk.Tried{{Host: "127.0.0.1:19003", ConnectionID: 7}, {Host: "127.0.0.1:19002", Hostname: "name.example:99", ConnectionID: 1}}, UpstreamHost: "127.0.0.1:19002",
		DownstreamRemote:       netip.MustParseAddrPort("[::ffff:10.1.2.3]:56538"),
		DownstreamDirectRemote: netip.MustParseAddrPort("127.0.0.1:56538"),
		DownstreamLocal:        netip.MustParseAddrPort("[::1]:19000"),
		UpstreamLocal:          netip.MustParseAddrPort("127.0.0.1:58394"),
		UpstreamConnectionID:   1,
	}
	ctx := &Context{Info: info, Request: &sdk.Headers{}, Response: &sdk.Headers{}, Trailers: &sdk.Headers{}}
	for _, h := range [][2]string{{":method", "GET"}, {":path", "/a?q=1"}, {":authority", "host:80"}, {"x-b", "abcdef"}, {"x-q", `q"\x`},
		{"user-agent", "curl"}, {"x-request-id", "e34112fb"}, {"empty", ""}, {"two", "1"}, {"two", "2"}} {
		ctx.Request.Add(h[0], h[1])
	}
	ctx.Response.Add("server", "envoy")
	ctx.Response.Add("x-envoy-upstream-service-time", "1")
	ctx.Trailers.Add("grpc-status", "0")
	return ctx
}

// refused is a request whose upstream refused the connection.
func refused() *Context {
	return &Context{Info: &sdk.StreamInfo{
		Start: 1, RequestEnd: 2, End: 3, ResponseCode: 503, Flags: sdk.FlagUpstreamConnectionFailure | sdk.FlagUpstreamRetryLimitExceeded,
		UpstreamHost: "127.0.0.1:19003", ClusterName: "dead", ClusterStatName: "dead",
		Details:       "upstream_reset_before_response_started{remote_connection_failure|delayed connect error: Connection refused}",
		FailureReason: "delayed_connect_error: Connection refused",
	}}
}

func render(t *testing.T, format string, ctx *Context) string {
	t.Helper()
	f, err := Parse(format)
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	const before = "kept "
	got, ok := strings.CutPrefix(string(f.Append([]byte(before), ctx)), before)
	if !ok {
		t.Fatalf("%s: what stood in the buffer is lost", format)
	}
	return got
}

func TestDefault(t *testing.T) {
	want := `[2026-11-21T13:00:52.985Z] "GET /a?q=1 HTTP/1.1" 200 - 0 5 2 1 "-" "curl" "e34112fb" "host:80" "127.0.0.1:19002"` + "\n"
	if got := render(t, Default, proxied()); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	want = `[0001-01-01T00:00:00.000Z] "- - -" 503 URX,UF 0 0 0 - "-" "-" "-" "-" "127.0.0.1:19003"` + "\n"
	if got := render(t, Default, refused()); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	want = `[-] "- - -" - - - - - - "-" "-" "-" "-" "-"` + "\n"
	if got := render(t, Default, &Context{}); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestOperators(t *testing.T) {
	t.Setenv("FORMAT_TEST", "barbaz")
	t.Setenv("FORMAT_EMPTY", "")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ format, proxied, refused string }{
		{"", "", ""},
		{"100%% of %%", "100% of %", "100% of %"},
		{"%REQ(x-a?x-b):3%", "abc", "-"},
		{"%REQ(X-B?X-A)%", "abcdef", "-"},
		{"%REQ(x-b):100%", "abcdef", "-"},
		{"<%REQ(x-b):0%>", "<>", "<->"},
		{"%REQ(?x-b)% %REQ(x-b?)% %PROTOCOL()%", "abcdef abcdef HTTP/1.1", "- - -"},
		{"<%REQ(empty?x-b)%>", "<>", "<->"},
		{"%REQ(two)%", "1", "-"},
		{"%REQ(Host)%", "host:80", "-"},
		{"%REQ(:path)%", "/a?q=1", "-"},
		{"%RESP(server):4% %RESP(x-b)%", "envo -", "- -"},
		{"%TRAILER(grpc-status)%", "0", "-"},
		{"%PROTOCOL%", "HTTP/1.1", "-"},
		{"%RESPONSE_CODE_DETAILS%", "via_upstream", "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"},
		{"%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%", "via_upstream", "upstream_reset_before_response_started{remote_connection_failure|delayed connect error: Connection refused}"},
		{"%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", "- -", "URX,UF UpstreamRetryLimitExceeded,UpstreamConnectionFailure"},
		{"%DURATION%|%REQUEST_DURATION%|%REQUEST_TX_DURATION%|%RESPONSE_DURATION%|%RESPONSE_TX_DURATION%", "2|0|0|1|0", "0|0|-|-|-"},
		{"%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%", "883", "-"},
		{"%COMMON_DURATION(US_RX_BEG:US_RX_END:ns)%", "400000", "-"},
		{"%COMMON_DURATION(DS_TX_BEG:DS_TX_END:ms)%", "0", "-"},
		{"%COMMON_DURATION(US_TX_END:DS_RX_END:ms)%", "-", "-"},
		{"%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW%", "127.0.0.1:19002 up_alt up", "127.0.0.1:19003 dead dead"},
		{"%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT%", "127.0.0.1:58394 127.0.0.1 58394", "- - -"},
		{"%UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%", "127.0.0.1:19002 127.0.0.1 19002", "- - -"},
		{"%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%", "10.1.2.3:56538 10.1.2.3 56538", "- - -"},
		{"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_PORT%", "127.0.0.1:56538 127.0.0.1 56538", "- - -"},
		{"%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%", "[::1]:19000 ::1 19000", "- - -"},
		{"%UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_CONNECTION_ID% %CONNECTION_ID% %STREAM_ID%", "1 1 3 e34112fb", "0 0 0 0"},
		{"%UPSTREAM_TRANSPORT_FAILURE_REASON% %CONNECTION_TERMINATION_DETAILS%", "- -", "delayed_connect_error:_Connection_refused -"},
		{"%ROUTE_NAME% %VIRTUAL_CLUSTER_NAME%", "main -", "- -"},
		{"%HOSTNAME%", host, host},
		{"%ENVIRONMENT(FORMAT_TEST)% %ENVIRONMENT(FORMAT_TEST):2% %ENVIRONMENT(FORMAT_NONE)% %ENVIRONMENT(FORMAT_EMPTY)%", "barbaz ba - -", "barbaz ba - -"},
		{"%FILTER_STATE(none:PLAIN)%%FILTER_STATE(none)%", "--", "--"},
		{"%COMMON_DURATION(US_CX_BEG:US_CX_END:us)% %COMMON_DURATION(US_RX_BEG:US_RX_BODY_BEG:us)%", "200 100", "- -"},
		{"%COMMON_DURATION(US_HS_END:DS_TX_END:ms)%%COMMON_DURATION(DS_RX_BEG:own:ms)%", "--", "--"},
		{"%UPSTREAM_CONNECTION_POOL_READY_DURATION%", "3", "-"},
		{"%UPSTREAM_HOST_NAME% %UPSTREAM_HOST_NAME_WITHOUT_PORT%", "name.example:99 name.example", "127.0.0.1:19003 127.0.0.1"},
		{"%UPSTREAM_HOSTS_ATTEMPTED% %UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT%", "127.0.0.1:19003,127.0.0.1:19002 127.0.0.1,127.0.0.1", "- -"},
		{"%UPSTREAM_HOST_NAMES_ATTEMPTED% %UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT%", "127.0.0.1:19003,name.example:99 127.0.0.1,name.example", "- -"},
		{"%UPSTREAM_CONNECTION_IDS_ATTEMPTED%", "7,1", "-"},
		{"%UPSTREAM_PROTOCOL% %FILTER_CHAIN_NAME% <%UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID%>", "HTTP/2 fc <>", "- - <->"},
		{"<%DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID%%CUSTOM_FLAGS%%LOCAL_REPLY_BODY%>", "<>", "<>"},
		{"%REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%", "101 41 12", "0 0 0"},
		{"%REQUEST_HEADER(x-a?x-b):3% %STREAM_INFO_REQ(two)% %RESPONSE_HEADER(server)% %RESPONSE_TRAILER(grpc-status)%", "abc 1 envoy 0", "- - - -"},
		{"%PATH% %PATH(NQ)% %PATH(WQ:ORIG)% %PATH(NQ:PATH):1%", "/a?q=1 /a - /", "- - - -"},
		{"%QUERY_PARAM(q)% %QUERY_PARAM(x)% %QUERY_PARAMS% %QUERY_PARAMS(DECODED):2%", "1 - q=1 q=", "- - - -"},
		{"%REQUESTED_SERVER_NAME% %REQUESTED_SERVER_NAME(SNI_FIRST)% %REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%", "- host:80 -", "- - -"},
		{`%COALESCE({"operators": ["PROTOCOL", "RESPONSE_CODE"]})%`, "HTTP/1.1", "503"},
		{`%COALESCE({"operators": [{"command": "REQ", "param": "x-b", "max_length": 4}, "RESPONSE_CODE"]}):2%`, "ab", "503"},
		{`%COALESCE({"operators": [{"command": "REQ", "param": "x-none"}]})%`, "-", "-"},
		{"%ACCESS_LOG_TYPE% %LISTENER_NAME%", "NotSet l", "NotSet -"},
		{"%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT% %UPSTREAM_WIRE_BYTES_RECEIVED% %UPSTREAM_WIRE_BYTES_SENT%", "1 2 3 4", "0 0 0 0"},
	} {
		if got := render(t, c.format, proxied()); got != c.proxied {
			t.Errorf("%s is %q, want %q", c.format, got, c.proxied)
		}
		if got := render(t, c.format, refused()); got != c.refused {
			t.Errorf("%s of a refused request is %q, want %q", c.format, got, c.refused)
		}
	}
}

func TestUnixAddresses(t *testing.T) {
	ctx := &Context{Info: &sdk.StreamInfo{DownstreamLocalPath: "/run/l.sock", UpstreamHost: "/run/u.sock", UpstreamLocal: netip.MustParseAddrPort("127.0.0.1:1")}}
	got := render(t, "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT% "+
		"%UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%", ctx)
	if want := "/run/l.sock /run/l.sock - /run/u.sock /run/u.sock -"; got != want {
		t.Errorf("got %s", got)
	}
	ctx.Info.UpstreamHost = "[::1]:80"
	if got := render(t, "%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%", ctx); got != "::1 80" {
		t.Errorf("got %s", got)
	}
}

func TestFilterState(t *testing.T) {
	ctx := &Context{Info: &sdk.StreamInfo{}}
	for key, v := range map[string]any{
		"s": `a "b"`, "b": []byte("bytes"), "i": -3, "i64": int64(4), "u": uint64(5), "t": true,
		"str": netip.MustParseAddr("::1"), "pb": wrapperspb.String("x\ny"), "odd": struct{}{}, "e": "",
	} {
		ctx.Info.SetFilterState(key, v)
	}
	for format, want := range map[string]string{
		"%FILTER_STATE(s:PLAIN)%":    `a "b"`,
		"%FILTER_STATE(s)%":          `"a \"b\""`,
		"%FILTER_STATE(s:TYPED):3%":  `"a `,
		"%FILTER_STATE(b:PLAIN):2%":  "by",
		"%FILTER_STATE(i:PLAIN)%":    "-3",
		"%FILTER_STATE(i64:PLAIN)%":  "4",
		"%FILTER_STATE(u)%":          "5",
		"%FILTER_STATE(t)%":          "true",
		"%FILTER_STATE(str:PLAIN)%":  "::1",
		"%FILTER_STATE(pb)%":         `"x\ny"`,
		"%FILTER_STATE(odd)%":        "-",
		"%FILTER_STATE(e)%":          `""`,
		"%FILTER_STATE(e:PLAIN)%":    "",
		"%FILTER_STATE(none:PLAIN)%": "-",
	} {
		if got := render(t, format, ctx); got != want {
			t.Errorf("%s is %s, want %s", format, got, want)
		}
	}
}

// TestTime holds what Envoy 1.40 printed; it knows microseconds only.
func TestTime(t *testing.T) {
	for format, want := range map[string]string{
		"%START_TIME%":                               "2026-11-21T13:00:52.985Z",
		"%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%":       "2026/11/21T13:00:52+0000 1795266052",
		"%START_TIME(%s.%3f|%f|%6f|%1f|%9f)%":        "1795266052.985|985456000|985456|9|985456000",
		"%START_TIME(%E3S|%E4f|%H:%M:%E*S)%":         "52.985|9854|13:00:52.985456",
		"%START_TIME(%j|%a %b %e %k|%3fx%6f|%%M)%":   "325|Sat Nov 21 13|985x985456|%M",
		"%START_TIME(%A %B %h %d %y %C %D %F)%":      "Saturday November Nov 21 26 20 11/21/26 2026-11-21",
		"%START_TIME(%I:%M %p %l %T %R %u %w %Z)%":   "01:00 PM  1 13:00:52 13:00 6 6 UTC",
		"%START_TIME(%Ez|%E*f)%":                     "+00:00|985456",
		"%START_TIME(plain)% and %START_TIME(a%Sb)%": "plain and a52b",
	} {
		if got := render(t, format, proxied()); got != want {
			t.Errorf("%s is %q, want %q", format, got, want)
		}
	}
	whole := &Context{Info: &sdk.StreamInfo{StartTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("x", 3600))}}
	if got := render(t, "%START_TIME(%H:%M:%E*S %e %l %k %E*f %I)%", whole); got != "02:04:05  2  2  2 0 02" {
		t.Errorf("got %q", got)
	}
}

func TestErrors(t *testing.T) {
	for format, want := range map[string]string{
		"%":                                   `no operator after the percent sign in "%"`,
		"50% of":                              `no operator after the percent sign in "% of"`,
		"%lower%":                             "no operator",
		"%NO_SUCH_THING%":                     "%NO_SUCH_THING%: is not an operator",
		"%CEL(a)%":                            "%CEL%: line 1, column 1: undeclared reference to 'a'",
		"%CEL%":                               "%CEL%: needs parameters",
		"%UPSTREAM_LOCAL_CLOSE_REASON%":       "%UPSTREAM_LOCAL_CLOSE_REASON%: is an operator of Envoy that is not supported yet",
		"%REQ_WITHOUT_QUERY(a)%":              "is not an operator",
		"%DYNAMIC_METADATA%":                  "%DYNAMIC_METADATA%: needs parameters",
		"%METADATA(NONE:a)%":                  `there is no metadata of type "NONE"`,
		"%PATH(X)%":                           `"X" is neither WQ nor NQ`,
		"%PATH(WQ:X)%":                        `"X" is not ORIG, PATH or ORIG_OR_PATH`,
		"%QUERY_PARAMS(X)%":                   `"X" is neither ORIG nor DECODED`,
		"%REQUESTED_SERVER_NAME(X)%":          `"X" is not SNI_ONLY, SNI_FIRST or HOST_FIRST`,
		"%REQUESTED_SERVER_NAME(SNI_ONLY:X)%": `"X" is not ORIG, HOST or ORIG_OR_HOST`,
		"%DOWNSTREAM_PEER_SUBJECT(x)%":        "takes no parameters",
		"%DOWNSTREAM_PEER_CERT_V_END(%Q)%":    `the conversion "%Q"`,
		"%COALESCE(x)%":                       "%COALESCE%: invalid character",
		`%COALESCE({"operators": []})%`:       "there are no operators",
		`%COALESCE({"operators": [1]})%`:      "operators[0]",
		`%COALESCE({"operators": ["X"]})%`:    "operators[0]: %X%: is not an operator",
		`%COALESCE({"operators": [{"command": "REQ", "param": "a", "max_length": 0}]})%`: "max_length must be above 0",
		"%REQ%":                         "%REQ%: needs parameters",
		"%REQ()%":                       "%REQ%: needs parameters",
		"%REQ(a":                        "%REQ( is not closed",
		"%REQ(a)":                       "%REQ does not end in a percent sign",
		"%REQ(a)x%":                     "%REQ does not end in a percent sign",
		"%REQ(a):%":                     `%REQ%: "" is not a length`,
		"%REQ(a):x%":                    `%REQ%: "x" is not a length`,
		"%REQ(a):-1%":                   `%REQ%: "-1" is not a length`,
		"%REQ(a b)%":                    `%REQ%: "a b" is not a header name`,
		"%REQ(a):99999999999999999999%": "is not a length",
		"%REQ(a?b?c)%":                  "%REQ%: more than one alternative",
		"%REQ(a\nb)%":                   "is not a header name",
		"%PROTOCOL(x)%":                 "%PROTOCOL%: takes no parameters",
		"%PROTOCOL:3%":                  "%PROTOCOL%: takes no length",
		"%START_TIME(%Q)%":              `%START_TIME%: the conversion "%Q" is not supported`,
		"%START_TIME(%n)%":              "is not supported",
		"%START_TIME(%3S)%":             `"%3S"`,
		"%START_TIME(%ES)%":             `"%ES"`,
		"%START_TIME(%)%":               `the time format ends in "%"`,
		"%START_TIME(%E3)%":             `the time format ends in "%E3"`,
		"%COMMON_DURATION(a)%":          "is not BEGIN:END:unit",
		"%COMMON_DURATION(DS_RX_BEG:DS_RX_END:s)%": `"s" is not ms, us or ns`,
		"%FILTER_STATE(:PLAIN)%":                   "%FILTER_STATE%: the key is empty",
		"%FILTER_STATE(a:FIELD)%":                  "FIELD needs the name of a field",
		"%FILTER_STATE(a:BAD)%":                    "BAD is not supported",
	} {
		f, err := Parse(format)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v, want %q", format, f, err, want)
		}
	}
}

// TestEveryOperatorIsKnown holds the operators of Envoy 1.40: what is built, what is
// missing without TLS, tracing and upstream filters, and what is refused.
func TestEveryOperatorIsKnown(t *testing.T) {
	b, err := os.ReadFile("testdata/operators.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		text, want, _ := strings.Cut(strings.TrimSpace(line), " ")
		name := strings.Trim(text, "%")
		name, _, _ = strings.Cut(name, "(")
		known[name] = true
		_, err := Parse(text)
		got := "supported"
		switch {
		case err != nil && strings.Contains(err.Error(), "not supported yet"):
			got = "refused"
		case err != nil:
			t.Error(err)
		case isAbsent(name):
			got = "missing"
		}
		if got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	for _, table := range [][]string{
		slices.Collect(maps.Keys(operators)), slices.Collect(maps.Keys(tlsOperators)), slices.Collect(maps.Keys(absent)), later,
	} {
		for _, name := range table {
			if !known[name] {
				t.Errorf("%s is not listed", name)
			}
		}
	}
	if n := len(operators) + len(tlsOperators) + len(absent) + len(later); len(known) != n {
		t.Errorf("%d are listed, %d are known", len(known), n)
	}
	if len(longFlags) != len(strings.Split((^sdk.ResponseFlag(0)).Names(), ",")) {
		t.Error("a response flag has no long name")
	}
}

type fielded struct{}

func (fielded) Field(name string) sdk.Value {
	switch name {
	case "s":
		return sdk.String("text")
	case "n":
		return sdk.Number(3)
	}
	return sdk.Value{}
}

func TestFilterStateField(t *testing.T) {
	ctx := &Context{Info: &sdk.StreamInfo{}}
	ctx.Info.SetFilterState("o", fielded{})
	ctx.Info.SetFilterState("text", "v")
	got := render(t, "%FILTER_STATE(o:FIELD:s)% %FILTER_STATE(o:FIELD:s):2% %FILTER_STATE(o:FIELD:n)% %FILTER_STATE(o:FIELD:x)% %FILTER_STATE(text:FIELD:s)%", ctx)
	if want := "text te 3 - -"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestMetadata holds what Envoy 1.40 printed.
func TestMetadata(t *testing.T) {
	md := func(of string) *sdk.Metadata {
		s, err := structpb.NewStruct(map[string]any{"k": of, "n": 1.5, "i": 100000, "l": []any{1, "a", nil, true}, "o": map[string]any{"z": `q"x`, "a": 1}})
		if err != nil {
			t.Fatal(err)
		}
		return sdk.NewMetadata(map[string]*structpb.Struct{"f": s})
	}
	info := &sdk.StreamInfo{ListenerMetadata: md("listener"), VirtualHostMetadata: md("vhost"), RouteMetadata: md("route"),
		ClusterMetadata: md("cluster"), HostMetadata: md("host")}
	info.Dynamic.Merge("f", md("stream").Namespace("f"))
	info.Dynamic.Set("f", "lines", sdk.String("a\nb"))
	for format, want := range map[string]string{
		"%METADATA(ROUTE:f)%":           `{"i":1e+05,"k":"route","l":[1,"a",null,true],"n":1.5,"o":{"a":1,"z":"q\"x"}}`,
		"%METADATA(ROUTE:f:o)%":         `{"a":1,"z":"q\"x"}`,
		"%METADATA(ROUTE:f:o:z)%":       `q"x`,
		"%METADATA(ROUTE:f:o):5%":       `{"a":`,
		"%METADATA(ROUTE:f:k):2%":       "ro",
		"%METADATA(ROUTE:f:x)%":         "-",
		"%METADATA(ROUTE:g)%":           "-",
		"%METADATA(CLUSTER:f:k)%":       "cluster",
		"%METADATA(LISTENER:f:k)%":      "listener",
		"%METADATA(VIRTUAL_HOST:f:k)%":  "vhost",
		"%METADATA(UPSTREAM_HOST:f:k)%": "host",
		"%METADATA(DYNAMIC:f:k)%":       "stream",
		"%DYNAMIC_METADATA(f:l)%":       `[1,"a",null,true]`,
		"%DYNAMIC_METADATA(f:lines)%":   `a\nb`,
		"%CLUSTER_METADATA(f:o:a)%":     "1",
		"%UPSTREAM_METADATA(f:n)%":      "1.5",
		"<%DYNAMIC_METADATA(f:k)%:x>":   "<stream:x>",
	} {
		if got := render(t, format, &Context{Info: info}); got != want {
			t.Errorf("%s is %s, want %s", format, got, want)
		}
		if got := render(t, "%DYNAMIC_METADATA(f:k)%%CLUSTER_METADATA(f)%", &Context{Info: &sdk.StreamInfo{}}); got != "--" {
			t.Errorf("of nothing: %s", got)
		}
	}
	f, err := ParseJSON(&structpb.Struct{Fields: map[string]*structpb.Value{
		"o": structpb.NewStringValue("%METADATA(ROUTE:f:o):3%"), "s": structpb.NewStringValue("%DYNAMIC_METADATA(f:lines)%"),
		"x": structpb.NewStringValue("%DYNAMIC_METADATA(f:x)%"), "m": structpb.NewStringValue("<%METADATA(ROUTE:f:n)%>"),
	}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(f.Append(nil, &Context{Info: info})), `{"m":"<1.5>","o":{"a":1,"z":"q\"x"},"s":"a\nb","x":null}`+"\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestFloats: numbers are written as Envoy writes them.
func TestFloats(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 1: "1", -1.5: "-1.5", 123456: "123456", 1e5: "1e+05", 1e21: "1e+21", 0.001: "0.001", 0.00001: "1e-05", 1000: "1000",
		math.NaN(): "null", math.Inf(1): "null",
	} {
		if got := string(appendFloat(nil, f)); got != want {
			t.Errorf("%v is %s, want %s", f, got, want)
		}
	}
}

func TestNow(t *testing.T) {
	before := time.Now().Unix()
	got := render(t, "%EMIT_TIME(%s)%|%EMIT_TIME_LOCAL(%s)%", &Context{})
	a, b, _ := strings.Cut(got, "|")
	for _, s := range []string{a, b} {
		if n, err := strconv.ParseInt(s, 10, 64); err != nil || n < before || n > before+60 {
			t.Errorf("now is %s", s)
		}
	}
	utc, local := render(t, "%EMIT_TIME%", &Context{}), render(t, "%EMIT_TIME_LOCAL%", &Context{})
	if !strings.HasSuffix(utc, "Z") || len(local) != len("2026-11-29T08:47:21.441+0000") {
		t.Errorf("%s, %s", utc, local)
	}
	ids := render(t, "%UNIQUE_ID%|%UNIQUE_ID%", &Context{})
	x, y, _ := strings.Cut(ids, "|")
	if !regexp.MustCompile("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$").MatchString(x) || x == y {
		t.Error(ids)
	}
}

// TestForgedLines: a value cannot end the line.
func TestForgedLines(t *testing.T) {
	ctx := &Context{Info: &sdk.StreamInfo{RouteName: "a\r\nb\x00c", TerminationDetails: "plain"}, Request: &sdk.Headers{}}
	ctx.Request.Add("x", "1\n2")
	if got := render(t, "%ROUTE_NAME%|%REQ(x)%|%CONNECTION_TERMINATION_DETAILS%\n", ctx); got != `a\r\nb\0c|1\n2|plain`+"\n" {
		t.Errorf("got %q", got)
	}
}

func TestLiteral(t *testing.T) {
	for format, want := range map[string]string{"": "", "plain": "plain", "100%%": "100%"} {
		f, err := Parse(format)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := f.Literal(); got != want || !ok {
			t.Errorf("%q: %q, %v", format, got, ok)
		}
	}
	for _, format := range []string{"%PROTOCOL%", "a%PROTOCOL%"} {
		f, err := Parse(format)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := f.Literal(); ok {
			t.Errorf("%s is no literal", format)
		}
	}
	if _, ok := jsonFormat(t, `{}`, false).Literal(); ok {
		t.Error("JSON is no literal")
	}
}

func TestNoAllocation(t *testing.T) {
	ctx := proxied()
	ctx.Info.Flags = sdk.FlagUpstreamConnectionFailure | sdk.FlagUpstreamRetryLimitExceeded
	ctx.Info.RouteName = "needs\nescape"
	text, err := Parse(Default + "%RESPONSE_FLAGS_LONG% %ROUTE_NAME% %DOWNSTREAM_REMOTE_ADDRESS% %START_TIME(%s.%3f)% %RESPONSE_CODE_DETAILS%")
	if err != nil {
		t.Fatal(err)
	}
	json := jsonFormat(t, `{"a":"%ROUTE_NAME%","b":{"c":["%DURATION%","x%REQ(x-q)%y"]}}`, true)
	dst := make([]byte, 0, 4096)
	for name, f := range map[string]*Format{"text": text, "json": json} {
		if n := testing.AllocsPerRun(100, func() { dst = f.Append(dst[:0], ctx) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{Default, "%REQ(a?b):3%", "%START_TIME(%E*S%3f)%", "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%", "%%%FILTER_STATE(a:PLAIN):2%", "%REQ(", "%", "%START_TIME(%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		format, err := Parse(s)
		if err != nil {
			return
		}
		got := format.Append(nil, proxied())
		if literal, ok := format.Literal(); ok && literal != string(got) {
			t.Errorf("the literal is %q, the text %q", literal, got)
		}
		v, err := structpb.NewValue(map[string]any{"k": strings.ToValidUTF8(s, "")})
		if err != nil {
			t.Fatal(err)
		}
		js, err := ParseJSON(v.GetStructValue(), true)
		if err != nil {
			return
		}
		line := js.Append(nil, proxied())
		if err := protojson.Unmarshal(line, &structpb.Struct{}); err != nil {
			t.Errorf("%v: %s", err, line)
		}
	})
}

// FuzzValue: whatever a peer sends, a text line stays one line and JSON stays JSON.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"plain", "a\nb", "\"\\", "\xff\xfe", "\x00", "é\r"} {
		f.Add(s)
	}
	text, err := Parse("%REQ(x)%|%ROUTE_NAME%|%RESPONSE_CODE_DETAILS%")
	if err != nil {
		f.Fatal(err)
	}
	s, err := structpb.NewStruct(map[string]any{"a": "%REQ(x)%", "b": "-%ROUTE_NAME%", "c": "%FILTER_STATE(x)%"})
	if err != nil {
		f.Fatal(err)
	}
	json, err := ParseJSON(s, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		ctx := &Context{Info: &sdk.StreamInfo{RouteName: value, Details: value}, Request: &sdk.Headers{}}
		ctx.Request.Add("x", value)
		ctx.Info.SetFilterState("x", value)
		if line := text.Append(nil, ctx); strings.ContainsAny(string(line), "\r\n\x00") {
			t.Errorf("%q", line)
		}
		line := json.Append(nil, ctx)
		out := &structpb.Struct{}
		if err := protojson.Unmarshal(line, out); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if got := out.Fields["a"].GetStringValue(); utf8.ValidString(value) && got != value {
			t.Errorf("got %q, want %q", got, value)
		}
	})
}

func BenchmarkDefault(b *testing.B) {
	f, err := Parse(Default)
	if err != nil {
		b.Fatal(err)
	}
	ctx := proxied()
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = f.Append(dst[:0], ctx)
	}
}

func BenchmarkJSON(b *testing.B) {
	s, err := structpb.NewStruct(map[string]any{"code": "%RESPONSE_CODE%", "path": "%REQ(:path)%", "start": "%START_TIME%", "host": "%UPSTREAM_HOST%", "ms": "%DURATION%"})
	if err != nil {
		b.Fatal(err)
	}
	f, err := ParseJSON(s, false)
	if err != nil {
		b.Fatal(err)
	}
	ctx := proxied()
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = f.Append(dst[:0], ctx)
	}
}

func isAbsent(name string) bool { _, ok := absent[name]; return ok }
