package peers

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func TestParseFrame(t *testing.T) {
	get := []Header{{":method", "GET"}, {":scheme", "http"}, {":authority", "h"}, {":path", "/x"}}
	cases := []struct {
		line string
		want Frame
	}{
		{"1 GET /x", Frame{Stream: 1, Type: http2.FrameHeaders, End: true, Fields: get}},
		{"3 GET /x open | x-a b c", Frame{Stream: 3, Type: http2.FrameHeaders, End: true, Open: true, Fields: append(get[:4:4], Header{"x-a", "b c"})}},
		{"STATUS 200 | a b", Frame{Type: http2.FrameHeaders, Fields: []Header{{":status", "200"}, {"a", "b"}}}},
		{`TRAILERS | "" " v " | "x y" "\n"`, Frame{Type: http2.FrameHeaders, End: true, Fields: []Header{{"", " v "}, {"x y", "\n"}}}},
		{`1 DATA "a b" end`, Frame{Stream: 1, Type: http2.FrameData, End: true, Data: []byte("a b")}},
		{`DATA 3 "ab"`, Frame{Type: http2.FrameData, Data: []byte("ababab")}},
		{"RST_STREAM REFUSED_STREAM", Frame{Type: http2.FrameRSTStream, Code: http2.ErrCodeRefusedStream}},
		{`GOAWAY 5 NO_ERROR "bye"`, Frame{Type: http2.FrameGoAway, Conn: true, N: 5, Data: []byte("bye")}},
		{"0 WINDOW_UPDATE 7", Frame{Type: http2.FrameWindowUpdate, Conn: true, N: 7}},
		{"0 SETTINGS INITIAL_WINDOW_SIZE=0 MAX_FRAME_SIZE=20000", Frame{Type: http2.FrameSettings, Conn: true,
			Settings: []http2.Setting{{ID: http2.SettingInitialWindowSize}, {ID: http2.SettingMaxFrameSize, Val: 20000}}}},
		{`RAW "\x00\x01"`, Frame{Raw: true, Data: []byte{0, 1}}},
	}
	for _, c := range cases {
		if f, err := parseFrame(c.line); err != nil || !reflect.DeepEqual(*f, c.want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", c.line, err, f, c.want)
		}
	}
	for _, bad := range []string{
		"", "1", "1 NOTHING", "1 WINDOW_UPDATE", "1 RST_STREAM NOPE", "0 SETTINGS X=1", "0 SETTINGS MAX_FRAME_SIZE", `1 DATA "x`, `1 GET / | "x`, "DATA x y",
	} {
		if f, err := parseFrame(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, f)
		}
	}
}

// talkH2 is talk with HTTP/2.
func talkH2(t *testing.T, client string, scripts ...Script) (string, string) {
	t.Helper()
	act := &Activity{}
	b := NewH2Backend(t, "b", scripts, act)
	c := NewH2Client(fmt.Sprintf("127.0.0.1:%d", b.Port()), b.Requests, act)
	defer c.Close()
	if err := c.Run(h2script(t, client)); err != nil {
		t.Fatal(err)
	}
	c.AwaitAll()
	act.Settle(50 * time.Millisecond)
	c.AwaitClose()
	return c.Report(), b.Report()
}

