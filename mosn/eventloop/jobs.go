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

// pool is a fixed number of workers behind a bounded queue.
type pool struct {
	group   *Group
	queue   chan jobItem
	size    int
	heavy   bool
	closed  atomic.Bool
	end     chan struct{}
	workers sync.WaitGroup
}

func newPool(g *Group, size, queue int, heavy bool) *pool {
	return &pool{group: g, queue: make(chan jobItem, queue), size: size, heavy: heavy, end: make(chan struct{})}
}

// submit never waits: sending to a buffered channel in a select with a default
// does not park the loop.
func (p *pool) submit(l *Loop, j Job) bool {
	if p.closed.Load() {
		return false
	}
	select {
	case p.queue <- jobItem{l, j}:
		return true
	default:
		return false
	}
}

func (p *pool) start() {
	for range p.size {
		p.workers.Go(p.work)
	}
}

// stop ends the workers. What is still queued gets its Done with ErrStopped.
func (p *pool) stop() {
	p.closed.Store(true)
	close(p.end)
	p.workers.Wait()
	for {
		select {
		case it := <-p.queue:
			_ = it.loop.Post(&jobDone{it.job, ErrStopped})
		default:
			return
		}
	}
}

func (p *pool) work() {
	if p.heavy {
		// Never unlocked: the thread, with its priority, ends with the worker.
		runtime.LockOSThread()
		if err := niceThread(heavyNice); err != nil {
			p.group.cfg.Log(LevelWarn, "lowering a worker's priority: "+err.Error())
		}
	}
	for {
		select {
		case <-p.end:
			return
		case it := <-p.queue:
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
