package grpc

import (
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"sofamesh.io/sofamesh/sdk"
)

// The counters of calls. Those of the statuses come first, by number.
const (
	cSuccess = maxStatus + 1 + iota
	cFailure
	cTotal
	cRequests
	cResponses

	numCounters
)

func counterName(i int) string {
	switch i {
	case cSuccess:
		return "success"
	case cFailure:
		return "failure"
	case cTotal:
		return "total"
	case cRequests:
		return "request_message_count"
	case cResponses:
		return "response_message_count"
	}
	return strconv.Itoa(i)
}

// Stats counts calls under Envoy's names:
//
//	cluster.<cluster>.<protocol>.<service>.<method>.<what>
//
// and without service and method for those that are not told apart. A name is made when
// it is counted first, so names of what never happened are not shown. That takes a lock;
// after it, counting takes none and allocates nothing.
//
// The number of methods that get names of their own is bounded, for a client can make
// them up: past the limit calls are counted without.
type Stats struct {
	protocol    string
	limit       int64
	replaceDots bool

	clusters atomic.Pointer[map[string]*clusterCalls]
	named    atomic.Int64 // methods with a name
	mu       sync.Mutex   // for changes
}

// StatsOptions says how calls are counted.
type StatsOptions struct {
	Protocol string // "grpc" or "grpc-web"
	// Limit is the most methods with names of their own, over all clusters.
	Limit int
	// ReplaceDots writes a service's dots as "_".
	ReplaceDots bool
}

// NewStats returns the numbers of one filter.
func NewStats(o StatsOptions) *Stats {
	return &Stats{protocol: o.Protocol, limit: int64(o.Limit), replaceDots: o.ReplaceDots}
}

// method is one as a key.
type method struct{ service, name string }

// maxMethodName is the longest service and method, together, that become a name.
const maxMethodName = 256

// clusterCalls are the calls to one cluster.
type clusterCalls struct {
	scope   sdk.Scope // it was made from
	prefix  sdk.Scope
	all     Calls
	methods atomic.Pointer[map[method]*Calls]
}

// All returns the numbers of a cluster's calls that are not told apart.
func (t *Stats) All(cluster string, scope sdk.Scope) *Calls { return &t.cluster(cluster, scope).all }

// Method returns the numbers of the calls of one method.
func (t *Stats) Method(cluster string, scope sdk.Scope, service, name string) *Calls {
	c := t.cluster(cluster, scope)
	full := t.named.Load() >= t.limit // read first: what was counted by then is in the map
	if m := c.methods.Load(); m != nil {
		if calls := (*m)[method{service, name}]; calls != nil {
			return calls
		}
	}
	if full || len(service)+len(name) > maxMethodName {
		return &c.all
	}
	return t.addMethod(c, service, name)
}

// cluster finds the calls to a cluster. One whose scope has changed has changed itself
// and begins anew; counters of the same names go on.
func (t *Stats) cluster(name string, scope sdk.Scope) *clusterCalls {
	if m := t.clusters.Load(); m != nil {
		if c := (*m)[name]; c != nil && c.scope == scope {
			return c
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &clusterCalls{scope: scope, prefix: scope.Scope(t.protocol)}
	c.all.scope = c.prefix
	next := map[string]*clusterCalls{}
	if m := t.clusters.Load(); m != nil {
		if old := (*m)[name]; old != nil && old.scope == scope {
			return old // another loop was faster
		} else if old != nil && old.methods.Load() != nil {
			t.named.Add(-int64(len(*old.methods.Load())))
		}
		next = maps.Clone(*m)
	}
	next[strings.Clone(name)] = c
	t.clusters.Store(&next)
	return c
}

func (t *Stats) addMethod(c *clusterCalls, service, name string) *Calls {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[method]*Calls{}
	if m := c.methods.Load(); m != nil {
		if calls := (*m)[method{service, name}]; calls != nil {
			return calls
		}
		next = maps.Clone(*m)
	}
	if t.named.Load() >= t.limit {
		return &c.all
	}
	key := method{strings.Clone(service), strings.Clone(name)}
	shown := key.service
	if t.replaceDots {
		shown = strings.ReplaceAll(shown, ".", "_")
	}
	calls := &Calls{scope: c.prefix.Scope(shown).Scope(key.name)}
	next[key] = calls
	c.methods.Store(&next)
	t.named.Add(1)
	return calls
}

// Calls are the numbers of some calls. They may be used on any loop.
type Calls struct {
	scope    sdk.Scope
	counters [numCounters]atomic.Uint32 // 1 + the handle's number, 0 while nobody has asked for it
	time     atomic.Uint32
}

// Ended counts the end of a call by its grpc-status. Only gRPC's own statuses have
// counters, so that a host cannot make up names.
func (c *Calls) Ended(s sdk.Stream, status string) {
	if code, ok := statusCode(status); ok {
		c.add(s, code, 1)
	}
	c.EndedAs(s, status == "0")
}

// EndedAs counts the end of a call that has no status of gRPC's.
func (c *Calls) EndedAs(s sdk.Stream, success bool) {
	if success {
		c.add(s, cSuccess, 1)
	} else {
		c.add(s, cFailure, 1)
	}
	c.add(s, cTotal, 1)
}

// Requests counts messages of the client, Responses those of the host.
func (c *Calls) Requests(s sdk.Stream, n uint64)  { c.add(s, cRequests, n) }
func (c *Calls) Responses(s sdk.Stream, n uint64) { c.add(s, cResponses, n) }

// Took takes how long a host needed for a call, in milliseconds.
func (c *Calls) Took(s sdk.Stream, ms uint64) {
	id := c.time.Load()
	if id == 0 {
		id = c.scope.Histogram("upstream_rq_time").ID + 1
		c.time.Store(id)
	}
	s.Observe(sdk.Histogram{ID: id - 1}, ms)
}

func (c *Calls) add(s sdk.Stream, i int, n uint64) {
	id := c.counters[i].Load()
	if id == 0 {
		id = c.scope.Counter(counterName(i)).ID + 1
		c.counters[i].Store(id)
	}
	s.Add(sdk.Counter{ID: id - 1}, n)
}
