package hcm

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/sdk"
)

// levels checks routes against what one protocol, the only one of a listener, can do.
// A rule that could never match, or would change nothing, is refused.
type levels struct{ codec *sdk.Codec }

func checkLevel(c sdk.Compiler, codec *sdk.Codec, pb *routev3.RouteConfiguration) error {
	l := levels{codec}
	if err := l.edits(c, pb); err != nil {
		return err
	}
	for i, vh := range pb.GetVirtualHosts() {
		if err := l.virtualHost(c.At(fmt.Sprintf("virtual_hosts[%d]", i)), vh); err != nil {
			return err
		}
	}
	return nil
}

// needs is the error of a rule that the protocol cannot follow.
func (l levels) needs(c sdk.Compiler, what string) error {
	return c.Errorf("the protocol %s of this listener %s", l.codec.Name, what)
}

func (l levels) virtualHost(c sdk.Compiler, vh *routev3.VirtualHost) error {
	if err := l.edits(c, vh); err != nil {
		return err
	}
	for i, d := range vh.GetDomains() {
		if l.codec.Level == sdk.Light && d != "*" && d != l.codec.Name {
			return l.needs(c.At(fmt.Sprintf("domains[%d]", i)), "shows no service names")
		}
	}
	for i, r := range vh.GetRoutes() {
		if err := l.route(c.At(fmt.Sprintf("routes[%d]", i)), r); err != nil {
			return err
		}
	}
	return nil
}

func (l levels) route(c sdk.Compiler, r *routev3.Route) error {
	if err := l.edits(c, r); err != nil {
		return err
	}
	if err := l.match(c.At("match"), r.GetMatch()); err != nil {
		return err
	}
	a, at := r.GetRoute(), c.At("route")
	for i, wc := range a.GetWeightedClusters().GetClusters() {
		if err := l.edits(at.At(fmt.Sprintf("weighted_clusters.clusters[%d]", i)), wc); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"prefix_rewrite", a.GetPrefixRewrite() != ""},
		{"regex_rewrite", a.GetRegexRewrite() != nil},
		{"host_rewrite_literal", a.GetHostRewriteLiteral() != ""},
		{"host_rewrite_header", a.GetHostRewriteHeader() != ""},
		{"host_rewrite_path_regex", a.GetHostRewritePathRegex() != nil},
		{"auto_host_rewrite", a.GetAutoHostRewrite().GetValue()},
	} {
		if f.set {
			return l.needs(at.At(f.name), "has no host and no path that could be rewritten")
		}
	}
	return nil
}

func (l levels) match(c sdk.Compiler, m *routev3.RouteMatch) error {
	if len(m.GetQueryParameters()) > 0 {
		return l.needs(c.At("query_parameters"), "has none")
	}
	if l.codec.Level != sdk.Light {
		return nil
	}
	if len(m.GetHeaders()) > 0 {
		return l.needs(c.At("headers"), "shows no headers")
	}
	if m.GetPrefix() != "/" && m.GetPath() != "/" {
		return l.needs(c, `shows no methods: only prefix "/" and path "/" match`)
	}
	return nil
}

// edited is a message of a routing table that may edit header fields.
type edited interface {
	GetRequestHeadersToAdd() []*corev3.HeaderValueOption
	GetRequestHeadersToRemove() []string
	GetResponseHeadersToAdd() []*corev3.HeaderValueOption
	GetResponseHeadersToRemove() []string
}

func (l levels) edits(c sdk.Compiler, m edited) error {
	if l.codec.Level >= sdk.Heavy {
		return nil
	}
	for _, f := range []struct {
		name string
		n    int
	}{
		{"request_headers_to_add", len(m.GetRequestHeadersToAdd())},
		{"request_headers_to_remove", len(m.GetRequestHeadersToRemove())},
		{"response_headers_to_add", len(m.GetResponseHeadersToAdd())},
		{"response_headers_to_remove", len(m.GetResponseHeadersToRemove())},
	} {
		if f.n > 0 {
			return l.needs(c.At(f.name), "sends messages on as they come")
		}
	}
	return nil
}
