package cluster

import (
	"cmp"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"sofamesh.io/sofamesh/mosn/metadata"
	"sofamesh.io/sofamesh/sdk"
)

// Multiplex says how connections of a Multiplexed codec are used. It comes from the
// cluster's metadata (package metadata), where the keys are max_streams (1024),
// heartbeat_interval (15 s, 0 is none), heartbeat_timeout (1 s) and heartbeat_misses (3).
type Multiplex struct {
	// MaxStreams is the most exchanges at a time on one connection.
	MaxStreams uint32
	// A connection from which nothing has come for HeartbeatInterval is sent a
	// heartbeat, if the protocol has one. HeartbeatMisses of them in a row without a
	// byte within HeartbeatTimeout each end the connection.
	HeartbeatInterval time.Duration
	HeartbeatTimeout  time.Duration
	HeartbeatMisses   int
	// HeartbeatJitter is added to each interval, at most: a random part of it.
	HeartbeatJitter time.Duration
	// IdleInterval is the silence after which a heartbeat goes before a further exchange;
	// 0 is none.
	IdleInterval time.Duration
}

func (c *Config) compileMultiplex(comp sdk.Compiler, pb *clusterv3.Cluster) error {
	s := metadata.Of(comp, pb.GetMetadata())
	c.mux = Multiplex{
		MaxStreams:        cmp.Or(s.Uint32("max_streams"), 1024),
		HeartbeatInterval: s.Duration("heartbeat_interval", 15*time.Second),
		HeartbeatTimeout:  s.Duration("heartbeat_timeout", time.Second),
		HeartbeatMisses:   int(cmp.Or(s.Uint32("heartbeat_misses"), 3)),
	}
	if c.mux.HeartbeatTimeout == 0 {
		return s.At("heartbeat_timeout").Errorf("must be above 0s: no host answers at once")
	}
	return s.Err()
}

// muxPool is what a pool has instead of idle connections when its codec multiplexes.
//
// A call goes to the connection with the fewest streams; another connection is begun
// only when calls wait because all are at their limit, up to this loop's quota.
type muxPool struct {
	*Multiplex
	open    []*muxConn // those that may take further streams, now or later
	quota   int        // most of them; 0 is no limit
	perConn int        // most streams of one
	serving bool       // serveStreams is under way further up the stack
}

// newMuxPool returns the pool's part for this loop, or the owner of the host's
// connections when that is another loop.
func newMuxPool(lc *LoopCluster, h *Host, prio Priority, o *Multiplex) (m *muxPool, owner *Local) {
	local := lc.local
	at, quota := share(int(lc.cfg.perHost[prio]), len(local.peers), local.loop.Index(), int(h.slot))
	if at != local.loop.Index() {
		return nil, local.peers[at]
	}
	return lc.muxPool(o, quota), nil
}

// muxPool returns a pool's part with at most quota connections.
func (lc *LoopCluster) muxPool(o *Multiplex, quota int) *muxPool {
	m := &muxPool{Multiplex: o, quota: quota, perConn: int(o.MaxStreams)}
	if n := int(lc.cfg.maxRequests); n > 0 {
		m.perConn = min(m.perConn, n)
	}
	return m
}

// share divides a limit of connections to a host among loops. It returns the loop
// that has the connections which loop index uses, and how many that one may have.
// With a limit of at least the number of loops each has its own. The host's number
// decides where it begins, so that hosts are spread over the loops.
func share(limit, loops, index, host int) (owner, quota int) {
	if limit == 0 || loops <= 1 {
		return index, limit
	}
	owners := min(limit, loops)
	base := host % loops
	at := (index - base + loops) % loops % owners
	quota = limit / owners
	if at < limit%owners {
		quota++
	}
	return (base + at) % loops, quota
}

// startStream gives a call a stream, or has it wait.
func (p *pool) startStream(c *Call) {
	cn := p.pick()
	if cn == nil {
		p.queue(c)
		return
	}
	if p.admit(c) {
		cn.attach(c)
	}
}

// maxBacklog is how much may wait for a host that does not read, in bytes, before
// further streams wait, too. Requests that are given up again and again would else
// fill the memory without ever being many at a time.
const maxBacklog = 4 << 20

// jammed reports whether that much waits. OnDrained tells of its end.
func (cn *muxConn) jammed() bool { return cn.conn.AboveHigh() && cn.conn.Queued() > maxBacklog }

// pick returns the connection with the fewest streams that takes another one.
func (p *pool) pick() *muxConn {
	var best *muxConn
	for _, cn := range p.mux.open {
		if cn.room() && !cn.jammed() && (best == nil || cn.calls.Len() < best.calls.Len()) {
			best = cn
		}
	}
	return best
}

// serveStreams gives streams to calls that wait, as far as there is room, and begins
// connections for the rest. When an owner's callback gets here again, the loop that
// called it goes on with what there is.
func (p *pool) serveStreams() {
	if p.mux.serving {
		return
	}
	p.mux.serving = true
	done := false
	defer func() {
		p.mux.serving = false
		if done {
			p.grow()
		} else {
			p.serveStreams() // those behind a call whose owner has panicked
		}
	}()
	for p.first != nil {
		cn := p.pick()
		if cn == nil {
			break
		}
		c := p.first
		p.unqueue(c)
		if p.admit(c) {
			cn.attach(c)
		}
	}
	done = true
}

// missing reports whether calls wait for which no connection is being made, and one
// may be.
func (p *pool) missing() bool {
	if p.mux == nil {
		return p.waiting > p.connecting
	}
	m := p.mux
	return p.waiting > p.connecting*m.perConn && (m.quota == 0 || len(m.open) < m.quota) && !slices.ContainsFunc(m.open, (*muxConn).jammed)
}

// connect begins a connection.
func (p *pool) connect() {
	if p.mux == nil {
		p.dial()
		return
	}
	p.mux.open = append(p.mux.open, dialMux(p))
}

// retire takes a connection out of use by further calls.
func (m *muxPool) retire(cn *muxConn) {
	if i := slices.Index(m.open, cn); i >= 0 {
		m.open = slices.Delete(m.open, i, i+1)
		if cn.state != connConnecting {
			cn.pool.untie()
		}
	}
}

// drainStreams ends the connections without streams; the others, and those that calls
// wait for, end with their last one.
func (p *pool) drainStreams() {
	for i := len(p.mux.open) - 1; i >= 0; i-- {
		if cn := p.mux.open[i]; !cn.inUse() && cn.state == connBusy {
			cn.finish(false)
		}
	}
}
