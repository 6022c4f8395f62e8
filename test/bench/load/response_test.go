//go:build linux

package load

import (
	"strings"
	"testing"
)

func TestParseHead(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     head
		ok       bool
	}{
		{"nginx", "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: text/plain\r\nContent-Length: 128\r\nConnection: keep-alive\r\n\r\nxx", head{112, 200, 128, false}, true},
		{"envoy", "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 128\r\nserver: envoy\r\n\r\n", head{81, 200, 128, false}, true},
		{"close", "HTTP/1.1 200 OK\r\nContent-Length:5\r\nCONNECTION:  Close \r\n\r\n", head{58, 200, 5, true}, true},
		{"no reason", "HTTP/1.1 503\r\ncontent-length: 0\r\n\r\n", head{35, 503, 0, false}, true},
		{"incomplete", "HTTP/1.1 200 OK\r\nContent-Length: 128\r\n", head{}, true},
		{"nothing", "", head{}, true},
		{"endless", strings.Repeat("x", maxHead+1), head{}, false},
		{"no length", "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", head{}, false},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n", head{}, false},
		{"bad length", "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n", head{}, false},
		{"negative", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", head{}, false},
		{"huge", "HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", head{}, false},
		{"chunked", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n", head{}, false},
		{"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", head{}, false},
		{"bad status", "HTTP/1.1 2x0 OK\r\nContent-Length: 5\r\n\r\n", head{}, false},
		{"short", "HTTP/1.1 2\r\n\r\n", head{}, false},
		{"binary", "\x00\x01\r\n\r\n", head{}, false},
	} {
		got, ok := parseHead([]byte(c.in))
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestParseHeadDoesNotAllocate(t *testing.T) {
	in := []byte("HTTP/1.1 200 OK\r\nServer: x\r\nConnection: keep-alive\r\nContent-Length: 128\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() { parseHead(in) }); n != 0 {
		t.Errorf("parseHead allocates %v times", n)
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n"), 7)
	f.Add([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length:0\r\n\r\nHTTP/1.1"), 20)
	f.Add([]byte("\r\n\r\n"), 2)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		h, ok := parseHead(data)
		if !ok || h.size == 0 {
			return
		}
		if h.size > len(data) || h.status > 999 || h.length < 0 {
			t.Fatalf("impossible head %+v of %d bytes", h, len(data))
		}
		// A head that arrives in two pieces is incomplete, never wrong, until its last byte is there.
		cut = (cut%h.size + h.size) % h.size
		if early, ok := parseHead(data[:cut]); early.size != 0 || !ok && cut <= maxHead {
			t.Fatalf("the first %d of %d bytes gave %+v, %v", cut, h.size, early, ok)
		}
	})
}

func BenchmarkParseHead(b *testing.B) {
	in := []byte("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 128\r\nConnection: keep-alive\r\n\r\n")
	for b.Loop() {
		parseHead(in)
	}
}
