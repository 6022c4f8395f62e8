package http1

import (
	"strings"
	"testing"
	"unsafe"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	preservecasev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/header_formatters/preserve_case/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// TestFieldStatus fails when a field of the codec's messages is not declared, or a
// declared one does not exist.
func TestFieldStatus(t *testing.T) {
	declared := Codec().Fields
	seen := map[string]bool{}
	for _, m := range []proto.Message{
		&corev3.Http1ProtocolOptions{}, &corev3.Http1ProtocolOptions_HeaderKeyFormat{},
		&corev3.Http1ProtocolOptions_HeaderKeyFormat_ProperCaseWords{}, &preservecasev3.PreserveCaseFormatterConfig{},
	} {
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			name := string(fields.Get(i).FullName())
			seen[name] = true
			if _, ok := declared[name]; !ok {
				t.Errorf("%s is not declared", name)
			}
		}
	}
	for name := range declared {
		if !seen[name] {
			t.Errorf("%s does not exist", name)
		}
	}
}

func keepCase(tb testing.TB, keep *preservecasev3.PreserveCaseFormatterConfig) *corev3.Http1ProtocolOptions {
	tb.Helper()
	return stateful(tb, keep)
}

func stateful(tb testing.TB, m proto.Message) *corev3.Http1ProtocolOptions {
	tb.Helper()
	a, err := anypb.New(m)
	if err != nil {
		tb.Fatal(err)
	}
	return &corev3.Http1ProtocolOptions{HeaderKeyFormat: &corev3.Http1ProtocolOptions_HeaderKeyFormat{
		HeaderFormat: &corev3.Http1ProtocolOptions_HeaderKeyFormat_StatefulFormatter{
			StatefulFormatter: &corev3.TypedExtensionConfig{Name: "preserve_case", TypedConfig: a},
		},
	}}
}

func TestCompileErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		pb   proto.Message
		want string
	}{
		{"another message", &corev3.Http2ProtocolOptions{}, "not by envoy.config.core.v3.Http2ProtocolOptions"},
		//lint:ignore SA1019 deprecated, and in configurations all the same
		{"the old parser", &corev3.Http1ProtocolOptions{UseBalsaParser: wrapperspb.Bool(false)}, "use_balsa_parser: there is one parser"},
		{
			"leniency", &corev3.Http1ProtocolOptions{OverrideStreamErrorOnInvalidHttpMessage: wrapperspb.Bool(true)},
			"override_stream_error_on_invalid_http_message",
		},
		{"reason phrases", keepCase(t, &preservecasev3.PreserveCaseFormatterConfig{ForwardReasonPhrase: true}), "header_key_format.stateful_formatter.typed_config.forward_reason_phrase"},
		{"another formatter", stateful(t, &corev3.Address{}), "header_key_format.stateful_formatter.typed_config"},
		{
			"a bad matcher", &corev3.Http1ProtocolOptions{IgnoreHttp_11Upgrade: []*matcherv3.StringMatcher{{
				MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: "("}},
			}}}, "ignore_http_11_upgrade[0]",
		},
	} {
		_, err := Codec().Compile(sdktest.NewCompiler(t), sdk.Downstream, sdk.CodecOptions{Proto: c.pb})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
	}
}

