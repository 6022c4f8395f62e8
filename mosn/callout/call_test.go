package callout

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

func TestCall(t *testing.T) {
	w := newWorld(t, "")
	w.start(request("GET", ""))
	h := w.host()
	w.got(h, getUp)
	w.send(h, ok)
	w.ended(`200 "ok"`)

	w.start(request("POST", "body", "content-length: 4", "x-forwarded-for: 1.2.3.4"))
	w.got(h, "POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nx-forwarded-for: 1.2.3.4,10.7.7.7\r\nx-envoy-internal: true\r\n"+
		"x-envoy-expected-rq-timeout-ms: 1000\r\n\r\nbody")
	w.Advance(30 * time.Millisecond)
	w.send(h, "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
	w.ended("")
	w.send(h, "0\r\n\r\n")
	w.ended(`404 "abc"`)

	bare := request("HEAD", "")
	bare.Bare = true
	w.start(bare)
	w.got(h, "HEAD /p HTTP/1.1\r\nhost: a\r\nx-envoy-expected-rq-timeout-ms: 1000\r\n\r\n")
	w.send(h, "HTTP/1.1 204 No Content\r\n\r\n")
	w.ended(`204 ""`)
	w.idle()
	w.stats("upstream_cx_total", 1, "upstream_rq_total", 3, "upstream_rq_completed", 3, "upstream_rq_200", 1, "upstream_rq_4xx", 1,
		"internal.upstream_rq_completed", 2, "internal.upstream_rq_200", 1, "external.upstream_rq_204", 1, "http.async-client.rq_total", 3)
}

// TestServiceTime is told as Envoy's router does.
func TestServiceTime(t *testing.T) {
	w := newWorld(t, "")
	got := ""
	w.set.Start(w.l, w, "c", request("GET", ""), func(r *sdk.CallResponse, _ *sdk.CallError) {
		got = strings.Clone(r.Headers.Value("x-envoy-upstream-service-time"))
	})
	w.Advance(12 * time.Millisecond)
	w.send(w.host(), ok)
	if got != "12" {
		t.Errorf("x-envoy-upstream-service-time: %q", got)
	}
}

func TestHTTP2(t *testing.T) {
	w := newWorld(t, "http2_protocol_options {}")
	r := request("POST", "body", "content-type: application/grpc", "grpc-timeout: 1S", "te: trailers")
	w.start(r)
	w.start(request("GET", ""))
	h := w.host2()
	const first = "1 head :method=POST :scheme=http :path=/p :authority=a content-type=application/grpc grpc-timeout=1S te=trailers x-envoy-internal=true"
	if !strings.HasPrefix(h.hello, first) || !strings.Contains(h.hello, `; 1 "body" end`) {
		t.Errorf("got %s", h.hello)
	}
	h.head(3, true, ":status", "404")
	w.ended(`404 ""`)
	h.head(1, false, ":status", "200", "content-type", "application/grpc")
	h.write(func(f *http2.Framer) { _ = f.WriteData(1, false, []byte("a")) })
	h.write(func(f *http2.Framer) { _ = f.WriteData(1, false, []byte("b")) })
	h.head(1, true, "grpc-status", "0", "grpc-message", "fine")
	w.ended(`200 "ab" grpc-status=0 grpc-message=fine`)

	w.start(request("GET", ""))
	h.write(func(f *http2.Framer) { _ = f.WriteRSTStream(5, http2.ErrCodeInternal) })
	w.ended("error 503 UR upstream_reset_before_response_started{remote_reset}: " + tooBad + "reset reason: remote reset")
	h.frames()
	id := w.start(request("GET", ""))
	w.set.Cancel(id)
	w.Settle()
	if got := h.frames(); !strings.HasSuffix(got, "; 7 reset CANCEL") {
		t.Errorf("got %s", got)
	}
	w.idle()
	w.stats("upstream_cx_total", 1, "upstream_rq_total", 4, "internal.upstream_rq_completed", 3)
}

// TestFailures: what the owner is told, and what is counted.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name, fields string
		cluster      string
		dial         looptest.Outcome
		do           func(w *world, h *looptest.Peer)
		want         string
		counted      []any
	}{
		{name: "no cluster", cluster: "x", want: "error 503 NC cluster_not_found: the cluster is not known"},
		{name: "no host", cluster: "empty", want: "error 503 UH no_healthy_upstream: no healthy upstream"},
		{
			name: "breaker", fields: "circuit_breakers { thresholds { max_pending_requests { value: 0 } } }",
			want:    "error 503 UO upstream_reset_before_response_started{overflow}: " + tooBad + "reset reason: overflow",
			counted: []any{"internal.upstream_rq_503", 1, "upstream_rq_pending_overflow", 1},
		},
		{
			name: "refused", dial: looptest.Refuse,
			want: "error 503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}: " +
				tooBad + "reset reason: remote connection failure",
			counted: []any{"internal.upstream_rq_503", 1, "upstream_cx_connect_fail", 1},
		},
		{
			name: "black hole", dial: looptest.Hold, want: "error 504 UT response_timeout: upstream request timeout",
			counted: []any{"internal.upstream_rq_504", 1, "upstream_rq_timeout", 1, "upstream_rq_504", 1},
		},
		{
			name: "slow", do: func(*world, *looptest.Peer) {}, want: "error 504 UT response_timeout: upstream request timeout",
			counted: []any{"internal.upstream_rq_504", 1, "upstream_rq_timeout", 1},
		},
		{
			name: "slow body", do: func(w *world, h *looptest.Peer) { w.send(h, ok[:len(ok)-1]) },
			want:    "error 0 UT response_timeout: the answer was cut off: response_timeout",
			counted: []any{"internal.upstream_rq_200", 1, "upstream_rq_timeout", 1, "upstream_rq_504", 0},
		},
		{
			name: "lost", do: func(_ *world, h *looptest.Peer) { h.Close() },
			want: "error 503 UC upstream_reset_before_response_started{connection_termination}: " +
				tooBad + "reset reason: connection termination",
			counted: []any{"internal.upstream_rq_503", 1},
		},
		{
			name: "garbage", do: func(_ *world, h *looptest.Peer) { h.Send("\x00\x00\r\n\r\n") },
			want:    "error 502 UPE upstream_reset_before_response_started{protocol_error}: " + tooBad + "reset reason: protocol error",
			counted: []any{"internal.upstream_rq_502", 1},
		},
		{
			name: "cut off", do: func(w *world, h *looptest.Peer) { w.send(h, ok[:len(ok)-1]); h.Close() },
			want: "error 0 UPE upstream_reset_after_response_started{protocol_error}: " +
				"the answer was cut off: upstream_reset_after_response_started{protocol_error}",
			counted: []any{"internal.upstream_rq_200", 1, "internal.upstream_rq_completed", 1},
		},
		{
			name: "too large", do: func(_ *world, h *looptest.Peer) { h.Send("HTTP/1.1 200 OK\r\n\r\n12345678901") },
			want:    "error 0 LR response_payload_too_large: the answer's body is larger than 10 bytes",
			counted: []any{"internal.upstream_rq_200", 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.fields)
			if c.cluster == "" {
				c.cluster = "c"
			}
			w.OnDial(addr(), c.dial)
			r := request("GET", "")
			r.Limit = 10
			w.startTo(c.cluster, r)
			if c.do != nil {
				c.do(w, w.host())
				w.Settle()
			}
			w.Advance(2 * time.Second)
			w.ended(c.want)
			w.stats(c.counted...)
			w.idle()
		})
	}
}

