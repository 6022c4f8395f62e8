package cluster

import (
	"fmt"
	"testing"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

// hotMux returns a batch of n exchanges over one shared connection, started on the
// loop of that number; the connection is loop 0's.
func hotMux(t testing.TB, loop, n int) (calls []*quiet, batch func()) {
	w, lc := relayed(t, frameCodec{}, "")
	for range n {
		calls = append(calls, newQuiet(lc(loop)))
	}
	id := uint64(0)
	var answers []byte
	var peer *looptest.Peer
	turn := func() {
		for range 3 {
			w.Group.Loop(loop).RunTurn()
			if loop != 0 {
				w.Loop.RunTurn()
			}
		}
	}
	batch = func() {
		for _, q := range calls {
			q.start()
		}
		turn()
		if peer == nil {
			w.Settle()
			peer = w.dialled(1)
		}
		peer.Take()
		answers = answers[:0]
		for range calls {
			id++
			answers = appendFrame(answers, 'H', id, "")
			answers = appendFrame(answers, 'd', id, "hello")
		}
		peer.SendBytes(answers)
		turn()
	}
	batch()
	return calls, batch
}

func TestSharedExchangeDoesNotAllocate(t *testing.T) {
	for _, loop := range []int{0, 3} {
		t.Run(fmt.Sprint(loop), func(t *testing.T) {
			calls, batch := hotMux(t, loop, 10)
			for range 20 {
				batch()
			}
			if n := testing.AllocsPerRun(200, batch); n != 0 {
				t.Errorf("%v allocations per 10 exchanges", n)
			}
			for _, q := range calls {
				if q.done != 222 || q.bytes != 5*q.done {
					t.Fatalf("%d exchanges, %d bytes", q.done, q.bytes)
				}
			}
		})
	}
}

// BenchmarkSharedExchange is BenchmarkExchange with 64 calls at a time on one
// connection: on the loop that has it, and handed over by another one.
func BenchmarkSharedExchange(b *testing.B) {
	for _, loop := range []int{0, 3} {
		b.Run([]string{"own", "", "", "handed-over"}[loop], func(b *testing.B) {
			_, batch := hotMux(b, loop, 64)
			b.ReportAllocs()
			for b.Loop() {
				batch()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/exchange")
		})
	}
}
