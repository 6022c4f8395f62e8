package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

func muxed(o setup) setup {
	host := &sdk.Codec{Name: "lines to HTTP/1", RPC: true}
	o.edit = func(cfg *Config) { cfg.Codecs = []sdk.CodecConfig{lines{host: host}} }
	o.rpc = []sdk.CodecConfig{viaHTTP{host}}
	return o
}

// answer lets the host answer the next request on connection b.
func (w *world) answer(n int, text string) {
	w.t.Helper()
	b := w.backend(n)
	if !strings.HasPrefix(b.Received(), "POST /") {
		w.t.Fatal("no request came")
	}
	w.send(b, fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(text), text))
}

// TestSharedOrder: streams of one connection are answered as their hosts answer.
func TestSharedOrder(t *testing.T) {
	w := newWorld(t, muxed(setup{}))
	c := w.client()
	w.send(c, "1 H /a\n2 H /b\n2 E x\n3 H /c\n")
	one, two, three := w.backend(1), w.backend(1), w.backend(1)
	w.send(c, "3 D y\n1 E z\n3 E \n")
	for _, b := range []string{one.Received(), two.Received(), three.Received()} {
		if strings.Contains(b, "x-request-id") || !strings.HasPrefix(b, "POST /") {
			t.Errorf("an RPC goes upstream with what is HTTP's own: %q", b)
		}
	}
	w.send(three, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n3")
	w.got(c, "3 H 200 false\n3 E 3\n")
	w.send(one, "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
	w.got(c, "1 H 201 true\n")
	w.send(two, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2")
	w.got(c, "2 H 200 false\n2 E 2\n")
	w.stats("downstream_cx_total", 1, "downstream_rq_total", 3, "downstream_rq_2xx", 3)
	w.idle()
}

// TestSharedAlone: what befalls one stream does not befall its neighbours.
func TestSharedAlone(t *testing.T) {
	w := newWorld(t, muxed(setup{}))
	c := w.client()
	w.send(c, "1 H /a\n2 H /b\n1 E \n2 E \n")
	one, two := w.backend(1), w.backend(1)
	w.send(c, "1 R\n9 R\n9 D lost\n")
	if !one.Ended() {
		t.Error("the attempt of a stream that was given up goes on")
	}
	w.send(c, "3 B /malformed\n4 O /malformed\n")
	w.got(c, "3 H 400 true\n")
	w.send(two, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab")
	w.got(c, "2 H 200 false\n2 D ab\n")
	two.Reset()
	w.Settle()
	w.got(c, "2 R local reset\n")
	w.send(c, "5 H /e\n5 E \n")
	w.answer(1, "ok")
	w.got(c, "5 H 200 false\n5 E ok\n")
	w.idle()
}

// TestSharedEarlyAnswer: the rest of a request that is answered is not wanted.
func TestSharedEarlyAnswer(t *testing.T) {
	w := newWorld(t, muxed(setup{}))
	c := w.client()
	w.send(c, "1 H /a\n1 D x\n")
	w.send(w.backend(1), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
	w.got(c, "1 H 200 true\n1 R \n")
	w.send(c, "1 D y\n1 E z\n2 H /b\n2 E \n")
	w.answer(1, "ok")
	w.got(c, "2 H 200 false\n2 E ok\n")
	w.idle()
}

// TestSharedBroken: a connection that is broken ends with all its streams.
func TestSharedBroken(t *testing.T) {
	for name, end := range map[string]string{"garbage": "bad\n", "an id twice": "2 H /again\n", "the client leaves": ""} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, muxed(setup{}))
			c := w.client()
			w.send(c, "1 H /a\n2 H /b\n")
			one, two := w.backend(1), w.backend(1)
			if end == "" {
				c.Close()
				w.Settle()
			} else {
				w.send(c, end)
			}
			if !one.Ended() || !two.Ended() || !c.Ended() && end != "" {
				t.Error("something goes on")
			}
			w.Advance(time.Second) // delayed_close_timeout
			w.stats("downstream_rq_total", 2, "downstream_rq_active", 0, "downstream_cx_active", 0)
		})
	}
}

// TestSharedTalk: the codec answers for itself, also while streams are under way.
func TestSharedTalk(t *testing.T) {
	w := newWorld(t, muxed(setup{}))
	c := w.client()
	w.send(c, "ping\n1 H /a\nping\n1 E \n")
	w.got(c, "pong\npong\n")
	w.answer(1, "ok")
	w.got(c, "1 H 200 false\n1 E ok\n")
	w.idle()
}

// TestSharedDrain: the client is told, its streams end, then the connection.
func TestSharedDrain(t *testing.T) {
	w := newWorld(t, muxed(setup{}))
	c := w.client()
	w.send(c, "1 H /a\n1 E \n")
	w.w.Drain()
	w.Settle()
	w.got(c, "away\n")
	w.answer(1, "ok")
	w.got(c, "1 H 200 false\n1 E ok\n")
	if !c.Ended() {
		t.Error("the drained connection stays")
	}
}

// TestSharedLimit: more streams than a connection may have wait in its input.
func TestSharedLimit(t *testing.T) {
	w := newWorld(t, muxed(setup{route: `match { prefix: "/" } direct_response { status: 200 }`}))
	w.cfg.Filters = nil
	c := w.client()
	var in strings.Builder
	for id := range 3 * maxShared {
		fmt.Fprintf(&in, "%d H /\n%d E \n", id, id)
	}
	w.send(c, in.String())
	if n := strings.Count(c.Received(), " H 200 true\n"); n != 3*maxShared {
		t.Errorf("%d answers", n)
	}
	w.idle()
}

// TestSharedWait: streams beyond the limit are taken up as others end.
func TestSharedWait(t *testing.T) {
	w := newWorld(t, muxed(setup{clusters: map[string]string{"c": `circuit_breakers { thresholds { track_remaining: true
		max_connections { value: 5000 } max_requests { value: 5000 } max_pending_requests { value: 5000 } } }`}}))
	c := w.client()
	for id := range maxShared + 1 {
		w.send(c, fmt.Sprintf("%d H /\n", id))
	}
	w.stats("downstream_rq_active", maxShared)
	w.send(w.backend(1), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
	w.Settle()
	w.stats("downstream_rq_active", maxShared, "downstream_rq_total", maxShared+1)
	c.Close()
	w.Settle()
	w.stats("downstream_rq_active", 0)
}

// explosive panics when it is told of the end of "/end".
type explosive struct{ sdk.PassThrough }

func (explosive) New(sdk.Stream) sdk.Filter { return explosive{} }
func (explosive) Close()                    {}

func (explosive) OnEnd(s sdk.Stream) {
	if s.Request().Path() == "/end" {
		panic("end")
	}
}

// TestSharedPanic: streams that panic when their connection ends keep none of the
// others alive.
func TestSharedPanic(t *testing.T) {
	w := newWorld(t, muxed(setup{filters: []FilterConfig{{Name: "explosive", Config: explosive{}}}}))
	c := w.client()
	w.send(c, "1 H /a\n2 H /end\n3 H /c\n4 H /end\n5 H /e\n")
	w.stats("downstream_rq_active", 5)
	c.Close()
	w.Settle()
	if len(w.Logs) == 0 {
		t.Error("the panic is not logged")
	}
	w.Logs = nil
	w.stats("downstream_rq_active", 0, "downstream_cx_active", 0)
}
