package http2

import (
	"fmt"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
)

func TestResponses(t *testing.T) {
	ok := func(more ...string) []string { return append([]string{":status", "200"}, more...) }
	status := func(s string, more ...string) []string { return append([]string{":status", s}, more...) }
	bad := func(f *fault) string { return "refused 1 " + f.stream.Text }
	const head = "headers 1 :status=200"
	for _, c := range []struct {
		name, method, in, want string
	}{
		{"empty", "GET", headers(1, end, ok()...), head + " end"},
		{"body", "GET", headers(1, 0, ok()...) + data(1, end, "abc"), head + "\ndata 1 \"abc\" end"},
		{"trailers", "GET", headers(1, 0, ok()...) + headers(1, end, "grpc-status", "0"), head + "\ntrailers 1 grpc-status=0 end"},
		{"informational", "GET", headers(1, 0, status("100")...) + headers(1, 0, status("103", "link", "x")...) + headers(1, end, ok()...),
			"informational 1 :status=100\ninformational 1 :status=103 link=x\n" + head + " end"},
		{"informational at the end", "GET", headers(1, end, status("100")...), bad(errTrailersEnd)},
		{"informational too late", "GET", headers(1, 0, ok()...) + headers(1, 0, status("100")...), head + "\n" + bad(errPseudo)},
		{"101", "GET", headers(1, 0, status("101")...), bad(errStatus)},
		{"no status", "GET", headers(1, end, "x", "y"), bad(errMissing)},
		{"status", "GET", headers(1, end, status("20")...), bad(errStatus)},
		{"status", "GET", headers(1, end, status("2000")...), bad(errStatus)},
		{"status", "GET", headers(1, end, status("+20")...), bad(errStatus)},
		{"status 99", "GET", headers(1, end, status("099")...), bad(errStatus)},
		{"method", "GET", headers(1, end, ok(":method", "GET")...), bad(errPseudo)},
		{"DATA first", "GET", data(1, 0, "x"), bad(errNoHead)},
		{"HEAD", "HEAD", headers(1, end, ok("content-length", "5")...), head + " content-length=5 end"},
		{"HEAD with an empty end", "HEAD", headers(1, 0, ok("content-length", "5")...) + data(1, end, ""), head + " content-length=5\ndata 1 \"\" end"},
		{"HEAD with a body", "HEAD", headers(1, 0, ok()...) + data(1, end, "x"), head + "\n" + bad(errBodyLength)},
		{"304", "GET", headers(1, end, status("304", "content-length", "5")...), "headers 1 :status=304 content-length=5 end"},
		{"204", "GET", headers(1, end, status("204", "content-length", "0")...), "headers 1 :status=204 end"},
		{"204 with a length", "GET", headers(1, end, status("204", "content-length", "1")...), bad(errLength)},
		{"204 with a body", "GET", headers(1, 0, status("204")...) + data(1, end, "x"), "headers 1 :status=204\n" + bad(errBodyLength)},
		{"100 with a length", "GET", headers(1, 0, status("100", "content-length", "1")...), bad(errLength)},
		{"no body", "GET", headers(1, end, ok("content-length", "5")...), bad(errNoBody)},
		{"short body", "GET", headers(1, 0, ok("content-length", "5")...) + data(1, end, "abc"), head + " content-length=5\n" + bad(errBodyLength)},
		{"connection", "GET", headers(1, end, ok("connection", "close")...), bad(errHopByHop)},
		{"host", "GET", headers(1, end, ok("host", "x")...), head + " host=x end"},
		{"cookies", "GET", headers(1, end, ok("set-cookie", "a", "set-cookie", "b")...), head + " set-cookie=a set-cookie=b end"},
		{"joined", "GET", headers(1, end, ok("via", "a", "via", "b")...), head + " via=a,b end"},
		{"reset", "GET", rst(1, codeCancel), "reset 1 remote reset"},
		{"refused", "GET", rst(1, codeRefused), "reset 1 remote refused stream reset"},
		{"connect error", "GET", rst(1, codeConnect), "reset 1 remote error with CONNECT request"},
	} {
		d := call(t, lenient())
		d.request(true, with(":method", c.method)...)
		d.wrote()
		want(t, c.name, d.feed(c.in), c.want)
		if strings.Contains(c.want, "refused 1") != strings.Contains(d.wrote(), "RST_STREAM 1 1") {
			t.Errorf("%s: the server is not told", c.name)
		}
		d.request(true, get()...)
		want(t, c.name+", and then", d.feed(headers(3, end, ok()...)), "headers 3 :status=200 end")
		if d.conn.live != 0 {
			t.Errorf("%s: a stream is left", c.name)
		}
	}
	d := call(t, nil)
	d.request(true, get()...)
	want(t, "a malformed response", d.feed(headers(1, end, "x", "y")), "error "+errMissing.fatal.Text)
	d = call(t, nil)
	want(t, "a response to nothing", d.feed(headers(1, end, ok()...)), "error "+errIdle.fatal.Text)
	d = call(t, nil)
	d.conn.NewStream()
	want(t, "a response before its request", d.feed(headers(1, end, ok()...)), "error "+errIdle.fatal.Text)
	d = call(t, nil)
	d.request(true, get()...)
	d.feed(headers(1, end, ok()...))
	want(t, "a second response", d.feed(headers(1, end, ok()...)), "error "+errClosed.fatal.Text)
	d = call(t, nil)
	want(t, "a push", d.feed(raw(framePushPromise, flagEndHeaders, 1, be(2)+"\x82")), "error "+errPush.fatal.Text)
	d = drive(t, newConfig(t, sdk.Upstream, nil))
	want(t, "a server that would push", d.feed(settings(2, 1)), "error "+errSetting.fatal.Text)
}