func TestSniff(t *testing.T) {
	for in, want := range map[string]sdk.Verdict{
		"": sdk.NeedMore, "G": sdk.NeedMore, "GET": sdk.NeedMore, "GET ": sdk.Matched, "GET / HTTP/1.1\r\n": sdk.Matched,
		"UNSUBSCRIBE ": sdk.Matched, "UNSUBSCRIBES": sdk.NoMatch, "PRI * HTTP/2.0\r\n": sdk.NoMatch, "\x16\x03\x01": sdk.NoMatch,
		"get / HTTP/1.1\r\n": sdk.NoMatch, " GET /": sdk.NoMatch, "\x01\x01\x00\x01": sdk.NoMatch, "\r\nGET / HTTP/1": sdk.NoMatch,
	} {
		if got := Codec().Match([]byte(in)); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

// TestPreserveCase carries names as the peer wrote them from side to side.
func TestPreserveCase(t *testing.T) {
	for _, c := range []struct {
		ours preservecasev3.PreserveCaseFormatterConfig_FormatterTypeOnEnvoyHeaders
		want string
	}{
		{preservecasev3.PreserveCaseFormatterConfig_DEFAULT, "POST / HTTP/1.1\r\nHoST: h\r\nX-fOo: a b\r\nx-bar: 1\r\nCONTENT-Type: t\r\nx-ours: 1\r\ntransfer-encoding: chunked\r\n\r\n"},
		{preservecasev3.PreserveCaseFormatterConfig_PROPER_CASE, "POST / HTTP/1.1\r\nHoST: h\r\nX-fOo: a b\r\nx-bar: 1\r\nCONTENT-Type: t\r\nX-Ours: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
	} {
		pb := keepCase(t, &preservecasev3.PreserveCaseFormatterConfig{FormatterTypeOnEnvoyHeaders: c.ours})
		server, client := newConfig(t, sdk.Downstream, pb).New(), newConfig(t, sdk.Upstream, pb).New()
		var m sdk.Message
		ev := sdk.Event{Msg: &m}
		in := "POST / HTTP/1.1\r\nHoST: h\r\nX-fOo: a\r\n b\r\nx-bar: 1\r\nCONTENT-Type: t\r\nTransfer-Encoding: chunked\r\n\r\n"
		if _, err := server.Decode([]byte(in), &ev); err != nil {
			t.Fatal(err)
		}
		m.Add("x-ours", "1")
		out := buffer()
		if err := client.WriteHeaders(out, 1, &m, false); err != nil {
			t.Fatal(err)
		}
		if got := string(out.Bytes(nil)); got != c.want {
			t.Errorf("wrote\n%q\nwant\n%q", got, c.want)
		}
	}
}

// TestRequestOptions reads one request under several options.
func TestRequestOptions(t *testing.T) {
	read := func(o sdk.CodecOptions, in string) string {
		t.Helper()
		cfg, err := Codec().Compile(sdktest.NewCompiler(t), sdk.Downstream, o)
		if err != nil {
			t.Fatal(err)
		}
		return downstream(cfg.(*config)).Read(t, []byte(in))
	}
	pb := func(o *corev3.Http1ProtocolOptions) sdk.CodecOptions { return sdk.CodecOptions{Proto: o} }
	ignore := pb(&corev3.Http1ProtocolOptions{IgnoreHttp_11Upgrade: []*matcherv3.StringMatcher{{
		MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "TLS/"},
	}}})
	const under = "GET / HTTP/1.1\r\nhost: h\r\nx_a: b\r\n\r\n"
	const head = "headers 1 HTTP/1.1 "
	for _, c := range []struct {
		name string
		o    sdk.CodecOptions
		in   string
		want string
	}{
		{"absolute targets off", pb(&corev3.Http1ProtocolOptions{AllowAbsoluteUrl: wrapperspb.Bool(false)}), "GET http://a/b HTTP/1.1\r\nhost: h\r\n\r\n", head + `:authority="h" :method="GET" :path="http://a/b"` + "\nend 1\n"},
		{"custom method", pb(&corev3.Http1ProtocolOptions{AllowCustomMethods: true}), "bREW / HTTP/1.1\r\nhost: h\r\n\r\n", head + `:authority="h" :method="bREW" :path="/"` + "\nend 1\n"},
		{"a custom method is a token", pb(&corev3.Http1ProtocolOptions{AllowCustomMethods: true}), "BR(W / HTTP/1.1\r\nhost: h\r\n\r\n", "error 400 http1.codec_error: " + errMethod.Text + "\n"},
		{"underscores allowed", sdk.CodecOptions{}, under, head + `:authority="h" x_a="b" :method="GET" :path="/"` + "\nend 1\n"},
		{"underscores rejected", sdk.CodecOptions{UnderscoreAction: 1}, under, "error 400 http1.unexpected_underscore: " + errUnderscore.Text + "\n"},
		{"underscores dropped", sdk.CodecOptions{UnderscoreAction: 2}, under, head + `:authority="h" :method="GET" :path="/"` + "\nend 1\n"},
		{"ignored upgrade", ignore, "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: TLS/1.2\r\n\r\n", head + `:authority="h" connection="upgrade" :method="GET" :path="/"` + "\nend 1\n"},
		{"partly ignored upgrade", ignore, "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: TLS/1.2, x\r\n\r\n", head[:19] + `upgrade :authority="h" connection="upgrade" upgrade="x" :method="GET" :path="/"` + "\nend 1\n"},
		{"0.9 has no headers", pb(&corev3.Http1ProtocolOptions{AcceptHttp_10: true, DefaultHostForHttp_10: "d"}), "GET /\r\nhost: h\r\ncontent-length: 3\r\n\r\n", `headers 1 HTTP/1.0 close :method="GET" :path="/" :authority="d"` + "\nend 1\n"},
		{"default host", pb(&corev3.Http1ProtocolOptions{AcceptHttp_10: true, DefaultHostForHttp_10: "d"}), "GET / HTTP/1.0\r\n\r\n", `headers 1 HTTP/1.0 close :method="GET" :path="/" :authority="d"` + "\nend 1\n"},
	} {
		if got := read(c.o, c.in); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// TestLimits reads heads at their limits and one byte or field above.
func TestLimits(t *testing.T) {
	type limits struct{ bytes, count int }
	head := func(size, fields int) string {
		h := "GET / HTTP/1.1\r\nhost: h\r\n" + strings.Repeat("a: b\r\n", fields-2) + "x: "
		return h + strings.Repeat("v", size-len(h)-4) + "\r\n\r\n"
	}
	for _, c := range []struct {
		l    limits
		in   string
		want error
	}{
		{limits{}, head(60<<10, 100), nil},
		{limits{}, head(60<<10+1, 100), errTooLarge},
		{limits{}, head(60<<10, 101), errTooMany},
		{limits{1 << 10, 10}, head(1<<10, 10), nil},
		{limits{1 << 10, 10}, head(1<<10+1, 10), errTooLarge},
		{limits{1 << 10, 10}, head(1<<10, 11), errTooMany},
		{limits{1 << 10, 10}, "GET /" + strings.Repeat("u", 1<<10), errTooLarge},
		{limits{8 << 10, 10}, head(8<<10, 10), nil},
	} {
		cfg, err := Codec().Compile(sdktest.NewCompiler(t), sdk.Downstream, sdk.CodecOptions{MaxHeaderBytes: c.l.bytes, MaxHeaderCount: c.l.count})
		if err != nil {
			t.Fatal(err)
		}
		s := downstream(cfg.(*config))
		got := s.Read(t, []byte(c.in))
		if c.want == nil && strings.Contains(got, "error") || c.want != nil && !strings.Contains(got, c.want.Error()) {
			t.Errorf("%d bytes: %.200s, want %v", len(c.in), got, c.want)
		}
		s.Shuffled(t, []byte(c.in), 3)
	}
}

// TestEndlessChunkLine sends a chunk extension, and leading zeros of a size,
// without end: neither is held, both are refused.
func TestEndlessChunkLine(t *testing.T) {
	for _, fill := range []string{"a", "0"} {
		conn := newConfig(t, sdk.Downstream, nil).New()
		var m sdk.Message
		ev := sdk.Event{Msg: &m}
		start := "PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
		if _, err := conn.Decode([]byte(start), &ev); err != nil {
			t.Fatal(err)
		}
		if fill == "a" {
			if _, err := conn.Decode([]byte("1;"), &ev); err != nil {
				t.Fatal(err)
			}
		}
		piece := []byte(strings.Repeat(fill, 1000))
		var err error
		n, sent := 0, 0
		for ; err == nil && sent < 100_000; sent += len(piece) {
			if n, err = conn.Decode(piece, &ev); err == nil && n != len(piece) {
				t.Fatalf("%d of %d bytes are left to be held", len(piece)-n, len(piece))
			}
		}
		if err != errChunkLine {
			t.Errorf("%s: %v after %d bytes", fill, err, sent)
		}
	}
}

// TestRepeatedFieldsStaySmall joins fields of the same names without keeping a
// multiple of them.
func TestRepeatedFieldsStaySmall(t *testing.T) {
	in := "GET / HTTP/1.1\r\nhost: h\r\nvia: " + strings.Repeat("a", 50_000) + "\r\nte: x\r\n" + strings.Repeat("via: \r\nte:\r\n", 48) + "\r\n"
	conn := newConfig(t, sdk.Downstream, nil).New()
	var m sdk.Message
	ev := sdk.Event{Msg: &m}
	if _, err := conn.Decode([]byte(in), &ev); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("a", 50_000) + strings.Repeat(",", 48); m.Value("via") != want || m.Len() != 5 {
		t.Fatalf("%d fields, via has %d bytes", m.Len(), len(m.Value("via")))
	}
	if n := m.Footprint(); n > 5*len(in) {
		t.Fatalf("a head of %d bytes holds %d", len(in), n)
	}
}

// TestConnectionSize keeps an idle connection's state small: there may be very
// many.
func TestConnectionSize(t *testing.T) {
	for name, size := range map[string]uintptr{"server": unsafe.Sizeof(server{}), "client": unsafe.Sizeof(client{})} {
		if size > 80 {
			t.Errorf("a %s has %d bytes", name, size)
		}
	}
	cfg := newConfig(t, sdk.Downstream, nil)
	var conn sdk.CodecConn
	if n := testing.AllocsPerRun(100, func() { conn = cfg.New() }); n != 1 || conn == nil {
		t.Errorf("%v allocations for a connection", n)
	}
}
