package accesslog

import (
	"slices"
	"strings"
	"testing"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// calls counts what reaches a logger.
type calls struct{ n int }

func (c *calls) Log(int, *sdk.StreamInfo, *sdk.Headers, *sdk.Headers, *sdk.Headers) { c.n++ }

func compileText(t *testing.T, o CompileOptions, filter string) (*calls, sdk.AccessLogger, error) {
	t.Helper()
	c := sdktest.NewCompiler(t)
	end := &calls{}
	c.AddAccessLog("l", end)
	pb := sdktest.Text[accesslogv3.AccessLog](t, `name: "l" `+filter)
	logger, err := CompileAll(c, []*accesslogv3.AccessLog{pb}, o)
	return end, logger, err
}

func TestFilters(t *testing.T) {
	overrides, err := runtime.New(&structpb.Struct{Fields: map[string]*structpb.Value{
		"code": structpb.NewNumberValue(404), "all": structpb.NewNumberValue(100),
	}})
	if err != nil {
		t.Fatal(err)
	}
	ok := &sdk.StreamInfo{ResponseCode: 200, Start: 1, End: 5_000_001}
	notFound := &sdk.StreamInfo{ResponseCode: 404, Flags: sdk.FlagNoRouteFound, HealthCheck: true, Start: 1, End: 10_000_001}
	const code, ms = `status_code_filter { comparison { op: %s value { default_value: 200 runtime_key: "none" } } }`,
		`duration_filter { comparison { op: %s value { default_value: 5 } } }`
	op := func(format, op string) string { return strings.ReplaceAll(format, "%s", op) }
	never := `runtime_filter { runtime_key: "none" percent_sampled { numerator: 0 } }`
	for filter, want := range map[string][2]bool{ // passes ok, passes notFound
		"":             {true, true},
		op(code, "EQ"): {true, false},
		op(code, "GE"): {true, true},
		op(code, "LE"): {true, false},
		op(code, "NE"): {false, true},
		`status_code_filter { comparison { op: EQ value { default_value: 200 runtime_key: "code" } } }`: {false, true},
		op(ms, "EQ"):                 {true, false},
		op(ms, "NE"):                 {false, true},
		`not_health_check_filter {}`: {true, false},
		`response_flag_filter {}`:    {false, true},
		`response_flag_filter { flags: "UH" flags: "NR" }`:                                     {false, true},
		`response_flag_filter { flags: "UH" }`:                                                 {false, false},
		`header_filter { header { name: "X-A" string_match { exact: "1" } } }`:                 {true, true},
		`header_filter { header { name: "x-a" string_match { exact: "2" } } }`:                 {false, false},
		`runtime_filter { runtime_key: "none" percent_sampled { numerator: 100 } }`:            {true, true},
		where(`response.code == 404`):                                                          {false, true},
		where(`request.headers['x-a'] == '1' && response.code == 200`):                         {true, false},
		where(`request.headers['x-b'] == '1'`):                                                 {false, false},
		never:                                                                                  {false, false},
		`runtime_filter { runtime_key: "all"}`:                                                 {true, true},
		`and_filter { filters { ` + op(code, "GE") + ` } filters { ` + op(code, "LE") + ` } }`: {true, false},
		`or_filter { filters { ` + never + ` } filters { ` + op(code, "NE") + ` } }`:           {false, true},
		`or_filter { filters { ` + never + ` } filters { and_filter { filters { ` + never + ` } filters { not_health_check_filter {} } } } }`: {false, false},
	} {
		text := ""
		if filter != "" {
			text = "filter { " + filter + " }"
		}
		end, logger, err := compileText(t, CompileOptions{Runtime: overrides}, text)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		h := &sdk.Headers{}
		h.Add("x-a", "1")
		for i, info := range []*sdk.StreamInfo{ok, notFound} {
			end.n = 0
			logger.Log(0, info, h, &sdk.Headers{}, &sdk.Headers{})
			if (end.n == 1) != want[i] {
				t.Errorf("%s: %d lines for a %d", filter, end.n, info.ResponseCode)
			}
		}
	}
}

// where is a filter by an expression.
func where(expression string) string {
	return `extension_filter { name: "x" typed_config { [type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter] { expression: "` +
		expression + `" } } }`
}

// TestSharesAreStable: the same request is logged by all proxies or by none.
func TestSharesAreStable(t *testing.T) {
	const half = `filter { runtime_filter { runtime_key: "k" percent_sampled { numerator: 50 } %s } }`
	end, logger, err := compileText(t, CompileOptions{}, strings.ReplaceAll(half, "%s", ""))
	if err != nil {
		t.Fatal(err)
	}
	log := func(id string) int {
		h := &sdk.Headers{}
		h.Add("x-request-id", id)
		before := end.n
		for range 50 {
			logger.Log(0, &sdk.StreamInfo{}, h, h, h)
		}
		return end.n - before
	}
	// 0x31 is 49, 0x32 is 50.
	if n := log("00000031-9192-4dad-8e3e-b191331d5ff4"); n != 50 {
		t.Errorf("49 of 100 is logged %d times of 50", n)
	}
	if n := log("00000032-9192-4dad-8e3e-b191331d5ff4"); n != 0 {
		t.Errorf("50 of 100 is logged %d times of 50", n)
	}
	for _, id := range []string{"", "short", "no-hex-digits"} {
		if n := log(id); n == 0 || n == 50 { // by chance: wrong once in 2^49
			t.Errorf("%q is logged %d times of 50", id, n)
		}
	}
	end, logger, err = compileText(t, CompileOptions{}, strings.ReplaceAll(half, "%s", "use_independent_randomness: true"))
	if err != nil {
		t.Fatal(err)
	}
	if n := log("00000031-9192-4dad-8e3e-b191331d5ff4"); n == 0 || n == 50 {
		t.Errorf("by chance it is logged %d times of 50", n)
	}
}

func TestSeveral(t *testing.T) {
	c := sdktest.NewCompiler(t)
	one, two := &calls{}, &calls{}
	c.AddAccessLog("one", one)
	c.AddAccessLog("two", two)
	none, err := CompileAll(c, nil, CompileOptions{})
	if none != nil || err != nil {
		t.Errorf("of nothing: %v, %v", none, err)
	}
	logger, err := CompileAll(c, []*accesslogv3.AccessLog{{Name: "one"}, {Name: "two"}}, CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	logger.Log(0, &sdk.StreamInfo{}, &sdk.Headers{}, &sdk.Headers{}, &sdk.Headers{})
	if one.n != 1 || two.n != 1 {
		t.Errorf("logged %d and %d times", one.n, two.n)
	}
}

// TestOutcomes: filters by what is known only at the end, and by why the log is written.
func TestOutcomes(t *testing.T) {
	const md = `metadata_filter { matcher { filter: "f" path { key: "k" } value { string_match { exact: "v" } } } %s }`
	for _, c := range []struct {
		filter            string
		response, trailer string // grpc-status of each
		code              int
		k                 string // in the metadata
		why               sdk.LogType
		want              bool
	}{
		{filter: `grpc_status_filter { statuses: OK statuses: NOT_FOUND }`, trailer: "5", want: true},
		{filter: `grpc_status_filter { statuses: OK statuses: NOT_FOUND }`, response: "0", want: true},
		{filter: `grpc_status_filter { statuses: OK }`, trailer: "5"},
		{filter: `grpc_status_filter { statuses: OK exclude: true }`, trailer: "5", want: true},
		{filter: `grpc_status_filter { statuses: OK exclude: true }`, trailer: "0"},
		{filter: `grpc_status_filter { statuses: UNAVAILABLE }`, code: 503, want: true},
		{filter: `grpc_status_filter { statuses: UNKNOWN }`, want: true},
		{filter: `grpc_status_filter { statuses: UNKNOWN }`, trailer: "x"},
		{filter: strings.ReplaceAll(md, "%s", ""), k: "v", want: true},
		{filter: strings.ReplaceAll(md, "%s", ""), k: "w"},
		{filter: strings.ReplaceAll(md, "%s", ""), want: true},
		{filter: strings.ReplaceAll(md, "%s", "match_if_key_not_found { value: false }")},
		{filter: strings.ReplaceAll(md, "%s", "match_if_key_not_found { value: false }"), k: "v", want: true},
		{filter: `metadata_filter {}`, want: true},
		{filter: `metadata_filter { match_if_key_not_found { value: false } }`},
		{filter: `log_type_filter { types: DownstreamEnd }`, why: sdk.LogDownstreamEnd, want: true},
		{filter: `log_type_filter { types: DownstreamEnd types: TcpPeriodic }`, why: sdk.LogDownstreamStart},
		{filter: `log_type_filter { types: DownstreamEnd exclude: true }`, why: sdk.LogDownstreamStart, want: true},
		{filter: `log_type_filter { types: DownstreamTunnelSuccessfullyEstablished }`, why: sdk.LogTunnelEstablished, want: true},
	} {
		end, logger, err := compileText(t, CompileOptions{}, "filter { "+c.filter+" }")
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		info, response, trailers := &sdk.StreamInfo{ResponseCode: c.code, LogType: c.why}, &sdk.Headers{}, &sdk.Headers{}
		if c.response != "" {
			response.Add("grpc-status", c.response)
		}
		if c.trailer != "" {
			trailers.Add("grpc-status", c.trailer)
		}
		if c.k != "" {
			info.Dynamic.Set("f", "k", sdk.String(c.k))
		}
		if logger.Log(0, info, &sdk.Headers{}, response, trailers); (end.n == 1) != c.want {
			t.Errorf("%+v: %d lines", c, end.n)
		}
	}
}

func TestTraceable(t *testing.T) {
	for _, c := range []struct {
		info sdk.StreamInfo
		want int
	}{
		{sdk.StreamInfo{}, 0},
		{sdk.StreamInfo{Trace: sdk.TraceContext{Low: 1}}, 0}, // by chance
		{sdk.StreamInfo{TraceForced: true}, 1},
		{sdk.StreamInfo{TraceForced: true, HealthCheck: true}, 0},
	} {
		end, logger, err := compileText(t, CompileOptions{}, "filter { traceable_filter {} }")
		if err != nil {
			t.Fatal(err)
		}
		if logger.Log(0, &c.info, &sdk.Headers{}, &sdk.Headers{}, &sdk.Headers{}); end.n != c.want {
			t.Errorf("%+v: %d lines", c, end.n)
		}
	}
}

func TestFilterErrors(t *testing.T) {
	for filter, want := range map[string]string{
		`filter {}`: "access_log[0].filter: no filter is given",
		`filter { response_flag_filter { flags: "NR" flags: "XX" } }`:                                                                                                                 `access_log[0].filter.response_flag_filter.flags[1]: "XX" is not a response flag`,
		`filter { and_filter { filters { not_health_check_filter {} } filters { extension_filter {} } } }`:                                                                            "access_log[0].filter.and_filter.filters[1].extension_filter.typed_config: ",
		`filter { extension_filter { name: "x" typed_config { [type.googleapis.com/envoy.config.core.v3.Node] {} } } }`:                                                               "access_log[0].filter.extension_filter: no envoy.access_loggers.extension_filters extension",
		`filter { extension_filter { name: "x" typed_config { [type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter] { expression: "foo == 1" } } } }`: "access_log[0].filter.extension_filter.typed_config.expression: line 1, column 1: undeclared",
		`filter { or_filter { filters {} } }`: "access_log[0].filter.or_filter.filters[0]: no filter",
		`filter { header_filter { header { name: "a" string_match { safe_regex { regex: "(" } } } } }`: "access_log[0].filter.header_filter.header.string_match",
	} {
		_, _, err := compileText(t, CompileOptions{}, filter)
		if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), "accesslog_v3", "accesslogv3"), want) {
			t.Errorf("%s: %v", filter, err)
		}
	}
	_, err := CompileAll(sdktest.NewCompiler(t), []*accesslogv3.AccessLog{{Name: "unknown"}}, CompileOptions{})
	if err == nil || !strings.HasPrefix(err.Error(), "access_log[0]: no access logger") {
		t.Errorf("unknown logger: %v", err)
	}
}

