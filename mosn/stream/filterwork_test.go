package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk"
)

// TestAsync pauses for work on another goroutine, once for each outcome.
func TestAsync(t *testing.T) {
	fails := errors.New("failed")
	tests := []struct {
		name string
		work func(context.Context) error
		want func(error) bool
	}{
		{"good", func(context.Context) error { return nil }, func(err error) bool { return err == nil }},
		{"error", func(context.Context) error { return fails }, func(err error) bool { return errors.Is(err, fails) }},
		{"panic", func(context.Context) error { panic("x") }, func(err error) bool { return err != nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ch := newChain("a")
			came := 0
			ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
				s.Async(tt.work, func(err error) {
					came++
					if !tt.want(err) {
						t.Errorf("error %v", err)
					}
					s.ResumeRequest()
				})
				return sdk.Pause
			}
			w := newWorld(t, setup{filters: ch.filters()})
			w.HoldJobs(true)
			c := w.client()
			w.send(c, get)
			if w.next(1) != nil {
				t.Error("not paused")
			}
			w.HoldJobs(false)
			w.Settle()
			w.send(w.backend(1), ok2)
			w.got(c, ok2Down)
			if came != 1 {
				t.Errorf("done came %d times", came)
			}
			ch.balanced(t)
		})
	}
}

// TestAsyncOutlivesStream: work that comes back after the end does nothing, and the
// stream is not used by anybody before.
func TestAsyncOutlivesStream(t *testing.T) {
	ch := newChain("a")
	var ctxs []context.Context
	came := 0
	first := true
	ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
		if !first {
			return sdk.Continue
		}
		first = false
		for range 2 {
			s.Async(func(ctx context.Context) error {
				ctxs = append(ctxs, ctx)
				return nil
			}, func(error) { came++ })
		}
		return sdk.Pause
	}
	w := newWorld(t, setup{filters: ch.filters()})
	w.HoldJobs(true)
	c := w.client()
	w.send(c, get)
	gone := ch.scripts[0].last.(*slot).s
	c.Reset()
	w.Settle()
	w.logged("GET / 0 DC downstream_remote_disconnect")
	d := w.client()
	w.send(d, get)
	if ch.scripts[0].last.(*slot).s == gone {
		t.Error("a stream was reused while work refers to it")
	}
	w.send(w.backend(1), ok2)
	w.got(d, ok2Down)
	w.HoldJobs(false)
	w.Settle()
	if came != 0 {
		t.Error("done came after the end")
	}
	if len(ctxs) != 2 || ctxs[0].Err() == nil || ctxs[1].Err() == nil {
		t.Errorf("%d contexts, not all cancelled", len(ctxs))
	}
	w.send(d, get)
	if ch.scripts[0].last.(*slot).s != gone {
		t.Error("the stream is not reused now")
	}
	ch.calls()
	w.idleBut(1)
}

// idleBut is idle when n streams are still active.
func (w *world) idleBut(n int) {
	w.t.Helper()
	if got := w.w.ActiveStreams(); got != n {
		w.t.Errorf("%d streams are active, want %d", got, n)
	}
	w.freeLists()
}

// TestPanicEndsOneStream: a filter that panics, in a callback or in what it handed to
// Async or After, costs its stream and no other.
func TestPanicEndsOneStream(t *testing.T) {
	boom := func() { panic("boom") }
	tests := map[string]func(s sdk.Stream) sdk.Action{
		"callback": func(sdk.Stream) sdk.Action { boom(); return sdk.Continue },
		"after": func(s sdk.Stream) sdk.Action {
			s.After(time.Millisecond, boom)
			return sdk.Pause
		},
		"async's end": func(s sdk.Stream) sdk.Action {
			s.Async(func(context.Context) error { return nil }, func(error) { boom() })
			return sdk.Pause
		},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			ch := newChain("a")
			w := newWorld(t, setup{filters: ch.filters()})
			good := w.client()
			w.send(good, get)
			b := w.backend(1)
			ch.scripts[0].on["rh"] = f
			c := w.client()
			w.send(c, get)
			w.Advance(10 * time.Millisecond)
			if n := w.w.ActiveStreams(); n != 1 {
				t.Errorf("%d streams are active", n)
			}
			if !c.Ended() {
				t.Error("the client waits for ever")
			}
			w.send(b, ok2)
			if got := bodyOf(good.Received()); got != "ok" {
				t.Errorf("the other stream got %q", got)
			}
			if len(w.Logs) == 0 {
				t.Error("the panic is not logged")
			}
			w.Logs = nil
			ch.balanced(t)
			w.idle()
		})
	}
}

