package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

// at shifts the date of an expected response by whole seconds from the start.
func at(resp string, seconds int) string {
	return strings.Replace(resp, "04:05 GMT", fmt.Sprintf("04:%02d GMT", 5+seconds), 1)
}

// justBefore moves the clock to shortly before d, checks that nothing was sent to c,
// and goes on to shortly after d.
func (w *world) justBefore(d time.Duration, c *looptest.Peer) {
	w.t.Helper()
	w.Advance(d - 10*time.Millisecond)
	w.got(c, "")
	w.logged("")
	w.Advance(20 * time.Millisecond)
}

// TestTimeoutsBeforeResponse: each limit on its own, with nothing of a response sent.
func TestTimeoutsBeforeResponse(t *testing.T) {
	const second = time.Second
	tests := []struct {
		name  string
		o     setup
		send  string
		after time.Duration
		want  string
		log   string
		stats []any
		end   bool
	}{
		{
			name: "route", o: setup{action: "timeout { seconds: 3 }"}, send: get, after: 3 * second,
			want: local("504 Gateway Timeout", "upstream request timeout"), log: "GET / 504 UT response_timeout",
			stats: []any{".upstream_rq_timeout", 1, ".upstream_rq_504", 1},
		},
		{
			name: "route's default", send: get, after: 15 * second,
			want: local("504 Gateway Timeout", "upstream request timeout"), log: "GET / 504 UT response_timeout",
		},
		{
			name: "per try", o: setup{action: `retry_policy { per_try_timeout { seconds: 2 } }`}, send: get, after: 2 * second,
			want: local("504 Gateway Timeout", "upstream request timeout"), log: "GET / 504 UT upstream_per_try_timeout",
			stats: []any{".upstream_rq_per_try_timeout", 1, ".upstream_rq_timeout", 0},
		},
		{
			name: "per try idle", o: setup{action: `retry_policy { per_try_idle_timeout { seconds: 2 } }`}, send: get, after: 2 * second,
			want: local("504 Gateway Timeout", "upstream request timeout"), log: "GET / 504 UT upstream_per_try_idle_timeout",
			stats: []any{".upstream_rq_per_try_idle_timeout", 1},
		},
		{
			name: "stream idle", o: setup{action: "timeout {}", edit: func(c *Config) { c.StreamIdleTimeout = 4 * second }},
			send: get, after: 4 * second,
			want: local("504 Gateway Timeout", "stream timeout"), log: "GET / 504 SI stream_idle_timeout",
			stats: []any{"downstream_rq_idle_timeout", 1},
		},
		{
			name: "stream idle in a request", o: setup{edit: func(c *Config) { c.StreamIdleTimeout = 4 * second }},
			send: post(5) + "he", after: 4 * second,
			want: local("408 Request Timeout", "stream timeout", "connection: close"), log: "POST / 408 SI stream_idle_timeout",
			stats: []any{"downstream_rq_idle_timeout", 1}, end: true,
		},
		{
			name: "route's idle", o: setup{action: "timeout {} idle_timeout { seconds: 2 }", edit: func(c *Config) { c.StreamIdleTimeout = 9 * second }},
			send: get, after: 2 * second,
			want: local("504 Gateway Timeout", "stream timeout"), log: "GET / 504 SI stream_idle_timeout",
		},
		{
			name: "request", o: setup{edit: func(c *Config) { c.RequestTimeout = 3 * second }},
			send: post(5) + "he", after: 3 * second,
			want: local("408 Request Timeout", "request timeout", "connection: close"), log: "POST / 408 - request_overall_timeout",
			stats: []any{"downstream_rq_timeout", 1}, end: true,
		},
		{
			name: "request headers", o: setup{edit: func(c *Config) { c.RequestHeadersTimeout = 3 * second }},
			send: "GET / HTTP/1.1\r\nho", after: 3 * second,
			want: local("408 Request Timeout", "request header timeout", "connection: close"), log: "- - 408 - request_header_timeout",
			stats: []any{"downstream_rq_header_timeout", 1}, end: true,
		},
		{
			name: "stream duration", o: setup{edit: func(c *Config) { c.MaxStreamDuration = 3 * second }}, send: get, after: 3 * second,
			want: local("504 Gateway Timeout", "downstream duration timeout"), log: "GET / 504 - max_duration_timeout",
			stats: []any{"downstream_rq_max_duration_reached", 1},
		},
		{
			name: "route's stream duration", o: setup{action: "max_stream_duration { max_stream_duration { seconds: 2 } }"},
			send: get, after: 2 * second,
			want: local("504 Gateway Timeout", "downstream duration timeout"), log: "GET / 504 - max_duration_timeout",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.o)
			c := w.client()
			w.send(c, tt.send)
			w.justBefore(tt.after, c)
			w.got(c, at(tt.want, int(tt.after/second)))
			w.logged(tt.log)
			w.stats(tt.stats...)
			if c.Ended() != tt.end {
				t.Errorf("the connection ended: %v, want %v", c.Ended(), tt.end)
			}
			w.Advance(5 * second)
			w.idle()
			if b := w.next(1); b != nil && !b.Closed() {
				t.Error("the host's connection is kept though it owes an answer")
			}
		})
	}
}

