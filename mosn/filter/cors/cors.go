// Package cors is envoy.filters.http.cors: it answers the preflight requests of browsers,
// and lets pages of other origins read responses (Fetch standard, "CORS protocol").
//
// The policy is the route's: its configuration for the filter, else the field cors of the
// route and its virtual host. Routes that do not forward have none. A compiled filter is
// shared by all loops; what it keeps of a stream belongs to that stream's loop. Browsers
// speak no RPC: such a request has no origin, and passes.
package cors

import (
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// Filter returns the extension.
func Filter() *sdk.HTTPFilter {
	const pkg = "envoy.extensions.filters.http.cors.v3."
	return &sdk.HTTPFilter{
		Name:   "envoy.filters.http.cors",
		Config: &corsv3.Cors{},
		Route:  &corsv3.CorsPolicy{},
		Fields: fields.Join(
			fields.Message(pkg+"Cors"),
			fields.Message(pkg+"CorsPolicy",
				fields.Supported("allow_origin_string_match", "allow_methods", "allow_headers", "expose_headers", "max_age",
					"allow_credentials", "filter_enabled", "shadow_enabled", "allow_private_network_access",
					"forward_not_matching_preflights")),
		),
		Compile: func(c sdk.Compiler, _ proto.Message) (sdk.HTTPConfig, error) {
			stats := c.Stats().Scope("cors")
			return &filter{valid: stats.Counter("origin_valid"), invalid: stats.Counter("origin_invalid")}, nil
		},
		CompileRoute: func(c sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			return compile(c, m.(*corsv3.CorsPolicy))
		},
		Merge: func(outer, inner sdk.RouteConfig) sdk.RouteConfig {
			p := *inner.(*policies)
			p.inherit(outer.(*policies))
			return &p
		},
	}
}

// filter is the compiled filter, and the one that all its streams share.
type filter struct {
	sdk.PassThrough
	valid, invalid sdk.Counter
}

// New implements sdk.HTTPConfig.
func (f *filter) New(sdk.Stream) sdk.Filter { return f }

// Close implements sdk.HTTPConfig.
func (f *filter) Close() {}

// request is what is kept of a stream.
type request struct {
	origin string // that may read the response, "" for none
	policy *policies
}

// policyOf returns the policy of the route, nil when there is none.
func policyOf(s sdk.Stream) *policies {
	if s.RouteValue("route") == nil {
		return nil // a redirect or a response of the route's own
	}
	p, ok := s.RouteConfig().(*policies)
	if !ok {
		p, _ = s.RouteValue("cors").(*policies)
	}
	return p
}

// OnRequestHeaders implements sdk.Filter.
func (f *filter) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action {
	h := s.Request()
	origin := h.ID(sdk.HeaderOrigin)
	if origin == "" {
		return sdk.Continue
	}
	p := policyOf(s)
	if p == nil {
		return sdk.Continue
	}
	enabled := p.enabled.Enabled(p.runtime, s.Random())
	if !enabled && !p.shadow.Enabled(p.runtime, s.Random()) {
		return sdk.Continue
	}
	allowed := p.allows(origin)
	if allowed {
		s.Inc(f.valid)
	} else {
		s.Inc(f.invalid)
	}
	if !enabled {
		return sdk.Continue
	}
	r := sdk.State[request](s)
	if r.policy = p; allowed {
		r.origin = origin
	}
	if h.Method() != "OPTIONS" || h.Value(requestMethod) == "" || !allowed && p.forwards() {
		return sdk.Continue
	}
	s.Reply(sdk.Reply{Status: 200, Details: "cors_response", Edit: func(answer *sdk.Headers) { r.preflight(answer, h) }})
	return sdk.Replied
}

// The headers of the protocol.
const (
	requestMethod  = "access-control-request-method"
	requestHeaders = "access-control-request-headers"
	requestPrivate = "access-control-request-private-network"

	allowOrigin      = "access-control-allow-origin"
	allowMethods     = "access-control-allow-methods"
	allowHeaders     = "access-control-allow-headers"
	allowCredentials = "access-control-allow-credentials"
	allowPrivate     = "access-control-allow-private-network"
	exposeHeaders    = "access-control-expose-headers"
	maxAge           = "access-control-max-age"
)

// preflight fills in the answer to a preflight request. What every response gets comes
// on its way through the filter.
func (r *request) preflight(answer, h *sdk.Headers) {
	p := r.policy
	if p.credentials == yes {
		answer.Set(allowCredentials, "true")
	}
	mirror := func(name, value, asked string) {
		if value == "*" {
			value = h.Value(asked)
		} else if value == "" {
			return
		}
		answer.Set(name, value)
	}
	mirror(allowMethods, p.methods, requestMethod)
	mirror(allowHeaders, p.headers, requestHeaders)
	if p.maxAge != "" {
		answer.Set(maxAge, p.maxAge)
	}
	if p.private == yes && h.Value(requestPrivate) == "true" {
		answer.Set(allowPrivate, "true")
	}
}

// OnResponseHeaders implements sdk.Filter.
func (f *filter) OnResponseHeaders(s sdk.Stream, _ bool) sdk.Action {
	r := sdk.State[request](s)
	if r.origin == "" {
		return sdk.Continue
	}
	h := s.Response()
	h.Set(allowOrigin, r.origin)
	if r.policy.credentials == yes {
		h.Set(allowCredentials, "true")
	}
	if r.policy.expose != "" {
		h.Set(exposeHeaders, r.policy.expose)
	}
	return sdk.Continue
}