// TestAfter fires once, is replaced by the next, and dies with its stream.
func TestAfter(t *testing.T) {
	ch := newChain("a", "b")
	var fired []string
	note := func(s string) func() { return func() { fired = append(fired, s) } }
	ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
		s.After(time.Second, note("replaced"))
		s.After(3*time.Second, func() {
			note("a")()
			s.After(time.Second, note("again"))
		})
		return sdk.Continue
	}
	ch.scripts[1].on["rh"] = func(s sdk.Stream) sdk.Action {
		s.After(2*time.Second, note("b"))
		return sdk.Continue
	}
	w := newWorld(t, setup{filters: ch.filters()})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	var times []string
	for i := range 6 {
		fired = nil
		w.Advance(time.Second)
		times = append(times, fmt.Sprint(i+1, fired))
	}
	if got := strings.Join(times, " "); got != "1 [] 2 [b] 3 [a] 4 [again] 5 [] 6 []" {
		t.Error(got)
	}
	w.send(b, ok2)
	fired = nil
	w.send(c, get)
	w.send(b, ok2)
	w.Advance(time.Minute)
	if fired != nil {
		t.Errorf("fired after the end: %v", fired)
	}
}

// counter is a filter's state.
type counter struct{ n, other int }

// TestStateIsZero: state is the stream's own, and zero at its first use, though its
// memory is used again.
func TestStateIsZero(t *testing.T) {
	ch := newChain("a", "b")
	var places []*counter
	count := func(s sdk.Stream) sdk.Action {
		st := sdk.State[counter](s)
		if st.n != 0 || st.other != 0 {
			t.Errorf("state %+v at first use", *st)
		}
		st.n, st.other = 5, 6
		if again := sdk.State[counter](s); again != st || again.n != 5 {
			t.Error("another state at second use")
		}
		places = append(places, st)
		return sdk.Continue
	}
	ch.scripts[0].on["rh"], ch.scripts[1].on["rh"] = count, count
	w := newWorld(t, setup{filters: ch.filters()})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	w.send(b, ok2)
	w.send(c, get)
	w.send(b, ok2)
	if len(places) != 4 || places[0] == places[1] || places[0] != places[2] || places[1] != places[3] {
		t.Errorf("places %p", places)
	}
}

