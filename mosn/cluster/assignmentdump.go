package cluster

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/mosn/eventloop"
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
	if mc.said != nil {
		out.Policy.OverprovisioningFactor.Value = mc.said.overprovisioning
	}
	for _, h := range mc.hosts.hosts {
		place := placeOf(out, h)
		ep := &endpointv3.Endpoint{
			Address: addressProto(h.addr), HealthCheckConfig: &endpointv3.Endpoint_HealthCheckConfig{}, Hostname: h.Hostname(),
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

// metadataProto turns metadata back into Envoy's message, nil when there is none.
func metadataProto(m *sdk.Metadata) *corev3.Metadata {
	all := m.All()
	if all.Len() == 0 {
		return nil
	}
	pb := &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
	for i := range all.Len() {
		if space, err := structpb.NewValue(all.At(i).Any()); err == nil { // it was made of a Struct
			pb.FilterMetadata[all.NameAt(i)] = space.GetStructValue()
		}
	}
	return pb
}

func addressProto(a eventloop.Addr) *corev3.Address {
	if a.IsUnix() {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: a.Path}}}
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: a.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
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
