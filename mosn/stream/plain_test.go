package stream

import (
	"strings"
	"testing"
	"time"
)

func TestGet(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	w.got(b, getUp)
	w.got(c, "")
	w.send(b, ok2)
	w.got(c, ok2Down)
	w.logged(okLog)
	i := w.log.last()
	if i.Attempts != 1 || i.ClusterName != "c" || i.UpstreamHost != "10.0.0.1:80" || i.BytesSent != 2 || i.BytesReceived != 0 ||
		i.VirtualHostName != "v" || i.ConnectionID != 0 && i.ConnectionID == i.UpstreamConnectionID {
		t.Errorf("info %+v", i)
	}
	w.stats("downstream_rq_total", 1, "downstream_rq_completed", 1, "downstream_rq_2xx", 1, "downstream_cx_active", 1,
		".upstream_rq_total", 1, ".upstream_rq_200", 1, ".upstream_cx_total", 1)
	w.idle()
}

// TestKeepAlive sends many requests over one connection on each side.
func TestKeepAlive(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	for range 5 {
		w.got(b, getUp)
		w.send(b, ok2)
		w.got(c, ok2Down)
		w.logged(okLog)
		w.send(c, get)
	}
	w.send(b, ok2)
	if w.next(1) != nil {
		t.Error("a second connection was made")
	}
	w.logged(okLog)
	w.stats("downstream_cx_total", 1, "downstream_rq_total", 6, ".upstream_cx_total", 1, ".upstream_rq_total", 6)
}

// TestPipelining: the second request is not touched before the first is answered.
func TestPipelining(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	const get2 = "GET /2 HTTP/1.1\r\nhost: a\r\n\r\n"
	w.send(c, get+get2+post(2)+"hi"+"GET /4 HT")
	b := w.backend(1)
	w.got(b, getUp)
	w.stats("downstream_rq_total", 1)
	w.send(b, ok2)
	w.got(c, ok2Down)
	w.got(b, strings.Replace(getUp, "/ ", "/2 ", 1))
	w.send(b, ok2)
	w.got(c, ok2Down)
	w.got(b, postUp(2)+"hi")
	w.send(b, ok2)
	w.got(c, ok2Down)
	w.got(b, "")
	w.send(c, "TP/1.1\r\nhost: a\r\n\r\n")
	w.got(b, strings.Replace(getUp, "/ ", "/4 ", 1))
	w.send(b, ok2)
	w.got(c, ok2Down)
	w.logged("GET / 200 - via_upstream; GET /2 200 - via_upstream; POST / 200 - via_upstream; GET /4 200 - via_upstream")
}

func TestHead(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
	b := w.backend(1)
	w.got(b, strings.Replace(getUp, "GET", "HEAD", 1))
	w.send(b, "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n")
	w.got(c, "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n"+served+"\r\n")
	w.send(c, get)
	w.got(b, getUp)
	w.send(b, ok2)
	w.got(c, ok2Down)
}

// TestNoBody: responses that never have one leave both connections in use.
func TestNoBody(t *testing.T) {
	for _, code := range []string{"204 No Content", "304 Not Modified"} {
		w := newWorld(t, setup{})
		c := w.client()
		w.send(c, get)
		b := w.backend(1)
		b.Received()
		w.send(b, "HTTP/1.1 "+code+"\r\n\r\n")
		w.got(c, "HTTP/1.1 "+code+"\r\n"+served+"\r\n")
		w.send(c, get)
		w.got(b, getUp)
		w.send(b, ok2)
		w.got(c, ok2Down)
		w.finish()
	}
}

// exchange is a request and response in the wire's form, and what comes out at the
// other ends.
type exchange struct {
	name, request, up, response, down string
}

func exchanges() []exchange {
	const upTail = "x-forwarded-proto: http\r\nx-envoy-expected-rq-timeout-ms: 15000\r\n"
	return []exchange{
		{"length", post(5) + "hello", postUp(5) + "hello", ok2, ok2Down},
		{
			"chunked",
			"POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
			"POST /c HTTP/1.1\r\nhost: a\r\n" + upTail + "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\n" + served + "transfer-encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\n\r\n",
		},
		{
			"trailers",
			"POST /t HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n",
			"POST /t HTTP/1.1\r\nhost: a\r\n" + upTail + "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n",
			"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nz\r\n0\r\nx-end: 2\r\n\r\n",
			"HTTP/1.1 200 OK\r\n" + served + "transfer-encoding: chunked\r\n\r\n1\r\nz\r\n0\r\nx-end: 2\r\n\r\n",
		},
	}
}

// trailersUpstream lets the cluster's codec pass trailers.
const trailersUpstream = `typed_extension_protocol_options { key: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	value { [type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions] {
		explicit_http_config { http_protocol_options { enable_trailers: true } } } } }`

