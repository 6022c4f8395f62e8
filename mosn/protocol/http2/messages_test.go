package http2

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
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
		{"content-length without a body", get("content-length", "1"), errNoBody},
		{"user information", []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "u:p@h"}, errAuthority},
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
	if d.conn.graves.n != 0 || d.conn.used() != 1 {
		t.Errorf("%d dead streams of %d", d.conn.graves.n, d.conn.used())
	}

	d.feed(headers(5, 0, post()...))
	want(t, "a peer's reset", d.feed(rst(5, codeCancel)+data(5, 0, "x")), "reset 5 remote reset")
	want(t, "and DATA behind it", d.wrote(), "RST_STREAM 5 5")

	for id := uint32(7); id < 7+4*maxGraves; id += 2 {
		d.feed(headers(id, 0, post("content-length", "1")...))
		d.conn.WriteReset(&d.out, uint64(id), sdk.ResetLocal)
		d.wrote()
	}
	if d.conn.graves.n != maxGraves || d.conn.used() != maxGraves+1 {
		t.Errorf("%d dead streams of %d", d.conn.graves.n, d.conn.used())
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
		{"underscore", limits(0, 0, httpfield.UnderscoreAllow), get("x_a", "1"), "headers 1 :method=GET :scheme=http :path=/ :authority=h x_a=1 end"},
		{"underscore refused", limits(0, 0, httpfield.UnderscoreReject), get("x_a", "1"), "refused 1 " + errUnderscore.stream.Text},
		{"underscore dropped", limits(0, 0, httpfield.UnderscoreDrop), get("x_a", "1", "b", "2"), "headers 1 :method=GET :scheme=http :path=/ :authority=h b=2 end"},
	} {
		in := fieldsOf(c.fields...)
		var frames string
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