// TestTimeoutsInResponse: after the head nothing can be said any more, the client is
// cut off.
func TestTimeoutsInResponse(t *testing.T) {
	tests := []struct {
		name string
		o    setup
		log  string
	}{
		{"route", setup{action: "timeout { seconds: 3 }"}, "GET / 200 UT response_timeout"},
		{"per try idle", setup{action: "retry_policy { per_try_idle_timeout { seconds: 3 } }"}, "GET / 200 UT upstream_per_try_idle_timeout"},
		{
			"stream idle", setup{edit: func(c *Config) { c.StreamIdleTimeout = 3 * time.Second }}, "GET / 200 SI stream_idle_timeout",
		},
		{
			"stream duration", setup{edit: func(c *Config) { c.MaxStreamDuration = 3 * time.Second }}, "GET / 200 - max_duration_timeout",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.o)
			c := w.client()
			w.send(c, get)
			b := w.backend(1)
			w.send(b, ok2[:len(ok2)-1])
			w.got(c, ok2Down[:len(ok2Down)-1])
			w.justBefore(3*time.Second, c)
			w.logged(tt.log)
			w.got(c, "")
			if !c.Ended() || !b.Closed() {
				t.Errorf("client ended %v, host closed %v", c.Ended(), b.Closed())
			}
			w.idle()
		})
	}
}

// TestTimeoutsThatActivityPutsOff: bytes in any direction restart the idle timeouts,
// and only those.
func TestTimeoutsThatActivityPutsOff(t *testing.T) {
	w := newWorld(t, setup{action: "timeout {} retry_policy { per_try_idle_timeout { seconds: 3 } }", edit: func(c *Config) {
		c.StreamIdleTimeout = 4 * time.Second
	}})
	c := w.client()
	w.send(c, post(6))
	for _, part := range []string{"a", "b", "c"} {
		w.Advance(2 * time.Second)
		w.send(c, part)
	}
	w.Advance(2 * time.Second)
	w.send(c, "def")
	b := w.backend(1)
	for _, part := range []string{"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", "x", "y"} {
		w.Advance(2 * time.Second)
		w.send(b, part)
	}
	w.Advance(2 * time.Second)
	w.send(b, "z")
	if got := bodyOf(c.Received()); got != "xyz" {
		t.Errorf("body %q", got)
	}
	w.logged("POST / 200 - via_upstream")
}

// TestPerTryTimeoutWaitsForConnection: the time to connect is none of the attempt's.
func TestPerTryTimeoutWaitsForConnection(t *testing.T) {
	w := newWorld(t, setup{action: "retry_policy { per_try_timeout { seconds: 2 } }"})
	w.OnDial(addr(1), looptest.Hold)
	c := w.client()
	w.send(c, get)
	w.Advance(3 * time.Second)
	w.got(c, "")
	w.backend(1).Establish()
	w.Settle()
	w.justBefore(2*time.Second, c)
	w.logged("GET / 504 UT upstream_per_try_timeout")
}

