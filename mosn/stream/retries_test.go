package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

func answer(code int, more string) string {
	return fmt.Sprintf("HTTP/1.1 %d X\r\ncontent-length: 0\r\n%s\r\n", code, more)
}

// failing returns how an attempt fails: by a response, or by what is done to the
// host's connection.
func response(code int, more string) func(*world, *looptest.Peer) {
	return func(w *world, b *looptest.Peer) { w.send(b, answer(code, more)) }
}

func reset(w *world, b *looptest.Peer) {
	b.Reset()
	w.Settle()
}

func garbage(w *world, b *looptest.Peer) { w.send(b, "\x00\x01\r\n\r\n") }

// TestRetryConditions: each word of retry_on leads to another attempt in its case, and
// in no other.
func TestRetryConditions(t *testing.T) {
	cases := map[string]func(*world, *looptest.Peer){
		"200": response(200, ""), "409": response(409, ""), "429": response(429, ""),
		"500": response(500, ""), "503": response(503, ""),
		"limited":   response(429, "x-envoy-ratelimited: true\r\n"),
		"header":    response(404, "x-again: yes\r\n"),
		"cancelled": response(200, "grpc-status: 1\r\n"), "deadline": response(200, "grpc-status: 4\r\n"),
		"exhausted": response(200, "grpc-status: 8\r\n"), "internal": response(200, "grpc-status: 13\r\n"),
		"unavailable": response(200, "grpc-status: 14\r\n"),
		"reset":       reset, "garbage": garbage, "refused": nil,
	}
	wanted := map[string]string{
		"5xx":                        "500 503 reset garbage refused",
		"gateway-error":              "503 reset garbage refused",
		"reset":                      "reset garbage refused",
		"reset-before-request":       "refused",
		"connect-failure":            "refused",
		"refused-stream":             "",
		"retriable-4xx":              "409",
		"retriable-status-codes":     "429",
		"retriable-headers":          "header",
		"envoy-ratelimited":          "limited",
		"cancelled":                  "cancelled",
		"deadline-exceeded":          "deadline",
		"resource-exhausted":         "exhausted",
		"internal":                   "internal",
		"unavailable":                "unavailable",
		"5xx,retriable-4xx":          "409 500 503 reset garbage refused",
		"nothing-that-anybody-knows": "",
	}
	for on, when := range wanted {
		t.Run(on, func(t *testing.T) {
			for name, fail := range cases {
				w := newWorld(t, setup{action: `retry_policy { retry_on: "` + on + `" retriable_status_codes: 429
					retriable_headers { name: "x-again" present_match: true } }`})
				want := strings.Contains(" "+when+" ", " "+name+" ")
				if got := w.retries(fail); got != want {
					t.Errorf("%s: retried %v, want %v", name, got, want)
				}
				w.finish()
			}
		})
	}
}

// budget makes what a host is told of our patience the same for all attempts.
func budget(head string) string {
	const name = "x-envoy-expected-rq-timeout-ms: "
	before, after, ok := strings.Cut(head, name)
	if !ok {
		return head
	}
	_, after, _ = strings.Cut(after, "\r\n")
	return before + name + "15000\r\n" + after
}

// retries makes one request whose first attempt fails, by fail or by a refused
// connection, and reports whether there was a second one.
func (w *world) retries(fail func(*world, *looptest.Peer)) bool {
	w.t.Helper()
	c := w.client()
	if fail == nil {
		w.OnDial(addr(1), looptest.Refuse)
	}
	w.send(c, get)
	w.OnDial(addr(1), looptest.Accept)
	var b *looptest.Peer
	if fail != nil {
		b = w.backend(1)
		b.Received()
		fail(w, b)
	}
	w.Advance(time.Second)
	if c.Total() > 0 {
		w.stats(".upstream_rq_retry", 0)
		return false
	}
	if b == nil || b.Closed() {
		b = w.backend(1)
	}
	if got := budget(b.Received()); got != getUp {
		w.t.Errorf("second attempt %q", got)
	}
	w.send(b, ok2)
	if got := statusOf(c.Received()); got != "200 OK" {
		w.t.Errorf("after a retry: %q", got)
	}
	w.logged(okLog)
	w.stats(".upstream_rq_retry", 1, ".upstream_rq_retry_success", 1)
	if a := w.log.last().Attempts; a != 2 {
		w.t.Errorf("%d attempts", a)
	}
	return true
}

// TestRetryCount: num_retries is what may follow the first attempt; then the last
// answer stands and the log says why.
func TestRetryCount(t *testing.T) {
	for n := range 4 {
		w := newWorld(t, setup{action: fmt.Sprintf(`retry_policy { retry_on: "5xx" num_retries { value: %d } }`, n)})
		c := w.client()
		w.send(c, get)
		b := w.backend(1)
		for i := range n + 1 {
			if i < n {
				w.got(c, "")
			}
			w.send(b, answer(503, ""))
			w.Advance(time.Second)
		}
		if got := statusOf(c.Received()); got != "503 Service Unavailable" {
			t.Errorf("%d: got %q", n, got)
		}
		if got := strings.Count(b.Received(), "GET /"); got != n+1 {
			t.Errorf("%d retries made %d requests", n, got)
		}
		w.logged("GET / 503 URX via_upstream")
		w.stats(".upstream_rq_retry", n, ".upstream_rq_retry_limit_exceeded", 1, ".upstream_rq_retry_success", 0,
			".upstream_rq_503", 1) // those that were retried do not count, as in Envoy
		w.finish()
	}
}

