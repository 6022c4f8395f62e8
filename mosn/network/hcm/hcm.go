// Package hcm is envoy.filters.network.http_connection_manager: it compiles the
// filter's configuration into what mosn/stream runs. It works off the loops, on the
// goroutine that compiles the configuration, and has no part in a request.
package hcm

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
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
	Root() sdk.Compiler // stands at the listener
	Codecs() []*sdk.Codec
	Runtime() *runtime.Snapshot
	Tracing() *tracev3.Tracing_Http // for those who trace and name no provider
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
			cfg.Stats = names.New(c.Stats().Scope("http." + m.(*hcmv3.HttpConnectionManager).GetStatPrefix()))
			return cfg, nil
		},
	}
}

func compile(c sdk.Compiler, pb *hcmv3.HttpConnectionManager) (*stream.Config, error) {
	cfg := &stream.Config{LocalAddress: eventloop.MachineAddress()}
	if h, ok := c.(interface{ WithStats(sdk.Scope) sdk.Compiler }); ok { // filters count where the connection manager does
		c = h.WithStats(c.Stats().Scope("http." + pb.GetStatPrefix()))
	}
	for _, step := range []func(sdk.Compiler, *hcmv3.HttpConnectionManager, *stream.Config) error{
		compileCodecs, compileTimes, compileForwarding, compilePaths, compileUpgrades, compileFilters, compileRoutes,
		compileRequestID,
	} {
		if err := step(c, pb, cfg); err != nil {
			return nil, err
		}
	}
	var logs accesslog.CompileOptions
	if h, ok := c.(host); ok {
		cfg.Runtime, logs.Runtime = h.Runtime(), h.Runtime()
		cfg.ListenerMetadata = sdk.NewMetadata(h.Listener().GetMetadata().GetFilterMetadata())
		if pb.GetAddUserAgent().GetValue() {
			cfg.UserAgent, cfg.NodeID = h.Node().GetCluster(), h.Node().GetId()
		}
		if pb.GetStripMatchingHostPort() {
			cfg.StripMatchingPort = uint16(h.Listener().GetAddress().GetSocketAddress().GetPortValue())
		}
	}
	log, err := accesslog.CompileAll(c, pb.GetAccessLog(), logs)
	if err != nil {
		return nil, err
	}
	if log != nil {
		cfg.AccessLogs = []sdk.AccessLogger{log}
	}
	return cfg, compileTracing(c, pb, cfg)
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

func compilePaths(_ sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
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
	cfg.StripAnyPort = pb.GetStripAnyHostPort()
	cfg.StripTrailingHostDot = pb.GetStripTrailingHostDot()
	return nil
}

func compileUpgrades(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	for i, u := range pb.GetUpgradeConfigs() {
		if len(u.GetFilters()) > 0 {
			return c.At(fmt.Sprintf("upgrade_configs[%d].filters", i)).Errorf("a filter chain of an upgrade's own is not built yet")
		}
		cfg.Upgrades = append(cfg.Upgrades, stream.Upgrade{
			Type:    u.GetUpgradeType(),
			Enabled: u.GetEnabled() == nil || u.GetEnabled().GetValue(),
		})
	}
	return nil
}

// compileFilters compiles the chain. Its last filter must be the router, which is
// taken off and read here.
func compileFilters(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	list := pb.GetHttpFilters()
	if len(list) == 0 {
		return c.At("http_filters").Errorf("the chain is empty: it must end in a terminal filter (envoy.filters.http.router)")
	}
	for i, f := range list {
		at := c.At(fmt.Sprintf("http_filters[%d]", i))
		ext, conf, err := compileFilter(at, f)
		if err != nil {
			return err
		}
		if last := i == len(list)-1; ext.Terminal != last {
			if last {
				return at.Errorf("non-terminal filter named %s of type %s is the last filter in a http filter chain", f.GetName(), ext.Name)
			}
			return at.Errorf("terminal filter named %s of type %s must be the last filter in a http filter chain", f.GetName(), ext.Name)
		}
		if r, ok := conf.(*routerConfig); ok {
			cfg.SuppressEnvoyHeaders, cfg.StartChildSpan = r.SuppressEnvoyHeaders, r.StartChildSpan
			cfg.RespectExpectedRqTimeout = r.RespectExpectedTimeout
			continue
		}
		cfg.Filters = append(cfg.Filters, stream.FilterConfig{Name: f.GetName(), Config: conf})
	}
	return nil
}

func compileFilter(c sdk.Compiler, f *hcmv3.HttpFilter) (*sdk.HTTPFilter, sdk.HTTPConfig, error) {
	any := f.GetTypedConfig()
	if any == nil {
		return nil, nil, c.Errorf("has no typed_config")
	}
	url := any.GetTypeUrl()
	ext, err := c.HTTPFilter(f.GetName(), url[strings.LastIndexByte(url, '/')+1:])
	if err != nil {
		return nil, nil, err
	}
	at := c.At("typed_config")
	m, err := at.Unpack(any)
	if err != nil {
		return nil, nil, err
	}
	conf, err := ext.Compile(at, m)
	return ext, conf, err
}

func compileRoutes(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	rc := pb.GetRouteConfig()
	if rc == nil {
		return c.Errorf("has no route_config; rds and scoped_routes are not built yet")
	}
	var err error
	cfg.Routes, err = route.Compile(c.At("route_config"), rc, route.Options{ValidateClusters: true})
	return err
}
