package accesslog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// Options says what an Outputs needs of its process. Loops is required, the rest is
// optional.
type Options struct {
	Loops          int           // lines come from loops 0 to Loops-1
	Stdout, Stderr io.Writer     // what the paths /dev/stdout and /dev/stderr mean; nil: the process's own
	FlushInterval  time.Duration // 0: one second
	Scope          sdk.Scope     // the root scope
	Shared         *stats.Shared
	Log            func(message string) // an output that fails, once each time it begins to
}

// ErrClosed is returned by Open after Close.
var ErrClosed = errors.New("access logs are closed")

// Outputs owns the files that access logs are written to, each with a goroutine
// that ends in Close. Its methods are called off the loops.
type Outputs struct {
	o      Options
	counts counters

	mu     sync.Mutex
	byPath map[string]*Output
	closed bool
}

// counters are Envoy's, but for dropped, which Envoy has no need of: it buffers
// without bound.
type counters struct {
	byTimer, completed, failed, reopenFailed, dropped sdk.Counter
}

// NewOutputs returns an Outputs without open files.
func NewOutputs(o Options) *Outputs {
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.FlushInterval == 0 {
		o.FlushInterval = time.Second
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	if o.Scope == nil || o.Shared == nil {
		s := stats.NewStore(stats.Options{})
		o.Scope, o.Shared = s.Root(), s.Shared()
	}
	fs := o.Scope.Scope("filesystem")
	return &Outputs{o: o, byPath: map[string]*Output{}, counts: counters{
		byTimer:      fs.Counter("flushed_by_timer"),
		completed:    fs.Counter("write_completed"),
		failed:       fs.Counter("write_failed"),
		reopenFailed: fs.Counter("reopen_failed"),
		dropped:      fs.Counter("write_dropped"),
	}}
}

// Open returns the output of a path, the same for the same path. It stays open until
// Close, as in Envoy: a logger that is configured again goes on where it was.
func (s *Outputs) Open(path string) (sdk.LogOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if o := s.byPath[path]; o != nil {
		return o, nil
	}
	o := &Output{
		path: path, set: s, rings: make([]*ring, s.o.Loops),
		wake: make(chan struct{}, 1), reopen: make(chan struct{}, 1), flush: make(chan chan struct{}),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	for i := range o.rings {
		o.rings[i] = &ring{}
	}
	if err := o.open(); err != nil {
		return nil, err
	}
	s.byPath[path] = o
	go o.run()
	return o, nil
}

// outputs returns all open outputs.
func (s *Outputs) outputs() []*Output {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Output
	for _, o := range s.byPath {
		all = append(all, o)
	}
	return all
}

// Flush returns when what the loops had logged before is written, or has failed to
// be.
func (s *Outputs) Flush() {
	for _, o := range s.outputs() {
		done := make(chan struct{})
		select {
		case o.flush <- done:
			<-done
		case <-o.done:
		}
	}
}

// Reopen makes each file be opened anew by its path, after it was moved away. It
// does not wait.
func (s *Outputs) Reopen() {
	for _, o := range s.outputs() {
		select {
		case o.reopen <- struct{}{}:
		default: // it is asked for already
		}
	}
}

// closeTimeout is how long Close waits for a writer that hangs, for example because
// nobody reads the pipe that is our standard output.
const closeTimeout = 5 * time.Second

// Close writes what is left, closes the files and ends the goroutines. The loops
// must have stopped. An error names an output that would not end.
func (s *Outputs) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	outputs := s.outputs()
	for _, o := range outputs {
		o.stop.Do(func() { close(o.quit) })
	}
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	for _, o := range outputs {
		select {
		case <-o.done:
		case <-timeout.C:
			return fmt.Errorf("access log %s: writing does not end", o.path)
		}
	}
	return nil
}

// Output is one file. The loops call Scratch and Write.
type Output struct {
	path  string
	set   *Outputs
	rings []*ring

	wake   chan struct{}      // a ring is half full
	reopen chan struct{}      // see Outputs.Reopen
	flush  chan chan struct{} // to be closed when all is written
	quit   chan struct{}
	done   chan struct{}
	stop   sync.Once

	// The writer's.
	w       io.Writer
	file    *os.File // w, when it is ours to close
	failing bool
}

var _ sdk.LogOutput = (*Output)(nil)

// Scratch implements sdk.LogOutput.
func (o *Output) Scratch(loop int) []byte { return o.rings[loop].scratch[:0] }

// Write implements sdk.LogOutput.
func (o *Output) Write(loop int, line []byte) {
	r := o.rings[loop]
	if cap(line) <= maxScratch {
		r.scratch = line
	}
	if len(line) == 0 || !r.put(line) {
		return
	}
	select {
	case o.wake <- struct{}{}:
	default: // it is awake
	}
}

// open opens the path. On failure what was open stays.
func (o *Output) open() error {
	switch o.path {
	case "/dev/stdout":
		o.w = o.set.o.Stdout
		return nil
	case "/dev/stderr":
		o.w = o.set.o.Stderr
		return nil
	}
	f, err := os.OpenFile(o.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	if o.file != nil {
		_ = o.file.Close() // written out; nothing can be done about an error
	}
	o.w, o.file = f, f
	return nil
}

// run is the output's goroutine.
func (o *Output) run() {
	defer close(o.done)
	ticker := time.NewTicker(o.set.o.FlushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if o.drain() > 0 {
				o.set.o.Shared.Inc(o.set.counts.byTimer)
			}
		case <-o.wake:
			o.drain()
		case done := <-o.flush:
			o.drain()
			close(done)
		case <-o.reopen:
			o.drain()
			if err := o.open(); err != nil {
				o.set.o.Shared.Inc(o.set.counts.reopenFailed)
				o.set.o.Log(err.Error())
			}
		case <-o.quit:
			o.drain()
			if o.file != nil {
				o.fail(o.file.Close())
			}
			return
		}
	}
}

// drain writes what is in the rings and returns the number of writes.
func (o *Output) drain() (writes int) {
	for _, r := range o.rings {
		writes += r.take(o.write)
		if dropped := r.dropped.Load(); dropped != r.counted {
			o.set.o.Shared.Add(o.set.counts.dropped, dropped-r.counted)
			r.counted = dropped
		}
	}
	return writes
}

// write writes one piece. What cannot be written is lost: keeping it would only move
// the loss to the rings.
func (o *Output) write(b []byte) {
	if _, err := o.w.Write(b); err != nil {
		o.set.o.Shared.Inc(o.set.counts.failed)
		o.fail(err)
		return
	}
	o.failing = false
	o.set.o.Shared.Inc(o.set.counts.completed)
}

// fail reports the first of a series of errors.
func (o *Output) fail(err error) {
	if err == nil || o.failing {
		return
	}
	o.failing = true
	o.set.o.Log(fmt.Sprintf("access log %s: %v", o.path, err))
}
