package framecodec

import (
	"encoding/binary"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// pair relays a request and its response between two connections for ever.
type pair struct {
	tb                testing.TB
	p                 Protocol
	down, up          sdk.CodecConn
	toUp, toDown      sdk.Buffer
	msg               sdk.Message
	ev                sdk.Event
	request, response []byte
	n                 uint64
}

func newPair(tb testing.TB, p Protocol, request, response frame) *pair {
	down, up := ends(tb, p)
	r := &pair{tb: tb, p: p, down: down.New(), up: up.New(), request: request.bytes(), response: response.bytes()}
	pool := sdk.NewBufferPool(8)
	r.toUp.Init(pool)
	r.toDown.Init(pool)
	return r
}

// exchange is one call.
func (r *pair) exchange() {
	r.n++
	binary.BigEndian.PutUint64(r.request[4:], r.n)
	asked := r.up.NewStream()
	client := r.pass(r.down, r.up, r.request, asked, &r.toUp)
	binary.BigEndian.PutUint64(r.response[4:], inner(r.up).lastID)
	r.pass(r.up, r.down, r.response, client, &r.toDown)
}

// pass carries one message and returns the stream it was read on.
func (r *pair) pass(from, to sdk.CodecConn, in []byte, stream uint64, out *sdk.Buffer) (read uint64) {
	for len(in) > 0 {
		r.ev.Msg = &r.msg
		n, err := from.Decode(in, &r.ev)
		if err != nil {
			r.tb.Fatal(err)
		}
		in = in[n:]
		if r.ev.Kind == sdk.EventHeaders {
			read = r.ev.Stream
			if err := to.WriteHeaders(out, stream, &r.msg, r.ev.End); err != nil {
				r.tb.Fatal(err)
			}
		} else {
			to.WriteData(out, stream, r.ev.Data, r.ev.End)
		}
	}
	if out.Len() < 1000 {
		r.tb.Fatal("nothing was written")
	}
	out.Release()
	return read
}

func pairs(tb testing.TB) map[string]*pair {
	body := strings.Repeat("x", 1000)
	light := tp()
	light.Level = sdk.Light
	headers := []string{"Trace-Id", "0123456789abcdef", "App", "shop", "zone", "a"}
	return map[string]*pair{
		"light":  newPair(tb, light, call(1, body), answer(1, body)),
		"medium": newPair(tb, tp(), call(1, body, headers...), answer(1, body, headers...)),
		"serial": newPair(tb, serialTP(), call(1, body), answer(1, body)),
	}
}

func TestNoAllocation(t *testing.T) {
	for name, r := range pairs(t) {
		for range 100 {
			r.exchange()
		}
		if n := testing.AllocsPerRun(1000, r.exchange); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestNoAllocationWaiting: nor do frames that wait for another one, and heartbeats.
func TestNoAllocationWaiting(t *testing.T) {
	down, up := ends(t, tp())
	c, out := up.New(), buffer()
	m, empty := request(t, down, call(1, "body")), request(t, down, call(1, ""))
	beat, body := frame{kind: Heartbeat, id: 4}.bytes(), []byte("body")
	ev := sdk.Event{Msg: new(sdk.Message)}
	round := func() {
		first, second := c.NewStream(), c.NewStream()
		if c.WriteHeaders(out, first, m, false) != nil || c.WriteHeaders(out, second, empty, true) != nil {
			t.Fatal("not written")
		}
		if _, err := c.Decode(beat, &ev); err != nil {
			t.Fatal(err)
		}
		c.WriteData(out, first, body, true)
		c.WriteReset(out, first, sdk.ResetLocal)
		c.WriteReset(out, second, sdk.ResetLocal)
		out.Release()
	}
	for range 100 {
		round()
	}
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	for name, r := range pairs(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.exchange()
			}
		})
	}
}
