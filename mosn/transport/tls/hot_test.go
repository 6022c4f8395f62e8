package tls

import (
	"crypto/tls"
	"runtime"
	"testing"

	"sofamesh.io/sofamesh/mosn/eventloop"
)

// echoing sends back what comes and keeps nothing.
type echoing struct {
	eventloop.NopHandler
	n int
}

func (h *echoing) OnData(c *eventloop.Conn, in []byte) int {
	h.n += len(in)
	c.Out().Append(in)
	return len(in)
}

// requests returns a connection for which the peer has n records of size bytes ready, and
// what has the loop take the next one.
func requests(tb testing.TB, n, size int) (next func()) {
	tb.Helper()
	p := newPair(tb)
	r := newRig(tb)
	peer := r.accept(r.server(p.mutual()), 0)
	h := &echoing{}
	r.h.conn.SetHandler(h)
	held := &holding{far: &far{r: r, p: peer}, pass: 100}
	c := tls.Client(held, p.clientConfig())
	if err := c.Handshake(); err != nil {
		tb.Fatal(err)
	}
	_, _ = read(c)
	peer.Discard()
	held.pass = 0
	var cut []int
	msg := make([]byte, size)
	for range n {
		if _, err := c.Write(msg); err != nil {
			tb.Fatal(err)
		}
		cut = append(cut, len(held.out))
	}
	i, at := 0, 0
	return func() {
		peer.SendBytes(held.out[at:cut[i]])
		at = cut[i]
		i++
		for r.Turn() {
		}
		if h.n != i*size {
			tb.Fatalf("%d bytes came, not %d", h.n, i*size)
		}
	}
}

// TestNothingAllocated: opening and sealing a record allocates nothing of ours; crypto/tls
// allocates one small reader for each record that it reads.
func TestNothingAllocated(t *testing.T) {
	const runs = 200
	next := requests(t, 2*runs, 300)
	for range runs / 2 {
		next()
	}
	if n := testing.AllocsPerRun(runs, next); n > 2 && !raceOn {
		t.Errorf("%v allocations a request", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		next := requests(b, 1000, 300)
		b.StartTimer()
		for range 1000 {
			next()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/request")
}

// BenchmarkIdleMemory measures what a connection with mutual TLS keeps while it is idle,
// without the client's end.
func BenchmarkIdleMemory(b *testing.B) {
	p := newPair(b)
	const conns = 500
	for b.Loop() {
		r := newRig(b)
		s := r.server(p.mutual())
		cfg := p.clientConfig()
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc + m.StackInuse
		}
		peers := make([]*far, conns)
		for i := range peers {
			peers[i] = &far{r: r, p: r.accept(s, 0)}
		}
		before := heap()
		for _, f := range peers {
			c := tls.Client(f, cfg)
			if err := c.Handshake(); err != nil {
				b.Fatal(err)
			}
			_, _ = c.Write(make([]byte, 400))
			_, _ = read(c)
			f.in = nil
		}
		b.ReportMetric(float64(heap()-before)/conns, "B/conn")
		runtime.KeepAlive(peers)
		runtime.KeepAlive(r)
	}
}
