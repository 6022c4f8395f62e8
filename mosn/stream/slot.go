package stream

import (
	"context"
	"time"

	"sofamesh.io/sofamesh/mosn/callout"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// slot is the place of one filter in one stream, and the sdk.Stream that the
// filter sees. Slots stay with the stream when it is reused, and with them the
// state of filters of the same type.
type slot struct {
	s       *Stream
	index   int
	conf    *FilterConfig
	filter  sdk.Filter
	version *filterVersion // in use, of a conf with a Slot
	req     direction
	resp    direction

	state     any
	stateUsed bool
	after     func()
	afterAt   time.Duration
	calls     callout.Set
	cancel    context.CancelFunc // of Asyncs that are under way
	ctx       context.Context
}

// direction is where one direction of the stream stands at one filter.
type direction struct {
	stop   stop
	head   bool // the head is held here
	end    bool // what is held includes the end
	trail  bool // trailers are held here
	inside bool // the filter is being called
	last   bool // with the end of the message
	early  bool // and has resumed before it said that it stops
	added  bool // it has made trailers, which are to go on
	hold   sdk.Buffer
}

// enter and verdict bracket every call of the filter. A filter that is resumed while
// it is still being called (by work that was done at once) does not stop.
func (d *direction) enter(end bool) { d.inside, d.last, d.early = true, end, false }

// grown reports whether a filter that lets the message pass has added to it.
func (d *direction) grown() bool { return d.added || !d.hold.Empty() }

func (d *direction) verdict(a sdk.Action) sdk.Action {
	d.inside = false
	if d.early && (a == sdk.Pause || a == sdk.Collect) {
		return sdk.Continue
	}
	return a
}

type stop uint8

const (
	passing stop = iota
	paused
	collecting
)

var _ sdk.Stream = (*slot)(nil)

// makeChain instantiates the filters that the route does not turn off.
func (s *Stream) makeChain() {
	n := len(s.filters)
	if n == 0 {
		return
	}
	s.findRoute()
	if cap(s.slots) < n {
		s.slots = make([]slot, n)
	}
	s.slots = s.slots[:0]
	for i := range s.filters {
		conf := &s.filters[i]
		if off, set := s.routes.FilterDisabled(conf.Name, s.vh, s.route); off || !set && conf.Disabled {
			continue
		}
		used := len(s.slots)
		s.slots = s.slots[:used+1]
		sl := &s.slots[used]
		sl.s, sl.index, sl.conf = s, used, conf
		sl.filter = sdk.PassThrough{} // should New panic
		sl.req.hold.Init(s.w.loop.Buffers())
		sl.resp.hold.Init(s.w.loop.Buffers())
		sl.filter = sl.instance()
	}
}

// instance makes the filter.
func (sl *slot) instance() sdk.Filter {
	if sl.conf.Slot == nil {
		return sl.conf.Config.New(sl)
	}
	if sl.version = sl.conf.Slot.acquire(); sl.version == nil {
		return unconfigured{}
	}
	return sl.version.config.New(sl)
}

// clearChain forgets the filters but keeps their state for reuse.
func (s *Stream) clearChain() {
	for i := range s.slots {
		sl := &s.slots[i]
		if sl.version != nil {
			sl.version.release(s.w.loop)
		}
		*sl = slot{state: sl.state}
	}
}

// finish tells the filter that the stream is over.
func (sl *slot) finish() {
	if sl.cancel != nil {
		sl.cancel()
		sl.cancel = nil
	}
	sl.after = nil
	sl.calls.CancelAll()
	sl.req.hold.Release()
	sl.resp.hold.Release()
	sl.filter.OnEnd(sl)
}

// The rest implements sdk.Stream.

func (sl *slot) Request() *sdk.Headers  { return &sl.s.req.Headers }
func (sl *slot) Response() *sdk.Headers { return &sl.s.resp.Headers }
func (sl *slot) Info() *sdk.StreamInfo  { return &sl.s.info }

func (sl *slot) RequestTrailers() *sdk.Headers {
	if !sl.s.hasReqTrail {
		return nil
	}
	return &sl.s.reqTrail.Headers
}

func (sl *slot) ResponseTrailers() *sdk.Headers {
	if !sl.s.hasRespTrail {
		return nil
	}
	return &sl.s.respTrail.Headers
}

// AddResponseTrailers implements sdk.Stream.
func (sl *slot) AddResponseTrailers() *sdk.Headers {
	s, d := sl.s, &sl.resp
	if !s.hasRespTrail {
		if !d.inside || !d.last {
			return nil
		}
		s.respTrail.Reset()
		s.hasRespTrail, d.added = true, true
	}
	return &s.respTrail.Headers
}

func (sl *slot) RequestBody() *sdk.Buffer  { return &sl.req.hold }
func (sl *slot) ResponseBody() *sdk.Buffer { return &sl.resp.hold }

func (sl *slot) LimitRequest(n int) { sl.s.requestLimit = n }

// Cluster implements sdk.Stream.
func (sl *slot) Cluster() (name string, scope sdk.Scope) {
	s := sl.s
	s.findRoute()
	if s.route == nil || s.route.Forward == nil {
		return "", nil
	}
	name = s.route.Forward.Cluster(&s.req.Headers)
	if c := s.w.clusters.Get(name); c != nil {
		scope = c.Scope()
	}
	return name, scope
}

// Members implements sdk.Stream.
func (sl *slot) Members(cluster string) (m sdk.Members, ok bool) {
	if c := sl.s.w.clusters.Get(cluster); c != nil {
		return c.Members(), true
	}
	return m, false
}

// Failing implements sdk.Stream.
func (sl *slot) Failing() bool { f := sl.s.w.Failing; return f != nil && f.Load() }

func (sl *slot) RouteConfig() sdk.RouteConfig {
	s := sl.s
	s.findRoute()
	return s.routes.FilterConfig(sl.conf.Name, s.vh, s.route)
}

// RouteValue implements sdk.Stream.
func (sl *slot) RouteValue(field string) any {
	s := sl.s
	s.findRoute()
	return s.route.Value(field)
}

// ClearRoute implements sdk.Stream. What was forwarded goes by the route that it has.
func (sl *slot) ClearRoute() { sl.s.routed = sl.s.up.begun }

// ConnState implements sdk.Stream.
func (sl *slot) ConnState(name string) *any {
	d := sl.s.conn
	p := d.state[name]
	if p == nil {
		if d.state == nil {
			d.state = map[string]*any{}
		}
		p = new(any)
		d.state[name] = p
	}
	return p
}

func (sl *slot) ResumeRequest() {
	s := sl.s
	if sl.req.inside {
		sl.req.early = true
		return
	}
	if sl.req.stop == passing || !s.wants(toServer) {
		return
	}
	s.w.enter()
	defer s.leave()
	s.resume(toServer, sl)
}

func (sl *slot) ResumeResponse() {
	s := sl.s
	if sl.resp.inside {
		sl.resp.early = true
		return
	}
	if sl.resp.stop == passing || !s.phase.live() {
		return
	}
	s.w.enter()
	defer s.leave()
	s.resume(toClient, sl)
}

// ReleaseResponse implements sdk.Stream.
func (sl *slot) ReleaseResponse(n int) {
	s, d := sl.s, &sl.resp
	if n = min(n, d.hold.Len()); n <= 0 || d.inside || d.stop != paused || !s.phase.live() {
		return
	}
	s.w.enter()
	defer s.leave()
	s.releaseSome(toClient, sl, n)
}

func (sl *slot) Reply(r sdk.Reply) {
	s := sl.s
	if !s.phase.live() {
		return
	}
	s.w.enter()
	defer s.leave()
	if r.Details == "" {
		r.Details = "direct_response"
	}
	s.replyOrAbort(r)
}

func (sl *slot) Now() time.Duration                { return sl.s.w.now() }
func (sl *slot) Random() uint64                    { return sl.s.w.rand.Uint64() }
func (sl *slot) Inc(c sdk.Counter)                 { sl.s.w.stats.Inc(c) }
func (sl *slot) Add(c sdk.Counter, n uint64)       { sl.s.w.stats.Add(c, n) }
func (sl *slot) AddGauge(g sdk.Gauge, n int64)     { sl.s.w.stats.AddGauge(g, n) }
func (sl *slot) Observe(h sdk.Histogram, v uint64) { sl.s.w.stats.Observe(h, v) }

func (sl *slot) Loop() int          { return sl.s.w.loop.Index() }
func (sl *slot) FilterName() string { return sl.conf.Name }

// Log implements sdk.Stream.
func (sl *slot) Log(level sdk.LogLevel, line string) {
	if level > sdk.LogDebug {
		sl.s.w.loop.Log(eventloop.LevelInfo+eventloop.Level(level-sdk.LogInfo), line)
	}
}

// OverrideHost implements sdk.Stream.
func (sl *slot) OverrideHost(address string, strict bool) {
	sl.s.up.lb.Override, sl.s.up.lb.Strict = address, strict
}

func (sl *slot) Slot() (*any, bool) {
	first := !sl.stateUsed
	sl.stateUsed = true
	return &sl.state, first
}

// Call implements sdk.Stream.
func (sl *slot) Call(cluster string, r *sdk.CallRequest, done func(*sdk.CallResponse, *sdk.CallError)) sdk.CallID {
	if !sl.s.phase.live() {
		return 0
	}
	return sl.calls.Start(sl.s.w.calls, sl, cluster, r, done)
}

// CancelCall implements sdk.Stream.
func (sl *slot) CancelCall(id sdk.CallID) { sl.calls.Cancel(id) }

// OnCallDone implements callout.Owner.
func (sl *slot) OnCallDone(done callout.Done, resp *sdk.CallResponse, err *sdk.CallError) {
	sl.s.w.enter()
	defer sl.s.leave()
	done(resp, err)
}

// After implements sdk.Stream with the stream's one timer.
func (sl *slot) After(d time.Duration, fn func()) {
	s := sl.s
	if !s.phase.live() {
		return
	}
	d = max(d, time.Nanosecond)
	sl.after, sl.afterAt = fn, s.w.now()+d
	if at := s.deadlines[dlFilter]; at == 0 || sl.afterAt < at {
		s.setDeadline(dlFilter, d)
	}
}

// runAfters runs what is due and sets the deadline for the rest.
func (s *Stream) runAfters(now time.Duration) {
	for i := range s.slots {
		sl := &s.slots[i]
		if fn := sl.after; fn != nil && sl.afterAt <= now {
			sl.after = nil
			fn()
			if !s.phase.live() {
				return
			}
		}
	}
	for i := range s.slots {
		if sl := &s.slots[i]; sl.after != nil {
			if at := s.deadlines[dlFilter]; at == 0 || sl.afterAt < at {
				s.setDeadline(dlFilter, sl.afterAt-now)
			}
		}
	}
}

// Async implements sdk.Stream. The job holds the slot, so the stream is not
// reclaimed before it has come back.
func (sl *slot) Async(work func(context.Context) error, done func(error)) {
	s := sl.s
	if sl.ctx == nil || sl.cancel == nil {
		sl.ctx, sl.cancel = context.WithCancel(context.Background())
	}
	ctx := sl.ctx
	s.asyncs++
	job := eventloop.JobFunc(
		func(context.Context) error { return work(ctx) },
		func(_ *eventloop.Loop, err error) { s.asyncDone(done, err) })
	if !s.w.loop.Async(job) {
		s.asyncs--
		done(errAsyncFull)
	}
}

func (s *Stream) asyncDone(done func(error), err error) {
	s.w.enter()
	defer s.leave()
	s.asyncs--
	if s.phase.live() {
		done(err)
		return
	}
	if s.asyncs == 0 && s.phase == ended {
		s.link, s.w.dead = s.w.dead, s
	}
}