// TestRouteConfig gives a filter what its route says, leaves it out where the route
// turns it off, and looks again when the route is cleared.
func TestRouteConfig(t *testing.T) {
	ext := &sdk.HTTPFilter{
		Name: "a", Route: &structpb.Value{},
		CompileRoute: func(_ sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			return m.(*structpb.Value).GetStringValue(), nil
		},
	}
	ch := newChain("a", "b")
	var seen []any
	ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
		seen = append(seen, s.RouteConfig())
		if s.Request().Has("x-move") {
			s.Request().SetID(sdk.HeaderPath, "/moved")
			if s.RouteConfig() != seen[len(seen)-1] {
				t.Error("the route changed before it was cleared")
			}
			s.ClearRoute()
			seen = append(seen, s.RouteConfig())
		}
		return sdk.Continue
	}
	value := func(s string) string {
		return `typed_per_filter_config { key: "a" value { [type.googleapis.com/google.protobuf.Value] { string_value: "` + s + `" } } }`
	}
	w := newWorld(t, setup{filters: ch.filters(), known: []*sdk.HTTPFilter{ext}, table: `virtual_hosts { name: "v" domains: "*" ` + value("vhost") + `
		routes { match { prefix: "/one" } route { cluster: "c" } ` + value("one") + ` }
		routes { match { prefix: "/moved" } direct_response { status: 202 } ` + value("moved") + ` }
		routes { match { prefix: "/off" } direct_response { status: 201 } typed_per_filter_config { key: "a" value {
			[type.googleapis.com/envoy.config.route.v3.FilterConfig] { disabled: true } } } }
		routes { match { prefix: "/" } direct_response { status: 200 } } }`})
	c := w.client()
	for path, want := range map[string]string{"/": "vhost", "/off": "", "/moved": "moved"} {
		seen = nil
		w.send(c, "GET "+path+" HTTP/1.1\r\nhost: a\r\n\r\n")
		if got := strings.Trim(fmt.Sprint(seen), "[]"); got != want {
			t.Errorf("%s: config %q, want %q", path, got, want)
		}
	}
	if n := ch.scripts[1].news - ch.scripts[0].news; n != 1 {
		t.Errorf("the filter was left out %d times", n)
	}
	c.Received()
	seen = nil
	w.send(c, "GET /one HTTP/1.1\r\nhost: a\r\nx-move: 1\r\n\r\n")
	if got := fmt.Sprint(seen); got != "[one moved]" {
		t.Errorf("configs %s", got)
	}
	if got := statusOf(c.Received()); got != "202 Accepted" {
		t.Errorf("got %q", got)
	}
	ch.balanced(t)
}

// TestFilterSeesAndChanges: headers of both directions, the info, and the stats.
func TestFilterSeesAndChanges(t *testing.T) {
	ch := newChain("a")
	ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
		if s.Request().Method() != "GET" || s.Response().Len() != 0 || s.RequestTrailers() != nil || s.ResponseTrailers() != nil {
			t.Error("not what was expected of a request")
		}
		if s.Now() == 0 || s.Info().Protocol != sdk.HTTP11 || s.Info().DownstreamLocal != front().AddrPort {
			t.Errorf("info %+v", s.Info())
		}
		s.Request().Add("x-in", "1")
		return sdk.Continue
	}
	ch.scripts[0].on["sh"] = func(s sdk.Stream) sdk.Action {
		if s.Response().Status() != 200 || s.Info().ResponseCode != 200 {
			t.Errorf("status %d, code %d", s.Response().Status(), s.Info().ResponseCode)
		}
		s.Response().SetStatus(418)
		s.Response().Add("x-out", "2")
		return sdk.Continue
	}
	w := newWorld(t, setup{filters: ch.filters()})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	if got := b.Received(); !strings.Contains(got, "\r\nx-in: 1\r\n") {
		t.Errorf("host got %q", got)
	}
	w.send(b, ok2)
	if got := c.Received(); statusOf(got) != "418 Unknown" || !strings.Contains(got, "\r\nx-out: 2\r\n") {
		t.Errorf("client got %q", got)
	}
	w.logged("GET / 418 - via_upstream")
}

// stateful is a filter that keeps a count in the stream and does nothing else.
type stateful struct{ sdk.PassThrough }

func (f stateful) New(sdk.Stream) sdk.Filter { return statefulFilter }
func (stateful) Close()                      {}

// statefulFilter is the shared value of stateful: what differs is in the stream.
var statefulFilter sdk.Filter = stateful{}

func (stateful) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action {
	sdk.State[counter](s).n++
	return sdk.Continue
}

func (stateful) OnResponseHeaders(s sdk.Stream, _ bool) sdk.Action {
	sdk.State[counter](s).n++
	return sdk.Continue
}

func (stateful) OnEnd(s sdk.Stream) {
	if n := sdk.State[counter](s).n; n != 2 {
		panic(fmt.Sprintf("a filter was called %d times", n))
	}
}