func TestBodies(t *testing.T) {
	for _, x := range exchanges() {
		t.Run(x.name, func(t *testing.T) {
			w := newWorld(t, setup{clusters: map[string]string{"c": trailersUpstream}})
			c := w.client()
			w.send(c, get) // so that a connection is there, and no chunks are joined
			b := w.backend(1)
			w.send(b, ok2)
			b.Received()
			c.Received()
			w.send(c, x.request)
			w.got(b, x.up)
			w.send(b, x.response)
			w.got(c, x.down)
			w.idle()
		})
	}
}

// TestSplit sends every exchange in two pieces, cut at every place of either side.
// Chunks may be cut too, so bodies are compared, not frames.
func TestSplit(t *testing.T) {
	for _, x := range exchanges() {
		t.Run(x.name, func(t *testing.T) {
			w := newWorld(t, setup{clusters: map[string]string{"c": trailersUpstream}})
			c := w.client()
			w.send(c, x.request)
			b := w.backend(1)
			b.Received()
			w.send(b, x.response)
			c.Received()
			for i := range x.request {
				w.send(c, x.request[:i])
				w.send(c, x.request[i:])
				if got := b.Received(); unchunk(got) != unchunk(x.up) {
					t.Fatalf("request cut at %d: host got %q", i, got)
				}
				at := i % len(x.response)
				w.send(b, x.response[:at])
				w.send(b, x.response[at:])
				if got := c.Received(); unchunk(got) != unchunk(x.down) {
					t.Fatalf("response cut at %d: client got %q", at, got)
				}
			}
			if w.next(1) != nil {
				t.Error("a connection was not reused")
			}
			w.idle()
		})
	}
}

// TestByteByByte moves one byte a read and a write, on all sides.
func TestByteByByte(t *testing.T) {
	for _, x := range exchanges() {
		w := newWorld(t, setup{clusters: map[string]string{"c": trailersUpstream}})
		c := w.client()
		c.Segments(1, 1)
		w.send(c, x.request)
		b := w.backend(1)
		b.Segments(1, 1)
		if got := b.Received(); unchunk(got) != unchunk(x.up) {
			t.Errorf("%s: host got %q", x.name, got)
		}
		w.send(b, x.response)
		if got := c.Received(); unchunk(got) != unchunk(x.down) {
			t.Errorf("%s: client got %q", x.name, got)
		}
		w.finish()
	}
}

// unchunk joins the chunks of a message that has them.
func unchunk(m string) string {
	head, rest, _ := strings.Cut(m, "\r\n\r\n")
	if !strings.Contains(head, "chunked") {
		return m
	}
	body := ""
	for {
		size, after, ok := strings.Cut(rest, "\r\n")
		n := 0
		for _, c := range size {
			n = n*16 + strings.IndexRune("0123456789abcdef", c)
		}
		if !ok || n == 0 || n+2 > len(after) {
			return head + "\r\n\r\n" + body + "|" + rest
		}
		body += after[:n]
		rest = after[n+2:]
	}
}

// TestHTTP10 keeps the client's version, and its connection only when asked to.
func TestHTTP10(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, "GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n")
	b := w.backend(1)
	w.got(b, getUp)
	w.send(b, ok2)
	w.got(c, "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n"+served+"connection: keep-alive\r\n\r\nok")
	w.send(c, "GET / HTTP/1.0\r\n\r\n")
	w.got(b, strings.Replace(getUp, "host: a", "host: ten", 1))
	w.send(b, ok2)
	w.got(c, "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n"+served+"connection: close\r\n\r\nok")
	if !c.Ended() {
		t.Error("the connection is kept")
	}
}

