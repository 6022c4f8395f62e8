// Package looptest runs event loops by hand: over an in-memory kernel whose
// sockets a test scripts from the far end, and a clock that a test moves. There
// is no system call, no waiting and no other goroutine, so a test of anything
// above the loops is deterministic, and a benchmark measures the time spent in
// user space alone.
//
// All of it belongs to the goroutine of the test.
package looptest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
)

// maxTurns is how many turns Settle makes before it gives up.
const maxTurns = 100_000

// epoch is the wall-clock time at which the manual clock begins.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Env is a group of loops that run only when told to. The embedded Net is that
// around the first loop.
type Env struct {
	*Net
	Group *eventloop.Group
	Loop  *eventloop.Loop // the first
	Logs  []string        // what the group logged

	tb       testing.TB
	clock    time.Duration
	nets     []*Net
	jobs     []job
	holdJobs bool
}

type job struct {
	loop *eventloop.Loop
	job  eventloop.Job
}

// New returns an Env with one loop, which ends with the test. The end fails the
// test when a connection or a write buffer is left.
func New(tb testing.TB) *Env { return NewLoops(tb, 1) }

// NewLoops returns an Env with n loops.
func NewLoops(tb testing.TB, n int) *Env {
	tb.Helper()
	e := &Env{tb: tb}
	g, err := eventloop.NewGroup(eventloop.Config{
		Loops: n,
		NewKernel: func() (eventloop.Kernel, error) {
			n := newNet()
			e.nets = append(e.nets, n)
			return kernel{n}, nil
		},
		Clock:  func() time.Duration { return e.clock },
		Wall:   func() time.Time { return epoch.Add(e.clock) },
		Log:    func(_ eventloop.Level, msg string) { e.Logs = append(e.Logs, msg) },
		RunJob: e.takeJob,
	})
	if err != nil {
		tb.Fatal(err)
	}
	e.Group, e.Loop, e.Net = g, g.Loop(0), e.nets[0]
	tb.Cleanup(e.end)
	return e
}

func (e *Env) end() {
	e.Group.Stop()
	for i := range e.Group.Len() {
		l := e.Group.Loop(i)
		if n := l.Connections(); n != 0 {
			e.tb.Errorf("loop %d has %d connections after its end", i, n)
		}
		if n := l.Buffers().InUse(); n != 0 {
			e.tb.Errorf("loop %d has %d chunks in use after its end", i, n)
		}
	}
}

// NetOf returns the network around loop i.
func (e *Env) NetOf(i int) *Net { return e.nets[i] }

// Turn runs one turn of every loop, after the jobs that wait, and reports
// whether anything happened or is left to do.
func (e *Env) Turn() bool {
	worked := e.runJobs()
	for i := range e.Group.Len() {
		if e.Group.Loop(i).RunTurn() {
			worked = true
		}
	}
	return worked
}

// Settle turns until nothing happens any more without the clock moving.
func (e *Env) Settle() {
	e.tb.Helper()
	for range maxTurns {
		if !e.Turn() {
			return
		}
	}
	e.tb.Fatalf("the loops are still busy after %d turns", maxTurns)
}

// Now returns the manual clock, on the scale of Loop.Now.
func (e *Env) Now() time.Duration { return e.clock }

// Wall returns the wall-clock time that goes with Now.
func (e *Env) Wall() time.Time { return epoch.Add(e.clock) }

// Advance moves the clock by d, stopping at every timer on the way, and settles.
func (e *Env) Advance(d time.Duration) {
	e.tb.Helper()
	end := e.clock + d
	e.Settle()
	for {
		next := e.nextTimer()
		if next < 0 || next > end {
			break
		}
		e.clock = max(e.clock, next)
		e.Settle()
	}
	e.clock = end
	e.Settle()
}

func (e *Env) nextTimer() time.Duration {
	first := time.Duration(-1)
	for i := range e.Group.Len() {
		if t := e.Group.Loop(i).NextTimer(); t >= 0 && (first < 0 || t < first) {
			first = t
		}
	}
	return first
}

// HoldJobs makes Async and Heavy jobs wait, as slow ones do, until it is called
// with false.
func (e *Env) HoldJobs(on bool) { e.holdJobs = on }

// Jobs returns the number of jobs that wait.
func (e *Env) Jobs() int { return len(e.jobs) }

func (e *Env) takeJob(l *eventloop.Loop, j eventloop.Job, _ bool) bool {
	e.jobs = append(e.jobs, job{l, j})
	return true
}

func (e *Env) runJobs() bool {
	if e.holdJobs || len(e.jobs) == 0 {
		return false
	}
	batch := e.jobs
	e.jobs = nil
	for _, it := range batch {
		err := work(it.job)
		done := func(l *eventloop.Loop) { it.job.Done(l, err) }
		if !it.loop.TryPost(eventloop.TaskFunc(done)) {
			e.tb.Error("a job's end does not fit the mailbox")
		}
	}
	return true
}

// work does what a worker of the group does.
func work(j eventloop.Job) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", eventloop.ErrJobPanic, r)
		}
	}()
	return j.Work(context.Background())
}
