package sdk

import "sync/atomic"

// LBContext is what is known of a request when a host is chosen for it.
type LBContext struct {
	// Hash is what the route's hash policies made of the request, if HasHash; a
	// consistent-hashing policy takes a random number otherwise.
	Hash    uint64
	HasHash bool
	// Attempt counts how many hosts were already refused for this request by a retry
	// host predicate: a consistent-hashing policy must name another one then.
	Attempt uint32
}

// LBHost is a host as a load balancer sees it.
type LBHost struct {
	// Key is what consistent hashing hashes: the address ("10.0.0.1:80"), or what the
	// configuration says instead.
	Key string
	// Weight is at least 1.
	Weight uint32
	// Active is the number of requests that the host has from all loops.
	Active *atomic.Int64
}

// LBPolicy is a compiled load-balancing policy: immutable, shared by all clusters
// and loops that use it.
type LBPolicy interface {
	// Build prepares the choice among hosts. It runs off the loops; what is costly
	// (a hash ring) is done here once for all of them. The slice is the policy's to
	// keep and is never changed.
	Build(hosts []LBHost) LBTable
}

// LBTable is one list of hosts, prepared by a policy; immutable.
type LBTable interface {
	// Picker returns one loop's state. It runs on that loop, before the first request
	// for those hosts. Loops get different seeds, so that they do not all begin with
	// the same host.
	Picker(seed uint64) LBPicker
}

// LBPicker chooses hosts for one loop, on that loop. It must not allocate.
type LBPicker interface {
	// Pick returns an index into the hosts given to Build, -1 when there is none.
	Pick(ctx *LBContext) int
}
