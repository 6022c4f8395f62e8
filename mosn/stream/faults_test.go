package stream

import (
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

// leaving is how a peer vanishes.
type leaving struct {
	name string
	do   func(*looptest.Peer)
}

func leavings() []leaving {
	return []leaving{
		{"FIN", (*looptest.Peer).Close},
		{"half close", (*looptest.Peer).CloseWrite},
		{"RST", (*looptest.Peer).Reset},
	}
}

// TestClientLeaves has the client vanish in every phase of a request.
func TestClientLeaves(t *testing.T) {
	tests := []struct {
		name string
		dial looptest.Outcome
		at   func(w *world, c *looptest.Peer) *looptest.Peer // returns the host's end, nil if none is expected
		log  string
		host string // what becomes of the host's connection: "", "kept", "closed"
		rst  uint64 // downstream_rq_rx_reset
	}{
		{name: "before anything", at: func(*world, *looptest.Peer) *looptest.Peer { return nil }},
		{
			name: "in the head", rst: 1, log: "- - 0 DC downstream_remote_disconnect",
			at: func(w *world, c *looptest.Peer) *looptest.Peer {
				w.send(c, "GET / HT")
				return nil
			},
		},
		{name: "between requests", host: "kept", log: okLog, at: func(w *world, c *looptest.Peer) *looptest.Peer {
			w.send(c, get)
			b := w.backend(1)
			w.send(b, ok2)
			return b
		}},
		{
			name: "waiting for a connection", dial: looptest.Hold, rst: 1, log: "GET / 0 DC downstream_remote_disconnect",
			at: func(w *world, c *looptest.Peer) *looptest.Peer {
				w.send(c, get)
				return nil
			},
		},
		{
			name: "in the body", rst: 1, host: "closed", log: "POST / 0 DC downstream_remote_disconnect",
			at: func(w *world, c *looptest.Peer) *looptest.Peer {
				w.send(c, post(5)+"he")
				return w.backend(1)
			},
		},
		{
			name: "waiting for the response", rst: 1, host: "closed", log: "GET / 0 DC downstream_remote_disconnect",
			at: func(w *world, c *looptest.Peer) *looptest.Peer {
				w.send(c, get)
				return w.backend(1)
			},
		},
		{
			name: "in the response's head", rst: 1, host: "closed", log: "GET / 0 DC downstream_remote_disconnect",
			at: func(w *world, c *looptest.Peer) *looptest.Peer {
				w.send(c, get)
				b := w.backend(1)
				w.send(b, "HTTP/1.1 200 OK\r\ncont")
				return b
			},
		},
		{
			name: "in the response's body", rst: 1, host: "closed", log: "GET / 200 DC downstream_remote_disconnect",
			at: func(w *world, c *looptest.Peer) *looptest.Peer {
				w.send(c, get)
				b := w.backend(1)
				w.send(b, ok2[:len(ok2)-1])
				return b
			},
		},
		{
			name: "with a request in the pipe", rst: 1, host: "closed", log: "GET / 0 DC downstream_remote_disconnect",
			at: func(w *world, c *looptest.Peer) *looptest.Peer {
				w.send(c, get+get)
				return w.backend(1)
			},
		},
		{
			name: "while backing off", rst: 1, host: "kept", log: "GET / 0 DC downstream_remote_disconnect",
			at: func(w *world, c *looptest.Peer) *looptest.Peer {
				w.send(c, get)
				b := w.backend(1)
				w.send(b, "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
				return b
			},
		},
	}
	for _, tt := range tests {
		for _, how := range leavings() {
			t.Run(tt.name+", "+how.name, func(t *testing.T) {
				o := setup{}
				if tt.name == "while backing off" {
					o.action = `retry_policy { retry_on: "5xx" retry_back_off { base_interval { seconds: 9 } } }`
				}
				w := newWorld(t, o)
				w.OnDial(addr(1), tt.dial)
				c := w.client()
				w.Settle()
				b := tt.at(w, c)
				how.do(c)
				w.Settle()
				w.logged(tt.log)
				if !c.Closed() {
					t.Error("the client's connection is open")
				}
				if b != nil && b.Closed() != (tt.host == "closed") {
					t.Errorf("the host's connection: closed %v, want %s", b.Closed(), tt.host)
				}
				w.stats("downstream_rq_rx_reset", int(tt.rst), "downstream_cx_active", 0, "downstream_cx_destroy", 1,
					"downstream_cx_destroy_remote", 1, "downstream_cx_destroy_local", 0)
				w.idle()
				if p := w.next(1); p != nil {
					p.Fail(0x6f)
				}
			})
		}
	}
}

// TestBackendFails has the host fail in every phase; there is no retry policy.
func TestBackendFails(t *testing.T) {
	const (
		term  = "reset reason: connection termination"
		proto = "reset reason: protocol error"
	)
	reply := func(status, reason string) string { return local(status, upstreamE+reason) }
	tests := []struct {
		name string
		o    setup
		dial looptest.Outcome
		do   func(w *world, b *looptest.Peer)
		want string
		log  string
		end  bool // the client is cut off
	}{
		{
			name: "refused", dial: looptest.Refuse,
			want: reply("503 Service Unavailable", "reset reason: remote connection failure"),
			log:  "GET / 503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
		},
		{
			name: "unreachable", dial: looptest.Unreachable,
			want: reply("503 Service Unavailable", "reset reason: remote connection failure"),
			log:  "GET / 503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_No_route_to_host}",
		},
		{
			name: "FIN before the head", do: func(_ *world, b *looptest.Peer) { b.Close() },
			want: reply("503 Service Unavailable", term),
			log:  "GET / 503 UC upstream_reset_before_response_started{connection_termination}",
		},
		{
			name: "half close before the head", do: func(_ *world, b *looptest.Peer) { b.CloseWrite() },
			want: reply("503 Service Unavailable", term),
			log:  "GET / 503 UC upstream_reset_before_response_started{connection_termination}",
		},
		{
			name: "RST before the head", do: func(_ *world, b *looptest.Peer) { b.Reset() },
			want: reply("503 Service Unavailable", term),
			log:  "GET / 503 UC upstream_reset_before_response_started{connection_termination}",
		},
		{
			name: "FIN in the head", do: func(_ *world, b *looptest.Peer) { b.Send("HTTP/1.1 200 O"); b.Close() },
			want: reply("502 Bad Gateway", proto), log: "GET / 502 UPE upstream_reset_before_response_started{protocol_error}",
		},
		{
			name: "garbage", do: func(_ *world, b *looptest.Peer) { b.Send("SSH-2.0-x\r\n") },
			want: reply("502 Bad Gateway", proto), log: "GET / 502 UPE upstream_reset_before_response_started{protocol_error}",
		},
		{
			name: "bad head", do: func(_ *world, b *looptest.Peer) { b.Send("HTTP/1.1 200 OK\r\na b: c\r\n\r\n") },
			want: reply("502 Bad Gateway", proto), log: "GET / 502 UPE upstream_reset_before_response_started{protocol_error}",
		},
		{
			name: "FIN in the body", do: func(_ *world, b *looptest.Peer) { b.Send(ok2[:len(ok2)-1]); b.Close() }, end: true,
			want: ok2Down[:len(ok2Down)-1], log: "GET / 200 UPE upstream_reset_after_response_started{protocol_error}",
		},
		{
			name: "RST in the body", end: true,
			do: func(w *world, b *looptest.Peer) {
				w.send(b, ok2[:len(ok2)-1])
				b.Reset()
			},
			want: ok2Down[:len(ok2Down)-1], log: "GET / 200 UPE upstream_reset_after_response_started{protocol_error}",
		},
		{
			name: "garbage in the body", end: true,
			do: func(_ *world, b *looptest.Peer) {
				b.Send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
			},
			want: "HTTP/1.1 200 OK\r\n" + served + "transfer-encoding: chunked\r\n\r\n",
			log:  "GET / 200 UPE upstream_reset_after_response_started{protocol_error}",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.o)
			w.OnDial(addr(1), tt.dial)
			c := w.client()
			w.send(c, get)
			if tt.do != nil {
				b := w.backend(1)
				b.Received()
				tt.do(w, b)
				w.Settle()
				if !b.Closed() {
					t.Error("the host's connection is kept")
				}
			}
			w.got(c, tt.want)
			w.logged(tt.log)
			if c.Ended() != tt.end {
				t.Errorf("the client's connection ended: %v, want %v", c.Ended(), tt.end)
			}
			w.idle()
			if tt.end {
				return
			}
			w.OnDial(addr(1), looptest.Accept) // the client's connection is as good as before
			w.send(c, get)
			w.send(w.backend(1), ok2)
			w.got(c, ok2Down)
		})
	}
}

