package cluster

import (
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/protocol/http1"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func TestDefaults(t *testing.T) {
	w := newWorld(t, 1, nil)
	c := w.config(static(""))
	if c.Name() != "c" || c.dial.Timeout != 5*time.Second || c.idleTimeout != time.Hour || c.maxDuration != 0 ||
		c.maxRequests != 0 || c.high != 1<<20 || c.dial.KeepAlive != nil || c.dns != nil || c.dial.Local.IsValid() {
		t.Errorf("%+v", c)
	}
	for prio, got := range c.thresholds {
		if got != (thresholds{connections: 1024, pending: 1024, requests: 1024, retries: 3}) {
			t.Errorf("priority %d: %+v", prio, got)
		}
	}
	if c.lb.panicThreshold != 50 || c.hosts.overprovisioning != 140 || c.lb.hashHostname {
		t.Errorf("%+v", c.lb)
	}
	if e := c.hosts.endpoints[0]; e.weight != 1 || e.health != Healthy || e.hostname != "" || e.addr != addr(1) {
		t.Errorf("%+v", e)
	}
}

func TestCompile(t *testing.T) {
	w := newWorld(t, 1, nil)
	c := w.config(`
name: "svc" alt_stat_name: "outbound|80||a.b:80" type: STRICT_DNS connect_timeout { nanos: 250000000 }
per_connection_buffer_limit_bytes { value: 32768 }
max_requests_per_connection { value: 7 }
common_http_protocol_options { idle_timeout { seconds: 9 } max_connection_duration { seconds: 11 } }
circuit_breakers {
  thresholds { max_connections { value: 1 } max_pending_requests { value: 2 } max_requests { value: 3 } max_retries { value: 4 } }
  thresholds { max_connections { value: 99 } }
  thresholds { priority: HIGH retry_budget { budget_percent { value: 25 } min_retry_concurrency { value: 5 } } }
}
common_lb_config { healthy_panic_threshold { value: 12.6 } consistent_hashing_lb_config { use_hostname_for_hashing: true } }
dns_refresh_rate { seconds: 3 } dns_jitter { seconds: 1 } dns_failure_refresh_rate { base_interval { seconds: 2 } } dns_lookup_family: V4_PREFERRED
upstream_connection_options { tcp_keepalive { keepalive_probes { value: 1 } keepalive_time { value: 2 } keepalive_interval { value: 3 } } }
upstream_bind_config { source_address { address: "127.0.0.9" port_value: 0 } socket_options { level: 1 name: 2 int_value: 3 } }
metadata { filter_metadata { key: "k" value {} } }
load_assignment { cluster_name: "x" policy { overprovisioning_factor { value: 100 } }
  endpoints { locality { region: "r" zone: "z" } priority: 0
    lb_endpoints { endpoint { hostname: "h" address { socket_address { address: "a.b" port_value: 81 } } } load_balancing_weight { value: 5 } health_status: DRAINING
      metadata { filter_metadata { key: "envoy.lb" value { fields { key: "hash_key" value { string_value: "hk" } } fields { key: "canary" value { bool_value: true } } } } } }
    lb_endpoints { endpoint { address { socket_address { address: "b.c" port_value: 82 } } } health_status: DEGRADED }
    lb_endpoints { endpoint { address { socket_address { address: "::1" port_value: 83 } } } }
  } }
`)
	if c.dial.Timeout != 250*time.Millisecond || c.high != 32768 || c.maxRequests != 7 ||
		c.idleTimeout != 9*time.Second || c.maxDuration != 11*time.Second {
		t.Errorf("%+v", c)
	}
	want := [numPriorities]thresholds{
		{connections: 1, pending: 2, requests: 3, retries: 4},
		{connections: 1024, pending: 1024, requests: 1024, retries: 3, budget: true, budgetFraction: 0.25, budgetMin: 5},
	}
	if c.thresholds != want {
		t.Errorf("%+v", c.thresholds)
	}
	if c.lb.panicThreshold != 13 || c.hosts.overprovisioning != 100 || !c.lb.hashHostname {
		t.Errorf("%+v", c.lb)
	}
	if d := *c.dns; d != (dnsOptions{refresh: 3 * time.Second, jitter: time.Second, failBase: 2 * time.Second,
		failMax: 20 * time.Second, family: clusterv3.Cluster_V4_PREFERRED, warm: true}) {
		t.Errorf("%+v", d)
	}
	if k := c.dial.KeepAlive; k == nil || *k != (eventloop.KeepAlive{Idle: 2 * time.Second, Interval: 3 * time.Second, Probes: 1}) {
		t.Errorf("%+v", k)
	}
	if c.dial.Local.String() != "127.0.0.9:0" || len(c.dial.Options) != 1 || c.dial.Options[0].Value != 3 {
		t.Errorf("%+v", c.dial)
	}
	if c.Metadata() == nil || c.statName != "outbound|80||a.b_80" {
		t.Errorf("metadata %v, stat name %q", c.Metadata(), c.statName)
	}
	a, b, ip := c.hosts.endpoints[0], c.hosts.endpoints[1], c.hosts.endpoints[2]
	if a.name != "a.b" || a.port != 81 || a.hostname != "h" || a.weight != 5 || a.health != Unhealthy || a.hashKey != "hk" || !a.canary ||
		a.locality.GetZone() != "z" {
		t.Errorf("%+v", a)
	}
	if b.hostname != "b.c" || b.health != Degraded {
		t.Errorf("%+v", b)
	}
	if ip.name != "" || ip.addr.String() != "[::1]:83" || ip.hostname != "::1" {
		t.Errorf("%+v", ip)
	}
}

