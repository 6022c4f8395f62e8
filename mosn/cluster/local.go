package cluster

import (
	"math/rand/v2"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/shared"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// Slot is the number of a cluster's name. It stays the same for the life of the
// Manager, whether the cluster exists or not, so that a compiled route can keep it.
type Slot uint32

// cluster is what the loops share of one cluster. A changed configuration makes a
// new one.
type cluster struct {
	cfg      *Config
	breakers [numPriorities]shared.Breakers
}

// Local is one loop's view of all clusters.
type Local struct {
	loop   *eventloop.Loop
	stats  *stats.Local
	slots  []entry // by Slot
	names  map[string]Slot
	random rand.PCG
	event  sdk.Event   // what is decoded now
	effort int         // left of turnEffort to the connection whose data is being decoded
	msg    sdk.Message // its head
	chunk  sdk.Buffer  // a piece of body that was kept, while it is delivered
	parked *parked     // to be used again
	kept   int         // bytes that are parked
	relays []*relay    // to be used again, by the index of the owner's loop
	peers  []*Local    // all loops' views; for their loops' index and for relays only
}

// entry is a cluster on this loop. Its LoopCluster is made when it is first asked
// for: most of ten thousand clusters are not used by most loops.
type entry struct {
	cluster *cluster // nil: unknown
	hosts   *HostSet
	lc      *LoopCluster
}

func newLocal(loop *eventloop.Loop, st *stats.Local, seed uint64) *Local {
	l := &Local{loop: loop, stats: st, names: map[string]Slot{}}
	l.random.Seed(seed, uint64(loop.Index()))
	l.chunk.Init(loop.Buffers())
	return l
}

// Get returns the cluster of a name, nil when it is unknown.
func (l *Local) Get(name string) *LoopCluster {
	s, ok := l.names[name]
	if !ok {
		return nil
	}
	return l.At(s)
}

// At returns the cluster of a slot, nil when it is unknown.
func (l *Local) At(s Slot) *LoopCluster {
	if int(s) >= len(l.slots) {
		return nil
	}
	e := &l.slots[s]
	if e.lc == nil && e.cluster != nil {
		e.lc = newLoopCluster(l, e.cluster, e.hosts)
	}
	return e.lc
}

// update is a change of one cluster. With cluster nil it is removed; with hosts
// alone being new, only those change.
type update struct {
	slot    Slot
	name    string
	cluster *cluster
	hosts   *HostSet
}

// apply makes updates, on the loop.
func (l *Local) apply(updates []update) {
	for i := range updates {
		l.applyOne(&updates[i])
	}
}

func (l *Local) applyOne(u *update) {
	for int(u.slot) >= len(l.slots) {
		l.slots = append(l.slots, entry{})
	}
	e := &l.slots[u.slot]
	old := *e
	e.cluster, e.hosts = u.cluster, u.hosts
	if u.cluster == nil {
		delete(l.names, u.name)
	} else {
		l.names[u.name] = u.slot
	}
	if old.lc == nil {
		return
	}
	if old.cluster == u.cluster {
		old.lc.setHosts(u.hosts)
		return
	}
	e.lc = nil
	old.lc.drain()
}

// LoopCluster is one cluster on one loop.
type LoopCluster struct {
	local   *Local
	cluster *cluster
	cfg     *Config
	block   stats.Block
	hot     hotStats
	hosts   *HostSet
	pickers []sdk.LBPicker     // of the host set's groups; nil until used
	pools   []*pool            // by host slot and priority; the first of a list
	paired  map[*pool]struct{} // those that Pairs have
	drained bool               // replaced or removed
}

// hotStats are the handles that every request uses, looked up once.
type hotStats struct {
	rqTotal, rxBytes, txBytes sdk.Counter
	rqActive                  sdk.Gauge
}

func newLoopCluster(l *Local, c *cluster, hosts *HostSet) *LoopCluster {
	b := c.cfg.block
	lc := &LoopCluster{local: l, cluster: c, cfg: c.cfg, block: b, hot: hotStats{
		rqTotal: b.Counter(int(RqTotal)), rxBytes: b.Counter(int(CxRxBytesTotal)), txBytes: b.Counter(int(CxTxBytesTotal)),
		rqActive: b.Gauge(gRqActive),
	}}
	lc.setHosts(hosts)
	return lc
}

// sent returns what stands for the response to a one-way request that is sent.
func (l *Local) sent() *sdk.Event {
	l.msg.Reset()
	l.msg.SetStatus(200)
	l.msg.OneWay = true
	l.event = sdk.Event{Kind: sdk.EventHeaders, End: true, Msg: &l.msg}
	return &l.event
}

// Name returns the cluster's name.
func (lc *LoopCluster) Name() string { return lc.cfg.name }

// Config returns the cluster's configuration.
func (lc *LoopCluster) Config() *Config { return lc.cfg }

// Scope returns the scope of the cluster's stats; it is the same as long as the
// configuration is.
func (lc *LoopCluster) Scope() sdk.Scope { return lc.cfg.scope }

// Hosts returns the present host set.
func (lc *LoopCluster) Hosts() *HostSet { return lc.hosts }

// Members counts the hosts.
func (lc *LoopCluster) Members() sdk.Members {
	return sdk.Members{Total: len(lc.hosts.hosts), Healthy: lc.hosts.healthy, Degraded: lc.hosts.degraded}
}

// setHosts takes a new host set; connections to hosts that are gone are drained.
func (lc *LoopCluster) setHosts(hosts *HostSet) {
	lc.hosts = hosts
	lc.pickers = make([]sdk.LBPicker, len(hosts.groups))
	for p := range lc.paired {
		if !hosts.has(p.host) {
			p.drain()
		}
	}
	if len(lc.pools) == 0 {
		return
	}
	old := lc.pools
	lc.pools = make([]*pool, len(hosts.bySlot)*int(numPriorities))
	for i, p := range old {
		switch {
		case p == nil:
		case hosts.has(p.host):
			lc.pools[i] = p
		default:
			p.drainAll()
		}
	}
}

// drain ends all use by new requests.
func (lc *LoopCluster) drain() {
	lc.drained = true
	for _, p := range lc.pools {
		p.drainAll()
	}
	for p := range lc.paired {
		p.drain()
	}
}

// LBContext is what is known of a request when a host is chosen. The zero value
// will do for policies that do not hash.
type LBContext struct {
	sdk.LBContext
	// Tried are hosts to be avoided (Envoy's retry host predicate previous_hosts):
	// MaxAttempts further choices are made in place of one of them, and the last is
	// taken whoever it is.
	Tried       []*Host
	MaxAttempts int
	// Override is the address of the host that is to be chosen, "" for any. When it is not
	// to be had, any is chosen, or with Strict none.
	Override string
	Strict   bool
}

// Choose returns a host for a request, nil when there is none to be used. It leaves
// ctx.Attempt changed.
func (lc *LoopCluster) Choose(ctx *LBContext) *Host {
	if ctx.Override != "" {
		for _, h := range lc.hosts.hosts {
			if h.address == ctx.Override && h.Health() != Unhealthy {
				return h
			}
		}
		if ctx.Strict {
			lc.inc(CxNoneHealthy)
			return nil
		}
	}
	h := lc.choose(&ctx.LBContext)
	for n := 0; h != nil && n < ctx.MaxAttempts && contains(ctx.Tried, h); n++ {
		ctx.Attempt++
		h = lc.choose(&ctx.LBContext)
	}
	if h == nil {
		lc.inc(CxNoneHealthy)
	}
	return h
}

func contains(hosts []*Host, h *Host) bool {
	for _, o := range hosts {
		if o == h {
			return true
		}
	}
	return false
}

func (lc *LoopCluster) choose(ctx *sdk.LBContext) *Host {
	groups := lc.hosts.groups
	if len(groups) == 0 {
		lc.inc(LBHealthyPanic) // of no hosts none is healthy
		return nil
	}
	i := 0
	if len(groups) > 1 {
		r := ctx.Hash
		if !ctx.HasHash {
			r = lc.local.random.Uint64()
		}
		for at := uint32(r % 100); i < len(groups)-1 && at >= groups[i].upTo; i++ {
		}
	}
	g := &groups[i]
	if g.panic {
		lc.inc(LBHealthyPanic)
	}
	p := lc.pickers[i]
	if p == nil {
		p = g.table.Picker(lc.local.random.Uint64())
		lc.pickers[i] = p
	}
	at := p.Pick(ctx)
	if at < 0 {
		return nil
	}
	return g.hosts[at]
}

// Start makes an attempt to have the request m answered by a host that Choose
// returned. Only m's protocol counts here; nil stands for a request of HTTP.
func (lc *LoopCluster) Start(c *Call, h *Host, m *sdk.Message, ev CallEvents, prio Priority) {
	lc.start(c, h, lc.cfg.wayTo(h, m), ev, prio)
}

func (lc *LoopCluster) start(c *Call, h *Host, by way, ev CallEvents, prio Priority) {
	lc.startIn(lc.poolOf(h, prio, by), c, ev)
}

func (lc *LoopCluster) startIn(p *pool, c *Call, ev CallEvents) {
	if c.state != callIdle {
		panic("cluster: a call is started that is under way")
	}
	c.ev, c.pool, c.prio = ev, p, p.prio
	c.connID, c.tls, c.received, c.sent, c.reused, c.failure = 0, nil, 0, 0, false, ""
	c.connect = [2]time.Duration{}
	if p.way.codec == nil {
		c.fail(ErrUnwritable, "")
		return
	}
	p.start(c)
}

// countStray counts a response that nobody waits for.
func (lc *LoopCluster) countStray() {
	lc.local.stats.Inc(lc.block.Lazy(lc.cfg.kind.stray))
}

func (lc *LoopCluster) poolOf(h *Host, prio Priority, by way) *pool {
	i := int(h.slot)*int(numPriorities) + int(prio)
	if i < len(lc.pools) {
		for p := lc.pools[i]; p != nil && p.host == h; p = p.next {
			if p.way == by {
				return p
			}
		}
	}
	return lc.newPool(h, prio, by, i)
}

// newPool makes a pool and keeps it, unless the host is gone since it was chosen.
func (lc *LoopCluster) newPool(h *Host, prio Priority, by way, i int) *pool {
	p := lc.makePool(h, prio, by)
	if by.codec != nil && by.multiplexed() {
		p.mux, p.owner = newMuxPool(lc, h, prio, lc.cfg.multiplex(by))
	}
	if p.draining {
		return p
	}
	for i >= len(lc.pools) {
		lc.pools = append(lc.pools, nil)
	}
	p.next, lc.pools[i] = lc.pools[i], p
	return p
}

// makePool makes a pool without connections. One for a host that is gone serves one
// request.
func (lc *LoopCluster) makePool(h *Host, prio Priority, by way) *pool {
	return &pool{
		lc: lc, host: h, way: by, prio: prio, breakers: &lc.cluster.breakers[prio],
		draining: lc.drained || !lc.hosts.has(h),
	}
}

// TryRetry takes a place for a retry under max_retries or the retry budget;
// EndRetry gives it back.
func (lc *LoopCluster) TryRetry(prio Priority) bool { return lc.cluster.breakers[prio].TryRetry() }

// EndRetry is the end of a retry that TryRetry granted.
func (lc *LoopCluster) EndRetry(prio Priority) { lc.cluster.breakers[prio].Retries.Release() }

func (lc *LoopCluster) inc(s Stat) { lc.local.stats.Inc(lc.block.Counter(int(s))) }

func (lc *LoopCluster) observe(h int, v uint64) {
	lc.local.stats.Observe(lc.block.Histogram(h), v)
}

// Inc adds 1 to one of the cluster's counters.
func (lc *LoopCluster) Inc(s Stat) { lc.inc(s) }

// CountResponse counts a response that the cluster's host gave, or that was made in
// its place: upstream_rq_completed, _2xx, _200, and the same for requests from
// inside or outside (x-envoy-internal).
func (lc *LoopCluster) CountResponse(code int, internal bool) {
	lc.countCode(0, code)
	lc.CountOrigin(code, internal)
}

// CountOrigin is CountResponse, but for the codes of the cluster itself: those of
// requests from inside or outside are all that is counted by code.
func (lc *LoopCluster) CountOrigin(code int, internal bool) {
	lc.inc(RqCompleted)
	kind := External
	if internal {
		kind = Internal
	}
	lc.CountAs(kind, code)
}

// CountAs counts a response under the prefix of a kind alone.
func (lc *LoopCluster) CountAs(kind ResponseKind, code int) {
	k := lc.cfg.kind
	lc.local.stats.Inc(lc.block.Lazy(k.completed + int(kind)))
	lc.countCode((1+int(kind))*k.perCode, code)
}

// countCode counts the class and the code, whose counters begin at first.
func (lc *LoopCluster) countCode(first, code int) {
	codes, st, b := lc.cfg.kind.codes, lc.local.stats, lc.block
	if i, ok := codes.Class(code); ok {
		st.Inc(b.Lazy(first + i))
	}
	if i, ok := codes.Code(code); ok {
		st.Inc(b.Lazy(first + i))
	}
}

// ObserveTime records how long a request took, in milliseconds.
func (lc *LoopCluster) ObserveTime(ms uint64, internal bool) {
	lc.observe(hRqTime, ms)
	if internal {
		lc.observe(hRqTimeInternal, ms)
	} else {
		lc.observe(hRqTimeExternal, ms)
	}
}
