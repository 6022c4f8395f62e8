package cluster

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/stats"
)

// Options are what a Manager needs from its process.
type Options struct {
	Group *eventloop.Group
	// Stats are the loops' numbers, by the index of the loop.
	Stats []*stats.Local
	// Shared takes the numbers of the resolver and the gauges of limits; nil: nobody
	// wants them.
	Shared *stats.Shared
	// Resolver resolves the names of STRICT_DNS clusters; nil is the system's.
	Resolver Resolver
	// Seed makes the choices of balancers and the resolver's jitter repeatable; 0 is
	// random.
	Seed uint64
}

// Manager owns all clusters: it keeps their hosts up to date and tells the loops.
// Its methods may be called on any goroutine but a loop's. It has one goroutine of
// its own while there are names to resolve.
type Manager struct {
	shared *stats.Shared
	locals []*mail

	mu       sync.Mutex
	slots    map[string]Slot
	clusters map[string]*managed
	dns      *resolver
	warming  int
	warm     chan struct{} // closed while nothing is warming
	closed   bool
}

// managed is a cluster with what the Manager knows of its hosts.
type managed struct {
	*cluster
	name    string
	slot    Slot
	hosts   *HostSet
	answers map[*endpoint][]netip.Addr // of endpoints that are names
	cold    int                        // names without a first answer
	free    []uint32                   // slots of hosts that are gone
	next    uint32
	opened  [numPriorities][numBreakerGauges]bool // breaker gauges that are 1
}

// NewManager returns a Manager without clusters.
func NewManager(o Options) *Manager {
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	m := &Manager{
		shared:   o.Shared,
		slots:    map[string]Slot{},
		clusters: map[string]*managed{},
		warm:     make(chan struct{}),
	}
	close(m.warm)
	for i := range o.Group.Len() {
		m.locals = append(m.locals, &mail{local: newLocal(o.Group.Loop(i), o.Stats[i], o.Seed)})
	}
	var peers []*Local
	for _, ml := range m.locals {
		peers = append(peers, ml.local)
	}
	for _, l := range peers {
		l.peers = peers
	}
	m.dns = newResolver(m, o.Resolver, o.Seed)
	return m
}

// Local returns a loop's view of the clusters, which is used on that loop only.
func (m *Manager) Local(loop int) *Local { return m.locals[loop].local }

// Slot returns the number of a cluster's name, whether or not there is such a
// cluster. A number is never given to another name, so each name that is ever asked
// for stays in memory.
func (m *Manager) Slot(name string) Slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.slotOf(name)
}

func (m *Manager) slotOf(name string) Slot {
	s, ok := m.slots[name]
	if !ok {
		s = Slot(len(m.slots))
		m.slots[name] = s
	}
	return s
}

// Has reports whether there is a cluster with that name.
func (m *Manager) Has(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clusters[name] != nil
}

// Update adds clusters, replaces those that exist under the same name, and removes
// others. All loops see it as a whole. A Config that is in use already changes
// nothing. Requests that are under way keep the cluster that they have; the
// connections of one that is replaced are drained.
func (m *Manager) Update(set []*Config, remove []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var batch []update
	for _, name := range remove {
		if mc := m.clusters[name]; mc != nil {
			m.retire(mc)
			delete(m.clusters, name)
			batch = append(batch, update{slot: mc.slot, name: name})
		}
	}
	for _, cfg := range set {
		if old := m.clusters[cfg.name]; old != nil {
			if old.cfg == cfg {
				continue
			}
			m.retire(old)
		}
		batch = append(batch, m.add(cfg))
	}
	return m.post(batch)
}

func (m *Manager) add(cfg *Config) update {
	mc := &managed{cluster: cfg.newCluster(), name: cfg.name, slot: m.slotOf(cfg.name)}
	m.clusters[cfg.name] = mc
	var names []*endpoint
	for _, e := range cfg.endpoints {
		if e.name != "" {
			names = append(names, e)
		}
	}
	if len(names) > 0 {
		mc.answers = map[*endpoint][]netip.Addr{}
		mc.cold = len(names)
		if cfg.dns.warm {
			m.heat(1)
		}
		m.dns.watch(mc, names)
	}
	m.rebuild(mc)
	return mc.update()
}

func (mc *managed) update() update {
	return update{slot: mc.slot, name: mc.name, cluster: mc.cluster, hosts: mc.hosts}
}

