package callout

import (
	"testing"
	"time"

	"golang.org/x/net/http2"

	"sofamesh.io/sofamesh/sdk"
)

func retried(on string, attempts uint32) *sdk.CallRequest {
	r := request("GET", "")
	r.Retry = &sdk.CallRetry{On: on, Attempts: attempts, Base: 100 * time.Millisecond}
	return r
}

const busy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"

func TestRetry(t *testing.T) {
	w := newWorld(t, "")
	w.start(retried("5xx", 2))
	h := w.host()
	h.Received()
	w.send(h, busy)
	w.ended("")
	w.got(h, "") // not before the back-off
	w.Advance(100 * time.Millisecond)
	h = h2nd(w, h)
	h.Received()
	w.send(h, ok)
	w.ended(`200 "ok"`)
	w.stats("upstream_rq_total", 2, "upstream_rq_completed", 1, "upstream_rq_retry", 1, "upstream_rq_retry_success", 1,
		"upstream_rq_retry_backoff_exponential", 1, "circuit_breakers.default.rq_retry_open", 0)
}

// TestRetryElsewhere: a host that was tried is avoided.
func TestRetryElsewhere(t *testing.T) {
	w := newWorld(t, "")
	for range 20 {
		r := retried("reset", 1)
		r.Retry.Elsewhere = 50
		w.startTo("two", r)
		first, second := w.Dialled(hostAddr(1)), w.Dialled(hostAddr(2))
		if (first == nil) == (second == nil) {
			t.Fatal("not one host was tried")
		}
		next := hostAddr(2)
		if first == nil {
			first, next = second, addr()
		}
		first.Close()
		w.Settle()
		w.Advance(100 * time.Millisecond)
		other := w.Dialled(next)
		if other == nil {
			t.Fatal("the host that was tried is tried again")
		}
		w.send(other, ok)
		w.ended(`200 "ok"`)
		other.Close()
		w.Settle()
	}
}

// TestRetriesRunOut: the last answer is the owner's.
func TestRetriesRunOut(t *testing.T) {
	w := newWorld(t, "")
	w.start(retried("gateway-error", 1))
	h := w.host()
	w.send(h, busy)
	w.Advance(100 * time.Millisecond)
	w.send(h2nd(w, h), busy)
	w.ended(`503 "busy"`)
	w.stats("upstream_rq_total", 2, "upstream_rq_completed", 1, "upstream_rq_retry", 1, "upstream_rq_retry_limit_exceeded", 1)
}

// TestRetryOfReset: what was the matter is told of the last attempt.
func TestRetryOfReset(t *testing.T) {
	w := newWorld(t, "")
	w.start(retried("reset", 1))
	w.host().Close()
	w.Settle()
	w.Advance(100 * time.Millisecond)
	w.host().Close()
	w.Settle()
	w.ended("error 503 UC upstream_reset_before_response_started{connection_termination}: " +
		tooBad + "retried and the latest reset reason: connection termination")
	w.stats("upstream_rq_total", 2, "internal.upstream_rq_503", 1)
}

// TestOneTimeout is for all attempts, and the host is told what is left.
func TestOneTimeout(t *testing.T) {
	w := newWorld(t, "http2_protocol_options {}")
	r := retried("unavailable", 5)
	r.Headers.Add("content-type", "application/grpc")
	r.Headers.Add("grpc-timeout", "1000m")
	w.start(r)
	h := w.host2()
	w.Advance(600 * time.Millisecond)
	h.head(1, true, ":status", "200", "grpc-status", "14")
	w.Advance(100 * time.Millisecond)
	left := "grpc-timeout=3"
	if got := h.frames(); !contains(got, "3 head ", left, "x-envoy-expected-rq-timeout-ms=3") {
		t.Errorf("got %s", got)
	}
	w.ended("")
	w.Advance(400 * time.Millisecond)
	w.ended("error 504 UT response_timeout: upstream request timeout")
	h.frames()
	w.start(r)
	h.head(5, true, ":status", "200", "grpc-status", "14")
	w.Advance(900 * time.Millisecond) // fails on, and waits when the time is over
	h.write(func(f *http2.Framer) { _ = f.WriteRSTStream(7, http2.ErrCodeCancel) })
	w.Advance(time.Second)
	if len(w.log) != 1 {
		t.Errorf("ended by %q", w.log)
	}
	w.log = nil
}

// TestRetryBreaker: max_retries is the cluster's.
func TestRetryBreaker(t *testing.T) {
	w := newWorld(t, "circuit_breakers { thresholds { max_retries { value: 1 } } }")
	w.start(retried("5xx", 3))
	w.start(retried("5xx", 3))
	a, b := w.host(), w.host()
	w.send(a, busy)
	w.send(b, busy)
	w.ended(`503 "busy"`)
	w.set.CancelAll() // gives the place back
	w.stats("upstream_rq_retry_overflow", 1, "circuit_breakers.default.rq_retry_open", 0)
}

// TestKeptConnectionEnds: a request that meets it is sent again at once, if that does no
// harm.
func TestKeptConnectionEnds(t *testing.T) {
	for method, want := range map[string]string{
		"GET": `200 "ok"`,
		"POST": "error 503 UC upstream_reset_before_response_started{connection_termination}: " +
			tooBad + "reset reason: connection termination",
	} {
		w := newWorld(t, "")
		w.start(request("GET", ""))
		h := w.host()
		w.send(h, ok)
		w.ended(`200 "ok"`)
		w.start(request(method, ""))
		h.Close()
		w.Settle()
		if method == "GET" {
			w.send(w.host(), ok)
		}
		w.ended(want)
	}
}
