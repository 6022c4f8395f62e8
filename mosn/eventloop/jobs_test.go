package eventloop

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAsync(t *testing.T) {
	r := newRig(t, Config{Loops: 2})
	want := errors.New("from the worker")
	for i := range 2 {
		for _, submit := range []func(*Loop, Job) bool{(*Loop).Async, (*Loop).Heavy} {
			done := make(chan error, 1)
			l := r.Loop(i)
			if !submit(l, JobFunc(func(context.Context) error { return want }, func(on *Loop, err error) {
				if on != l {
					t.Error("Done on another loop")
				}
				on.AssertOwner()
				done <- err
			})) {
				t.Fatal("refused")
			}
			if err := <-done; !errors.Is(err, want) {
				t.Fatalf("Done got %v", err)
			}
		}
	}
}

// Rule R9: a panic in a job ends the job only.
func TestJobPanics(t *testing.T) {
	r := newRig(t, Config{AsyncWorkers: 1})
	for range 3 { // one worker survives all
		done := make(chan error, 1)
		r.Loop(0).Async(JobFunc(func(context.Context) error { panic("boom in a job") },
			func(_ *Loop, err error) { done <- err }))
		if err := <-done; !errors.Is(err, ErrJobPanic) || !strings.Contains(err.Error(), "boom in a job") {
			t.Fatalf("Done got %v", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.logs) != 3 || !strings.Contains(r.logs[0], "jobs_test.go") {
		t.Fatalf("logs %q", r.logs)
	}
}

// Rule R6: the workers are bounded, and so is what waits for them; who submits
// never waits.
func TestJobsAreBounded(t *testing.T) {
	const workers, queue = 3, 5
	r := newRig(t, Config{AsyncWorkers: workers, JobQueue: queue})
	var running, most, ran atomic.Int32
	gate := make(chan struct{})
	var all sync.WaitGroup
	submit := func() bool {
		all.Add(1)
		ok := r.Loop(0).Async(JobFunc(func(context.Context) error {
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-gate
			running.Add(-1)
			ran.Add(1)
			return nil
		}, func(*Loop, error) { all.Done() }))
		if !ok {
			all.Done()
		}
		return ok
	}
	accepted := 0
	for accepted < workers { // until every worker is busy
		if submit() {
			accepted++
		}
	}
	for running.Load() < workers {
		runtime.Gosched()
	}
	for submit() {
		accepted++
	}
	if accepted != workers+queue {
		t.Errorf("%d jobs accepted, want %d", accepted, workers+queue)
	}
	close(gate)
	all.Wait()
	if most.Load() != workers || int(ran.Load()) != accepted {
		t.Errorf("at most %d ran at once, %d in all", most.Load(), ran.Load())
	}
}

// Rule R6: heavy work runs on threads of its own with low priority.
func TestHeavyIsNice(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("priorities of threads exist on Linux only")
	}
	r := newRig(t, Config{HeavyWorkers: 2})
	prio := func() int { // of the calling thread, 0 (nicest) to 39
		p, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		if err != nil {
			t.Error(err)
		}
		return p
	}
	got := make(chan int, 2)
	r.Loop(0).Heavy(JobFunc(func(context.Context) error { got <- prio(); return nil }, nil))
	r.Loop(0).Async(JobFunc(func(context.Context) error { got <- prio(); return nil }, nil))
	a, b := <-got, <-got
	// getpriority(2) as a raw call returns 20-nice.
	if d := max(a, b) - min(a, b); d != heavyNice && max(a, b)-d != 1 {
		t.Errorf("priorities %d and %d, want %d apart", a, b, heavyNice)
	}
	r.on(func(*Loop) {
		if p := prio(); p != max(a, b) {
			t.Errorf("the loop's thread has priority %d, workers have %d and %d", p, a, b)
		}
	})
}

// TestStopEndsJobs: the context is cancelled, and every job gets its Done.
func TestStopEndsJobs(t *testing.T) {
	r := newRig(t, Config{AsyncWorkers: 1})
	var errs []error
	started := make(chan struct{})
	r.Loop(0).Async(JobFunc(func(ctx context.Context) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	}, func(_ *Loop, err error) { errs = append(errs, err) }))
	<-started
	for range 3 {
		r.Loop(0).Async(JobFunc(func(context.Context) error { return nil }, func(_ *Loop, err error) { errs = append(errs, err) }))
	}
	r.Stop()
	if len(errs) != 4 || !errors.Is(errs[0], context.Canceled) {
		t.Fatalf("Done got %v", errs)
	}
	for _, err := range errs[1:] {
		if err != nil && !errors.Is(err, ErrStopped) {
			t.Errorf("a queued job ended with %v", err)
		}
	}
	if r.Loop(0).Async(JobFunc(func(context.Context) error { return nil }, nil)) {
		t.Error("a stopped group takes jobs")
	}
}

// TestHeavyThread: the heavy jobs of a loop are done by one thread, one after the other, so
// that a coroutine begun in one goes on in the next; and when the group stops, what is
// submitted by connections that end is still worked on.
func TestHeavyThread(t *testing.T) {
	r := newRig(t, Config{Loops: 2, HeavyWorkers: 2})
	var next func() (int, bool)
	var stop func()
	ended := false
	step := func(work func()) {
		done := make(chan struct{})
		r.Loop(1).Heavy(JobFunc(func(context.Context) error { work(); return nil }, func(*Loop, error) { close(done) }))
		<-done
	}
	step(func() {
		next, stop = iter.Pull(func(yield func(int) bool) {
			for i := 0; yield(i); i++ {
			}
			ended = true
		})
	})
	for i := range 100 {
		r.Loop(0).Heavy(JobFunc(func(context.Context) error { return nil }, nil)) // the other worker's
		step(func() {
			if v, ok := next(); !ok || v != i { // on another thread the runtime would end the process
				t.Errorf("step %d gave %d, %v", i, v, ok)
			}
		})
	}
	if err := r.Loop(1).Call(func(l *Loop) {
		l.Dial(TCPAddr(netip.MustParseAddrPort("127.0.0.1:1")), nil, &lastJob{job: JobFunc(func(context.Context) error { stop(); return nil }, nil)})
	}); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	if !ended {
		t.Error("the coroutine has not ended")
	}
}

// lastJob submits a job when its connection ends.
type lastJob struct {
	NopHandler
	job Job
}

func (h *lastJob) OnClose(c *Conn, _ error) { c.Loop().Heavy(h.job) }
