package stats

import (
	"sync"

	"sofamesh.io/sofamesh/sdk"
)

// Local is the numbers of one loop. Only that loop's goroutine may use it.
//
// A handle that nobody resolved (the zero value) writes to a slot that nobody
// reads, so the request path needs no test for it.
type Local struct {
	values slab
	hists  []*histogram
}

// NewLocal returns an empty Local.
func NewLocal() *Local { return &Local{} }

// Inc adds 1.
func (l *Local) Inc(c sdk.Counter) { l.Add(c, 1) }

// Add adds n.
func (l *Local) Add(c sdk.Counter, n uint64) {
	chunk, i := l.values.at(c.ID)
	chunk.v[i] += n
	chunk.used |= 1 << i
}

// AddGauge adds n, which may be negative, to the loop's share of a gauge.
func (l *Local) AddGauge(g sdk.Gauge, n int64) {
	chunk, i := l.values.at(g.ID)
	chunk.v[i] += uint64(n)
	chunk.used |= 1 << i
}

// Observe records a value in a histogram.
func (l *Local) Observe(h sdk.Histogram, v uint64) {
	if h.ID < uint32(len(l.hists)) {
		if hist := l.hists[h.ID]; hist != nil {
			hist.observe(v)
			return
		}
	}
	l.growHist(h.ID).observe(v)
}

//go:noinline
func (l *Local) growHist(id uint32) *histogram {
	if id >= uint32(len(l.hists)) {
		l.hists = append(l.hists, make([]*histogram, int(id)+1-len(l.hists))...)
	}
	l.hists[id] = &histogram{}
	return l.hists[id]
}

// copyTo makes dst equal to l.
func (l *Local) copyTo(dst *Local) {
	l.values.copyTo(&dst.values)
	l.copyHists(dst)
}

// copyHists is copyTo for histograms alone. One that did not change since the last
// copy is not copied again.
func (l *Local) copyHists(dst *Local) {
	for id, h := range l.hists {
		if h == nil {
			continue
		}
		if id >= len(dst.hists) || dst.hists[id] == nil {
			dst.growHist(uint32(id))
		}
		h.copyTo(dst.hists[id])
	}
}

// resetCounters sets the given counters to zero.
func (l *Local) resetCounters(ids []uint32) {
	for _, id := range ids {
		if _, used := l.values.get(id); used {
			c, i := l.values.at(id)
			c.v[i] = 0
		}
	}
}

// Shared is the numbers written by goroutines that are not loops: resolvers, log
// writers, the configuration store, admin. It is safe for concurrent use and not
// meant for anything hot.
type Shared struct {
	mu    sync.Mutex
	local Local
}

func newShared() *Shared { return &Shared{} }

// Inc adds 1.
func (s *Shared) Inc(c sdk.Counter) { s.Add(c, 1) }

// Add adds n.
func (s *Shared) Add(c sdk.Counter, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.local.Add(c, n)
}

// AddGauge adds n, which may be negative.
func (s *Shared) AddGauge(g sdk.Gauge, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.local.AddGauge(g, n)
}

// SetGauge sets a gauge that only Shared writes; the loops' shares are added to it.
func (s *Shared) SetGauge(g sdk.Gauge, v uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, i := s.local.values.at(g.ID)
	c.v[i] = v
	c.used |= 1 << i
}

// Observe records a value in a histogram.
func (s *Shared) Observe(h sdk.Histogram, v uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.local.Observe(h, v)
}

// with runs fn while nobody writes.
func (s *Shared) with(fn func(*Local)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(&s.local)
}
