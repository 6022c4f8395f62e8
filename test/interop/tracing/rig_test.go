package tracing

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// testCase is one listener with its own tracing, and the requests that go through it.
type testCase struct {
	name      string
	provider  string // YAML of the provider; %CASE% is the case's name
	tracing   string // more of the connection manager's tracing, as YAML of one line
	hcm       string // more fields of the connection manager
	direction string // traffic_direction of the listener
	route     string // more of the route, or all when it has a match
	router    string // fields of the router
	requests  []string
	spans     int // how many the collector gets
}

const otlpHTTP = `name: envoy.tracers.opentelemetry
typed_config:
  "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
  http_service: {http_uri: {uri: "http://collector.test/%CASE%", cluster: collector, timeout: 1s}}
  service_name: shop
`

const otlpGRPC = `name: envoy.tracers.opentelemetry
typed_config:
  "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
  grpc_service: {envoy_grpc: {cluster_name: collector2}, timeout: 1s, initial_metadata: [{key: case, value: "%CASE%"}]}
  service_name: shop
`

const zipkinBase = `name: envoy.tracers.zipkin
typed_config:
  "@type": type.googleapis.com/envoy.config.trace.v3.ZipkinConfig
  collector_cluster: collector
  collector_endpoint: /%CASE%
`

const zipkinJSON = zipkinBase + "  collector_endpoint_version: HTTP_JSON\n"

// rig is one proxy with all cases' listeners.
type rig struct {
	t       testing.TB
	p       *peers.Process
	admin   string
	ports   map[string]int
	dir     string
	collect *collector
	ids     map[string]string // of traces and spans, as symbols
}

// indent moves YAML to the right.
func indent(s string, n int) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+pad) + "\n"
}

const logFormat = `%TRACE_ID% %SPAN_ID% %RESPONSE_CODE%`

