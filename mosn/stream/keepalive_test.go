package stream

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func TestKeepalive(t *testing.T) {
	w := newWorld(t, withHTTP2(setup{}))
	w.cfg.Keepalive = Keepalive{Interval: time.Second, Jitter: time.Second / 5, Timeout: 3 * time.Second / 10}
	p := w.h2client(t)
	http1 := w.client()
	http1.Send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
	w.Settle()
	p.ask(1, "GET", "/a")
	w.Advance(9 * time.Second / 10)
	p.write(func(f *http2.Framer) { _ = f.WriteWindowUpdate(0, 1) }) // traffic is as good as an answer
	w.Advance(9 * time.Second / 10)
	if got := p.frames(t); got != "" {
		t.Errorf("a client that is there is sent %s", got)
	}
	var payload [8]byte
	w.Advance(6 * time.Second / 10)
	p.write(func(f *http2.Framer) { _ = f.WritePing(true, payload) })
	if got := p.frames(t); !strings.HasPrefix(got, "ping") {
		t.Errorf("a silent client is sent %s", got)
	}
	w.Advance(9 * time.Second / 10)
	if p.Closed() {
		t.Fatal("a client that has answered is cut off")
	}
	w.Advance(800 * time.Millisecond)
	if !p.Closed() {
		t.Error("the connection of a dead client is open")
	}
	if http1.Closed() {
		t.Error("HTTP/1 has no PING that could be missed")
	}
	w.stats("downstream_cx_active", 1, "downstream_rq_active", 1, "downstream_cx_destroy_local", 1)
	http1.Close()
	w.Settle()
}
