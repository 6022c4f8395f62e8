package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

// TestRetryBody replays the body that was sent, in its framing, with its trailers.
func TestRetryBody(t *testing.T) {
	for _, x := range exchanges() {
		t.Run(x.name, func(t *testing.T) {
			w := newWorld(t, setup{action: `retry_policy { retry_on: "5xx" num_retries { value: 2 } }`, clusters: map[string]string{"c": trailersUpstream}})
			c := w.client()
			w.send(c, x.request)
			b := w.backend(1)
			for range 2 {
				if got := budget(b.Received()); unchunk(got) != unchunk(x.up) {
					t.Errorf("host got %q\nwant %q", got, x.up)
				}
				w.send(b, answer(503, ""))
				w.Advance(time.Second)
			}
			if got := budget(b.Received()); unchunk(got) != unchunk(x.up) {
				t.Errorf("host got %q\nwant %q", got, x.up)
			}
			w.send(b, x.response)
			if got := c.Received(); bodyOf(got) != bodyOf(x.down) {
				t.Errorf("client got %q", got)
			}
			w.idle()
		})
	}
}

// TestRetryOfOpenRequest: an attempt that fails while the body still comes is followed
// by one with all of it.
func TestRetryOfOpenRequest(t *testing.T) {
	w := newWorld(t, setup{action: `retry_policy { retry_on: "5xx" }`})
	c := w.client()
	w.send(c, post(6)+"ab")
	b := w.backend(1)
	w.got(b, postUp(6)+"ab")
	reset(w, b)
	w.send(c, "cd") // during the back-off
	w.Advance(time.Second)
	b = w.backend(1)
	if got := budget(b.Received()); got != postUp(6)+"abcd" {
		t.Errorf("second attempt %q", got)
	}
	w.send(c, "ef")
	w.got(b, "ef")
	w.send(b, ok2)
	w.got(c, strings.Replace(ok2Down, "04:05 GMT", "04:06 GMT", 1))
	w.logged("POST / 200 - via_upstream")
}

// TestRetryBodyTooBig: what exceeds the buffer limit cannot be sent twice; the request
// goes on, without a second chance.
func TestRetryBodyTooBig(t *testing.T) {
	tests := []struct {
		size    int
		retried bool
	}{{900, true}, {1000, true}, {1001, false}, {5000, false}}
	for _, tt := range tests {
		for _, held := range []bool{false, true} { // waiting for a connection, or not
			t.Run(fmt.Sprint(tt.size, held), func(t *testing.T) {
				w := newWorld(t, setup{action: `retry_policy { retry_on: "5xx" }`, limit: 1000})
				if held {
					w.OnDial(addr(1), looptest.Hold)
				}
				c := w.client()
				body := strings.Repeat("0123456789", tt.size/10) + "z"[:tt.size%10]
				w.send(c, post(tt.size)+body)
				b := w.backend(1)
				if held {
					w.OnDial(addr(1), looptest.Accept)
					b.Establish()
					w.Settle()
				}
				if got := b.Received(); bodyOf(got) != body {
					t.Errorf("host got %d bytes", len(bodyOf(got)))
				}
				w.send(b, answer(503, ""))
				w.Advance(time.Second)
				if (c.Total() == 0) != tt.retried {
					t.Errorf("retried %v, want %v", c.Total() == 0, tt.retried)
				}
				if !tt.retried {
					w.logged("POST / 503 - via_upstream")
					w.stats(".retry_or_shadow_abandoned", 1)
					return
				}
				if got := b.Received(); bodyOf(got) != body {
					t.Errorf("second attempt got %d bytes", len(bodyOf(got)))
				}
				w.send(b, ok2)
				w.logged("POST / 200 - via_upstream")
			})
		}
	}
}

