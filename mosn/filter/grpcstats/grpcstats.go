// Package grpcstats is envoy.filters.http.grpc_stats: it counts the calls of gRPC and of
// the Connect protocol, and their messages, under the cluster that they go to.
//
// A compiled filter is shared by all loops; what it keeps of a stream belongs to that
// stream's loop. Bodies are looked at as they pass, never held.
package grpcstats

import (
	"time"

	statsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// name is Envoy's of the filter, and of what it leaves in the filter state.
const name = "envoy.filters.http.grpc_stats"

// maxMethods is the most methods, over all clusters, that stats_for_all_methods gives
// names of their own; where Envoy's memory grows with what clients make up, calls past
// it are counted under the cluster alone. Those of an allowlist are few by themselves.
const maxMethods = 4096

// Filter returns the extension.
func Filter() *sdk.HTTPFilter {
	return &sdk.HTTPFilter{
		Name:   name,
		Config: &statsv3.FilterConfig{},
		Fields: fields.Join(
			fields.Message("envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
				fields.Supported("emit_filter_state", "individual_method_stats_allowlist", "stats_for_all_methods",
					"enable_upstream_stats", "replace_dots_in_grpc_service_name")),
			fields.Message("envoy.config.core.v3.GrpcMethodList", fields.Supported("services")),
			fields.Message("envoy.config.core.v3.GrpcMethodList.Service", fields.Supported("name", "method_names")),
		),
		Compile: compile,
	}
}

// filter is the compiled filter, and the one that all its streams share.
type filter struct {
	sdk.PassThrough
	stats *grpc.Stats
	named func(service, method string) bool // has names of its own; nil: none has
	all   bool                              // every method has
	emit  bool
	times bool
}

type method struct{ service, name string }

func compile(_ sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
	pb := m.(*statsv3.FilterConfig)
	f := &filter{
		all: pb.GetStatsForAllMethods().GetValue(), emit: pb.GetEmitFilterState(), times: pb.GetEnableUpstreamStats(),
	}
	limit := maxMethods
	if list := pb.GetIndividualMethodStatsAllowlist(); list != nil {
		listed := map[method]bool{}
		for _, s := range list.GetServices() {
			for _, name := range s.GetMethodNames() {
				listed[method{s.GetName(), name}] = true
			}
		}
		f.named = func(service, name string) bool { return listed[method{service, name}] }
		limit = 1 << 30
	}
	f.stats = grpc.NewStats(grpc.StatsOptions{
		Protocol: "grpc", Limit: limit, ReplaceDots: f.all && pb.GetReplaceDotsInGrpcServiceName(),
	})
	return f, nil
}

// New implements sdk.HTTPConfig.
func (f *filter) New(sdk.Stream) sdk.Filter { return f }

// Close implements sdk.HTTPConfig.
func (f *filter) Close() {}

// call is what is kept of a stream.
type call struct {
	asked             kinds
	answered          bool        // the response is of gRPC
	calls             *grpc.Calls // nil when it is not counted
	request, response grpc.Frames
	ending            ending // of a streaming response
	// Whether there was a message of a unary call, which is a body without frames.
	unaryRequest, unaryResponse bool

	shown *statsv3.FilterObject
}

// OnRequestHeaders implements sdk.Filter.
func (f *filter) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action {
	h := s.Request()
	asked := kindsOf(h)
	if asked.none() {
		return sdk.Continue
	}
	c := sdk.State[call](s)
	c.asked = asked
	service, method, ok := grpc.Method(h.Path())
	if !ok {
		return sdk.Continue
	}
	cluster, scope := s.Cluster()
	switch {
	case scope == nil:
	case f.all || f.named != nil && f.named(service, method):
		c.calls = f.stats.Method(cluster, scope, service, method)
	default:
		c.calls = f.stats.All(cluster, scope)
	}
	return sdk.Continue
}

// OnRequestData implements sdk.Filter.
func (f *filter) OnRequestData(s sdk.Stream, data *sdk.Buffer, end bool) sdk.Action {
	c := sdk.State[call](s)
	n := uint64(0)
	switch {
	case c.asked.grpc || c.asked.streaming:
		n = c.request.Count(data)
	case c.asked.unary && end:
		c.unaryRequest, n = true, 1
	}
	if n > 0 {
		f.show(s, c)
		if c.calls != nil {
			c.calls.Requests(s, n)
		}
	}
	return sdk.Continue
}

// OnResponseHeaders implements sdk.Filter.
func (f *filter) OnResponseHeaders(s sdk.Stream, end bool) sdk.Action {
	c, h := sdk.State[call](s), s.Response()
	if c.asked.none() {
		return sdk.Continue
	}
	c.answered = grpc.IsResponse(h, end)
	if c.calls == nil {
		return sdk.Continue
	}
	switch code := h.Status(); {
	case c.asked.unary:
		c.calls.EndedAs(s, code == 200)
	case code == 200 && isStreaming(h): // its last frame tells
	default:
		countStatus(s, c, h)
	}
	if end {
		f.countTime(s, c)
	}
	return sdk.Continue
}

// OnResponseData implements sdk.Filter.
func (f *filter) OnResponseData(s sdk.Stream, data *sdk.Buffer, end bool) sdk.Action {
	c := sdk.State[call](s)
	n := uint64(0)
	switch {
	case c.answered:
		n, end = c.response.Count(data), false
	case c.asked.streaming:
		n = c.ending.count(&c.response, data)
	case c.asked.unary && end:
		c.unaryResponse, n = true, 1
	default:
		return sdk.Continue
	}
	if n > 0 {
		f.show(s, c)
	}
	if c.calls == nil {
		return sdk.Continue
	}
	if n > 0 {
		c.calls.Responses(s, n)
	}
	if end && c.asked.streaming {
		c.calls.EndedAs(s, c.ending.success)
	}
	if end {
		f.countTime(s, c)
	}
	return sdk.Continue
}

// OnResponseTrailers implements sdk.Filter.
func (f *filter) OnResponseTrailers(s sdk.Stream) sdk.Action {
	if c := sdk.State[call](s); c.asked.grpc && c.calls != nil {
		countStatus(s, c, s.ResponseTrailers())
		f.countTime(s, c)
	}
	return sdk.Continue
}

// countStatus counts the status of the call if h, its head or trailers, tells it.
func countStatus(s sdk.Stream, c *call, h *sdk.Headers) {
	if h.HasID(sdk.HeaderGRPCStatus) {
		c.calls.Ended(s, h.ID(sdk.HeaderGRPCStatus))
	}
}

// countTime counts the host's time when the response has ended.
func (f *filter) countTime(s sdk.Stream, c *call) {
	if i := s.Info(); f.times && i.UpstreamRequestEnd != 0 && i.UpstreamEnd != 0 {
		took := max(i.UpstreamEnd-i.UpstreamRequestEnd, 0) // an answer may come before all was asked
		c.calls.Took(s, uint64(took)/uint64(time.Millisecond))
	}
}

// show brings the filter state up to date, if that is wanted.
func (f *filter) show(s sdk.Stream, c *call) {
	if !f.emit {
		return
	}
	if c.shown == nil {
		c.shown = &statsv3.FilterObject{}
		s.Info().SetFilterState(name, c.shown)
	}
	if c.asked.unary {
		c.shown.RequestMessageCount, c.shown.ResponseMessageCount = number(c.unaryRequest), number(c.unaryResponse)
		return
	}
	c.shown.RequestMessageCount, c.shown.ResponseMessageCount = c.request.Begun, c.response.Begun
}

func number(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