// TestConnectTimeout waits for a host that does not answer SYN.
func TestConnectTimeout(t *testing.T) {
	w := newWorld(t, setup{})
	w.OnDial(addr(1), looptest.Hold)
	c := w.client()
	w.send(c, get)
	w.Advance(4999 * time.Millisecond)
	w.got(c, "")
	w.Advance(2 * time.Millisecond)
	want := local("503 Service Unavailable", upstreamE+"reset reason: connection timeout")
	w.got(c, strings.ReplaceAll(want, "04:05 GMT", "04:10 GMT"))
	w.logged("GET / 503 UF upstream_reset_before_response_started{connection_timeout}")
	w.stats(".upstream_cx_connect_timeout", 1, ".upstream_cx_connect_fail", 1)
	w.idle()
}

// TestEarlyResponse answers before the request is complete: the response goes out,
// and both connections end, since where the request's rest ends is not to be waited
// for.
func TestEarlyResponse(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, post(100)+"part")
	b := w.backend(1)
	w.send(b, ok2)
	got := c.Received()
	if statusOf(got) != "200 OK" || bodyOf(got) != "ok" {
		t.Errorf("got %q", got)
	}
	if !c.Ended() || !b.Closed() {
		t.Errorf("client ended %v, host closed %v", c.Ended(), b.Closed())
	}
	w.logged("POST / 200 - via_upstream")
	w.send(c, strings.Repeat("x", 96)+get) // never taken for a request
	w.stats("downstream_rq_total", 1)
	w.Advance(2 * time.Second)
	w.idle()
}

