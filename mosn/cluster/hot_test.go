package cluster

import (
	"testing"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

// quiet is a call whose owner does what a stream does, and nothing else.
type quiet struct {
	Call
	ctx      LBContext
	lc       *LoopCluster
	req, res sdk.Message
	bytes    int
	done     int
}

func newQuiet(lc *LoopCluster) *quiet {
	q := &quiet{lc: lc}
	q.req.AddID(sdk.HeaderMethod, "GET")
	q.req.AddID(sdk.HeaderPath, "/some/path")
	q.req.AddID(sdk.HeaderAuthority, "example.com")
	q.req.Add("user-agent", "test")
	return q
}

func (q *quiet) start() { q.lc.Start(&q.Call, q.lc.Choose(&q.ctx), nil, q, Default) }

func (q *quiet) OnCallReady(c *Call) {
	if err := c.WriteHeaders(&q.req, true); err != nil {
		panic(err)
	}
}
func (q *quiet) OnCallInformational(*Call, *sdk.Message) {}
func (q *quiet) OnCallHeaders(_ *Call, m *sdk.Message, end bool) {
	q.res.Swap(m)
	q.end(end)
}
func (q *quiet) OnCallData(_ *Call, p []byte, end bool) {
	q.bytes += len(p)
	q.end(end)
}
func (q *quiet) OnCallTrailers(*Call, *sdk.Message) { q.end(true) }
func (q *quiet) OnCallWritable(*Call)               {}
func (q *quiet) OnCallFailed(_ *Call, err *sdk.Error) {
	panic(err)
}

func (q *quiet) end(end bool) {
	if end {
		q.done++
	}
}

const hotAnswer = "hello\n"

// hot returns an exchange over a connection that is open already.
func hot(t testing.TB, fields string) (q *quiet, exchange func()) {
	w, lc := oneWith(t, lineCodec(), fields)
	q = newQuiet(lc)
	q.start()
	w.Settle()
	peer := w.dialled(1)
	answer := []byte(hotAnswer)
	finish := func() {
		peer.Take()
		peer.SendBytes(answer)
		w.Loop.RunTurn()
	}
	finish()
	return q, func() {
		q.start()
		w.Loop.RunTurn()
		finish()
	}
}

func TestExchangeDoesNotAllocate(t *testing.T) {
	for _, policy := range []string{"ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"} {
		q, exchange := hot(t, "lb_policy: "+policy)
		for range 100 {
			exchange()
		}
		before := q.done
		if n := testing.AllocsPerRun(1000, exchange); n != 0 {
			t.Errorf("%s: %v allocations per exchange", policy, n)
		}
		if q.done != before+1001 || q.bytes != 5*q.done {
			t.Fatalf("%d exchanges, %d bytes", q.done-before, q.bytes)
		}
	}
}

// BenchmarkExchange is Choose, Start, the request's head, the response and the
// return to the pool, with the loop's part of it.
func BenchmarkExchange(b *testing.B) {
	_, exchange := hot(b, "")
	b.ReportAllocs()
	for b.Loop() {
		exchange()
	}
}

// BenchmarkStart is what this package adds: Choose, Start and Cancel's counterpart,
// without a byte being written.
func BenchmarkStart(b *testing.B) {
	w, lc := oneWith(b, lineCodec(), "")
	w.OnDial(addr(1), looptest.Accept)
	q := newQuiet(lc)
	q.start()
	w.Settle()
	w.dialled(1).Send(hotAnswer)
	w.Settle()
	p := lc.pools[0]
	cn := p.idle
	silent := &silentCall{}
	b.ReportAllocs()
	for b.Loop() {
		lc.Start(&silent.Call, lc.Choose(&silent.ctx), nil, silent, Default)
		cn.detach(&silent.Call)
		cn.release(false)
	}
}

// silentCall writes nothing.
type silentCall struct {
	quiet
}

func (*silentCall) OnCallReady(*Call) {}

func BenchmarkCountResponse(b *testing.B) {
	_, lc := one(b, "")
	for b.Loop() {
		lc.CountResponse(200, false)
	}
}
