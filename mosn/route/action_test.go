package route

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

// action compiles a route to cluster c with these fields and returns its action.
func action(t *testing.T, fields string) *Forward {
	t.Helper()
	return routesOf(t, forward("prefix: /", fields)).any.routes.all[0].Forward
}

// refused says what an action with these fields is refused for.
func refused(t *testing.T, fields, want string) {
	t.Helper()
	mustFail(t, "validate_clusters: false\nvirtual_hosts: [{name: v, domains: ['*'], routes: ["+forward("prefix: /", fields)+"]}]", want)
}

func TestDefaults(t *testing.T) {
	f := action(t, "")
	if f.Timeout != 15*time.Second || f.NotFoundStatus != 503 || f.HighPriority || f.Retry != nil || f.Mirrors != nil || f.Hash != nil || f.MaxStreamDuration != nil {
		t.Errorf("%+v", f)
	}
	r := routesOf(t, forward("prefix: /", "")).any.routes.all[0]
	if _, ok := r.IdleTimeout(); ok || r.BufferLimit != -1 {
		t.Errorf("%+v", r)
	}
	if got := f.Cluster(request("h", "/")); got != "c" {
		t.Errorf("cluster %q", got)
	}
}

func TestActionFields(t *testing.T) {
	f := action(t, "cluster_not_found_response_code: NOT_FOUND, priority: HIGH, auto_host_rewrite: true, append_x_forwarded_host: true")
	if f.NotFoundStatus != 404 || !f.HighPriority || !f.AutoHostRewrite || !f.AppendForwardedHost {
		t.Errorf("%+v", f)
	}
	if f := action(t, "cluster_not_found_response_code: INTERNAL_SERVER_ERROR"); f.NotFoundStatus != 500 {
		t.Errorf("status %d", f.NotFoundStatus)
	}
	table := routesOf(t, "{match: {prefix: /}, route: {cluster_header: X-Cluster, idle_timeout: 0s}, per_request_buffer_limit_bytes: 7}")
	r := table.any.routes.all[0]
	if got := r.Forward.Cluster(request("h", "/", "x-cluster: b")); got != "b" {
		t.Errorf("cluster %q", got)
	}
	if got := r.Forward.Cluster(request("h", "/")); got != "" {
		t.Errorf("cluster %q without the header", got)
	}
	if d, ok := r.IdleTimeout(); d != 0 || !ok || r.BufferLimit != 7 {
		t.Errorf("idle timeout %v %v, buffer limit %d", d, ok, r.BufferLimit)
	}
}

func TestInheritance(t *testing.T) {
	table := compileTable(t, `
request_mirror_policies: [{cluster: t}]
virtual_hosts:
- name: v
  domains: [v]
  retry_policy: {retry_on: 5xx, num_retries: 4}
  request_mirror_policies: [{cluster: v}]
  request_body_buffer_limit: 9
  routes:
  - {match: {prefix: /}, route: {cluster: c}}
  - {match: {prefix: /}, request_body_buffer_limit: 1, route: {cluster: c, retry_policy: {retry_on: reset}, request_mirror_policies: [{cluster: r}]}}
- {name: w, domains: [w], routes: [{match: {prefix: /}, route: {cluster: c}}]}
`)
	v, w := table.VirtualHost("v").routes.all, table.VirtualHost("w").routes.all
	for i, c := range []struct {
		r       *Route
		mirror  string
		retries uint32
		limit   int64
	}{{v[0], "v", 4, 9}, {v[1], "r", 1, 1}, {w[0], "t", 0, -1}} {
		retries := uint32(0)
		if c.r.Forward.Retry != nil {
			retries = c.r.Forward.Retry.NumRetries
		}
		if got := c.r.Forward.Mirrors[0].Target(nil); got != c.mirror || retries != c.retries || c.r.BufferLimit != c.limit {
			t.Errorf("%d: mirror %q, %d retries, limit %d", i, got, retries, c.r.BufferLimit)
		}
	}
}

