package http2

import (
	"fmt"
	"strings"
	"testing"

	oracle "golang.org/x/net/http2/hpack"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/codectest"
)

// downstream is the suite of a server that answers each request with a body.
func downstream(cfg *config) codectest.Suite {
	return codectest.Suite{
		New: cfg.New,
		Open: func(conn sdk.CodecConn, out *sdk.Buffer, ended uint64) bool {
			if ended == 0 {
				conn.(sdk.Talker).Flush(out)
				return true
			}
			if err := conn.WriteHeaders(out, ended, message(":status", "200", "x-a", "b"), false); err != nil {
				panic(err)
			}
			conn.WriteData(out, ended, []byte("body"), true)
			return true
		},
	}
}

// upstream is the suite of a client that opens three streams, and another for each
// that ends.
func upstream(cfg *config) codectest.Suite {
	return codectest.Suite{
		New: cfg.New,
		Open: func(conn sdk.CodecConn, out *sdk.Buffer, ended uint64) bool {
			n := 1
			if ended == 0 {
				n = 3
			}
			for range n {
				if !conn.Reusable() {
					return true
				}
				if err := conn.WriteHeaders(out, conn.NewStream(), message(post()...), false); err != nil {
					panic(err)
				}
			}
			return true
		},
	}
}

// conversations are what a client and a server may say, everything that there is.
func conversations() (client, server []string) {
	value := string(oracle.AppendHuffmanString(nil, "value"))
	indexed := "\x40\x03x-a\x01b\x40\x03x-c\x84" + value
	client = []string{
		clientHello() + headers(1, end, get("cookie", "a=b", "cookie", "c=d")...) + raw(frameSettings, flagAck, 0, ""),
		clientHello(settingTableSize, 0, settingInitialWindow, 3) + headers(1, 0, post("content-length", "6")...) + data(1, 0, "abc") +
			raw(framePing, 0, 0, "12345678") + raw(frameData, flagPadded, 1, "\x03def\x00\x00\x00") + window(0, 10) + headers(1, end, "x-t", "v"),
		clientHello() + raw(frameHeaders, end|flagPadded|flagPriority, 1, "\x02"+be(3)+"x"+fieldsOf(get()...)[:10]+"\x00\x00") +
			raw(frameContinuation, 0, 1, fieldsOf(get()...)[10:]) + raw(frameContinuation, flagEndHeaders, 1, indexed) +
			raw(frameHeaders, end|flagEndHeaders, 3, fieldsOf(get()...)+"\xbe\xbf") + raw(0x77, 9, 3, "unknown"),
		clientHello() + headers(1, 0, post()...) + headers(3, 0, post()...) + data(1, 0, "one") + data(3, 0, "two") + rst(1, codeCancel) +
			data(3, end, "end") + raw(framePriority, 0, 5, be(1)+"x") + window(3, 5) + goAwayFrame(0, codeNone),
		clientHello() + headers(1, end, get("X", "y")...) + data(1, 0, "late") + headers(3, end, get()...) + headers(5, 0, post("content-length", "2")...) + data(5, end, "abc"),
		clientHello() + headers(1, 0, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/", ":authority", "h") + data(1, 0, "ping") + data(1, end, ""),
	}
	server = []string{
		settings(settingMaxStreams, 100) + headers(1, 0, ":status", "200") + data(1, end, "body") + headers(3, 0, ":status", "100") +
			headers(3, end, ":status", "204") + headers(5, 0, ":status", "200", "content-length", "3") + data(5, 0, "abc") + headers(5, end, "grpc-status", "0"),
		settings(settingInitialWindow, 0) + headers(3, 0, ":status", "200") + rst(1, codeRefused) + raw(framePing, flagAck, 0, "12345678") + window(3, 7) +
			data(3, end, strings.Repeat("x", 300)) + goAwayFrame(3, codeNone) + rst(5, codeNone),
		settings() + headers(1, end, "x", "y") + headers(3, end, ":status", "200") + raw(frameHeaders, 0, 5, fieldsOf(":status", "200")) +
			raw(frameContinuation, flagEndHeaders, 5, indexed) + raw(frameData, end|flagPadded, 5, "\x02\x00\x00"),
	}
	return client, server
}

func TestSplits(t *testing.T) {
	client, server := conversations()
	for i, pb := range []bool{true, false} {
		options := lenient()
		if !pb {
			options = nil
		}
		for j, p := range client {
			t.Run(fmt.Sprint("client", i, j), func(t *testing.T) {
				downstream(newConfig(t, sdk.Downstream, options)).Splits(t, []byte(p))
			})
		}
		for j, p := range server {
			t.Run(fmt.Sprint("server", i, j), func(t *testing.T) {
				upstream(newConfig(t, sdk.Upstream, options)).Splits(t, []byte(p))
			})
		}
	}
}

func TestMutated(t *testing.T) {
	client, server := conversations()
	for i := range 2 {
		options := lenient()
		if i == 1 {
			options = nil
		}
		for _, p := range client {
			downstream(newConfig(t, sdk.Downstream, options)).Mutated(t, []byte(p), 600)
		}
		for _, p := range server {
			upstream(newConfig(t, sdk.Upstream, options)).Mutated(t, []byte(p), 600)
		}
	}
}

func FuzzDownstream(f *testing.F) {
	client, _ := conversations()
	for i, p := range client {
		f.Add([]byte(p), uint64(i))
	}
	cfg := newConfig(f, sdk.Downstream, lenient())
	f.Fuzz(func(t *testing.T, p []byte, seed uint64) {
		if seed&1 == 0 { // most of what is found would be spent on the preface
			p = append([]byte(clientHello()), p...)
		}
		downstream(cfg).Shuffled(t, p, seed)
	})
}

func FuzzUpstream(f *testing.F) {
	_, server := conversations()
	for i, p := range server {
		f.Add([]byte(p), uint64(i))
	}
	cfg := newConfig(f, sdk.Upstream, lenient())
	f.Fuzz(func(t *testing.T, p []byte, seed uint64) { upstream(cfg).Shuffled(t, p, seed) })
}

// TestConversations says what comes of them, so that the tests above split something.
func TestConversations(t *testing.T) {
	client, server := conversations()
	for i, c := range []struct {
		suite codectest.Suite
		in    string
		want  []string
	}{
		{downstream(newConfig(t, sdk.Downstream, nil)), client[1], []string{
			`headers 1 HTTP/2 :method="POST" :scheme="http" :path="/" :authority="h" content-length="6"`, `data 1 "abcdef"`, `trailers 1 HTTP/2 x-t="v"`, "end 1",
		}},
		{downstream(newConfig(t, sdk.Downstream, nil)), client[2], []string{
			`headers 1 HTTP/2 :method="GET" :scheme="http" :path="/" :authority="h" x-a="b" x-c="value"`, "end 1", "end 3",
		}},
		{upstream(newConfig(t, sdk.Upstream, nil)), server[1], []string{"reset 1", `data 3 "xxx`, "end 3", "goaway 3"}},
	} {
		got := c.suite.Read(t, []byte(c.in))
		at := 0
		for _, line := range c.want {
			k := strings.Index(got[at:], line)
			if k < 0 {
				t.Fatalf("conversation %d: %q is missing in\n%s", i, line, got)
			}
			at += k
		}
	}
}
