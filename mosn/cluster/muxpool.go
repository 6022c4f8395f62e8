package cluster

import (
	"slices"
	"time"
)

// Multiplex says how connections of a Multiplexed codec are used. A field that is 0
// has its default.
type Multiplex struct {
	// MaxStreams is the most exchanges at a time on one connection; default 1024.
	MaxStreams uint32
	// A connection from which nothing has come for HeartbeatInterval (15 s) is sent a
	// heartbeat, if the protocol has one. HeartbeatMisses (3) of them in a row without
	// a byte within HeartbeatTimeout (1 s) each end the connection. An interval below 0
	// is no heartbeat.
	HeartbeatInterval time.Duration
	HeartbeatTimeout  time.Duration
	HeartbeatMisses   int
}

func (m Multiplex) withDefaults() *Multiplex {
	if m.MaxStreams == 0 {
		m.MaxStreams = 1024
	}
	if m.HeartbeatInterval == 0 {
		m.HeartbeatInterval = 15 * time.Second
	}
	if m.HeartbeatTimeout <= 0 {
		m.HeartbeatTimeout = time.Second
	}
	if m.HeartbeatMisses <= 0 {
		m.HeartbeatMisses = 3
	}
	return &m
}

// muxPool is what a pool has instead of idle connections when its codec multiplexes.
//
// A call goes to the connection with the fewest streams; another connection is begun
// only when calls wait because all are at their limit, up to this loop's quota.
type muxPool struct {
	open    []*muxConn // those that may take further streams, now or later
	quota   int        // most of them; 0 is no limit
	perConn int        // most streams of one
	serving bool       // serveStreams is under way further up the stack
}

// newMuxPool returns the pool's part for this loop, or the owner of the host's
// connections when that is another loop.
func newMuxPool(lc *LoopCluster, h *Host, prio Priority) (m *muxPool, owner *Local) {
	cfg := lc.cfg
	local := lc.local
	at, quota := share(int(cfg.perHost[prio]), len(local.peers), local.loop.Index(), int(h.slot))
	if at != local.loop.Index() {
		return nil, local.peers[at]
	}
	m = &muxPool{quota: quota, perConn: int(cfg.mux.MaxStreams)}
	if n := int(cfg.maxRequests); n > 0 {
		m.perConn = min(m.perConn, n)
	}
	return m, nil
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

// pick returns the connection with the fewest streams that takes another one.
func (p *pool) pick() *muxConn {
	var best *muxConn
	for _, cn := range p.mux.open {
		if cn.room() && (best == nil || cn.calls.n < best.calls.n) {
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
	defer func() { // also when a callback panics
		p.mux.serving = false
		p.grow()
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
}

// missing reports whether calls wait for which no connection is being made, and one
// may be.
func (p *pool) missing() bool {
	if p.mux == nil {
		return p.waiting > p.connecting
	}
	m := p.mux
	return p.waiting > p.connecting*m.perConn && (m.quota == 0 || len(m.open) < m.quota)
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
	}
}

// drainStreams ends the connections without streams; the others, and those that calls
// wait for, end with their last one.
func (p *pool) drainStreams() {
	for i := len(p.mux.open) - 1; i >= 0; i-- {
		if cn := p.mux.open[i]; cn.calls.n == 0 && cn.state == connBusy {
			cn.finish(false)
		}
	}
}
