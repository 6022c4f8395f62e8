package listener

import (
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func TestCompileSockets(t *testing.T) {
	b := newBench(t, 1)
	cfg, err := b.compile(`
		name: "l" address { socket_address { address: "::" port_value: 80 } }
		tcp_backlog_size { value: 7 } transparent { value: true } freebind { value: true } enable_reuse_port { value: false }
		tcp_keepalive { keepalive_probes { value: 3 } keepalive_time { value: 60 } keepalive_interval { value: 5 } }
		socket_options { level: 1 name: 2 int_value: 3 } socket_options { level: 4 name: 5 buf_value: "ab" }
		tcp_fast_open_queue_length { value: 9 }
		per_connection_buffer_limit_bytes { value: 4096 }
		additional_addresses { address { socket_address { address: "0.0.0.0" port_value: 81 } }
			socket_options { } tcp_keepalive { keepalive_time { value: 1 } } }
	`, &greeter{})
	if err != nil {
		t.Fatal(err)
	}
	s := cfg.sockets[0]
	if s.Addr.String() != "[::]:80" || !s.V6Only || s.Backlog != 7 || !s.Transparent || !s.FreeBind || !s.NoReusePort {
		t.Errorf("%+v", s)
	}
	if k := s.KeepAlive; k == nil || k.Probes != 3 || k.Idle != time.Minute || k.Interval != 5*time.Second {
		t.Errorf("%+v", k)
	}
	if o := s.Options; len(o) != 3 || o[0].Level != 1 || o[0].Name != 2 || o[0].Value != 3 || string(o[1].Bytes) != "ab" || o[2].Value != 9 {
		t.Errorf("%+v", o)
	}
	if a := cfg.sockets[1]; a.Addr.String() != "0.0.0.0:81" || len(a.Options) != 1 || a.KeepAlive.Idle != time.Second {
		t.Errorf("%+v", a)
	}
	if cfg.buffer != 4096 || cfg.Name() != "l" || cfg.Proto().GetName() != "l" {
		t.Errorf("%+v", cfg)
	}
}

func TestDefaults(t *testing.T) {
	cfg, err := newBench(t, 1).compile(tcp(80), &greeter{})
	if err != nil {
		t.Fatal(err)
	}
	s := cfg.sockets[0]
	if cfg.Name() != "127.0.0.1:80" || cfg.buffer != DefaultBufferLimit || s.KeepAlive != nil || s.NoReusePort || s.V6Only || cfg.noBind {
		t.Errorf("%+v %+v", cfg, s)
	}
}

func TestCompileRefuses(t *testing.T) {
	b := newBench(t, 1)
	chain := `filter_chains { filters { name: "x" } } `
	for _, c := range []struct{ text, want string }{
		{``, "address: an address to listen on is missing"},
		{`address { envoy_internal_address { server_listener_name: "x" } }`, "address.envoy_internal_address: internal listeners"},
		{`address { socket_address { protocol: UDP address: "::" port_value: 1 } }`, "address.socket_address.protocol: UDP"},
		{`address { socket_address { address: "::" named_port: "http" } }`, "address.socket_address: a listener needs port_value"},
		{`address { socket_address { address: "host" port_value: 1 } }`, "address.socket_address.address: malformed IP address: host"},
		{`address { socket_address { address: "::" port_value: 1 network_namespace_filepath: "x" } }`, "network_namespace_filepath: network namespaces"},
		{tcp(1) + `socket_options { state: STATE_BOUND }`, "socket_options[0].state: only STATE_PREBIND"},
		{tcp(1) + `additional_addresses { }`, "additional_addresses[0].address: an address to listen on is missing"},
		{tcp(1) + chain + chain, "filter_chains[1]: choosing among filter chains"},
		{tcp(1) + `filter_chains { }`, "filter_chains[0]: a filter chain without filters"},
		{tcp(1) + `filter_chains { filters { name: "x" } filters { name: "y" } }`, "filter_chains[0].filters[1]: more than one network filter"},
		{tcp(1) + `filter_chains { filters { name: "bad" } }`, "filter_chains[0].filters[0]: bad filter"},
		{tcp(1) + `filter_chains { filters { name: "x" } filter_chain_match { transport_protocol: "tls" } }`, `filter_chain_match.transport_protocol: "tls"`},
		{tcp(1) + `filter_chains { filters { name: "x" } transport_socket { name: "tls" } }`, "filter_chains[0].transport_socket: no envoy.transport_sockets.downstream extension \"tls\""},
		{tcp(1) + chain + `default_filter_chain { filters { name: "bad" } }`, "default_filter_chain.filters[0]: bad filter"},
		{tcp(1) + `access_log { name: "none" }`, `access_log[0]`},
	} {
		if _, err := b.compile(c.text, &greeter{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
	}
	pb := sdktest.Text[listenerv3.Listener](t, `name: "l" `+tcp(1))
	if _, err := Compile(scoped{b.comp, b.store}, pb, Options{Names: b.names}); err == nil || !strings.Contains(err.Error(), "no filter chains specified") {
		t.Error(err)
	}
}

func TestChains(t *testing.T) {
	b := newBench(t, 1)
	for _, text := range []string{
		`default_filter_chain { filters { name: "x" } }`,
		`filter_chains { filters { name: "x" } filter_chain_match { transport_protocol: "raw_buffer" } }`,
		`filter_chains { filters { name: "x" } transport_socket { name: "envoy.transport_sockets.raw_buffer" } }`,
		`filter_chains { filters { name: "x" } transport_socket_connect_timeout { seconds: 3 } }`,
		`filter_chains { filters { name: "x" } transport_socket { name: "any" typed_config {
			[type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer] {} } } }`,
	} {
		chain := &greeter{}
		cfg, err := b.compile(tcp(1)+text, chain)
		if err != nil || cfg.chain.ConnFactory != chain || chain.closed.Load() {
			t.Errorf("%s: %v", text, err)
		}
	}
	// A default chain that is never reached is compiled for its errors, and closed.
	chain := &greeter{}
	if _, err := b.compile(tcp(1)+`filter_chains { filters { name: "x" } } default_filter_chain { filters { name: "y" } }`, chain); err != nil || !chain.closed.Load() {
		t.Errorf("%v", err)
	}
}

func TestStatPrefix(t *testing.T) {
	for text, want := range map[string]string{
		tcp(80): "listener.127.0.0.1_80",
		`address { socket_address { address: "::1" port_value: 80 } }`: "listener.[__1]_80",
		`address { pipe { path: "/run/a:b" } }`:                        "listener./run/a_b",
		`stat_prefix: "web"`:                                           "listener.web",
		`name: "n"`:                                                    "listener.n",
	} {
		if got := StatPrefix(sdktest.Text[listenerv3.Listener](t, text)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestCompileAddress(t *testing.T) {
	c := sdktest.NewCompiler(t)
	addr, mode, err := CompileAddress(c, sdktest.Text[corev3.Address](t, `pipe { path: "@x" mode: 384 }`))
	if err != nil || addr.Path != "@x" || mode != 0o600 {
		t.Errorf("%v, %v, %v", addr, mode, err)
	}
	if _, _, err = CompileAddress(c.At("admin"), &corev3.Address{}); err == nil || !strings.HasPrefix(err.Error(), "admin: ") {
		t.Error(err)
	}
	e, _, err := parseAddress(sdktest.Text[corev3.Address](t, `socket_address { address: "::" port_value: 1 ipv4_compat: true }`))
	if err != nil || e.v6Only {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestFieldsAreDeclared: all fields of our messages have a status; those of access
// logs and metadata belong to others.
func TestFieldsAreDeclared(t *testing.T) {
	table := fields.Table(Fields())
	for _, f := range table.Undeclared((&listenerv3.Listener{}).ProtoReflect().Descriptor()) {
		if !strings.HasPrefix(f, "envoy.config.accesslog.v3.") && !strings.HasPrefix(f, "envoy.config.core.v3.Metadata.") {
			t.Errorf("%s has no status", f)
		}
	}
	roots := []protoreflect.MessageDescriptor{(&listenerv3.Listener{}).ProtoReflect().Descriptor()}
	for _, f := range table.Unknown(roots...) {
		t.Errorf("%s is no field", f)
	}
}
