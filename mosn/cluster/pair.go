package cluster

import (
	"slices"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// Pair is what ties upstream connections to one downstream connection, for clusters
// with Envoy's connection_pool_per_downstream_connection. It belongs to the
// downstream connection and its loop; so nothing of it is handed to other loops.
//
// Over a tied connection a host may call the client, if the protocol has that
// (sdk.Reverser). And with one of an RPC protocol goes what the host knows of the
// client: when it ends, or takes no further requests, the owner is told, so that the
// client comes to notice too.
type Pair struct {
	owner  PairOwner
	pools  []*pool
	held   []*muxConn      // not read because the owner was full
	posted bool            // its task, for a tied connection that was lost, is in the mailbox
	timer  eventloop.Timer // for when that was full
}

// PairOwner is the downstream connection of a Pair, called on the loop.
type PairOwner interface {
	// NewHostCall returns an unused HostCall for a request that a host makes, set up by
	// Init; nil refuses the request.
	NewHostCall() *HostCall
	// Full reports whether so much waits for the client that hosts should not be read.
	// The owner calls Resume when that is over.
	Full() bool
	// OnTieLost: a connection that hosts know the client by is lost, or about to end.
	// It does not come from within any other method, and it may come again.
	OnTieLost()
}

// NewPair returns the Pair of a downstream connection.
func NewPair(loop *eventloop.Loop, owner PairOwner) *Pair {
	pr := &Pair{owner: owner}
	pr.timer.Init(loop, pr)
	return pr
}

// Run implements eventloop.Task.
func (pr *Pair) Run(*eventloop.Loop) {
	pr.posted = false
	pr.owner.OnTieLost()
}

// OnTimer implements eventloop.TimerHandler.
func (pr *Pair) OnTimer(*eventloop.Timer) { pr.owner.OnTieLost() }

// Resume has hosts read again that were not because the owner was full.
func (pr *Pair) Resume() {
	for len(pr.held) > 0 {
		cn := pr.held[0]
		pr.held = slices.Delete(pr.held, 0, 1)
		cn.hosts.held = false
		cn.conn.ReadDisable(false)
	}
}

// Close ends the connections, those with calls when the last has ended, which is for
// their owners to see to: the downstream connection is gone.
func (pr *Pair) Close() {
	pools := pr.pools
	pr.owner, pr.pools = nobody{}, nil
	pr.posted = true // there is nobody to be told
	pr.Resume()
	for _, p := range pools {
		delete(p.lc.paired, p)
		p.drain()
	}
	pr.timer.Stop()
}

// nobody owns a Pair that is closed.
type nobody struct{}

func (nobody) NewHostCall() *HostCall { return nil }
func (nobody) Full() bool             { return false }
func (nobody) OnTieLost()             {}

// StartPaired is Start over connections that pr has to itself, for a cluster that is
// Paired.
func (lc *LoopCluster) StartPaired(pr *Pair, c *Call, h *Host, m *sdk.Message, ev CallEvents, prio Priority) {
	lc.startIn(pr.poolOf(lc, h, prio, lc.cfg.wayTo(h, m)), c, ev)
}

// Host returns the host of a cluster that knows the client already by a request of m's
// protocol; nil when there is none, or none that keeps to one host. It comes before
// what Choose says: a client that has registered with a host is not to be spread over
// all.
func (pr *Pair) Host(lc *LoopCluster, m *sdk.Message) *Host {
	codec := lc.cfg.wayOf(m).codec
	for _, p := range pr.pools {
		if p.lc == lc && p.way.codec == codec && p.conns > 0 && !p.draining && p.tied() {
			return p.host
		}
	}
	return nil
}

// Paired reports whether connections to hosts are tied to downstream connections.
func (lc *LoopCluster) Paired() bool { return lc.cfg.paired }

// poolOf returns the pool for a request; those that are no longer of use make way.
func (pr *Pair) poolOf(lc *LoopCluster, h *Host, prio Priority, by way) *pool {
	for _, p := range pr.pools {
		if p.lc == lc && p.host == h && p.prio == prio && p.way == by {
			return p
		}
	}
	pr.pools = slices.DeleteFunc(pr.pools, func(p *pool) bool {
		gone := p.draining && p.conns == 0 && p.waiting == 0
		if gone {
			delete(p.lc.paired, p)
		}
		return gone
	})
	p := lc.makePool(h, prio, by)
	p.pair = pr
	if p.way.codec != nil && p.way.multiplexed() {
		p.mux = lc.muxPool(lc.cfg.multiplex(by), 1)
	}
	pr.pools = append(pr.pools, p)
	if lc.paired == nil {
		lc.paired = map[*pool]struct{}{}
	}
	lc.paired[p] = struct{}{}
	return p
}

// tied reports whether hosts know a client by the pool's connections.
func (p *pool) tied() bool { return p.pair != nil && p.way.codec.Codec().RPC }

// untie tells the pair's owner, soon, that a connection which was established takes no
// further requests.
func (p *pool) untie() {
	if !p.tied() || p.pair.posted {
		return
	}
	loop := p.lc.local.loop
	if p.pair.posted = loop.PostFromLoop(loop, p.pair); !p.pair.posted {
		p.pair.timer.Arm(0)
	}
}
