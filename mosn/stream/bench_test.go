package stream

import (
	"strings"
	"testing"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

// The traffic of test/bench: what a load generator and a small server send.
const (
	benchRequest = "GET /api/v1/items?id=42 HTTP/1.1\r\nhost: bench.example.com\r\nuser-agent: load/1.0\r\naccept: */*\r\n" +
		"accept-encoding: gzip, deflate\r\naccept-language: en\r\ncookie: session=0123456789abcdef\r\n" +
		"x-forwarded-for: 10.0.0.1\r\nx-client: abc\r\n\r\n"
	benchResponse = "HTTP/1.1 200 OK\r\nserver: backend\r\ndate: Fri, 02 Jan 2026 03:04:05 GMT\r\ncontent-type: text/plain\r\n" +
		"content-length: 13\r\ncache-control: no-cache\r\nx-backend: b1\r\n\r\nHello, world!"
)

// exchanger makes whole exchanges over one connection on each side.
type exchanger struct {
	w    *world
	c, b *looptest.Peer
	req  []byte
	resp []byte
}

func newExchanger(t testing.TB, o setup, req, resp string) *exchanger {
	t.Helper()
	edit := o.edit
	o.edit = func(c *Config) {
		c.AccessLogs = nil // formatting is measured beside it
		c.GenerateRequestID = true
		if edit != nil {
			edit(c)
		}
	}
	w := newWorld(t, o)
	w.unlogged = true
	x := &exchanger{w: w, c: w.client(), req: []byte(req), resp: []byte(resp)}
	w.send(x.c, req)
	x.b = w.backend(1)
	w.send(x.b, resp)
	if got := x.c.Received(); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
		t.Fatalf("got %q", got)
	}
	x.b.Received()
	for range 10 {
		x.exchange(t)
	}
	return x
}

// exchange is one request from the client's socket to the host's, and its answer back.
func (x *exchanger) exchange(t testing.TB) {
	x.c.SendBytes(x.req)
	x.w.Turn()
	if len(x.b.Take()) == 0 {
		t.Fatal("the host got nothing")
	}
	x.b.SendBytes(x.resp)
	x.w.Turn()
	if len(x.c.Take()) == 0 {
		t.Fatal("the client got nothing")
	}
}

// TestProxyRequestAllocs: a proxied request on warm connections allocates nothing, not
// with filters, a retry policy or a body either.
func TestProxyRequestAllocs(t *testing.T) {
	posted := "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"
	tests := []struct {
		name string
		o    setup
		req  string
	}{
		{"plain", setup{}, benchRequest},
		{"edge", setup{edit: func(c *Config) { c.UseRemoteAddress = true }}, benchRequest},
		{"body", setup{}, posted},
		{"retry policy", setup{action: `retry_policy { retry_on: "5xx,connect-failure,reset" num_retries { value: 2 } per_try_timeout { seconds: 3 } }`}, posted},
		{"stateful filter", setup{filters: []FilterConfig{{Name: "s", Config: stateful{}}, {Name: "t", Config: stateful{}}}}, posted},
		{"mirror", setup{action: `request_mirror_policies { cluster: "m" }`, clusters: map[string]string{"m": ""}}, benchRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newExchanger(t, tt.o, tt.req, benchResponse)
			exchange := func() { x.exchange(t) }
			if m := x.w.next(11); m != nil { // a mirror, whose connection is used again once it has answered
				for x.w.next(11) != nil {
				}
				exchange = func() {
					m.SendBytes(x.resp)
					x.w.Turn()
					x.exchange(t)
					if len(m.Take()) == 0 {
						t.Fatal("the mirror got nothing")
					}
				}
				m.Take()
			}
			if n := testing.AllocsPerRun(1000, exchange); n != 0 {
				t.Errorf("%v allocations a request", n)
			}
		})
	}
}

// pusher is a host that calls the client it knows.
type pusher struct {
	w            *world
	c, host      *looptest.Peer
	push, answer []byte
}

func newPusher(t testing.TB) *pusher {
	t.Helper()
	p := &pusher{w: newWorld(t, paired(setup{edit: func(c *Config) { c.AccessLogs = nil }}))}
	p.w.unlogged = true
	p.c, p.host = p.w.tied()
	p.push, p.answer = []byte(request(7, "push", 3000, "news").String()), []byte(answerTo(0, "thanks").String())
	for range 10 {
		p.exchange(t)
	}
	return p
}

// exchange is one request of the host's, and the client's answer to it.
func (p *pusher) exchange(t testing.TB) {
	p.host.SendBytes(p.push)
	p.w.Turn()
	got := p.c.Take()
	if len(got) != len(p.push) {
		t.Fatal("the client got nothing")
	}
	copy(p.answer[5:9], got[5:]) // the id
	p.c.SendBytes(p.answer)
	p.w.Turn()
	if len(p.host.Take()) != len(p.answer) {
		t.Fatal("the host got nothing")
	}
}

// TestReverseAllocs: a host's request allocates nothing.
func TestReverseAllocs(t *testing.T) {
	p := newPusher(t)
	if n := testing.AllocsPerRun(1000, func() { p.exchange(t) }); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

// BenchmarkReverse is the time in user space of a host's request to its client.
func BenchmarkReverse(b *testing.B) {
	p := newPusher(b)
	b.ReportAllocs()
	for b.Loop() {
		p.exchange(b)
	}
}

// BenchmarkProxyRequest is the time in user space of one proxied keep-alive GET with
// eight headers and six in its response: everything but the kernel.
func BenchmarkProxyRequest(b *testing.B) {
	x := newExchanger(b, setup{}, benchRequest, benchResponse)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		x.exchange(b)
	}
}

// BenchmarkProxyFilters is the same behind two filters with state.
func BenchmarkProxyFilters(b *testing.B) {
	filters := []FilterConfig{{Name: "s", Config: stateful{}}, {Name: "t", Config: stateful{}}}
	x := newExchanger(b, setup{filters: filters}, benchRequest, benchResponse)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		x.exchange(b)
	}
}

// BenchmarkProxyBody sends 16 kB back.
func BenchmarkProxyBody(b *testing.B) {
	resp := strings.Replace(benchResponse, "content-length: 13", "content-length: 16384", 1)
	resp = resp[:strings.Index(resp, "\r\n\r\n")+4] + strings.Repeat("x", 16384)
	x := newExchanger(b, setup{}, benchRequest, resp)
	b.ReportAllocs()
	b.SetBytes(int64(len(resp)))
	b.ResetTimer()
	for range b.N {
		x.exchange(b)
	}
}
