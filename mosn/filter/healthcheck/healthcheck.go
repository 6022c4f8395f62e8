// Package healthcheck is envoy.filters.http.health_check: it answers those who ask whether
// this proxy is well, or remembers for a while what the server behind it has answered.
//
// A compiled filter is shared by all loops, and so is the answer that it remembers: one
// word, swapped at once. What it keeps of a stream belongs to that stream's loop. Nothing
// that is sent with a question is held. Of RPC, questions are told by what its codec shows
// as headers; the answer is a result or an exception, and gets no headers.
package healthcheck

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	checkv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// Filter returns the extension.
func Filter() *sdk.HTTPFilter {
	return &sdk.HTTPFilter{
		Name:   "envoy.filters.http.health_check",
		Config: &checkv3.HealthCheck{},
		Fields: fields.Join(
			fields.Message("envoy.extensions.filters.http.health_check.v3.HealthCheck",
				fields.Supported("pass_through_mode", "cache_time", "cluster_min_healthy_percentages", "headers")),
			fields.Message("envoy.type.v3.Percent", fields.Supported("value")),
		),
		Compile: compile,
	}
}

// filter is the compiled filter, and the one that all its streams share.
type filter struct {
	sdk.PassThrough
	node    string // the cluster of this proxy
	match   match.Headers
	pass    bool // the server is asked
	cache   *cache
	minimum []minimum
	counted counters
}

// counters are Envoy's, below http.<stat_prefix>.health_check.
type counters struct {
	total, ok, failed, cached, degraded             sdk.Counter
	clusterNotFound, clusterEmpty, clusterUnhealthy sdk.Counter
}

func newCounters(s sdk.Scope) counters {
	return counters{
		total: s.Counter("request_total"), ok: s.Counter("ok"), failed: s.Counter("failed"),
		cached: s.Counter("cached_response"), degraded: s.Counter("degraded"),
		clusterNotFound: s.Counter("failed_cluster_not_found"), clusterEmpty: s.Counter("failed_cluster_empty"),
		clusterUnhealthy: s.Counter("failed_cluster_unhealthy"),
	}
}

// minimum is how many percent of a cluster's hosts have to be available.
type minimum struct {
	cluster string
	percent int
}

func compile(c sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
	pb := m.(*checkv3.HealthCheck)
	f := &filter{pass: pb.GetPassThroughMode().GetValue(), counted: newCounters(c.Stats().Scope("health_check"))}
	if h, ok := c.(interface{ Node() *corev3.Node }); ok {
		f.node = h.Node().GetCluster()
	}
	var err error
	if f.match, err = match.CompileHeaders(c, "headers", pb.GetHeaders()); err != nil {
		return nil, err
	}
	if d := pb.GetCacheTime().AsDuration().Truncate(time.Millisecond); d > 0 {
		if !f.pass {
			return nil, c.At("cache_time").Errorf("must not be set when pass_through_mode is off")
		}
		f.cache = &cache{period: d}
	}
	if f.pass {
		return f, nil // the minima are for answers of our own
	}
	pbs := pb.GetClusterMinHealthyPercentages()
	for _, name := range slices.Sorted(maps.Keys(pbs)) {
		if !c.Cluster(name) {
			c.At(fmt.Sprintf("cluster_min_healthy_percentages[%q]", name)).Warnf("there is no such cluster, so that health checks fail")
		}
		f.minimum = append(f.minimum, minimum{name, int(pbs[name].GetValue())})
	}
	return f, nil
}

// New implements sdk.HTTPConfig.
func (f *filter) New(sdk.Stream) sdk.Filter { return f }

// Close implements sdk.HTTPConfig.
func (f *filter) Close() {}

// check is what is kept of a stream.
type check struct {
	asked bool // it asks for the health
	ours  bool // and we answer
}

// OnRequestHeaders implements sdk.Filter.
func (f *filter) OnRequestHeaders(s sdk.Stream, end bool) sdk.Action {
	if !f.match.Match(s.Request()) {
		return sdk.Continue
	}
	s.Info().HealthCheck = true
	c := sdk.State[check](s)
	c.asked = true
	if c.ours = !f.pass || s.Failing() || f.cache.valid(s.Now()); !c.ours {
		return sdk.Continue
	}
	if !end {
		return sdk.Collect
	}
	return f.answer(s)
}