func (c *testCase) listener(port int, log string) string {
	route := c.route
	if !strings.Contains(route, "match:") {
		route = "match: {prefix: /}\nroute: {cluster: backend}\n" + route
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: %s\n    address: {socket_address: {address: 127.0.0.1, port_value: %d}}\n", c.name, port)
	if c.direction != "" {
		fmt.Fprintf(&b, "    traffic_direction: %s\n", c.direction)
	}
	b.WriteString(`    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ` + c.name + `
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, ` + c.router + `}
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: ` + log + `
              log_format: {text_format_source: {inline_string: "` + logFormat + `\n"}}
`)
	if c.hcm != "" {
		b.WriteString(indent(c.hcm, 10))
	}
	if c.provider != "" {
		b.WriteString("          tracing:\n            provider:\n")
		b.WriteString(indent(strings.ReplaceAll(c.provider, "%CASE%", c.name), 14))
		if c.tracing != "" {
			b.WriteString(indent(c.tracing, 12))
		}
	}
	b.WriteString(`          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
`)
	b.WriteString("              - " + strings.TrimLeft(indent(route, 16), " "))
	return b.String()
}

func cluster(name string, http2 bool, ports ...int) string {
	var eps []string
	for _, p := range ports {
		eps = append(eps, fmt.Sprintf(`{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}, metadata: {filter_metadata: {app: {zone: "h%s"}}}}`, p, name))
	}
	s := fmt.Sprintf("  - name: %s\n    alt_stat_name: seen_%s\n    metadata: {filter_metadata: {app: {tier: gold}}}\n    connect_timeout: 1s\n    load_assignment: {cluster_name: %s, endpoints: [{lb_endpoints: [%s]}]}\n",
		name, name, name, strings.Join(eps, ", "))
	if http2 {
		s += `    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
`
	}
	return s
}

// start runs a proxy with the listeners of all cases.
func start(t testing.TB, binary, name string, cases []*testCase, collect *collector, clusters ...string) *rig {
	t.Helper()
	r := &rig{t: t, ports: map[string]int{}, dir: t.TempDir(), collect: collect, ids: map[string]string{}}
	backend := serve(t, http.HandlerFunc(answer))
	admin := peers.FreePort(t)
	r.admin = fmt.Sprintf("127.0.0.1:%d", admin)
	var b strings.Builder
	fmt.Fprintf(&b, "node: {id: node-1, cluster: shop-cluster, locality: {zone: z1}}\nadmin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}\n", admin)
	b.WriteString(`layered_runtime:
  layers:
  - name: static
    static_layer: {tracing: {opentelemetry: {flush_interval_ms: 100}, zipkin: {flush_interval_ms: 100}}}
static_resources:
  clusters:
`)
	b.WriteString(cluster("backend", false, backend) + cluster("backend2", true, backend) + cluster("collector", false, collect.port) + cluster("collector2", true, collect.port))
	b.WriteString(cluster("refused", false, peers.RefusedPort(t), peers.RefusedPort(t)))
	b.WriteString(strings.Join(clusters, "") + "  listeners:\n")
	for _, c := range cases {
		r.ports[c.name] = peers.HoldPort(t)
		b.WriteString(c.listener(r.ports[c.name], filepath.Join(r.dir, c.name+".log")))
	}
	p, err := peers.StartProxy(t, binary, r.dir, name, []byte(b.String()), r.admin, 1)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, b.String())
	}
	r.p = p
	for _, c := range cases {
		if err := p.WaitListen(fmt.Sprintf("127.0.0.1:%d", r.ports[c.name]), 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// traced are the headers that have to do with traces.
func traced(name string) bool {
	switch name = strings.ToLower(name); name {
	case "traceparent", "tracestate", "b3", "x-request-id", "x-envoy-decorator-operation", "x-client-trace-id", "x-envoy-force-trace":
		return true
	}
	return strings.HasPrefix(name, "x-b3-")
}

func headersOf(h http.Header) string {
	var out []string
	for name, values := range h {
		if traced(name) {
			out = append(out, strings.ToLower(name)+": "+strings.Join(values, " | "))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// answer is the backend: its body is what it saw of the trace.
func answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/sleep":
		time.Sleep(time.Second)
	case "/close":
		panic(http.ErrAbortHandler)
	}
	if op := r.Header.Get("x-answer-operation"); op != "" {
		w.Header().Set("x-envoy-decorator-operation", op)
	}
	var status int
	if _, err := fmt.Sscanf(r.URL.Path, "/status/%d", &status); err != nil {
		status = http.StatusOK
	}
	if g := r.Header.Get("x-answer-grpc"); g != "" {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("grpc-status", g)
		w.Header().Set("grpc-message", "said so")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, headersOf(r.Header))
}

// send sends a request written as "METHOD path" and lines of headers, and returns what both sides saw of the trace.
func (r *rig) send(c *testCase, text string) string {
	lines := strings.Split(text, "\n")
	method, path, _ := strings.Cut(lines[0], " ")
	var body io.Reader
	if method == "POST" {
		body = strings.NewReader("0123456789")
	}
	req, err := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d%s", r.ports[c.name], path), body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = "shop.test"
	req.Header.Set("User-Agent", "tester")
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return "failed: " + err.Error()
	}
	defer resp.Body.Close()
	seen, _ := io.ReadAll(resp.Body)
	out := fmt.Sprintf("%s -> %d\n", lines[0], resp.StatusCode)
	if h := headersOf(resp.Header); h != "" {
		out += "  answer\n" + indent(h, 4)
	}
	if len(seen) > 0 {
		out += "  backend saw\n" + indent(string(seen), 4)
	}
	return out
}

// run sends a case's requests and renders all that came of them.
func (r *rig) run(c *testCase) string {
	var b strings.Builder
	for _, text := range c.requests {
		b.WriteString(r.send(c, text))
	}
	r.await(c)
	spans, about := r.collect.take(c.name)
	fmt.Fprintf(&b, "spans: %d\n", len(spans))
	b.WriteString(tree(spans))
	slices.Sort(about)
	for _, line := range about {
		b.WriteString(line + "\n")
	}
	b.WriteString(r.stats(c))
	log := r.log(c, len(c.requests))
	b.WriteString("log\n" + indent(log, 2))
	return r.mask(b.String())
}

// stats are the counters of why requests are traced.
func (r *rig) stats(c *testCase) string {
	var b strings.Builder
	for _, reason := range []string{"random_sampling", "client_enabled", "service_forced", "not_traceable", "health_check"} {
		fmt.Fprintf(&b, "%s: %d\n", reason, peers.Stat(r.t, r.p, r.admin, "http."+c.name+".tracing."+reason))
	}
	return b.String()
}

// await waits for the spans of a case, and a little longer for those that must not come.
func (r *rig) await(c *testCase) {
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) {
		if spans, _ := r.collect.take(c.name); len(spans) >= c.spans {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(250 * time.Millisecond)
}

func (r *rig) log(c *testCase, lines int) string {
	deadline := time.Now().Add(5 * time.Second)
	for {
		b, _ := os.ReadFile(filepath.Join(r.dir, c.name+".log"))
		if strings.Count(string(b), "\n") >= lines || time.Now().After(deadline) {
			return string(b)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// tree renders spans below their parents, in the order in which they began.
func tree(spans []span) string {
	slices.SortStableFunc(spans, func(a, b span) int {
		if a.At != b.At {
			return int(a.At - b.At)
		}
		return strings.Compare(a.Name+a.Kind, b.Name+b.Kind)
	})
	var b strings.Builder
	var walk func(s span, depth int)
	seen := map[int]bool{}
	walk = func(s span, depth int) {
		fmt.Fprintf(&b, "%s- %q %s trace %s span %s parent %s\n", strings.Repeat("  ", depth), s.Name, s.Kind, s.Trace, s.ID, s.Parent)
		for _, d := range s.Details {
			fmt.Fprintf(&b, "%s    %s\n", strings.Repeat("  ", depth), d)
		}
		for i, child := range spans {
			if !seen[i] && child.Parent == s.ID && child.Trace == s.Trace {
				seen[i] = true
				walk(child, depth+1)
			}
		}
	}
	for i, s := range spans {
		root := !slices.ContainsFunc(spans, func(p span) bool { return p.ID == s.Parent && p.Trace == s.Trace })
		if root && !seen[i] {
			seen[i] = true
			walk(s, 0)
		}
	}
	return b.String()
}

var (
	uuid  = regexp.MustCompile(`\b([0-9a-f]{8}-[0-9a-f]{4}-)([0-9a-f])([0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})\b`)
	hexID = regexp.MustCompile(`\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b`)
	// self is what a program says of itself, which differs.
	self    = regexp.MustCompile(`(?m)^(resource telemetry\.sdk\.\w+ =) .*$`)
	address = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
)

// mask replaces what differs from run to run. Ids become symbols, so that equal ones stay equal; those that the test itself sends, which
// are made of few digits, stay. Of a request id the digit that tells why it is traced stays.
func (r *rig) mask(s string) string {
	s = uuid.ReplaceAllString(s, "UUID-$2")
	ids := map[string]string{}
	s = hexID.ReplaceAllStringFunc(s, func(id string) string {
		if few(id) {
			return id
		}
		if ids[id] == "" {
			ids[id] = fmt.Sprintf("<%d bits: %d>", len(id)*4, len(ids)+1)
		}
		return ids[id]
	})
	s = address.ReplaceAllString(s, "127.0.0.1:PORT")
	return self.ReplaceAllString(s, "$1 ITSELF")
}

// few reports that an id has at most two different digits.
func few(id string) bool {
	digits := map[rune]bool{}
	for _, r := range id {
		digits[r] = true
	}
	return len(digits) <= 3
}
