package bolt

import (
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// pair relays a request and its response between two connections for ever.
type pair struct {
	tb                testing.TB
	down, up          sdk.CodecConn
	toUp, toDown      sdk.Buffer
	msg               sdk.Message
	ev                sdk.Event
	request, response []byte
	edit              func(*sdk.Message)
	n                 uint32
}

func newPair(tb testing.TB, request, response []byte) *pair {
	down, up := ends(tb, Limits{})
	p := &pair{tb: tb, down: down.New(), up: up.New(), request: request, response: response}
	pool := sdk.NewBufferPool(8)
	p.toUp.Init(pool)
	p.toDown.Init(pool)
	return p
}

// exchange is one call.
func (p *pair) exchange() {
	p.n++
	patchID(p.request, p.n)
	patchID(p.response, p.n)
	asked := p.up.NewStream()
	client := p.pass(p.down, p.up, p.request, asked, &p.toUp)
	p.pass(p.up, p.down, p.response, client, &p.toDown)
}

// pass carries one message and returns the stream it was read on.
func (p *pair) pass(from, to sdk.CodecConn, in []byte, stream uint64, out *sdk.Buffer) (read uint64) {
	for len(in) > 0 {
		p.ev.Msg = &p.msg
		n, err := from.Decode(in, &p.ev)
		if err != nil {
			p.tb.Fatal(err)
		}
		in = in[n:]
		if p.ev.Kind == sdk.EventHeaders {
			read = p.ev.Stream
			if p.edit != nil {
				p.edit(&p.msg)
			}
			if err := to.WriteHeaders(out, stream, &p.msg, p.ev.End); err != nil {
				p.tb.Fatal(err)
			}
		} else {
			to.WriteData(out, stream, p.ev.Data, p.ev.End)
		}
	}
	if out.Len() < 100 {
		p.tb.Fatal("nothing was written")
	}
	out.Release()
	return read
}

// javaPair is a call of the Java client, with Hessian, padded to about 1 kB.
func javaPair(tb testing.TB) *pair {
	frames := captured(tb)
	for _, p := range frames {
		var f fixed
		if _ = f.parse(p); f.kind == typeRequest && f.serial == serialHessian && f.headers > 100 {
			return newPair(tb, p, answer(1, strings.Repeat("x", 1000)).bytes())
		}
	}
	tb.Fatal("no such capture")
	return nil
}

func TestNoAllocation(t *testing.T) {
	for name, edit := range map[string]func(*sdk.Message){
		"as it came": nil,
		"edited":     func(m *sdk.Message) { m.Set("traceparent", "00-0123456789"); m.Remove("type") },
	} {
		p := javaPair(t)
		p.edit = edit
		for range 100 {
			p.exchange()
		}
		if n := testing.AllocsPerRun(1000, p.exchange); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	b.Run("java", func(b *testing.B) {
		p := javaPair(b)
		b.ReportAllocs()
		for b.Loop() {
			p.exchange()
		}
	})
	b.Run("edited", func(b *testing.B) {
		p := javaPair(b)
		p.edit = func(m *sdk.Message) { m.Set("traceparent", "00-0123456789") }
		b.ReportAllocs()
		for b.Loop() {
			p.exchange()
		}
	})
	b.Run("protobuf", func(b *testing.B) {
		p := newPair(b, call(1, strings.Repeat("x", 1000)).bytes(), answer(1, strings.Repeat("x", 1000)).bytes())
		b.ReportAllocs()
		for b.Loop() {
			p.exchange()
		}
	})
}
