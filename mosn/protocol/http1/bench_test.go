package http1

import (
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

const (
	wrkHead  = "GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:10000\r\n\r\n"
	curlHead = "GET /api/v1/things/42?verbose=1 HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"
	// apiHead has ten headers, as a call between services has.
	apiHead = "POST /com.acme.Hello/sayHello HTTP/1.1\r\nHost: hello.default.svc.cluster.local:8080\r\n" +
		"User-Agent: Apache-HttpClient/4.5.14 (Java/17.0.9)\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate\r\n" +
		"Content-Type: application/json; charset=utf-8\r\nContent-Length: 5\r\nX-Request-Id: 6f0ad7a2-3d0b-4d1e-9d0e-5b8f8f2f6a11\r\n" +
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX-B3-Sampled: 1\r\nAuthorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789\r\n\r\nhello"
	browserHead = "GET /search?q=service+mesh&hl=en HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n" +
		"sec-ch-ua: \"Chromium\";v=\"124\", \"Google Chrome\";v=\"124\", \"Not-A.Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\n" +
		"sec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nSec-Fetch-Site: none\r\n" +
		"Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Accept-Language: en-US,en;q=0.9,de;q=0.8\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n\r\n"
	answer = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 27 Jul 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n" +
		"Content-Length: 12\r\nETag: \"abc\"\r\nCache-Control: no-cache\r\n\r\nhello, world"
)

// proxied is a connection on each side, and what a proxy holds beside them.
type proxied struct {
	server, client sdk.CodecConn
	req, resp      sdk.Message
	up, down       sdk.Buffer
	ev             sdk.Event
	in, answer     []byte
}

func newProxied(tb testing.TB, request, answer string) *proxied {
	pool := sdk.NewBufferPool(8)
	p := &proxied{
		server: newConfig(tb, sdk.Downstream, nil).New(), client: newConfig(tb, sdk.Upstream, nil).New(),
		in: []byte(request), answer: []byte(answer),
	}
	p.up.Init(pool)
	p.down.Init(pool)
	return p
}

// request carries a request from one side to the other.
func (p *proxied) request(tb testing.TB) {
	p.ev.Msg = &p.req
	in := p.in
	id := p.client.NewStream()
	for {
		n, err := p.server.Decode(in, &p.ev)
		if err != nil {
			tb.Fatal(err)
		}
		in = in[n:]
		if p.ev.Kind == sdk.EventHeaders {
			if err := p.client.WriteHeaders(&p.up, id, &p.req, p.ev.End); err != nil {
				tb.Fatal(err)
			}
		} else {
			p.client.WriteData(&p.up, id, p.ev.Data, p.ev.End)
		}
		if p.ev.End {
			break
		}
	}
	p.up.Release()
}

// response carries a response back.
func (p *proxied) response(tb testing.TB) {
	p.ev.Msg = &p.resp
	in := p.answer
	for {
		n, err := p.client.Decode(in, &p.ev)
		if err != nil {
			tb.Fatal(err)
		}
		in = in[n:]
		if p.ev.Kind == sdk.EventHeaders {
			if err := p.server.WriteHeaders(&p.down, 1, &p.resp, p.ev.End); err != nil {
				tb.Fatal(err)
			}
		} else {
			p.server.WriteData(&p.down, 1, p.ev.Data, p.ev.End)
		}
		if p.ev.End {
			break
		}
	}
	p.down.Release()
}

func (p *proxied) exchange(tb testing.TB) {
	p.request(tb)
	p.response(tb)
}

// shapes are the exchanges that benchmarks and allocation tests run.
func shapes() map[string][2]string {
	return map[string][2]string{
		"wrk":     {wrkHead, answer},
		"curl":    {curlHead, answer},
		"api":     {apiHead, answer},
		"browser": {browserHead, answer},
		"chunked": {
			"POST /up HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n3\r\nabc\r\n0\r\nx-t: v\r\n\r\n",
			"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		},
		"big": {"GET / HTTP/1.1\r\nhost: h\r\ncookie: " + strings.Repeat("c", 40_000) + "\r\n\r\n", answer},
	}
}

func BenchmarkExchange(b *testing.B) {
	for name, s := range shapes() {
		b.Run(name, func(b *testing.B) {
			p := newProxied(b, s[0], s[1])
			b.ReportAllocs()
			for b.Loop() {
				p.exchange(b)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, s := range []struct{ name, head string }{{"wrk", wrkHead}, {"curl", curlHead}, {"api", apiHead}, {"browser", browserHead}} {
		b.Run(s.name, func(b *testing.B) {
			var m sdk.Message
			ev := sdk.Event{Msg: &m}
			conn := newConfig(b, sdk.Downstream, nil).New().(*server)
			in := []byte(s.head)
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				conn.state = inHead
				if n, err := conn.Decode(in, &ev); n == 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, s := range []struct{ name, head string }{{"wrk", wrkHead}, {"curl", curlHead}, {"api", apiHead}, {"browser", browserHead}} {
		b.Run(s.name, func(b *testing.B) {
			var m sdk.Message
			ev := sdk.Event{Msg: &m}
			if _, err := newConfig(b, sdk.Downstream, nil).New().Decode([]byte(s.head), &ev); err != nil {
				b.Fatal(err)
			}
			conn := newConfig(b, sdk.Upstream, nil).New().(*client)
			out := buffer()
			for b.Loop() {
				conn.state, conn.sent = done, true
				if err := conn.WriteHeaders(out, 1, &m, true); err != nil {
					b.Fatal(err)
				}
				out.Release()
			}
		})
	}
}

// TestExchangeAllocs proves that neither side allocates once its storage has
// grown.
func TestExchangeAllocs(t *testing.T) {
	for name, s := range shapes() {
		p := newProxied(t, s[0], s[1])
		if n := testing.AllocsPerRun(100, func() { p.exchange(t) }); n != 0 {
			t.Errorf("%s: %v allocations per exchange", name, n)
		}
	}
}
