package eventloop

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// heavyNice is how far workers for CPU-bound work stand back (rule R6).
const heavyNice = 10

// Job is work that must not be done on a loop. Owners may implement it on a
// struct they keep.
type Job interface {
	// Work runs on a worker. It must end soon after ctx is cancelled.
	Work(ctx context.Context) error
	// Done runs on the loop that submitted the job, with the error of Work. A
	// panic of Work arrives as an error that wraps ErrJobPanic.
	Done(l *Loop, err error)
}

// JobFunc makes a Job of two functions; done may be nil.
func JobFunc(work func(ctx context.Context) error, done func(l *Loop, err error)) Job {
	return &funcJob{work, done}
}

type funcJob struct {
	work func(ctx context.Context) error
	done func(l *Loop, err error)
}

func (j *funcJob) Work(ctx context.Context) error { return j.work(ctx) }

func (j *funcJob) Done(l *Loop, err error) {
	if j.done != nil {
		j.done(l, err)
	}
}

// Async has a bounded number of goroutines do blocking work: files, resolvers,
// calls of libraries that wait. It reports false when too much is queued.
func (l *Loop) Async(j Job) bool { return l.submit(j, false) }

// Heavy has a bounded number of threads of low priority do CPU-bound work:
// handshakes, compiling configuration. It reports false when too much is queued.
// All heavy jobs of a loop are done by one thread, in their order, so that a coroutine
// begun in one may be resumed in the next (the runtime demands the thread). What is
// submitted while the group stops is worked on, too, but may get no Done.
func (l *Loop) Heavy(j Job) bool { return l.submit(j, true) }

// Async and Heavy may be called on any goroutine: they touch nothing of the
// loop but its mailbox.
func (l *Loop) submit(j Job, heavy bool) bool {
	g := l.group
	switch {
	case g.cfg.RunJob != nil:
		return g.cfg.RunJob(l, j, heavy)
	case heavy:
		return g.heavy.submit(l, j)
	}
	return g.async.submit(l, j)
}

type jobItem struct {
	loop *Loop
	job  Job
}

// pool is a fixed number of workers behind a bounded queue, or one queue each.
type pool struct {
	group   *Group
	queues  []chan jobItem
	size    int
	heavy   bool
	closed  atomic.Bool
	end     chan struct{}
	workers sync.WaitGroup
}

func newPool(g *Group, size, queue int, heavy bool) *pool {
	p := &pool{group: g, size: size, heavy: heavy, end: make(chan struct{})}
	n := 1
	if heavy {
		n = size
	}
	for range n {
		p.queues = append(p.queues, make(chan jobItem, queue))
	}
	return p
}

// queue returns the one of worker or loop i.
func (p *pool) queue(i int) chan jobItem { return p.queues[i%len(p.queues)] }

// submit never waits: sending to a buffered channel in a select with a default
// does not park the loop.
func (p *pool) submit(l *Loop, j Job) bool {
	if p.closed.Load() {
		return false
	}
	select {
	case p.queue(l.index) <- jobItem{l, j}:
		return true
	default:
		return false
	}
}

func (p *pool) start() {
	for i := range p.size {
		p.workers.Go(func() { p.work(p.queue(i)) })
	}
}

// stop ends the workers. What is still queued gets its Done with ErrStopped; heavy jobs
// are worked on, because what they have begun can be ended on their thread only.
func (p *pool) stop() {
	p.closed.Store(true)
	close(p.end)
	p.workers.Wait()
	for _, q := range p.queues {
		p.drain(q, func(it jobItem) { _ = it.loop.Post(&jobDone{it.job, ErrStopped}) })
	}
}

// flush waits until all that is queued now has had its Done.
func (p *pool) flush() {
	var all sync.WaitGroup
	for i, q := range p.queues {
		all.Add(1)
		q <- jobItem{p.group.loops[i%len(p.group.loops)], JobFunc(func(context.Context) error { all.Done(); return nil }, nil)}
	}
	all.Wait()
}

// drain takes what is queued.
func (p *pool) drain(q chan jobItem, take func(jobItem)) {
	for {
		select {
		case it := <-q:
			take(it)
		default:
			return
		}
	}
}

// Background ties the calling goroutine to a thread of its own that gives way to those
// of the loops, as heavy workers do: for a goroutine that computes much, such as that
// which compiles configuration. Both end together.
func Background() error {
	runtime.LockOSThread() // never unlocked: the thread, with its priority, ends with the goroutine
	return niceThread(heavyNice)
}

func (p *pool) work(queue chan jobItem) {
	if p.heavy {
		if err := Background(); err != nil {
			p.group.cfg.Log(LevelWarn, "lowering a worker's priority: "+err.Error())
		}
	}
	for {
		select {
		case <-p.end:
			if p.heavy {
				p.drain(queue, func(it jobItem) { _ = p.try(it.job) }) // the loops have ended
			}
			return
		case it := <-queue:
			err := p.try(it.job)
			_ = it.loop.Post(&jobDone{it.job, err}) // fails only when the loop is gone
		}
	}
}

// try runs Work and turns a panic into an error.
func (p *pool) try(j Job) (err error) {
	defer func() {
		if r := recover(); r != nil {
			p.group.cfg.Log(LevelError, fmt.Sprintf("panic in a job: %v\n%s", r, debug.Stack()))
			err = fmt.Errorf("%w: %v", ErrJobPanic, r)
		}
	}()
	return j.Work(p.group.ctx)
}

// jobDone brings the end of a job to its loop.
type jobDone struct {
	job Job
	err error
}

func (d *jobDone) Run(l *Loop) { d.job.Done(l, d.err) }
