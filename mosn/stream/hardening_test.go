package stream

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

// TestUnreadAnswers: a client that sends request after request and reads no answer is
// not answered without bound.
func TestUnreadAnswers(t *testing.T) {
	const limit = 8 << 10
	w := newWorld(t, setup{
		limit: limit,
		route: `match { prefix: "/" } direct_response { status: 200 body { inline_string: "` + strings.Repeat("x", 1000) + `" } }`,
	})
	c := w.client()
	w.send(c, get)
	c.Window(0)
	c.Received()
	const n = 1000
	for range n {
		w.send(c, get)
	}
	if q := w.queued(); q > 2*limit {
		t.Errorf("%d bytes wait to be sent, %d are allowed", q, limit)
	}
	c.Window(-1)
	w.Settle()
	w.send(c, get)
	if got := strings.Count(c.Received(), "HTTP/1.1 200"); got != n+1 {
		t.Errorf("%d answers of %d", got, n+1)
	}
}

// queued returns the bytes in the write queues of all downstream connections.
func (w *world) queued() (n int) {
	w.w.conns.each(func(d *serverConn) { n += d.c.Queued() })
	return n
}

// TestHeadThatNeverEnds: a head that began and does not end is given up, by default as
// the stream that it would be, and the connection's timers rest meanwhile.
func TestHeadThatNeverEnds(t *testing.T) {
	tests := map[string]struct {
		edit  func(*Config)
		after time.Duration
		stat  string
	}{
		"stream_idle_timeout": {func(c *Config) { c.StreamIdleTimeout = time.Minute }, time.Minute, "downstream_rq_idle_timeout"},
		"request_timeout":     {func(c *Config) { c.RequestTimeout = time.Second }, time.Second, "downstream_rq_timeout"},
		"request_headers_timeout": {
			func(c *Config) { c.RequestHeadersTimeout = time.Second }, time.Second, "downstream_rq_header_timeout",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, setup{edit: tt.edit})
			c := w.client()
			w.send(c, "GET / HTTP/1.1\r\n")
			w.Advance(tt.after - 10*time.Millisecond)
			w.got(c, "")
			w.Advance(20 * time.Millisecond)
			if got := statusOf(c.Received()); got != "408 Request Timeout" {
				t.Errorf("answered %q", got)
			}
			w.stats(tt.stat, 1)
		})
	}
}

// TestHeadWithoutLimit: with no limit at all a head may wait for ever, and its
// connection does not wake the loop again and again for the idle timeout.
func TestHeadWithoutLimit(t *testing.T) {
	w := newWorld(t, setup{edit: func(c *Config) { c.StreamIdleTimeout, c.IdleTimeout = 0, time.Second }})
	c := w.client()
	w.send(c, "GET / HTTP/1.1\r\n")
	w.Advance(10 * time.Second)
	var d *serverConn
	w.w.conns.each(func(x *serverConn) { d = x })
	if d == nil {
		t.Fatal("the connection was closed")
	}
	if next := w.Loop.NextTimer(); d.timer.Armed() && next < w.Now()+900*time.Millisecond {
		t.Errorf("the loop wakes again at %v, now is %v", next, w.Now())
	}
}

// TestPanicInEnd: filters are told of the end by a callback like any other; one that
// panics there leaves nothing behind.
func TestPanicInEnd(t *testing.T) {
	tests := map[string]func(w *world, c, b *looptest.Peer){
		"response":     func(w *world, _, b *looptest.Peer) { w.send(b, ok2) },
		"reset":        func(w *world, _, b *looptest.Peer) { b.Reset(); w.Settle() },
		"client gone":  func(w *world, c, _ *looptest.Peer) { c.Close(); w.Settle() },
		"client reset": func(w *world, c, _ *looptest.Peer) { c.Reset(); w.Settle() },
	}
	for name, act := range tests {
		t.Run(name, func(t *testing.T) {
			ch := newChain("a", "b")
			w := newWorld(t, setup{filters: ch.filters()})
			ch.scripts[0].on["end"] = func(sdk.Stream) sdk.Action { panic("boom") }
			c := w.client()
			w.send(c, get)
			act(w, c, w.backend(1))
			w.Advance(2 * time.Second)
			if !c.Closed() {
				t.Error("the client's connection is open")
			}
			if w.w.ActiveConns() != 0 {
				t.Errorf("%d connections are counted", w.w.ActiveConns())
			}
			if len(w.Logs) == 0 {
				t.Error("the panic is not logged")
			}
			w.Logs = nil
			w.stats("downstream_cx_active", 0, "downstream_cx_http1_active", 0, "downstream_rq_active", 0)
			ch.balanced(t)
			w.idle()
		})
	}
}

