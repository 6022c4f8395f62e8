package http2

import (
	"fmt"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
)

// without is the head of a request without one field.
func without(name string) []string {
	var list []string
	for i, all := 0, get(); i < len(all); i += 2 {
		if all[i] != name {
			list = append(list, all[i], all[i+1])
		}
	}
	return list
}

// with is the head of a request with another value of a field.
func with(name, value string) []string {
	list := get()
	for i := 0; i < len(list); i += 2 {
		if list[i] == name {
			list[i+1] = value
		}
	}
	return list
}

// TestRequests: heads that are fine, and what they look like.
func TestRequests(t *testing.T) {
	const line = "headers 1 :method=GET :scheme=http :path=/ :authority=h"
	connect := []string{":method", "CONNECT", ":authority", "h:1"}
	websocket := []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/chat", ":authority", "h"}
	for _, c := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"GET", get(), line},
		{"another order", []string{":path", "/", ":authority", "h", ":method", "GET", ":scheme", "http"}, "headers 1 :path=/ :authority=h :method=GET :scheme=http"},
		{"fields", get("x-a", "1", "x-a", "2", "te", "trailers"), line + " x-a=1 x-a=2 te=trailers"},
		{"no :authority", without(":authority"), strings.TrimSuffix(line, " :authority=h")},
		{"host", append(without(":authority"), "x-a", "1", "host", "b"), "headers 1 :method=GET :scheme=http :path=/ x-a=1 :authority=b"},
		{"the same host", get("host", "h"), line},
		{"crumbs", get("cookie", "a=b", "x", "y", "cookie", "", "cookie", "c=d"), line + " x=y cookie=a=b; ; c=d"},
		{"empty crumbs", get("cookie", "", "cookie", ""), line + " cookie=; "},
		{"repeated", get("x-forwarded-for", "1", "accept", "a", "x-forwarded-for", "2"), line + " x-forwarded-for=1,2 accept=a"},
		{"content-length", get("content-length", "0"), line + " content-length=0"},
		{"OPTIONS", []string{":method", "OPTIONS", ":scheme", "http", ":path", "*", ":authority", "h"}, "headers 1 :method=OPTIONS :scheme=http :path=* :authority=h"},
		{"CONNECT", connect, "headers 1 upgrade :method=CONNECT :authority=h:1"},
		{"CONNECT with content-length", append(connect, "content-length", "0"), "headers 1 upgrade :method=CONNECT :authority=h:1"},
		{"extended CONNECT", websocket, "headers 1 upgrade :method=GET :scheme=https :path=/chat :authority=h upgrade=websocket connection=upgrade"},
		{"an own method", with(":method", "BREW"), "headers 1 :method=BREW :scheme=http :path=/ :authority=h"},
	} {
		d := serve(t, lenient())
		want(t, c.name, d.feed(headers(1, end, c.fields...)), c.want+" end")
		want(t, c.name, d.wrote(), "")
	}
}

