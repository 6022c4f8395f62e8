package route

import (
	"fmt"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// StatNames are the stat names that virtual clusters and routes with a stat_prefix have,
// made once and shared by all.
type StatNames struct {
	names *stats.Names
	codes *stats.Codes
}

// RequestStat is a counter of a virtual cluster or a route.
type RequestStat int

// The counters.
const (
	RqTotal RequestStat = iota
	RqTimeout
	RqRetry
	RqRetryLimitExceeded
	RqRetryOverflow
	RqRetrySuccess
)

// NewStatNames returns the names.
func NewStatNames() *StatNames {
	n := &StatNames{codes: stats.NewCodes()}
	n.names = stats.NewNames(stats.List{
		Counters: []string{
			"upstream_rq_total", "upstream_rq_timeout", "upstream_rq_retry", "upstream_rq_retry_limit_exceeded",
			"upstream_rq_retry_overflow", "upstream_rq_retry_success",
		},
		Lazy:       append(n.codes.Names("upstream_rq_"), "upstream_rq_completed"),
		Histograms: []string{"upstream_rq_time"},
	})
	return n
}

// RequestStats are the handles of one virtual cluster or route. They are immutable; nil
// counts nothing.
type RequestStats struct {
	names *StatNames
	block stats.Block
	done  sdk.Counter
}

// statsOf makes the handles of "vhost.<virtual host>.<kind>.<name>", nil where nobody
// counts.
func (cc *compiler) statsOf(kind, name string) *RequestStats {
	if cc.stats.Scope == nil {
		return nil
	}
	n := cc.stats.Names
	b := stats.BlockOf(cc.stats.Scope.Scope("vhost."+cc.vh.Name+"."+kind+"."+name), n.names)
	return &RequestStats{names: n, block: b, done: b.Lazy(len(n.codes.Names("")))}
}

// Inc adds 1 to a counter.
func (s *RequestStats) Inc(l *stats.Local, k RequestStat) {
	if s != nil {
		l.Inc(s.block.Counter(int(k)))
	}
}

// Code counts a response.
func (s *RequestStats) Code(l *stats.Local, code int) {
	if s == nil {
		return
	}
	l.Inc(s.done)
	if i, ok := s.names.codes.Class(code); ok {
		l.Inc(s.block.Lazy(i))
	}
	if i, ok := s.names.codes.Code(code); ok {
		l.Inc(s.block.Lazy(i))
	}
}

// Time records how long a request took, in milliseconds.
func (s *RequestStats) Time(l *stats.Local, ms uint64) {
	if s != nil {
		l.Observe(s.block.Histogram(0), ms)
	}
}

// virtualCluster is a compiled envoy.config.route.v3.VirtualCluster.
type virtualCluster struct {
	headers match.Headers
	stats   *RequestStats
}

func (cc *compiler) virtualClusters(c sdk.Compiler, pbs []*routev3.VirtualCluster) error {
	vh := cc.vh
	for i, pb := range pbs {
		at := c.At(fmt.Sprintf("virtual_clusters[%d]", i))
		if len(pb.GetHeaders()) == 0 {
			return at.Errorf("virtual clusters must define 'headers'")
		}
		headers, err := match.CompileHeaders(at, "headers", pb.GetHeaders())
		if err != nil {
			return err
		}
		vh.virtual = append(vh.virtual, virtualCluster{headers, cc.statsOf("vcluster", pb.GetName())})
	}
	if len(pbs) > 0 {
		vh.other = cc.statsOf("vcluster", "other")
	}
	return nil
}

// VirtualCluster returns the stats of the first virtual cluster that a request belongs to,
// else those of all others; nil when there are no virtual clusters.
func (vh *VirtualHost) VirtualCluster(h *sdk.Headers) *RequestStats {
	for i := range vh.virtual {
		if vh.virtual[i].headers.Match(h) {
			return vh.virtual[i].stats
		}
	}
	return vh.other
}
