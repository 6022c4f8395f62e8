package cluster

import (
	"sofamesh.io/sofamesh/sdk"
)

// HostSet is the hosts of a cluster at one time, prepared for choosing among them.
// It is immutable and shared by all loops.
type HostSet struct {
	hosts  []*Host
	bySlot []*Host // by Host.slot; some may be nil
	groups []group

	healthy, degraded int
}

// group is hosts of one priority that together get a share of the traffic.
type group struct {
	upTo  uint32 // the shares of the groups up to this one, in percent
	panic bool   // too few are healthy: all hosts of the priority, whatever they are
	hosts []*Host
	table sdk.LBTable
}

// Hosts returns all hosts, healthy or not. The slice must not be changed.
func (s *HostSet) Hosts() []*Host { return s.hosts }

// has reports whether h is in the set.
func (s *HostSet) has(h *Host) bool {
	return int(h.slot) < len(s.bySlot) && s.bySlot[h.slot] == h
}

// lbOptions is what the cluster's configuration says about choosing.
type lbOptions struct {
	policy           sdk.LBPolicy
	panicThreshold   uint32 // percent (common_lb_config.healthy_panic_threshold)
	overprovisioning uint32 // percent (policy.overprovisioning_factor of the assignment)
	hashHostname     bool   // consistent_hashing_lb_config.use_hostname_for_hashing
}

// level is the hosts of one priority.
type level struct {
	all, healthy, degraded []*Host
}

// newHostSet sorts hosts into groups as Envoy does (LoadBalancerBase): each priority
// gets traffic as far as its healthy hosts, times the overprovisioning factor, make
// it up; then degraded hosts; when that is not enough for 100%, what there is is
// scaled up, and a priority with a smaller part of its hosts available than the
// panic threshold uses them all.
func newHostSet(hosts []*Host, o *lbOptions) *HostSet {
	s := &HostSet{hosts: hosts}
	levels := levelsOf(hosts, s)
	healthy, degraded := availability(levels, o.overprovisioning)
	total := min(sum(healthy)+sum(degraded), 100)
	panics := make([]bool, len(levels))
	allPanic := len(levels) > 0
	for i := range levels {
		panics[i] = total < 100 && levels[i].panics(o.panicThreshold)
		allPanic = allPanic && panics[i]
	}
	switch {
	case total == 0 && o.panicThreshold == 0:
		return s // nobody is available, and panic is disabled
	case allPanic, total == 0 && len(hosts) > 0: // the latter with a tiny overprovisioning factor
		s.addByNumber(levels, o)
	default:
		s.addByHealth(levels, healthy, degraded, total, panics, o)
	}
	return s
}

func levelsOf(hosts []*Host, s *HostSet) []level {
	var levels []level
	for _, h := range hosts {
		priority := h.Priority()
		for uint32(len(levels)) <= priority {
			levels = append(levels, level{})
		}
		l := &levels[priority]
		l.all = append(l.all, h)
		switch h.Health() {
		case Healthy:
			l.healthy = append(l.healthy, h)
			s.healthy++
		case Degraded:
			l.degraded = append(l.degraded, h)
			s.degraded++
		case Unhealthy:
		}
		for uint32(len(s.bySlot)) <= h.slot {
			s.bySlot = append(s.bySlot, nil)
		}
		s.bySlot[h.slot] = h
	}
	return levels
}

// availability returns for each level how many percent of the traffic its healthy
// and its degraded hosts can take.
func availability(levels []level, factor uint32) (healthy, degraded []uint32) {
	for _, l := range levels {
		h, d := uint32(0), uint32(0)
		if n := len(l.all); n > 0 {
			h = min(100, uint32(uint64(factor)*uint64(len(l.healthy))/uint64(n)))
			d = min(100, uint32(uint64(factor)*uint64(len(l.degraded))/uint64(n)))
		}
		healthy, degraded = append(healthy, h), append(degraded, d)
	}
	return healthy, degraded
}

func sum(parts []uint32) uint32 {
	var n uint32
	for _, p := range parts {
		n += p
	}
	return n
}

func (l *level) panics(threshold uint32) bool {
	if len(l.all) == 0 {
		return threshold > 0
	}
	return uint32(100*(len(l.healthy)+len(l.degraded))/len(l.all)) < threshold
}

// addByHealth gives out 100%, in the order of the priorities, the healthy hosts of
// all of them first.
func (s *HostSet) addByHealth(levels []level, healthy, degraded []uint32, total uint32, panics []bool, o *lbOptions) {
	left := uint32(100)
	take := func(part uint32) uint32 {
		n := min(left, part*100/total)
		left -= n
		return n
	}
	shares := make([][2]uint32, len(levels))
	for i := range levels {
		shares[i][0] = take(healthy[i])
	}
	for i := range levels {
		shares[i][1] = take(degraded[i])
	}
	for i := range shares { // what rounding left goes to the first that has any
		if k := firstShare(shares[i]); k >= 0 {
			shares[i][k] += left
			break
		}
	}
	for i, l := range levels {
		hosts := [2][]*Host{l.healthy, l.degraded}
		for k, share := range shares[i] {
			if panics[i] {
				s.add(share, l.all, true, o)
				continue
			}
			s.add(share, hosts[k], false, o)
		}
	}
}

func firstShare(shares [2]uint32) int {
	for k, n := range shares {
		if n > 0 {
			return k
		}
	}
	return -1
}

// addByNumber is for total panic: each priority gets traffic by how many hosts it
// has.
func (s *HostSet) addByNumber(levels []level, o *lbOptions) {
	left := uint32(100)
	first := -1
	shares := make([]uint32, len(levels))
	for i, l := range levels {
		shares[i] = uint32(100 * len(l.all) / len(s.hosts))
		left -= shares[i]
		if first < 0 && len(l.all) > 0 {
			first = i
		}
	}
	shares[first] += left
	for i, l := range levels {
		s.add(shares[i], l.all, true, o)
	}
}

func (s *HostSet) add(share uint32, hosts []*Host, panics bool, o *lbOptions) {
	if share == 0 || len(hosts) == 0 {
		return
	}
	upTo := share
	if n := len(s.groups); n > 0 {
		upTo += s.groups[n-1].upTo
	}
	s.groups = append(s.groups, group{
		upTo: upTo, panic: panics, hosts: hosts, table: o.policy.Build(lbHosts(hosts, o.hashHostname)),
	})
}

func lbHosts(hosts []*Host, byHostname bool) []sdk.LBHost {
	out := make([]sdk.LBHost, len(hosts))
	for i, h := range hosts {
		out[i] = sdk.LBHost{Key: h.key(byHostname), Weight: h.Weight(), Active: &h.ActiveRequests.Int64}
	}
	return out
}
