package eventloop

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"
)

// Level is the importance of a log line.
type Level uint8

// The levels that this package uses.
const (
	LevelInfo Level = iota
	LevelWarn
	LevelError
)

// Config is how a Group is built. The zero value of a field takes the default.
type Config struct {
	Loops                      int                                   // 1
	NewKernel                  func() (Kernel, error)                // the system's best
	Clock                      func() time.Duration                  // monotonic, since any origin
	Wall                       func() time.Time                      // time.Now
	Log                        func(level Level, msg string)         // package log; on any goroutine, must not wait
	RunJob                     func(l *Loop, j Job, heavy bool) bool // replaces the worker pools in tests
	MailboxSize                int                                   // 1024 tasks a loop
	AsyncWorkers, HeavyWorkers int                                   // 16; one for two loops, at least 1
	JobQueue                   int                                   // 1024 waiting jobs for each of the two pools
	HeapFloor                  int64                                 // bytes, see HeapTuner; 0: the runtime's own pacing
}

func (cfg *Config) setDefaults() {
	cfg.Loops = max(cfg.Loops, 1)
	if cfg.NewKernel == nil {
		cfg.NewKernel = NewKernel
	}
	if cfg.Clock == nil {
		origin := time.Now()
		cfg.Clock = func() time.Duration { return time.Since(origin) }
	}
	if cfg.Wall == nil {
		cfg.Wall = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = func(_ Level, msg string) { log.Print(msg) }
	}
	cfg.MailboxSize = orDefault(cfg.MailboxSize, 1024)
	cfg.AsyncWorkers = orDefault(cfg.AsyncWorkers, 16)
	cfg.HeavyWorkers = orDefault(cfg.HeavyWorkers, (cfg.Loops+1)/2)
	cfg.JobQueue = orDefault(cfg.JobQueue, 1024)
}

func orDefault(v, def int) int {
	if v > 0 {
		return v
	}
	return def
}

// Group is a set of loops with the goroutines that serve them: the pools of
// Async and Heavy, and the watchdog. It owns them all; after Stop none is left.
// Methods may be called on any goroutine.
type Group struct {
	cfg     Config
	loops   []*Loop
	async   *pool
	heavy   *pool
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup // loops and watchdog
	quit    chan struct{}
	start   sync.Once
	stop    sync.Once
	started bool
}

// NewGroup builds the loops. Until Start, sockets may be served, connections
// dialled and tasks posted from the caller's goroutine.
func NewGroup(cfg Config) (*Group, error) {
	cfg.setDefaults()
	g := &Group{cfg: cfg, quit: make(chan struct{})}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.async = newPool(g, cfg.AsyncWorkers, cfg.JobQueue, false)
	g.heavy = newPool(g, cfg.HeavyWorkers, cfg.JobQueue, true)
	for i := range cfg.Loops {
		k, err := cfg.NewKernel()
		if err != nil {
			for _, l := range g.loops {
				l.kernel.Release()
			}
			g.cancel()
			return nil, fmt.Errorf("event loop %d: %w", i, err)
		}
		g.loops = append(g.loops, newLoop(g, i, k))
	}
	return g, nil
}

// Len returns the number of loops.
func (g *Group) Len() int { return len(g.loops) }

// Loop returns the loop with index i.
func (g *Group) Loop(i int) *Loop { return g.loops[i] }

// Clock returns the time since the group was built, on the scale of Loop.Now.
func (g *Group) Clock() time.Duration { return g.cfg.Clock() }

// Start starts the loops, the pools and the watchdog. Later calls do nothing.
func (g *Group) Start() {
	g.start.Do(func() {
		g.started = true
		g.async.start()
		g.heavy.start()
		for _, l := range g.loops {
			g.running.Go(l.run)
		}
		g.running.Go(g.watch)
	})
}

// Stop ends the group and waits for its goroutines. First the context of all
// jobs is cancelled and every job submitted gets its Done; then the loops close
// what is open, with ErrStopped. Jobs must obey their context, else Stop waits
// for them. A group that was never started is freed.
func (g *Group) Stop() {
	g.start.Do(func() {})
	g.stop.Do(func() {
		g.cancel()
		if g.started {
			g.async.stop()
			g.heavy.flush()
		}
		close(g.quit)
		for _, l := range g.loops {
			l.stopping.Store(true)
			if !g.started {
				close(l.done)
				l.shutdown()
				continue
			}
			l.wake()
		}
		g.running.Wait()
		if g.started {
			g.heavy.stop()
		}
	})
}

// ErrJobPanic is wrapped by the error of a job whose Work panicked.
var ErrJobPanic = errors.New("job panicked")
