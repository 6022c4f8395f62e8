package cluster

import (
	"maps"
	"slices"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Status returns the clusters and their hosts as Envoy's admin endpoint
// /clusters?format=json does.
func (m *Manager) Status() *adminv3.Clusters {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := &adminv3.Clusters{}
	for _, name := range slices.Sorted(maps.Keys(m.clusters)) {
		mc := m.clusters[name]
		s := &adminv3.ClusterStatus{
			Name: name, ObservabilityName: mc.cfg.statName, CircuitBreakers: &clusterv3.CircuitBreakers{},
		}
		for prio, routing := range []corev3.RoutingPriority{corev3.RoutingPriority_DEFAULT, corev3.RoutingPriority_HIGH} {
			t := &mc.cfg.thresholds[prio]
			s.CircuitBreakers.Thresholds = append(s.CircuitBreakers.Thresholds, &clusterv3.CircuitBreakers_Thresholds{
				Priority:       routing,
				MaxConnections: wrapperspb.UInt32(uint32(t.connections)), MaxPendingRequests: wrapperspb.UInt32(uint32(t.pending)),
				MaxRequests: wrapperspb.UInt32(uint32(t.requests)), MaxRetries: wrapperspb.UInt32(uint32(mc.breakers[prio].MaxRetries())),
			})
		}
		for _, h := range mc.hosts.hosts {
			s.HostStatuses = append(s.HostStatuses, hostStatus(h))
		}
		all.ClusterStatuses = append(all.ClusterStatuses, s)
	}
	return all
}

func hostStatus(h *Host) *adminv3.HostStatus {
	health := &adminv3.HostHealthStatus{EdsHealthStatus: corev3.HealthStatus_HEALTHY}
	switch h.Health() {
	case Degraded:
		health.EdsHealthStatus = corev3.HealthStatus_DEGRADED
	case Unhealthy:
		health.EdsHealthStatus = corev3.HealthStatus_UNHEALTHY
	}
	s := &adminv3.HostStatus{
		Address: hostAddress(h), HealthStatus: health, Weight: h.Weight(), Hostname: h.Hostname(),
		Priority: h.Priority(), Locality: h.Locality(),
	}
	for _, n := range []struct {
		name  string
		value uint64
		kind  adminv3.SimpleMetric_Type
	}{
		{"cx_connect_fail", uint64(h.ConnectionFailures.Load()), adminv3.SimpleMetric_COUNTER},
		{"cx_total", uint64(h.Connections.Load()), adminv3.SimpleMetric_COUNTER},
		{"rq_error", uint64(h.Errors.Load()), adminv3.SimpleMetric_COUNTER},
		{"rq_success", uint64(h.Successes.Load()), adminv3.SimpleMetric_COUNTER},
		{"rq_timeout", uint64(h.Timeouts.Load()), adminv3.SimpleMetric_COUNTER},
		{"rq_total", uint64(h.Requests.Load()), adminv3.SimpleMetric_COUNTER},
		{"cx_active", uint64(h.ActiveConnections.Load()), adminv3.SimpleMetric_GAUGE},
		{"rq_active", uint64(h.ActiveRequests.Load()), adminv3.SimpleMetric_GAUGE},
		{"rq_pending_active", uint64(h.Pending.Load()), adminv3.SimpleMetric_GAUGE},
	} {
		s.Stats = append(s.Stats, &adminv3.SimpleMetric{Name: n.name, Value: n.value, Type: n.kind})
	}
	return s
}

func hostAddress(h *Host) *corev3.Address {
	if h.addr.IsUnix() {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: h.addr.Path}}}
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: h.addr.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(h.addr.Port())},
	}}}
}
