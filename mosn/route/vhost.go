package route

import (
	"fmt"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/match/descriptor"
	"sofamesh.io/sofamesh/sdk"
)

// VirtualHost is a compiled envoy.config.route.v3.VirtualHost.
type VirtualHost struct {
	Name     string
	Metadata *sdk.Metadata // nil when there is none
	// IncludeAttemptCount and IncludeAttemptCountInResponse ask for
	// x-envoy-attempt-count, IncludeIsTimeoutRetry for x-envoy-is-timeout-retry.
	IncludeAttemptCount           bool
	IncludeAttemptCountInResponse bool
	IncludeIsTimeoutRetry         bool

	requireTLS        routev3.VirtualHost_TlsRequirementType
	tlsRedirect       *Route
	routes            routeList
	table             *Table
	request, response *edits
	filters           filterMap
	cors              sdk.RouteConfig
	rateLimits        descriptor.Policies
	virtual           []virtualCluster
	other             *RequestStats
}

// compiler carries what nested messages inherit from those around them.
type compiler struct {
	validate      bool
	maxDirectBody int
	vh            *VirtualHost
	mirrors       []Mirror
	retry         *RetryPolicy
	bufferLimit   int64
	stats         Options
}

func compileVirtualHost(c sdk.Compiler, t *Table, cc compiler, pb *routev3.VirtualHost) (*VirtualHost, error) {
	vh := &VirtualHost{
		Name:                          pb.GetName(),
		Metadata:                      sdk.NewMetadata(pb.GetMetadata().GetFilterMetadata()),
		IncludeAttemptCount:           pb.GetIncludeRequestAttemptCount(),
		IncludeAttemptCountInResponse: pb.GetIncludeAttemptCountInResponse(),
		IncludeIsTimeoutRetry:         pb.GetIncludeIsTimeoutRetryHeader(),
		requireTLS:                    pb.GetRequireTls(),
		table:                         t,
	}
	cc.vh = vh
	var err error
	if vh.request, vh.response, err = compileLevel(c, pb); err != nil {
		return nil, err
	}
	if vh.filters, err = compileFilters(c, pb.GetTypedPerFilterConfig(), t.filters); err != nil {
		return nil, err
	}
	//lint:ignore SA1019 Envoy still reads it, so we do
	if vh.cors, err = compileCORS(c.At("cors"), pb.GetCors(), nil); err != nil {
		return nil, err
	}
	if vh.rateLimits, err = descriptor.Compile(c, pb.GetRateLimits()); err != nil {
		return nil, err
	}
	if err := cc.virtualClusters(c, pb.GetVirtualClusters()); err != nil {
		return nil, err
	}
	// Envoy's redirect route has no edits of its own, but the virtual host's filters.
	vh.tlsRedirect = &Route{VirtualHost: vh, BufferLimit: -1, filters: vh.filters, Redirect: &Redirect{Code: 301, scheme: "https", tls: true}}
	if err := cc.inherit(c, pb); err != nil {
		return nil, err
	}
	list := make([]*Route, len(pb.GetRoutes()))
	for i, r := range pb.GetRoutes() {
		if list[i], err = cc.route(c.At(fmt.Sprintf("routes[%d]", i)), r); err != nil {
			return nil, err
		}
	}
	vh.routes = newRouteList(list)
	return vh, nil
}

// inherit takes the policies of a virtual host that its routes fall back to.
func (cc *compiler) inherit(c sdk.Compiler, pb *routev3.VirtualHost) error {
	own, err := compileMirrors(c, pb.GetRequestMirrorPolicies(), cc.validate)
	if err != nil {
		return err
	}
	if len(own) > 0 {
		cc.mirrors = own
	}
	if pb.GetRetryPolicy() != nil {
		if cc.retry, err = compileRetry(c.At("retry_policy"), pb.GetRetryPolicy()); err != nil {
			return err
		}
	}
	cc.bufferLimit = bufferLimit(pb, -1)
	return nil
}

// tlsRequired reports whether the request must be redirected to https.
func (vh *VirtualHost) tlsRequired(h *sdk.Headers) bool {
	switch vh.requireTLS {
	case routev3.VirtualHost_NONE:
		return false
	case routev3.VirtualHost_EXTERNAL_ONLY:
		if h.ID(sdk.HeaderEnvoyInternal) == "true" {
			return false
		}
	}
	return h.ID(sdk.HeaderForwardedProto) != "https"
}

// indexFrom is the number of routes from which a list gets an index of its exact
// paths: below it, looking at each is as fast.
const indexFrom = 8

// routeList is the routes of a virtual host; the first that matches wins. Routes
// that only an exact path leads to are found by a map, so that a long list of paths
// (an API gateway's) is not walked.
type routeList struct {
	all   []*Route
	paths map[string][]int32 // positions of routes with exact paths, ascending
	rest  []int32            // positions of the other routes, ascending
}

func newRouteList(all []*Route) routeList {
	l := routeList{all: all}
	if len(all) < indexFrom {
		return l
	}
	l.paths = make(map[string][]int32)
	for i, r := range all {
		if m := &r.match; m.kind == matchPath && !m.fold {
			l.paths[m.text] = append(l.paths[m.text], int32(i))
		} else {
			l.rest = append(l.rest, int32(i))
		}
	}
	return l
}

func (l *routeList) match(h *sdk.Headers, in *MatchInput, ignoreParams bool) *Route {
	t := newTarget(h, ignoreParams)
	if l.paths == nil {
		for _, r := range l.all {
			if r.match.matches(h, in, &t) {
				return r
			}
		}
		return nil
	}
	// Both lists are in the order of the routes: merge them.
	exact, rest := l.paths[t.path], l.rest
	for len(exact)+len(rest) > 0 {
		var i int32
		if len(rest) == 0 || len(exact) > 0 && exact[0] < rest[0] {
			i, exact = exact[0], exact[1:]
		} else {
			i, rest = rest[0], rest[1:]
		}
		if r := l.all[i]; r.match.matches(h, in, &t) {
			return r
		}
	}
	return nil
}
