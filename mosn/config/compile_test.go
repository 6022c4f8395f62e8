package config

import (
	"errors"
	"strings"
	"testing"
)

func TestGoodListener(t *testing.T) {
	_, r, err := compileText(t, hcmListener(routerFilter))
	if err != nil || len(r.Applied) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestErrorsNameFileLineAndField follows faults at every level of a listener.
func TestErrorsNameFileLineAndField(t *testing.T) {
	const in = `listener "web": filter_chains[0].filters[0].typed_config.`
	line := func(n string) string { return "b.yaml:" + n + ": " }
	for _, c := range []struct{ yaml, want string }{
		{hcmListener(""), in + "http_filters"},
		{hcmListener("          codec_type: HTTP3\n" + routerFilter), line("14") + in + "codec_type"},
		{hcmListener("          rds: {}\n" + routerFilter), "rds: must not be set together with route_config"},
		{hcmListener("          proxy_status_config: {}\n" + routerFilter), line("14") + in + "proxy_status_config: envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.proxy_status_config is not built yet"},
		{strings.Replace(hcmListener(routerFilter), "stat_prefix: web", "stat_prefix: ''", 1), line("12") + in + "stat_prefix: value length must be at least 1"},
		{strings.Replace(hcmListener(routerFilter), "match: {prefix: /}", "match: {}", 1), in + "route_config.virtual_hosts[0].routes[0].match.path_specifier: value is required"},
		{strings.Replace(hcmListener(routerFilter), "cluster: one", "cluster: one, timeout: 5", 1), "b.yaml:13: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.timeout: is the number 5, want a duration"},
		{strings.Replace(hcmListener(routerFilter), "{virtual_hosts:", "{validate_clusters: true, virtual_hosts:", 1), ""},
		{strings.Replace(strings.Replace(hcmListener(routerFilter), "{virtual_hosts:", "{validate_clusters: true, virtual_hosts:", 1), "cluster: one", "cluster: nowhere", 1), "nowhere"},
		{hcmListener(strings.Replace(routerFilter, "router.v3.Router", "jwt_authn.v3.JwtAuthentication", 1)), "http_filters[0].typed_config: envoy.filters.http.jwt_authn (envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication) is known but not built yet"},
		{hcmListener(strings.Replace(routerFilter, "envoy.extensions.filters.http.router.v3.Router", "envoy.config.core.v3.Node", 1)), `there is no envoy.filters.http extension named "router" with configuration of type envoy.config.core.v3.Node`},
		{hcmListener("          access_log: [{name: envoy.access_loggers.wasm}]\n" + routerFilter), line("14") + in + "access_log[0]: envoy.access_loggers.wasm is known but not built yet"},
		{hcmListener("          access_log: [{name: acme}]\n" + routerFilter), `no envoy.access_loggers extension named "acme"`},
		{hcmListener("          access_log: [{name: envoy.access_loggers.file}]\n" + routerFilter), in + "access_log[0].typed_config.path: value length must be at least 1"},
	} {
		if c.want == "" {
			if _, _, err := compileText(t, c.yaml); err != nil {
				t.Error(err)
			}
			continue
		}
		refused(t, c.yaml, c.want)
	}
}

func TestListenerRefuses(t *testing.T) {
	base := hcmListener(routerFilter)
	for _, c := range []struct{ old, new, want string }{
		{"    filter_chains:\n    - filters:", "    filter_chains:\n    - transport_socket: {name: tls}\n      filters:", "b.yaml:8: listener \"web\": filter_chains[0].transport_socket: tls is known but not built yet"},
		{"    filter_chains:\n    - filters:", "    filter_chains:\n    - filter_chain_match: {server_names: [a]}\n      filters:", "filter_chain_match.server_names: envoy.config.listener.v3.FilterChainMatch.server_names is not built yet"},
		{"    filter_chains:\n    - filters:", "    filter_chains:\n    - filter_chain_match: {transport_protocol: tls}\n      filters:", `filter_chain_match.transport_protocol: "tls" is known but not built yet`},
		{"    filter_chains:", "    listener_filters: [{name: envoy.filters.listener.tls_inspector}]\n    filter_chains:", "b.yaml:7: listener \"web\": listener_filters"},
		{"address: 127.0.0.1", "address: localhost", "listener \"web\": address.socket_address.address: malformed IP address: localhost"},
		{"    address: {socket_address: {address: 127.0.0.1, port_value: 0}}", "    address: {socket_address: {protocol: UDP, address: 127.0.0.1, port_value: 0}}", "protocol: UDP listeners are known but not built yet"},
		{"    address: {socket_address: {address: 127.0.0.1, port_value: 0}}", "    name: web", "name: is set twice"},
		{"- name: hcm\n", "- name: envoy.filters.network.tcp_proxy\n        typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy}\n      - name: hcm\n", "envoy.filters.network.tcp_proxy (envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy) is known but not built yet"},
	} {
		if !strings.Contains(base, c.old) {
			t.Fatalf("nothing to replace: %s", c.old)
		}
		refused(t, strings.Replace(base, c.old, c.new, 1), c.want)
	}
}

func TestSeveralFaultsAreAllReported(t *testing.T) {
	refused(t, `
static_resources:
  clusters:
  - {name: a, connect_timeout: -1s}
  - {name: b, connect_timeout: 1s}
  - {name: c, lrs_server: {}}
`, "b.yaml:4: cluster \"a\": connect_timeout", "b.yaml:6: cluster \"c\": lrs_server")
}

func TestFieldErrorUnwraps(t *testing.T) {
	base := errors.New("no")
	s := newStore(t, nil)
	c := s.Compiler("thing", nil).At("a").At("b[0]")
	err := c.Errorf("because: %w", base)
	if err.Error() != "thing: a.b[0]: because: no" || !errors.Is(err, base) {
		t.Error(err)
	}
	c.Warnf("careful")
	if w := c.(compiler).warnings; len(w) != 1 || w[0] != "thing: a.b[0]: careful" {
		t.Errorf("warnings are %q", w)
	}
}