func h2script(t *testing.T, text string) []Op {
	t.Helper()
	ops, err := ParseH2Ops(strings.Split(text, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

func TestH2BackendAndClient(t *testing.T) {
	const get = "  :authority: h\n  :method: GET\n  :path: /%s\n  :scheme: http\n  ended\n"
	cases := []struct {
		name, client string
		scripts      []Script
		wantC, wantB string
	}{
		{"default answer", "> 1 GET /1", nil,
			"client conn 1 stream 1 got\n  :status: 200\n  content-length: 1\n  body \"b\"\n  ended\nclient conn 1 is open\n",
			"b conn 1 stream 1 got\n" + fmt.Sprintf(get, "1") + "b conn 1 is open\n"},
		{"an informational answer, trailers, a pseudo-header out of place", "> 1 GET /1",
			[]Script{{Ops: h2script(t, "< STATUS 103\n< HEADERS | a b | :status 200\n< DATA \"x\"\n< DATA \"y\"\n< TRAILERS | t v")}},
			"client conn 1 stream 1 got\n  :status: 103\n  :status: 200\n  a: b\n  a pseudo-header after a header\n  body \"xy\"\n  trailer t: v\n  ended\n" +
				"client conn 1 is open\n",
			"b conn 1 stream 1 got\n" + fmt.Sprintf(get, "1") + "b conn 1 is open\n"},
		{"resets and GOAWAY", "> 1 GET /1\nover 1\n> 3 GET /3\nbackend 2\n> 3 RST_STREAM CANCEL\nping",
			[]Script{{Ops: h2script(t, "< RST_STREAM REFUSED_STREAM\n< GOAWAY 1 NO_ERROR")}, {Ops: h2script(t, "hang")}},
			"client conn 1 stream 1 got\n  reset by REFUSED_STREAM\nclient conn 1 stream 3 got\n  \n" +
				"client conn 1 got GOAWAY NO_ERROR, last stream 1\nclient conn 1 is open\n",
			"b conn 1 stream 1 got\n" + fmt.Sprintf(get, "1") + "b conn 1 stream 3 got\n" + fmt.Sprintf(get, "3") + "  given up with CANCEL\nb conn 1 is open\n"},
		{"an end for a reason", "> 1 GET /1", []Script{{Ops: h2script(t, "< GOAWAY 0 PROTOCOL_ERROR\nclose")}},
			"client conn 1 stream 1 got\n  \nclient conn 1 got GOAWAY PROTOCOL_ERROR, last stream 0\nclient conn 1 is closed\n",
			"b conn 1 stream 1 got\n" + fmt.Sprintf(get, "1") + "b conn 1 is closed by the test\n"},
		{"at the head, before the end", "> 1 POST /1\nover 1\n> 1 DATA \"late\" end", []Script{{On: OnHead, Ops: h2script(t, "< STATUS 204 end")}},
			"client conn 1 stream 1 got\n  :status: 204\n  ended\nclient conn 1 is open\n",
			"b conn 1 stream 1 got\n  :authority: h\n  :method: POST\n  :path: /1\n  :scheme: http\n  body \"late\"\n  ended\nb conn 1 is open\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			gotC, gotB := talkH2(t, c.client, c.scripts...)
			if gotC != c.wantC || gotB != c.wantB {
				t.Errorf("client:\n%s\nwant:\n%s\nbackend:\n%s\nwant:\n%s", gotC, c.wantC, gotB, c.wantB)
			}
		})
	}
}

// TestH2Broken checks that bytes that are no frames end a connection, and are named.
func TestH2Broken(t *testing.T) {
	got, _ := talkH2(t, "> 1 GET /", Script{On: OnConnect, Ops: h2script(t, `< RAW "HTTP/1.1 400 Bad Request\r\n\r\n"`)})
	if !strings.Contains(got, "client conn 1 broke: ") || !strings.HasSuffix(got, "client conn 1 is closed by the test\n") {
		t.Errorf("got\n%s", got)
	}
}

// TestH2Windows checks that a manual client gives nothing back by itself, and others do.
func TestH2Windows(t *testing.T) {
	script := Script{Ops: h2script(t, "< STATUS 200\n< DATA 10 \"x\"\nread \"nothing\"")}
	for words, want := range map[string]bool{"": true, "manual\n": false} {
		act := &Activity{}
		b := NewH2Backend(t, "b", []Script{script}, act)
		c := NewH2Client(fmt.Sprintf("127.0.0.1:%d", b.Port()), b.Requests, act)
		if err := c.Run(h2script(t, words+"> 1 GET /\nread \"xxxxxxxxxx\"\nping")); err != nil {
			t.Fatal(err)
		}
		conn := b.conns[0]
		conn.mu.Lock()
		if got := conn.given > 0; got != want {
			t.Errorf("%q: given back %d bytes", words, conn.given)
		}
		conn.mu.Unlock()
		c.Close()
	}
}
