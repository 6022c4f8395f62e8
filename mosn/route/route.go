package route

//lint:file-ignore SA1019 Envoy still reads these fields, so we do

import (
	"math"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/match/descriptor"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// Route is a compiled envoy.config.route.v3.Route. Exactly one of Forward, Redirect
// and Direct is set. A route with weighted clusters has a variant for each of them,
// which is what Table.Match returns.
type Route struct {
	Name        string
	VirtualHost *VirtualHost
	Metadata    *sdk.Metadata // nil when there is none
	// BufferLimit bounds in bytes what is kept of a request's body for retries and
	// mirrors; -1 when the configuration does not say.
	BufferLimit int64
	// Stats are those of stat_prefix, nil without one.
	Stats *RequestStats

	Forward  *Forward
	Redirect *Redirect
	Direct   *Direct

	// Trace is what the route says of traces, nil for nothing.
	Trace *Trace

	match             matcher
	weighted          *weighted
	request, response *edits
	variant           *variant // set for one cluster of a weighted route
	filters           filterMap
	cors              sdk.RouteConfig
	rateLimits        *descriptor.Levels // nil when neither the route nor its virtual host has any
}

// Value returns what sdk.Stream's RouteValue does: of "route" the *Forward, of "cors" a
// configuration of the filter of that name, of "metadata" a *sdk.Metadata, of
// "rate_limits" a *descriptor.Levels. r may be nil.
func (r *Route) Value(field string) any {
	switch {
	case r == nil:
	case field == "route" && r.Forward != nil:
		return r.Forward
	case field == "cors" && r.cors != nil:
		return r.cors
	case field == "rate_limits" && r.rateLimits != nil:
		return r.rateLimits
	case field == "metadata" && r.Metadata != nil:
		return r.Metadata
	}
	return nil
}

// IdleTimeout returns the route's idle_timeout, or false when the connection
// manager's stream_idle_timeout holds. 0 means none.
func (r *Route) IdleTimeout() (time.Duration, bool) {
	if r.Forward == nil || !r.Forward.hasIdle {
		return 0, false
	}
	return r.Forward.idle, true
}

func (cc *compiler) route(c sdk.Compiler, pb *routev3.Route) (*Route, error) {
	r := &Route{Name: pb.GetName(), VirtualHost: cc.vh, cors: cc.vh.cors, Metadata: sdk.NewMetadata(pb.GetMetadata().GetFilterMetadata()), BufferLimit: bufferLimit(pb, cc.bufferLimit)}
	if prefix := pb.GetStatPrefix(); prefix != "" {
		r.Stats = cc.statsOf("route", prefix)
	}
	var err error
	if r.match, err = compileMatch(c.At("match"), pb.GetMatch()); err != nil {
		return nil, err
	}
	if r.request, r.response, err = compileLevel(c, pb); err != nil {
		return nil, err
	}
	if r.filters, err = compileFilters(c, pb.GetTypedPerFilterConfig(), cc.vh.filters); err != nil {
		return nil, err
	}
	if r.Trace, err = compileTrace(c, pb); err != nil {
		return nil, err
	}
	switch a := pb.GetAction().(type) {
	case *routev3.Route_Route:
		if r.cors, err = compileCORS(c.At("route.cors"), a.Route.GetCors(), cc.vh.cors); err != nil {
			return nil, err
		}
		if r.rateLimits, err = cc.rateLimits(c.At("route"), a.Route); err != nil {
			return nil, err
		}
		if r.Forward, err = cc.forward(c.At("route"), a.Route); err == nil {
			r.weighted, err = cc.weighted(c.At("route.weighted_clusters"), r, a.Route.GetWeightedClusters())
		}
	case *routev3.Route_Redirect:
		r.Redirect, err = compileRedirect(c.At("redirect"), a.Redirect)
	case *routev3.Route_DirectResponse:
		r.Direct, err = cc.direct(c.At("direct_response"), a.DirectResponse)
	case *routev3.Route_FilterAction:
		err = c.At("filter_action").Errorf("is not supported")
	case *routev3.Route_NonForwardingAction:
		err = c.At("non_forwarding_action").Errorf("is not supported")
	default:
		err = c.Errorf("no action is set")
	}
	return r, err
}

// rateLimits compiles what says of a route by what it is limited.
func (cc *compiler) rateLimits(c sdk.Compiler, pb *routev3.RouteAction) (*descriptor.Levels, error) {
	own, err := descriptor.Compile(c, pb.GetRateLimits())
	if err != nil || len(own)+len(cc.vh.rateLimits) == 0 {
		return nil, err
	}
	return &descriptor.Levels{Route: own, VirtualHost: cc.vh.rateLimits, Include: pb.GetIncludeVhRateLimits().GetValue()}, nil
}

// limits is what a route and a virtual host have in common for bufferLimit.
type limits interface {
	GetPerRequestBufferLimitBytes() *wrapperspb.UInt32Value
	GetRequestBodyBufferLimit() *wrapperspb.UInt64Value
}

// bufferLimit returns request_body_buffer_limit, else the older
// per_request_buffer_limit_bytes, else what is inherited.
func bufferLimit(pb limits, inherited int64) int64 {
	if v := pb.GetRequestBodyBufferLimit(); v != nil {
		return int64(min(v.GetValue(), math.MaxInt64))
	}
	if v := pb.GetPerRequestBufferLimitBytes(); v != nil {
		return int64(v.GetValue())
	}
	return inherited
}

// Forward is a compiled envoy.config.route.v3.RouteAction: what is sent where, and
// how long and how often that is tried.
//
// Durations are whole milliseconds, as Envoy cuts them; 0 means without limit.
type Forward struct {
	// ClusterHeader is the lower-case name of the request header that names the
	// cluster; "" when the configuration names it.
	ClusterHeader string
	// NotFoundStatus answers a request whose cluster does not exist.
	NotFoundStatus int
	// HighPriority chooses the circuit breaker thresholds of priority HIGH.
	HighPriority bool
	// AutoHostRewrite asks for RewriteHost with the name of the endpoint.
	AutoHostRewrite bool
	// AppendForwardedHost goes to RewriteHost.
	AppendForwardedHost bool

	// Timeout bounds the whole of a request, retries included. It is 0 when
	// max_stream_duration is set at all, even empty.
	Timeout time.Duration
	// MaxStreamDuration is nil when max_stream_duration is not set.
	MaxStreamDuration *MaxStreamDuration

	// Retry is the route's policy, else the virtual host's; nil for none.
	Retry   *RetryPolicy
	Mirrors []Mirror
	Hash    HashPolicies

	cluster     string
	hasIdle     bool
	idle        time.Duration
	maxGRPC     *time.Duration
	grpcOffset  time.Duration
	upgrades    map[string]bool
	rewritePath *pathRewrite
	rewriteHost *hostRewrite
}

// MaxStreamDuration is a compiled RouteAction.MaxStreamDuration.
type MaxStreamDuration struct {
	// Duration bounds a stream; nil leaves that to the connection manager.
	Duration *time.Duration
	// GRPCHeaderMax makes grpc-timeout count, up to this; nil ignores it.
	// GRPCHeaderOffset is taken off it.
	GRPCHeaderMax    *time.Duration
	GRPCHeaderOffset time.Duration
}

// defaultTimeout is Envoy's route timeout.
const defaultTimeout = 15 * time.Second

func (cc *compiler) forward(c sdk.Compiler, pb *routev3.RouteAction) (*Forward, error) {
	f := &Forward{
		HighPriority:        pb.GetPriority() == corev3.RoutingPriority_HIGH,
		NotFoundStatus:      notFoundStatus(pb.GetClusterNotFoundResponseCode()),
		AutoHostRewrite:     pb.GetAutoHostRewrite().GetValue(),
		AppendForwardedHost: pb.GetAppendXForwardedHost(),
		Timeout:             defaultTimeout,
		Retry:               cc.retry,
		Mirrors:             cc.mirrors,
	}
	f.timeouts(pb)
	if err := cc.specifier(c, f, pb); err != nil {
		return nil, err
	}
	if err := f.policies(c, pb, cc.validate); err != nil {
		return nil, err
	}
	var err error
	if f.upgrades, err = compileUpgrades(c, pb.GetUpgradeConfigs()); err != nil {
		return nil, err
	}
	if f.rewritePath, err = compilePathRewrite(c, pb); err != nil {
		return nil, err
	}
	f.rewriteHost, err = compileHostRewrite(c, pb)
	return f, err
}

// specifier reads which cluster is meant.
func (cc *compiler) specifier(c sdk.Compiler, f *Forward, pb *routev3.RouteAction) error {
	switch p := pb.GetClusterSpecifier().(type) {
	case *routev3.RouteAction_Cluster:
		f.cluster = p.Cluster
		return cc.checkCluster(c.At("cluster"), p.Cluster)
	case *routev3.RouteAction_ClusterHeader:
		f.ClusterHeader = match.HeaderName(p.ClusterHeader)
	case *routev3.RouteAction_WeightedClusters: // see weighted.go
	case *routev3.RouteAction_ClusterSpecifierPlugin:
		return c.At("cluster_specifier_plugin").Errorf("is not supported")
	case *routev3.RouteAction_InlineClusterSpecifierPlugin:
		return c.At("inline_cluster_specifier_plugin").Errorf("is not supported")
	default:
		return c.Errorf("no cluster is set")
	}
	return nil
}

// checkCluster records the edge to a cluster and, where clusters are validated,
// refuses one that is not known.
func (cc *compiler) checkCluster(c sdk.Compiler, name string) error {
	if known := c.Cluster(name); !known && cc.validate {
		return c.Errorf("unknown cluster %q", name)
	}
	return nil
}

func (f *Forward) policies(c sdk.Compiler, pb *routev3.RouteAction, validate bool) error {
	if pb.GetRetryPolicy() != nil {
		retry, err := compileRetry(c.At("retry_policy"), pb.GetRetryPolicy())
		if err != nil {
			return err
		}
		f.Retry = retry
	}
	own, err := compileMirrors(c, pb.GetRequestMirrorPolicies(), validate)
	if err != nil {
		return err
	}
	if len(own) > 0 {
		f.Mirrors = own
	}
	f.Hash, err = compileHash(c, pb.GetHashPolicy())
	return err
}

func (f *Forward) timeouts(pb *routev3.RouteAction) {
	if pb.GetTimeout() != nil {
		f.Timeout = millis(pb.GetTimeout())
	}
	if pb.GetIdleTimeout() != nil {
		f.hasIdle, f.idle = true, millis(pb.GetIdleTimeout())
	}
	f.maxGRPC, f.grpcOffset = optional(pb.GetMaxGrpcTimeout()), millis(pb.GetGrpcTimeoutOffset())
	if d := pb.GetMaxStreamDuration(); d != nil {
		f.Timeout = 0
		f.MaxStreamDuration = &MaxStreamDuration{
			Duration:         optional(d.GetMaxStreamDuration()),
			GRPCHeaderMax:    optional(d.GetGrpcTimeoutHeaderMax()),
			GRPCHeaderOffset: millis(d.GetGrpcTimeoutHeaderOffset()),
		}
	}
}

func notFoundStatus(code routev3.RouteAction_ClusterNotFoundResponseCode) int {
	switch code {
	case routev3.RouteAction_NOT_FOUND:
		return 404
	case routev3.RouteAction_INTERNAL_SERVER_ERROR:
		return 500
	}
	return 503
}

func compileUpgrades(c sdk.Compiler, pbs []*routev3.RouteAction_UpgradeConfig) (map[string]bool, error) {
	if len(pbs) == 0 {
		return nil, nil
	}
	m := make(map[string]bool, len(pbs))
	for i, pb := range pbs {
		c := c.At(element("upgrade_configs", i))
		typ := strings.ToLower(pb.GetUpgradeType())
		if _, ok := m[typ]; ok {
			return nil, c.At("upgrade_type").Errorf("duplicate upgrade %q", pb.GetUpgradeType())
		}
		m[typ] = pb.GetEnabled() == nil || pb.GetEnabled().GetValue()
	}
	return m, nil
}

// Cluster returns the name of the cluster that the request goes to, "" when the
// header that names it is missing.
func (f *Forward) Cluster(h *sdk.Headers) string {
	if f.ClusterHeader != "" {
		return h.Value(f.ClusterHeader)
	}
	return f.cluster
}

// Upgrade reports whether the route allows an upgrade ("websocket", "connect"), and
// whether it says anything about it; else the connection manager decides. The type
// is compared without case.
func (f *Forward) Upgrade(typ string) (enabled, set bool) {
	for name, u := range f.upgrades { // a handful at most
		if strings.EqualFold(name, typ) {
			return u, true
		}
	}
	return false, false
}

// GlobalTimeout returns the route's timeout for the request: Timeout, or for gRPC
// with max_grpc_timeout what grpc-timeout asks within that limit. The headers by
// which an internal client overrides it (x-envoy-upstream-rq-timeout-ms) are the
// caller's business.
func (f *Forward) GlobalTimeout(h *sdk.Headers) time.Duration {
	if f.MaxStreamDuration != nil || f.maxGRPC == nil || !grpc.IsRequest(h) {
		return f.Timeout
	}
	d, _ := grpc.Timeout(h)
	if f.grpcOffset < d {
		d -= f.grpcOffset
	}
	if *f.maxGRPC != 0 && (d == 0 || d > *f.maxGRPC) {
		d = *f.maxGRPC
	}
	return d
}

// WritesGRPCTimeout reports whether GlobalTimeout comes from grpc-timeout, which is then
// set to what is expected of an attempt.
func (f *Forward) WritesGRPCTimeout() bool { return f.MaxStreamDuration == nil && f.maxGRPC != nil }

// StreamDuration returns the longest that a stream may last from its first byte on, when
// that is limited: what grpc-timeout asks within grpc_timeout_header_max (0 when the
// offset leaves nothing of it), else the route's duration, else the connection manager's,
// where 0 is no limit.
func (f *Forward) StreamDuration(h *sdk.Headers, manager time.Duration) (limit time.Duration, ok bool) {
	d := f.MaxStreamDuration
	if d == nil {
		return manager, manager > 0
	}
	if d.GRPCHeaderMax != nil {
		if t, ok := grpc.Timeout(h); ok {
			if top := *d.GRPCHeaderMax; top > 0 {
				t = min(t, top)
			}
			return max(t-d.GRPCHeaderOffset, 0), true
		}
	}
	if d.Duration != nil {
		manager = *d.Duration
	}
	return manager, manager > 0
}

// millis returns a duration as Envoy sees it: in whole milliseconds.
func millis(d *durationpb.Duration) time.Duration {
	return d.AsDuration().Truncate(time.Millisecond)
}

func optional(d *durationpb.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	v := millis(d)
	return &v
}
