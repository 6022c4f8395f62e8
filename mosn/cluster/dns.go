package cluster

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
)

// Resolver resolves names; *net.Resolver is one. The network is "ip", "ip4" or
// "ip6".
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	maxLookups    = 16 // at a time
	lookupTimeout = 15 * time.Second
)

// resolver resolves the names of STRICT_DNS clusters again and again. One goroutine
// keeps the time table; lookups have short-lived ones of a bounded number. It runs
// only while there are names.
type resolver struct {
	m      *Manager
	lookup Resolver
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
	wake   chan struct{} // holds one token: look at the time table

	mu      sync.Mutex
	random  *rand.Rand
	queue   targets // of those not being looked up
	busy    int
	running bool
}

// target is a name to be resolved.
type target struct {
	mc       *managed
	endpoint *endpoint
	due      time.Time
	failures int
}

func newResolver(m *Manager, lookup Resolver, seed uint64) *resolver {
	r := &resolver{m: m, lookup: lookup, wake: make(chan struct{}, 1), random: rand.New(rand.NewPCG(seed, 0))}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// watch begins to resolve names, at once.
func (r *resolver) watch(mc *managed, names []*endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return
	}
	now := time.Now()
	for _, e := range names {
		heap.Push(&r.queue, &target{mc: mc, endpoint: e, due: now})
	}
	if !r.running {
		r.running = true
		r.done.Go(r.run)
	}
	r.nudge()
}

// forget ends resolving the names of a cluster. A lookup under way ends unheard.
func (r *resolver) forget(mc *managed) {
	if mc.answers == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = slices.DeleteFunc(r.queue, func(t *target) bool { return t.mc == mc })
	heap.Init(&r.queue)
}

func (r *resolver) close() {
	r.cancel()
	r.done.Wait()
}

func (r *resolver) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *resolver) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(r.dispatch())
		select {
		case <-r.ctx.Done():
			return
		case <-timer.C:
		case <-r.wake:
		}
	}
}

// dispatch begins the lookups that are due and returns the time until the next one.
func (r *resolver) dispatch() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) > 0 && r.busy < maxLookups {
		t := r.queue[0]
		if wait := time.Until(t.due); wait > 0 {
			return wait
		}
		heap.Pop(&r.queue)
		r.busy++
		r.done.Go(func() { r.resolve(t) })
	}
	return time.Hour // the end of a lookup, or a new name, wakes
}

// resolve looks a name up once and puts it back into the time table.
func (r *resolver) resolve(t *target) {
	o := t.mc.cfg.dns
	r.m.count(t.mc, UpdateAttempt)
	ctx, cancel := context.WithTimeout(r.ctx, lookupTimeout)
	addrs, err := r.lookup.LookupNetIP(ctx, network(o.family), t.endpoint.name)
	cancel()
	if r.ctx.Err() != nil {
		return
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok && unknown.IsNotFound {
		addrs, err = nil, nil // the name has no address: an answer like any other
	}
	r.m.resolved(t.mc, t.endpoint, choose(addrs, o.family), err)
	r.m.answered(t.mc)

	current := r.m.current(t.mc)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy--
	if current {
		t.due = time.Now().Add(r.next(t, o, err))
		heap.Push(&r.queue, t)
	}
	r.nudge()
}

// next returns the time to the next lookup. After failures, with
// dns_failure_refresh_rate, it is a random part of an interval that doubles, as in
// Envoy.
func (r *resolver) next(t *target, o *dnsOptions, err error) time.Duration {
	if err == nil {
		t.failures = 0
		return o.refresh + r.below(o.jitter)
	}
	if o.failBase <= 0 {
		return o.refresh
	}
	interval := min(o.failBase<<min(t.failures, 30), o.failMax)
	if interval <= 0 {
		interval = o.failMax
	}
	t.failures++
	return max(r.below(interval), time.Millisecond)
}

func (r *resolver) below(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(r.random.Int64N(int64(d)))
}

// network is what to ask for, for a family of addresses.
func network(f clusterv3.Cluster_DnsLookupFamily) string {
	switch f {
	case clusterv3.Cluster_V4_ONLY:
		return "ip4"
	case clusterv3.Cluster_V6_ONLY:
		return "ip6"
	default:
		return "ip"
	}
}

// choose takes of an answer the addresses of the family that is wanted: AUTO is
// IPv6 unless there is none, V4_PREFERRED the reverse. It returns them in order, so
// that answers can be compared.
func choose(addrs []netip.Addr, f clusterv3.Cluster_DnsLookupFamily) []netip.Addr {
	var v4, v6 []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	out := append(v4, v6...)
	switch {
	case f == clusterv3.Cluster_AUTO && len(v6) > 0:
		out = v6
	case f == clusterv3.Cluster_V4_PREFERRED && len(v4) > 0:
		out = v4
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// targets is a heap by the time at which they are due.
type targets []*target

func (q targets) Len() int           { return len(q) }
func (q targets) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q targets) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *targets) Push(t any)        { *q = append(*q, t.(*target)) }
func (q *targets) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return t
}