// TestTimeouts holds what Envoy sent as x-envoy-expected-rq-timeout-ms.
func TestTimeouts(t *testing.T) {
	const grpc = "content-type: application/grpc"
	for _, c := range []struct {
		action string
		lines  []string
		want   time.Duration
	}{
		{"timeout: 5s", nil, 5 * time.Second},
		{"timeout: 0s", nil, 0},
		{"timeout: 0.0005s", nil, 0},
		{"timeout: 5s, max_stream_duration: {max_stream_duration: 9s}", nil, 0},
		{"timeout: 5s, max_stream_duration: {}", nil, 0},
		{"timeout: 5s", []string{grpc, "grpc-timeout: 4S"}, 5 * time.Second},
		{"timeout: 5s, max_grpc_timeout: 3s, grpc_timeout_offset: 1s", nil, 5 * time.Second},
		{"max_grpc_timeout: 3s, grpc_timeout_offset: 1s", []string{grpc, "grpc-timeout: 4S"}, 3 * time.Second},
		{"max_grpc_timeout: 3s, grpc_timeout_offset: 1s", []string{grpc, "grpc-timeout: 2S"}, time.Second},
		{"max_grpc_timeout: 3s, grpc_timeout_offset: 1s", []string{grpc, "grpc-timeout: 500m"}, 500 * time.Millisecond},
		{"max_grpc_timeout: 3s, grpc_timeout_offset: 1s", []string{grpc}, 3 * time.Second},
		{"max_grpc_timeout: 0s", []string{grpc, "grpc-timeout: 1H"}, time.Hour},
		{"max_grpc_timeout: 0s", []string{grpc}, 0},
		{"max_grpc_timeout: 3s, max_stream_duration: {}", []string{grpc}, 0},
	} {
		if got := action(t, c.action).GlobalTimeout(request("h", "/", c.lines...)); got != c.want {
			t.Errorf("%s %q: %v, want %v", c.action, c.lines, got, c.want)
		}
	}
	d := action(t, "max_stream_duration: {max_stream_duration: 0s, grpc_timeout_header_max: 7s, grpc_timeout_header_offset: 0.0159s}").MaxStreamDuration
	if *d.Duration != 0 || *d.GRPCHeaderMax != 7*time.Second || d.GRPCHeaderOffset != 15*time.Millisecond {
		t.Errorf("%+v", d)
	}
}

// TestStreamDuration follows Envoy's ActiveStream::refreshDurationTimeout.
func TestStreamDuration(t *testing.T) {
	const manager = 20 * time.Second
	for _, c := range []struct {
		duration string
		header   string // grpc-timeout
		want     time.Duration
		ok       bool
	}{
		{"", "1S", manager, true},
		{"max_stream_duration: {}", "1S", manager, true},
		{"max_stream_duration: {max_stream_duration: 9s}", "1S", 9 * time.Second, true},
		{"max_stream_duration: {max_stream_duration: 0s}", "1S", 0, false},
		{"max_stream_duration: {max_stream_duration: 9s, grpc_timeout_header_max: 7s}", "", 9 * time.Second, true},
		{"max_stream_duration: {max_stream_duration: 9s, grpc_timeout_header_max: 7s}", "1s", 9 * time.Second, true}, // malformed
		{"max_stream_duration: {max_stream_duration: 9s, grpc_timeout_header_max: 7s}", "30S", 7 * time.Second, true},
		{"max_stream_duration: {max_stream_duration: 9s, grpc_timeout_header_max: 7s}", "3S", 3 * time.Second, true},
		{"max_stream_duration: {grpc_timeout_header_max: 0s}", "30S", 30 * time.Second, true},
		{"max_stream_duration: {grpc_timeout_header_max: 7s, grpc_timeout_header_offset: 1s}", "30S", 6 * time.Second, true},
		{"max_stream_duration: {grpc_timeout_header_max: 7s, grpc_timeout_header_offset: 1s}", "1S", 0, true},
		{"max_stream_duration: {grpc_timeout_header_max: 7s, grpc_timeout_header_offset: 1s}", "10m", 0, true},
	} {
		f := action(t, c.duration)
		got, ok := f.StreamDuration(request("h", "/", "grpc-timeout: "+c.header), manager)
		if got != c.want || ok != c.ok {
			t.Errorf("%s, grpc-timeout %q: %v %v, want %v %v", c.duration, c.header, got, ok, c.want, c.ok)
		}
	}
	if _, ok := action(t, "max_stream_duration: {}").StreamDuration(request("h", "/"), 0); ok {
		t.Error("a duration comes from nowhere")
	}
}

