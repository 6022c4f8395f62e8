package localratelimit

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	localv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/match/descriptor"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

const on = `stat_prefix: "p" filter_enabled { default_value { numerator: 100 } } filter_enforced { default_value { numerator: 100 } } `

func parse(t testing.TB, text string) *localv3.LocalRateLimit {
	t.Helper()
	return sdktest.Text[localv3.LocalRateLimit](t, text)
}

func bucketOf(name string, tokens, perFill int, interval string) string {
	return fmt.Sprintf("%s { max_tokens: %d tokens_per_fill { value: %d } fill_interval { %s } } ", name, tokens, perFill, interval)
}

// ask sends a request through a new stream and returns what came of it: "pass", the
// headers that it has got ("pass x=1"), or the status of the reply.
func ask(h *sdktest.Host, now time.Duration, lines ...string) (*sdktest.Stream, string) {
	s := h.Stream()
	s.Time = now
	s.SendRequest(true, append([]string{":method: GET", ":path: /a?q=a%20b&r", ":authority: h"}, lines...)...)
	if len(s.Replies) > 0 {
		return s, fmt.Sprint(s.Replies[0].Status)
	}
	if v := s.ToServer.Value("x-limited"); v != "-" {
		return s, "pass " + v
	}
	return s, "pass"
}

func counted(h *sdktest.Host, prefix string) string {
	var list []string
	for _, name := range []string{"enabled", "enforced", "ok", "rate_limited", "shadow_mode"} {
		list = append(list, fmt.Sprint(h.Counted(prefix+".http_local_rate_limit."+name)))
	}
	return strings.Join(list, " ")
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name, config, want, counted string // enabled, enforced, ok, rate_limited, shadow_mode
	}{
		{"no bucket", on, "pass pass pass", "3 0 3 0 0"},
		{"not enabled", `stat_prefix: "p" ` + bucketOf("token_bucket", 1, 1, "seconds: 10"), "pass pass pass", "0 0 0 0 0"},
		{"limit", on + bucketOf("token_bucket", 2, 1, "seconds: 10"), "pass pass 429", "3 1 2 1 0"},
		{"never", on + bucketOf("token_bucket", 0, 1, "nanos: 1000000"), "429 429 429", "3 3 0 3 0"},
		{"status", on + "status { code: NotFound } " + bucketOf("token_bucket", 1, 1, "seconds: 10"), "pass 404 404", "3 2 1 2 0"},
		{"no status for an error", on + "status { code: OK } " + bucketOf("token_bucket", 1, 1, "seconds: 10"), "pass 429 429", "3 2 1 2 0"},
		{"not enforced", `stat_prefix: "p" filter_enabled { default_value { numerator: 100 } }
			request_headers_to_add_when_not_enforced { header { key: "x-limited" value: "%REQ(:method)% yes" } } ` +
			bucketOf("token_bucket", 1, 1, "seconds: 10"), "pass pass GET yes pass GET yes", "3 0 1 2 0"},
		{"shadow", on + `rate_limits { actions { generic_key { descriptor_value: "a" } } }
			request_headers_to_add_when_not_enforced { header { key: "x-limited" value: "yes" } }
			descriptors { entries { key: "generic_key" value: "a" } shadow_mode: true ` + bucketOf("token_bucket", 1, 1, "seconds: 10") + "}",
			"pass pass pass", "3 0 1 2 2"},
		{"shadow does not hide another", on + `rate_limits { actions { generic_key { descriptor_value: "a" } } }
			descriptors { entries { key: "generic_key" value: "a" } shadow_mode: true ` + bucketOf("token_bucket", 1, 1, "seconds: 20") + "}" +
			bucketOf("token_bucket", 2, 1, "seconds: 10"), "pass pass 429", "3 1 1 2 1"},
	} {
		h := sdktest.NewHost(t, Filter(), parse(t, c.config))
		var got []string
		for range 3 {
			_, r := ask(h, time.Second)
			got = append(got, r)
		}
		if r := strings.Join(got, " "); r != c.want {
			t.Errorf("%s: %s, want %s", c.name, r, c.want)
		}
		if r := counted(h, "p"); r != c.counted {
			t.Errorf("%s: counted %s, want %s", c.name, r, c.counted)
		}
	}
}

