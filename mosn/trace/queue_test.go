package trace

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is a provider that only exports. It may be held up.
type sink struct {
	sdk.TraceProvider
	batching sdk.Batching
	hold     chan struct{} // each Export takes one, or the end of ctx; nil: none does

	mu      sync.Mutex
	names   []string
	exports []int // how many spans each had
}

func (s *sink) Batching() sdk.Batching { return s.batching }

func (s *sink) Export(ctx context.Context, spans []*sdk.Span, _ func(sdk.Counter, uint64)) {
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exports = append(s.exports, len(spans))
	for _, sp := range spans {
		s.names = append(s.names, strings.Clone(sp.Name()))
	}
}

func (s *sink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names
}

// rig is a sink behind Exporters of some loops.
type rig struct {
	t     *testing.T
	e     *Exporters
	sink  *sink
	store *stats.Store
}

func newRig(t *testing.T, loops, spans, most int) *rig {
	r := &rig{t: t, store: stats.NewStore(stats.Options{})}
	r.e = NewExporters(Options{Loops: loops, Shared: r.store.Shared()})
	root := r.store.Root()
	r.sink = &sink{batching: sdk.Batching{Spans: spans, Interval: time.Second, Most: most, Dropped: root.Counter("dropped"), Timed: root.Counter("timed")}}
	return r
}

func (r *rig) count(name string) uint64 {
	v, err := stats.NewCollector(r.store, nil, nil).Scrape(stats.Filter{})
	if err != nil {
		r.t.Fatal(err)
	}
	n, _ := v.Value(name)
	return n
}

func named(name string) *sdk.Span {
	s := &sdk.Span{}
	s.SetName(name)
	return s
}

func TestQueueBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 3, 100)
		q := r.e.Open("k", r.sink)
		for i := range 2 {
			q.Put(i, named(fmt.Sprint("first ", i)))
		}
		synctest.Wait()
		if len(r.sink.got()) != 0 {
			t.Errorf("sent at once: %q", r.sink.got())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(r.sink.got()) != 2 || r.count("timed") != 1 {
			t.Errorf("after the interval: %q, %d timed", r.sink.got(), r.count("timed"))
		}
		for i := range 3 {
			q.Put(1, named(fmt.Sprint("second ", i)))
		}
		synctest.Wait()
		if got := r.sink.got(); len(got) != 5 || got[4] != "second 2" || r.count("timed") != 1 {
			t.Errorf("after a batch: %q, %d timed", got, r.count("timed"))
		}
		q.Put(0, named("last"))
		if err := r.e.Close(); err != nil {
			t.Error(err)
		}
		if got := r.sink.got(); len(got) != 6 || got[5] != "last" {
			t.Errorf("after Close: %q", got)
		}
		q.Put(0, named("too late")) // must not panic
	})
}

// TestQueueDrops: a collector that is stuck costs spans, which are counted, and memory
// that is bounded; the loop goes on.
func TestQueueDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 2, 8)
		r.sink.hold = make(chan struct{})
		q := r.e.Open("k", r.sink)
		const spans = 50
		for i := range spans {
			q.Put(0, named(fmt.Sprint(i)))
		}
		synctest.Wait()
		close(r.sink.hold)
		synctest.Wait()
		if err := r.e.Close(); err != nil {
			t.Error(err)
		}
		if got := r.sink.got(); len(got) != 8 || got[7] != "7" || r.count("dropped") != spans-8 {
			t.Errorf("%q are sent, %d dropped", got, r.count("dropped"))
		}
	})
}

func TestQueueBoundsBytes(t *testing.T) {
	r := &ring{}
	s := &sdk.Span{}
	put := 0
	for range 2000 {
		for range 4 {
			s.Tag("t", strings.Repeat("x", 8<<10)) // of which 4 kB count
		}
		if _, ok := r.put(s, 2000); ok {
			put++
		}
		if s.Tags() != 0 {
			t.Fatal("put has left something")
		}
	}
	if limit := maxBytes / (16 << 10); put < limit-1 || put > limit {
		t.Errorf("%d large spans wait, the limit is %d", put, limit)
	}
	r.release(put)
	if _, ok := r.put(s, 2000); !ok || r.waiting() != 1 {
		t.Error("there is no room after release")
	}
}

// TestStuckAtTheEnd: Close does not wait for a collector that hangs.
func TestStuckAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 1, 8)
		r.sink.hold = make(chan struct{})
		r.e.Open("k", r.sink).Put(0, named("a"))
		before := time.Now()
		if err := r.e.Close(); err == nil || !strings.Contains(err.Error(), "are left") {
			t.Errorf("Close says %v", err)
		}
		if d := time.Since(before); d > 2*lastWords {
			t.Errorf("Close took %v", d)
		}
	})
}

// TestShared: those with one configuration share a queue, which ends with the last.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 10, 100)
		a, b := r.e.Open("k", r.sink), r.e.Open("k", &sink{batching: r.sink.batching})
		other := r.e.Open("other", &sink{batching: r.sink.batching})
		if a != b || a == other {
			t.Error("queues are told apart by something else than the key")
		}
		a.Put(0, named("one"))
		a.Close()
		b.Put(0, named("two"))
		synctest.Wait()
		if len(r.sink.got()) != 0 {
			t.Error("the queue has ended with its first user")
		}
		b.Close()
		synctest.Wait()
		if len(r.sink.got()) != 2 {
			t.Errorf("with the last user %q are sent", r.sink.got())
		}
		if c := r.e.Open("k", r.sink); c == a {
			t.Error("a queue that has ended is used again")
		}
		if err := r.e.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestLoopsAndExporter is for the race detector.
func TestLoopsAndExporter(t *testing.T) {
	const loops, spans = 3, 5000
	r := newRig(t, loops, 5, 64)
	q := r.e.Open("k", r.sink)
	var wg sync.WaitGroup
	for loop := range loops {
		wg.Go(func() {
			s := &sdk.Span{}
			for i := range spans {
				s.SetName(fmt.Sprint(loop, " ", i))
				s.Tag("a", "b")
				q.Put(loop, s)
			}
		})
	}
	wg.Wait()
	if err := r.e.Close(); err != nil {
		t.Error(err)
	}
	next := [loops]int{}
	for _, name := range r.sink.got() {
		var loop, i int
		if _, err := fmt.Sscan(name, &loop, &i); err != nil || i < next[loop] {
			t.Fatalf("%q after %d of its loop: %v", name, next[loop], err)
		}
		next[loop] = i + 1
	}
	if got, dropped := len(r.sink.got()), int(r.count("dropped")); got+dropped != loops*spans || got == 0 {
		t.Errorf("%d sent, %d dropped, of %d", got, dropped, loops*spans)
	}
	for _, n := range r.sink.exports {
		if n > 64 {
			t.Errorf("a batch of %d", n)
		}
	}
}

func TestPutDoesNotAllocate(t *testing.T) {
	r := &ring{}
	s := &sdk.Span{}
	for range 128 {
		fill(s)
		r.put(s, 64)
		r.release(r.waiting())
	}
	if n := testing.AllocsPerRun(100, func() {
		fill(s)
		r.put(s, 64)
		r.release(r.waiting())
	}); n != 0 {
		t.Errorf("%v allocations a span", n)
	}
}

func fill(s *sdk.Span) {
	s.SetName("egress ", "shop.test")
	for range 20 {
		s.Tag("http.method", "GET")
	}
	s.TagUint("request_size", 1234)
	s.Event(time.Time{}, "first_upstream_tx_byte_sent")
}
