package stats

import (
	"slices"
	"strings"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// flushed is what the collector remembers of the last snapshot.
type flushed struct {
	start, at time.Time
	counters  map[uint32]uint64
	names     map[shownKey]sdk.StatName // made once: names are many and change seldom
}

// Snapshot ends the interval as Flush does and returns what sinks get: the metrics that
// were ever written, with what has come since the snapshot before. now is the time of day.
func (c *Collector) Snapshot(now time.Time) (*sdk.StatsSnapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.forEach((*Local).copyTo); err != nil {
		return nil, err
	}
	c.endInterval()
	f := &c.sent
	s := &sdk.StatsSnapshot{Time: now, Since: f.at, Start: f.start}
	f.at = now
	c.store.each(func(prefix, name string, kind Kind, _ bool, id uint32) {
		if kind == KindHistogram {
			total := c.hist(id)
			if total.Count > 0 && c.shows(kind, id, prefix, name) {
				h := sdk.StatHistogram{StatName: c.statName(kind, id, prefix, name)}
				h.Bounds = c.conf.bounds(h.Full)
				h.Interval, h.Total = c.interval[id].export(h.Bounds), total.export(h.Bounds)
				s.Histograms = append(s.Histograms, h)
			}
			return
		}
		v, used := c.value(id)
		if !used || !c.shows(kind, id, prefix, name) {
			return
		}
		stat := sdk.Stat{StatName: c.statName(kind, id, prefix, name), Value: v}
		if kind == KindGauge {
			stat.Value = uint64(max(int64(v), 0))
			s.Gauges = append(s.Gauges, stat)
			return
		}
		before := f.counters[id]
		if before > v { // it was set to zero in between
			before = 0
		}
		stat.Delta, f.counters[id] = v-before, v
		s.Counters = append(s.Counters, stat)
	})
	byName := func(a, b sdk.Stat) int { return strings.Compare(a.Full, b.Full) }
	slices.SortFunc(s.Counters, byName)
	slices.SortFunc(s.Gauges, byName)
	slices.SortFunc(s.Histograms, func(a, b sdk.StatHistogram) int { return strings.Compare(a.Full, b.Full) })
	return s, nil
}

func (c *Collector) statName(kind Kind, id uint32, prefix, name string) sdk.StatName {
	key := shownKey{kind == KindHistogram, id}
	n, known := c.sent.names[key]
	if !known {
		n.Full = prefix + name
		n.Common, n.Tags = c.conf.tags.extract(n.Full)
		c.sent.names[key] = n
	}
	return n
}

func (d Distribution) export(bounds []float64) sdk.StatDistribution {
	out := sdk.StatDistribution{
		Count: d.Count, Sum: float64(d.Sum), AtMost: d.upTo(bounds), Buckets: make([]sdk.StatBucket, len(d.buckets)),
	}
	for i, b := range d.buckets {
		left, width := bucketBounds(b.bucket)
		out.Buckets[i] = sdk.StatBucket{Lower: left, Width: width, Count: b.count}
	}
	return out
}
