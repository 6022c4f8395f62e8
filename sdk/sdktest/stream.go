package sdktest

import (
	"context"
	"strings"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// Stream is a request and its response on their way through the filter of a Host. A
// test sends both by its methods and looks at what has come out; it may use it as
// sdk.Stream too. The clock is the test's, and stands still.
type Stream struct {
	// ToServer and ToClient are what has come out of the filter.
	ToServer, ToClient Passed
	// Replies are what the filter has answered itself; after one nothing passes. It does
	// not come to the filter as a response: a test sends it as one if it likes.
	Replies []sdk.Reply
	// Cleared counts the calls of ClearRoute.
	Cleared int
	// Time is what Now returns, Rand what Random does.
	Time time.Duration
	Rand uint64
	// Lines are what the filter has logged.
	Lines []string
	// Override is what OverrideHost was told last, with "!" behind it for strict.
	Override string
	// RequestLimit is what LimitRequest has set; 0 is that of the Host.
	RequestLimit int

	host              *Host
	filter            sdk.Filter
	request, response direction
	info              sdk.StreamInfo
	chunk             sdk.Buffer
	used, ended       bool
	jobs              []func()
	calls             map[sdk.CallID]bool // that wait for their answer
	lastCall          sdk.CallID
	after             func()
	afterAt           time.Duration
}

var _ sdk.Stream = (*Stream)(nil)

// Passed is what has come out of the filter in one direction.
type Passed struct {
	Head     []string // "name: value", in order; nil before the head has come
	Body     string
	Trailers []string
	Ended    bool
}

// Value returns the value of a field of the head, "-" when there is none.
func (o *Passed) Value(name string) string { return valueOf(o.Head, name) }

// Trailer returns the value of a trailer, "-" when there is none.
func (o *Passed) Trailer(name string) string { return valueOf(o.Trailers, name) }

func valueOf(lines []string, name string) string {
	for _, l := range lines {
		if v, ok := strings.CutPrefix(l, name+": "); ok {
			return v
		}
	}
	return "-"
}

// SendRequest sends the head of the request, of lines such as ":path: /" and "a: b".
func (s *Stream) SendRequest(end bool, lines ...string) { s.request.sendHead(end, lines) }

// SendRequestData sends a piece of its body.
func (s *Stream) SendRequestData(p string, end bool) { s.request.sendData(p, end) }

// SendRequestTrailers sends its trailers.
func (s *Stream) SendRequestTrailers(lines ...string) { s.request.sendTrailers(lines) }

// SendResponse sends the head of the response.
func (s *Stream) SendResponse(end bool, lines ...string) { s.response.sendHead(end, lines) }

// SendResponseData sends a piece of its body.
func (s *Stream) SendResponseData(p string, end bool) { s.response.sendData(p, end) }

// SendResponseTrailers sends its trailers.
func (s *Stream) SendResponseTrailers(lines ...string) { s.response.sendTrailers(lines) }

// Again begins the stream once more and returns its filter, for measuring that by calls
// of its methods: the state is new, all else as it was.
func (s *Stream) Again() sdk.Filter {
	s.used = false
	return s.host.config.New(s)
}

// Settle runs what waits in Async, and After's call when the time has come.
func (s *Stream) Settle() {
	for len(s.jobs) > 0 && !s.ended {
		job := s.jobs[0]
		s.jobs = s.jobs[1:]
		job()
	}
	if fn := s.after; fn != nil && s.afterAt <= s.Time && !s.ended {
		s.after = nil
		fn()
	}
}

// End ends the stream, once.
func (s *Stream) End() {
	if s.ended {
		return
	}
	s.ended = true
	clear(s.calls)
	s.request.hold.Release()
	s.response.hold.Release()
	s.filter.OnEnd(s)
	s.chunk.Release()
}

// over reports whether nothing passes any more.
func (s *Stream) over() bool { return s.ended || len(s.Replies) > 0 }

// The rest implements sdk.Stream.

func (s *Stream) Request() *sdk.Headers  { return &s.request.head }
func (s *Stream) Response() *sdk.Headers { return &s.response.head }

func (s *Stream) RequestTrailers() *sdk.Headers  { return s.request.trailersOrNil() }
func (s *Stream) ResponseTrailers() *sdk.Headers { return s.response.trailersOrNil() }
func (s *Stream) RequestBody() *sdk.Buffer       { return &s.request.hold }
func (s *Stream) ResponseBody() *sdk.Buffer      { return &s.response.hold }
func (s *Stream) LimitRequest(n int)             { s.RequestLimit = n }
func (s *Stream) Info() *sdk.StreamInfo          { return &s.info }
func (s *Stream) RouteConfig() sdk.RouteConfig   { return s.host.Route }
func (s *Stream) Failing() bool                  { return s.host.Failing }
func (s *Stream) ClearRoute()                    { s.Cleared++ }
func (s *Stream) ResumeRequest()                 { s.request.resumed() }
func (s *Stream) ResumeResponse()                { s.response.resumed() }
func (s *Stream) ReleaseResponse(n int)          { s.response.releaseSome(n) }
func (s *Stream) Now() time.Duration             { return s.Time }
func (s *Stream) Random() uint64                 { return s.Rand }

// Members implements sdk.Stream.
func (s *Stream) Members(cluster string) (sdk.Members, bool) {
	m, ok := s.host.Members[cluster]
	return m, ok
}

// RouteValue implements sdk.Stream.
func (s *Stream) RouteValue(field string) any { return s.host.RouteValues[field] }

// ConnState implements sdk.Stream.
func (s *Stream) ConnState(name string) *any {
	if s.host.conn[name] == nil {
		s.host.conn[name] = new(any)
	}
	return s.host.conn[name]
}

// AddResponseTrailers implements sdk.Stream.
func (s *Stream) AddResponseTrailers() *sdk.Headers {
	d := &s.response
	if !d.hasTrailers {
		if !d.inside || !d.last {
			return nil
		}
		d.hasTrailers, d.added = true, true
	}
	return &d.trailers
}

// Cluster implements sdk.Stream.
func (s *Stream) Cluster() (string, sdk.Scope) {
	name := s.host.ClusterName
	if name == "" {
		return "", nil
	}
	return name, s.host.scopeOf(name)
}

// Reply implements sdk.Stream.
func (s *Stream) Reply(r sdk.Reply) {
	if !s.over() {
		s.Replies = append(s.Replies, r)
	}
}

// Async implements sdk.Stream: the work is done by Settle.
func (s *Stream) Async(work func(context.Context) error, done func(error)) {
	s.jobs = append(s.jobs, func() { done(work(context.Background())) })
}

// Call implements sdk.Stream: Settle has AnswerCalls answer and calls done.
func (s *Stream) Call(cluster string, r *sdk.CallRequest, done func(*sdk.CallResponse, *sdk.CallError)) sdk.CallID {
	s.lastCall++
	id := s.lastCall
	if s.calls == nil {
		s.calls = map[sdk.CallID]bool{}
	}
	s.calls[id] = true
	sent := *r
	sent.Headers = sdk.Headers{}
	sent.Headers.CopyFrom(&r.Headers)
	s.jobs = append(s.jobs, func() {
		if s.calls[id] {
			delete(s.calls, id)
			done(s.host.shared.call(cluster, &sent))
		}
	})
	return id
}

// CancelCall implements sdk.Stream.
func (s *Stream) CancelCall(id sdk.CallID) { delete(s.calls, id) }

// CallsWaiting is the number of calls that have neither ended nor been cancelled.
func (s *Stream) CallsWaiting() int { return len(s.calls) }

// After implements sdk.Stream: fn is called by Settle.
func (s *Stream) After(d time.Duration, fn func()) { s.after, s.afterAt = fn, s.Time+d }

func (s *Stream) Inc(c sdk.Counter)             { s.host.values[c.ID]++ }
func (s *Stream) Add(c sdk.Counter, n uint64)   { s.host.values[c.ID] += n }
func (s *Stream) AddGauge(g sdk.Gauge, n int64) { s.host.values[g.ID] += uint64(n) }
func (s *Stream) Observe(h sdk.Histogram, v uint64) {
	s.host.observed[h.ID] = append(s.host.observed[h.ID], v)
}

// Loop implements sdk.Stream: there is one.
func (s *Stream) Loop() int { return 0 }

// FilterName implements sdk.Stream.
func (s *Stream) FilterName() string { return s.host.name }

// Log implements sdk.Stream.
func (s *Stream) Log(_ sdk.LogLevel, line string) { s.Lines = append(s.Lines, line) }

// OverrideHost implements sdk.Stream.
func (s *Stream) OverrideHost(address string, strict bool) {
	if s.Override = address; strict {
		s.Override += "!"
	}
}

// Slot implements sdk.Stream.
func (s *Stream) Slot() (*any, bool) {
	first := !s.used
	s.used = true
	return &s.host.state, first
}
