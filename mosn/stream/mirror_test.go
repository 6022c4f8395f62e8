package stream

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

func mirrored(more string) setup {
	return setup{
		action:   `request_mirror_policies { cluster: "m" } ` + more,
		clusters: map[string]string{"m": trailersUpstream, "c": trailersUpstream},
	}
}

// copyOf is what a mirror gets in place of the head of a request.
func copyOf(up string) string {
	up = strings.Replace(up, "host: a\r\n", "host: a-shadow\r\n", 1)
	head, body, _ := strings.Cut(up, "\r\n\r\n")
	framing := ""
	if h, ok := strings.CutSuffix(head, "\r\ntransfer-encoding: chunked"); ok {
		head, framing = h, "\r\ntransfer-encoding: chunked"
	}
	return head + "\r\nx-envoy-internal: true" + framing + "\r\n\r\n" + body
}

// TestMirror: the copy has the same body and trailers, and its answer goes nowhere.
func TestMirror(t *testing.T) {
	plain := exchange{"no body", get, getUp, ok2, ok2Down}
	for _, x := range append(exchanges(), plain) {
		t.Run(x.name, func(t *testing.T) {
			w := newWorld(t, mirrored(""))
			c := w.client()
			w.send(c, x.request)
			b, m := w.backend(1), w.backend(11)
			if got := b.Received(); unchunk(got) != unchunk(x.up) {
				t.Errorf("host got %q", got)
			}
			if got := m.Received(); unchunk(got) != unchunk(copyOf(x.up)) {
				t.Errorf("mirror got %q\nwant %q", got, copyOf(x.up))
			}
			w.send(m, "HTTP/1.1 500 X\r\ncontent-length: 4\r\n\r\nevil")
			w.got(c, "")
			w.send(b, x.response)
			if got := c.Received(); unchunk(got) != unchunk(x.down) {
				t.Errorf("client got %q", got)
			}
			w.send(c, x.request) // the mirror's connection is used again
			if got := m.Received(); unchunk(got) != unchunk(copyOf(x.up)) {
				t.Errorf("mirror got %q", got)
			}
			w.send(b, x.response)
			w.send(m, ok2)
			w.idle()
			w.mirrorCounts(500, 200)
		})
	}
}

// mirrorCounts checks that the mirror's answers are counted once each, and as those to requests from inside.
func (w *world) mirrorCounts(codes ...int) {
	w.t.Helper()
	for _, prefix := range []string{"cluster.m.upstream_rq_", "cluster.m.internal.upstream_rq_"} {
		if n := w.stat(prefix + "completed"); n != uint64(len(codes)) {
			w.t.Errorf("%scompleted = %d, want %d", prefix, n, len(codes))
		}
		for _, code := range codes {
			if n := w.stat(prefix + strconv.Itoa(code)); n != 1 {
				w.t.Errorf("%s%d = %d, want 1", prefix, code, n)
			}
		}
	}
}

// TestMirrorFails in every way without the request's noticing.
func TestMirrorFails(t *testing.T) {
	fails := map[string]struct {
		code int // that is counted for the mirror
		dial looptest.Outcome
		do   func(w *world, m *looptest.Peer)
	}{
		"refused":          {code: 503, dial: looptest.Refuse},
		"black hole":       {code: 504, dial: looptest.Hold},
		"reset":            {code: 503, do: func(_ *world, m *looptest.Peer) { m.Reset() }},
		"closes":           {code: 503, do: func(_ *world, m *looptest.Peer) { m.Close() }},
		"garbage":          {code: 502, do: func(_ *world, m *looptest.Peer) { m.Send("\x00\x00\r\n\r\n") }},
		"takes nothing":    {code: 504, do: func(_ *world, m *looptest.Peer) { m.Window(0) }},
		"never answers":    {code: 504},
		"answers in part":  {code: 504, do: func(_ *world, m *looptest.Peer) { m.Send(ok2[:20]) }},
		"answers too soon": {code: 200, do: func(_ *world, m *looptest.Peer) { m.Send(ok2) }},
	}
	for name, f := range fails {
		for _, request := range []string{get, post(5)} {
			t.Run(name+" "+request[:4], func(t *testing.T) {
				w := newWorld(t, mirrored("timeout { seconds: 3 }"))
				w.OnDial(addr(11), f.dial)
				c := w.client()
				w.send(c, request)
				b, m := w.backend(1), w.next(11)
				if f.do != nil {
					f.do(w, m)
					w.Settle()
				}
				if request != get {
					w.send(c, "he")
					w.send(c, "llo")
				}
				if got := b.Received(); request != get && bodyOf(got) != "hello" {
					t.Errorf("host got %q", got)
				}
				w.send(b, ok2)
				w.got(c, ok2Down)
				w.Advance(10 * time.Second) // the mirror has the route's timeout as well
				w.idle()
				w.mirrorCounts(f.code)
				if n := w.stat("cluster.m.upstream_rq_active") + w.stat("cluster.m.upstream_rq_pending_active"); n != 0 {
					t.Errorf("%d requests to the mirror are left", n)
				}
			})
		}
	}
}