// TestRetryBreaker: max_retries counts what is under way, from the decision to the end
// of the attempt.
func TestRetryBreaker(t *testing.T) {
	w := newWorld(t, setup{
		action:   `retry_policy { retry_on: "5xx" num_retries { value: 3 } retry_back_off { base_interval { nanos: 1000000 } } }`,
		clusters: map[string]string{"c": "circuit_breakers { thresholds { max_retries { value: 1 } track_remaining: true } }"},
	})
	remaining := func(n int) {
		t.Helper()
		w.stats(".circuit_breakers.default.remaining_retries", n)
	}
	one, two := w.client(), w.client()
	w.send(one, get)
	b1 := w.backend(1)
	w.send(two, get)
	b2 := w.backend(1)
	remaining(1)
	w.send(b1, answer(503, ""))
	remaining(0) // backing off
	w.Advance(10 * time.Millisecond)
	remaining(0) // the attempt is under way
	w.send(b2, answer(503, ""))
	if got := statusOf(two.Received()); got != "503 Service Unavailable" {
		t.Errorf("got %q", got)
	}
	w.logged("GET / 503 UO via_upstream")
	w.stats(".upstream_rq_retry_overflow", 1)
	// b2 was free last: the attempt may be on either.
	for _, b := range []*looptest.Peer{b1, b2} {
		if got := b.Received(); strings.Count(got, "GET /") == 2 {
			w.send(b, ok2)
		}
	}
	w.logged(okLog)
	remaining(1)
	w.send(two, get)
	w.logged("")
}

// TestRetryBreakerIsGivenBack however the retry ends.
func TestRetryBreakerIsGivenBack(t *testing.T) {
	ends := map[string]func(w *world, c, b *looptest.Peer){
		"client leaves in back-off": func(_ *world, c, _ *looptest.Peer) { c.Reset() },
		"client leaves in attempt": func(w *world, c, _ *looptest.Peer) {
			w.Advance(300 * time.Millisecond)
			c.Reset()
		},
		"timeout": func(w *world, _, _ *looptest.Peer) { w.Advance(20 * time.Second) },
		"reset": func(w *world, c, b *looptest.Peer) {
			w.Advance(300 * time.Millisecond)
			b.Reset()
			w.Settle()
			w.stats(".circuit_breakers.default.remaining_retries", 2) // sent again: it was a kept connection
			w.backend(1).Reset()
		},
		"second failure": func(w *world, _, b *looptest.Peer) {
			w.Advance(300 * time.Millisecond)
			w.send(b, answer(503, ""))
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, setup{action: `retry_policy { retry_on: "5xx" }`})
			c := w.client()
			w.send(c, get)
			b := w.backend(1)
			w.send(b, answer(503, ""))
			w.stats(".circuit_breakers.default.remaining_retries", 2)
			end(w, c, b)
			w.Settle()
			w.stats(".circuit_breakers.default.remaining_retries", 3)
			w.idle()
		})
	}
}

// TestRetryAfterPerTryTimeout drops the slow attempt with its connection.
func TestRetryAfterPerTryTimeout(t *testing.T) {
	for _, kind := range []string{"per_try_timeout", "per_try_idle_timeout"} {
		w := newWorld(t, setup{action: `retry_policy { retry_on: "5xx" num_retries { value: 2 } ` + kind + ` { seconds: 2 } }`})
		c := w.client()
		w.send(c, get)
		slow := w.backend(1)
		w.Advance(2500 * time.Millisecond)
		if !slow.Closed() {
			t.Errorf("%s: the slow attempt's connection is kept", kind)
		}
		second := w.backend(1)
		if got := second.Received(); !strings.HasPrefix(got, "GET / ") {
			t.Errorf("%s: second attempt %q", kind, got)
		}
		w.Advance(2500 * time.Millisecond)
		w.send(w.backend(1), ok2)
		if got := bodyOf(c.Received()); got != "ok" {
			t.Errorf("%s: got %q", kind, got)
		}
		w.logged(okLog)
		w.stats(".upstream_rq_"+strings.TrimSuffix(kind, "out")+"out", 2, ".upstream_rq_retry", 2)
		w.finish()
	}
}

// TestRetryOtherHost: with the previous-hosts predicate the second attempt goes
// elsewhere.
func TestRetryOtherHost(t *testing.T) {
	w := newWorld(t, setup{hosts: 2, action: `retry_policy { retry_on: "5xx" host_selection_retry_max_attempts: 5
		retry_host_predicate { name: "p" typed_config {
			[type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate] {} } } }`})
	c := w.client()
	for range 4 {
		w.send(c, get)
		first, other := w.busy(1), 2
		if first == nil {
			first, other = w.busy(2), 1
		}
		w.send(first, answer(503, ""))
		w.Advance(time.Second)
		second := w.busy(other)
		if second == nil {
			t.Fatal("the second attempt went to the same host")
		}
		w.send(second, ok2)
		w.logged(okLog)
	}
}

