package http1

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
)

// TestServerEvents reads requests whole and in pieces.
func TestServerEvents(t *testing.T) {
	old := &corev3.Http1ProtocolOptions{AcceptHttp_10: true}
	trailers := &corev3.Http1ProtocolOptions{EnableTrailers: true}
	for _, c := range []struct {
		name, in, want string
		options        *corev3.Http1ProtocolOptions
	}{
		{
			"a GET, names in lower case", "GET /a?b HTTP/1.1\r\nHOST: h:1\r\nX-Foo:  Bar \r\n\r\n",
			`headers 1 HTTP/1.1 :authority="h:1" x-foo="Bar" :method="GET" :path="/a?b"` + "\nend 1\n", nil,
		},
		{
			"length, and the next request", "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nhost: h\r\n\r\n",
			`headers 1 HTTP/1.1 :authority="h" content-length="3" :method="POST" :path="/"` + "\ndata 1 \"abc\"\nend 1\n" +
				`headers 2 HTTP/1.1 :authority="h" :method="GET" :path="/2"` + "\nend 2\n", nil,
		},
		{
			"length 0", "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n",
			`headers 1 HTTP/1.1 :authority="h" content-length="0" :method="POST" :path="/"` + "\nend 1\n", nil,
		},
		{
			"chunks, trailers dropped", "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2;x\r\nbc\r\n0\r\nx-t: v\r\n\r\n",
			`headers 1 HTTP/1.1 :authority="h" :method="POST" :path="/"` + "\ndata 1 \"abc\"\nend 1\n", nil,
		},
		{
			"chunks, trailers kept", "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: v\r\nhost: x\r\n\r\n",
			`headers 1 HTTP/1.1 :authority="h" :method="POST" :path="/"` + "\ndata 1 \"a\"\ntrailers 1  x-t=\"v\"\nend 1\n", trailers,
		},
		{
			"trailers that are all dropped", "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\nhost: x\r\n\r\n",
			`headers 1 HTTP/1.1 :authority="h" :method="POST" :path="/"` + "\nend 1\n", trailers,
		},
		{
			"1.0 closes", "GET / HTTP/1.0\r\nhost: h\r\n\r\nGET / HTTP/1.0\r\n\r\n",
			`headers 1 HTTP/1.0 close :authority="h" :method="GET" :path="/"` + "\nend 1\n", old,
		},
		{
			"1.0 keeps alive, and no host", "GET / HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
			`headers 1 HTTP/1.0 connection="Keep-Alive" :method="GET" :path="/"` + "\nend 1\n" +
				`headers 2 HTTP/1.0 close :method="GET" :path="/"` + "\nend 2\n", old,
		},
		{
			"close", "GET / HTTP/1.1\r\nhost: h\r\nconnection: foo, Close\r\n\r\nGET / HTTP/1.1\r\n\r\n",
			`headers 1 HTTP/1.1 close :authority="h" connection="foo, Close" :method="GET" :path="/"` + "\nend 1\n", nil,
		},
		{
			"upgrade: what follows is opaque", "GET / HTTP/1.1\r\nhost: h\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\r\nGET / HTTP/1.1\r\n\r\n",
			`headers 1 HTTP/1.1 upgrade :authority="h" connection="keep-alive, Upgrade" upgrade="websocket" :method="GET" :path="/"` +
				"\ndata 1 \"GET / HTTP/1.1\\r\\n\\r\\n\"\nend 1\n", nil,
		},
		{
			"CONNECT", "CONNECT a.test:443 HTTP/1.1\r\nhost: b\r\n\r\n\x16\x03",
			`headers 1 HTTP/1.1 upgrade :authority="a.test:443" :method="CONNECT"` + "\ndata 1 \"\\x16\\x03\"\nend 1\n", nil,
		},
		{
			"absolute", "GET HTTPS://u@a.test:1/x?y HTTP/1.1\r\nhost: b\r\n\r\n",
			`headers 1 HTTP/1.1 :authority="a.test:1" :method="GET" :scheme="https" :path="/x?y"` + "\nend 1\n", nil,
		},
		{
			"fields of one name", "GET / HTTP/1.1\r\nhost: a\r\nvia: 1\r\nx-forwarded-for: 1.1.1.1\r\nvia: 2\r\nx-a: 1\r\nx-a: 2\r\nX-Forwarded-For: 2.2.2.2\r\nHost: b\r\n\r\n",
			`headers 1 HTTP/1.1 :authority="a,b" via="1,2" x-forwarded-for="1.1.1.1,2.2.2.2" x-a="1" x-a="2" :method="GET" :path="/"` + "\nend 1\n", nil,
		},
		{
			"expect is shown", "PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\nx",
			`headers 1 HTTP/1.1 :authority="a" expect="100-continue" content-length="1" :method="PUT" :path="/"` + "\ndata 1 \"x\"\nend 1\n", nil,
		},
		{"nothing", "", "", nil},
		{"only empty lines", "\r\n\n\r\n", "", nil},
		{"cut in head", "GET / HT", "error 0 : " + errHeadCutOff.Text + "\n", nil},
		{
			"cut in body", "PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nx",
			`headers 1 HTTP/1.1 :authority="h" content-length="2" :method="PUT" :path="/"` + "\ndata 1 \"x\"\nerror 0 : " + errBodyCutOff.Text + "\n", nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := downstream(newConfig(t, sdk.Downstream, c.options))
			if got := s.Read(t, []byte(c.in)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			s.Splits(t, []byte(c.in))
			if len(c.in) > 0 {
				s.Mutated(t, []byte(c.in), 60)
			}
		})
	}
}

