package http2

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"text/template"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// setup is what a test wants of its proxy: one listener, one cluster.
type setup struct {
	Backend int    // port of the cluster's host
	HTTP1   bool   // the cluster speaks HTTP/1
	HCM     string // further fields of the connection manager, as YAML in braces without these
	Route   string // further fields of the route's action
	Options string // http2_protocol_options of the cluster, as YAML in braces without these
	Workers int    // 0: two
	Victim  int    // port of a second cluster's host, for what begins with /attack; 0: there is none
}

// proxy is a running mosn or Envoy.
type proxy struct {
	*peers.Process
	port  int
	admin string
	log   string
}

var bootstrap = template.Must(template.New("bootstrap").Parse(`
node: {id: http2, cluster: test}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: {{.Admin}}}}}
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: {{.Port}}}}
    per_connection_buffer_limit_bytes: 32768
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: l
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {{.Log}}
              log_format:
                text_format_source: {inline_string: "%PROTOCOL% %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS%\n"}
          route_config:
            name: r
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
{{- if .Victim}}
              - {match: {prefix: /attack}, route: {cluster: v, timeout: 0s}}
{{- end}}
              - {match: {prefix: /}, route: { {{- .Route}}{{if .Route}}, {{end}}cluster: b, timeout: 0s}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
{{- if .HCM}}
          {{.HCM}}
{{- end}}
  clusters:
  - name: b
    type: STATIC
    connect_timeout: 1s
    per_connection_buffer_limit_bytes: 32768
    circuit_breakers: {thresholds: [{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000, max_retries: 1000}]}
    load_assignment:
      cluster_name: b
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: {{.Backend}}}}}}]}]
{{- if not .HTTP1}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: { {{- .Options -}} }}
{{- end}}
{{- if .Victim}}
  - name: v
    type: STATIC
    connect_timeout: 1s
    circuit_breakers: {thresholds: [{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000, max_retries: 1000}]}
    load_assignment:
      cluster_name: v
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: {{.Victim}}}}}}]}]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
{{- end}}
`))

func startProxy(t *testing.T, s setup) *proxy {
	t.Helper()
	binary, dir := proxyBinary(t), t.TempDir()
	admin := peers.FreePort(t)
	p := &proxy{port: peers.HoldPort(t), admin: fmt.Sprintf("127.0.0.1:%d", admin), log: filepath.Join(dir, "access.log")}
	var text bytes.Buffer
	err := bootstrap.Execute(&text, map[string]any{
		"Admin": admin, "Port": p.port, "Log": p.log, "HCM": s.HCM, "Route": s.Route, "Backend": s.Backend, "HTTP1": s.HTTP1, "Options": s.Options,
		"Victim": s.Victim,
	})
	if err != nil {
		t.Fatal(err)
	}
	workers := s.Workers
	if workers == 0 {
		workers = 2
	}
	if p.Process, err = peers.StartProxy(t, binary, dir, "bootstrap", text.Bytes(), p.admin, workers); err != nil {
		t.Fatal(err)
	}
	if err := p.WaitListen(p.addr(), patience); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *proxy) addr() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// stat reads one counter or gauge from admin, 0 when there is none.
func (p *proxy) stat(t *testing.T, name string) int {
	t.Helper()
	return peers.Stat(t, p.Process, p.admin, name)
}

// quiet checks that no request and no client is left.
func (p *proxy) quiet(t *testing.T) {
	t.Helper()
	for _, gauge := range []string{"http.l.downstream_rq_active", "http.l.downstream_cx_active", "cluster.b.upstream_rq_active"} {
		eventually(t, gauge+" is 0", func() bool { return p.stat(t, gauge) == 0 })
	}
}