// TestDescriptors: which buckets a request pays to.
func TestDescriptors(t *testing.T) {
	const path = `rate_limits { actions { request_headers { header_name: "x-k" descriptor_key: "k" } } %s } `
	own := func(more string) string { return fmt.Sprintf(path, more) }
	desc := func(entry string, tokens int) string {
		return "descriptors { entries { " + entry + " } " + bucketOf("token_bucket", tokens, 1, fmt.Sprintf("seconds: %d", 100-tokens)) + "} "
	}
	rest := bucketOf("token_bucket", 5, 1, "seconds: 10")
	sparing := "always_consume_default_token_bucket { value: false } "
	levels := func(include bool, route, vhost string) map[string]any {
		c := sdktest.NewCompiler(t)
		compile := func(text string) descriptor.Policies {
			p, err := descriptor.Compile(c, sdktest.Text[routev3.VirtualHost](t, text).GetRateLimits())
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		return map[string]any{"rate_limits": &descriptor.Levels{Route: compile(route), VirtualHost: compile(vhost), Include: include}}
	}
	generic := func(v string) string {
		return `rate_limits { actions { generic_key { descriptor_value: "` + v + `" } } } `
	}
	for _, c := range []struct {
		name, config string
		route        map[string]any
		asks         string // values of x-k, "-" for none
		want         string
	}{
		{"exact", on + own("") + rest + desc(`key: "k" value: "u"`, 1), nil, "u u v -", "pass 429 pass pass"},
		{"the default pays too", on + own("") + rest + desc(`key: "k" value: "u"`, 9), nil, "u u u u u u", "pass pass pass pass pass 429"},
		{"or only for the others", on + own("") + sparing + bucketOf("token_bucket", 1, 1, "seconds: 10") + desc(`key: "k" value: "u"`, 2), nil,
			"u v u w u", "pass pass pass 429 429"},
		{"wildcard", on + own("") + sparing + rest + desc(`key: "k"`, 1), nil, "u u v v", "pass 429 pass 429"},
		{"exact before wildcard", on + own("") + sparing + rest + desc(`key: "k"`, 1) + desc(`key: "k" value: "u"`, 2), nil,
			"u u u v v", "pass pass 429 pass 429"},
		{"only so many values", on + own("") + sparing + rest + "max_dynamic_descriptors { value: 2 } " + desc(`key: "k"`, 1), nil,
			"u v u w v u", "pass pass 429 pass pass pass"},
		{"another key", on + own("") + rest + desc(`key: "l"`, 1), nil, "u u", "pass pass"},
		{"hits", on + own("hits_addend { number { value: 2 } }") + rest + desc(`key: "k" value: "u"`, 5), nil, "u u u", "pass pass 429"},
		{"hits of a header", on + own(`hits_addend { format: "%REQ(x-k)%" }`) + rest + desc(`key: "k"`, 5), nil, "5 5 5x 6", "pass 429 pass 429"},
		{"giving back", on + own("") + `rate_limits { actions { generic_key { descriptor_value: "g" } } hits_addend { number { value: 1 } is_negative_hits: true } } ` +
			rest + desc(`key: "k" value: "u"`, 1), nil, "u u", "pass 429"},
		{"on stream done", on + own("apply_on_stream_done: true") + rest + desc(`key: "k"`, 1), nil, "u u", "pass pass"},

		{"route", on + rest + desc(`key: "generic_key" value: "r"`, 1), levels(false, generic("r"), ""), "- -", "pass 429"},
		{"virtual host", on + rest + desc(`key: "generic_key" value: "v"`, 1), levels(false, "", generic("v")), "- -", "pass 429"},
		{"overridden", on + rest + desc(`key: "generic_key" value: "v"`, 1), levels(false, generic("r"), generic("v")), "- -", "pass pass"},
		{"included by the route", on + rest + desc(`key: "generic_key" value: "v"`, 1), levels(true, generic("r"), generic("v")), "- -", "pass 429"},
		{"included by the filter", on + "vh_rate_limits: INCLUDE " + rest + desc(`key: "generic_key" value: "v"`, 1),
			levels(false, generic("r"), generic("v")), "- -", "pass 429"},
		{"ignored by the filter", on + "vh_rate_limits: IGNORE " + rest + desc(`key: "generic_key" value: "v"`, 1),
			levels(false, "", generic("v")), "- -", "pass pass"},
		{"own instead of the route's", on + own("") + rest + desc(`key: "generic_key" value: "r"`, 1), levels(false, generic("r"), ""), "- -", "pass pass"},
		{"stage", on + "stage: 2 " + rest + desc(`key: "generic_key" value: "r"`, 1),
			levels(false, `rate_limits { stage { value: 2 } actions { generic_key { descriptor_value: "r" } } }`, ""), "- -", "pass 429"},
		{"another stage", on + rest + desc(`key: "generic_key" value: "r"`, 1),
			levels(false, `rate_limits { stage { value: 2 } actions { generic_key { descriptor_value: "r" } } }`, ""), "- -", "pass pass"},
	} {
		h := sdktest.NewHost(t, Filter(), parse(t, c.config))
		h.RouteValues = c.route
		var got []string
		for _, k := range strings.Fields(c.asks) {
			var lines []string
			if k != "-" {
				lines = []string{"x-k: " + k}
			}
			_, r := ask(h, time.Second, lines...)
			got = append(got, r)
		}
		if r := strings.Join(got, " "); r != c.want {
			t.Errorf("%s: %s, want %s", c.name, r, c.want)
		}
	}
}

// TestReply: what the caller and the log are told, and what response headers say.
func TestReply(t *testing.T) {
	h := sdktest.NewHost(t, Filter(), parse(t, on+`enable_x_ratelimit_headers: DRAFT_VERSION_03 enable_retry_after_header: true
		rate_limited_as_resource_exhausted: true response_headers_to_add { header { key: "x-a" value: "%REQ(:path)%" } } `+
		bucketOf("token_bucket", 3, 2, "seconds: 5")))
	for i, want := range []string{"3 2 0", "3 1 0", "3 0 3"} {
		s, _ := ask(h, 10*time.Second)
		s.SendResponse(true, ":status: 200")
		if got := limits(s); got != want {
			t.Errorf("answer %d: %s, want %s", i, got, want)
		}
	}
	s, _ := ask(h, 10500*time.Millisecond)
	r := s.Replies[0]
	if r.Body != details || r.Details != details || r.Flag != sdk.FlagRateLimited || r.GRPCStatus != 8 {
		t.Errorf("%+v", r)
	}
	var head sdk.Headers
	r.Edit(&head)
	if head.Value("x-a") != "/a?q=a%20b&r" || head.Value("retry-after") != "2" {
		t.Errorf("x-a %q, retry-after %q", head.Value("x-a"), head.Value("retry-after"))
	}
	head.Reset()
	head.Add("retry-after", "7")
	r.Edit(&head)
	if got := head.Value("retry-after"); got != "7" {
		t.Errorf("retry-after %q", got)
	}
}

func limits(s *sdktest.Stream) string {
	p := &s.ToClient
	return p.Value("x-ratelimit-limit") + " " + p.Value("x-ratelimit-remaining") + " " + p.Value("x-ratelimit-reset")
}

// TestHeadersOfDescriptors: a descriptor may say whether there are x-ratelimit headers,
// and they are those of the scarcest bucket.
func TestHeadersOfDescriptors(t *testing.T) {
	for _, c := range []struct{ filter, option, want string }{
		{"OFF", "UNSPECIFIED", "- - -"}, {"OFF", "DRAFT_VERSION_03", "7 6 0"},
		{"DRAFT_VERSION_03", "UNSPECIFIED", "7 6 0"}, {"DRAFT_VERSION_03", "OFF", "- - -"},
	} {
		h := sdktest.NewHost(t, Filter(), parse(t, on+"enable_x_ratelimit_headers: "+c.filter+
			` rate_limits { actions { generic_key { descriptor_value: "b" } } } rate_limits { actions { generic_key { descriptor_value: "a" } } x_ratelimit_option: `+c.option+` }
			descriptors { entries { key: "generic_key" value: "a" } `+bucketOf("token_bucket", 7, 1, "seconds: 10")+`}
			descriptors { entries { key: "generic_key" value: "b" } `+bucketOf("token_bucket", 8, 9, "seconds: 10")+`} `+bucketOf("token_bucket", 9, 9, "seconds: 10")))
		s, _ := ask(h, time.Second)
		s.SendResponse(true, ":status: 200")
		if got := limits(s); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.filter, c.option, got, c.want)
		}
	}
}

