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

// probe is a filter that notes every call in its script's log and does what the script
// says for it. Its calls are "rh", "rd", "rt" for the request's head, data, trailers,
// "sh", "sd", "st" for the response's, and "end".
type probe struct{ s *script }

// script is what a probe does, and the HTTPConfig that makes it.
type script struct {
	name string
	log  *[]string
	on   map[string]func(sdk.Stream) sdk.Action
	data map[string]func(s sdk.Stream, b *sdk.Buffer, end bool) sdk.Action
	last sdk.Stream // of the newest stream
	ends int
	news int
}

func (c *script) New(s sdk.Stream) sdk.Filter {
	c.last = s
	c.news++
	return probe{c}
}

func (c *script) Close() {}

func (p probe) call(s sdk.Stream, what, detail string) sdk.Action {
	*p.s.log = append(*p.s.log, p.s.name+what+detail)
	if f := p.s.on[what]; f != nil {
		return f(s)
	}
	return sdk.Continue
}

func (p probe) body(s sdk.Stream, what string, b *sdk.Buffer, end bool) sdk.Action {
	*p.s.log = append(*p.s.log, fmt.Sprintf("%s%s %q%s", p.s.name, what, b.Bytes(nil), dot(end)))
	if f := p.s.data[what]; f != nil {
		return f(s, b, end)
	}
	if f := p.s.on[what]; f != nil {
		return f(s)
	}
	return sdk.Continue
}

func dot(end bool) string {
	if end {
		return "."
	}
	return ""
}

func (p probe) OnRequestHeaders(s sdk.Stream, end bool) sdk.Action { return p.call(s, "rh", dot(end)) }
func (p probe) OnRequestTrailers(s sdk.Stream) sdk.Action          { return p.call(s, "rt", ".") }
func (p probe) OnResponseHeaders(s sdk.Stream, end bool) sdk.Action {
	return p.call(s, "sh", dot(end))
}
func (p probe) OnResponseTrailers(s sdk.Stream) sdk.Action { return p.call(s, "st", ".") }
func (p probe) OnRequestData(s sdk.Stream, b *sdk.Buffer, end bool) sdk.Action {
	return p.body(s, "rd", b, end)
}

func (p probe) OnResponseData(s sdk.Stream, b *sdk.Buffer, end bool) sdk.Action {
	return p.body(s, "sd", b, end)
}

func (p probe) OnEnd(s sdk.Stream) {
	p.s.ends++
	p.call(s, "end", "")
}

// chain is a filter chain of scripts that share a log.
type chain struct {
	log     []string
	scripts []*script
}

func newChain(names ...string) *chain {
	c := &chain{}
	for _, name := range names {
		c.scripts = append(c.scripts, &script{
			name: name, log: &c.log, on: map[string]func(sdk.Stream) sdk.Action{},
			data: map[string]func(sdk.Stream, *sdk.Buffer, bool) sdk.Action{},
		})
	}
	return c
}

func (c *chain) filters() []FilterConfig {
	var list []FilterConfig
	for _, s := range c.scripts {
		list = append(list, FilterConfig{Name: s.name, Config: s})
	}
	return list
}

// calls returns what was called since the last time.
func (c *chain) calls() string {
	s := strings.Join(c.log, " ")
	c.log = nil
	return s
}

func (c *chain) called(t testing.TB, want string) {
	t.Helper()
	if got := c.calls(); got != want {
		t.Errorf("called %s\nwant   %s", got, want)
	}
}

// balanced checks that every filter that was made was ended, once.
func (c *chain) balanced(t testing.TB) {
	t.Helper()
	for _, s := range c.scripts {
		if s.news != s.ends {
			t.Errorf("%s: %d made, %d ended", s.name, s.news, s.ends)
		}
	}
}

const trailed = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"

const trailedBack = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nz\r\n0\r\nx-end: 2\r\n\r\n"

func TestFilterOrder(t *testing.T) {
	ch := newChain("a", "b")
	w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"c": trailersUpstream}})
	c := w.client()
	w.send(c, get)
	ch.called(t, "arh. brh.")
	b := w.backend(1)
	w.send(b, "HTTP/1.1 204 X\r\n\r\n")
	ch.called(t, "bsh. ash. aend bend")
	w.send(c, trailed)
	ch.called(t, `arh brh ard "abc" brd "abc" art. brt.`)
	w.send(b, trailedBack)
	ch.called(t, `bsh ash bsd "z" asd "z" bst. ast. aend bend`)
	ch.balanced(t)
	w.idle()
}