// TestMirrorIsRefused by a circuit breaker at once: the place is used again rightly.
func TestMirrorIsRefused(t *testing.T) {
	for _, request := range []string{get, post(2) + "hi"} {
		o := mirrored("")
		o.clusters["m"] = "circuit_breakers { thresholds { max_pending_requests {} } }"
		w := newWorld(t, o)
		one, two := w.client(), w.client()
		for range 3 {
			w.send(one, request)
			w.send(two, request)
			for b := w.next(1); b != nil; b = w.next(1) {
			}
			w.freeLists()
			w.answerAll(ok2)
			w.got(one, ok2Down)
			w.got(two, ok2Down)
			w.freeLists()
		}
		w.idle()
		w.finish()
	}
}

// answerAll answers every request that hosts of cluster c hold unanswered.
func (w *world) answerAll(resp string) {
	w.t.Helper()
	for _, p := range w.peers {
		if p.Addr() == addr(1).AddrPort && !p.Closed() && p.Received() != "" {
			w.send(p, resp)
		}
	}
}

// TestMirrorOutlivesRequest: a copy that is complete goes on alone; one that is not is
// given up with its request.
func TestMirrorOutlivesRequest(t *testing.T) {
	w := newWorld(t, mirrored(""))
	c := w.client()
	w.send(c, get)
	b, m := w.backend(1), w.backend(11)
	m.Received()
	w.send(b, ok2)
	w.logged(okLog)
	if m.Closed() {
		t.Error("the copy was given up")
	}
	// Its stream serves another request meanwhile, with a body.
	w.send(c, post(4)+"ab")
	m2 := w.backend(11)
	w.send(m, ok2)
	w.send(c, "cd")
	if got := bodyOf(m2.Received()); got != "abcd" {
		t.Errorf("the second copy got %q", got)
	}
	w.got(m, "")
	w.send(b, ok2)
	w.send(m2, ok2)

	w.send(c, post(4)+"ab")
	if m.Closed() || m2.Closed() {
		t.Fatal("a mirror's connection was not kept")
	}
	c.Reset()
	w.Settle()
	if !m.Closed() && !m2.Closed() {
		t.Error("an incomplete copy was not given up")
	}
	w.idle()
}

// TestMirrorOfBigBody: a mirror that is slower than the host by more than the buffer
// limit is given up, and the host gets everything.
func TestMirrorOfBigBody(t *testing.T) {
	o := mirrored("")
	o.limit = 10_000
	o.clusters["m"] = "per_connection_buffer_limit_bytes { value: 1000 }"
	w := newWorld(t, o)
	c := w.client()
	w.send(c, post(100_000))
	b, m := w.backend(1), w.backend(11)
	m.Window(0)
	w.send(c, strings.Repeat("x", 100_000))
	if got := bodyOf(b.Received()); len(got) != 100_000 {
		t.Errorf("host got %d bytes", len(got))
	}
	if !m.Closed() {
		t.Error("the mirror is still fed")
	}
	w.send(b, ok2)
	w.logged("POST / 200 - via_upstream")
	w.idle()
}
