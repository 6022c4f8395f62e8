package http2

import (
	"fmt"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

func TestSniff(t *testing.T) {
	for prefix, want := range map[string]sdk.Verdict{
		"":                       sdk.NeedMore,
		"P":                      sdk.NeedMore,
		"PRI * HTTP/2.0\r":       sdk.NeedMore,
		"PRI * HTTP/2.0\r\n":     sdk.Matched,
		"PRI * HTTP/2.0\r\n\r\n": sdk.Matched,
		"PRI * HTTP/2.1\r\n":     sdk.NoMatch,
		"PUT / HTTP/1.1\r\n":     sdk.NoMatch,
		"PRI * HTTP/2.0\n\n\n\n": sdk.NoMatch,
		"\x16\x03\x01":           sdk.NoMatch,
	} {
		if got := Codec().Match([]byte(prefix)); got != want {
			t.Errorf("%q is %v, want %v", prefix, got, want)
		}
	}
}

func TestHello(t *testing.T) {
	d := drive(t, newConfig(t, sdk.Downstream, lenient()))
	want(t, "nothing", d.feed(""), "")
	want(t, "a server's hello", d.wrote(), "SETTINGS 0 8=1 1=4096 3=1024 4=16777216\nWINDOW_UPDATE 0 25100289")
	want(t, "a client's hello", d.feed(clientHello()), "")
	want(t, "the answer", d.wrote(), "SETTINGS 0 ack")

	d = drive(t, newConfig(t, sdk.Upstream, nil))
	d.request(true, get()...)
	want(t, "a client's hello", d.wrote(),
		"preface\nSETTINGS 0 2=0 1=4096 3=1024 4=65535\nWINDOW_UPDATE 0 25100289\nHEADERS 1 :method=GET :scheme=http :path=/ :authority=h end")
}

// TestConnectionErrors: what no connection survives, and the GOAWAY that says why.
func TestConnectionErrors(t *testing.T) {
	long := strings.Repeat("x", maxFrame)
	open := headers(1, 0, get()...)
	closed := open + rst(1, codeCancel)
	for _, c := range []struct {
		name, in string
		want     *fault
		last     uint32
	}{
		{"not the preface", "GET / HTTP/1.1\r\n\r\n", errPreface, 0},
		{"the preface cut short", clientPreface[:20] + "XXXX", errPreface, 0},
		{"no SETTINGS", clientPreface + raw(framePing, 0, 0, "12345678"), errFirstFrame, 0},
		{"SETTINGS ack first", clientPreface + raw(frameSettings, flagAck, 0, ""), errFirstFrame, 0},
		{"a long frame", clientHello() + raw(frameHeaders, 0, 1, long+"x")[:9], errFrameSize, 0},
		{"DATA of stream 0", clientHello() + data(0, 0, "x"), errStreamID, 0},
		{"HEADERS of stream 0", clientHello() + headers(0, 0, get()...), errStreamID, 0},
		{"HEADERS of stream 2", clientHello() + headers(2, 0, get()...), errStreamID, 0},
		{"RST_STREAM of stream 0", clientHello() + rst(0, 0), errStreamID, 0},
		{"PRIORITY of stream 0", clientHello() + raw(framePriority, 0, 0, "12345"), errStreamID, 0},
		{"CONTINUATION of stream 0", clientHello() + raw(frameContinuation, 0, 0, ""), errStreamID, 0},
		{"SETTINGS of stream 1", clientHello() + raw(frameSettings, 0, 1, ""), errStreamID, 0},
		{"PING of stream 1", clientHello() + raw(framePing, 0, 1, "12345678"), errStreamID, 0},
		{"GOAWAY of stream 1", clientHello() + raw(frameGoAway, 0, 1, "12345678"), errStreamID, 0},
		{"SETTINGS of 7 bytes", clientHello() + raw(frameSettings, 0, 0, "1234567"), errFrameSize, 0},
		{"SETTINGS ack with payload", clientHello() + raw(frameSettings, flagAck, 0, "123456"), errFrameSize, 0},
		{"PING of 7 bytes", clientHello() + raw(framePing, 0, 0, "1234567"), errFrameSize, 0},
		{"GOAWAY of 7 bytes", clientHello() + raw(frameGoAway, 0, 0, "1234567"), errFrameSize, 0},
		{"PRIORITY of 4 bytes", clientHello() + raw(framePriority, 0, 1, "1234"), errFrameSize, 0},
		{"RST_STREAM of 3 bytes", clientHello() + open + raw(frameReset, 0, 1, "123"), errFrameSize, 1},
		{"WINDOW_UPDATE of 3 bytes", clientHello() + raw(frameWindowUpdate, 0, 0, "123"), errFrameSize, 0},
		{"HEADERS with half a priority", clientHello() + raw(frameHeaders, flagPriority|flagEndHeaders, 1, "1234"), errFrameSize, 0},
		{"padded DATA without payload", clientHello() + open + raw(frameData, flagPadded, 1, ""), errFrameSize, 1},
		{"padded HEADERS without payload", clientHello() + raw(frameHeaders, flagPadded|flagEndHeaders, 1, ""), errFrameSize, 0},
		{"DATA of padding", clientHello() + open + raw(frameData, flagPadded, 1, "\x04abc"), errPadding, 1},
		{"HEADERS of padding", clientHello() + raw(frameHeaders, flagPadded|flagEndHeaders, 1, "\x04abc"), errPadding, 0},
		{"DATA of an idle stream", clientHello() + data(1, 0, "x"), errIdle, 0},
		{"DATA of a server's stream", clientHello() + data(2, 0, "x"), errIdle, 0},
		{"RST_STREAM of an idle stream", clientHello() + rst(1, 0), errIdle, 0},
		{"WINDOW_UPDATE of an idle stream", clientHello() + window(1, 1), errIdle, 0},
		{"HEADERS of a stream that was passed", clientHello() + headers(5, 0, get()...) + headers(3, 0, get()...), errIdle, 5},
		{"DATA of a stream that was passed", clientHello() + headers(5, 0, get()...) + data(3, 0, "x"), errIdle, 5},
		{"HEADERS of a closed stream", clientHello() + closed + headers(1, 0, get()...), errClosed, 1},
		{"PUSH_PROMISE", clientHello() + raw(framePushPromise, 0, 1, "1234"), errPush, 0},
		{"PRIORITY on itself", clientHello() + raw(framePriority, 0, 3, be(3)+"x"), errSelf, 0},
		{"CONTINUATION of nothing", clientHello() + raw(frameContinuation, 0, 1, ""), errContinuation, 0},
		{"CONTINUATION of an end", clientHello() + open + raw(frameContinuation, flagEndHeaders, 1, ""), errContinuation, 1},
		{"CONTINUATION of another", clientHello() + raw(frameHeaders, 0, 1, "\x82") + raw(frameContinuation, 0, 3, "\x82"), errContinuation, 0},
		{"DATA in a header block", clientHello() + raw(frameHeaders, 0, 1, "\x82") + data(1, 0, "x"), errContinuation, 0},
		{"PING in a header block", clientHello() + raw(frameHeaders, 0, 1, "\x82") + raw(framePing, 0, 0, "12345678"), errContinuation, 0},
		{"an unknown frame in a header block", clientHello() + raw(frameHeaders, 0, 1, "\x82") + raw(77, 0, 1, ""), errContinuation, 0},
		{"a setting of push", clientHello(2, 2), errSetting, 0},
		{"a setting of frame size", clientHello(5, maxFrame-1), errSetting, 0},
		{"a setting of a larger frame size", clientHello(5, 1<<24), errSetting, 0},
		{"a setting of CONNECT", clientHello(8, 2), errSetting, 0},
		{"a setting of CONNECT taken back", clientHello(8, 1) + settings(8, 0), errSetting, 0},
		{"a setting of window", clientHello(4, 1<<31), errWindowValue, 0},
		{"WINDOW_UPDATE by 0", clientHello() + window(0, 0), errNoIncrement, 0},
		{"WINDOW_UPDATE too far", clientHello() + window(0, maxWindow), errWindowValue, 0},
		{"a setting moves a window too far", clientHello() + open + window(1, maxWindow-initialRoom) + settings(4, initialRoom+1), errWindowValue, 1},
		{"no such index", clientHello() + raw(frameHeaders, flagEndHeaders, 1, "\xff\x7f"), errCompression, 0},
		{"a table size update at the end", clientHello() + raw(frameHeaders, flagEndHeaders, 1, fieldsOf(get()...)+"\x20"), errCompression, 1},
		{"a table size update that is too large", clientHello() + raw(frameHeaders, flagEndHeaders, 1, "\x3f\xe2\x1f"+fieldsOf(get()...)), errCompression, 1},
	} {
		d := drive(t, newConfig(t, sdk.Downstream, lenient()))
		got := d.feed(c.in)
		if d.err == nil || !strings.HasSuffix(got, "error "+c.want.fatal.Text) {
			t.Errorf("%s: %s, want %q", c.name, got, c.want.fatal.Text)
			continue
		}
		last := max(c.last, d.conn.last) // a head that is broken counts, or does not
		if out := d.wrote(); !strings.HasSuffix(out, fmt.Sprintf("GOAWAY 0 %d %d", last, c.want.code)) {
			t.Errorf("%s: the last word is %s", c.name, out)
		}
		if d.conn.Reusable() || d.conn.Pending() {
			t.Errorf("%s: the connection goes on", c.name)
		}
		if d.feed(clientHello()); d.err == nil {
			t.Errorf("%s: and reads", c.name)
		}
	}
}

// TestIgnored: what a connection has to put up with.
func TestIgnored(t *testing.T) {
	for _, c := range []struct{ name, in string }{
		{"an unknown frame", raw(77, 0xff, 5, "abc")},
		{"an unknown frame of the connection", raw(77, 0xff, 0, "abc")},
		{"a reserved bit", strings.Replace(raw(framePing, flagAck, 0, "12345678"), "\x00\x00\x00\x00", "\x80\x00\x00\x00", 1)},
		{"unknown flags", raw(framePing, 0xff, 0, "12345678")},
		{"a PING's answer that nobody waits for", raw(framePing, flagAck, 0, "12345678")},
		{"an acknowledgement that nobody waits for", raw(frameSettings, flagAck, 0, "") + raw(frameSettings, flagAck, 0, "")},
		{"PRIORITY of an idle stream", raw(framePriority, 0, 7, be(1)+"x")},
		{"PRIORITY of a server's stream", raw(framePriority, 0, 8, be(1)+"x")},
	} {
		d := serve(t, nil)
		want(t, c.name, d.feed(c.in), "")
		want(t, c.name, d.wrote(), "")
		want(t, c.name+", and then", d.feed(headers(1, end, get()...)), "headers 1 :method=GET :scheme=http :path=/ :authority=h end")
	}
	d := serve(t, nil)
	want(t, "unknown settings", d.feed(settings(0x99, 5, 6, 100, 3, 0)), "")
	want(t, "unknown settings", d.wrote(), "SETTINGS 0 ack")
}

func TestPing(t *testing.T) {
	d := serve(t, nil)
	want(t, "PING", d.feed(raw(framePing, 0, 0, "12345678")), "")
	want(t, "PING", d.wrote(), "PING 0 3132333435363738 ack")

	d.conn.WriteHeartbeat(&d.out)
	want(t, "a heartbeat", d.wrote(), "PING 0 6d6f736e00000001")
	d.conn.WriteHeartbeat(&d.out)
	d.wrote()
	want(t, "an answer that is replaced", d.feed(raw(framePing, flagAck, 0, "mosn\x00\x00\x00\x01")), "")
	want(t, "the answer", d.feed(raw(framePing, flagAck, 0, "mosn\x00\x00\x00\x02")), "heartbeat 0")
	want(t, "the answer again", d.feed(raw(framePing, flagAck, 0, "mosn\x00\x00\x00\x02")), "")
}

// TestDrain: the client learns which stream is the last when all that it had opened
// before it knew are here.
func TestDrain(t *testing.T) {
	d := serve(t, nil)
	d.feed(headers(1, end, get()...))
	d.conn.WriteGoAway(&d.out)
	want(t, "the notice", d.wrote(), "GOAWAY 0 2147483647 0\nPING 0 6472616900000000")
	if !d.conn.Reusable() {
		t.Error("no stream is read any more")
	}
	want(t, "a stream under way", d.feed(headers(3, end, get()...)), "headers 3 :method=GET :scheme=http :path=/ :authority=h end")
	want(t, "the answer", d.feed(raw(framePing, flagAck, 0, "drai\x00\x00\x00\x00")), "")
	want(t, "the last stream", d.wrote(), "GOAWAY 0 3 0")
	if d.conn.Reusable() {
		t.Error("streams are still read")
	}
	want(t, "a stream behind it", d.feed(headers(5, 0, post()...)+data(5, 0, "abc")), "dropped 0")
	want(t, "a stream behind it", d.wrote(), "RST_STREAM 5 7")
	d.respond(1, true)
	d.respond(3, true)
	want(t, "the responses", d.wrote(), "HEADERS 1 :status=200 end\nHEADERS 3 :status=200 end")
	want(t, "an error then", d.feed(data(7, 0, "x")), "error "+errIdle.fatal.Text)
	want(t, "an error then", d.wrote(), "GOAWAY 0 3 1")

	d = serve(t, nil)
	d.feed(headers(1, end, get()...))
	d.conn.WriteGoAway(&d.out)
	d.conn.WriteGoAway(&d.out)
	d.conn.WriteGoAway(&d.out)
	want(t, "at once", d.wrote(), "GOAWAY 0 2147483647 0\nPING 0 6472616900000000\nGOAWAY 0 1 0")
	want(t, "a client that leaves", d.feed(goAwayFrame(0, codeNone)), "goaway 0")
}

func TestServerLeaves(t *testing.T) {
	d := call(t, nil)
	for range 3 {
		d.request(true, get()...)
	}
	reserved := d.conn.NewStream()
	d.wrote()
	want(t, "GOAWAY", d.feed(goAwayFrame(3, codeNone)), "goaway 3")
	if d.conn.Reusable() {
		t.Error("a connection whose server leaves takes streams")
	}
	if err := d.conn.WriteHeaders(&d.out, reserved, message(get()...), true); err != nil {
		t.Errorf("a head for a stream that is over: %v", err)
	}
	want(t, "nothing more of those", d.wrote(), "")
	want(t, "the others go on", d.feed(headers(3, end, ":status", "200")+headers(1, end, ":status", "200")),
		"headers 3 :status=200 end\nheaders 1 :status=200 end")
	want(t, "an answer all the same", d.feed(headers(5, end, ":status", "200")), "")
	if d.conn.live != 0 || d.conn.used() != 0 {
		t.Errorf("%d live streams of %d are left", d.conn.live, d.conn.used())
	}
	d.conn.WriteGoAway(&d.out)
	want(t, "a client says it too", d.wrote(), "GOAWAY 0 0 0")

	d = call(t, nil)
	for range 500 {
		d.request(true, get()...)
	}
	d.feed(goAwayFrame(0, codeNone))
	if d.conn.live != 0 || d.conn.graves.n != 500 {
		t.Errorf("%d live streams, %d dead ones", d.conn.live, d.conn.graves.n)
	}
}

func TestStreamLimitOfServer(t *testing.T) {
	d := drive(t, newConfig(t, sdk.Upstream, nil))
	for range streamsBeforeSettings {
		if !d.conn.Reusable() {
			t.Fatal("no stream before the settings")
		}
		d.request(true, get()...)
	}
	if d.conn.Reusable() {
		t.Error("more than 100 streams before the settings")
	}
	want(t, "the settings", d.feed(settings(3, 101)), "window 0")
	d.wrote()
	if !d.conn.Reusable() {
		t.Error("the settings allow another")
	}
	d.request(true, get()...)
	if d.conn.Reusable() {
		t.Error("the settings allow no other")
	}
	d.feed(headers(1, end, ":status", "200"))
	if !d.conn.Reusable() {
		t.Error("one has ended")
	}
	d.feed(settings(3, 0))
	if d.conn.Reusable() {
		t.Error("the server takes none for now")
	}
	own := drive(t, newConfig(t, sdk.Upstream, lenient()))
	own.conn.cfg.maxStreams = 1
	own.feed(settings())
	own.request(true, get()...)
	if own.conn.Reusable() {
		t.Error("our own limit does not hold")
	}
}

func TestIDsRunOut(t *testing.T) {
	d := call(t, nil)
	d.conn.next = maxStreamID
	if id := d.request(true, get()...); id != maxStreamID {
		t.Fatalf("the last stream is %d", id)
	}
	want(t, "the last", d.wrote(), "HEADERS 2147483647 :method=GET :scheme=http :path=/ :authority=h end")
	if d.conn.Reusable() || d.conn.NewStream() != 0 {
		t.Error("there is a stream behind the last")
	}
	want(t, "its response", d.feed(headers(maxStreamID, end, ":status", "200")),
		"goaway 2147483647\nheaders 2147483647 :status=200 end")
}

func TestEOF(t *testing.T) {
	ev := sdk.Event{Msg: new(sdk.Message)}
	for _, c := range []struct {
		name, in string
		want     bool
	}{
		{"between messages", headers(1, end, get()...), false},
		{"in a frame", headers(1, end, get()...)[:5], true},
		{"in a header block", raw(frameHeaders, 0, 1, "\x82"), true},
		{"in a message", headers(1, 0, post()...), true},
		{"in DATA", headers(1, 0, post()...) + data(1, end, "abc")[:10], true},
		{"in padding", headers(1, 0, post()...) + raw(frameData, end|flagPadded, 1, "\x02a\x00\x00")[:12], true},
		{"in a message that was reset", headers(1, 0, post()...) + rst(1, codeCancel), false},
	} {
		d := serve(t, nil)
		d.feed(c.in)
		if err := d.conn.EOF(&ev); (err != nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