// TestStopAndResume pauses at each callback of each direction, while body comes bit by
// bit, and resumes later: all arrives, in order, and what is behind the stop not
// before.
func TestStopAndResume(t *testing.T) {
	x := exchanges()[2]
	parts := []string{x.request[:63], x.request[63:66], x.request[66:69], x.request[69:]}
	for _, what := range []string{"rh", "rd", "rt", "sh", "sd", "st"} {
		t.Run(what, func(t *testing.T) {
			ch := newChain("a", "b", "c")
			w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"c": trailersUpstream}})
			c := w.client()
			w.send(c, get) // so that there is a connection
			b := w.backend(1)
			w.send(b, ok2)
			b.Received()
			c.Received()
			stopped := false
			ch.scripts[1].on[what] = func(sdk.Stream) sdk.Action {
				if stopped {
					return sdk.Continue
				}
				stopped = true
				return sdk.Pause
			}
			for _, part := range parts {
				w.send(c, part)
			}
			up := b.Received()
			if what[0] == 'r' {
				w.heldBack(up, what, "abc", "x-sum")
				ch.scripts[1].last.ResumeRequest()
				w.Settle()
				up += b.Received()
			}
			if unchunk(up) != unchunk(x.up) {
				t.Errorf("host got %q\nwant %q", up, x.up)
			}
			for i := range x.response {
				w.send(b, x.response[i:i+1])
			}
			down := c.Received()
			if what[0] == 's' {
				w.heldBack(down, what, "z", "x-end")
				ch.scripts[1].last.ResumeResponse()
				w.Settle()
				down += c.Received()
			}
			if unchunk(down) != unchunk(x.down) {
				t.Errorf("client got %q\nwant %q", down, x.down)
			}
			ch.balanced(t)
			w.idle()
		})
	}
}

// heldBack checks what has come past a filter that has stopped at the call what.
func (w *world) heldBack(got, what, body, trailer string) {
	w.t.Helper()
	switch what[1] {
	case 'h':
		if got != "" {
			w.t.Errorf("past a head that is held came %q", got)
		}
	case 'd':
		if strings.Contains(bodyOf(got), body[len(body)-1:]) || got == "" {
			w.t.Errorf("past a body that is held came %q", got)
		}
	case 't':
		if strings.Contains(got, trailer) || !strings.Contains(bodyOf(got), body[len(body)-1:]) {
			w.t.Errorf("past trailers that are held came %q", got)
		}
	}
}

// TestPauseHoldsAndSlows: a paused filter is not called for the body that comes; beyond
// the limit the client is stopped; all of it goes on afterwards.
func TestPauseHoldsAndSlows(t *testing.T) {
	ch := newChain("a", "b")
	ch.scripts[0].on["rh"] = func(sdk.Stream) sdk.Action { return sdk.Pause }
	w := newWorld(t, setup{filters: ch.filters(), limit: 10_000})
	c := w.client()
	const size = 500_000
	body := strings.Repeat("0123456789", size/10)
	w.send(c, post(size)+body)
	if c.Unread() < size/2 {
		t.Errorf("the loop took %d bytes while the filter paused", size-c.Unread())
	}
	ch.called(t, "arh")
	w.stats("downstream_flow_control_paused_reading_total", 1)
	ch.scripts[0].last.ResumeRequest()
	w.Settle()
	if got := bodyOf(w.backend(1).Received()); got != body {
		t.Errorf("host got %d bytes", len(got))
	}
}

