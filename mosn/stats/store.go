package stats

import (
	"sync"

	"sofamesh.io/sofamesh/sdk"
)

// Options bounds a Store.
type Options struct {
	// MaxNames is the most names kept, a Block counting as one; 0 means 1<<20. Names
	// over it share the handle that counts nothing, and are counted in
	// server.stats_overflow.{counter,gauge,histogram}, as in Envoy.
	MaxNames int
}

// Store knows all names. Its methods and those of its scopes may be called from any
// goroutine; they take a mutex, for no longer than a map takes, so a loop calls them
// only for names that turn up at run time, once each.
type Store struct {
	max    int
	shared *Shared

	mu       sync.Mutex
	blocks   []block
	byPrefix map[string]int32 // the newest block of a prefix
	singles  []single
	byName   map[string]int32 // index in singles
	value    uint32           // next free number of a value; 0 is the slot that nobody reads
	hist     uint32           // next free number of a histogram
	overflow [numKinds]sdk.Counter
	texts    map[string]string // by name; nil while there are none
	lookups  lookups
}

// block is one object's metrics.
type block struct {
	prefix      string // with the final dot
	names       *Names
	value, hist uint32
	older       int32 // the block of the same prefix made before, -1 when there is none
}

// single is a name that was asked for alone.
type single struct {
	name string
	kind Kind
	id   uint32
}

// NewStore returns an empty store.
func NewStore(o Options) *Store {
	if o.MaxNames == 0 {
		o.MaxNames = 1 << 20
	}
	s := &Store{
		max:      o.MaxNames,
		shared:   newShared(),
		byPrefix: map[string]int32{},
		byName:   map[string]int32{},
		value:    1,
		hist:     1,
	}
	for kind, name := range [numKinds]string{"counter", "gauge", "histogram"} {
		s.overflow[kind] = s.Root().Counter("server.stats_overflow." + name)
	}
	return s
}

// Root returns the scope without prefix.
func (s *Store) Root() *Scope { return &Scope{store: s} }

// Shared returns the numbers that are written off the loops.
func (s *Store) Shared() *Shared { return s.shared }

// block finds or makes the block of a prefix. Blocks start at a chunk, so that two
// objects never share one.
func (s *Store) block(prefix string, n *Names) Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest, ok := s.byPrefix[prefix]
	if !ok {
		newest = -1
	}
	for i := newest; i >= 0; i = s.blocks[i].older {
		if b := &s.blocks[i]; b.names == n {
			return Block{names: n, value: b.value, hist: b.hist}
		}
	}
	if s.full(KindCounter) {
		return Block{names: n}
	}
	s.value = (s.value + chunkLen - 1) &^ (chunkLen - 1)
	b := block{prefix: prefix, names: n, value: s.value, hist: s.hist, older: newest}
	s.value += n.values()
	s.hist += uint32(len(n.list.Histograms))
	s.byPrefix[prefix] = int32(len(s.blocks))
	s.blocks = append(s.blocks, b)
	return Block{names: n, value: b.value, hist: b.hist}
}

// find returns the number of prefix+name, made if need be. A name that is already
// there as another kind gets the number that counts nothing, since one name cannot
// be shown twice; so does one over the bound.
func (s *Store) find(kind Kind, prefix, name string) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookups.note(prefix, name)
	if newest, ok := s.byPrefix[prefix]; ok {
		for i := newest; i >= 0; i = s.blocks[i].older {
			b := &s.blocks[i]
			if at, ok := b.names.index[name]; ok {
				return b.number(at, kind)
			}
		}
	}
	full := prefix + name
	if i, ok := s.byName[full]; ok {
		if s.singles[i].kind != kind {
			return 0
		}
		return s.singles[i].id
	}
	if s.full(kind) {
		return 0
	}
	next := &s.value
	if kind == KindHistogram {
		next = &s.hist
	}
	id := *next
	*next++
	s.byName[full] = int32(len(s.singles))
	s.singles = append(s.singles, single{full, kind, id})
	return id
}

func (b *block) number(at slot, kind Kind) uint32 {
	switch {
	case at.kind != kind:
		return 0
	case kind == KindHistogram:
		return b.hist + at.at
	}
	return b.value + at.at
}

// full counts a name that finds no room.
func (s *Store) full(kind Kind) bool {
	if len(s.blocks)+len(s.singles) < s.max+int(numKinds) {
		return false
	}
	s.shared.Inc(s.overflow[kind])
	return true
}

// each calls yield for all metrics, in no order, off the mutex.
func (s *Store) each(yield func(prefix, name string, kind Kind, lazy bool, id uint32)) {
	s.mu.Lock()
	blocks, singles := s.blocks, s.singles // append only: what is there never changes
	s.mu.Unlock()
	for i := range blocks {
		b := &blocks[i]
		l := &b.names.list
		id := b.value
		emit := func(names []string, kind Kind, lazy bool) {
			for _, name := range names {
				yield(b.prefix, name, kind, lazy, id)
				id++
			}
		}
		emit(l.Gauges, KindGauge, false)
		emit(l.Counters, KindCounter, false)
		emit(l.Lazy, KindCounter, true)
		id = b.hist
		emit(l.Histograms, KindHistogram, false)
	}
	for i := range singles {
		yield("", singles[i].name, singles[i].kind, false, singles[i].id)
	}
}

// Scope implements sdk.Scope on a Store.
type Scope struct {
	store  *Store
	prefix string
}

var _ sdk.Scope = (*Scope)(nil)

// Counter implements sdk.Scope.
func (s *Scope) Counter(name string) sdk.Counter {
	return sdk.Counter{ID: s.store.find(KindCounter, s.prefix, name)}
}

// Gauge implements sdk.Scope.
func (s *Scope) Gauge(name string) sdk.Gauge {
	return sdk.Gauge{ID: s.store.find(KindGauge, s.prefix, name)}
}

// Histogram implements sdk.Scope.
func (s *Scope) Histogram(name string) sdk.Histogram {
	return sdk.Histogram{ID: s.store.find(KindHistogram, s.prefix, name)}
}

// Scope implements sdk.Scope.
func (s *Scope) Scope(name string) sdk.Scope {
	return &Scope{store: s.store, prefix: s.prefix + name + "."}
}
