package cluster

import (
	"net/netip"

	"sofamesh.io/sofamesh/mosn/eventloop"
)

// Assign gives a cluster of type EDS new hosts. Those that stay keep their identity:
// connections, counters, health. It changes nothing when there is no such cluster.
func (m *Manager) Assign(name string, a *Assignment) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	mc := m.clusters[name]
	if mc == nil || !mc.cfg.eds || mc.said == a {
		return nil
	}
	mc.said = a
	m.rebuild(mc)
	return m.post([]update{mc.update()})
}

func (mc *managed) endpoints() []*endpoint {
	if mc.said == nil {
		return nil
	}
	return mc.said.endpoints
}

// rebuild makes a new host set of the endpoints and answers. Hosts that stay keep
// their identity, and with it connections and counters.
func (m *Manager) rebuild(mc *managed) {
	old := map[hostKey]*Host{}
	if mc.hosts != nil {
		for _, h := range mc.hosts.hosts {
			old[mc.keyOf(h.said.Load(), h.addr)] = h
		}
	}
	var hosts []*Host
	seen := map[hostKey]bool{}
	fresh := false
	take := func(e *endpoint, addr eventloop.Addr) {
		k := mc.keyOf(e, addr)
		if seen[k] && (mc.cfg.dns != nil || mc.cfg.eds) { // two names may have one address; EDS counts it once
			return
		}
		seen[k] = true
		h := old[k]
		delete(old, k)
		if h == nil {
			h, fresh = newHost(e, addr), true
			h.slot = mc.takeSlot()
			m.count(mc, TransportMatch)
		} else {
			h.update(e)
		}
		hosts = append(hosts, h)
	}
	for _, e := range mc.endpoints() {
		if e.name == "" {
			take(e, e.addr)
			continue
		}
		for _, ip := range mc.answers[e] {
			take(e, eventloop.TCPAddr(netip.AddrPortFrom(ip, e.port)))
		}
	}
	for _, h := range old {
		mc.free = append(mc.free, h.slot)
	}
	m.setHosts(mc, hosts)
	if fresh || len(old) > 0 {
		m.count(mc, MembershipChange)
	}
}

// hostKey is what makes a host the same host.
type hostKey struct {
	addr     eventloop.Addr
	priority uint32
}

// keyOf: a host that EDS moves to another priority stays the same.
func (mc *managed) keyOf(e *endpoint, addr eventloop.Addr) hostKey {
	if mc.cfg.eds {
		return hostKey{addr: addr}
	}
	return hostKey{addr, e.priority}
}

func (mc *managed) takeSlot() uint32 {
	if n := len(mc.free); n > 0 {
		s := mc.free[n-1]
		mc.free = mc.free[:n-1]
		return s
	}
	mc.next++
	return mc.next - 1
}

func (m *Manager) setHosts(mc *managed, hosts []*Host) {
	lb := mc.cfg.lb
	if mc.said != nil {
		lb.overprovisioning = mc.said.overprovisioning
	}
	mc.hosts = newHostSet(hosts, &lb)
	m.gauge(mc, gMembershipTotal, uint64(len(hosts)))
	m.gauge(mc, gMembershipHealthy, uint64(mc.hosts.healthy))
	m.gauge(mc, gMembershipDegraded, uint64(mc.hosts.degraded))
}

// SetHealth changes whether a host of a cluster may be chosen and tells the loops.
func (m *Manager) SetHealth(name string, h *Host, health Health) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if Health(h.status.Swap(uint32(health))) == health {
		return nil
	}
	mc := m.clusters[name]
	if mc == nil || !mc.hosts.has(h) {
		return nil
	}
	m.setHosts(mc, mc.hosts.hosts)
	return m.post([]update{mc.update()})
}
