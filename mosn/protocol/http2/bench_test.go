package http2

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
)

// proxied is a connection on each side, and what a proxy holds beside them, with
// peers that speak this same codec.
type proxied struct {
	client, server, up, down *conn // peer, ours to it, ours, peer
	wire                     [4]sdk.Buffer
	msg                      sdk.Message
	ev                       sdk.Event
	request, response        *sdk.Message
	body, scratch            []byte
}

func newProxied(tb testing.TB, request, response []string, body int) *proxied {
	pool := sdk.NewBufferPool(16)
	down, up := newConfig(tb, sdk.Downstream, nil), newConfig(tb, sdk.Upstream, &corev3.Http2ProtocolOptions{InitialStreamWindowSize: u32(defaultWindow)})
	p := &proxied{
		client: up.New().(*conn), server: down.New().(*conn), up: up.New().(*conn), down: down.New().(*conn),
		request: message(request...), response: message(response...), body: []byte(strings.Repeat("x", body)),
		scratch: make([]byte, 0, 1<<20),
	}
	for i := range p.wire {
		p.wire[i].Init(pool)
	}
	p.ev.Msg = &p.msg
	all := p.body
	p.body = nil // the windows are small before the settings have come
	p.exchange(tb)
	p.body = all
	return p
}

// move feeds what is in a buffer to a codec and hands its events on.
func (p *proxied) move(tb testing.TB, from *sdk.Buffer, to *conn, back *sdk.Buffer, f func(ev *sdk.Event)) {
	to.Clock(0)
	in := from.Bytes(p.scratch[:0])
	from.Release()
	for len(in) > 0 || to.Pending() {
		n, err := to.Decode(in, &p.ev)
		if err != nil {
			tb.Fatal(err)
		}
		in = in[n:]
		if p.ev.Kind == sdk.EventNone && n == 0 {
			to.Flush(back)
			continue
		}
		if p.ev.Kind == sdk.EventData {
			to.Consumed(back, p.ev.Stream, len(p.ev.Data))
		}
		f(&p.ev)
	}
	to.Flush(back)
}

// pass writes an event to another codec.
func (p *proxied) pass(tb testing.TB, to *conn, out *sdk.Buffer, id uint64) func(ev *sdk.Event) {
	return func(ev *sdk.Event) {
		switch ev.Kind {
		case sdk.EventHeaders:
			if err := to.WriteHeaders(out, id, ev.Msg, ev.End); err != nil {
				tb.Fatal(err)
			}
		case sdk.EventData:
			if n := to.WriteData(out, id, ev.Data, ev.End); n != len(ev.Data) {
				tb.Fatal("no window for", len(ev.Data)-n)
			}
		case sdk.EventTrailers:
			to.WriteTrailers(out, id, ev.Msg)
		}
	}
}

// exchange carries a request and its response through all of it.
func (p *proxied) exchange(tb testing.TB) {
	w := &p.wire
	drop := func(*sdk.Event) {}
	id, upID := p.client.NewStream(), p.up.NewStream()
	if err := p.client.WriteHeaders(&w[0], id, p.request, false); err != nil {
		tb.Fatal(err)
	}
	p.client.WriteData(&w[0], id, p.body, true)
	p.move(tb, &w[0], p.server, &w[3], p.pass(tb, p.up, &w[1], upID))
	p.move(tb, &w[1], p.down, &w[2], drop)
	if err := p.down.WriteHeaders(&w[2], upID, p.response, false); err != nil {
		tb.Fatal(err)
	}
	p.down.WriteData(&w[2], upID, p.body, true)
	p.move(tb, &w[2], p.up, &w[1], p.pass(tb, p.server, &w[3], id))
	p.move(tb, &w[3], p.client, &w[0], drop)
}

// shape is an exchange that benchmarks and allocation tests run.
type shape struct {
	request, response []string
	body              int
}