// TestRoute: a route has buckets and stats of its own.
func TestRoute(t *testing.T) {
	h := sdktest.NewHost(t, Filter(), parse(t, on+bucketOf("token_bucket", 1, 1, "seconds: 10")))
	ask(h, 0)
	h.RouteConfig(Filter(), parse(t, strings.Replace(on, `"p"`, `"r"`, 1)+bucketOf("token_bucket", 1, 1, "seconds: 10")))
	for _, want := range []string{"pass", "429"} {
		if _, got := ask(h, 0); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if p, r := counted(h, "p"), counted(h, "r"); p != "1 0 1 0 0" || r != "2 1 1 1 0" {
		t.Errorf("counted %s and %s", p, r)
	}
	h.Route = nil
	if _, got := ask(h, 0); got != "429" {
		t.Error(got)
	}
}

// TestPerConnection: each connection has a limiter, which is that of the first
// configuration that its requests have met.
func TestPerConnection(t *testing.T) {
	const each = "local_rate_limit_per_downstream_connection: true "
	h := sdktest.NewHost(t, Filter(), parse(t, on+each+bucketOf("token_bucket", 2, 1, "seconds: 10")))
	steps := func(want ...string) {
		t.Helper()
		for i, want := range want {
			if _, got := ask(h, 0); got != want {
				t.Errorf("request %d: %s, want %s", i, got, want)
			}
		}
	}
	steps("pass", "pass", "429")
	h.Reconnect()
	steps("pass")
	h.RouteConfig(Filter(), parse(t, on+each+"status { code: BadRequest } "+bucketOf("token_bucket", 20, 1, "seconds: 10")))
	steps("pass", "400")
	h.Reconnect()
	steps("pass", "pass", "pass")
}

// provider is a compiler that knows runtime values.
type provider struct {
	sdk.Compiler
	values *runtime.Values
}

func (p provider) Runtime() *runtime.Values { return p.values }

func TestRuntime(t *testing.T) {
	layer, err := structpb.NewStruct(map[string]any{"on": 50, "force": 0})
	if err != nil {
		t.Fatal(err)
	}
	values, err := runtime.New(layer)
	if err != nil {
		t.Fatal(err)
	}
	f := Filter()
	compile := f.Compile
	f.Compile = func(c sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) { return compile(provider{c, values}, m) }
	h := sdktest.NewHost(t, f, parse(t, `stat_prefix: "p" filter_enabled { runtime_key: "on" default_value {} }
		filter_enforced { runtime_key: "force" default_value { numerator: 100 } } `+bucketOf("token_bucket", 0, 1, "seconds: 10")))
	for _, random := range []uint64{49, 50} {
		s := h.Stream()
		s.Rand = random
		s.SendRequest(true, ":path: /")
		if len(s.Replies) > 0 {
			t.Error("enforced")
		}
	}
	if got := counted(h, "p"); got != "1 0 0 1 0" {
		t.Errorf("counted %s", got)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{on + bucketOf("token_bucket", 1, 1, "nanos: 49000000"), "token_bucket.fill_interval: must be at least 50ms"},
		{on + `descriptors { entries { key: "a" } ` + bucketOf("token_bucket", 1, 1, "nanos: 1000000") + "}", "descriptors[0].token_bucket.fill_interval"},
		{on + strings.Repeat(`descriptors { entries { key: "a" value: "b" } `+bucketOf("token_bucket", 1, 1, "seconds: 1")+"}", 2), "descriptors[1]: duplicate"},
		{on + `rate_limits { stage { value: 1 } actions { remote_address {} } }`, "rate_limits[0].stage"},
		{on + `rate_limits { disable_key: "k" actions { remote_address {} } }`, "rate_limits[0].disable_key"},
		{on + `rate_limits { actions { remote_address {} } limit { dynamic_metadata { metadata_key { key: "a" path { key: "b" } } } } }`, "rate_limits[0].limit"},
		{on + `rate_limits { actions { remote_address {} } hits_addend {} }`, "rate_limits[0].hits_addend: takes either"},
		{on + `rate_limits { actions { remote_address {} } hits_addend { format: "%PROTOCOL%1" } }`, "rate_limits[0].hits_addend.format"},
		{on + `response_headers_to_add { header { key: ":x" value: "y" } }`, "response_headers_to_add[0]"},
	} {
		if _, err := Filter().Compile(sdktest.NewCompiler(t), parse(t, c.config)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want one about %s", err, c.want)
		}
	}
	if _, err := Filter().CompileRoute(sdktest.NewCompiler(t), parse(t, on)); err == nil || !strings.HasPrefix(err.Error(), "token_bucket: must") {
		t.Error(err)
	}
}

// TestWildOverLoops: many loops at once find no more buckets than there may be, and each
// value the same one while it is used.
func TestWildOverLoops(t *testing.T) {
	s, err := compileLimiter(sdktest.NewCompiler(t), parse(t, on+"max_dynamic_descriptors { value: 3 } descriptors { entries { key: \"k\" } "+bucketOf("token_bucket", 1, 1, "seconds: 1")+"}"))
	if err != nil {
		t.Fatal(err)
	}
	w := s.limiter().wild[0]
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2000 {
				e := []descriptor.Entry{{Key: "k", Value: fmt.Sprint(i % 7)}}
				if w.find(appendKey(nil, e), e) == nil {
					t.Error("no bucket")
				}
			}
		})
	}
	wg.Wait()
	var order []*entry
	for e := w.newest; e != nil; e = e.older {
		order = append(order, e)
	}
	if len(order) != 3 || len(w.buckets) != 3 || order[2] != w.oldest || slices.ContainsFunc(order, func(e *entry) bool { return w.buckets[e.key] != e }) {
		t.Errorf("%d in order, %d in the map", len(order), len(w.buckets))
	}
}