// TestMalformedRequests: what is refused, the one way or the other.
func TestMalformedRequests(t *testing.T) {
	connect := func(more ...string) []string { return append([]string{":method", "CONNECT"}, more...) }
	for _, c := range []struct {
		name   string
		fields []string
		want   *fault
	}{
		{"no method", without(":method"), errMissing},
		{"no scheme", without(":scheme"), errMissing},
		{"no path", without(":path"), errMissing},
		{"no field at all", nil, errMissing},
		{"empty method", with(":method", ""), errMethod},
		{"method with a blank", with(":method", "G T"), errMethod},
		{"scheme", with(":scheme", "ftp"), errScheme},
		{"empty path", with(":path", ""), errPath},
		{"relative path", with(":path", "a"), errPath},
		{"star", with(":path", "*"), errPath},
		{"path with a blank", with(":path", "/a b"), errPath},
		{"path with UTF-8", with(":path", "/\xc3\xa4"), errPath},
		{"path with CR", with(":path", "/\r"), errField},
		{"path with HTAB", with(":path", "/a\tb"), errPath},
		{"authority", with(":authority", "h/x"), errAuthority},
		{"empty authority", with(":authority", ""), errAuthority},
		{"another host", get("host", "b"), errHost},
		{"two hosts", append(without(":authority"), "host", "a", "host", "b"), errHost},
		{"late pseudo-header", append(without(":path"), "x-a", "1", ":path", "/"), errPseudo},
		{"repeated pseudo-header", append([]string{":path", "/"}, get()...), errPseudo},
		{"status", get(":status", "200"), errPseudo},
		{"unknown pseudo-header", get(":x", "1"), errField},
		{"upper case", get("X-A", "1"), errField},
		{"empty name", get("", "1"), errField},
		{"blank in a name", get("x a", "1"), errField},
		{"colon in a name", get("x:a", "1"), errField},
		{"CR in a value", get("x", "a\rb"), errField},
		{"LF in a value", get("x", "a\nb"), errField},
		{"NUL in a value", get("x", "a\x00b"), errField},
		{"DEL in a value", get("x", "a\x7fb"), errField},
		{"blank before a value", get("x", " a"), errField},
		{"blank behind a value", get("x", "a\t"), errField},
		{"connection", get("connection", "x"), errHopByHop},
		{"keep-alive", get("keep-alive", "x"), errHopByHop},
		{"proxy-connection", get("proxy-connection", "x"), errHopByHop},
		{"transfer-encoding", get("transfer-encoding", "chunked"), errHopByHop},
		{"upgrade", get("upgrade", "h2c"), errHopByHop},
		{"te", get("te", "gzip"), errHopByHop},
		{"te with more", get("te", "trailers, gzip"), errHopByHop},
		{"content-length", get("content-length", "-1"), errLength},
		{"a list of content-lengths", get("content-length", "0, 0"), errLength},
		{"two content-lengths", get("content-length", "0", "content-length", "0"), errLength},
		{"a huge content-length", get("content-length", "9223372036854775808"), errLength},
		{"content-length without a body", get("content-length", "1"), errBodyLength},
		{"CONNECT with a path", connect(":authority", "h:1", ":path", "/"), errConnect},
		{"CONNECT with a scheme", connect(":authority", "h:1", ":scheme", "http"), errConnect},
		{"CONNECT without authority", connect(), errMissing},
		{"extended CONNECT without a path", connect(":authority", "h", ":protocol", "x", ":scheme", "http"), errMissing},
		{"extended CONNECT without authority", connect(":protocol", "x", ":scheme", "http", ":path", "/"), errConnect},
		{"extended CONNECT of no protocol", connect(":authority", "h", ":protocol", "", ":scheme", "http", ":path", "/"), errField},
		{"protocol without CONNECT", append([]string{":protocol", "x"}, get()...), errConnect},
	} {
		d := serve(t, lenient())
		want(t, c.name, d.feed(headers(1, end, c.fields...)), "refused 1 "+c.want.stream.Text)
		want(t, c.name, d.wrote(), "RST_STREAM 1 1")
		want(t, c.name+", and then", d.feed(headers(3, end, get()...)), "headers 3 :method=GET :scheme=http :path=/ :authority=h end")

		d = serve(t, &corev3.Http2ProtocolOptions{AllowConnect: true})
		want(t, c.name, d.feed(headers(1, end, c.fields...)), "error "+c.want.fatal.Text)
		want(t, c.name, d.wrote(), "GOAWAY 0 1 1")
	}
	d := serve(t, nil)
	d.feed(headers(1, end, connect(":authority", "h", ":protocol", "x", ":scheme", "http", ":path", "/")...))
	if d.conn.failed != errConnect {
		t.Error("extended CONNECT is allowed by default")
	}
}