// serve lets a server read a request and returns it, ready to answer.
func serve(tb testing.TB, options *corev3.Http1ProtocolOptions, request string) sdk.CodecConn {
	tb.Helper()
	conn := newConfig(tb, sdk.Downstream, options).New()
	var m sdk.Message
	ev := sdk.Event{Msg: &m}
	for in := []byte(request); len(in) > 0 && !ev.End; {
		n, err := conn.Decode(in, &ev)
		if err != nil {
			tb.Fatal(err)
		}
		in = in[n:]
	}
	return conn
}

// TestServerWrites checks the bytes of responses.
func TestServerWrites(t *testing.T) {
	const get, head, put = "GET / HTTP/1.1\r\nhost: h\r\n\r\n", "HEAD / HTTP/1.1\r\nhost: h\r\n\r\n", "PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\n"
	const old, oldKeep = "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
	const ws, connect = "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nhost: h\r\n\r\n"
	for _, c := range []struct {
		name, request string
		m             *sdk.Message
		body          string
		want          string
		reusable      bool
	}{
		{"empty", get, message(":status", "200", "x-a", "b"), "", "HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 0\r\n\r\n", true},
		{"empty value", get, message(":status", "200", "x-a", ""), "", "HTTP/1.1 200 OK\r\nx-a: \r\ncontent-length: 0\r\n\r\n", true},
		{"length", get, message(":status", "404", "content-length", "2"), "hi", "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nhi", true},
		{"chunked", get, message(":status", "200"), "hi", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", true},
		{"a given transfer-encoding", get, message(":status", "200", "transfer-encoding", "gzip"), "hi", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", true},
		{"HEAD, length", head, message(":status", "200", "content-length", "5"), "", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", true},
		{"HEAD, none", head, message(":status", "200"), "", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", true},
		{"HEAD, a body is dropped", head, message(":status", "200", "content-length", "2"), "hi", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", true},
		{"204", get, message(":status", "204", "content-length", "0"), "", "HTTP/1.1 204 No Content\r\n\r\n", true},
		{"304", get, message(":status", "304", "content-length", "9"), "", "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", true},
		{"unknown", get, message(":status", "799"), "", "HTTP/1.1 799 Unknown\r\ncontent-length: 0\r\n\r\n", true},
		{"1.0", old, message(":status", "200", "content-length", "2"), "hi", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi", false},
		{"1.0 kept alive", oldKeep, message(":status", "200"), "", "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n", true},
		{"1.0 until close", oldKeep, message(":status", "200"), "hi", "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nhi", false},
		{"asked to close", "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", message(":status", "200"), "", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", false},
		{"a connection header gives way", "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", message(":status", "200", "connection", "x"), "", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", false},
		{"too little body", get, message(":status", "200", "content-length", "5"), "hi", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", false},
		{"too much body", get, message(":status", "200", "content-length", "1"), "hi", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nh", false},
		{"before the request is read", put, message(":status", "413"), "", "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\n\r\n", false},
		{"granted", ws, message(":status", "101", "connection", "upgrade", "upgrade", "x"), "hi", "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhi", false},
		{"not granted", ws, message(":status", "403"), "", "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", false},
		{"CONNECT granted", connect, message(":status", "200", "content-length", "5"), "hi", "HTTP/1.1 200 OK\r\n\r\nhi", false},
		{"CONNECT refused", connect, message(":status", "503", "content-length", "2"), "hi", "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi", false},
		{"CONNECT and 101", connect, message(":status", "101"), "", "HTTP/1.1 101 Switching Protocols\r\nconnection: close\r\n\r\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := serve(t, &corev3.Http1ProtocolOptions{AcceptHttp_10: true}, c.request)
			out := buffer()
			if err := conn.WriteHeaders(out, 1, c.m, c.body == ""); err != nil {
				t.Fatal(err)
			}
			if c.body != "" {
				for i := range len(c.body) {
					if c.want == strings.Replace(c.want, "\r\n2\r\nhi", "", 1) { // not chunked: byte by byte
						conn.WriteData(out, 1, []byte(c.body[i:i+1]), i == len(c.body)-1)
					} else if i == 0 {
						conn.WriteData(out, 1, []byte(c.body), true)
					}
				}
			}
			if got := string(out.Bytes(nil)); got != c.want {
				t.Errorf("wrote\n%q\nwant\n%q", got, c.want)
			}
			if conn.Reusable() != c.reusable {
				t.Errorf("reusable %v", conn.Reusable())
			}
		})
	}
}

func TestServerInformational(t *testing.T) {
	conn := serve(t, nil, "PUT / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n")
	out := buffer()
	for _, m := range []*sdk.Message{message(":status", "100"), message(":status", "103", "link", "</a>", "content-length", "3"), message(":status", "200")} {
		if err := conn.WriteHeaders(out, 1, m, m.Status() == 200); err != nil {
			t.Fatal(err)
		}
	}
	want := "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
	if got := string(out.Bytes(nil)); got != want {
		t.Fatalf("wrote %q", got)
	}
	if conn.Reusable() {
		t.Fatal("reusable before the request is read")
	}
	var m sdk.Message
	ev := sdk.Event{Msg: &m}
	if n, err := conn.Decode([]byte("x"), &ev); n != 1 || err != nil || !ev.End || !conn.Reusable() {
		t.Fatalf("the rest of the request: %d %v %+v", n, err, ev)
	}
}

// TestServerAnswersErrors checks that what is refused can be answered, in the
// right version, and is the end.
func TestServerAnswersErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"GET\r\n", "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"},
		{"GET / HTTP/1.0\r\ntransfer-encoding: x\r\n\r\n", "HTTP/1.0 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"},
		{"HEAD / HTTP/1.1\r\nhost: h\r\n\r\nx\n", "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"},
		{"PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nx", "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"},
	} {
		conn := newConfig(t, sdk.Downstream, &corev3.Http1ProtocolOptions{AcceptHttp_10: true}).New()
		var m sdk.Message
		ev := sdk.Event{Msg: &m}
		out := buffer()
		in := []byte(c.in)
		var err error
		for err == nil {
			var n int
			n, err = conn.Decode(in, &ev)
			in = in[n:]
			if err == nil && ev.End {
				if err := conn.WriteHeaders(out, 1, message(":status", "200"), true); err != nil {
					t.Fatal(err)
				}
				out.Release()
			} else if err == nil && n == 0 {
				t.Fatalf("%q is not refused", c.in)
			}
		}
		if err := conn.WriteHeaders(out, 1, message(":status", "400"), true); err != nil {
			t.Fatal(err)
		}
		if got := string(out.Bytes(nil)); got != c.want {
			t.Errorf("%q is answered with %q", c.in, got)
		}
		if n, err := conn.Decode([]byte("GET / HTTP/1.1\r\nhost: h\r\n\r\n"), &ev); n == 0 || err != nil || ev.Kind != sdk.EventNone {
			t.Errorf("after %q a further request is read: %d %v %v", c.in, n, err, ev.Kind)
		}
	}
}

func TestServerGoAway(t *testing.T) {
	conn := serve(t, nil, "GET / HTTP/1.1\r\nhost: h\r\n\r\n")
	out := buffer()
	conn.WriteGoAway(out)
	if out.Len() != 0 {
		t.Fatal("go away has written something")
	}
	if err := conn.WriteHeaders(out, 1, message(":status", "200"), true); err != nil {
		t.Fatal(err)
	}
	if got := string(out.Bytes(nil)); !strings.Contains(got, "connection: close\r\n") || conn.Reusable() {
		t.Fatalf("wrote %q", got)
	}
	if conn.WriteReset(out, 1, sdk.ResetLocal) {
		t.Fatal("HTTP/1 has no reset")
	}
}

func TestServerHoldsRequests(t *testing.T) {
	conn := serve(t, nil, "GET / HTTP/1.1\r\nhost: h\r\n\r\n")
	var m sdk.Message
	ev := sdk.Event{Msg: &m}
	next := []byte("GET /2 HTTP/1.1\r\nhost: h\r\n\r\n")
	if n, err := conn.Decode(next, &ev); n != 0 || err != nil || ev.Kind != sdk.EventNone {
		t.Fatalf("a request is read before the last one is answered: %d %v %v", n, err, ev.Kind)
	}
	if err := conn.WriteHeaders(buffer(), 1, message(":status", "200"), true); err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteHeaders(buffer(), 1, message(":status", "20"), true); err != errWriteOrder {
		t.Fatalf("a status of two digits: %v", err)
	}
	if n, err := conn.Decode(next, &ev); n != len(next) || err != nil || ev.Stream != 2 || m.Path() != "/2" {
		t.Fatalf("the next request: %d %v %+v", n, err, ev)
	}
}

// TestServerTrailers ends a response with trailers, for those who want them.
func TestServerTrailers(t *testing.T) {
	for on, want := range map[bool]string{true: "2\r\nhi\r\n0\r\nx-t: v\r\n\r\n", false: "2\r\nhi\r\n0\r\n\r\n"} {
		conn := serve(t, &corev3.Http1ProtocolOptions{EnableTrailers: on}, "GET / HTTP/1.1\r\nhost: h\r\n\r\n")
		out := buffer()
		if err := conn.WriteHeaders(out, 1, message(":status", "200"), false); err != nil {
			t.Fatal(err)
		}
		out.Release()
		conn.WriteData(out, 1, []byte("hi"), false)
		conn.WriteTrailers(out, 1, message("x-t", "v"))
		if got := string(out.Bytes(nil)); got != want || !conn.Reusable() {
			t.Errorf("wrote %q, reusable %v", got, conn.Reusable())
		}
	}
	conn := serve(t, nil, "GET / HTTP/1.1\r\nhost: h\r\n\r\n")
	out := buffer()
	if err := conn.WriteHeaders(out, 1, message(":status", "200", "content-length", "0"), false); err != nil {
		t.Fatal(err)
	}
	out.Release()
	conn.WriteTrailers(out, 1, message("x-t", "v"))
	if out.Len() != 0 || !conn.Reusable() {
		t.Errorf("trailers of a message of known length: wrote %q", out.Bytes(nil))
	}
}

// TestServerRefusesToWrite leaves nothing behind of a head that must not be
// written, so that another answer can follow.
func TestServerRefusesToWrite(t *testing.T) {
	big := strings.Repeat("b", 20_000)
	for _, m := range []*sdk.Message{
		message(":status", "200", "location", "/\r\nset-cookie: evil"),
		message(":status", "200", "x-big", big, "location", "/\r\n"),
		message(":status", "200", "bad name", "v"),
		message(":status", "200", "content-length", "-1"),
		message(":status", "200", "content-length", "1", "content-length", "2"),
		message(":status", "20"),
		message("x-a", "b"),
	} {
		conn, out := serve(t, nil, "GET / HTTP/1.1\r\nhost: h\r\n\r\n"), buffer()
		if err := conn.WriteHeaders(out, 1, m, true); err == nil || out.Len() != 0 {
			t.Errorf("%v: %v, %d bytes written", m.Value("location"), err, out.Len())
		}
		if err := conn.WriteHeaders(out, 1, message(":status", "502"), true); err != nil || !conn.Reusable() {
			t.Errorf("the answer after it: %v", err)
		}
	}
}
