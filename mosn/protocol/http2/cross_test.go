package http2

import (
	"strings"
	"testing"

	"sofamesh.io/sofamesh/mosn/protocol/http1"
	"sofamesh.io/sofamesh/sdk"
)

// heads decodes the first head that a codec reads.
func heads(tb testing.TB, conn sdk.CodecConn, in string, m *sdk.Message) sdk.Event {
	tb.Helper()
	ev := sdk.Event{Msg: m}
	for p := []byte(in); ; {
		n, err := conn.Decode(p, &ev)
		if err != nil {
			tb.Fatal(err)
		}
		if p = p[n:]; ev.Kind == sdk.EventHeaders {
			return ev
		}
		if n == 0 {
			tb.Fatalf("no head in %q", in)
		}
	}
}

func h1(tb testing.TB, side sdk.Side) sdk.CodecConn {
	tb.Helper()
	cfg, err := http1.Codec().Compile(testCompiler(tb), side, sdk.CodecOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return cfg.New()
}

// TestFromHTTP1: messages of HTTP/1 as HTTP/2 sends them.
func TestFromHTTP1(t *testing.T) {
	var m sdk.Message
	heads(t, h1(t, sdk.Downstream), "POST /p?q HTTP/1.1\r\nHost: h:1\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Mixed: Value\r\nTE: trailers\r\n"+
		"Transfer-Encoding: chunked\r\nCookie: a=b\r\n\r\n", &m)
	d := call(t, nil)
	if err := d.conn.WriteHeaders(&d.out, d.conn.NewStream(), &m, false); err != nil {
		t.Fatal(err)
	}
	want(t, "a request", d.wrote(), "HEADERS 1 :method=POST :scheme=http :path=/p?q :authority=h:1 x-mixed=Value te=trailers cookie=a=b")

	m.Reset()
	client := h1(t, sdk.Upstream)
	out := buffer()
	if err := client.WriteHeaders(out, client.NewStream(), message(get()...), true); err != nil {
		t.Fatal(err)
	}
	heads(t, client, "HTTP/1.1 200 Fine\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nServer: x\r\nTransfer-Encoding: chunked\r\n\r\n", &m)
	s := serve(t, nil)
	s.feed(headers(1, end, get()...))
	if err := s.conn.WriteHeaders(&s.out, 1, &m, false); err != nil {
		t.Fatal(err)
	}
	want(t, "a response", s.wrote(), "HEADERS 1 :status=200 server=x")
}

// TestToHTTP1: messages of HTTP/2 as HTTP/1 sends them.
func TestToHTTP1(t *testing.T) {
	d := serve(t, nil)
	d.feed(headers(1, 0, post("x-a", "1", "te", "trailers", "cookie", "a=b", "cookie", "c=d")...))
	client := h1(t, sdk.Upstream)
	out := buffer()
	if err := client.WriteHeaders(out, client.NewStream(), &d.msg, false); err != nil {
		t.Fatal(err)
	}
	want(t, "a request", string(out.Bytes(nil)), "POST / HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nte: trailers\r\ncookie: a=b; c=d\r\ntransfer-encoding: chunked\r\n\r\n")

	up := call(t, nil)
	up.request(true, get()...)
	up.feed(headers(1, end, ":status", "404", "x-a", "1", "set-cookie", "a", "set-cookie", "b"))
	server := h1(t, sdk.Downstream)
	var m sdk.Message
	heads(t, server, "GET / HTTP/1.1\r\nhost: h\r\n\r\n", &m)
	out = buffer()
	if err := server.WriteHeaders(out, 1, &up.msg, true); err != nil {
		t.Fatal(err)
	}
	want(t, "a response", string(out.Bytes(nil)), "HTTP/1.1 404 Not Found\r\nx-a: 1\r\nset-cookie: a\r\nset-cookie: b\r\ncontent-length: 0\r\n\r\n")
}

// TestWebSocketAcross: an upgrade of the one is extended CONNECT of the other.
func TestWebSocketAcross(t *testing.T) {
	var m sdk.Message
	ev := heads(t, h1(t, sdk.Downstream), "GET /chat HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n\r\n", &m)
	if !m.Upgrade || ev.End {
		t.Fatal("no upgrade")
	}
	d := call(t, nil, settingEnableConnect, 1)
	if err := d.conn.WriteHeaders(&d.out, d.conn.NewStream(), &m, false); err != nil {
		t.Fatal(err)
	}
	want(t, "up", d.wrote(), "HEADERS 1 :method=CONNECT :protocol=websocket :scheme=http :path=/chat :authority=h sec-websocket-key=k")

	s := serve(t, lenient())
	s.feed(headers(1, 0, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/chat", ":authority", "h"))
	client := h1(t, sdk.Upstream)
	out := buffer()
	if err := client.WriteHeaders(out, client.NewStream(), &s.msg, false); err != nil {
		t.Fatal(err)
	}
	want(t, "down", string(out.Bytes(nil)), "GET /chat HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
	m.Reset()
	heads(t, client, "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n", &m)
	if err := s.conn.WriteHeaders(&s.out, 1, &m, false); err != nil || !m.Upgrade {
		t.Fatal(err)
	}
	want(t, "granted", s.wrote(), "HEADERS 1 :status=200")
}

// TestSwitched: a connection that has begun as HTTP/1.
func TestSwitched(t *testing.T) {
	d := drive(t, newConfig(t, sdk.Downstream, nil))
	id, ok := d.conn.Switched(message(get("http2-settings", "AAQAAAAF")...)) // a window of 5
	if !ok || id != 1 {
		t.Fatal(id, ok)
	}
	d.respond(1, false)
	d.conn.WriteData(&d.out, 1, []byte("123456"), true)
	want(t, "the response", d.wrote(), "SETTINGS 0 1=4096 3=1024 4=16777216\nWINDOW_UPDATE 0 25100289\nHEADERS 1 :status=200\nDATA 1 \"12345\"")
	want(t, "what follows", d.feed(clientHello(settingInitialWindow, 6)+headers(3, end, get()...)), "window 1\nheaders 3 :method=GET :scheme=http :path=/ :authority=h end")
	for _, text := range []string{"AAQA", "!", "AAT_____", "AAQAAAAF" + strings.Repeat("A", 300)} {
		d := drive(t, newConfig(t, sdk.Downstream, nil))
		if _, ok := d.conn.Switched(message("http2-settings", text)); ok {
			t.Errorf("%q is fine", text)
		}
	}
	if _, ok := call(t, nil).conn.Switched(message()); ok {
		t.Error("a client switches")
	}
}

// buffer returns an empty buffer.
func buffer() *sdk.Buffer {
	b := new(sdk.Buffer)
	b.Init(sdk.NewBufferPool(8))
	return b
}