// TestRouteTimeoutStartsWithRequestEnd: a slow upload is none of the route's timeout.
func TestRouteTimeoutStartsWithRequestEnd(t *testing.T) {
	w := newWorld(t, setup{action: "timeout { seconds: 3 }"})
	c := w.client()
	w.send(c, post(2))
	w.Advance(10 * time.Second)
	w.send(c, "ab")
	w.justBefore(3*time.Second, c)
	w.logged("POST / 504 UT response_timeout")
}

// TestPerTryTimeoutOfSlowUpload runs once the client has sent everything, though the
// host has not taken it, and is not put off when the host goes on.
func TestPerTryTimeoutOfSlowUpload(t *testing.T) {
	w := newWorld(t, setup{
		action:   "retry_policy { per_try_timeout { seconds: 2 } }",
		clusters: map[string]string{"c": "per_connection_buffer_limit_bytes { value: 1000 }"},
	})
	w.OnDial(addr(1), looptest.Hold)
	c := w.client()
	w.send(c, post(40_000)+strings.Repeat("x", 40_000))
	b := w.backend(1)
	b.Window(0)
	b.Establish()
	w.Settle()
	w.Advance(time.Second)
	b.Window(-1)
	w.Settle()
	if got := bodyOf(b.Received()); len(got) != 40_000 {
		t.Errorf("host got %d bytes", len(got))
	}
	w.justBefore(time.Second, c)
	w.logged("POST / 504 UT upstream_per_try_timeout")

	w = newWorld(t, w.o)
	w.OnDial(addr(1), looptest.Hold)
	c = w.client()
	w.send(c, post(40_000)+strings.Repeat("x", 40_000))
	b = w.backend(1)
	b.Window(0)
	b.Establish()
	w.Settle()
	w.justBefore(2*time.Second, c)
	w.logged("POST / 504 UT upstream_per_try_timeout")
}

// TestNoTimerOutlivesItsStream: an answered request leaves nothing behind that wakes the loop but the connections' idle timers.
func TestNoTimerOutlivesItsStream(t *testing.T) {
	w := newWorld(t, setup{action: "timeout { seconds: 3 }"})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	w.send(b, ok2)
	w.got(c, ok2Down)
	w.logged(okLog)
	w.Advance(10 * time.Second)
	w.got(c, "")
	w.logged("")
	if next := w.Loop.NextTimer(); next >= 0 && next < 30*time.Minute {
		t.Errorf("a timer is due at %v", next)
	}
}

// TestConnectionIdleTimeout counts from the end of the last request.
func TestConnectionIdleTimeout(t *testing.T) {
	w := newWorld(t, setup{edit: func(c *Config) { c.IdleTimeout = 10 * time.Second }})
	c := w.client()
	w.Settle()
	w.Advance(9 * time.Second)
	w.send(c, get)
	b := w.backend(1)
	w.Advance(9 * time.Second) // a request under way is not idleness
	w.send(b, ok2)
	c.Received()
	w.Advance(9990 * time.Millisecond)
	if c.Ended() {
		t.Fatal("ended too early")
	}
	w.Advance(20 * time.Millisecond)
	if !c.Ended() {
		t.Fatal("not ended")
	}
	w.stats("downstream_cx_idle_timeout", 1, "downstream_cx_active", 0)
	w.logged(okLog)
}

// TestConnectionIdleFromAccept: one that never asks anything is idle too.
func TestConnectionIdleFromAccept(t *testing.T) {
	w := newWorld(t, setup{edit: func(c *Config) { c.IdleTimeout = 10 * time.Second }})
	c := w.client()
	w.Settle()
	w.Advance(10*time.Second + 10*time.Millisecond)
	if !c.Ended() {
		t.Error("not ended")
	}
	w.logged("")
}

