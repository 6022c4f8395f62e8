package cluster

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"

	"sofamesh.io/sofamesh/mosn/shared"
)

// UpdateGauges brings the gauges of the circuit breakers up to date. They are
// derived from what the loops share, so it is enough to do that before somebody
// reads them.
func (m *Manager) UpdateGauges() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shared == nil {
		return
	}
	for _, mc := range m.clusters {
		for prio := range mc.breakers {
			b := &mc.breakers[prio]
			open := [numBreakerGauges]bool{b.Connections.Open(), false, b.Pending.Open(), b.Requests.Open(),
				b.Retries.Used() >= b.MaxRetries()}
			for i, is := range open {
				if is != mc.opened[prio][i] { // what never opened takes no memory
					m.gauge(mc, gBreakers+prio*numBreakerGauges+i, uint64(btoi(is)))
				}
			}
			mc.opened[prio] = open
			m.updateRemaining(mc, prio, b)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// updateRemaining sets what track_remaining asks for.
func (m *Manager) updateRemaining(mc *managed, prio int, b *shared.Breakers) {
	block := mc.cfg.remaining[prio]
	if block == nil {
		return
	}
	retries := uint64(max(b.MaxRetries()-b.Retries.Used(), 0))
	for i, v := range []uint64{
		uint64(b.Connections.Remaining()), 1<<64 - 1, uint64(b.Pending.Remaining()), uint64(b.Requests.Remaining()), retries,
	} {
		m.shared.SetGauge(block.Gauge(i), v)
	}
}

// WriteClusters writes the clusters and their hosts in the text of Envoy's admin
// endpoint /clusters.
func (m *Manager) WriteClusters(w io.Writer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := bufio.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(m.clusters)) {
		mc := m.clusters[name]
		fmt.Fprintf(out, "%s::observability_name::%s\n", name, mc.cfg.statName)
		for prio, label := range []string{"default_priority", "high_priority"} {
			t := &mc.cfg.thresholds[prio]
			fmt.Fprintf(out, "%s::%s::max_connections::%d\n", name, label, t.connections)
			fmt.Fprintf(out, "%s::%s::max_pending_requests::%d\n", name, label, t.pending)
			fmt.Fprintf(out, "%s::%s::max_requests::%d\n", name, label, t.requests)
			fmt.Fprintf(out, "%s::%s::max_retries::%d\n", name, label, mc.breakers[prio].MaxRetries())
		}
		fmt.Fprintf(out, "%s::added_via_api::false\n", name)
		for _, h := range mc.hosts.hosts {
			writeHost(out, name, h)
		}
	}
	return out.Flush()
}

// Addresses returns the addresses of the hosts of a cluster that may be chosen.
func (m *Manager) Addresses(name string) []netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	mc := m.clusters[name]
	if mc == nil {
		return nil
	}
	var out []netip.AddrPort
	for _, h := range mc.hosts.hosts {
		if !h.addr.IsUnix() && h.Health() != Unhealthy {
			out = append(out, h.addr.AddrPort)
		}
	}
	return out
}

func writeHost(w io.Writer, cluster string, h *Host) {
	for _, line := range []struct {
		name  string
		value any
	}{
		{"cx_active", h.ActiveConnections.Load()},
		{"cx_connect_fail", h.ConnectionFailures.Load()},
		{"cx_total", h.Connections.Load()},
		{"rq_active", h.ActiveRequests.Load()},
		{"rq_error", h.Errors.Load()},
		{"rq_pending_active", h.Pending.Load()},
		{"rq_success", h.Successes.Load()},
		{"rq_timeout", h.Timeouts.Load()},
		{"rq_total", h.Requests.Load()},
		{"hostname", h.Hostname()},
		{"health_flags", healthFlags(h)},
		{"weight", h.Weight()},
		{"region", h.Locality().GetRegion()},
		{"zone", h.Locality().GetZone()},
		{"sub_zone", h.Locality().GetSubZone()},
		{"canary", h.Canary()},
		{"priority", h.Priority()},
		{"success_rate", -1},
		{"local_origin_success_rate", -1},
	} {
		fmt.Fprintf(w, "%s::%s::%s::%v\n", cluster, h.address, line.name, line.value)
	}
}

func healthFlags(h *Host) string {
	switch h.Health() {
	case Degraded:
		return "/degraded_eds_health"
	case Unhealthy:
		return "/failed_eds_health"
	default:
		return "healthy"
	}
}
