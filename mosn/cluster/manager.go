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
	next     map[string]*managed // that take the place of clusters once their names are resolved
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
	said    *Assignment // what the hosts are made of; nil: EDS has said nothing yet
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
		next:     map[string]*managed{},
		warm:     make(chan struct{}),
	}
	close(m.warm)
	for i := range o.Group.Len() {
		ml := &mail{local: newLocal(o.Group.Loop(i), o.Stats[i], o.Seed)}
		ml.timer.Init(o.Group.Loop(i), ml)
		m.locals = append(m.locals, ml)
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
// others. A Config that is in use already changes nothing. Requests that are under way
// keep the cluster that they have; the connections of one that is replaced are drained.
// A cluster whose names have to be resolved replaces another when they are (or cannot
// be). The loops see the changes in order, but not at once: Sync waits for them.
func (m *Manager) Update(set []*Config, remove []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var batch []update
	for _, name := range remove {
		m.dismiss(name)
		if mc := m.clusters[name]; mc != nil {
			m.retire(mc)
			delete(m.clusters, name)
			batch = append(batch, update{slot: mc.slot, name: name})
		}
	}
	for _, cfg := range set {
		old := m.clusters[cfg.name]
		if old != nil && old.cfg == cfg {
			continue
		}
		m.dismiss(cfg.name)
		mc, names := m.make(cfg)
		if old != nil && len(names) > 0 && cfg.dns.warm {
			m.next[cfg.name] = mc
		} else {
			batch = append(batch, m.enthrone(mc))
		}
		if len(names) > 0 {
			m.dns.watch(mc, names)
		}
	}
	return m.post(batch)
}

// make prepares a cluster and returns the names that it needs resolved.
func (m *Manager) make(cfg *Config) (mc *managed, names []*endpoint) {
	mc = &managed{cluster: cfg.newCluster(), name: cfg.name, slot: m.slotOf(cfg.name), said: cfg.hosts}
	for _, e := range mc.endpoints() {
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
	}
	return mc, names
}

// enthrone puts a cluster into the place of its name.
func (m *Manager) enthrone(mc *managed) update {
	if old := m.clusters[mc.name]; old != nil {
		m.retire(old)
	}
	m.clusters[mc.name] = mc
	m.rebuild(mc)
	return mc.update()
}

// dismiss ends the wait of a cluster for its names.
func (m *Manager) dismiss(name string) {
	if mc := m.next[name]; mc != nil {
		m.cool(mc)
		delete(m.next, name)
	}
}

// Sync waits until all loops have what was posted before. It must not be called on a
// loop.
func (m *Manager) Sync() error {
	read := make(chan struct{}, len(m.locals))
	for _, ml := range m.locals {
		m.mu.Lock()
		err := ml.send(nil, func() { read <- struct{}{} })
		m.mu.Unlock()
		if err != nil {
			return err
		}
	}
	for _, ml := range m.locals { // as many answers; the loops end together
		select {
		case <-read:
		case <-ml.local.loop.Done():
			return eventloop.ErrStopped
		}
	}
	return nil
}

func (mc *managed) update() update {
	return update{slot: mc.slot, name: mc.name, cluster: mc.cluster, hosts: mc.hosts}
}

// retire ends what is done for a cluster that is replaced or removed.
func (m *Manager) retire(mc *managed) {
	m.cool(mc)
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

// cool ends the resolving of a cluster's names.
func (m *Manager) cool(mc *managed) {
	m.dns.forget(mc)
	if mc.cold > 0 && mc.cfg.dns.warm {
		m.heat(-1)
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

// resolved takes the outcome of resolving a name.
func (m *Manager) resolved(mc *managed, e *endpoint, addrs []netip.Addr, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || !m.knows(mc) {
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
		if m.clusters[mc.name] == mc {
			m.rebuild(mc)
			_ = m.post([]update{mc.update()}) // fails only when the loops have ended
		}
	}
}

// current reports whether mc has been neither replaced nor removed.
func (m *Manager) current(mc *managed) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.closed && m.knows(mc)
}

// knows reports whether mc is a cluster in force, or about to be.
func (m *Manager) knows(mc *managed) bool {
	return m.clusters[mc.name] == mc || m.next[mc.name] == mc
}

// answered notes that a name has had its first answer, good or bad.
func (m *Manager) answered(mc *managed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mc.cold == 0 || !m.knows(mc) {
		return
	}
	if mc.cold--; mc.cold > 0 {
		return
	}
	if mc.cfg.dns.warm {
		m.heat(-1)
	}
	if m.next[mc.name] == mc {
		delete(m.next, mc.name)
		_ = m.post([]update{m.enthrone(mc)}) // fails only when the loops have ended
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
		if err := ml.send(batch, nil); err != nil {
			return err
		}
	}
	return nil
}