func TestFieldsAreDeclared(t *testing.T) {
	table, err := fields.Merge(Fields())
	if err != nil {
		t.Fatal(err)
	}
	roots := []protoreflect.MessageDescriptor{
		(&accesslogv3.AccessLog{}).ProtoReflect().Descriptor(), (&celv3.ExpressionFilter{}).ProtoReflect().Descriptor(),
	}
	missing := slices.DeleteFunc(table.Undeclared(roots...), func(name string) bool {
		return strings.HasPrefix(name, "envoy.config.core.v3.CelExpressionConfig.") || // mosn/match/cel declares that
			strings.HasPrefix(name, "envoy.config.route.v3.HeaderMatcher.") || strings.HasPrefix(name, "envoy.type.matcher.v3.") // mosn/match declares those
	})
	if len(missing) > 0 {
		t.Errorf("undeclared: %q", missing)
	}
	if extra := table.Unknown(roots...); extra != nil {
		t.Errorf("no such fields: %q", extra)
	}
}

func TestFilterDoesNotAllocate(t *testing.T) {
	_, logger, err := compileText(t, CompileOptions{}, `filter { or_filter { filters { response_flag_filter {} }
		filters { runtime_filter { runtime_key: "k" percent_sampled { numerator: 50 } } }
		filters { header_filter { header { name: "x" string_match { prefix: "y" } } } } } }`)
	if err != nil {
		t.Fatal(err)
	}
	h, info := &sdk.Headers{}, &sdk.StreamInfo{}
	if n := testing.AllocsPerRun(100, func() { logger.Log(0, info, h, h, h) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
