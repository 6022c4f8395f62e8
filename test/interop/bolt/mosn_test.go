package bolt

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// listener is a listener of a mosn: its virtual hosts in YAML.
type listener struct{ Name, Hosts string }

// cluster is a static cluster.
type cluster struct {
	Name        string
	Addresses   []string
	Metadata    string // under filter_metadata.mosn
	MaxRequests int    // 0: more than any test has
}

var bootstrap = template.Must(template.New("bootstrap").Parse(`
node: {id: bolt, cluster: test}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: {{.Admin}}}}}
static_resources:
  listeners:
{{- range .Listeners}}
  - name: {{.Name}}
    address: {socket_address: {address: 127.0.0.1, port_value: {{index $.Ports .Name}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {{.Name}}
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {{$.Log}}
              log_format:
                text_format_source: {inline_string: "%PROTOCOL% %REQ(:METHOD)% %REQ(:AUTHORITY)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS%\n"}
          route_config:
            name: {{.Name}}
            virtual_hosts: {{.Hosts}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
{{- end}}
  clusters:
{{- range .Clusters}}
  - name: {{.Name}}
    type: STATIC
    connect_timeout: 1s
    circuit_breakers: {thresholds: [{max_connections: 1000, max_pending_requests: 20000, max_requests: {{.Limit}}, max_retries: 10000}]}
    load_assignment:
      cluster_name: {{.Name}}
      endpoints: [{lb_endpoints: [{{range $i, $a := .Endpoints}}{{if $i}}, {{end}}{endpoint: {address: {socket_address: {{$a}}}}}{{end}}]}]
    metadata: {filter_metadata: {mosn: {{"{"}}{{.Metadata}}{{"}"}}}}
{{- end}}
`))

func at(name string, addresses ...string) cluster { return cluster{Name: name, Addresses: addresses} }

// Endpoints are the addresses as YAML wants them.
func (c cluster) Endpoints() (addresses []string) {
	for _, a := range c.Addresses {
		host, port, _ := strings.Cut(a, ":")
		addresses = append(addresses, fmt.Sprintf("{address: %s, port_value: %s}", host, port))
	}
	return addresses
}

// Limit is the circuit breaker's number of requests.
func (c cluster) Limit() int { return cmp.Or(c.MaxRequests, 20000) }

// mosn is a running mosn.
type mosn struct {
	*peers.Process
	admin string
	log   string
	ports map[string]int // by listener; each has seen one connection before the test's, which asked whether it is there
}

// startMosn runs a mosn of two workers.
func startMosn(t testing.TB, binary string, listeners []listener, clusters []cluster) *mosn {
	t.Helper()
	dir := t.TempDir()
	admin := peers.FreePort(t)
	m := &mosn{admin: fmt.Sprintf("127.0.0.1:%d", admin), log: filepath.Join(dir, "access.log"), ports: map[string]int{}}
	for _, l := range listeners {
		m.ports[l.Name] = peers.HoldPort(t)
	}
	var text bytes.Buffer
	err := bootstrap.Execute(&text, map[string]any{
		"Admin": admin, "Log": m.log, "Ports": m.ports, "Listeners": listeners, "Clusters": clusters,
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.Process, err = peers.StartProxy(t, binary, dir, "bootstrap", text.Bytes(), m.admin, 2); err != nil {
		t.Fatal(err)
	}
	for name := range m.ports {
		if err := m.WaitListen(m.addr(name), patience); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// addr is where a listener listens.
func (m *mosn) addr(listener string) string { return fmt.Sprintf("127.0.0.1:%d", m.ports[listener]) }

// stat reads one counter or gauge from admin; those of a code are not there before its first answer.
func (m *mosn) stat(t testing.TB, name string) int {
	t.Helper()
	return peers.Stat(t, m.Process, m.admin, name)
}

// logged waits until the access log has the line, and says how often.
func (m *mosn) logged(t testing.TB, line string) int {
	t.Helper()
	n := 0
	eventually(t, fmt.Sprintf("the access log has %q", line), func() bool {
		b, _ := os.ReadFile(m.log)
		n = strings.Count("\n"+string(b), "\n"+line+"\n")
		return n > 0
	})
	return n
}

// everything is a virtual host that sends all requests to one cluster; action are further fields of the route's action.
func everything(cluster, action string) string {
	if action != "" {
		action = ", " + action
	}
	return fmt.Sprintf(`[{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: %s, timeout: 0s%s}}]}]`, cluster, action)
}
