package peers

import (
	"strings"
	"testing"
)

func TestParseRequest(t *testing.T) {
	cases := []struct {
		name, in string
		eof      bool
		want     string // rendered; empty: more bytes are needed
		rest     string
	}{
		{"nothing", "", false, "", ""},
		{"half a head", "GET / HTTP/1.1\r\nhost: h\r\n", false, "", ""},
		{"no body", "GET / HTTP/1.1\r\nhost: h\r\n\r\nGET", false, "GET / HTTP/1.1\nhost: h\n", "GET"},
		{"sorted by name, lines of one name in order", "GET / HTTP/1.1\r\nb: 2\r\nA: 1\r\nb: 1\r\n\r\n", false,
			"GET / HTTP/1.1\nA: 1\nb: 2\nb: 1\n", ""},
		{"length", "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcd", false, "POST / HTTP/1.1\ncontent-length: 3\nbody \"abc\"\n", "d"},
		{"half a body", "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab", false, "", ""},
		{"half a body at the end", "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab", true,
			"POST / HTTP/1.1\ncontent-length: 3\nbody \"ab\"\ncut off\n", ""},
		{"chunks", "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\n\r\nnext", false,
			"POST / HTTP/1.1\ntransfer-encoding: chunked\nbody \"abcd\"\n", "next"},
		{"half a chunk", "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab", false, "", ""},
		{"half a chunk at the end", "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab", true,
			"POST / HTTP/1.1\ntransfer-encoding: chunked\nbody \"ab\"\ncut off\n", ""},
		{"trailers", "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-t: v\r\n\r\n", false,
			"POST / HTTP/1.1\ntransfer-encoding: chunked\ntrailer x-t: v\n", ""},
		{"odd bytes are quoted", "GET /\x01 HTTP/1.1\r\nx: \xff\r\n\r\n", false, "\"GET /\\x01 HTTP/1.1\"\nx: \"\\xff\"\n", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, n, err := ParseRequest([]byte(c.in), c.eof)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if m != nil {
				got = m.String()
			}
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if m != nil && c.in[n:] != c.rest {
				t.Errorf("rest %q, want %q", c.in[n:], c.rest)
			}
		})
	}
}

func TestParseRequestRefuses(t *testing.T) {
	for _, in := range []string{
		"garbage\r\n\r\n",
		"GET / HTTP/1.1\r\nno colon\r\n\r\n",
		"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
		"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
		"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
		"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
	} {
		if m, _, err := ParseRequest([]byte(in), false); err == nil {
			t.Errorf("%q was read as %v", in, m)
		}
	}
}

func TestParseResponse(t *testing.T) {
	const length = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
	cases := []struct {
		name, in, method string
		eof              bool
		body             string
		whole, tunnel    bool
		used             int
	}{
		{"length", length + "okHTTP", "GET", false, "ok", true, false, len(length) + 2},
		{"HEAD has no body", length, "HEAD", false, "", true, false, len(length)},
		{"204 has no body", "HTTP/1.1 204 No\r\n\r\nHTTP", "GET", false, "", true, false, 19},
		{"304 has no body", "HTTP/1.1 304 No\r\ncontent-length: 9\r\n\r\n", "GET", false, "", true, false, 38},
		{"100 has no body", "HTTP/1.1 100 Go\r\n\r\nHTTP", "GET", false, "", true, false, 19},
		{"until the end", "HTTP/1.1 200 OK\r\n\r\nabc", "GET", true, "abc", true, false, 22},
		{"101 opens a tunnel", "HTTP/1.1 101 Go\r\n\r\nabc", "GET", false, "", false, true, 19},
		{"CONNECT opens a tunnel", "HTTP/1.1 200 OK\r\n\r\nabc", "CONNECT", false, "", false, true, 19},
		{"a refused CONNECT does not", "HTTP/1.1 403 No\r\ncontent-length: 1\r\n\r\nx", "CONNECT", false, "x", true, false, 39},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, n, err := ParseResponse([]byte(c.in), c.eof, c.method)
			if err != nil || m == nil {
				t.Fatalf("%v, %v", m, err)
			}
			if string(m.Body) != c.body || m.Whole != c.whole || m.Tunnel != c.tunnel || n != c.used {
				t.Errorf("body %q, whole %v, tunnel %v, %d bytes; want %q, %v, %v, %d",
					m.Body, m.Whole, m.Tunnel, n, c.body, c.whole, c.tunnel, c.used)
			}
		})
	}
	if m, _, err := ParseResponse([]byte("HTTP/1.1 200 OK\r\n\r\nabc"), false, "GET"); m != nil || err != nil {
		t.Errorf("a body until the end was over before the end: %v, %v", m, err)
	}
}

func TestAbbreviate(t *testing.T) {
	if got := Abbreviate([]byte("a\r\n")); got != `"a\r\n"` {
		t.Errorf("got %s", got)
	}
	long := Abbreviate([]byte(strings.Repeat("x", 1000)))
	if !strings.HasSuffix(long, "(1000 bytes)") || len(long) > 100 {
		t.Errorf("got %s", long)
	}
}

func TestGet(t *testing.T) {
	m := &Message{Start: "PUT /x HTTP/1.1", Headers: []Header{{"X-A", "1"}, {"x-a", "2"}}}
	if v, ok := m.Get("x-A"); v != "1" || !ok {
		t.Errorf("got %q, %v", v, ok)
	}
	if _, ok := m.Get("x-b"); ok {
		t.Error("found a header that is not there")
	}
	if m.Method() != "PUT" {
		t.Errorf("method %q", m.Method())
	}
}

// FuzzParse checks on any bytes that reading stays inside them and that a message read before the end of a stream is whole.
func FuzzParse(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nhost: h\r\n\r\n"), false)
	f.Add([]byte("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nt: v\r\n\r\n"), false)
	f.Add([]byte("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab"), true)
	f.Fuzz(func(t *testing.T, b []byte, eof bool) {
		m, n, err := ParseRequest(b, eof)
		if n > len(b) || m == nil && n != 0 {
			t.Fatalf("%d of %d bytes used", n, len(b))
		}
		if m != nil && (err != nil || !m.Whole && !eof) {
			t.Fatalf("message %v, error %v, end %v", m, err, eof)
		}
		if m, n, _ := ParseResponse(b, eof, "GET"); n > len(b) || m == nil && n != 0 {
			t.Fatalf("%d of %d bytes used", n, len(b))
		}
	})
}