// TestRetryExhaustedByResets tells in the body that there was more than one attempt.
func TestRetryExhaustedByResets(t *testing.T) {
	w := newWorld(t, setup{action: `retry_policy { retry_on: "5xx" }`})
	w.OnDial(addr(1), looptest.Refuse)
	c := w.client()
	w.send(c, get)
	w.Advance(500 * time.Millisecond)
	w.got(c, local("503 Service Unavailable", upstreamE+"retried and the latest reset reason: remote connection failure"))
	if got := w.log.take(); !strings.HasPrefix(got, "GET / 503 URX,UF upstream_reset_before_response_started{remote_connection_failure|") {
		t.Errorf("log %q", got)
	}
	w.stats(".upstream_cx_connect_fail", 2)
}

// TestRetryHeaders: a trusted client may ask for retries itself.
func TestRetryHeaders(t *testing.T) {
	inside := setup{edit: func(c *Config) {
		c.UseRemoteAddress = true
		c.Internal = prefixes("10.0.0.0/8")
	}}
	w := newWorld(t, inside)
	c := w.client()
	w.send(c, "GET / HTTP/1.1\r\nhost: a\r\nx-envoy-retry-on: retriable-status-codes\r\nx-envoy-max-retries: 2\r\n"+
		"x-envoy-retriable-status-codes: 404, 418\r\n\r\n")
	b := w.backend(1)
	for range 2 {
		if got := b.Received(); !strings.HasPrefix(got, "GET / ") || strings.Contains(got, "retr") {
			t.Errorf("host got %q", got)
		}
		w.send(b, answer(418, ""))
		w.Advance(time.Second)
		w.got(c, "")
	}
	w.send(b, answer(404, ""))
	w.logged("GET / 404 URX via_upstream")

	w = newWorld(t, setup{edit: func(c *Config) { c.UseRemoteAddress = true }}) // a stranger may not
	c = w.client()
	w.send(c, "GET / HTTP/1.1\r\nhost: a\r\nx-envoy-retry-on: 5xx\r\n\r\n")
	w.send(w.backend(1), answer(503, ""))
	w.logged("GET / 503 - via_upstream")
}

// TestRetriableRequestHeaders limits retries to requests that match.
func TestRetriableRequestHeaders(t *testing.T) {
	for _, marked := range []bool{false, true} {
		w := newWorld(t, setup{action: `retry_policy { retry_on: "5xx" retriable_request_headers { name: "x-safe" present_match: true } }`})
		c := w.client()
		head := ""
		if marked {
			head = "x-safe: 1\r\n"
		}
		w.send(c, "GET / HTTP/1.1\r\nhost: a\r\n"+head+"\r\n")
		w.send(w.backend(1), answer(503, ""))
		if (c.Total() == 0) != marked {
			t.Errorf("marked %v: client got %q", marked, c.Received())
		}
		w.finish()
	}
}

// TestBackoffIsWaited: nothing goes out before the back-off is over.
func TestBackoffIsWaited(t *testing.T) {
	w := newWorld(t, setup{action: `retry_policy { retry_on: "5xx" retry_back_off { base_interval { seconds: 10 } max_interval { seconds: 10 } } }`})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	b.Received()
	w.send(b, answer(503, ""))
	began := w.Now()
	for b.Unread() == 0 && b.Received() == "" {
		w.Advance(50 * time.Millisecond)
		if w.Now()-began > 11*time.Second {
			t.Fatal("no second attempt")
		}
	}
	w.stats(".upstream_rq_retry_backoff_exponential", 1)
	w.send(b, ok2)
	w.logged(okLog)
	if d := w.Now() - began; d < 50*time.Millisecond {
		t.Logf("waited %v: possible, one in 200", d)
	}
}

// TestRateLimitedBackoff takes the wait from the response.
func TestRateLimitedBackoff(t *testing.T) {
	w := newWorld(t, setup{action: `retry_policy { retry_on: "5xx" rate_limited_retry_back_off { reset_headers { name: "retry-after" } } }`})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	b.Received()
	w.send(b, answer(503, "retry-after: 7\r\n"))
	w.Advance(6990 * time.Millisecond)
	w.got(b, "")
	w.Advance(20 * time.Millisecond)
	if got := b.Received(); !strings.HasPrefix(got, "GET / ") {
		t.Errorf("host got %q", got)
	}
	w.send(b, ok2)
	w.logged(okLog)
	w.stats(".upstream_rq_retry_backoff_ratelimited", 1)
}

// TestRetryTimeoutIsOneBudget: the route's timeout covers all attempts, also a
// back-off, and the host is told what is left.
func TestRetryTimeoutIsOneBudget(t *testing.T) {
	w := newWorld(t, setup{action: `timeout { seconds: 3 } retry_policy { retry_on: "5xx" retry_back_off { base_interval { seconds: 60 } } }`})
	c := w.client()
	w.send(c, get)
	w.send(w.backend(1), answer(503, ""))
	w.justBefore(3*time.Second, c)
	w.logged("GET / 504 UT response_timeout")

	w = newWorld(t, setup{action: `timeout { seconds: 3 } retry_policy { retry_on: "5xx" retry_back_off { base_interval { nanos: 1000000 } } }`})
	c = w.client()
	w.send(c, get)
	b := w.backend(1)
	b.Received()
	w.Advance(time.Second)
	w.send(b, answer(503, ""))
	w.Advance(10 * time.Millisecond)
	if got := b.Received(); !strings.Contains(got, "x-envoy-expected-rq-timeout-ms: 2000\r\n") && !strings.Contains(got, "timeout-ms: 199") {
		t.Errorf("host got %q", got)
	}
	w.send(b, ok2)
}