// TestEarlyResponseWithoutBody says so in the head, which is not sent before.
func TestEarlyResponseWithoutBody(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, post(100)+"part")
	w.send(w.backend(1), "HTTP/1.1 413 Too\r\ncontent-length: 0\r\n\r\n")
	w.got(c, "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\n"+ours+"connection: close\r\n\r\n")
	w.stats("downstream_rq_response_before_rq_complete", 1)
}

// TestResponseWhileRequestFlows: a response that begins while the request goes on
// gets through, and so does the request; but the connection is not used again.
func TestResponseWhileRequestFlows(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, post(4)+"ab")
	b := w.backend(1)
	w.send(b, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nAB")
	b.Received()
	w.send(c, "cd")
	w.got(b, "cd")
	w.send(b, "CD")
	w.got(c, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n"+ours+"connection: close\r\n\r\nABCD")
	if !c.Ended() || b.Closed() {
		t.Errorf("client ended %v, host closed %v", c.Ended(), b.Closed())
	}
	w.stats("downstream_rq_response_before_rq_complete", 1)
}

// TestLocalReplyToOpenRequest answers a request whose body is still to come.
func TestLocalReplyToOpenRequest(t *testing.T) {
	w := newWorld(t, setup{route: `match { prefix: "/x" } route { cluster: "c" }`})
	c := w.client()
	w.send(c, post(100)+"part")
	w.got(c, local("404 Not Found", "", "connection: close"))
	if !c.Ended() {
		t.Error("the connection is kept")
	}
	w.logged("POST / 404 NR route_not_found")
}

// TestUnaskedResponse: bytes that follow a response must not answer the next request.
func TestUnaskedResponse(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	w.send(b, ok2+"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
	w.got(c, ok2Down)
	w.send(c, get)
	w.send(w.backend(1), ok2)
	w.got(c, ok2Down)
	if !b.Closed() {
		t.Error("the connection is kept")
	}
}

// TestEndedStreamIsLetGo: a connection that is being closed after its stream was cut
// off has no hold on that stream, which serves another connection by then.
func TestEndedStreamIsLetGo(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	c.Window(10)
	w.send(c, get)
	b := w.backend(1)
	w.send(b, ok2[:len(ok2)-1])
	b.Close()
	w.Settle() // cut off; what is queued for c waits for its window
	w.logged("GET / 200 UPE upstream_reset_after_response_started{protocol_error}")
	if c.Closed() {
		t.Fatal("closed before its queue was written")
	}
	d := w.client()
	w.send(d, get)
	b = w.backend(1)
	c.Reset()
	w.Settle()
	w.send(b, ok2)
	w.got(d, ok2Down)
	w.logged(okLog)
}
