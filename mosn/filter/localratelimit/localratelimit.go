// Package localratelimit is envoy.filters.http.local_ratelimit: it lets through as many
// requests as its token buckets have tokens, and answers the others with 429.
//
// A limiter is shared by all loops, because Envoy's limits are those of the process, or
// belongs to one client's connection. Its buckets are atomics (shared.TokenBucket); only
// descriptors with wildcards, whose buckets come and go, take a lock, for the time of a
// look into a map.
//
// RPC: a call is a request like any other, told apart by the headers that its codec
// shows (:authority is the service, :path the method). One that is refused is answered
// by an error of its own protocol that says local_rate_limited; there is no place in it
// for headers. A one-way call that is refused is dropped, and takes its token too.
package localratelimit

import (
	"strconv"

	"google.golang.org/protobuf/proto"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	localv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"

	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/match/descriptor"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// connKey is Envoy's name of a connection's limiter. There is one for all filters and
// routes: the first that needs it makes it, and its buckets hold for the others.
const connKey = "per_connection_local_rate_limiter"

// details is Envoy's %RESPONSE_CODE_DETAILS% of a refused request, and its body.
const details = "local_rate_limited"

// Filter returns the extension.
func Filter() *sdk.HTTPFilter {
	const own = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
	const common = "envoy.extensions.common.ratelimit.v3."
	return &sdk.HTTPFilter{
		Name:   "envoy.filters.http.local_ratelimit",
		Config: &localv3.LocalRateLimit{},
		Route:  &localv3.LocalRateLimit{},
		Fields: fields.Join(
			fields.Message(own,
				fields.Supported("stat_prefix", "status", "token_bucket", "filter_enabled", "filter_enforced",
					"request_headers_to_add_when_not_enforced", "response_headers_to_add", "descriptors", "stage",
					"local_rate_limit_per_downstream_connection", "enable_x_ratelimit_headers", "vh_rate_limits",
					"always_consume_default_token_bucket", "rate_limited_as_resource_exhausted", "rate_limits",
					"max_dynamic_descriptors", "enable_retry_after_header"),
				fields.Refused("local_cluster_rate_limit")), // needs local_cluster_name, which is not built yet
			fields.Message(common+"LocalRateLimitDescriptor", fields.Supported("entries", "token_bucket", "shadow_mode")),
			fields.Message(common+"RateLimitDescriptor.Entry", fields.Supported("key", "value")),
			fields.Message("envoy.type.v3.TokenBucket", fields.Supported("max_tokens", "tokens_per_fill", "fill_interval")),
			fields.Message("envoy.type.v3.HttpStatus", fields.Supported("code")),
		),
		Compile: func(c sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
			return compile(c, m.(*localv3.LocalRateLimit))
		},
		CompileRoute: func(c sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			pb := m.(*localv3.LocalRateLimit)
			if pb.GetTokenBucket() == nil {
				return nil, c.At("token_bucket").Errorf("must be set for a route")
			}
			return compile(c, pb)
		},
	}
}

// config is the filter as it is configured for a chain or for a route.
type config struct {
	sdk.PassThrough
	runtime            *runtime.Values
	enabled, enforced  runtime.Fraction // unset: never
	status             int
	grpcStatus         int // 0: as the HTTP status says
	request, response  edit.Options
	headers, after     bool // x-ratelimit-*, retry-after
	limiter            *limiter
	perConn            *spec // of the limiters of connections, instead of limiter
	own                descriptor.Policies
	stage              uint32
	virtualHost        ratelimitv3.VhRateLimitsOptions
	descriptors        bool
	scratch            scratchPool
	onEnabled, onOK    sdk.Counter
	onLimited, onForce sdk.Counter
	onShadow           sdk.Counter
}

func compile(c sdk.Compiler, pb *localv3.LocalRateLimit) (*config, error) {
	stats := rootStats(c).Scope(pb.GetStatPrefix()).Scope("http_local_rate_limit")
	f := &config{
		runtime: runtime.Of(c), status: 429, stage: pb.GetStage(), virtualHost: pb.GetVhRateLimits(),
		headers:     pb.GetEnableXRatelimitHeaders() == ratelimitv3.XRateLimitHeadersRFCVersion_DRAFT_VERSION_03,
		after:       pb.GetEnableRetryAfterHeader(),
		descriptors: len(pb.GetDescriptors()) > 0,
		onEnabled:   stats.Counter("enabled"), onForce: stats.Counter("enforced"), onLimited: stats.Counter("rate_limited"),
		onOK: stats.Counter("ok"), onShadow: stats.Counter("shadow_mode"),
	}
	if code := int(pb.GetStatus().GetCode()); code >= 400 {
		f.status = code
	}
	if pb.GetRateLimitedAsResourceExhausted() {
		f.grpcStatus = grpc.ResourceExhausted
	}
	if p := pb.GetFilterEnabled(); p != nil {
		f.enabled = runtime.CompileFraction(p)
	}
	if p := pb.GetFilterEnforced(); p != nil {
		f.enforced = runtime.CompileFraction(p)
	}
	var err error
	if f.request, err = edit.CompileOptions(c, "request_headers_to_add_when_not_enforced", pb.GetRequestHeadersToAddWhenNotEnforced()); err != nil {
		return nil, err
	}
	if f.response, err = edit.CompileOptions(c, "response_headers_to_add", pb.GetResponseHeadersToAdd()); err != nil {
		return nil, err
	}
	if f.own, err = descriptor.CompileOwn(c, pb.GetRateLimits()); err != nil {
		return nil, err
	}
	s, err := compileLimiter(c, pb)
	if err != nil {
		return nil, err
	}
	if pb.GetLocalRateLimitPerDownstreamConnection() {
		f.perConn = s
	} else {
		f.limiter = s.limiter()
	}
	return f, nil
}

// rootStats returns the scope of all stats: Envoy's filter does not count below its
// connection manager.
func rootStats(c sdk.Compiler) sdk.Scope {
	if h, ok := c.(interface{ Root() sdk.Compiler }); ok {
		c = h.Root()
	}
	return c.Stats()
}

// New implements sdk.HTTPConfig.
func (f *config) New(sdk.Stream) sdk.Filter { return f }

// Close implements sdk.HTTPConfig.
func (f *config) Close() {}

// call is what is kept of a request until its response.
type call struct {
	bucket *bucket // that the response tells of, nil for none
}

// OnRequestHeaders implements sdk.Filter.
func (f *config) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action {
	if r, ok := s.RouteConfig().(*config); ok {
		f = r
	}
	if !f.enabled.Enabled(f.runtime, s.Random()) {
		return sdk.Continue
	}
	s.Inc(f.onEnabled)
	v := f.judge(s)
	if v.headers == descriptor.HeadersOn || v.headers == descriptor.HeadersInherited && f.headers {
		sdk.State[call](s).bucket = v.bucket
	}
	if v.allowed {
		s.Inc(f.onOK)
		return sdk.Continue
	}
	s.Inc(f.onLimited)
	switch {
	case v.bucket != nil && v.bucket.shadow:
		s.Inc(f.onShadow)
		return sdk.Continue
	case !f.enforced.Enabled(f.runtime, s.Random()):
		f.request.Apply(s.Request(), &format.Context{Info: s.Info(), Request: s.Request()})
		return sdk.Continue
	}
	s.Inc(f.onForce)
	f.refuse(s, v.bucket)
	return sdk.Replied
}

// judge asks the limiter.
func (f *config) judge(s sdk.Stream) verdict {
	l := f.limiter
	if f.perConn != nil {
		place := s.ConnState(connKey)
		if *place == nil {
			*place = f.perConn.limiter()
		}
		l = (*place).(*limiter)
	}
	if !f.descriptors {
		return l.judge(s.Now(), nil)
	}
	scratch := f.scratch.get()
	defer f.scratch.put(scratch)
	scratch.Reset()
	f.describe(&scratch.List, s)
	return l.judge(s.Now(), scratch)
}

// describe makes the descriptors of a request: by the filter's own rate_limits, else by
// those of its route and virtual host.
func (f *config) describe(l *descriptor.List, s sdk.Stream) {
	if len(f.own) > 0 {
		f.own.Append(l, s, 0)
		return
	}
	r, ok := s.RouteValue("rate_limits").(*descriptor.Levels)
	if !ok {
		return
	}
	r.Route.Append(l, s, f.stage)
	if r.Include || f.virtualHost == ratelimitv3.VhRateLimitsOptions_INCLUDE ||
		f.virtualHost == ratelimitv3.VhRateLimitsOptions_OVERRIDE && len(r.Route) == 0 {
		r.VirtualHost.Append(l, s, f.stage)
	}
}

// refuse answers the request.
func (f *config) refuse(s sdk.Stream, b *bucket) {
	r := sdk.Reply{Status: f.status, Body: details, Details: details, Flag: sdk.FlagRateLimited, GRPCStatus: f.grpcStatus}
	if after := f.after && f.status == 429 && b != nil; after || len(f.response) > 0 {
		r.Edit = func(h *sdk.Headers) {
			f.response.Apply(h, &format.Context{Info: s.Info(), Request: s.Request(), Response: h})
			if after && !h.Has("retry-after") {
				addInt(h, "retry-after", max(b.reset(s.Now()), 1))
			}
		}
	}
	s.Reply(r)
}

// OnResponseHeaders implements sdk.Filter.
func (f *config) OnResponseHeaders(s sdk.Stream, _ bool) sdk.Action {
	c := sdk.State[call](s)
	if c.bucket != nil {
		addInt(s.Response(), "x-ratelimit-limit", int64(c.bucket.Max()))
		addInt(s.Response(), "x-ratelimit-remaining", int64(c.bucket.Held(s.Now())))
		addInt(s.Response(), "x-ratelimit-reset", c.bucket.reset(s.Now()))
	}
	return sdk.Continue
}

func addInt(h *sdk.Headers, name string, n int64) {
	var room [20]byte
	h.Add(name, string(strconv.AppendInt(room[:0], n, 10)))
}