// TestUnwritable: a request that the codec refuses.
func TestUnwritable(t *testing.T) {
	w := newWorld(t, "")
	r := &sdk.CallRequest{Timeout: time.Second}
	w.start(r)
	w.Advance(time.Millisecond)
	if len(w.log) != 1 || !strings.HasPrefix(w.log[0], "error 503 LR upstream_codec_error: ") {
		t.Errorf("ended by %q", w.log)
	}
	w.log = nil
	r = request("GET", "")
	r.Timeout = 0
	w.start(r)
	w.Advance(time.Millisecond)
	w.ended("error 504 UT response_timeout: upstream request timeout")
}

// TestSlowReader: a body that the host does not take waits with the call.
func TestSlowReader(t *testing.T) {
	w := newWorld(t, "")
	body := strings.Repeat("0123456789", 500_000)
	r := request("POST", body)
	w.start(r)
	h := w.host()
	h.Window(0)
	w.Settle()
	h.Window(-1)
	w.Settle()
	if got := strings.ReplaceAll(h.Received(), "\r\n", ""); !strings.Contains(got, "0123456789012345") || len(got) < len(body) {
		t.Errorf("the host got %d bytes", len(got))
	}
	w.send(h, ok)
	w.ended(`200 "ok"`)
}

// TestCancel at every point.
func TestCancel(t *testing.T) {
	for _, c := range []struct {
		name, cluster string
		dial          looptest.Outcome
		send          string
	}{
		{"failed within Start", "x", looptest.Accept, ""},
		{"connecting", "c", looptest.Hold, ""},
		{"waiting", "c", looptest.Accept, ""},
		{"answered", "c", looptest.Accept, ok[:len(ok)-1]},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "")
			w.OnDial(addr(), c.dial)
			id := w.startTo(c.cluster, request("GET", ""))
			if c.send != "" {
				w.send(w.host(), c.send)
			}
			w.set.Cancel(id + 1) // of nobody
			if w.set.first == nil {
				t.Fatal("the call is over")
			}
			w.set.Cancel(id)
			w.set.Cancel(id)
			w.idle()
			w.Advance(2 * time.Second)
			w.ended("")
		})
	}
}

