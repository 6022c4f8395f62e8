package stream

import (
	"fmt"
	"testing"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// TestLogTypes: the log is written when a request comes, each interval, when a tunnel
// stands, and at the end, as far as that is asked for.
func TestLogTypes(t *testing.T) {
	w := newWorld(t, setup{edit: func(cfg *Config) {
		cfg.LogStart, cfg.LogTunnel, cfg.LogInterval = true, true, 10*time.Second
		cfg.Upgrades = []Upgrade{{Type: "websocket", Enabled: true}}
	}})
	seen := ""
	w.log.each = func(i *sdk.StreamInfo) {
		seen += fmt.Sprintf("%v %d %v %s;", i.LogType, i.ResponseCode, i.End > 0, i.VirtualHostName)
	}
	expect := func(want string) {
		t.Helper()
		if seen != want {
			t.Errorf("%s, want %s", seen, want)
		}
		seen = ""
	}
	c := w.client()
	w.send(c, "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
	expect("DownstreamStart 0 false v;")
	w.Advance(25 * time.Second)
	expect("DownstreamPeriodic 0 false v;DownstreamPeriodic 0 false v;")
	b := w.backend(1)
	w.send(b, "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
	expect("DownstreamTunnelSuccessfullyEstablished 101 false v;")
	w.Advance(10 * time.Second)
	expect("DownstreamPeriodic 101 false v;")
	c.Close()
	w.Settle()
	expect("DownstreamEnd 101 true v;")
}

// TestWireBytes: what a request and its response were on the wire, for each of several on
// a connection.
func TestWireBytes(t *testing.T) {
	w := newWorld(t, setup{})
	var seen []string
	w.log.each = func(i *sdk.StreamInfo) {
		seen = append(seen, fmt.Sprint(i.DownstreamWire.Received, i.DownstreamWire.Sent > 0, i.UpstreamWire.Received, i.UpstreamWire.Sent > 0))
	}
	const post, chunked = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
	const answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
	c := w.client()
	w.send(c, post)
	b := w.backend(1)
	w.send(b, answer)
	w.send(c, chunked)
	w.send(b, answer)
	w.send(c, get[:10])
	w.send(c, get[10:])
	w.send(b, answer)
	for i, request := range []string{post, chunked, get} {
		if want := fmt.Sprint(len(request), true, len(answer), true); i >= len(seen) || seen[i] != want {
			t.Errorf("%d: %v, want %s", i, seen, want)
		}
	}
}
