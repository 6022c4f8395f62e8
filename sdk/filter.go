package sdk

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
)

// HTTPFilter is an extension of the HTTP filter chain, exported by its package as
// a value and listed in builtin.
type HTTPFilter struct {
	Name   string        // Envoy's name: "envoy.filters.http.fault"
	Config proto.Message // the type of typed_config, as an empty message
	Route  proto.Message // the type of typed_per_filter_config, nil when there is none
	Fields FieldStatus
	// Terminal marks the filter that ends a chain (the router).
	Terminal bool
	// Compile makes the configuration of one place in one chain.
	Compile func(Compiler, proto.Message) (HTTPConfig, error)
	// CompileRoute makes the configuration of a virtual host, route or weighted
	// cluster; Merge combines two, nil meaning that the most specific one wins.
	CompileRoute func(Compiler, proto.Message) (RouteConfig, error)
	Merge        func(outer, inner RouteConfig) RouteConfig
}

// HTTPConfig is a compiled filter: read-only and shared by all loops. Close comes
// after the last stream that uses it has ended.
type HTTPConfig interface {
	// New returns the filter of one stream. A filter without state returns one shared
	// value; one with state keeps it in the stream by State.
	New(s Stream) Filter
	Close()
}

// RouteConfig is what CompileRoute returned for a filter on a route.
type RouteConfig any

// Action is what a filter wants to happen next in the direction of the call.
type Action uint8

const (
	// Continue hands the message to the next filter.
	Continue Action = iota
	// Pause stops the direction at this filter until it resumes it. Body that
	// arrives meanwhile is held, and the sender is slowed when that reaches the
	// buffer limit; the filter is not called for it.
	Pause
	// Collect stops the direction but goes on calling the filter with all of the body
	// received so far, until it returns Continue; a body over the buffer limit is
	// answered by 413 (a request) or 500 (a response).
	Collect
	// Replied says that the filter has called Reply: nothing more happens in this
	// direction.
	Replied
)

// Filter sees one stream. Request callbacks come in the order of the chain,
// response callbacks in the reverse order. All calls are on the stream's loop. A
// filter embeds PassThrough for what it does not look at.
type Filter interface {
	OnRequestHeaders(s Stream, end bool) Action
	// OnRequestData gets the bytes that arrived (all of them so far after Collect) and
	// may change them.
	OnRequestData(s Stream, data *Buffer, end bool) Action
	OnRequestTrailers(s Stream) Action
	OnResponseHeaders(s Stream, end bool) Action
	OnResponseData(s Stream, data *Buffer, end bool) Action
	OnResponseTrailers(s Stream) Action
	// OnEnd comes once, when the stream is over for whatever reason, before the
	// access log is written.
	OnEnd(s Stream)
}

// PassThrough is a filter that lets everything through.
type PassThrough struct{}

// The methods of Filter, each doing nothing.
func (PassThrough) OnRequestHeaders(Stream, bool) Action        { return Continue }
func (PassThrough) OnRequestData(Stream, *Buffer, bool) Action  { return Continue }
func (PassThrough) OnRequestTrailers(Stream) Action             { return Continue }
func (PassThrough) OnResponseHeaders(Stream, bool) Action       { return Continue }
func (PassThrough) OnResponseData(Stream, *Buffer, bool) Action { return Continue }
func (PassThrough) OnResponseTrailers(Stream) Action            { return Continue }
func (PassThrough) OnEnd(Stream)                                {}

