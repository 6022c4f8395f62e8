// Package hcm is envoy.filters.network.http_connection_manager: it compiles the
// filter's configuration into what mosn/stream runs. It works off the loops, on the
// goroutine that compiles the configuration, and has no part in a request.
package hcm

import (
	"fmt"
	"net/netip"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"sofamesh.io/sofamesh/mosn/accesslog"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// host is what the compiler of a network filter can tell beside sdk.Compiler.
type host interface {
	Node() *corev3.Node
	Listener() *listenerv3.Listener
	ListenerStats() sdk.Scope
	RouteNames() *route.StatNames
	Root() sdk.Compiler // stands at the listener
	Codecs() []*sdk.Codec
	Runtime() *runtime.Values
	Tracing() *tracev3.Tracing_Http // for those who trace and name no provider
}

// dynamic is what the compiler can do where configuration may come by itself. Both
// methods are called where the source is named.
type dynamic interface {
	sdk.Compiler
	// DynamicRoutes asks for a routing table (RDS). check, if not nil, may refuse one.
	DynamicRoutes(name string, from *corev3.ConfigSource, check func(sdk.Compiler, *routev3.RouteConfiguration) error) (*route.Slot, error)
	// DynamicFilter asks for the configuration of a filter (ECDS).
	DynamicFilter(name string, from *corev3.ExtensionConfigSource) (*stream.FilterSlot, error)
}

// Envoy's defaults (http_connection_manager.proto, protocol.proto).
const (
	defaultStreamIdle   = 5 * time.Minute
	defaultIdle         = time.Hour
	defaultDelayedClose = time.Second
	defaultDrain        = 5 * time.Second
	defaultHeadersKB    = 60
	defaultHeadersCount = 100
)

// Filter returns the extension.
func Filter() stream.NetworkFilter {
	names := stream.NewNames()
	return stream.NetworkFilter{
		Name:   "envoy.filters.network.http_connection_manager",
		Config: &hcmv3.HttpConnectionManager{},
		Fields: Fields(),
		Compile: func(c sdk.Compiler, m proto.Message) (stream.ConnFactory, error) {
			cfg, err := compile(c, m.(*hcmv3.HttpConnectionManager))
			if err != nil {
				return nil, err
			}
			above := c.Stats()
			if h, ok := c.(host); ok {
				above = h.ListenerStats()
			}
			cfg.Stats = names.New(c.Stats(), above, m.(*hcmv3.HttpConnectionManager).GetStatPrefix())
			return cfg, nil
		},
	}
}

func compile(c sdk.Compiler, pb *hcmv3.HttpConnectionManager) (*stream.Config, error) {
	cfg := &stream.Config{LocalAddress: eventloop.MachineAddress()}
	if err := fill(c, pb, cfg); err != nil {
		cfg.Close() // the filters that were compiled
		return nil, err
	}
	return cfg, nil
}

func fill(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	root := c.Stats()
	if h, ok := c.(interface{ WithStats(sdk.Scope) sdk.Compiler }); ok { // filters count where the connection manager does
		c = h.WithStats(c.Stats().Scope("http." + pb.GetStatPrefix()))
	}
	for _, step := range []func(sdk.Compiler, *hcmv3.HttpConnectionManager, *stream.Config) error{
		compileCodecs, compileTimes, compileForwarding, compilePaths, compileUpgrades, compileLocalReply, compileFilters,
		compileRequestID, compileOrigins, compileEarly,
	} {
		if err := step(c, pb, cfg); err != nil {
			return err
		}
	}
	routes := route.Options{ValidateClusters: true}
	if h, ok := c.(host); ok {
		routes.Scope, routes.Names = root, h.RouteNames()
	}
	if err := compileRoutes(c, pb, cfg, routes); err != nil {
		return err
	}
	var logs accesslog.CompileOptions
	if h, ok := c.(host); ok {
		cfg.Runtime, logs.Runtime = h.Runtime(), h.Runtime()
		cfg.ListenerMetadata = sdk.NewMetadata(h.Listener().GetMetadata().GetFilterMetadata())
		cfg.Listener, cfg.FilterChain = h.Listener().GetName(), chainName(h.Listener())
		if pb.GetAddUserAgent().GetValue() {
			cfg.UserAgent, cfg.NodeID = h.Node().GetCluster(), h.Node().GetId()
		}
		if pb.GetStripMatchingHostPort() {
			cfg.StripMatchingPort = uint16(h.Listener().GetAddress().GetSocketAddress().GetPortValue())
		}
	}
	compileLogOptions(pb, cfg)
	log, err := accesslog.CompileAll(c, pb.GetAccessLog(), logs)
	if err != nil {
		return err
	}
	if log != nil {
		cfg.AccessLogs = []sdk.AccessLogger{log}
	}
	return compileTracing(c, pb, cfg)
}

// compileLogOptions says when the access log is written beside the end of a request.
func compileLogOptions(pb *hcmv3.HttpConnectionManager, cfg *stream.Config) {
	o := pb.GetAccessLogOptions()
	if o == nil {
		//lint:ignore SA1019 Envoy still reads the older fields, so we do
		cfg.LogStart, cfg.LogInterval = pb.GetFlushAccessLogOnNewRequest(), pb.GetAccessLogFlushInterval().AsDuration()
		return
	}
	cfg.LogStart, cfg.LogInterval = o.GetFlushAccessLogOnNewRequest(), o.GetAccessLogFlushInterval().AsDuration()
	cfg.LogTunnel = o.GetFlushLogOnTunnelSuccessfullyEstablished()
}

// chainName is the name of the chain that takes the listener's connections.
func chainName(l *listenerv3.Listener) string {
	if chains := l.GetFilterChains(); len(chains) > 0 {
		return chains[0].GetName()
	}
	return l.GetDefaultFilterChain().GetName()
}

// duration returns the value of a field, def when it is not set.
func duration(d *durationpb.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return d.AsDuration()
}

func compileTimes(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	common := pb.GetCommonHttpProtocolOptions()
	cfg.RequestTimeout = duration(pb.GetRequestTimeout(), 0)
	cfg.RequestHeadersTimeout = duration(pb.GetRequestHeadersTimeout(), 0)
	cfg.StreamIdleTimeout = duration(pb.GetStreamIdleTimeout(), defaultStreamIdle)
	cfg.DelayedCloseTimeout = duration(pb.GetDelayedCloseTimeout(), defaultDelayedClose)
	cfg.DrainTimeout = duration(pb.GetDrainTimeout(), defaultDrain)
	cfg.Keepalive = keepalive(pb.GetHttp2ProtocolOptions().GetConnectionKeepalive())
	cfg.IdleTimeout = duration(common.GetIdleTimeout(), defaultIdle)
	cfg.MaxConnectionDuration = duration(common.GetMaxConnectionDuration(), 0)
	cfg.MaxStreamDuration = duration(common.GetMaxStreamDuration(), 0)
	if common.GetMaxConnectionDurationJitter() != nil {
		return c.At("common_http_protocol_options.max_connection_duration_jitter").Errorf("is not built yet")
	}
	cfg.MaxRequestsPerConnection = common.GetMaxRequestsPerConnection().GetValue()
	return nil
}

func compileForwarding(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	cfg.ServerName = pb.GetServerName()
	if cfg.ServerName == "" {
		cfg.ServerName = "envoy"
	}
	cfg.ServerHeader = stream.ServerHeader(pb.GetServerHeaderTransformation())
	cfg.UseRemoteAddress = pb.GetUseRemoteAddress().GetValue()
	cfg.TrustedHops = pb.GetXffNumTrustedHops()
	cfg.SkipXFFAppend = pb.GetSkipXffAppend()
	cfg.Via = pb.GetVia()
	cfg.GenerateRequestID = pb.GetGenerateRequestId() == nil || pb.GetGenerateRequestId().GetValue()
	cfg.PreserveExternalID = pb.GetPreserveExternalRequestId()
	cfg.AlwaysSetRequestID = pb.GetAlwaysSetRequestIdInResponse()
	cfg.Proxy100Continue = pb.GetProxy_100Continue()
	cfg.AppendXForwardedPort = pb.GetAppendXForwardedPort()
	cfg.SchemeOverwrite = pb.GetSchemeHeaderTransformation().GetSchemeToOverwrite()
	if pb.GetForwardClientCertDetails() != hcmv3.HttpConnectionManager_SANITIZE {
		return c.At("forward_client_cert_details").Errorf("%s needs TLS, which is not built yet",
			pb.GetForwardClientCertDetails())
	}
	internal := pb.GetInternalAddressConfig()
	if internal.GetUnixSockets() {
		return c.At("internal_address_config.unix_sockets").Errorf("is not built yet")
	}
	for i, r := range internal.GetCidrRanges() {
		p, err := prefix(r)
		if err != nil {
			return c.At(fmt.Sprintf("internal_address_config.cidr_ranges[%d]", i)).Errorf("%v", err)
		}
		cfg.Internal = append(cfg.Internal, p)
	}
	return nil
}

func prefix(r *corev3.CidrRange) (netip.Prefix, error) {
	a, err := netip.ParseAddr(r.GetAddressPrefix())
	if err != nil {
		return netip.Prefix{}, err
	}
	bits := 0 // Envoy's default of prefix_len
	if v := r.GetPrefixLen(); v != nil {
		bits = int(v.GetValue())
	}
	return a.Prefix(bits)
}

func compilePaths(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	cfg.NormalizePath = pb.GetNormalizePath().GetValue()
	cfg.MergeSlashes = pb.GetMergeSlashes()
	switch pb.GetPathWithEscapedSlashesAction() {
	case hcmv3.HttpConnectionManager_REJECT_REQUEST:
		cfg.EscapedSlashes = stream.EscapedReject
	case hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT:
		cfg.EscapedSlashes = stream.EscapedRedirect
	case hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD:
		cfg.EscapedSlashes = stream.EscapedUnescape
	}
	if pb.GetStripMatchingHostPort() && pb.GetStripAnyHostPort() {
		return c.At("strip_any_host_port").Errorf("only one of strip_matching_host_port and strip_any_host_port may be set")
	}
	cfg.StripAnyPort = pb.GetStripAnyHostPort()
	cfg.StripTrailingHostDot = pb.GetStripTrailingHostDot()
	return nil
}

func compileRoutes(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config, o route.Options) error {
	if rds := pb.GetRds(); rds != nil {
		h, ok := c.(dynamic)
		if !ok {
			return c.At("rds").Errorf("is not possible here")
		}
		name := rds.GetRouteConfigName()
		if name == "" {
			return c.At("rds.route_config_name").Errorf("is missing")
		}
		var err error
		cfg.Routes, err = h.At("rds.config_source").(dynamic).DynamicRoutes(name, rds.GetConfigSource(), onlyProtocol(cfg))
		return err
	}
	rc := pb.GetRouteConfig()
	if rc == nil {
		return c.Errorf("has no route_config and no rds; scoped_routes are not built yet")
	}
	if check := onlyProtocol(cfg); check != nil {
		if err := check(c.At("route_config"), rc); err != nil {
			return err
		}
	}
	t, err := route.Compile(c.At("route_config"), rc, o)
	cfg.Routes = route.NewSlot(t)
	return err
}

// onlyProtocol returns what the one protocol of a listener demands of routes, nil when
// it is HTTP or one of several.
func onlyProtocol(cfg *stream.Config) func(sdk.Compiler, *routev3.RouteConfiguration) error {
	if len(cfg.Codecs) != 1 || !cfg.Codecs[0].Codec().RPC {
		return nil
	}
	codec := cfg.Codecs[0].Codec()
	return func(c sdk.Compiler, pb *routev3.RouteConfiguration) error { return checkLevel(c, codec, pb) }
}
