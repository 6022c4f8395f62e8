package stats

import "sofamesh.io/sofamesh/sdk"

// Kind says what a metric is.
type Kind uint8

// The kinds.
const (
	KindCounter Kind = iota
	KindGauge
	KindHistogram
	numKinds
)

// List is the names of the metrics that all objects of one kind have, without the
// object's prefix.
type List struct {
	// Gauges come first in memory. Those that are always set ("membership_total")
	// stand best at the front: they share a chunk.
	Gauges   []string
	Counters []string
	// Lazy counters are not shown before their first increment, as those that Envoy
	// makes on first use ("upstream_rq_200").
	Lazy       []string
	Histograms []string
}

// Names is a List made ready. It is immutable; make one per kind of object and
// share it.
type Names struct {
	list  List
	index map[string]slot
}

// slot is a place within a block.
type slot struct {
	kind Kind
	at   uint32
}

// NewNames copies nothing of l: its slices must not change afterwards. A name that
// occurs twice is a mistake of the caller and panics.
func NewNames(l List) *Names {
	n := &Names{list: l, index: make(map[string]slot, len(l.Gauges)+len(l.Counters)+len(l.Lazy)+len(l.Histograms))}
	at := uint32(0)
	add := func(kind Kind, names []string) {
		for _, name := range names {
			if _, dup := n.index[name]; dup {
				panic("stats: name listed twice: " + name)
			}
			n.index[name] = slot{kind, at}
			at++
		}
	}
	add(KindGauge, l.Gauges)
	add(KindCounter, l.Counters)
	add(KindCounter, l.Lazy)
	at = 0
	add(KindHistogram, l.Histograms)
	return n
}

// values is the number of slots that hold a single number.
func (n *Names) values() uint32 {
	return uint32(len(n.list.Gauges) + len(n.list.Counters) + len(n.list.Lazy))
}

func (n *Names) firstCounter() int { return len(n.list.Gauges) }

func (n *Names) firstLazy() int { return len(n.list.Gauges) + len(n.list.Counters) }

// Block is the metrics of one object. It is a small value; its methods take the
// index of a name within the List's slice and may be called anywhere, also on the
// request path.
type Block struct {
	names       *Names
	value, hist uint32
	ids         []uint32 // of a scope that is not ours: values, then histograms
}

// Gauge returns the handle of List.Gauges[i].
func (b Block) Gauge(i int) sdk.Gauge { return sdk.Gauge{ID: b.at(i)} }

// Counter returns the handle of List.Counters[i].
func (b Block) Counter(i int) sdk.Counter { return sdk.Counter{ID: b.at(b.names.firstCounter() + i)} }

// Lazy returns the handle of List.Lazy[i].
func (b Block) Lazy(i int) sdk.Counter { return sdk.Counter{ID: b.at(b.names.firstLazy() + i)} }

// Histogram returns the handle of List.Histograms[i].
func (b Block) Histogram(i int) sdk.Histogram {
	switch {
	case b.ids != nil:
		return sdk.Histogram{ID: b.ids[int(b.names.values())+i]}
	case b.hist == 0:
		return sdk.Histogram{}
	}
	return sdk.Histogram{ID: b.hist + uint32(i)}
}

func (b Block) at(i int) uint32 {
	switch {
	case b.ids != nil:
		return b.ids[i]
	case b.value == 0: // the store was full
		return 0
	}
	return b.value + uint32(i)
}

// BlockOf returns the block of all names of n in a scope. Asking twice gives the
// same handles. A scope that is not of this package (a test's) is asked for each
// name.
func BlockOf(s sdk.Scope, n *Names) Block {
	if ours, ok := s.(*Scope); ok {
		return ours.store.block(ours.prefix, n)
	}
	b := Block{names: n}
	for _, name := range n.list.Gauges {
		b.ids = append(b.ids, s.Gauge(name).ID)
	}
	for _, names := range [][]string{n.list.Counters, n.list.Lazy} {
		for _, name := range names {
			b.ids = append(b.ids, s.Counter(name).ID)
		}
	}
	for _, name := range n.list.Histograms {
		b.ids = append(b.ids, s.Histogram(name).ID)
	}
	return b
}
