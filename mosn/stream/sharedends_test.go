package stream

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func explosiveFilters() []FilterConfig {
	return []FilterConfig{{Name: "explosive", Config: explosive{}}}
}

// blown forgets the panics that were logged, of which there must be some.
func (w *world) blown() {
	w.t.Helper()
	if len(w.Logs) == 0 {
		w.t.Error("the panic is not logged")
	}
	w.Logs = nil
}

// TestSharedPanicBroken: a connection that is broken ends, also when the end of one of
// its streams panics.
func TestSharedPanicBroken(t *testing.T) {
	w := newWorld(t, muxed(setup{filters: explosiveFilters()}))
	c := w.client()
	w.send(c, "1 H /a\n2 H /end\n3 H /end\n4 H /b\nbad\n")
	if !c.Ended() {
		t.Error("the connection goes on")
	}
	w.blown()
	w.Advance(time.Second) // delayed_close_timeout
	w.stats("downstream_rq_active", 0, "downstream_cx_active", 0)
}

// TestSharedPanicReset: the client is told of a stream that is cut off, also when its
// end panics.
func TestSharedPanicReset(t *testing.T) {
	w := newWorld(t, muxed(setup{filters: explosiveFilters()}))
	c := w.client()
	w.send(c, "1 H /end\n1 E \n")
	b := w.backend(1)
	w.send(b, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab")
	w.got(c, "1 H 200 false\n1 D ab\n")
	b.Reset()
	w.Settle()
	w.got(c, "1 R local reset\n")
	w.blown()
	w.idle()
}

// TestSharedPanicDrain: a connection that drains ends with its last stream, also when
// the end of that panics.
func TestSharedPanicDrain(t *testing.T) {
	w := newWorld(t, muxed(setup{filters: explosiveFilters()}))
	c := w.client()
	w.send(c, "1 H /end\n1 E \n")
	w.w.Drain()
	w.Settle()
	w.answer(1, "ok")
	w.got(c, "away\n1 H 200 false\n1 E ok\n")
	if !c.Ended() {
		t.Error("the drained connection stays")
	}
	w.blown()
}

// TestDrainBeforeProtocol: a connection that is drained before it is known to be one of
// HTTP/2 is told, and ends.
func TestDrainBeforeProtocol(t *testing.T) {
	w := newWorld(t, withHTTP2(setup{edit: func(cfg *Config) { cfg.DrainTimeout = 5 * time.Second }}))
	p := w.h2(w.client())
	w.send(p.Peer, http2.ClientPreface[:5])
	w.w.Drain()
	w.Settle()
	p.Send(http2.ClientPreface[5:])
	p.write(func(f *http2.Framer) { _ = f.WriteSettings() })
	p.ask(1, "GET", "/a")
	w.send(w.backend(1), ok2)
	if got := p.frames(t); got != `goaway 2147483647 NO_ERROR; ping; 1 head 200; 1 data "ok" end` {
		t.Errorf("got %s", got)
	}
	w.Advance(6 * time.Second)
	if got := p.frames(t); got != "goaway 1 NO_ERROR" || !p.Ended() {
		t.Errorf("got %s, ended %t", got, p.Ended())
	}
}

// TestDrainWhileHeadComes: the same, when it is HTTP/1 and changes over then.
func TestDrainWhileHeadComes(t *testing.T) {
	w := newWorld(t, withHTTP2(setup{edit: func(cfg *Config) { cfg.DrainTimeout = 5 * time.Second }}))
	c := w.client()
	w.send(c, askH2C[:20])
	w.w.Drain()
	w.Settle()
	w.send(c, askH2C[20:])
	w.send(w.backend(1), ok2)
	_, rest, _ := strings.Cut(c.Received(), "\r\n\r\n")
	p := w.h2(c)
	if got := p.shown(t, rest); got != `goaway 2147483647 NO_ERROR; ping; 1 head 200; 1 data "ok" end` {
		t.Errorf("got %s", got)
	}
	w.Advance(6 * time.Second)
	if !c.Ended() {
		t.Error("the connection goes on")
	}
}

// TestDrainAtOnce: without drain_timeout a client of HTTP/2 gets no time to hear.
func TestDrainAtOnce(t *testing.T) {
	w := newWorld(t, withHTTP2(setup{}))
	p := w.h2client(t)
	w.w.Drain()
	w.Settle()
	if got := p.frames(t); got != "goaway 2147483647 NO_ERROR; ping; goaway 0 NO_ERROR" || !p.Ended() {
		t.Errorf("got %s, ended %t", got, p.Ended())
	}
}

// TestHeadTimeoutOfHTTP2: a head that has begun is held to its time, also when the codec
// has something to say meanwhile.
func TestHeadTimeoutOfHTTP2(t *testing.T) {
	w := newWorld(t, withHTTP2(setup{edit: func(cfg *Config) { cfg.RequestHeadersTimeout = time.Second }}))
	p := w.h2(w.client())
	var b bytes.Buffer
	_ = http2.NewFramer(&b, nil).WriteSettings()
	w.send(p.Peer, http2.ClientPreface+b.String()+"\x00\x00\x40\x01")
	w.Advance(2 * time.Second)
	if !p.Ended() {
		t.Error("the connection goes on")
	}
	w.stats("downstream_rq_header_timeout", 1)
}

// TestPausedTwice: a client that leaves is noticed while one of two requests keeps its
// connection from being read.
func TestPausedTwice(t *testing.T) {
	w := newWorld(t, muxed(setup{limit: 2000, clusters: map[string]string{"c": "per_connection_buffer_limit_bytes { value: 2000 }"}}))
	c := w.client()
	w.send(c, "1 H /a\n2 H /b\n")
	one, two := w.backend(1), w.backend(1)
	one.Window(0)
	two.Window(0)
	body := strings.Repeat("x", 5000)
	w.send(c, "1 D "+body+"\n2 D "+body+"\n")
	w.stats("downstream_flow_control_paused_reading_total", 2)
	one.Window(-1)
	w.Settle()
	w.stats("downstream_flow_control_resumed_reading_total", 1)
	c.Close()
	w.Settle()
	w.stats("downstream_rq_active", 0, "downstream_cx_active", 0)
}
