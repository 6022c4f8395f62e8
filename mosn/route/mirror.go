package route

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

// Mirror is a compiled RouteAction.RequestMirrorPolicy: a copy of some requests
// goes to another cluster, whose answer nobody waits for.
type Mirror struct {
	// Fraction is the share of requests that are copied.
	Fraction runtime.Fraction
	// HostLiteral replaces the host of the copy; "" keeps it.
	HostLiteral string
	// HostSuffix asks for "-shadow" after the host, before its port.
	HostSuffix bool
	// Untraced keeps the span of the copy from being sent.
	Untraced bool

	cluster, header string
}

// Target returns the cluster of the copy, "" when the header that names it is
// missing: then there is no copy.
func (m *Mirror) Target(h *sdk.Headers) string {
	if m.header != "" {
		return h.Value(m.header)
	}
	return m.cluster
}

func compileMirrors(c sdk.Compiler, pbs []*routev3.RouteAction_RequestMirrorPolicy, validate bool) ([]Mirror, error) {
	var list []Mirror
	for i, pb := range pbs {
		c := c.At(element("request_mirror_policies", i))
		if (pb.GetCluster() == "") == (pb.GetClusterHeader() == "") {
			return nil, c.Errorf("exactly one of cluster and cluster_header must be set")
		}
		if name := pb.GetCluster(); name != "" {
			if known := c.Cluster(name); !known && validate {
				return nil, c.At("cluster").Errorf("unknown cluster %q", name)
			}
		}
		list = append(list, Mirror{
			Fraction:    runtime.CompileFraction(pb.GetRuntimeFraction()),
			HostLiteral: pb.GetHostRewriteLiteral(),
			HostSuffix:  !pb.GetDisableShadowHostSuffixAppend() && pb.GetHostRewriteLiteral() == "",
			Untraced:    pb.GetTraceSampled() != nil && !pb.GetTraceSampled().GetValue(),
			cluster:     pb.GetCluster(),
			header:      match.HeaderName(pb.GetClusterHeader()),
		})
	}
	return list, nil
}