func TestUpgrades(t *testing.T) {
	f := action(t, "upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: other, enabled: false}, {upgrade_type: CONNECT}]")
	for typ, want := range map[string][2]bool{"websocket": {true, true}, "WEBSOCKET": {true, true}, "other": {false, true}, "connect": {true, true}, "new": {}} {
		if enabled, set := f.Upgrade(typ); [2]bool{enabled, set} != want {
			t.Errorf("%s: %v, %v", typ, enabled, set)
		}
	}
	refused(t, "upgrade_configs: [{upgrade_type: a}, {upgrade_type: A}]", `upgrade_configs[1].upgrade_type: duplicate upgrade "A"`)
}

func TestParseRetryOn(t *testing.T) {
	all := "5xx,gateway-error, connect-failure ,envoy-ratelimited,retriable-4xx,refused-stream,retriable-status-codes,retriable-headers," +
		"reset,reset-before-request,http3-post-connect-failure,cancelled,deadline-exceeded,internal,resource-exhausted,unavailable"
	if on, known := ParseRetryOn(all); on != 1<<16-1 || !known {
		t.Errorf("all: %b, %v", on, known)
	}
	for s, want := range map[string]struct {
		on    RetryOn
		known bool
	}{
		"": {0, true}, " , ": {0, true}, "5xx,nope": {Retry5xx, false}, "5XX": {0, false}, "unavailable": {RetryGRPCUnavailable, true},
	} {
		if on, known := ParseRetryOn(s); on != want.on || known != want.known {
			t.Errorf("%q: %b, %v", s, on, known)
		}
	}
	if on, _ := ParseRetryOn(all); on&RetryGRPCMask != RetryGRPCMask || Retry5xx&RetryGRPCMask != 0 {
		t.Error("the mask is wrong")
	}
	if n := testing.AllocsPerRun(100, func() { ParseRetryOn(all) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRetryPolicy(t *testing.T) {
	p := action(t, "retry_policy: {retry_on: 5xx}").Retry
	if want := (&RetryPolicy{On: Retry5xx, NumRetries: 1, BackoffBase: 25 * time.Millisecond, BackoffMax: 250 * time.Millisecond, HostAttempts: 1}); !reflect.DeepEqual(p, want) {
		t.Errorf("%+v, want %+v", p, want)
	}
	p = action(t, `retry_policy: {retry_on: "reset,retriable-headers", num_retries: 0, per_try_timeout: 2s, per_try_idle_timeout: 1s,
  retry_back_off: {base_interval: 0.0001s}, retriable_status_codes: [418, 503], host_selection_retry_max_attempts: 5,
  retry_host_predicate: [{name: any, typed_config: {"@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}],
  rate_limited_retry_back_off: {reset_headers: [{name: Retry-After}, {name: X-Reset, format: UNIX_TIMESTAMP}], max_interval: 9s},
  retriable_headers: [{name: x-a}, {name: x-b}], retriable_request_headers: [{name: ":method", string_match: {exact: GET}}, {name: x-ok}]}`).Retry
	if p.NumRetries != 0 || p.PerTryTimeout != 2*time.Second || p.PerTryIdleTimeout != time.Second ||
		p.BackoffBase != time.Millisecond || p.BackoffMax != 10*time.Millisecond || !p.PreviousHosts || p.HostAttempts != 5 {
		t.Errorf("%+v", p)
	}
	if want := (&RateLimitedBackoff{[]ResetHeader{{"retry-after", false}, {"x-reset", true}}, 9 * time.Second}); !reflect.DeepEqual(p.RateLimited, want) {
		t.Errorf("%+v", p.RateLimited)
	}
	if !p.RetriableStatus(418) || p.RetriableStatus(500) {
		t.Error("retriable status codes are wrong")
	}
	if !p.RequestMatches(request("h", "/")) || p.RequestMatches(request("h", "/", ":method: PUT")) || !p.RequestMatches(request("h", "/", ":method: PUT", "x-ok: 1")) {
		t.Error("one of retriable_request_headers is enough, and needed")
	}
	if !p.Headers.Any(request("h", "/", "x-b: 1")) || p.Headers.Any(request("h", "/")) {
		t.Error("one of retriable_headers is enough")
	}
}

func TestRetryErrors(t *testing.T) {
	const ext = `typed_config: {"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig}`
	for policy, want := range map[string]string{
		"retry_back_off: {base_interval: 1s, max_interval: 0.5s}":                                 "retry_policy.retry_back_off.max_interval: ",
		"retry_host_predicate: [{name: envoy.retry_host_predicates.previous_hosts, " + ext + "}]": "retry_host_predicate[0]: no envoy.retry_host_predicates extension",
		"retry_priority: {name: x.y, " + ext + "}":                                                `retry_priority: no envoy.retry_priorities extension "x.y"`,
		"retry_options_predicates: [{name: x.y, " + ext + "}]":                                    `retry_options_predicates[0]: extension "x.y"`,
		`retriable_headers: [{name: x, string_match: {safe_regex: {regex: "("}}}]`:                "retriable_headers[0].string_match",
		`retriable_request_headers: [{name: x, string_match: {safe_regex: {regex: "("}}}]`:        "retriable_request_headers[0].string_match",
	} {
		refused(t, "retry_policy: {retry_on: 5xx, "+policy+"}", want)
		mustFail(t, "virtual_hosts: [{name: v, domains: ['*'], retry_policy: {retry_on: 5xx, "+policy+"}}]", want)
	}
}

func TestMirrors(t *testing.T) {
	m := action(t, `request_mirror_policies: [{cluster: a}, {cluster_header: X-To, runtime_fraction: {default_value: {numerator: 5}}, disable_shadow_host_suffix_append: true}, {cluster: b, host_rewrite_literal: lit}]`).Mirrors
	if m[0].Target(nil) != "a" || !m[0].HostSuffix || !m[0].Fraction.Enabled(nil, 99) {
		t.Errorf("%+v", m[0])
	}
	if m[1].Target(request("h", "/", "x-to: q")) != "q" || m[1].Target(request("h", "/")) != "" || m[1].HostSuffix || m[1].Fraction.Enabled(nil, 5) || !m[1].Fraction.Enabled(nil, 4) {
		t.Errorf("%+v", m[1])
	}
	if m[2].HostLiteral != "lit" || m[2].HostSuffix {
		t.Errorf("%+v", m[2])
	}
	const exactly = "request_mirror_policies[0]: exactly one of cluster and cluster_header"
	refused(t, "request_mirror_policies: [{}]", exactly)
	refused(t, "request_mirror_policies: [{cluster: a, cluster_header: b}]", exactly)
	const text = "virtual_hosts: [{name: v, domains: ['*'], request_mirror_policies: [{cluster: nope}]}]"
	mustFail(t, text, `virtual_hosts[0].request_mirror_policies[0].cluster: unknown cluster "nope"`)
}

const weightedRoutes = `{name: w, match: {prefix: /}, route: {%s weighted_clusters: {%s clusters: [
  {name: a, weight: 1}, {name: b, weight: 0}, {cluster_header: X-To, weight: 2, host_rewrite_literal: w.test}]}}}`

func weightedTable(t *testing.T, action, fields string) *Table {
	t.Helper()
	return routesOf(t, strings.Replace(strings.Replace(weightedRoutes, "%s", action, 1), "%s", fields, 1))
}

func TestWeightedClusters(t *testing.T) {
	table := weightedTable(t, "", "")
	for random, want := range map[uint64]string{0: "a", 1: "named", 2: "named", 3: "a", 1<<64 - 1: "a"} {
		h := request("h", "/", "x-to: named")
		_, r := table.Match(h, &MatchInput{Random: random})
		if got := r.Forward.Cluster(h); got != want || r.Name != "w" {
			t.Errorf("%d: cluster %q of route %q, want %q", random, got, r.Name, want)
		}
	}
}

// TestWeightedHost: the host of the cluster comes before the route's, and leaves no
// trace of its own.
func TestWeightedHost(t *testing.T) {
	for action, want := range map[string]string{
		"append_x_forwarded_host: true,":                               ":authority: w.test\n",
		"append_x_forwarded_host: true, host_rewrite_literal: r.test,": ":authority: r.test\nx-forwarded-host: w.test\nx-envoy-original-host: w.test\n",
	} {
		table := weightedTable(t, action, "")
		h := request("h", "/")
		_, r := table.Match(h, &MatchInput{Random: 1})
		var s Scratch
		if r.FinalizeRequest(h, nil, &s, true); dump(h) != ":path: /\n"+want {
			t.Errorf("%s:\n%s", action, dump(h))
		}
	}
}

func TestWeightsByHeader(t *testing.T) {
	table := weightedTable(t, "", "header_name: X-N,")
	for _, c := range []struct {
		values []string
		want   string
	}{
		{[]string{"0"}, "a"}, {[]string{"1"}, "named"}, {[]string{"3"}, "a"}, {[]string{"18446744073709551615"}, "a"},
		// Not a number, or not one number: the stream's own, which is 1.
		{nil, "named"}, {[]string{"x"}, "named"}, {[]string{""}, "named"}, {[]string{"18446744073709551616"}, "named"}, {[]string{"-3"}, "named"}, {[]string{"0", "0"}, "named"},
	} {
		h := request("h", "/", "x-to: named")
		for _, v := range c.values {
			h.Add("x-n", v)
		}
		_, r := table.Match(h, &MatchInput{Random: 1})
		if got := r.Forward.Cluster(h); got != c.want {
			t.Errorf("%q: %q, want %q", c.values, got, c.want)
		}
	}
}

func TestWeightsByRuntime(t *testing.T) {
	table := weightedTable(t, "", "runtime_key_prefix: split,")
	for _, c := range []struct {
		layer map[string]any
		want  string // of the random numbers 0 to 3
	}{
		{nil, "a..a"}, {map[string]any{"other": 1}, "a..a"},
		{map[string]any{"split.a": 0, "split.b": 2}, "bb.."},
		{map[string]any{"split.a": 0, "split.b": 0, "split.": 0}, "----"},
	} {
		var rt *runtime.Values
		if c.layer != nil {
			layer, err := structpb.NewStruct(c.layer)
			if err != nil {
				t.Fatal(err)
			}
			if rt, err = runtime.New(layer); err != nil {
				t.Fatal(err)
			}
		}
		got := ""
		for random := range uint64(4) {
			h := request("h", "/", "x-to: .")
			if _, r := table.Match(h, &MatchInput{Random: random, Runtime: rt}); r == nil {
				got += "-"
			} else {
				got += r.Forward.Cluster(h)
			}
		}
		if got != c.want {
			t.Errorf("%v: %s, want %s", c.layer, got, c.want)
		}
	}
}

func TestWeightErrors(t *testing.T) {
	for clusters, want := range map[string]string{
		"[{name: a, weight: 0}]": "route.weighted_clusters: the sum of the weights is 0",
		"[{name: a}]":            "clusters[0].weight: is missing",
		"[{name: a, weight: 4294967295}, {name: b, weight: 1}]": "exceeds 4294967295",
		"[{name: a, cluster_header: x, weight: 1}]":             "clusters[0]: only one of",
		"[{weight: 1}]": "clusters[0]: one of name",
		"[{name: ok, weight: 1}], use_hash_policy: true": "use_hash_policy: is not supported",
	} {
		mustFail(t, "validate_clusters: false\nvirtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {weighted_clusters: {clusters: "+clusters+"}}}]}]", want)
	}
	mustFail(t, "virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: nope, weight: 1}]}}}]}]",
		`route.weighted_clusters.clusters[0].name: unknown cluster "nope"`)
}

func TestDirect(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ROUTE_TEST_BODY", "from the environment")
	for body, want := range map[string]string{
		"": "", "body: {inline_string: \"no\\n\"}": "no\n", "body: {inline_bytes: YWI=}": "ab",
		"body: {filename: " + file + "}": "from a file", "body: {environment_variable: ROUTE_TEST_BODY}": "from the environment",
	} {
		r := routesOf(t, "{match: {prefix: /}, direct_response: {status: 403, "+body+"}}").any.routes.all[0]
		if r.Direct.Status != 403 || r.Direct.Body != want || r.HasLocation() {
			t.Errorf("%s: %+v", body, r.Direct)
		}
	}
}

func TestDirectErrors(t *testing.T) {
	for response, want := range map[string]string{
		"body: {filename: /nonexistent/x}":                         "direct_response.body.filename: ",
		"body: {environment_variable: ROUTE_TEST_MISSING}":         "body.environment_variable: ROUTE_TEST_MISSING is not set",
		"body: {inline_string: " + strings.Repeat("x", 4097) + "}": "is 4097 bytes; max_direct_response_body_size_bytes is 4096",
		"body: {inline_string: x, watched_directory: {path: /}}":   "body.watched_directory: ",
		"body_format: {text_format: x}":                            "body_format: ",
	} {
		mustFail(t, "virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200, "+response+"}}]}]", want)
	}
	big := "max_direct_response_body_size_bytes: 5000\n"
	compileTable(t, big+"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: "+strings.Repeat("x", 5000)+"}}}]}]")
}

func TestActionErrors(t *testing.T) {
	const any = `{"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig}`
	for route, want := range map[string]string{
		"filter_action: {action: " + any + "}": "routes[0].filter_action: ",
		"non_forwarding_action: {}":            "routes[0].non_forwarding_action: ",
		"route: {cluster_specifier_plugin: x}": "cluster_specifier_plugin: ",
		"route: {inline_cluster_specifier_plugin: {extension: {name: x, typed_config: " + any + "}}}": "inline_cluster_specifier_plugin: ",
		"redirect: {path_rewrite: x}":                                         "redirect.path_rewrite: ",
		`redirect: {regex_rewrite: {pattern: {regex: "("}, substitution: b}}`: "redirect.regex_rewrite.pattern.regex: ",
		"route: {cluster_header: x, host_rewrite: y}":                         "route.host_rewrite: ",
	} {
		mustFail(t, "virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, "+route+"}]}]", want)
	}
}

func TestMatchesAfterClear(t *testing.T) {
	// Rewriting must not leave the next lookup of the same headers with stale strings.
	table := routesOf(t, forward("prefix: /a", "prefix_rewrite: /b")+forward("prefix: /b", "prefix_rewrite: /c"))
	h, in := request("h", "/a/x"), &MatchInput{}
	var s Scratch
	for _, want := range []string{"/b/x", "/c/x"} {
		_, r := table.Match(h, in)
		if r.FinalizeRequest(h, nil, &s, true); h.Path() != want {
			t.Fatalf("path %q, want %q", h.Path(), want)
		}
	}
	if got := h.ID(sdk.HeaderEnvoyOriginalPath); got != "/b/x" {
		t.Errorf("original path %q", got)
	}
}