// TestCloseIsHonoured: what either side says of its connection concerns that one only.
func TestCloseIsHonoured(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
	b := w.backend(1)
	w.got(b, getUp)
	w.send(b, ok2)
	w.got(c, ok2Close)
	if !c.Ended() || b.Closed() {
		t.Errorf("client ended %v, host closed %v", c.Ended(), b.Closed())
	}
	c = w.client()
	w.send(c, get)
	w.got(b, getUp)
	w.send(b, strings.Replace(ok2, "\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1))
	w.got(c, ok2Down)
	if c.Ended() || !b.Closed() {
		t.Errorf("client ended %v, host closed %v", c.Ended(), b.Closed())
	}
	w.send(c, get)
	w.send(w.backend(1), ok2)
	w.got(c, ok2Down)
}

// TestMaxRequestsPerConnection: the last response says that it is the last.
func TestMaxRequestsPerConnection(t *testing.T) {
	w := newWorld(t, setup{edit: func(c *Config) { c.MaxRequestsPerConnection = 2 }})
	c := w.client()
	w.send(c, get+get+get)
	b := w.backend(1)
	w.send(b, ok2)
	w.got(c, ok2Down)
	w.send(b, ok2)
	w.got(c, ok2Close)
	if !c.Ended() {
		t.Error("the connection is kept")
	}
	w.stats("downstream_rq_total", 2)
}

// TestExpect answers 100-continue itself, or leaves it to the host.
func TestExpect(t *testing.T) {
	const expect = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, expect)
	w.got(c, "HTTP/1.1 100 Continue\r\n\r\n")
	b := w.backend(1)
	w.got(b, postUp(2))
	w.send(b, "HTTP/1.1 100 Continue\r\n\r\n")
	w.send(c, "hi")
	w.got(b, "hi")
	w.send(b, ok2)
	w.got(c, ok2Down)

	w = newWorld(t, setup{edit: func(c *Config) { c.Proxy100Continue = true }})
	c = w.client()
	w.send(c, expect)
	w.got(c, "")
	b = w.backend(1)
	if got := b.Received(); !strings.Contains(got, "expect: 100-continue\r\n") {
		t.Errorf("host got %q", got)
	}
	w.send(b, "HTTP/1.1 100 Continue\r\n\r\n")
	w.got(c, "HTTP/1.1 100 Continue\r\n\r\n")
	w.send(c, "hi")
	w.send(b, ok2)
	w.got(c, ok2Down)
	w.logged("POST / 200 - via_upstream")
}

// TestLocalReplies are answers that need no host.
func TestLocalReplies(t *testing.T) {
	tests := []struct {
		name string
		o    setup
		send string
		want string
		log  string
	}{
		{
			"no route", setup{route: `match { prefix: "/x" } route { cluster: "c" }`}, get,
			local("404 Not Found", ""), "GET / 404 NR route_not_found",
		},
		{
			"no virtual host", setup{table: `virtual_hosts { name: "v" domains: "b" routes { match { prefix: "/" } route { cluster: "c" } } }`}, get,
			local("404 Not Found", ""), "GET / 404 NR route_not_found",
		},
		{
			"no cluster", setup{route: `match { prefix: "/" } route { cluster: "gone" }`}, get,
			local("503 Service Unavailable", ""), "GET / 503 NC cluster_not_found",
		},
		{
			"direct response", setup{route: `match { prefix: "/" } direct_response { status: 418 body { inline_string: "teapot" } }`}, get,
			local("418 Unknown", "teapot"), "GET / 418 - direct_response",
		},
		{
			"direct response to HEAD",
			setup{route: `match { prefix: "/" } direct_response { status: 200 body { inline_string: "teapot" } }`},
			"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
			strings.TrimSuffix(local("200 OK", "teapot"), "teapot"), "HEAD / 200 - direct_response",
		},
		{
			"redirect", setup{route: `match { prefix: "/" } redirect { host_redirect: "b" }`}, get,
			"HTTP/1.1 301 Moved Permanently\r\nlocation: http://b/\r\n" + date + "server: envoy\r\ncontent-length: 0\r\n\r\n",
			"GET / 301 - direct_response",
		},
		{
			"no host", setup{clusters: map[string]string{"c": "common_lb_config { healthy_panic_threshold {} }"}, route: `match { prefix: "/" } route { cluster_header: "x-to" }`}, get,
			local("503 Service Unavailable", ""), "GET / 503 NC cluster_not_found",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.o)
			c := w.client()
			w.send(c, tt.send)
			w.got(c, tt.want)
			w.logged(tt.log)
			w.send(c, tt.send) // the connection is kept
			w.got(c, tt.want)
			w.logged(tt.log)
			w.idle()
		})
	}
}

// TestMalformed: what cannot be parsed is answered, logged without a head, and ends
// the connection.
func TestMalformed(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, "GET / HTTP/1.1\r\nhost : a\r\n\r\n")
	w.got(c, local("400 Bad Request", "Bad Request", "connection: close"))
	if got := w.log.take(); !strings.HasPrefix(got, "- - 400 DPE http1.") {
		t.Errorf("log %q", got)
	}
	if !c.Ended() {
		t.Error("the connection is kept")
	}
	w.stats("downstream_cx_protocol_error", 1, "downstream_rq_4xx", 1)
	second := w.client()
	w.send(second, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
	b := w.backend(1)
	// After a good head, in the body: that request is what fails.
	w.send(second, "zz\r\n")
	w.got(second, local("400 Bad Request", "Bad Request", "connection: close"))
	if got := w.log.take(); !strings.HasPrefix(got, "POST / 400 DPE http1.") {
		t.Errorf("log %q", got)
	}
	if !b.Closed() {
		t.Error("the host's connection is kept")
	}
	w.Advance(2 * time.Second)
	if !c.Closed() || !second.Closed() {
		t.Error("not closed after delayed_close_timeout")
	}
	w.idle()
}

// TestPipelinedMalformed: garbage after a good request is not answered before that
// request is.
func TestPipelinedMalformed(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, get+" oops\r\n\r\n")
	b := w.backend(1)
	w.send(b, ok2)
	w.got(c, ok2Down+local("400 Bad Request", "Bad Request", "connection: close"))
	if got := w.log.take(); !strings.HasPrefix(got, okLog+"; - - 400 DPE ") {
		t.Errorf("log %q", got)
	}
}