// TestBrokenBodies: bodies that are not what the head says.
func TestBrokenBodies(t *testing.T) {
	five := headers(1, 0, post("content-length", "5")...)
	const head = "headers 1 :method=POST :scheme=http :path=/ :authority=h content-length=5\n"
	for _, c := range []struct {
		name, in, want string
	}{
		{"fine", five + data(1, 0, "ab") + data(1, end, "cde"), head + "data 1 \"ab\"\ndata 1 \"cde\" end"},
		{"fine, with an empty end", five + data(1, 0, "abcde") + data(1, end, ""), head + "data 1 \"abcde\"\ndata 1 \"\" end"},
		{"fine, with trailers", five + data(1, 0, "abcde") + headers(1, end, "x", "y"), head + "data 1 \"abcde\"\ntrailers 1 x=y end"},
		{"fine, with padding", five + raw(frameData, end|flagPadded, 1, "\x03abcde\x00\x00\x00"), head + "data 1 \"abcde\" end"},
		{"fine, all padding", five + data(1, 0, "abcde") + raw(frameData, end|flagPadded, 1, "\x02\x00\x00"), head + "data 1 \"abcde\"\ndata 1 \"\" end"},
		{"too long", five + data(1, 0, "abcdef"), head + "refused 1 " + errBodyLength.stream.Text},
		{"too short", five + data(1, end, "abcd"), head + "refused 1 " + errBodyLength.stream.Text},
		{"too short, with trailers", five + data(1, 0, "abcd") + headers(1, end, "x", "y"), head + "data 1 \"abcd\"\nrefused 1 " + errBodyLength.stream.Text},
		{"trailers without end", five + headers(1, 0, "x", "y"), head + "refused 1 " + errTrailersEnd.stream.Text},
		{"trailers with a pseudo-header", five + data(1, 0, "abcde") + headers(1, end, ":path", "/"), head + "data 1 \"abcde\"\nrefused 1 " + errPseudo.stream.Text},
		{"trailers with connection", five + data(1, 0, "abcde") + headers(1, end, "connection", "x"), head + "data 1 \"abcde\"\nrefused 1 " + errHopByHop.stream.Text},
		{"trailers that frame and route", five + data(1, 0, "abcde") + headers(1, end, "content-length", "7", "host", "x", "a", "b"), head + "data 1 \"abcde\"\ntrailers 1 a=b end"},
		{"DATA behind the end", headers(1, end, get()...) + data(1, 0, "x"), "headers 1 :method=GET :scheme=http :path=/ :authority=h end\nrefused 1 " + errHalfClosed.stream.Text},
		{"HEADERS behind the end", headers(1, end, get()...) + headers(1, end, "x", "y"), "headers 1 :method=GET :scheme=http :path=/ :authority=h end\nrefused 1 " + errHalfClosed.stream.Text},
		{"a window by 0", five + window(1, 0), head + "refused 1 " + errStreamUpdate.stream.Text},
		{"a window too large", five + window(1, maxWindow), head + "refused 1 " + errStreamTop.stream.Text},
		{"on itself", raw(frameHeaders, flagPriority|flagEndHeaders|end, 1, be(1)+"\x00"+fieldsOf(get()...)), "refused 1 " + errDependency.stream.Text},
		{"with a priority", raw(frameHeaders, flagPriority|flagEndHeaders|end, 1, be(3)+"\x00"+fieldsOf(get()...)), "headers 1 :method=GET :scheme=http :path=/ :authority=h end"},
		{"in pieces", raw(frameHeaders, end, 1, fieldsOf(get()...)[:9]) + raw(frameContinuation, 0, 1, fieldsOf(get()...)[9:12]) + raw(frameContinuation, flagEndHeaders, 1, fieldsOf(get()...)[12:]), "headers 1 :method=GET :scheme=http :path=/ :authority=h end"},
		{"in pieces, padded", raw(frameHeaders, end|flagPadded, 1, "\x02"+fieldsOf(get()...)[:9]+"\x00\x00") + raw(frameContinuation, flagEndHeaders, 1, fieldsOf(get()...)[9:]), "headers 1 :method=GET :scheme=http :path=/ :authority=h end"},
	} {
		d := serve(t, lenient())
		want(t, c.name, d.feed(c.in), c.want)
		if refused := strings.Contains(c.want, "refused"); refused != strings.Contains(d.wrote(), "RST_STREAM 1") {
			t.Errorf("%s: it is not told so", c.name)
		}
		want(t, c.name+", and then", d.feed(headers(3, end, get()...)), "headers 3 :method=GET :scheme=http :path=/ :authority=h end")
	}
}

// TestLateFrames: what the peer had sent before it knew that its stream was broken.
func TestLateFrames(t *testing.T) {
	d := serve(t, lenient())
	d.feed(headers(1, 0, post("content-length", "1")...) + data(1, 0, "ab"))
	want(t, "the reset", d.wrote(), "RST_STREAM 1 1")
	want(t, "late frames", d.feed(data(1, 0, "late")+window(1, 0)+raw(frameHeaders, 0, 1, "\x40\x01")+raw(frameContinuation, flagEndHeaders, 1, "a\x01b")), "")
	want(t, "the table is kept", d.feed(raw(frameHeaders, end|flagEndHeaders, 3, fieldsOf(get()...)+"\xbe")), "headers 3 :method=GET :scheme=http :path=/ :authority=h a=b end")
	want(t, "its end", d.feed(data(1, end, "late")), "")
	want(t, "behind its end", d.feed(data(1, end, "late")), "")
	want(t, "behind its end", d.wrote(), "RST_STREAM 1 5")
	if d.conn.graves.n != 0 || d.conn.used != 1 {
		t.Errorf("%d dead streams of %d", d.conn.graves.n, d.conn.used)
	}

	d.feed(headers(5, 0, post()...))
	want(t, "a peer's reset", d.feed(rst(5, codeCancel)+data(5, 0, "x")), "reset 5 remote reset")
	want(t, "and DATA behind it", d.wrote(), "RST_STREAM 5 5")

	for id := uint32(7); id < 7+4*maxGraves; id += 2 {
		d.feed(headers(id, 0, post("content-length", "1")...))
		d.conn.WriteReset(&d.out, uint64(id), sdk.ResetLocal)
		d.wrote()
	}
	if d.conn.graves.n != maxGraves || d.conn.used != maxGraves+1 {
		t.Errorf("%d dead streams of %d", d.conn.graves.n, d.conn.used)
	}
}

