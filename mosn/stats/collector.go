package stats

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// Collector sums the numbers of all loops and of Shared. Its methods may be called
// from any goroutine that is not a loop; they wait for each other.
type Collector struct {
	store  *Store
	locals []*Local
	call   func(loop int, fn func()) error

	mu       sync.Mutex
	conf     *Config
	shown    map[shownKey]bool       // what conf.matcher has said; nil when it has nothing to say
	copies   []*Local                // one a loop, and Shared's
	flushed  map[uint32]Distribution // histograms at the last flush
	interval map[uint32]Distribution // what the last interval recorded
	sent     flushed
}

// NewCollector makes a collector over the loops' locals. call must run fn on the
// goroutine that owns locals[loop] and return when fn has ended, or an error when it
// will not run.
func NewCollector(s *Store, locals []*Local, call func(loop int, fn func()) error) *Collector {
	c := &Collector{store: s, locals: locals, call: call, conf: DefaultConfig(), flushed: map[uint32]Distribution{}, interval: map[uint32]Distribution{}}
	now := time.Now()
	c.sent = flushed{start: now, at: now, counters: map[uint32]uint64{}, names: map[shownKey]sdk.StatName{}}
	for range len(locals) + 1 {
		c.copies = append(c.copies, NewLocal())
	}
	return c
}

// Configure says how metrics are shown, until then DefaultConfig's way.
func (c *Collector) Configure(conf *Config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conf, c.shown = conf, nil
	if conf.matcher != nil {
		c.shown = map[shownKey]bool{}
	}
}

// shownKey names a number: those of histograms are counted apart.
type shownKey struct {
	hist bool
	id   uint32
}

// shows reports whether stats_matcher lets a metric through. It is asked once for each.
func (c *Collector) shows(kind Kind, id uint32, prefix, name string) bool {
	if c.shown == nil {
		return true
	}
	key := shownKey{kind == KindHistogram, id}
	ok, known := c.shown[key]
	if !known {
		ok = c.conf.matcher(prefix + name)
		c.shown[key] = ok
	}
	return ok
}

// forEach runs fn for each set of numbers, on the goroutine that may write it. mu
// is held.
func (c *Collector) forEach(fn func(l, dup *Local)) error {
	for i, l := range c.locals {
		if err := c.call(i, func() { fn(l, c.copies[i]) }); err != nil {
			return fmt.Errorf("stats of loop %d: %w", i, err)
		}
	}
	c.store.shared.with(func(l *Local) { fn(l, c.copies[len(c.locals)]) })
	return nil
}

// hist sums one histogram over the copies.
func (c *Collector) hist(id uint32) Distribution {
	hists := make([]*histogram, 0, 8)
	for _, l := range c.copies {
		if id < uint32(len(l.hists)) && l.hists[id] != nil {
			hists = append(hists, l.hists[id])
		}
	}
	return merge(hists)
}

// value sums one number over the copies.
func (c *Collector) value(id uint32) (v uint64, used bool) {
	for _, l := range c.copies {
		n, u := l.values.get(id)
		v, used = v+n, used || u
	}
	return v, used
}

// Flush ends the interval over which the first quantile of each pair is taken. The
// server calls it every stats_flush_interval (5 s by default).
func (c *Collector) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.forEach((*Local).copyHists); err != nil {
		return err
	}
	c.endInterval()
	return nil
}

// endInterval works out what the histograms have more than at the end of the interval
// before.
func (c *Collector) endInterval() {
	clear(c.interval)
	for id := range c.hists() {
		now := c.hist(id)
		before := c.flushed[id]
		if now.Count == before.Count {
			continue
		}
		c.interval[id] = now.minus(before)
		c.flushed[id] = now
	}
}

// hists iterates over the numbers of the histograms that were touched anywhere.
func (c *Collector) hists() func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		longest := 0
		for _, l := range c.copies {
			longest = max(longest, len(l.hists))
		}
		for id := range uint32(longest) {
			touched := slices.ContainsFunc(c.copies, func(l *Local) bool {
				return id < uint32(len(l.hists)) && l.hists[id] != nil
			})
			if touched && !yield(id) {
				return
			}
		}
	}
}

// Reset sets all counters to zero (admin's /reset_counters).
func (c *Collector) Reset() error {
	var ids []uint32
	c.store.each(func(_, _ string, kind Kind, _ bool, id uint32) {
		if kind == KindCounter {
			ids = append(ids, id)
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forEach(func(l, _ *Local) { l.resetCounters(ids) })
}

// Filter selects metrics.
type Filter struct {
	Name     *regexp.Regexp // nil: all
	Invert   bool           // those that Name does not match
	UsedOnly bool           // only what was ever written
	Kinds    []Kind         // nil: all
}

// Metric is one number or distribution with its name.
type Metric struct {
	Name  string
	Kind  Kind
	Value uint64 // a counter's or gauge's
	// Interval and Total are a histogram's, of the last interval and since the start.
	Interval, Total Distribution
}

// metricPage is how many metrics of a view are allocated together.
const metricPage = 256

// View is a state of all metrics that a filter let through: counters and gauges by
// name, then histograms by name.
type View struct {
	Metrics []*Metric
	Texts   []Text // by name
	conf    *Config
}

// Scrape takes a view. The loops' numbers are from slightly different moments; a
// gauge whose sum is negative for that reason is shown as 0.
func (c *Collector) Scrape(f Filter) (*View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.forEach((*Local).copyTo); err != nil {
		return nil, err
	}
	v := &View{Texts: c.store.readouts(f), conf: c.conf}
	var page []Metric
	c.store.each(func(prefix, name string, kind Kind, lazy bool, id uint32) {
		if f.Kinds != nil && !slices.Contains(f.Kinds, kind) {
			return
		}
		m := Metric{Kind: kind}
		var used bool
		if kind == KindHistogram {
			m.Total, m.Interval = c.hist(id), c.interval[id]
			used = m.Total.Count > 0
		} else {
			m.Value, used = c.value(id)
			if n := int64(m.Value); kind == KindGauge && n < 0 && n > -1<<32 { // below are hashes, such as "version"
				m.Value = 0
			}
		}
		if !used && (lazy || f.UsedOnly) || !c.shows(kind, id, prefix, name) {
			return
		}
		m.Name = prefix + name
		if f.Name == nil || f.Name.MatchString(m.Name) != f.Invert {
			// In pages: the runtime does not interrupt the clearing or moving of one large
			// array, and until it is done a loop cannot go on after a collection's pause.
			if len(page) == cap(page) {
				page = make([]Metric, 0, metricPage)
			}
			page = append(page, m)
			v.Metrics = append(v.Metrics, &page[len(page)-1])
		}
	})
	slices.SortFunc(v.Metrics, func(a, b *Metric) int {
		if ah, bh := a.Kind == KindHistogram, b.Kind == KindHistogram; ah != bh {
			if bh {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return v, nil
}

// Value returns a counter or gauge of the view; ok is false when it is not there.
func (v *View) Value(name string) (value uint64, ok bool) {
	for _, m := range v.Metrics {
		if m.Name == name && m.Kind != KindHistogram {
			return m.Value, true
		}
	}
	return 0, false
}
