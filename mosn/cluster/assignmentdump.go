package cluster

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk"
)

// Assignment returns the hosts of a cluster as admin's /config_dump?include_eds shows
// them, nil when there is no such cluster.
func (m *Manager) Assignment(name string) *endpointv3.ClusterLoadAssignment {
	m.mu.Lock()
	defer m.mu.Unlock()
	mc := m.clusters[name]
	if mc == nil {
		return nil
	}
	out := &endpointv3.ClusterLoadAssignment{ClusterName: name, Policy: &endpointv3.ClusterLoadAssignment_Policy{
		OverprovisioningFactor: wrapperspb.UInt32(defaultOverprovisioning),
	}}
	if mc.cfg.eds {
		out.ClusterName = mc.cfg.edsName
	}
	if mc.said != nil {
		out.Policy.OverprovisioningFactor.Value = mc.said.overprovisioning
	}
	for _, h := range mc.hosts.hosts {
		place := placeOf(out, h)
		ep := &endpointv3.Endpoint{
			Address: hostAddress(h), HealthCheckConfig: &endpointv3.Endpoint_HealthCheckConfig{}, Hostname: h.Hostname(),
		}
		place.LbEndpoints = append(place.LbEndpoints, &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: ep}, HealthStatus: healthStatus(h.Health()),
			Metadata: metadataProto(h.Metadata()), LoadBalancingWeight: wrapperspb.UInt32(h.Weight()),
		})
	}
	return out
}

// placeOf finds or makes the host's priority and locality.
func placeOf(out *endpointv3.ClusterLoadAssignment, h *Host) *endpointv3.LocalityLbEndpoints {
	locality := h.Locality()
	if locality == nil {
		locality = &corev3.Locality{}
	}
	for _, l := range out.Endpoints {
		if l.GetPriority() == h.Priority() && proto.Equal(l.GetLocality(), locality) {
			return l
		}
	}
	l := &endpointv3.LocalityLbEndpoints{
		Locality: locality, Priority: h.Priority(), LoadBalancingWeight: wrapperspb.UInt32(0),
	}
	out.Endpoints = append(out.Endpoints, l)
	return l
}

// metadataProto turns metadata back into Envoy's message; nil when there is none.
func metadataProto(m *sdk.Metadata) *corev3.Metadata {
	all, ok := m.All().Any().(map[string]any)
	if !ok || len(all) == 0 {
		return nil
	}
	out := &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
	for name, fields := range all {
		inner, _ := fields.(map[string]any)
		if s, err := structpb.NewStruct(inner); err == nil { // it came from one
			out.FilterMetadata[name] = s
		}
	}
	return out
}

func healthStatus(h Health) corev3.HealthStatus {
	switch h {
	case Degraded:
		return corev3.HealthStatus_DEGRADED
	case Unhealthy:
		return corev3.HealthStatus_UNHEALTHY
	default:
		return corev3.HealthStatus_HEALTHY
	}
}