// TestCallsInDone: the end of a call may begin another and cancel others.
func TestCallsInDone(t *testing.T) {
	w := newWorld(t, "")
	var list []string
	var second sdk.CallID
	note := func(what string) Done {
		return func(r *sdk.CallResponse, e *sdk.CallError) { list = append(list, what+" "+shown(r, e)) }
	}
	w.set.Start(w.l, w, "c", request("GET", ""), func(r *sdk.CallResponse, e *sdk.CallError) {
		w.set.Cancel(second)
		w.set.Start(w.l, w, "c", request("GET", ""), note("third"))
		note("first")(r, e) // the answer is still there
	})
	second = w.set.Start(w.l, w, "c", request("GET", ""), note("second"))
	w.Settle()
	a, b := w.host(), w.host()
	w.send(a, ok)
	w.send(b, "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
	c := a
	if !strings.Contains(c.Received(), "GET /p") {
		t.Error("the first connection is not used again")
	}
	w.send(c, "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
	if got := strings.Join(list, "; "); got != `first 200 "ok"; third 202 ""` {
		t.Errorf("ended by %s", got)
	}
}

// TestDoneMayPanic: the call is over all the same.
func TestDoneMayPanic(t *testing.T) {
	w := newWorld(t, "")
	w.set.Start(w.l, w, "c", request("GET", ""), func(*sdk.CallResponse, *sdk.CallError) { panic("oops") })
	w.Settle()
	w.send(w.host(), ok)
	if len(w.Logs) != 1 || !strings.Contains(w.Logs[0], "oops") {
		t.Errorf("logged %q", w.Logs)
	}
	w.Logs = nil
	w.idle()
	w.start(request("GET", ""))
	w.send(w.host(), ok)
	w.ended(`200 "ok"`)
}

// TestReconfigured: the cluster is changed and removed while a call is under way.
func TestReconfigured(t *testing.T) {
	w := newWorld(t, "")
	w.start(request("GET", ""))
	h := w.host()
	if err := w.m.Update(nil, []string{"c"}); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	w.send(h, ok)
	w.ended(`200 "ok"`)
	w.start(request("GET", ""))
	w.Advance(time.Millisecond)
	w.ended("error 503 NC cluster_not_found: the cluster is not known")
}