// TestEarlyResponse: an answer that is complete before its request is.
func TestEarlyResponse(t *testing.T) {
	d := call(t, nil)
	d.request(false, post()...)
	d.wrote()
	want(t, "the response", d.feed(headers(1, end, ":status", "413")+rst(1, codeNone)), "headers 1 :status=413 end")
	if n := d.conn.WriteData(&d.out, 1, []byte("abc"), true); n != 3 || d.wrote() != "" {
		t.Error("the rest of the request is not dropped")
	}
	if d.conn.used() != 0 {
		t.Error("the stream is left")
	}

	d = serve(t, nil)
	d.feed(headers(1, 0, post()...))
	d.respond(1, true)
	d.conn.WriteReset(&d.out, 1, sdk.ResetNone)
	want(t, "the other side", d.wrote(), "HEADERS 1 :status=200 end\nRST_STREAM 1 0")
	want(t, "the rest", d.feed(data(1, 0, "abc")+headers(1, end, "x", "y")), "")
	if d.conn.used() != 0 {
		t.Error("the stream is left")
	}
}

func TestUpgrade(t *testing.T) {
	// Downstream: 101 becomes 200, and DATA flows.
	d := serve(t, lenient())
	d.feed(headers(1, 0, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/", ":authority", "h"))
	m := message(":status", "101", "upgrade", "websocket", "connection", "Upgrade", "sec-websocket-accept", "x", "content-length", "0")
	m.Upgrade = true
	if err := d.conn.WriteHeaders(&d.out, 1, m, false); err != nil {
		t.Fatal(err)
	}
	d.conn.WriteData(&d.out, 1, []byte("pong"), true)
	want(t, "a tunnel down", d.wrote(), "HEADERS 1 :status=200 sec-websocket-accept=x\nDATA 1 \"pong\" end")
	want(t, "a tunnel down", d.feed(data(1, 0, "ping")), "data 1 \"ping\"")
	want(t, "trailers there", d.feed(headers(1, end, "x", "y")), "refused 1 "+errRaw.stream.Text)

	// Upstream: the other way round.
	d = call(t, nil, 8, 1)
	d.eat = true
	m = message(get("connection", "upgrade", "upgrade", "websocket", "content-length", "0")...)
	m.Upgrade = true
	if err := d.conn.WriteHeaders(&d.out, d.conn.NewStream(), m, false); err != nil {
		t.Fatal(err)
	}
	want(t, "a tunnel up", d.wrote(), "HEADERS 1 :method=CONNECT :protocol=websocket :scheme=http :path=/ :authority=h")
	want(t, "granted", d.feed(headers(1, 0, ":status", "200")), "headers 1 upgrade :status=101 upgrade=websocket connection=upgrade")
	want(t, "its end", d.feed(data(1, end, "x")), "data 1 \"x\" end")
	d.conn.WriteData(&d.out, 1, nil, true)
	if len(d.conn.upgrades) != 0 || d.conn.used() != 0 {
		t.Error("something is left of a tunnel")
	}

	if err := d.conn.WriteHeaders(&d.out, d.conn.NewStream(), m, false); err != nil {
		t.Fatal(err)
	}
	want(t, "refused", d.feed(headers(3, end, ":status", "403")), "headers 3 :status=403 end")

	d = call(t, nil)
	if err := d.conn.WriteHeaders(&d.out, d.conn.NewStream(), m, false); err != errWriteExtended {
		t.Errorf("an upgrade to a server that knows none: %v", err)
	}
	id := d.request(false, ":method", "CONNECT", ":authority", "h:1")
	d.conn.WriteTrailers(&d.out, id, message("x", "y"))
	want(t, "CONNECT", d.wrote(), "HEADERS 3 :method=CONNECT :authority=h:1\nDATA 3 \"\" end")
	want(t, "CONNECT", d.feed(headers(3, 0, ":status", "200")), "headers 3 upgrade :status=200")
}

func TestRefusedStreams(t *testing.T) {
	d := serve(t, &corev3.Http2ProtocolOptions{MaxConcurrentStreams: u32(2)})
	for id := uint32(1); id < 9; id += 2 {
		got := d.feed(headers(id, 0, post("x-id", fmt.Sprint(id))...))
		if wanted := map[bool]string{true: "headers", false: "dropped"}[id < 5]; !strings.HasPrefix(got, wanted) {
			t.Errorf("stream %d: %s", id, got)
		}
	}
	want(t, "the refusals", d.wrote(), "RST_STREAM 5 7\nRST_STREAM 7 7")
	want(t, "what was under way", d.feed(data(5, 0, "abc")+headers(7, end, "x", "y")+data(5, end, "")), "")
	d.conn.WriteReset(&d.out, 1, sdk.ResetLocal)
	want(t, "one gives way", d.wrote(), "RST_STREAM 1 2")
	want(t, "another", d.feed(headers(9, end, get()...)), "headers 9 :method=GET :scheme=http :path=/ :authority=h end")
	if d.conn.graves.n != 1 {
		t.Errorf("%d dead streams", d.conn.graves.n)
	}
}
