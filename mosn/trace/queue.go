package trace

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// lastWords is how long queues have, when the proxy ends, to send what they hold.
const lastWords = time.Second

// Options says what Exporters needs of its process.
type Options struct {
	Loops  int // spans come from loops 0 to Loops-1
	Shared *stats.Shared
}

// Exporters owns the queues. Its methods are called off the loops.
type Exporters struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	byKey  map[string]*Queue
	closed bool
	wg     sync.WaitGroup
}

// NewExporters returns an Exporters without queues.
func NewExporters(o Options) *Exporters {
	e := &Exporters{o: o, byKey: map[string]*Queue{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// Open returns the queue of a provider with a configuration, which key stands for: the
// same for the same key, so that it is p of the first who asked that exports. Each Open
// is undone by Close of what it returned.
func (e *Exporters) Open(key string, p sdk.TraceProvider) sdk.SpanQueue {
	e.mu.Lock()
	defer e.mu.Unlock()
	q := e.byKey[key]
	if q == nil {
		q = &Queue{
			set: e, key: key, provider: p, batching: p.Batching(), rings: make([]*ring, e.o.Loops),
			wake: make(chan struct{}, 1), quit: make(chan struct{}),
		}
		for i := range q.rings {
			q.rings[i] = &ring{}
		}
		e.byKey[key] = q
		if !e.closed {
			e.wg.Add(1)
			go q.run()
		}
	}
	q.users++
	return q
}

// Close sends what is left, for a second at most, and ends the goroutines. The loops must
// still run, for they make the calls.
func (e *Exporters) Close() error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		for _, q := range e.byKey {
			close(q.quit)
		}
	}
	e.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		e.wg.Wait()
		close(ended)
	}()
	patience := time.NewTimer(lastWords)
	defer patience.Stop()
	select {
	case <-ended:
		e.cancel()
		return nil
	case <-patience.C:
	}
	e.cancel()
	patience.Reset(lastWords)
	select {
	case <-ended:
		return errors.New("spans are left that no collector took")
	case <-patience.C:
		return fmt.Errorf("sending spans does not end")
	}
}

// Queue takes the spans of all loops to one provider. It implements sdk.SpanQueue.
type Queue struct {
	set      *Exporters
	key      string
	provider sdk.TraceProvider
	batching sdk.Batching // as of the start: what the loops go by
	rings    []*ring
	wake     chan struct{} // a batch waits
	quit     chan struct{}
	users    int // guarded by set.mu
	batch    []*sdk.Span
	first    int // whose spans are taken first
}

var _ sdk.SpanQueue = (*Queue)(nil)

// Put implements sdk.SpanQueue.
func (q *Queue) Put(loop int, s *sdk.Span) {
	n, ok := q.rings[loop].put(s, q.batching.Most)
	if !ok || n != q.batching.Spans {
		return
	}
	select {
	case q.wake <- struct{}{}:
	default: // it is awake
	}
}

// Close implements sdk.SpanQueue.
func (q *Queue) Close() {
	e := q.set
	e.mu.Lock()
	defer e.mu.Unlock()
	if q.users--; q.users > 0 {
		return
	}
	delete(e.byKey, q.key)
	if !e.closed {
		close(q.quit)
	}
}

// run is the queue's goroutine.
func (q *Queue) run() {
	defer q.set.wg.Done()
	timer := time.NewTimer(q.provider.Batching().Interval)
	defer timer.Stop()
	for {
		b := q.provider.Batching()
		select {
		case <-timer.C:
			q.set.o.Shared.Inc(b.Timed)
			q.drain(1)
			timer.Reset(q.provider.Batching().Interval)
		case <-q.wake:
			q.drain(b.Spans)
		case <-q.quit:
			q.drain(1)
			return
		}
	}
}

// drain sends batch by batch, for as long as some ring has least spans or more.
func (q *Queue) drain(least int) {
	for q.set.ctx.Err() == nil {
		full := false
		for _, r := range q.rings {
			full = full || r.waiting() >= least
		}
		if !full {
			break
		}
		q.send()
		q.countDrops()
	}
	q.countDrops()
}

// send sends what all rings hold, up to a batch.
func (q *Queue) send() {
	b := q.provider.Batching()
	q.batch = q.batch[:0]
	taken := make([]int, len(q.rings))
	for n := range q.rings {
		i, before := (q.first+n)%len(q.rings), len(q.batch)
		q.batch = q.rings[i].peek(q.batch, b.Most)
		taken[i] = len(q.batch) - before
	}
	q.first++ // nobody's turn is always the last
	q.provider.Export(q.set.ctx, q.batch, q.set.o.Shared.Add)
	for i, r := range q.rings {
		r.release(taken[i])
	}
	clear(q.batch)
}

func (q *Queue) countDrops() {
	b := q.provider.Batching()
	for _, r := range q.rings {
		if n := r.drops.Load(); n != r.counted {
			q.set.o.Shared.Add(b.Dropped, n-r.counted)
			r.counted = n
		}
	}
}