func shapes() map[string]shape {
	call := []string{
		":method", "POST", ":scheme", "http", ":path", "/com.acme.Hello/sayHello", ":authority", "hello.default.svc:8080",
		"content-type", "application/grpc", "te", "trailers", "user-agent", "grpc-go/1.84.0", "x-request-id", "6f0ad7a2-3d0b-4d1e-9d0e-5b8f8f2f6a11",
	}
	answer := []string{":status", "200", "content-type", "application/grpc", "date", "Mon, 27 Jul 2026 10:00:00 GMT", "server", "envoy"}
	return map[string]shape{
		"grpc":  {call, answer, 1000},
		"large": {append(call, "cookie", strings.Repeat("c", 30_000)), answer, 1000},
		"body":  {call, answer, 100_000},
	}
}

// TestExchangeAllocs proves that nothing is allocated once storage has grown: for
// requests, responses and what is said beside them.
func TestExchangeAllocs(t *testing.T) {
	for name, s := range shapes() {
		p := newProxied(t, s.request, s.response, s.body)
		for range 100 {
			p.exchange(t)
		}
		n := testing.AllocsPerRun(200, func() { p.exchange(t) })
		if name == "large" {
			if n > 8 { // heads over several frames are put together elsewhere
				t.Errorf("%s: %v allocations per exchange", name, n)
			}
		} else if n != 0 {
			t.Errorf("%s: %v allocations per exchange", name, n)
		}
		for i, c := range []*conn{p.client, p.server, p.up, p.down} {
			if c.used() != 0 || c.live != 0 {
				t.Errorf("%s: conn %d has %d streams left", name, i, c.used())
			}
		}
	}
}

// TestBurstAllocs: a connection to an upstream that carries burst after burst keeps its
// storage; a client's gives it back.
func TestBurstAllocs(t *testing.T) {
	burst := func(c *conn) {
		for id := uint32(1); id < 2*keepUpstream; id += 2 {
			c.add(id)
		}
		for id := uint32(1); id < 2*keepUpstream; id += 2 {
			c.remove(c.get(id))
		}
	}
	up := newConfig(t, sdk.Upstream, nil).New().(*conn)
	burst(up)
	if n := testing.AllocsPerRun(10, func() { burst(up) }); n != 0 {
		t.Errorf("%v allocations in a burst upstream", n)
	}
	down := newConfig(t, sdk.Downstream, nil).New().(*conn)
	if burst(down); down.free != nil || down.keep != keepDownstream {
		t.Error("a client's connection keeps the storage of its burst")
	}
}

// BenchmarkExchange is what four codecs do for a request and its response: a proxy is
// two of them.
func BenchmarkExchange(b *testing.B) {
	for name, s := range shapes() {
		b.Run(name, func(b *testing.B) {
			p := newProxied(b, s.request, s.response, s.body)
			b.ReportAllocs()
			for b.Loop() {
				p.exchange(b)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, s := range shapes() {
		if name == "large" {
			continue
		}
		b.Run(name, func(b *testing.B) {
			p := newProxied(b, s.request, s.response, s.body)
			p.exchange(b)
			p.exchange(b)
			p.exchange(b)
			// The same request again and again; the ids are put right in place.
			id := p.client.NewStream()
			if err := p.client.WriteHeaders(&p.wire[0], id, p.request, true); err != nil {
				b.Fatal(err)
			}
			in := p.wire[0].Bytes(nil)
			b.ReportAllocs()
			for b.Loop() {
				p.server.last = uint32(id) - 2
				if n, err := p.server.Decode(in, &p.ev); n != len(in) || err != nil {
					b.Fatal(n, err)
				}
				s := p.server.get(uint32(id))
				s.flags |= localEnd
				p.server.ended(s)
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	s := shapes()["grpc"]
	p := newProxied(b, s.request, s.response, s.body)
	p.exchange(b)
	p.client.WriteHeaders(&p.wire[0], p.client.NewStream(), p.request, true) //nolint:errcheck // a warm-up
	p.wire[0].Release()
	b.ReportAllocs()
	for b.Loop() {
		id := p.client.NewStream()
		if err := p.client.WriteHeaders(&p.wire[0], id, p.request, true); err != nil {
			b.Fatal(err)
		}
		p.wire[0].Release()
		p.client.kill(p.client.find(id), false)
		if p.client.next > 1<<30 {
			p.client.next, p.client.last = 1, 0
		}
	}
}
