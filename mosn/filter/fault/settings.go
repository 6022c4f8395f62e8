package fault

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

// settings is the configuration of a chain or a route.
type settings struct {
	delay, abort, limit *fault // nil: not of this kind
	body                string // of an abort
	cluster             string // "" for any
	nodes               []string
	headers             match.Headers
	maxActive           uint64
	noClusterStats      bool
	keys                keys
	metadata            sdk.Value // to be told when there was a delay or an abort; missing for nothing
}

// tell writes the metadata, under the filter's name in its chain.
func (set *settings) tell(s sdk.Stream) { s.Info().Dynamic.Merge(s.FilterName(), set.metadata) }

// fault is one kind of fault: how often, and how much, by the configuration or by a
// header of the request.
type fault struct {
	share       runtime.Fraction
	value       uint64 // milliseconds, a status, KiB a second
	grpc        bool   // the status is gRPC's
	header      string // that says the value, instead
	shareHeader string // that may make the share smaller
}

// keys are those of the runtime.
type keys struct {
	delayPercent, delayDuration, abortPercent, abortHTTP, abortGRPC, maxActive, limitPercent string
}

func metadataOf(pb *faultv3.HTTPFault) (v sdk.Value) {
	if pb.GetFilterMetadata() != nil {
		v = sdk.StructOf(pb.GetFilterMetadata())
	}
	return v
}

func compile(c sdk.Compiler, pb *faultv3.HTTPFault) (*settings, error) {
	set := &settings{
		metadata: metadataOf(pb),
		cluster:  pb.GetUpstreamCluster(), nodes: pb.GetDownstreamNodes(), maxActive: math.MaxUint64,
		body: "fault filter abort", noClusterStats: pb.GetDisableDownstreamClusterStats(),
		keys: keys{
			delayPercent:  cmp.Or(pb.GetDelayPercentRuntime(), "fault.http.delay.fixed_delay_percent"),
			delayDuration: cmp.Or(pb.GetDelayDurationRuntime(), "fault.http.delay.fixed_duration_ms"),
			abortPercent:  cmp.Or(pb.GetAbortPercentRuntime(), "fault.http.abort.abort_percent"),
			abortHTTP:     cmp.Or(pb.GetAbortHttpStatusRuntime(), "fault.http.abort.http_status"),
			abortGRPC:     cmp.Or(pb.GetAbortGrpcStatusRuntime(), "fault.http.abort.grpc_status"),
			maxActive:     cmp.Or(pb.GetMaxActiveFaultsRuntime(), "fault.http.max_active_faults"),
			limitPercent:  cmp.Or(pb.GetResponseRateLimitPercentRuntime(), "fault.http.rate_limit.response_percent"),
		},
	}
	if n := pb.GetMaxActiveFaults(); n != nil {
		set.maxActive = uint64(n.GetValue())
	}
	var err error
	if set.headers, err = match.CompileHeaders(c, "headers", pb.GetHeaders()); err != nil {
		return nil, err
	}
	if d := pb.GetDelay(); d != nil {
		set.delay = newFault(d.GetPercentage())
		if _, ok := d.GetFaultDelaySecifier().(*commonv3.FaultDelay_HeaderDelay_); ok {
			set.delay.header, set.delay.shareHeader = "x-envoy-fault-delay-request", "x-envoy-fault-delay-request-percentage"
		}
		set.delay.value = uint64(d.GetFixedDelay().AsDuration() / time.Millisecond)
	}
	if l := pb.GetResponseRateLimit(); l != nil {
		set.limit = newFault(l.GetPercentage())
		if _, ok := l.GetLimitType().(*commonv3.FaultRateLimit_HeaderLimit_); ok {
			set.limit.header, set.limit.shareHeader = "x-envoy-fault-throughput-response", "x-envoy-fault-throughput-response-percentage"
		}
		set.limit.value = l.GetFixedLimit().GetLimitKbps()
	}
	if a := pb.GetAbort(); a != nil {
		set.abort = newFault(a.GetPercentage())
		switch t := a.GetErrorType().(type) {
		case *faultv3.FaultAbort_HttpStatus:
			set.abort.value = uint64(t.HttpStatus)
		case *faultv3.FaultAbort_GrpcStatus:
			set.abort.value, set.abort.grpc = uint64(t.GrpcStatus), true
		case *faultv3.FaultAbort_HeaderAbort_:
			set.abort.header, set.abort.shareHeader = "x-envoy-fault-abort-request", "x-envoy-fault-abort-request-percentage"
		}
		set.body = cmp.Or(a.GetResponseBody(), set.body)
	}
	return set, nil
}

func newFault(share *typev3.FractionalPercent) *fault {
	return &fault{share: runtime.CompilePercent("", share)}
}

// idle reports whether there are no faults.
func (set *settings) idle() bool { return set.delay == nil && set.abort == nil && set.limit == nil }

// matches reports whether the faults are for such requests.
func (set *settings) matches(s sdk.Stream) bool {
	if set.cluster != "" {
		if name, _ := s.Cluster(); name != set.cluster {
			return false
		}
	}
	h := s.Request()
	return (len(set.nodes) == 0 || slices.Contains(set.nodes, h.ID(sdk.HeaderEnvoyDownstreamServiceNode))) && set.headers.Match(h)
}

// number reads the first value of a header as a whole number up to most.
func number(h *sdk.Headers, name string, most uint64) (n uint64, ok bool) {
	v, _ := h.Get(name)
	for i := range len(v) {
		d := uint64(v[i] - '0')
		if d > 9 || n > (most-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, v != ""
}

// maxClusters is for how many clusters of callers faults are counted apart. Their names
// come with requests; where Envoy's memory grows with what clients make up, faults for
// more of them are counted in sum alone.
const maxClusters = 256

// stats are what the filter counts.
type stats struct {
	aborts, delays, limits, overflow sdk.Counter
	active                           sdk.Gauge
	scope                            sdk.Scope
	callers                          *callers
}

type callers struct {
	mu    sync.Mutex
	known map[string]bool
}

func newStats(scope sdk.Scope) stats {
	return stats{
		aborts: scope.Counter("aborts_injected"), delays: scope.Counter("delays_injected"),
		limits: scope.Counter("response_rl_injected"), overflow: scope.Counter("faults_overflow"),
		active: scope.Gauge("active_faults"), scope: scope, callers: &callers{known: map[string]bool{}},
	}
}

// count counts a fault for the cluster that the request says it comes from. It takes
// locks: faults are rare enough.
func (st *stats) count(s sdk.Stream, set *settings, name string) {
	cluster := s.Request().ID(sdk.HeaderEnvoyDownstreamServiceCluster)
	if cluster != "" && !set.noClusterStats && st.callers.admit(cluster) {
		s.Inc(st.scope.Scope(cluster).Counter(name))
	}
}

func (c *callers) admit(cluster string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[cluster] {
		return true
	}
	if len(c.known) == maxClusters || len(cluster) > maxClusterName {
		return false
	}
	c.known[string([]byte(cluster))] = true // a copy: the name is the request's
	return true
}

// maxClusterName is the longest name that is counted.
const maxClusterName = 128