// TestResponsePauseSlows is the same in the other direction.
func TestResponsePauseSlows(t *testing.T) {
	ch := newChain("a", "b")
	ch.scripts[1].on["sh"] = func(sdk.Stream) sdk.Action { return sdk.Pause }
	w := newWorld(t, setup{filters: ch.filters(), limit: 10_000})
	c := w.client()
	const size = 500_000
	body := strings.Repeat("0123456789", size/10)
	w.send(c, get)
	b := w.backend(1)
	w.send(b, fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n", size)+body)
	if b.Unread() < size/2 {
		t.Errorf("the loop took %d bytes while the filter paused", size-b.Unread())
	}
	w.got(c, "")
	ch.scripts[1].last.ResumeResponse()
	w.Settle()
	if got := bodyOf(c.Received()); got != body {
		t.Errorf("client got %d bytes", len(got))
	}
	w.logged(okLog)
	ch.balanced(t)
}

// TestCollect gives the filter all of the body so far each time, and lets it change it.
func TestCollect(t *testing.T) {
	ch := newChain("a", "b")
	collect := func(s sdk.Stream, b *sdk.Buffer, end bool) sdk.Action {
		if !end {
			return sdk.Collect
		}
		b.AppendString("!")
		return sdk.Continue
	}
	head := func(s sdk.Stream) sdk.Action {
		s.Request().RemoveID(sdk.HeaderContentLength)
		s.Response().RemoveID(sdk.HeaderContentLength)
		return sdk.Collect
	}
	ch.scripts[0].on["rh"], ch.scripts[0].data["rd"] = head, collect
	ch.scripts[1].on["sh"], ch.scripts[1].data["sd"] = head, collect
	w := newWorld(t, setup{filters: ch.filters()})
	c := w.client()
	w.send(c, post(4))
	w.send(c, "ab")
	w.send(c, "cd")
	ch.called(t, `arh ard "ab" ard "abcd". brh brd "abcd!".`)
	b := w.backend(1)
	if got := bodyOf(b.Received()); got != "5\r\nabcd!\r\n0\r\n\r\n" {
		t.Errorf("host got %q", got)
	}
	w.send(b, ok2[:len(ok2)-1])
	w.send(b, "k")
	ch.called(t, `bsh bsd "o" bsd "ok". ash asd "ok!". aend bend`)
	if got := bodyOf(c.Received()); got != "3\r\nok!\r\n0\r\n\r\n" {
		t.Errorf("client got %q", got)
	}
	w.idle()
}

// TestCollectTooMuch answers 413 for a request and 500 for a response over the limit.
func TestCollectTooMuch(t *testing.T) {
	collect := func(sdk.Stream) sdk.Action { return sdk.Collect } // for ever, if it is asked
	big := strings.Repeat("x", 2000)

	ch := newChain("a")
	ch.scripts[0].on["rh"], ch.scripts[0].on["rd"] = collect, collect
	w := newWorld(t, setup{filters: ch.filters(), limit: 1000})
	c := w.client()
	w.send(c, post(2000)+big)
	w.got(c, local("413 Payload Too Large", "Payload Too Large", "connection: close"))
	w.logged("POST / 413 - request_payload_too_large")
	w.stats("downstream_rq_too_large", 1)
	if w.next(1) != nil {
		t.Error("a host was asked")
	}
	ch.balanced(t)

	ch = newChain("a")
	ch.scripts[0].on["sh"], ch.scripts[0].on["sd"] = collect, collect
	w = newWorld(t, setup{filters: ch.filters(), limit: 1000})
	c = w.client()
	w.send(c, get)
	w.send(w.backend(1), "HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n"+big)
	if got := statusOf(c.Received()); got != "500 Internal Server Error" {
		t.Errorf("got %q", got)
	}
	if got := w.log.take(); !strings.HasPrefix(got, "GET / 500 - response_payload_too_") {
		t.Errorf("log %q", got)
	}
	w.stats("rs_too_large", 1)
	ch.balanced(t)
	w.idle()
}

// TestReply answers from each callback; before the head of a response is out that is a
// reply, after it the client is cut off.
func TestReply(t *testing.T) {
	reply := func(s sdk.Stream) sdk.Action {
		s.Reply(sdk.Reply{Status: 403, Body: "no", Details: "test", Flag: sdk.FlagUnauthorizedExternalServic})
		return sdk.Replied
	}
	tests := []struct {
		what  string
		calls string
		cut   bool
	}{
		{"rh", `arh brh csh bsh ash csd "no". bsd "no". asd "no". aend bend cend`, false},
		{"rd", `arh brh crh ard "abc" brd "abc" csh bsh ash csd "no". bsd "no". asd "no". aend bend cend`, false},
		{"rt", `arh brh crh ard "abc" brd "abc" crd "abc" art. brt. csh bsh ash csd "no". bsd "no". asd "no". aend bend cend`, false},
		{"sd", "", true},
		{"st", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			ch := newChain("a", "b", "c")
			ch.scripts[1].on[tt.what] = reply
			w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"c": trailersUpstream}})
			c := w.client()
			w.send(c, trailed)
			if !tt.cut {
				if got := c.Received(); statusOf(got) != "403 Forbidden" || bodyOf(got) != "no" {
					t.Errorf("got %q", got)
				}
				ch.called(t, tt.calls)
				w.logged("POST / 403 UAEX test")
			} else {
				b := w.backend(1)
				w.send(b, trailedBack)
				if got := statusOf(c.Received()); got != "200 OK" {
					t.Errorf("got %q", got)
				}
				if !c.Ended() {
					t.Error("not cut off")
				}
				w.logged("POST / 200 UAEX test")
			}
			ch.balanced(t)
			w.idle()
		})
	}
}