func TestStatPrefix(t *testing.T) {
	for in, want := range map[string]string{"a": "cluster.a", "a:80": "cluster.a_80", "http://x:1": "cluster.http_x_1"} {
		if got := StatPrefix(&clusterv3.Cluster{Name: in}); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestRefused: what cannot be done is an error that names the field.
func TestRefused(t *testing.T) {
	ep0 := `load_assignment { cluster_name: "c" endpoints { lb_endpoints { endpoint { address { `
	for _, c := range []struct{ text, want string }{
		{`name: "c" type: EDS`, "eds_cluster_config: cannot create an EDS cluster without an EDS config"},
		{`name: "c" type: LOGICAL_DNS`, "type: LOGICAL_DNS is not supported"},
		{`name: "c" type: ORIGINAL_DST`, "type: ORIGINAL_DST is not supported"},
		{`name: "c" cluster_type { name: "envoy.clusters.redis" }`, `cluster_type: "envoy.clusters.redis"`},
		{`name: "c" lb_policy: CLUSTER_PROVIDED`, "lb_policy: CLUSTER_PROVIDED"},
		{`name: "c" lb_policy: LOAD_BALANCING_POLICY_CONFIG`, "lb_policy: LOAD_BALANCING_POLICY_CONFIG"},
		{`name: "c" lb_policy: RING_HASH ring_hash_lb_config { minimum_ring_size { value: 20 } maximum_ring_size { value: 10 } }`,
			"ring_hash_lb_config: ring hash: minimum_ring_size (20) > maximum_ring_size (10)"},
		{`name: "c" lb_policy: RING_HASH ring_hash_lb_config { maximum_ring_size { value: 10 } }`, "minimum_ring_size (1024) >"},
		{`name: "c" lb_policy: MAGLEV maglev_lb_config { table_size { value: 100 } }`, "maglev_lb_config.table_size: 100 is not a prime"},
		{`name: "c" transport_socket { name: "envoy.transport_sockets.tls" }`, `transport_socket: no envoy.transport_sockets.upstream extension "envoy.transport_sockets.tls"`},
		{`name: "c" typed_extension_protocol_options { key: "x" value {} }`, `no envoy.upstream_options extension "x"`},
		{`name: "c" common_http_protocol_options { max_stream_duration { seconds: 1 } }`, "common_http_protocol_options.max_stream_duration"},
		{`name: "c" common_http_protocol_options { max_connection_duration_jitter { value: 1 } }`, "max_connection_duration_jitter"},
		{`name: "c" upstream_bind_config { source_address { address: "localhost" port_value: 0 } }`, "upstream_bind_config.source_address.address: malformed"},
		{`name: "c" upstream_bind_config { source_address { address: "1.2.3.4" port_value: 0 } socket_options { level: 1 name: 1 int_value: 1 state: STATE_BOUND } }`, "STATE_PREBIND"},
		{`name: "c" ` + ep0 + `socket_address { address: "localhost" port_value: 1 } } } } } }`,
			"load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: malformed IP address: localhost"},
		{`name: "c" ` + ep0 + `socket_address { protocol: UDP address: "1.2.3.4" port_value: 1 } } } } } }`, "socket_address.protocol: UDP"},
		{`name: "c" ` + ep0 + `envoy_internal_address { server_listener_name: "x" } } } } } }`, "endpoint.address: only socket_address and pipe"},
		{`name: "c" type: STRICT_DNS ` + ep0 + `pipe { path: "/x" } } } } } }`, "a pipe has no name"},
		{`name: "c" load_assignment { cluster_name: "c" endpoints { lb_endpoints { endpoint_name: "x" } } }`, "lb_endpoints[0]: has no endpoint"},
		{`name: "c" load_assignment { cluster_name: "c" endpoints { ` + ep("1.1.1.1", 1, "load_balancing_weight { value: 4294967295 }") +
			ep("1.1.1.2", 1, "load_balancing_weight { value: 1 }") + `} }`, "sum of weights"},
	} {
		if _, err := newWorld(t, 1, nil).compile(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n\t%v\nwant\n\t%s", c.text, err, c.want)
		}
	}
}

func TestPipe(t *testing.T) {
	w := newWorld(t, 1, nil)
	c := w.config(`name: "c" load_assignment { cluster_name: "c" endpoints { lb_endpoints { endpoint { address { pipe { path: "/run/x" } } } } } }`)
	if a := c.hosts.endpoints[0].addr; a.Path != "/run/x" {
		t.Errorf("%+v", a)
	}
}

func TestPolicies(t *testing.T) {
	for _, p := range []string{"ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"} {
		w := newWorld(t, 1, nil)
		w.set(static("lb_policy: " + p))
		if h := w.m.Local(0).Get("c").Choose(&LBContext{}); h == nil || h.Address() != "10.0.0.1:80" {
			t.Errorf("%s: %v", p, h)
		}
	}
}

func TestWarnings(t *testing.T) {
	comp := sdktest.NewCompiler(t)
	comp.AddCodec(http1.Codec())
	pb := sdktest.Text[clusterv3.Cluster](t, `name: "c" type: STRICT_DNS respect_dns_ttl: true
		lb_policy: LEAST_REQUEST least_request_lb_config { active_request_bias { default_value: -1 runtime_key: "k" } }`)
	if _, err := Compile(comp, pb, CompileOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(comp.Warnings(), "\n"); !strings.Contains(got, "respect_dns_ttl") || !strings.Contains(got, "active_request_bias") {
		t.Errorf("warnings: %s", got)
	}
}

// TestExtensionOptions: the extension message wins over the deprecated fields.
func TestExtensionOptions(t *testing.T) {
	compile := func(o *httpv3.HttpProtocolOptions) (*Config, error) {
		comp := sdktest.NewCompiler(t)
		comp.AddCodec(http1.Codec())
		pb := sdktest.Text[clusterv3.Cluster](t, static(`common_http_protocol_options { idle_timeout { seconds: 1 } }`))
		pb.TypedExtensionProtocolOptions = anyMap(t, o)
		return Compile(comp, pb, CompileOptions{})
	}
	explicit := &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
		ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
	}}
	c, err := compile(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions:   explicit,
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{MaxRequestsPerConnection: wrapperspb.UInt32(4)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.idleTimeout != time.Hour || c.maxRequests != 4 {
		t.Errorf("idle %v, requests %d", c.idleTimeout, c.maxRequests)
	}
}

// TestHTTPVersions: which version of HTTP a cluster speaks, by the three ways to say so.
func TestHTTPVersions(t *testing.T) {
	const two = `http2_protocol_options { max_concurrent_streams { value: 7 }
		connection_keepalive { interval { seconds: 3 } timeout { seconds: 2 } } }`
	options := func(text string) string {
		return `typed_extension_protocol_options { key: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions" value {
			[type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions] { ` + text + ` } } }`
	}
	for _, tt := range []struct{ fields, one, two string }{
		{"", "http1", "http1"},
		{"http_protocol_options {}", "http1", "http1"},
		{two, "http2", "http2"},
		{two + "protocol_selection: USE_DOWNSTREAM_PROTOCOL", "http1", "http2"},
		{"protocol_selection: USE_DOWNSTREAM_PROTOCOL", "http1", "http2"},
		{strings.ReplaceAll(two, "timeout {", "interval_jitter { value: 50 } connection_idle_interval { seconds: 4 } timeout {"), "http2", "http2"},
		{options("explicit_http_config { http_protocol_options {} }"), "http1", "http1"},
		{options("explicit_http_config { " + two + " }"), "http2", "http2"},
		{options("use_downstream_protocol_config { " + two + " }"), "http1", "http2"},
		{options("use_downstream_protocol_config {}"), "http1", "http2"},
		{options("auto_config { "+two+" }") + `transport_socket { name: "t" typed_config {
			[type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext] {} } }`, "http2", "http2"},
		{options("auto_config { http_protocol_options {} http2_protocol_options {} }"), "non-ALPN transport socket", ""},
	} {
		pb := sdktest.Text[clusterv3.Cluster](t, static(tt.fields))
		comp := sdktest.NewCompiler(t)
		comp.AddCodec(http1.Codec())
		h2 := &sdk.Codec{Name: "http2", Mode: sdk.Multiplexed}
		h2.Compile = func(sdk.Compiler, sdk.Side, sdk.CodecOptions) (sdk.CodecConfig, error) {
			return renamed{frameCodec{}, h2}, nil
		}
		comp.AddCodec(h2)
		c, err := Compile(comp, pb, CompileOptions{})
		if err != nil {
			if !strings.Contains(err.Error(), tt.one) {
				t.Errorf("%s: %v", tt.fields, err)
			}
			continue
		}
		one, second := c.wayOf(&sdk.Message{Protocol: sdk.HTTP11}), c.wayOf(&sdk.Message{Protocol: sdk.HTTP2})
		if one.codec.Codec().Name != tt.one || second.codec.Codec().Name != tt.two {
			t.Errorf("%s: %s, %s", tt.fields, one.codec.Codec().Name, second.codec.Codec().Name)
		}
		want := Multiplex{MaxStreams: 7, HeartbeatInterval: 3 * time.Second, HeartbeatTimeout: 2 * time.Second, HeartbeatMisses: 1,
			HeartbeatJitter: 450 * time.Millisecond}
		if strings.Contains(tt.fields, "jitter") {
			want.HeartbeatJitter, want.IdleInterval = 1500*time.Millisecond, 4*time.Second
		}
		if got := *c.multiplex(second); strings.Contains(tt.fields, "keepalive") && got != want {
			t.Errorf("%s: %+v", tt.fields, got)
		}
	}
	comp := sdktest.NewCompiler(t)
	comp.AddCodec(http1.Codec())
	if _, err := Compile(comp, sdktest.Text[clusterv3.Cluster](t, static(two)), CompileOptions{}); err == nil || !strings.Contains(err.Error(), "http2") {
		t.Errorf("a proxy without HTTP/2: %v", err)
	}
}

// TestPerHostThresholds: they are for connections that are shared.
func TestPerHostThresholds(t *testing.T) {
	w := newWorld(t, 1, nil)
	const limits = `circuit_breakers {
		per_host_thresholds { max_connections { value: 2 } }
		per_host_thresholds { max_connections { value: 9 } }
		per_host_thresholds { priority: HIGH max_connections { value: 0 } } }`
	if _, err := w.compile(static(limits)); err == nil || !strings.Contains(err.Error(), "per_host_thresholds: is supported for multiplexed") {
		t.Errorf("HTTP/1: %v", err)
	}
	w.codec = frameCodec{}.codec()
	if cfg := w.config(static(limits)); cfg.perHost != [numPriorities]uint32{2, 1} || cfg.mux.MaxStreams != 1024 {
		t.Errorf("%v, %+v", cfg.perHost, cfg.mux)
	}
	_, err := w.compile(static(`circuit_breakers { per_host_thresholds { max_requests { value: 2 } } }`))
	if err == nil || !strings.Contains(err.Error(), "only max_connections") {
		t.Errorf("max_requests: %v", err)
	}
}

// TestFields walks the descriptors: every field has a status, and every status a
// field. The options of HTTP/1 and HTTP/2 are the codecs' to declare.
func TestFields(t *testing.T) {
	table := fields.Table(Fields())
	for _, m := range []protoreflect.ProtoMessage{&corev3.Http1ProtocolOptions{}, &corev3.Http2ProtocolOptions{}} {
		for list, i := m.ProtoReflect().Descriptor().Fields(), 0; i < list.Len(); i++ {
			table[string(list.Get(i).FullName())] = sdk.NoEffect // ends the walk
		}
	}
	roots := []protoreflect.MessageDescriptor{
		(&clusterv3.Cluster{}).ProtoReflect().Descriptor(),
		(&httpv3.HttpProtocolOptions{}).ProtoReflect().Descriptor(),
	}
	if missing := table.Undeclared(roots...); len(missing) > 0 {
		t.Errorf("fields without a status:\n\t%s", strings.Join(missing, "\n\t"))
	}
	if unknown := table.Unknown(roots...); len(unknown) > 0 {
		t.Errorf("names that are no field:\n\t%s", strings.Join(unknown, "\n\t"))
	}
}

// TestRefusedFields: the check against Fields names what Compile never sees.
func TestRefusedFields(t *testing.T) {
	for text, want := range map[string]string{
		`health_checks {}`:                                                      "health_checks",
		`outlier_detection {}`:                                                  "outlier_detection",
		`round_robin_lb_config { slow_start_config {} }`:                        "round_robin_lb_config.slow_start_config",
		`common_lb_config { locality_weighted_lb_config {} }`:                   "common_lb_config.locality_weighted_lb_config",
		`load_assignment { policy { drop_overloads {} } }`:                      "load_assignment.policy.drop_overloads",
		`load_assignment { endpoints { lb_endpoints { endpoint_name: "x" } } }`: "load_assignment.endpoints[0].lb_endpoints[0].endpoint_name",
	} {
		var got []string
		pb := sdktest.Text[clusterv3.Cluster](t, text)
		fields.Table(Fields()).Check(pb.ProtoReflect(), "", func(r fields.Refusal) { got = append(got, r.Error()) })
		if len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s: %v", text, got)
		}
	}
	plain := sdktest.Text[clusterv3.Cluster](t, static(""))
	fields.Table(Fields()).Check(plain.ProtoReflect(), "", func(r fields.Refusal) { t.Errorf("of a plain cluster: %v", r) })
}

// FuzzCompile: no message makes Compile or the choice of a host panic.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{
		static(""), static("lb_policy: MAGLEV maglev_lb_config { table_size { value: 251 } }"),
		static("lb_policy: RING_HASH ring_hash_lb_config { minimum_ring_size { value: 3 } }"),
		`name: "c" load_assignment { cluster_name: "c" endpoints { priority: 2 ` + ep("10.0.0.1", 80, "health_status: UNHEALTHY") + `} }`,
	} {
		pb := &clusterv3.Cluster{}
		if err := protoText(text, pb); err != nil {
			f.Fatal(err)
		}
		b, err := proto.Marshal(pb)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	kind := NewKind()
	codec := http1.Codec()
	f.Fuzz(func(t *testing.T, b []byte) {
		pb := &clusterv3.Cluster{}
		if proto.Unmarshal(b, pb) != nil || pb.Validate() != nil {
			return
		}
		if pb.GetRingHashLbConfig().GetMinimumRingSize().GetValue() > 1<<12 || pb.GetMaglevLbConfig().GetTableSize().GetValue() > 1<<12 {
			return // slow, not wrong
		}
		for _, l := range pb.GetLoadAssignment().GetEndpoints() {
			for _, e := range l.GetLbEndpoints() {
				if e.GetLoadBalancingWeight().GetValue() > 100 {
					return // makes a ring of millions of points
				}
			}
		}
		comp := sdktest.NewCompiler(t)
		comp.AddCodec(codec)
		cfg, err := Compile(comp, pb, CompileOptions{Kind: kind})
		if err != nil {
			return
		}
		var hosts []*Host
		for i, e := range cfg.hosts.endpoints {
			h := newHost(e, e.addr)
			h.slot = uint32(i)
			hosts = append(hosts, h)
		}
		lc := &LoopCluster{local: &Local{stats: stats.NewLocal()}, cfg: cfg, block: cfg.block}
		lc.setHosts(newHostSet(hosts, &cfg.lb))
		for range 10 {
			lc.Choose(&LBContext{})
		}
	})
}

// TestMultiplexSettings: what the metadata says of shared connections, and what it may not.
func TestMultiplexSettings(t *testing.T) {
	w := newWorld(t, 1, nil)
	got := w.config(static(settings("max_streams", 7, "heartbeat_interval", "0s", "heartbeat_timeout", "2s", "heartbeat_misses", 9))).mux
	if want := (Multiplex{MaxStreams: 7, HeartbeatTimeout: 2 * time.Second, HeartbeatMisses: 9}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, bad := range []string{settings("heartbeat_timeout", "0s"), settings("heartbeat_missed", 2), settings("max_streams", "2")} {
		if _, err := w.compile(static(bad)); err == nil || !strings.Contains(err.Error(), "metadata.filter_metadata[mosn].") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
