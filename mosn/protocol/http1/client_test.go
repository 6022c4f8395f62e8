package http1

import (
	"errors"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
)

// TestClientWrites checks the bytes of requests.
func TestClientWrites(t *testing.T) {
	full := &corev3.Http1ProtocolOptions{SendFullyQualifiedUrl: true}
	proper := &corev3.Http1ProtocolOptions{HeaderKeyFormat: &corev3.Http1ProtocolOptions_HeaderKeyFormat{
		HeaderFormat: &corev3.Http1ProtocolOptions_HeaderKeyFormat_ProperCaseWords_{
			ProperCaseWords: &corev3.Http1ProtocolOptions_HeaderKeyFormat_ProperCaseWords{},
		},
	}}
	request := func(method string, more ...string) *sdk.Message {
		return message(append([]string{":method", method, ":scheme", "http", ":path", "/p", ":authority", "h"}, more...)...)
	}
	closing := request("GET", "connection", "keep-alive")
	closing.Close = true
	upgrade := request("GET", "connection", "upgrade", "upgrade", "x", "content-length", "3")
	upgrade.Upgrade = true
	for _, c := range []struct {
		name    string
		m       *sdk.Message
		body    string
		want    string
		options *corev3.Http1ProtocolOptions
	}{
		{"GET", request("GET", "x-a", "b"), "", "GET /p HTTP/1.1\r\nhost: h\r\nx-a: b\r\n\r\n", nil},
		{"host header gives way", request("GET", "host", "evil"), "", "GET /p HTTP/1.1\r\nhost: h\r\n\r\n", nil},
		{"DELETE", request("DELETE"), "", "DELETE /p HTTP/1.1\r\nhost: h\r\n\r\n", nil},
		{"POST", request("POST"), "", "POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n", nil},
		{"POST, length", request("POST", "content-length", "2"), "hi", "POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi", nil},
		{"POST, chunked", request("POST", "x-a", "b"), "hi", "POST /p HTTP/1.1\r\nhost: h\r\nx-a: b\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", nil},
		{"GET with a body", request("GET"), "hi", "GET /p HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", nil},
		{"close", closing, "", "GET /p HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", nil},
		{"upgrade", upgrade, "hi", "GET /p HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\ncontent-length: 3\r\n\r\nhi", nil},
		{"CONNECT", message(":method", "CONNECT", ":authority", "h:1"), "hi", "CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\n\r\nhi", nil},
		{"full URL", request("GET"), "", "GET http://h/p HTTP/1.1\r\nhost: h\r\n\r\n", full},
		{"proper case", request("POST", "x-b3-traceid", "1", "etag2x", "2", "a_b", "3"), "", "POST /p HTTP/1.1\r\nHost: h\r\nX-B3-Traceid: 1\r\nEtag2x: 2\r\nA_B: 3\r\nContent-Length: 0\r\n\r\n", proper},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, out := newConfig(t, sdk.Upstream, c.options).New(), buffer()
			if err := conn.WriteHeaders(out, conn.NewStream(), c.m, c.body == ""); err != nil {
				t.Fatal(err)
			}
			if c.body != "" && conn.WriteData(out, 1, []byte(c.body), true) != len(c.body) {
				t.Fatal("data is left over")
			}
			if got := string(out.Bytes(nil)); got != c.want {
				t.Errorf("wrote\n%q\nwant\n%q", got, c.want)
			}
			if conn.Reusable() {
				t.Error("reusable before the response")
			}
		})
	}
}