func TestAllocs(t *testing.T) {
	for name, more := range map[string]string{
		"plain":   "",
		"headers": "enable_x_ratelimit_headers: DRAFT_VERSION_03 ",
		"descriptors": `rate_limits { actions { request_headers { header_name: "x-k" descriptor_key: "k" } } actions { remote_address {} } }
			descriptors { entries { key: "k" } entries { key: "remote_address" value: "127.0.0.1" } ` + bucketOf("token_bucket", 1, 1, "seconds: 1") + "}",
	} {
		h := sdktest.NewHost(t, Filter(), parse(t, on+more+bucketOf("token_bucket", 10, 1, "seconds: 10")))
		s, _ := ask(h, 0, "x-k: u")
		s.SendResponse(true, ":status: 200")
		run := func() {
			s.Replies = s.Replies[:0] // refused most times
			s.Response().Remove("x-ratelimit-limit")
			s.Response().Remove("x-ratelimit-remaining")
			s.Response().Remove("x-ratelimit-reset")
			f := s.Again()
			f.OnRequestHeaders(s, true)
			f.OnResponseHeaders(s, true)
		}
		for range 20 {
			run()
		}
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	h := sdktest.NewHost(b, Filter(), parse(b, on+bucketOf("token_bucket", 1000000000, 1000000000, "seconds: 1")))
	s, _ := ask(h, 0)
	for b.Loop() {
		s.Again().OnRequestHeaders(s, true)
	}
}
