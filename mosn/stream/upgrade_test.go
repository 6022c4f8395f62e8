package stream

import (
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

const (
	websocket = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n\r\n"
	switched  = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: y\r\n\r\n"
	connect   = "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n"
)

// upgrades allows websocket and CONNECT.
func upgrades() setup {
	return setup{
		route: `match { prefix: "/" } route { cluster: "c" } `,
		vhost: `routes { match { connect_matcher {} } route { cluster: "c" } }`,
		edit: func(c *Config) {
			c.Upgrades = []Upgrade{{Type: "websocket", Enabled: true}, {Type: "CONNECT", Enabled: true}}
		},
	}
}

func TestWebSocket(t *testing.T) {
	w := newWorld(t, upgrades())
	c := w.client()
	w.send(c, websocket)
	b := w.backend(1)
	got := b.Received()
	for _, want := range []string{"GET /ws HTTP/1.1\r\n", "\r\nconnection: Upgrade\r\n", "\r\nupgrade: websocket\r\n", "\r\nsec-websocket-key: k\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("host got %q, which lacks %q", got, want)
		}
	}
	w.send(b, switched)
	if got := c.Received(); !strings.HasPrefix(got, "HTTP/1.1 101 Switching Protocols\r\n") || !strings.Contains(got, "\r\nconnection: Upgrade\r\n") ||
		!strings.Contains(got, "\r\nupgrade: websocket\r\n") || strings.Contains(got, "transfer-encoding") {
		t.Errorf("client got %q", got)
	}
	for range 3 {
		w.send(c, "\x81\x02hi")
		w.got(b, "\x81\x02hi")
		w.send(b, "\x81\x02yo")
		w.got(c, "\x81\x02yo")
	}
	w.Advance(time.Minute) // the route's timeout is no more
	w.send(b, "\x81")
	w.got(c, "\x81")
	w.logged("")
	b.Send("bye")
	b.Close()
	w.Settle()
	w.got(c, "bye") // nothing that came before the end is lost
	if !c.Ended() {
		t.Error("the client is left alone")
	}
	w.logged("GET /ws 101 UC upstream_reset_after_response_started{connection_termination}")
	w.idle()
}

// TestUpgradeEnds: the end of either side ends the other.
func TestUpgradeEnds(t *testing.T) {
	for _, how := range leavings() {
		for _, side := range []string{"client", "host"} {
			t.Run(side+" "+how.name, func(t *testing.T) {
				w := newWorld(t, upgrades())
				c := w.client()
				w.send(c, websocket)
				b := w.backend(1)
				w.send(b, switched)
				c.Received()
				if side == "client" {
					how.do(c)
				} else {
					how.do(b)
				}
				w.Settle()
				if !c.Ended() || !b.Closed() {
					t.Errorf("client ended %v, host closed %v", c.Ended(), b.Closed())
				}
				want := "GET /ws 101 DC downstream_remote_disconnect"
				if side == "host" {
					want = "GET /ws 101 UC upstream_reset_after_response_started{connection_termination}"
				}
				w.logged(want)
				w.Advance(2 * time.Second)
				w.idle()
			})
		}
	}
}

// TestUpgradeEarlyBytes: what a client sends before the upgrade is granted waits for
// it. A host that does not grant it must never see those bytes: it would take them for
// a request that nobody has checked.
func TestUpgradeEarlyBytes(t *testing.T) {
	for _, granted := range []bool{true, false} {
		w := newWorld(t, upgrades())
		c := w.client()
		const early = "GET /admin HTTP/1.1\r\nhost: a\r\n\r\n"
		w.send(c, websocket+early[:10])
		b := w.backend(1)
		if got := b.Received(); strings.Contains(got, "GET /admin"[:10]) {
			t.Errorf("host got %q", got)
		}
		w.send(c, early[10:])
		w.got(b, "")
		if granted {
			w.send(b, switched)
			w.got(b, early)
			continue
		}
		w.send(b, "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno")
		w.got(b, "")
		got := c.Received()
		if statusOf(got) != "404 Not Found" || bodyOf(got) != "no" || !strings.Contains(got, "connection: close\r\n") {
			t.Errorf("client got %q", got)
		}
		if !c.Ended() || !b.Closed() {
			t.Errorf("client ended %v, host closed %v", c.Ended(), b.Closed())
		}
		w.logged("GET /ws 404 - via_upstream")
		w.stats("downstream_rq_total", 1)
	}
}

// TestUpgradeNotAllowed: by nobody, by the connection manager, by the route.
func TestUpgradeNotAllowed(t *testing.T) {
	off := upgrades()
	off.edit = func(c *Config) { c.Upgrades = []Upgrade{{Type: "websocket"}} }
	route := upgrades()
	route.route = `match { prefix: "/" } route { cluster: "c" upgrade_configs { upgrade_type: "websocket" enabled { value: false } } }`
	for name, o := range map[string]setup{"none": {}, "switched off": off, "route": route} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, o)
			c := w.client()
			w.send(c, websocket)
			w.got(c, local("403 Forbidden", "", "connection: close"))
			w.logged("GET /ws 403 - upgrade_failed")
			if !c.Ended() || w.next(1) != nil {
				t.Error("not refused")
			}
		})
	}
	on := setup{action: `upgrade_configs { upgrade_type: "websocket" }`} // and a route may allow it alone
	w := newWorld(t, on)
	c := w.client()
	w.send(c, websocket)
	w.send(w.backend(1), switched)
	if got := statusOf(c.Received()); got != "101 Switching Protocols" {
		t.Errorf("got %q", got)
	}
}

