package http1

import (
	"bytes"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
)

// fuzzOptions lets a fuzz target choose among configurations.
func fuzzOptions(bits uint8) *corev3.Http1ProtocolOptions {
	return &corev3.Http1ProtocolOptions{
		AcceptHttp_10: bits&1 != 0, EnableTrailers: bits&2 != 0,
		AllowChunkedLength: bits&4 != 0, AllowCustomMethods: bits&8 != 0,
	}
}

// FuzzServerDecode reads anything as requests: it must not panic, must give the
// same events in any pieces, and what is sent on must read as the same requests
// when it is read again.
func FuzzServerDecode(f *testing.F) {
	for _, h := range readHostile(f) {
		if len(h.in) < 1000 {
			f.Add(h.in, uint8(0))
			f.Add(h.in, uint8(0xff))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, bits uint8) {
		cfg := newConfig(t, sdk.Downstream, fuzzOptions(bits))
		downstream(cfg).Shuffled(t, in, uint64(len(in)))
		r := relayed(t, bits, in)
		if r == nil {
			return
		}
		for i, p := range r.sent {
			if i == len(r.sent)-1 && (r.partial || r.err != nil) {
				return
			}
			again := relayed(t, bits, p)
			if again == nil || again.err != nil || len(again.sent) != 1 || !bytes.Equal(again.sent[0], p) {
				t.Fatalf("%q became %q, which is read as %v", in, p, again)
			}
		}
	})
}

// relayed sends requests through a relay; nil when a connection manager would not
// send one of them on, or when one asks for an upgrade.
func relayed(tb testing.TB, bits uint8, in []byte) *relay {
	tb.Helper()
	if bytes.Contains(bytes.ToLower(in), []byte("upgrade")) || bytes.Contains(in, []byte("CONNECT")) {
		return nil
	}
	r := &relay{
		tb: tb, server: newConfig(tb, sdk.Downstream, fuzzOptions(bits)).New(),
		up: newConfig(tb, sdk.Upstream, fuzzOptions(bits)), reply: buffer(),
	}
	r.run(in)
	if r.refused {
		return nil
	}
	return r
}

// FuzzClientDecode reads anything as responses to different requests.
func FuzzClientDecode(f *testing.F) {
	for _, h := range readCases(f, "testdata/responses.txt") {
		if len(h.in) < 1000 {
			f.Add(h.in, uint8(0))
			f.Add(h.in, uint8(0xff))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, bits uint8) {
		m := message(":method", "GET", ":path", "/", ":authority", "h:1")
		switch bits >> 6 {
		case 1:
			m.Set(":method", "HEAD")
		case 2:
			m.Set(":method", "CONNECT")
		case 3:
			m.Upgrade = true
			m.Add("connection", "upgrade")
			m.Add("upgrade", "websocket")
		}
		upstream(newConfig(t, sdk.Upstream, fuzzOptions(bits)), m).Shuffled(t, in, uint64(len(in)))
	})
}

// FuzzClientWrite writes a request with any field: what is written is read as that
// one request, or nothing is written.
func FuzzClientWrite(f *testing.F) {
	f.Add("x-a", "b", "/", "h", "body")
	f.Add("x-a\r\n", "b\r\nx-c: d", "/ HTTP/1.1\r\n", "h\n", "")
	f.Add("content-length", "3", "/", "h", "abcdef")
	f.Add("transfer-encoding", "chunked", "/", "h", "0\r\n\r\n")
	f.Fuzz(func(t *testing.T, name, value, path, host, body string) {
		m := message(":method", "POST", ":path", path, ":authority", host)
		m.Add(name, value)
		client, out := newConfig(t, sdk.Upstream, nil).New(), buffer()
		if err := client.WriteHeaders(out, 1, m, body == ""); err != nil {
			if out.Len() != 0 {
				t.Fatalf("%v, and %q is written", err, out.Bytes(nil))
			}
			return
		}
		if body != "" {
			client.WriteData(out, 1, []byte(body), true)
		}
		wire := out.Bytes(nil)
		server := newConfig(t, sdk.Downstream, &corev3.Http1ProtocolOptions{AllowCustomMethods: true}).New()
		var got sdk.Message
		ev := sdk.Event{Msg: &got}
		heads := 0
		for in := wire; len(in) > 0; {
			n, err := server.Decode(in, &ev)
			if err != nil || n == 0 {
				return // refused by a server, or too short: it does not smuggle
			}
			in = in[n:]
			if ev.Kind == sdk.EventHeaders {
				heads++
			}
			if ev.End && len(in) > 0 {
				t.Fatalf("%q is read as more than one request: %q is left", wire, in)
			}
		}
		if heads != 1 {
			t.Fatalf("%q is read as %d requests", wire, heads)
		}
	})
}
