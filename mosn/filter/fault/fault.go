// Package fault is envoy.filters.http.fault: it delays requests, answers them with
// errors and slows responses down, to see what callers make of that.
//
// A compiled filter is shared by all loops: what they share of it is the number of
// faults that are under way, an atomic, for max_active_faults. Several filters of one
// connection manager are counted together by Envoy and apart by us. What a fault keeps
// of a stream belongs to that stream's loop.
//
// RPC: a call is delayed and aborted like a request. The abort is an error of its own
// protocol with the configured text; which, its codec chooses by the HTTP status. A
// one-way call that is aborted is dropped. Headers that control faults are those that
// the codec shows. A response is slowed by the bytes of its body.
package fault

import (
	"math"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// details is Envoy's %RESPONSE_CODE_DETAILS% of an aborted request.
const details = "fault_filter_abort"

// Filter returns the extension.
func Filter() *sdk.HTTPFilter {
	const own, common = "envoy.extensions.filters.http.fault.v3.", "envoy.extensions.filters.common.fault.v3."
	return &sdk.HTTPFilter{
		Name:   "envoy.filters.http.fault",
		Config: &faultv3.HTTPFault{},
		Route:  &faultv3.HTTPFault{},
		Fields: fields.Join(
			fields.Message(own+"HTTPFault",
				fields.Supported("delay", "abort", "upstream_cluster", "headers", "downstream_nodes", "max_active_faults",
					"response_rate_limit", "delay_percent_runtime", "abort_percent_runtime", "delay_duration_runtime",
					"abort_http_status_runtime", "max_active_faults_runtime", "response_rate_limit_percent_runtime",
					"abort_grpc_status_runtime", "disable_downstream_cluster_stats",
					"filter_metadata")),
			fields.Message(own+"FaultAbort",
				fields.Supported("http_status", "grpc_status", "header_abort", "percentage", "response_body")),
			fields.Message(common+"FaultDelay", fields.Supported("fixed_delay", "header_delay", "percentage")),
			fields.Message(common+"FaultRateLimit", fields.Supported("fixed_limit", "header_limit", "percentage")),
			fields.Message(common+"FaultRateLimit.FixedLimit", fields.Supported("limit_kbps")),
		),
		Compile: func(c sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
			f := &filter{stats: newStats(c.Stats().Scope("fault")), runtime: runtime.Of(c)}
			var err error
			f.settings, err = compile(c, m.(*faultv3.HTTPFault))
			return f, err
		},
		CompileRoute: func(c sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			return compile(c, m.(*faultv3.HTTPFault))
		},
	}
}

// filter is the compiled filter, and the one that all its streams share.
type filter struct {
	sdk.PassThrough
	settings *settings // where the route has none
	stats    stats
	runtime  *runtime.Values
	active   atomic.Int64
}

// New implements sdk.HTTPConfig.
func (f *filter) New(sdk.Stream) sdk.Filter { return f }

// Close implements sdk.HTTPConfig.
func (f *filter) Close() {}

// call is what is kept of a stream.
type call struct {
	active  bool // it is among the faults under way
	limiter limiter
}

// OnRequestHeaders implements sdk.Filter.
func (f *filter) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action {
	set := f.settings
	if r, ok := s.RouteConfig().(*settings); ok {
		set = r
	}
	if set.idle() || !set.matches(s) {
		return sdk.Continue
	}
	c := sdk.State[call](s)
	d := draw{f, set, s, s.Request().HasID(sdk.HeaderEnvoyDownstreamServiceCluster)}
	if rate := d.rate(); rate > 0 && f.begin(s, c, set) {
		s.Inc(f.stats.limits)
		c.limiter.start(rate, s.Now())
	}
	if delay := d.delay(); delay > 0 && f.begin(s, c, set) {
		s.Inc(f.stats.delays)
		f.stats.count(s, set, "delays_injected")
		s.Info().Flags |= sdk.FlagDelayInjected
		set.tell(s)
		f.wait(s, c, d, delay)
		return sdk.Pause
	}
	if r, ok := d.abort(); ok && f.begin(s, c, set) {
		f.abort(s, set, r)
		return sdk.Replied
	}
	return sdk.Continue
}

func (f *filter) wait(s sdk.Stream, c *call, d draw, delay time.Duration) {
	s.After(delay, func() { f.delayed(s, c, d) })
}

// delayed goes on after a delay.
func (f *filter) delayed(s sdk.Stream, c *call, d draw) {
	if r, ok := d.abort(); ok {
		f.abort(s, d.set, r)
		return
	}
	if d.set.limit == nil {
		f.end(s, c)
	}
	s.ResumeRequest()
}

func (f *filter) abort(s sdk.Stream, set *settings, r sdk.Reply) {
	s.Inc(f.stats.aborts)
	f.stats.count(s, set, "aborts_injected")
	set.tell(s)
	s.Reply(r)
}

// begin counts the stream among the faults that are under way, unless there are too many.
func (f *filter) begin(s sdk.Stream, c *call, set *settings) bool {
	if c.active {
		return true
	}
	most := f.runtime.Uint(set.keys.maxActive, set.maxActive)
	for {
		n := f.active.Load()
		if uint64(n) >= most {
			s.Inc(f.stats.overflow)
			return false
		}
		if f.active.CompareAndSwap(n, n+1) {
			break
		}
	}
	c.active = true
	s.AddGauge(f.stats.active, 1)
	return true
}

func (f *filter) end(s sdk.Stream, c *call) {
	if c.active {
		c.active = false
		f.active.Add(-1)
		s.AddGauge(f.stats.active, -1)
	}
}

// OnResponseData implements sdk.Filter.
func (f *filter) OnResponseData(s sdk.Stream, data *sdk.Buffer, _ bool) sdk.Action {
	c := sdk.State[call](s)
	if c.limiter.rate == 0 || data.Empty() {
		return sdk.Continue
	}
	s.After(0, func() { c.limiter.release(s) })
	return sdk.Pause
}

// OnEnd implements sdk.Filter.
func (f *filter) OnEnd(s sdk.Stream) { f.end(s, sdk.State[call](s)) }

// draw is the decisions for one request.
type draw struct {
	f      *filter
	set    *settings
	s      sdk.Stream
	caller bool // it says which cluster it comes from, for which the runtime has keys
}

// key returns the runtime key: that of the caller's cluster instead of the common one,
// if it says where it comes from.
func (d *draw) key(common, of string) string {
	if !d.caller || d.f.runtime.Keys() == 0 {
		return common
	}
	return "fault.http." + d.s.Request().ID(sdk.HeaderEnvoyDownstreamServiceCluster) + "." + of
}

// happens draws with the share that the configuration, a header or the runtime says.
func (d *draw) happens(share runtime.Fraction, header, key, of string) bool {
	if header != "" {
		if n, ok := number(d.s.Request(), header, math.MaxUint32); ok {
			share.Numerator = min(uint32(n), share.Numerator)
		}
	}
	share.Key = d.key(key, of)
	return share.Enabled(d.f.runtime, d.s.Random())
}

// delay returns how long the request is delayed, 0 for not at all.
func (d *draw) delay() time.Duration {
	t := d.set.delay
	if t == nil || !d.happens(t.share, t.shareHeader, d.set.keys.delayPercent, "delay.fixed_delay_percent") {
		return 0
	}
	ms := t.value
	if t.header != "" {
		var ok bool
		if ms, ok = number(d.s.Request(), t.header, math.MaxInt64/uint64(time.Millisecond)); !ok {
			return 0
		}
	}
	ms = d.f.runtime.Uint(d.set.keys.delayDuration, ms)
	if d.caller {
		ms = d.f.runtime.Uint(d.key("", "delay.fixed_duration_ms"), ms)
	}
	return time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
}

// rate returns the bytes a second at which the response goes, 0 for as it comes.
func (d *draw) rate() uint64 {
	t := d.set.limit
	if t == nil || !d.happens(t.share, t.shareHeader, d.set.keys.limitPercent, "") {
		return 0
	}
	kib := t.value
	if t.header != "" {
		kib, _ = number(d.s.Request(), t.header, math.MaxInt64/1024)
	}
	return min(kib, math.MaxInt64/1024) * 1024
}

// abort returns the answer of a request that is aborted.
func (d *draw) abort() (r sdk.Reply, ok bool) {
	t := d.set.abort
	if t == nil || !d.happens(t.share, t.shareHeader, d.set.keys.abortPercent, "abort.abort_percent") {
		return r, false
	}
	r = sdk.Reply{Body: d.set.body, Details: details, Flag: sdk.FlagFaultInjected}
	status, isHTTP := t.value, !t.grpc
	grpcStatus, isGRPC := t.value, t.grpc
	if t.header != "" {
		status, isHTTP = number(d.s.Request(), t.header, 599)
		isHTTP = isHTTP && status >= 200
		grpcStatus, isGRPC = number(d.s.Request(), "x-envoy-fault-abort-grpc-request", math.MaxInt32)
	}
	switch {
	case isHTTP:
		if r.Status = int(d.status(d.set.keys.abortHTTP, "abort.http_status", status)); r.Status < 200 || r.Status > 599 {
			r.Status = int(status) // what the runtime says is none
		}
	case isGRPC:
		r.Status = 200
		r.GRPCStatus = int(d.status(d.set.keys.abortGRPC, "abort.grpc_status", grpcStatus))
		if r.GRPCStatus == 0 && grpc.IsRequest(d.s.Request()) {
			r.Edit = func(h *sdk.Headers) { h.SetID(sdk.HeaderGRPCStatus, "0") }
		}
	default:
		return r, false
	}
	return r, true
}

func (d *draw) status(common, of string, def uint64) uint64 {
	return d.f.runtime.Uint(d.key(common, of), def)
}