// retire ends what is done for a cluster that is replaced or removed.
func (m *Manager) retire(mc *managed) {
	m.dns.forget(mc)
	if mc.cold > 0 && mc.cfg.dns.warm {
		m.heat(-1)
	}
	for _, g := range []int{gMembershipTotal, gMembershipHealthy, gMembershipDegraded} {
		m.gauge(mc, g, 0)
	}
	for prio, open := range mc.opened {
		for i, is := range open {
			if is {
				m.gauge(mc, gBreakers+prio*numBreakerGauges+i, 0)
			}
		}
	}
}

// heat counts clusters that have no first answer.
func (m *Manager) heat(n int) {
	if m.warming == 0 && n > 0 {
		m.warm = make(chan struct{})
	}
	m.warming += n
	if m.warming == 0 {
		close(m.warm)
	}
}

// Initialized returns a channel that is closed when all clusters given so far have
// their first hosts, or the news that their names have none or cannot be resolved.
// Clusters with wait_for_warm_on_init off are not waited for.
func (m *Manager) Initialized() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.warm
}

// rebuild makes a new host set of the endpoints and answers. Hosts that stay keep
// their identity, and with it connections and counters.
func (m *Manager) rebuild(mc *managed) {
	old := map[hostKey]*Host{}
	if mc.hosts != nil {
		for _, h := range mc.hosts.hosts {
			old[keyOf(h.endpoint, h.addr)] = h
		}
	}
	var hosts []*Host
	changed := false
	seen := map[hostKey]bool{}
	take := func(e *endpoint, addr eventloop.Addr) {
		k := keyOf(e, addr)
		if seen[k] && mc.cfg.dns != nil { // two names may have one address
			return
		}
		seen[k] = true
		h := old[k]
		delete(old, k)
		if h == nil {
			h = newHost(e, addr)
			h.slot = mc.takeSlot()
			m.count(mc, TransportMatch)
			changed = true
		}
		hosts = append(hosts, h)
	}
	for _, e := range mc.cfg.endpoints {
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
	if changed || len(old) > 0 {
		m.count(mc, MembershipChange)
	}
}

// hostKey is what makes a host the same host.
type hostKey struct {
	addr     eventloop.Addr
	priority uint32
}

func keyOf(e *endpoint, addr eventloop.Addr) hostKey { return hostKey{addr, e.priority} }

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
	mc.hosts = newHostSet(hosts, &mc.cfg.lb)
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

// resolved takes the outcome of resolving a name.
func (m *Manager) resolved(mc *managed, e *endpoint, addrs []netip.Addr, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.clusters[mc.name] != mc {
		return
	}
	before, known := mc.answers[e]
	switch {
	case err != nil:
		m.count(mc, UpdateFailure)
	case known && slices.Equal(before, addrs):
		m.count(mc, UpdateSuccess)
		m.count(mc, UpdateNoRebuild)
	default:
		m.count(mc, UpdateSuccess)
		if len(addrs) == 0 {
			m.count(mc, UpdateEmpty)
		}
		mc.answers[e] = addrs
		m.rebuild(mc)
		_ = m.post([]update{mc.update()}) // fails only when the loops have ended
	}
}

// current reports whether mc has been neither replaced nor removed.
func (m *Manager) current(mc *managed) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.closed && m.clusters[mc.name] == mc
}

// answered notes that a name has had its first answer, good or bad.
func (m *Manager) answered(mc *managed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mc.cold == 0 || m.clusters[mc.name] != mc {
		return
	}
	if mc.cold--; mc.cold == 0 && mc.cfg.dns.warm {
		m.heat(-1)
	}
}

// Close ends the resolver and waits for it. The clusters stay as they are.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.dns.close()
}

func (m *Manager) count(mc *managed, s Stat) {
	if m.shared != nil {
		m.shared.Inc(mc.cfg.block.Counter(int(s)))
	}
}

func (m *Manager) gauge(mc *managed, i int, v uint64) {
	if m.shared != nil {
		m.shared.SetGauge(mc.cfg.block.Gauge(i), v)
	}
}

// post tells all loops of a batch of changes.
func (m *Manager) post(batch []update) error {
	if len(batch) == 0 {
		return nil
	}
	for _, ml := range m.locals {
		if err := ml.send(batch); err != nil {
			return err
		}
	}
	return nil
}