// Stream is what a filter can do with the stream it is called for: a handle made
// for that filter on that stream. It may be kept until OnEnd; all use is on the
// stream's loop.
type Stream interface {
	Request() *Headers
	RequestTrailers() *Headers // nil while there are none
	Response() *Headers        // empty before the response
	ResponseTrailers() *Headers
	// AddResponseTrailers makes trailers for a response that has none. It may be called
	// in OnResponseHeaders and OnResponseData with end, and returns nil elsewhere (but
	// trailers that are there are returned anywhere).
	AddResponseTrailers() *Headers
	// RequestBody and ResponseBody are what the filter holds of the body: after Collect
	// all that has come. What it puts there in OnRequestHeaders or OnResponseHeaders
	// with end, or with the trailers, goes on behind the head and before the trailers.
	// Trailers that a filter leaves empty are dropped: the body ends the message.
	RequestBody() *Buffer
	ResponseBody() *Buffer
	// LimitRequest sets how many bytes of the request's body filters may hold, instead of
	// the buffer limit of the listener.
	LimitRequest(n int)
	Info() *StreamInfo
	// Cluster is where the request goes as things stand, and the scope of that cluster's
	// stats ("cluster.<name>"), nil when no cluster is chosen or known. The name is valid
	// until the stream ends. To ask the scope for a name takes a lock and may allocate:
	// handles are kept by who counts on every request.
	Cluster() (name string, stats Scope)
	// Members counts the hosts of a cluster as the loop knows them; ok is false when there
	// is no such cluster.
	Members(cluster string) (m Members, ok bool)
	// Failing says that the operator wants health checks of this proxy to fail
	// (/healthcheck/fail).
	Failing() bool
	// RouteConfig is this filter's configuration for the chosen route, nil if none.
	RouteConfig() RouteConfig
	// RouteValue is what the chosen route or its virtual host says in a field of Envoy's
	// own that is read by filters ("rate_limits", "metadata"), nil for nothing. Of what
	// type it is says the package that reads it for filters.
	RouteValue(field string) any
	// ClearRoute makes the route be looked up again, after request headers changed. When
	// the request has passed all filters its route stays.
	ClearRoute()
	// ConnState is a place for what filters keep for the client's connection: nil at
	// first, and gone with the connection. All that use a name share its place.
	ConnState(name string) *any

	// ResumeRequest and ResumeResponse go on after Pause or Collect.
	ResumeRequest()
	ResumeResponse()
	// ReleaseResponse lets the first n bytes of a body go on that Pause holds, and no
	// more: the rest, and the end with it, waits for ResumeResponse or another release.
	ReleaseResponse(n int)
	// Reply answers the request here and now; see Reply.
	Reply(r Reply)
	// Async runs work on another goroutine and then done on the loop, unless the
	// stream has ended by then (work's context is cancelled). work must not touch the
	// stream. A full queue or a panic is reported to done as an error.
	Async(work func(context.Context) error, done func(error))
	// Call makes a call to a cluster and then calls done on the loop, never from within
	// Call: with the answer, valid until done returns, or with an error. Headers of r are
	// copied; Body must stay as it is until then. The stream's end cancels the call, and
	// done is not called.
	Call(cluster string, r *CallRequest, done func(*CallResponse, *CallError)) CallID
	// CancelCall gives a call up, so that done is not called. It does nothing to one that
	// is over.
	CancelCall(id CallID)
	// After runs fn on the loop after d, unless the stream has ended by then. One
	// timer per filter: a second call replaces the first.
	After(d time.Duration, fn func())

	// Now is the monotonic clock, which is one for all loops, as of the loop's turn.
	Now() time.Duration
	// Random is a new random number.
	Random() uint64
	Inc(c Counter)
	Add(c Counter, n uint64)
	AddGauge(g Gauge, n int64)
	Observe(h Histogram, v uint64)

	// Loop is the index of the stream's loop, from 0, for what a configuration keeps for each
	// loop; FilterName what the filter is called in its chain.
	Loop() int
	FilterName() string
	// Log writes a line to the proxy's log, or drops it when there are too many.
	Log(level LogLevel, line string)
	// OverrideHost has the request sent to the host with that address ("1.2.3.4:80"),
	// whatever the load balancer would choose. If the cluster has no such host, or an
	// unhealthy one, strict has the request fail; else the load balancer chooses.
	OverrideHost(address string, strict bool)

	// Slot is the filter's place for state, and whether this is its first use on this
	// stream; use State.
	Slot() (place *any, first bool)
}

// LogLevel is the importance of a line in the log.
type LogLevel uint8

// The levels. What is only of use to look for errors in programs is not shown.
const (
	LogDebug LogLevel = iota
	LogInfo
	LogWarn
	LogError
)

// Members are the hosts of a cluster.
type Members struct{ Total, Healthy, Degraded int }

// Reply is a response made by the proxy. It takes the form of the caller's
// protocol: a page for HTTP, trailers for gRPC, an exception for RPC.
type Reply struct {
	Status int
	Body   string
	// Details is Envoy's %RESPONSE_CODE_DETAILS%.
	Details string
	Flag    ResponseFlag
	// GRPCStatus is used for gRPC callers when not 0; else it follows from Status.
	GRPCStatus int
	// Edit, if set, changes the response headers before they are sent.
	Edit func(*Headers)
}

// State returns the filter's state on this stream: a zero T at first use. The
// memory is reused by later streams of the same chain, so it costs nothing.
func State[T any](s Stream) *T {
	slot, first := s.Slot()
	if p, ok := (*slot).(*T); ok {
		if first {
			*p = *new(T)
		}
		return p
	}
	p := new(T)
	*slot = p
	return p
}