// busy returns a connection of host n that has a request which was not seen yet.
func (w *world) busy(n int) *looptest.Peer {
	w.next(n)
	for _, p := range w.peers {
		if p.Addr() == addr(n).AddrPort && !p.Closed() && strings.HasPrefix(p.Received(), "GET ") {
			return p
		}
	}
	return nil
}

// TestIdleRace: a request that meets a kept connection which the host is closing is
// sent once more without any policy, if that is safe.
func TestIdleRace(t *testing.T) {
	tests := []struct {
		name    string
		request string
		window  int // bytes of it that the connection takes, -1 all
		again   bool
	}{
		{"GET", get, -1, true},
		{"HEAD", "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", -1, true},
		{"PUT without body", "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", -1, true},
		{"POST that was sent", post(0), -1, false},
		{"POST of which a byte was sent", post(0), 1, false},
		{"POST that was not sent", post(0), 0, true},
		{"PATCH that was sent", "PATCH / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", -1, false},
		{"PUT with a body that is gone", "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi", -1, false},
	}
	for _, tt := range tests {
		for _, how := range leavings() {
			t.Run(tt.name+", "+how.name, func(t *testing.T) {
				w := newWorld(t, setup{})
				c := w.client()
				w.send(c, get)
				b := w.backend(1)
				w.send(b, ok2)
				c.Received()
				b.Received()
				w.log.take()
				b.Window(tt.window)
				w.send(c, tt.request)
				how.do(b)
				w.Settle()
				if !tt.again {
					if got := statusOf(c.Received()); got != "503 Service Unavailable" {
						t.Errorf("got %q", got)
					}
					if w.next(1) != nil {
						t.Error("sent twice")
					}
					return
				}
				w.got(c, "")
				second := w.backend(1)
				w.send(second, strings.Replace(ok2, "ok", "ok", 1))
				if got := statusOf(c.Received()); got != "200 OK" {
					t.Errorf("got %q", got)
				}
				if a := w.log.last().Attempts; a != 2 {
					t.Errorf("%d attempts", a)
				}
			})
		}
	}
}

// TestIdleRaceOnce: the second connection is a new one, so its end is a failure.
func TestIdleRaceOnce(t *testing.T) {
	w := newWorld(t, setup{})
	a, c := w.client(), w.client()
	w.send(a, get)
	w.send(c, get)
	b1, b2 := w.backend(1), w.backend(1)
	w.send(b1, ok2)
	w.send(b2, ok2)
	c.Received()
	w.log.take()
	w.send(c, get)
	b2.Close()
	w.Settle()
	b1.Close() // kept as well, but not tried again: one chance is enough
	w.Settle()
	if got := c.Received(); statusOf(got) != "503 Service Unavailable" {
		t.Errorf("got %q", got)
	}
	if w.next(1) != nil {
		t.Error("a third attempt was made")
	}
	w.logged("GET / 503 UC upstream_reset_before_response_started{connection_termination}")
}

// TestBackoffAfterIdleRace: the attempt that is made at once does not make later ones
// so.
func TestBackoffAfterIdleRace(t *testing.T) {
	w := newWorld(t, setup{action: `retry_policy { retry_on: "5xx" }`})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	w.send(b, ok2)
	c.Received()
	w.log.take()
	w.send(c, get)
	b.Close()
	w.Settle()
	b = w.backend(1)
	w.stats(".upstream_rq_retry_backoff_exponential", 0)
	b.Received()
	w.send(b, answer(503, ""))
	w.stats(".upstream_rq_retry_backoff_exponential", 1)
	w.Advance(time.Second)
	w.send(b, ok2)
	w.logged(okLog)
	if a := w.log.last().Attempts; a != 3 {
		t.Errorf("%d attempts", a)
	}
}

// TestNoRetryAfterAnswerBegan: not even an idempotent request on a kept connection.
func TestNoRetryAfterAnswerBegan(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	w.send(b, ok2)
	c.Received()
	w.log.take()
	w.send(c, get)
	w.send(b, "HTTP/1.1 2")
	b.Close()
	w.Settle()
	w.logged("GET / 502 UPE upstream_reset_before_response_started{protocol_error}")
	if w.next(1) != nil {
		t.Error("sent twice")
	}
}