// TestReplyToResponse replaces a response whose head the filters have seen, the host's
// or our own: the reply goes past them, or a filter that always replaces would meet
// itself.
func TestReplyToResponse(t *testing.T) {
	replace := func(s sdk.Stream) sdk.Action {
		s.Reply(sdk.Reply{Status: 502, Body: "bad", Details: "test"})
		return sdk.Replied
	}
	for _, ours := range []bool{false, true} {
		ch := newChain("a", "b")
		ch.scripts[1].on["sh"] = replace
		if ours {
			ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
				s.Reply(sdk.Reply{Status: 401, Body: "who are you"})
				return sdk.Replied
			}
		}
		w := newWorld(t, setup{filters: ch.filters()})
		c := w.client()
		w.send(c, get)
		if ours {
			ch.called(t, "arh. bsh aend bend")
		} else {
			b := w.backend(1)
			w.send(b, ok2)
			ch.called(t, "arh. brh. bsh aend bend")
			if !b.Closed() {
				t.Error("the host's connection is kept with an answer nobody read")
			}
		}
		w.got(c, local("502 Bad Gateway", "bad"))
		w.logged("GET / 502 - test")
		ch.balanced(t)
		w.idle()
		w.finish()
	}
}

// TestReplyWhilePaused answers from outside a callback: later, by a timer or a job.
func TestReplyWhilePaused(t *testing.T) {
	for _, what := range []string{"rh", "rd", "rt", "sh"} {
		t.Run(what, func(t *testing.T) {
			ch := newChain("a", "b")
			once := false
			ch.scripts[0].on[what] = func(s sdk.Stream) sdk.Action {
				if once {
					return sdk.Continue
				}
				once = true
				s.After(time.Second, func() { s.Reply(sdk.Reply{Status: 429, Body: "later"}) })
				return sdk.Pause
			}
			w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"c": trailersUpstream}})
			c := w.client()
			w.send(c, trailed)
			if what == "sh" {
				w.send(w.backend(1), trailedBack)
			}
			w.got(c, "")
			w.Advance(2 * time.Second)
			if got := c.Received(); statusOf(got) != "429 Too Many Requests" || bodyOf(got) != "later" {
				t.Errorf("got %q", got)
			}
			w.logged("POST / 429 - direct_response")
			ch.balanced(t)
			w.idle()
		})
	}
}

// TestResumeEarly: what resumes while the callback that pauses is still on the stack
// counts, else the stream would wait for ever.
func TestResumeEarly(t *testing.T) {
	resume := func(s sdk.Stream) sdk.Action {
		s.ResumeRequest()
		return sdk.Pause
	}
	back := func(s sdk.Stream) sdk.Action {
		s.ResumeResponse()
		return sdk.Pause
	}
	for what, f := range map[string]func(sdk.Stream) sdk.Action{
		"rh": resume, "rd": resume, "rt": resume, "sh": back, "sd": back, "st": back,
	} {
		t.Run(what, func(t *testing.T) {
			ch := newChain("a")
			ch.scripts[0].on[what] = f
			w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"c": trailersUpstream}})
			c := w.client()
			w.send(c, trailed)
			b := w.backend(1)
			if got := b.Received(); !strings.HasSuffix(got, "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n") {
				t.Errorf("host got %q", got)
			}
			w.send(b, trailedBack)
			if got := c.Received(); !strings.HasSuffix(got, "1\r\nz\r\n0\r\nx-end: 2\r\n\r\n") {
				t.Errorf("client got %q", got)
			}
			w.idle()
		})
	}
}

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
