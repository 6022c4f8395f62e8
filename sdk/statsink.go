package sdk

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
)

// StatsSink is something that gets the numbers of the proxy from time to time, as an
// extension: exported by its package as a value and listed in builtin.
type StatsSink struct {
	Name    string        // Envoy's name: "envoy.stat_sinks.statsd"
	Config  proto.Message // the type of typed_config, as an empty message
	Fields  FieldStatus
	Compile func(Compiler, proto.Message) (StatsFlusher, error)
}

// StatsFlusher sends snapshots somewhere. Its methods are called by one goroutine of the
// server, one after the other.
type StatsFlusher interface {
	// Flush sends a snapshot, which it must not change. It comes back when ctx is done at
	// the latest; an error is counted, and the snapshot is lost.
	Flush(ctx context.Context, s *StatsSnapshot) error
	// Close comes once, after the last Flush.
	Close()
}

// StatsSnapshot is the state of the metrics that were ever written. Names are in order.
// It is read-only, shared by the sinks, and theirs for the time of Flush alone.
type StatsSnapshot struct {
	Time       time.Time // of this snapshot
	Since      time.Time // of the one before, or of the start of the proxy
	Start      time.Time // of the proxy
	Counters   []Stat
	Gauges     []Stat
	Histograms []StatHistogram
}

// StatTag is a variable part of a name, under Envoy's name of it ("envoy.cluster_name").
type StatTag struct{ Name, Value string }

// StatName is what a metric is called.
type StatName struct {
	Full   string    // "cluster.up.upstream_rq_total"
	Common string    // without the parts that are tags: "cluster.upstream_rq_total"
	Tags   []StatTag // shared, read-only
}

// Stat is a counter or gauge.
type Stat struct {
	StatName
	Value uint64
	Delta uint64 // of a counter, since the snapshot before
}

// StatHistogram is a distribution.
type StatHistogram struct {
	StatName
	Bounds          []float64        // of the buckets that the configuration asks for; shared, read-only
	Interval, Total StatDistribution // since the snapshot before, and since the start
}

// StatDistribution is how often which values were seen, in Envoy's buckets.
type StatDistribution struct {
	Count   uint64
	Sum     float64
	AtMost  []uint64     // how many are at most each of Bounds
	Buckets []StatBucket // those in which values are kept and that are not empty, ascending
}

// StatBucket is a range of values, Width wide from Lower on.
type StatBucket struct {
	Lower, Width float64
	Count        uint64
}