// brittle is a filter's configuration that fails to make a filter.
type brittle struct{}

func (brittle) New(sdk.Stream) sdk.Filter { panic("boom") }
func (brittle) Close()                    {}

// TestPanicInNew: the filters that were made before the one that panics are told of
// the end.
func TestPanicInNew(t *testing.T) {
	ch := newChain("a")
	w := newWorld(t, setup{filters: append(ch.filters(), FilterConfig{Name: "b", Config: brittle{}})})
	c := w.client()
	w.send(c, get)
	if !c.Closed() {
		t.Error("the client's connection is open")
	}
	if len(w.Logs) != 1 {
		t.Errorf("logged: %q", w.Logs)
	}
	w.Logs = nil
	w.stats("downstream_cx_active", 0, "downstream_rq_active", 0)
	ch.balanced(t)
	w.idle()
}

// TestPanicKeepsBodiesApart: what a filter was looking at when it panicked is not
// given to the next stream.
func TestPanicKeepsBodiesApart(t *testing.T) {
	for _, what := range []string{"rd", "sd"} {
		t.Run(what, func(t *testing.T) {
			ch := newChain("a")
			w := newWorld(t, setup{filters: ch.filters()})
			exchange := func(body string) (got string) {
				c := w.client()
				w.send(c, post(len(body))+body)
				b := w.next(1)
				if b == nil {
					return ""
				}
				got = bodyOf(b.Received())
				w.send(b, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n"+strings.Repeat(body[:1], 6))
				return got + " " + bodyOf(c.Received())
			}
			ch.scripts[0].on[what] = func(sdk.Stream) sdk.Action { panic("boom") }
			exchange("secret")
			delete(ch.scripts[0].on, what)
			w.Logs = nil
			w.Advance(2 * time.Second)
			if got := exchange("public"); got != "public pppppp" {
				t.Errorf("got %q", got)
			}
			w.idle()
		})
	}
}

// TestNoDelayedClose: with a delayed_close_timeout of 0 nobody waits for the client to
// close.
func TestNoDelayedClose(t *testing.T) {
	w := newWorld(t, setup{edit: func(c *Config) { c.DelayedCloseTimeout = 0 }})
	c := w.client()
	w.send(c, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
	w.send(w.backend(1), ok2)
	if got := bodyOf(c.Received()); got != "ok" {
		t.Errorf("got %q", got)
	}
	if !c.Closed() {
		t.Error("the connection waits for the client")
	}
}

// TestClosedByUs: a connection whose end we wait for in vain was ended by us, and its
// length is that of its life.
func TestClosedByUs(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	w.send(b, ok2)
	w.Advance(10 * time.Second)
	w.send(c, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
	w.send(b, ok2)
	w.Advance(2 * time.Second)
	if !c.Closed() {
		t.Fatal("the connection is open")
	}
	w.stats("downstream_cx_destroy", 1, "downstream_cx_destroy_local", 1, "downstream_cx_destroy_remote", 0)
}

// TestBrokenBodyAfterAnswer: a body that turns out to be malformed after the head of the
// response was sent ends the stream; what is logged is what the client saw.
func TestBrokenBodyAfterAnswer(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
	w.send(w.backend(1), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
	w.send(c, "nonsense\r\n")
	if got := c.Received(); !strings.HasSuffix(got, "abc") {
		t.Errorf("got %q", got)
	}
	w.logged("POST / 200 DPE http1.codec_error")
}

// TestLastWords: what a client says on an upgraded connection right before it closes
// reaches the host.
func TestLastWords(t *testing.T) {
	w := newWorld(t, setup{edit: func(c *Config) { c.Upgrades = []Upgrade{{Type: "websocket", Enabled: true}} }})
	c := w.client()
	w.send(c, "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
	b := w.backend(1)
	w.send(b, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
	b.Received()
	c.Send("bye")
	c.Close()
	w.Settle()
	w.got(b, "bye")
	if !b.Closed() {
		t.Error("the host's connection is open")
	}
	w.stats(".upstream_cx_active", 0)
}

// TestTimeoutRetryHeader: include_is_timeout_retry_header tells the host of another
// attempt whether the one before it took too long.
func TestTimeoutRetryHeader(t *testing.T) {
	w := newWorld(t, setup{
		action: `retry_policy { retry_on: "5xx" num_retries { value: 2 } per_try_timeout { seconds: 1 } }`,
		vhost:  "include_is_timeout_retry_header: true",
	})
	c := w.client()
	w.send(c, get)
	const name = "x-envoy-is-timeout-retry: "
	b := w.backend(1)
	if got := b.Received(); strings.Contains(got, name) {
		t.Errorf("the first attempt has it: %q", got)
	}
	w.Advance(1100 * time.Millisecond)
	b = w.backend(1)
	if got := b.Received(); !strings.Contains(got, name+"true\r\n") {
		t.Errorf("after a timeout: %q", got)
	}
	w.send(b, "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
	w.Advance(300 * time.Millisecond)
	if got := b.Received(); !strings.Contains(got, name+"false\r\n") {
		t.Errorf("after a response: %q", got)
	}
	w.send(b, ok2)
	if got := bodyOf(c.Received()); got != "ok" {
		t.Errorf("got %q", got)
	}
}

// TestRespectExpectedTimeout: with respect_expected_rq_timeout the time that the proxy
// before us is going to wait is the timeout; outside the mesh nobody may say so.
func TestRespectExpectedTimeout(t *testing.T) {
	tests := []struct {
		name, headers     string
		respect, internal bool
		want              string
	}{
		{"respected", "x-envoy-expected-rq-timeout-ms: 700\r\nx-envoy-upstream-rq-timeout-ms: 900\r\n", true, true, "700"},
		{"absent", "x-envoy-upstream-rq-timeout-ms: 900\r\n", true, true, "900"},
		{"malformed", "x-envoy-expected-rq-timeout-ms: x\r\nx-envoy-upstream-rq-timeout-ms: 900\r\n", true, true, "900"},
		{"not asked for", "x-envoy-expected-rq-timeout-ms: 700\r\n", false, true, "15000"},
		{"a stranger", "x-envoy-expected-rq-timeout-ms: 700\r\n", true, false, "15000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, setup{edit: func(c *Config) {
				c.RespectExpectedRqTimeout = tt.respect
				if tt.internal {
					c.Internal = prefixes("10.0.0.0/8")
				}
			}})
			w.send(w.client(), "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 10.0.0.7\r\n"+tt.headers+"\r\n")
			got := w.backend(1).Received()
			if !strings.Contains(got, "x-envoy-expected-rq-timeout-ms: "+tt.want+"\r\n") {
				t.Errorf("want %s: %q", tt.want, got)
			}
		})
	}
}

// TestHostCounts: what the admin's /clusters says of a host: every attempt is a success,
// or an error when it failed, was answered with 5xx or was retried.
func TestHostCounts(t *testing.T) {
	tests := []struct {
		name                     string
		act                      func(w *world, b *looptest.Peer)
		success, errors, timeout int64
		stats                    []any
	}{
		{"200", func(w *world, b *looptest.Peer) { w.send(b, ok2) }, 1, 0, 0, []any{".upstream_rq_200", 1}},
		{"404", func(w *world, b *looptest.Peer) { w.send(b, "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n") }, 1, 0, 0, nil},
		{"500", func(w *world, b *looptest.Peer) { w.send(b, "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n") }, 0, 1, 0, nil},
		{"reset", func(_ *world, b *looptest.Peer) { b.Reset() }, 0, 1, 0, []any{".upstream_rq_503", 1}},
		{
			"retried", func(w *world, b *looptest.Peer) {
				w.send(b, "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
				w.Advance(100 * time.Millisecond)
				w.send(b, ok2)
			}, 1, 1, 0, []any{".upstream_rq_503", 0, ".upstream_rq_200", 1, ".upstream_rq_completed", 1},
		},
		{
			"attempt too long", func(w *world, _ *looptest.Peer) {
				w.Advance(1100 * time.Millisecond)
				w.send(w.backend(1), ok2)
			}, 1, 1, 1, nil,
		},
		{
			"too long", func(w *world, _ *looptest.Peer) { w.Advance(4 * time.Second) },
			0, 2, 2, []any{".upstream_rq_504", 1},
		},
		{
			"early hints", func(w *world, b *looptest.Peer) { w.send(b, "HTTP/1.1 103 Hints\r\n\r\n"+ok2) },
			1, 0, 0, []any{".upstream_rq_1xx", 1, ".upstream_rq_completed", 2},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, setup{action: `retry_policy { retry_on: "gateway-error" per_try_timeout { seconds: 1 } }`})
			if tt.name == "reset" {
				w = newWorld(t, setup{})
			}
			w.send(w.client(), get)
			tt.act(w, w.backend(1))
			w.Settle()
			for { // connections of further attempts
				if w.next(1) == nil {
					break
				}
			}
			h := w.w.clusters.Get("c").Hosts().Hosts()[0]
			if s, e, o := h.Successes.Load(), h.Errors.Load(), h.Timeouts.Load(); s != tt.success || e != tt.errors || o != tt.timeout {
				t.Errorf("success %d, error %d, timeout %d; want %d, %d, %d", s, e, o, tt.success, tt.errors, tt.timeout)
			}
			w.stats(tt.stats...)
		})
	}
}

// TestPanicLeavesNobodyWaiting: a filter that panics when it is told of a lost, or never
// made, connection does not keep those that wait for one from getting it.
func TestPanicLeavesNobodyWaiting(t *testing.T) {
	for _, dial := range []looptest.Outcome{looptest.Accept, looptest.Hold} {
		ch := newChain("a")
		w := newWorld(t, setup{
			filters:  ch.filters(),
			clusters: map[string]string{"c": `circuit_breakers { thresholds { max_connections { value: 1 } track_remaining: true } }`},
		})
		w.OnDial(addr(1), dial)
		first, second := w.client(), w.client()
		w.send(first, get)
		b := w.backend(1)
		w.send(second, get)
		ch.scripts[0].on["sh"] = func(sdk.Stream) sdk.Action {
			delete(ch.scripts[0].on, "sh")
			panic("boom")
		}
		w.OnDial(addr(1), looptest.Accept)
		if dial == looptest.Accept {
			b.Reset()
		} else {
			b.Fail(syscall.ECONNREFUSED)
		}
		w.Settle()
		w.Logs = nil
		if b = w.next(1); b == nil {
			t.Fatal("no further connection is made")
		}
		w.send(b, ok2)
		if got := bodyOf(second.Received()); got != "ok" {
			t.Errorf("the second got %q", got)
		}
		w.finish()
	}
}

// TestReplyInReply: a filter that answers anew while it looks at the body of an answer of
// ours replaces all of it.
func TestReplyInReply(t *testing.T) {
	ch := newChain("a", "b")
	w := newWorld(t, setup{filters: ch.filters(), route: `match { prefix: "/" } direct_response { status: 200 body { inline_string: "first" } }`})
	ch.scripts[0].on["sh"] = func(sdk.Stream) sdk.Action { return sdk.Collect }
	ch.scripts[1].on["sd"] = func(s sdk.Stream) sdk.Action {
		s.Reply(sdk.Reply{Status: 403, Body: "second", Details: "x"})
		return sdk.Replied
	}
	c := w.client()
	w.send(c, get)
	if got := c.Received(); statusOf(got) != "403 Forbidden" || bodyOf(got) != "second" {
		t.Errorf("got %q", got)
	}
}
