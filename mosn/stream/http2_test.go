package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// h2client connects one that speaks HTTP/2, whose greeting is over.
func (w *world) h2client(t *testing.T) *h2peer {
	t.Helper()
	p := w.h2(w.client())
	p.Send(http2.ClientPreface)
	p.write(func(f *http2.Framer) { _ = f.WriteSettings() })
	p.frames(t)
	return p
}

func TestHTTP2(t *testing.T) {
	w := newWorld(t, withHTTP2(setup{}))
	p := w.h2client(t)
	p.ask(1, "GET", "/a")
	p.ask(3, "POST", "/b")
	a, b := w.backend(1), w.backend(1)
	p.write(func(f *http2.Framer) {
		_ = f.WriteData(3, false, []byte("one"))
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndStream: true, EndHeaders: true, BlockFragment: p.block("x-t", "v")})
	})
	if got := b.Received(); !strings.HasSuffix(got, "\r\n\r\n3\r\none\r\n0\r\n\r\n") && !strings.Contains(got, "x-t: v") {
		t.Errorf("the host got %q", got)
	}
	w.send(b, "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
	w.send(a, ok2)
	if got := p.frames(t); got != `3 head 201 end; 1 head 200; 1 data "ok" end` {
		t.Errorf("got %s", got)
	}
	p.ask(5, "GET", "/c")
	if got := w.next(1); got != nil {
		t.Error("a kept connection is not used")
	}
	p.write(func(f *http2.Framer) { _ = f.WriteRSTStream(5, http2.ErrCodeCancel) })
	w.stats("downstream_rq_http2_total", 3, "downstream_rq_rx_reset", 1, "downstream_rq_active", 0)
	w.idle()
}

// TestUnasked101: an HTTP/1 host that changes the protocol unasked has failed; HTTP/2 has
// no 101 that could be passed on.
func TestUnasked101(t *testing.T) {
	w := newWorld(t, withHTTP2(setup{}))
	p := w.h2client(t)
	p.ask(1, "GET", "/a")
	host := w.backend(1)
	w.send(host, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\nopaque")
	if got := p.frames(t); got != `1 head 502; 1 data "upstream connect error or disconnect/reset before headers. reset reason: protocol error" end` {
		t.Errorf("got %s", got)
	}
	if !host.Closed() {
		t.Error("the connection to the host is kept")
	}
	w.stats("downstream_rq_5xx", 1, "downstream_rq_active", 0)
	w.idle()
}

// TestHTTP2StreamStops: a request whose host does not read stops its stream and nothing
// else; its window opens again when the host has read.
func TestHTTP2StreamStops(t *testing.T) {
	w := newWorld(t, withHTTP2(setup{limit: 2000, clusters: map[string]string{"c": "per_connection_buffer_limit_bytes { value: 2000 }"}}))
	p := w.h2client(t)
	p.ask(1, "POST", "/slow")
	slow := w.backend(1)
	slow.Window(0)
	piece := make([]byte, 16<<10)
	sent := 0
	for range 64 { // what our window lets it send, were nothing consumed
		p.write(func(f *http2.Framer) { _ = f.WriteData(1, false, piece) })
		sent += len(piece)
	}
	if got := p.frames(t); got != "" {
		t.Errorf("got %s", got)
	}
	p.ask(3, "GET", "/other")
	w.send(w.backend(1), ok2)
	if got := p.frames(t); got != `3 head 200; 3 data "ok" end` {
		t.Errorf("the other stream got %s", got)
	}
	slow.Window(-1)
	w.Settle()
	p.write(func(f *http2.Framer) { _ = f.WriteData(1, true, nil) })
	if got := slow.Total(); got < sent {
		t.Errorf("the host got %d bytes of %d", got, sent)
	}
	w.send(slow, ok2)
	if got := p.frames(t); !strings.HasSuffix(got, `1 head 200; 1 data "ok" end`) {
		t.Errorf("got %s", got)
	}
	w.idle()
}

// TestHTTP2Drain: a client is told in two steps, so that what it has sent before it heard
// is served; when it does not answer the first, the second comes in time.
func TestHTTP2Drain(t *testing.T) {
	for _, answers := range []bool{true, false} {
		t.Run(fmt.Sprint(answers), func(t *testing.T) {
			w := newWorld(t, withHTTP2(setup{edit: func(cfg *Config) { cfg.DrainTimeout = 5 * time.Second }}))
			p := w.h2client(t)
			p.ask(1, "GET", "/a")
			b := w.backend(1)
			w.w.Drain()
			w.Settle()
			raw := p.Received()
			if got := p.shown(t, raw); got != "goaway 2147483647 NO_ERROR; ping" {
				t.Fatalf("got %s", got)
			}
			p.ask(3, "GET", "/late")
			w.send(b, ok2)
			w.send(w.backend(1), ok2)
			if got := p.frames(t); got != `1 head 200; 1 data "ok" end; 3 head 200; 3 data "ok" end` {
				t.Errorf("got %s", got)
			}
			if p.Ended() {
				t.Fatal("the connection ended before the client could know")
			}
			if answers {
				var data [8]byte
				copy(data[:], raw[strings.LastIndex(raw, "drai"):])
				p.write(func(f *http2.Framer) { _ = f.WritePing(true, data) })
			} else {
				w.Advance(5 * time.Second)
			}
			if got := p.frames(t); got != "goaway 3 NO_ERROR" || !p.Ended() {
				t.Errorf("got %s, ended %t", got, p.Ended())
			}
		})
	}
}

// TestHTTP2Broken: the client is told what was wrong before the connection ends.
func TestHTTP2Broken(t *testing.T) {
	w := newWorld(t, withHTTP2(setup{}))
	p := w.h2client(t)
	p.ask(1, "GET", "/a")
	w.backend(1)
	p.write(func(f *http2.Framer) { _ = f.WriteRawFrame(http2.FrameData, 0, 0, nil) })
	if got := p.frames(t); got != "goaway 1 PROTOCOL_ERROR" || !p.Ended() {
		t.Errorf("got %s, ended %t", got, p.Ended())
	}
	w.stats("downstream_rq_active", 0, "downstream_cx_protocol_error", 1)
}