// OnRequestData implements sdk.Filter.
func (f *filter) OnRequestData(s sdk.Stream, data *sdk.Buffer, end bool) sdk.Action {
	if !sdk.State[check](s).ours {
		return sdk.Continue
	}
	data.Release()
	if !end {
		return sdk.Collect
	}
	return f.answer(s)
}

// OnRequestTrailers implements sdk.Filter.
func (f *filter) OnRequestTrailers(s sdk.Stream) sdk.Action {
	if !sdk.State[check](s).ours {
		return sdk.Continue
	}
	return f.answer(s)
}

func (f *filter) answer(s sdk.Stream) sdk.Action {
	r := sdk.Reply{Status: 200, Details: "health_check_ok"}
	s.Inc(f.counted.total)
	switch {
	case s.Failing():
		r.Status, r.Details = 503, "health_check_failed"
	case f.cache != nil:
		var degraded bool
		r.Status, degraded = f.cache.last()
		r.Details = "health_check_cached"
		s.Inc(f.counted.cached)
		if degraded {
			s.Inc(f.counted.degraded)
			r.Edit = setDegraded
		}
	case len(f.minimum) > 0:
		r.Details = f.clusters(s)
		if r.Details != healthy {
			r.Status = 503
		}
	}
	outcome := f.counted.ok
	if r.Status/100 != 2 {
		r.Flag, outcome = sdk.FlagFailedLocalHealthCheck, f.counted.failed
	}
	s.Inc(outcome)
	s.Reply(r)
	return sdk.Replied
}

// degradedHeader is how a server says that it is asked as a last resort only.
const degradedHeader = "x-envoy-degraded"

func setDegraded(h *sdk.Headers) { h.Set(degradedHeader, "") }

const healthy = "health_check_ok_cluster_healthy"

// clusters returns what is to say of the first cluster that has too few hosts, or that
// there is none.
func (f *filter) clusters(s sdk.Stream) (details string) {
	for _, min := range f.minimum {
		m, ok := s.Members(min.cluster)
		switch {
		case !ok:
			s.Inc(f.counted.clusterNotFound)
			return "health_check_failed_no_cluster_found"
		case m.Total == 0 && min.percent > 0:
			s.Inc(f.counted.clusterEmpty)
			return "health_check_failed_cluster_empty"
		case 100*(m.Healthy+m.Degraded) < m.Total*min.percent:
			s.Inc(f.counted.clusterUnhealthy)
			return "health_check_failed_cluster_unhealthy"
		}
	}
	return healthy
}

// OnResponseHeaders implements sdk.Filter.
func (f *filter) OnResponseHeaders(s sdk.Stream, _ bool) sdk.Action {
	asked, h := sdk.State[check](s).asked, s.Response()
	if asked && f.cache != nil {
		f.cache.set(s.Now(), h.Status(), h.Has(degradedHeader))
	}
	if s.Info().Protocol == sdk.RPC {
		return sdk.Continue
	}
	if asked {
		h.SetID(sdk.HeaderEnvoyUpstreamHealthCheckedCluster, f.node)
	}
	if s.Failing() {
		h.SetID(sdk.HeaderEnvoyImmediateHealthCheckFail, "true")
	}
	return sdk.Continue
}

// cache is the last answer: as in Envoy it is forgotten at the end of each period,
// whenever in it the answer came. A nil cache has none.
type cache struct {
	period time.Duration
	// word is the number of the period of the answer (0 for none), whether it was
	// degraded, and its status.
	word atomic.Uint64
}

const (
	statusBits = 16
	degraded   = 1 << statusBits
	periodAt   = statusBits + 1
)

func (c *cache) at(now time.Duration) uint64 { return uint64(now/c.period) + 1 }

func (c *cache) valid(now time.Duration) bool {
	return c != nil && c.word.Load()>>periodAt == c.at(now)
}

func (c *cache) last() (status int, isDegraded bool) {
	w := c.word.Load()
	return int(w & (degraded - 1)), w&degraded != 0
}

func (c *cache) set(now time.Duration, status int, isDegraded bool) {
	w := c.at(now)<<periodAt | uint64(status)
	if isDegraded {
		w |= degraded
	}
	c.word.Store(w)
}