// TestMaxConnectionDuration ends an idle connection at once, a busy one after its
// response.
func TestMaxConnectionDuration(t *testing.T) {
	w := newWorld(t, setup{edit: func(c *Config) { c.MaxConnectionDuration = 5 * time.Second }})
	quiet, busy := w.client(), w.client()
	w.send(busy, get)
	b := w.backend(1)
	w.Advance(4990 * time.Millisecond)
	if quiet.Ended() {
		t.Fatal("ended too early")
	}
	w.Advance(20 * time.Millisecond)
	if !quiet.Ended() || busy.Ended() {
		t.Errorf("idle one ended %v, busy one %v", quiet.Ended(), busy.Ended())
	}
	w.send(b, ok2)
	got := busy.Received()
	if !strings.Contains(got, "\r\nconnection: close\r\n") || !busy.Ended() {
		t.Errorf("ended %v, got %q", busy.Ended(), got)
	}
	w.stats("downstream_cx_max_duration_reached", 2)
	w.logged(okLog)
}

// TestRequestHeadersTimeoutOfSecondRequest runs from the first byte of that head, not
// from the one before it.
func TestRequestHeadersTimeoutOfSecondRequest(t *testing.T) {
	w := newWorld(t, setup{edit: func(c *Config) { c.RequestHeadersTimeout = 3 * time.Second }})
	c := w.client()
	w.send(c, "GET / HT")
	w.Advance(2 * time.Second)
	w.send(c, "TP/1.1\r\nhost: a\r\n\r\n")
	w.Advance(2 * time.Second)
	b := w.backend(1)
	w.send(b, ok2)
	c.Received()
	w.logged(okLog)
	w.Advance(10 * time.Second)
	if c.Ended() {
		t.Fatal("an idle connection has no head to wait for")
	}
	w.send(c, "G")
	w.justBefore(3*time.Second, c)
	if got := statusOf(c.Received()); got != "408 Request Timeout" {
		t.Errorf("got %q", got)
	}
	w.logged("- - 408 - request_header_timeout")
}

// TestTimeoutsOfOneMoment: of limits that fall due together one is told, and the
// stream ends once.
func TestTimeoutsOfOneMoment(t *testing.T) {
	w := newWorld(t, setup{
		action: "timeout { seconds: 3 } idle_timeout { seconds: 3 } retry_policy { per_try_idle_timeout { seconds: 3 } }",
		edit:   func(c *Config) { c.MaxStreamDuration = 3 * time.Second },
	})
	c := w.client()
	w.send(c, get)
	w.Advance(4 * time.Second)
	if got := c.Received(); strings.Count(got, "HTTP/1.1 504") != 1 {
		t.Errorf("got %q", got)
	}
	if got := w.log.take(); strings.Count(got, ";") != 0 || !strings.HasPrefix(got, "GET / 504 ") {
		t.Errorf("log %q", got)
	}
	w.idle()
}

// TestTimeoutsOfOneMomentWhileReplyIsHeld: the first one's reply is still with a filter
// when the others would come, which it has put out of force.
func TestTimeoutsOfOneMomentWhileReplyIsHeld(t *testing.T) {
	ch := newChain("a")
	ch.scripts[0].on["sh"] = func(s sdk.Stream) sdk.Action {
		s.After(time.Second, s.ResumeResponse)
		return sdk.Pause
	}
	w := newWorld(t, setup{
		filters: ch.filters(), action: "timeout { seconds: 3 }", edit: func(c *Config) { c.StreamIdleTimeout = 3 * time.Second },
	})
	c := w.client()
	w.send(c, get)
	w.Advance(3100 * time.Millisecond)
	w.got(c, "")
	w.Advance(time.Second)
	if got := bodyOf(c.Received()); got != "stream timeout" {
		t.Errorf("got %q", got)
	}
	w.logged("GET / 504 SI stream_idle_timeout")
	w.stats(".upstream_rq_timeout", 0)
	w.idle()
}

// TestOurTimeoutGoesUpstream tells the host how long we wait; a trusted client's own
// wish counts.
func TestOurTimeoutGoesUpstream(t *testing.T) {
	w := newWorld(t, setup{action: `timeout { seconds: 3 } retry_policy { per_try_timeout { seconds: 2 } }`})
	c := w.client()
	w.send(c, get)
	w.got(w.backend(1), strings.Replace(getUp, "15000", "2000", 1))
	w = newWorld(t, setup{action: `timeout {}`})
	c = w.client()
	w.send(c, get)
	w.got(w.backend(1), strings.Replace(getUp, "x-envoy-expected-rq-timeout-ms: 15000\r\n", "", 1))
}