// TestClientEvents reads what follows different requests.
func TestClientEvents(t *testing.T) {
	ws := message(":method", "GET", ":path", "/", ":authority", "h", "connection", "upgrade", "upgrade", "x")
	ws.Upgrade = true
	get := message(":method", "GET", ":path", "/", ":authority", "h")
	head := message(":method", "HEAD", ":path", "/", ":authority", "h")
	connect := message(":method", "CONNECT", ":authority", "h:1")
	for _, c := range []struct {
		name     string
		request  *sdk.Message
		in, want string
		trailers bool
	}{
		{"length", get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", `headers 1 HTTP/1.1 content-length="2" :status="200"` + "\ndata 1 \"hi\"\nend 1\n", false},
		{"two answers to two requests", get, "HTTP/1.1 204 \r\n\r\nHTTP/1.1 304 \r\n\r\n", `headers 1 HTTP/1.1 :status="204"` + "\nend 1\n" + `headers 2 HTTP/1.1 :status="304"` + "\nend 2\n", false},
		{"100", get, "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 204 \r\n\r\n", `informational 1 HTTP/1.1 :status="100"` + "\n" + `headers 1 HTTP/1.1 :status="204"` + "\nend 1\n", false},
		{"HEAD", head, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", `headers 1 HTTP/1.1 content-length="9" :status="200"` + "\nend 1\n", false},
		{"HEAD, chunked", head, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", `headers 1 HTTP/1.1 :status="200"` + "\nend 1\n", false},
		{"until close", get, "HTTP/1.1 200 OK\r\n\r\nhi", `headers 1 HTTP/1.1 close :status="200"` + "\ndata 1 \"hi\"\nend 1\n", false},
		{"trailers", get, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-t: v\r\n\r\n", `headers 1 HTTP/1.1 :status="200"` + "\ndata 1 \"hi\"\ntrailers 1  x-t=\"v\"\nend 1\n", true},
		{
			"upgrade", ws, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw",
			`headers 1 HTTP/1.1 upgrade connection="Upgrade" upgrade="x" :status="101"` + "\ndata 1 \"raw\"\nend 1\n", false,
		},
		{"upgrade without the headers", ws, "HTTP/1.1 101 S\r\n\r\nraw", `headers 1 HTTP/1.1 :status="101"` + "\nend 1\n", false},
		{"upgrade refused", ws, "HTTP/1.1 403 F\r\ncontent-length: 1\r\n\r\nx", `headers 1 HTTP/1.1 content-length="1" :status="403"` + "\ndata 1 \"x\"\nend 1\n", false},
		{"CONNECT", connect, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nrawraw", `headers 1 HTTP/1.1 upgrade :status="200"` + "\ndata 1 \"rawraw\"\nend 1\n", false},
		{"CONNECT refused", connect, "HTTP/1.1 502 B\r\ncontent-length: 1\r\n\r\nx", `headers 1 HTTP/1.1 content-length="1" :status="502"` + "\ndata 1 \"x\"\nend 1\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := upstream(newConfig(t, sdk.Upstream, &corev3.Http1ProtocolOptions{EnableTrailers: c.trailers}), c.request)
			if got := s.Read(t, []byte(c.in)); strings.TrimSuffix(got, "error 0 : "+errHeadCutOff.Text+"\n") != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			s.Splits(t, []byte(c.in))
			s.Mutated(t, []byte(c.in), 60)
		})
	}
}

// TestClientRefusesToWrite checks that nothing which could begin another line or
// message is written, and nothing at all is left behind.
func TestClientRefusesToWrite(t *testing.T) {
	base := []string{":method", "GET", ":path", "/", ":authority", "h"}
	with := func(fields ...string) []string { return append(append([]string(nil), base...), fields...) }
	big := strings.Repeat("b", 20_000)
	for _, c := range []struct {
		name   string
		fields []string
		want   error
	}{
		{"CR LF in a value", with("x-a", "b\r\nx-c: d"), errWriteValue},
		{"NUL in a value", with("x-a", "b\x00"), errWriteValue},
		{"the same in a big head", with("x-big", big, "x-a", "b\n"), errWriteValue},
		{"a name with a blank", with("x a", "b"), errWriteName},
		{"a name with a line end", with("x\r\n", "b"), errWriteName},
		{"an empty name", with("", "b"), errWriteName},
		{"a line end in the path", []string{":method", "GET", ":path", "/ HTTP/1.1\r\nx: y", ":authority", "h"}, errWriteLine},
		{"a blank in the path", []string{":method", "GET", ":path", "/a b", ":authority", "h"}, errWriteLine},
		{"a blank in the host", []string{":method", "GET", ":path", "/", ":authority", "h h"}, errWriteLine},
		{"no path", []string{":method", "GET", ":authority", "h"}, errWriteLine},
		{"no method", []string{":path", "/", ":authority", "h"}, errWriteLine},
		{"a method with a blank", []string{":method", "GET /evil", ":path", "/", ":authority", "h"}, errWriteLine},
		{"CONNECT to nowhere", []string{":method", "CONNECT"}, errWriteLine},
		{"a bad length", with("content-length", "3, 3"), errWriteLength},
		{"two lengths", with("content-length", "3", "content-length", "4"), errWriteLength},
		{"two lengths in a big head", with("content-length", "3", "content-length", "3", "x-big", big), errWriteLength},
	} {
		conn, out := newConfig(t, sdk.Upstream, nil).New(), buffer()
		out.AppendString("before")
		if err := conn.WriteHeaders(out, conn.NewStream(), message(c.fields...), true); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if got := string(out.Bytes(nil)); got != "before" {
			t.Errorf("%s: wrote %q", c.name, got)
		}
		if err := conn.WriteHeaders(out, conn.NewStream(), message(base...), true); err != nil {
			t.Errorf("%s: a good request after it: %v", c.name, err)
		}
	}
}

// TestBigHeads writes heads around and beyond the size of a chunk of the buffer.
func TestBigHeads(t *testing.T) {
	proper := &corev3.Http1ProtocolOptions{HeaderKeyFormat: &corev3.Http1ProtocolOptions_HeaderKeyFormat{
		HeaderFormat: &corev3.Http1ProtocolOptions_HeaderKeyFormat_ProperCaseWords_{
			ProperCaseWords: &corev3.Http1ProtocolOptions_HeaderKeyFormat_ProperCaseWords{},
		},
	}}
	for _, size := range []int{100, sdk.ChunkSize - 200, sdk.ChunkSize - 64, sdk.ChunkSize, 3*sdk.ChunkSize + 1} {
		for used := range 3 {
			value := strings.Repeat("v", size)
			m := message(":method", "POST", ":path", "/"+value, ":authority", "h", "x-a", value, "x-b", "", "x-"+value[:90], "y")
			conn, out := newConfig(t, sdk.Upstream, proper).New(), buffer()
			out.Append(make([]byte, used*(sdk.ChunkSize-150)))
			skip := out.Len()
			if err := conn.WriteHeaders(out, 1, m, true); err != nil {
				t.Fatal(err)
			}
			want := "POST /" + value + " HTTP/1.1\r\nHost: h\r\nX-A: " + value + "\r\nX-B: \r\nX-V" + value[:89] + ": y\r\nContent-Length: 0\r\n\r\n"
			if got := string(out.Bytes(nil)[skip:]); got != want {
				t.Fatalf("size %d after %d bytes: %d bytes, want %d", size, skip, len(got), len(want))
			}
		}
	}
}

// TestClientTrailers writes trailers where they are enabled.
func TestClientTrailers(t *testing.T) {
	for _, c := range []struct {
		on   bool
		m    *sdk.Message
		want string
	}{
		{false, message("x-t", "v"), "0\r\n\r\n"},
		{true, message("x-t", "v", "content-length", "3", "transfer-encoding", "x", "connection", "y"), "0\r\nx-t: v\r\n\r\n"},
		{true, message("x-t", "v\r\n"), "0\r\n\r\n"},
	} {
		conn, out := newConfig(t, sdk.Upstream, &corev3.Http1ProtocolOptions{EnableTrailers: c.on}).New(), buffer()
		if err := conn.WriteHeaders(out, 1, message(":method", "PUT", ":path", "/", ":authority", "h"), false); err != nil {
			t.Fatal(err)
		}
		out.Release()
		conn.WriteTrailers(out, 1, c.m)
		if got := string(out.Bytes(nil)); got != c.want {
			t.Errorf("wrote %q, want %q", got, c.want)
		}
	}
}

// TestClientLife checks when a connection may be used again.
func TestClientLife(t *testing.T) {
	const response = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
	put := message(":method", "PUT", ":path", "/", ":authority", "h", "content-length", "2")
	var m sdk.Message
	ev := sdk.Event{Msg: &m}
	conn, out := newConfig(t, sdk.Upstream, nil).New(), buffer()
	if !conn.Reusable() {
		t.Fatal("a new connection is not usable")
	}
	for id := uint64(1); id < 4; id++ {
		if got := conn.NewStream(); got != id {
			t.Fatalf("stream %d", got)
		}
		if err := conn.WriteHeaders(out, id, put, false); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Decode([]byte(response), &ev); err != nil || !ev.End || ev.Stream != id {
			t.Fatalf("%v %+v", err, ev)
		}
		if conn.Reusable() {
			t.Fatal("reusable while the request is not written")
		}
		conn.WriteData(out, id, []byte("hi"), true)
		if !conn.Reusable() {
			t.Fatal("not reusable after a whole exchange")
		}
	}
	if err := conn.WriteHeaders(out, 4, put, false); err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteHeaders(out, 5, put, false); err != errWriteOrder {
		t.Fatalf("a second request in one exchange: %v", err)
	}
	conn.WriteData(out, 4, []byte("h"), true)
	if _, err := conn.Decode([]byte(response), &ev); err != nil || conn.Reusable() {
		t.Fatalf("reusable after a body that is too short, or %v", err)
	}

	conn = newConfig(t, sdk.Upstream, nil).New()
	if _, err := conn.Decode([]byte("H"), &ev); err != errUnsolicited || conn.Reusable() {
		t.Fatalf("bytes that nobody asked for: %v", err)
	}
	conn = newConfig(t, sdk.Upstream, nil).New()
	if err := conn.EOF(&ev); err != nil || ev.Kind != sdk.EventNone || conn.Reusable() {
		t.Fatalf("EOF of an idle connection: %v %v", err, ev.Kind)
	}
}

// TestResponseRepeats joins the fields that Envoy joins in responses, and no
// others.
func TestResponseRepeats(t *testing.T) {
	in := "HTTP/1.1 200 OK\r\nvia: a\r\nset-cookie: 1\r\ncache-control: x\r\nte: 1\r\nvia: b\r\nset-cookie: 2\r\ncache-control: y\r\nte: 2\r\ncontent-length: 0\r\n\r\n"
	want := `headers 1 HTTP/1.1 via="a,b" set-cookie="1" cache-control="x,y" te="1" set-cookie="2" te="2" content-length="0" :status="200"` + "\nend 1\n"
	s := upstream(newConfig(t, sdk.Upstream, nil), message(":method", "GET", ":path", "/", ":authority", "h"))
	if got := s.Read(t, []byte(in)); !strings.HasPrefix(got, want) {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

// TestClientHasNoSignals checks what HTTP/1 cannot say.
func TestClientHasNoSignals(t *testing.T) {
	conn, out := newConfig(t, sdk.Upstream, nil).New(), buffer()
	conn.WriteGoAway(out)
	conn.Consumed(out, 1, 100)
	if conn.WriteReset(out, 1, sdk.ResetLocal) || out.Len() != 0 || !conn.Reusable() {
		t.Fatalf("a client that only gives up has written %q", out.Bytes(nil))
	}
}

// TestLongProperNames writes names in proper case that leave a chunk's room.
func TestLongProperNames(t *testing.T) {
	for _, n := range []int{10, headRoom, headRoom + 1, 200} {
		cfg := newConfig(t, sdk.Upstream, nil)
		cfg.properCase = true
		out := buffer()
		out.Append(make([]byte, sdk.ChunkSize-headRoom))
		skip := out.Len()
		w := headWriter{out: out, p: out.Reserve(1)}
		w.field("x-"+strings.Repeat("a", n), "v", true)
		w.flush()
		got := string(out.Bytes(nil)[skip:])
		want := "X-A" + strings.Repeat("a", n-1) + ": v\r\n"
		if n > headRoom-2 {
			want = "x-" + strings.Repeat("a", n) + ": v\r\n" // too long to be worth it
		}
		if len(got) != len(want) || !strings.EqualFold(got, want) || n < headRoom-2 && got != want {
			t.Errorf("wrote %q", got)
		}
	}
}