func TestConnect(t *testing.T) {
	w := newWorld(t, upgrades())
	c := w.client()
	w.send(c, connect+"early")
	b := w.backend(1)
	if got := b.Received(); !strings.HasPrefix(got, "CONNECT a:443 HTTP/1.1\r\n") || strings.Contains(got, "early") {
		t.Errorf("host got %q", got)
	}
	w.send(b, "HTTP/1.1 200 OK\r\n\r\n")
	w.got(b, "early")
	if got := c.Received(); statusOf(got) != "200 OK" || strings.Contains(got, "transfer-encoding") || strings.Contains(got, "content-length") {
		t.Errorf("client got %q", got)
	}
	w.send(c, "ping")
	w.got(b, "ping")
	w.send(b, "pong")
	w.got(c, "pong")
	c.Close()
	w.Settle()
	if got := w.log.take(); !strings.HasPrefix(got, "CONNECT - 200 DC ") && !strings.HasPrefix(got, "CONNECT / 200 DC ") {
		t.Errorf("log %q", got)
	}
	w.idle()

	w = newWorld(t, setup{vhost: upgrades().vhost})
	c = w.client()
	w.send(c, connect)
	w.got(c, local("403 Forbidden", "", "connection: close"))
}

// TestUpgradeFlow: a tunnel has the limits of a body.
func TestUpgradeFlow(t *testing.T) {
	o := upgrades()
	w := flowWorld(t, o)
	c := w.client()
	w.send(c, websocket)
	b := w.backend(1)
	w.send(b, switched)
	c.Received()
	b.Received()
	b.Window(0)
	c.Window(0)
	data := strings.Repeat("0123456789", 100_000)
	c.Send(data)
	b.Send(data)
	w.Settle()
	for name, p := range map[string]*looptest.Peer{"client": c, "host": b} {
		if p.Unread() < len(data)-2*flowLimit-slack {
			t.Errorf("%d bytes were read from the %s", len(data)-p.Unread(), name)
		}
	}
	var up, down []byte
	w.pump(b, 10_000, func(p []byte) { up = append(up, p...) })
	w.pump(c, 10_000, func(p []byte) { down = append(down, p...) })
	if string(up) != data || string(down) != data {
		t.Errorf("%d bytes up, %d down", len(up), len(down))
	}
}

// TestDrain: idle connections end at once, others with their response, which says so;
// new ones live for one request.
func TestDrain(t *testing.T) {
	w := newWorld(t, setup{})
	quiet, fresh, busy, typing := w.client(), w.client(), w.client(), w.client()
	w.send(quiet, get)
	b := w.backend(1)
	w.send(b, ok2)
	w.got(quiet, ok2Down)
	w.send(busy, get)
	w.send(typing, "GET / HTTP/1.1\r\nho")
	w.Settle()
	w.w.Drain()
	w.Settle()
	if !quiet.Ended() || !fresh.Ended() || busy.Ended() || typing.Ended() || !w.w.Draining() {
		t.Errorf("ended: quiet %v, fresh %v, busy %v, typing %v", quiet.Ended(), fresh.Ended(), busy.Ended(), typing.Ended())
	}
	w.send(b, ok2)
	w.got(busy, ok2Close)
	w.send(typing, "st: a\r\n\r\n")
	w.send(b, ok2)
	w.got(typing, ok2Close)
	late := w.client()
	w.send(late, get)
	w.send(b, ok2)
	w.got(late, ok2Close)
	for _, p := range []*looptest.Peer{busy, typing, late} {
		if !p.Ended() {
			t.Error("a connection is kept")
		}
		p.Close()
	}
	w.Settle()
	if w.w.ActiveConns() != 0 {
		t.Errorf("%d connections are left", w.w.ActiveConns())
	}
	w.idle()
}

// chainMark is a filter that writes down that it was there.
type chainMark struct {
	sdk.PassThrough
	name   string
	seen   *string
	closed *int
}

func (m chainMark) New(sdk.Stream) sdk.Filter { *m.seen += m.name; return m }
func (m chainMark) Close()                    { *m.closed++ }

// TestUpgradeChain: requests that upgrade have the chain of their type, with its router,
// or else the ordinary one.
func TestUpgradeChain(t *testing.T) {
	seen, closed := "", 0
	mark := func(name string) []FilterConfig {
		return []FilterConfig{{Name: name, Config: chainMark{name: name, seen: &seen, closed: &closed}}}
	}
	o := upgrades()
	o.filters = mark("main;")
	o.edit = func(c *Config) {
		c.Upgrades = []Upgrade{
			{Type: "WebSocket", Enabled: true, Own: true, Filters: mark("websocket;"), Router: Router{SuppressEnvoyHeaders: true}},
			{Type: "plain", Enabled: true},
			{Type: "off", Own: true, Filters: mark("off;")},
			{Type: "none", Enabled: true, Own: true},
		}
	}
	for request, want := range map[string]string{
		websocket: "websocket;", strings.Replace(websocket, "websocket", "plain", 1): "main;", get: "main;",
		strings.Replace(websocket, "websocket", "off", 1): "main;", strings.Replace(websocket, "websocket", "none", 1): "",
	} {
		w := newWorld(t, o)
		seen = ""
		c := w.client()
		w.send(c, request)
		if want != "main;" || !strings.Contains(request, "off") {
			if suppressed := !strings.Contains(w.backend(1).Received(), "x-envoy-expected-rq-timeout-ms"); suppressed != (request == websocket) {
				t.Errorf("%q: suppressed: %v", request, suppressed)
			}
		}
		if seen != want {
			t.Errorf("%q went through %q, want %q", request, seen, want)
		}
		c.Close()
		w.Settle()
	}
	w := newWorld(t, o)
	closed = 0
	w.cfg.Close()
	if closed != 3 {
		t.Errorf("%d filters were closed", closed)
	}
}