func TestHeadLimits(t *testing.T) {
	limits := func(bytes, count int, action int32) *driver {
		d := drive(t, newConfigOf(t, sdk.Downstream, sdk.CodecOptions{MaxHeaderBytes: bytes, MaxHeaderCount: count, UnderscoreAction: action}))
		d.feed(clientHello())
		d.wrote()
		return d
	}
	large := errTooLarge.stream.Text
	for _, c := range []struct {
		name   string
		d      *driver
		fields []string
		want   string
	}{
		{"bytes", limits(100, 0, 0), get("x", strings.Repeat("a", 61)), "headers"},
		{"one byte more", limits(100, 0, 0), get("x", strings.Repeat("a", 62)), "refused 1 " + large},
		{"60 KiB", limits(0, 0, 0), get("x", strings.Repeat("a", 61401)), "headers"},
		{"more than 60 KiB", limits(0, 0, 0), get("x", strings.Repeat("a", 61402)), "refused 1 " + large},
		{"count", limits(0, 5, 0), get("x", "a"), "headers"},
		{"one more", limits(0, 5, 0), get("x", "a", "y", "b"), "refused 1 " + errTooMany.stream.Text},
		{"crumbs count", limits(0, 5, 0), get("cookie", "a", "cookie", "b"), "refused 1 " + errTooMany.stream.Text},
		{"underscore", limits(0, 0, underscoreAllow), get("x_a", "1"), "headers 1 :method=GET :scheme=http :path=/ :authority=h x_a=1 end"},
		{"underscore refused", limits(0, 0, underscoreReject), get("x_a", "1"), "refused 1 " + errUnderscore.stream.Text},
		{"underscore dropped", limits(0, 0, underscoreDrop), get("x_a", "1", "b", "2"), "headers 1 :method=GET :scheme=http :path=/ :authority=h b=2 end"},
	} {
		in := fieldsOf(c.fields...)
		frames := raw(frameHeaders, end, 1, "")
		if len(in) <= maxFrame {
			frames = raw(frameHeaders, end|flagEndHeaders, 1, in)
		} else {
			frames = raw(frameHeaders, end, 1, in[:maxFrame])
			for in = in[maxFrame:]; len(in) > maxFrame; in = in[maxFrame:] {
				frames += raw(frameContinuation, 0, 1, in[:maxFrame])
			}
			frames += raw(frameContinuation, flagEndHeaders, 1, in)
		}
		got := c.d.feed(frames)
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %.100s, want %s", c.name, got, c.want)
		}
		if strings.HasPrefix(got, "refused") {
			want(t, c.name, c.d.wrote(), "RST_STREAM 1 2")
		}
		want(t, c.name+", and then", c.d.feed(headers(3, end, get()...)), "headers 3 :method=GET :scheme=http :path=/ :authority=h end")
		if cap(c.d.conn.block.data) > keepBlock {
			t.Errorf("%s: a connection keeps %d bytes of a head", c.name, cap(c.d.conn.block.data))
		}
	}
}

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
		{"no body", "GET", headers(1, end, ok("content-length", "5")...), bad(errBodyLength)},
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
	if d.conn.used != 0 {
		t.Error("the stream is left")
	}

	d = serve(t, nil)
	d.feed(headers(1, 0, post()...))
	d.respond(1, true)
	d.conn.WriteReset(&d.out, 1, sdk.ResetNone)
	want(t, "the other side", d.wrote(), "HEADERS 1 :status=200 end\nRST_STREAM 1 0")
	want(t, "the rest", d.feed(data(1, 0, "abc")+headers(1, end, "x", "y")), "")
	if d.conn.used != 0 {
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
	if len(d.conn.upgrades) != 0 || d.conn.used != 0 {
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
