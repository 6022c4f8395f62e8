package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"sofamesh.io/sofamesh/mosn/accesslog"
	"sofamesh.io/sofamesh/mosn/callout"
	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/config"
	"sofamesh.io/sofamesh/mosn/config/filewatch"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/listener"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/mosn/trace"
	"sofamesh.io/sofamesh/sdk"
)

// heapFloor is about how many bytes are allocated between two runs of the garbage
// collector at least (rule R8 of the event loop).
const heapFloor = 64 << 20

// state is what /ready and /server_info tell, by the numbers of Envoy's
// admin.v3.ServerInfo.State.
type state int32

const (
	stateLive state = iota
	stateDraining
	statePreInitializing
	stateInitializing
)

// Streams are the process's output, for access logs.
type Streams struct{ Stdout, Stderr io.Writer }

// Proxy is one running proxy. New starts it, run waits for its end, Close frees it;
// the methods that admin calls may be called from any goroutine.
type Proxy struct {
	o        *Options
	registry *config.Registry
	boot     atomic.Pointer[config.Bootstrap] // changes when it is read again
	log      *Log
	main     *slog.Logger
	started  time.Time

	loopLog   *loopLog
	group     *eventloop.Group
	names     *stats.Store
	collector *stats.Collector
	stats     *serverStats
	flusher   atomic.Pointer[flusher] // nil until the resources are in force
	outputs   *accesslog.Outputs
	spans     *trace.Exporters
	clusters  *cluster.Manager
	listeners *listener.Manager
	workers   []*stream.Worker
	calls     *callout.Manager
	store     *config.Store
	runtime   *runtime.Loader
	watcher   *filewatch.Watcher // of the runtime's directories; nil when there are none
	admin     *admin
	services  []sdk.Service // that have started

	reloading sync.Mutex
	hups      chan struct{} // holds one token: SIGHUP has come
	state     atomic.Int32
	failed    atomic.Bool   // /healthcheck/fail
	quit      chan struct{} // admin's quitquitquit
}

// New builds a proxy and starts its loops and admin. Listeners do not accept yet.
func New(o *Options, boot *config.Bootstrap, registry *config.Registry, loops int, out Streams, log *Log) (*Proxy, error) {
	p := &Proxy{o: o, registry: registry, log: log, main: log.For(compMain), started: time.Now(), quit: make(chan struct{}, 1), hups: make(chan struct{}, 1)}
	p.boot.Store(boot)
	p.state.Store(int32(statePreInitializing))
	p.loopLog = newLoopLog(log.For(compLoop))
	var err error
	p.group, err = eventloop.NewGroup(eventloop.Config{Loops: loops, HeapFloor: heapFloor, Log: p.loopLog.write})
	if err != nil {
		p.loopLog.close()
		return nil, err
	}
	p.count(loops)
	p.outputs = accesslog.NewOutputs(accesslog.Options{
		Loops: loops, Stdout: out.Stdout, Stderr: out.Stderr, FlushInterval: o.FileFlushInterval,
		Scope: p.names.Root(), Shared: p.names.Shared(), Log: func(msg string) { log.For(compFile).Error(msg) },
	})
	p.spans = trace.NewExporters(trace.Options{Loops: loops, Shared: p.names.Shared()})
	p.group.Start()
	p.store = config.NewStore(config.Options{
		Registry: registry, Stats: p.names, Loops: loops, Node: boot.Proto.GetNode(), Runtime: boot.Runtime.Values(),
		BindConfig: boot.Proto.GetClusterManager().GetUpstreamBindConfig(),
		LogOutput:  p.outputs.Open, Spans: p.spans.Open, Tracing: boot.Tracing(), Calls: p.calls,
		Clusters: p.clusters, Listeners: p.listeners, Log: log.For(compConfig), Unknown: o.unknown(),
	})
	if err := errors.Join(p.startRuntime(), p.apply()); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// count makes the numbers of the loops, and what uses them.
func (p *Proxy) count(loops int) {
	p.names = stats.NewStore(stats.Options{})
	locals := make([]*stats.Local, loops)
	for i := range locals {
		locals[i] = stats.NewLocal()
	}
	p.collector = stats.NewCollector(p.names, locals, func(loop int, fn func()) error {
		return p.group.Loop(loop).Call(func(*eventloop.Loop) { fn() })
	})
	p.clusters = cluster.NewManager(cluster.Options{Group: p.group, Stats: locals, Shared: p.names.Shared()})
	calls := make([]*callout.Local, loops)
	address, total := eventloop.MachineAddress(), p.names.Root().Counter("http.async-client.rq_total")
	for i, local := range locals {
		w := stream.NewWorker(p.group.Loop(i), p.clusters.Local(i), local)
		w.Failing = &p.failed
		p.workers = append(p.workers, w)
		calls[i] = w.Calls()
		calls[i].Address, calls[i].Total = address, total
	}
	p.calls = callout.NewManager(calls)
	p.listeners = listener.NewManager(p.workers, listener.Drain{Time: p.o.DrainTime, Immediate: p.o.DrainImmediate})
	p.stats = newServerStats(p)
}

// apply starts admin and brings the static resources into force.
func (p *Proxy) apply() error {
	conf, boot := p.log.For(compConfig), p.boot.Load()
	for _, w := range boot.Warnings {
		conf.Warn(w)
	}
	root := p.store.Compiler("bootstrap", boot.Where)
	spec, err := compileAdmin(root, boot.Proto.GetAdmin())
	if err != nil {
		return err
	}
	if err := p.startServices(); err != nil {
		return err
	}
	if p.admin, err = startAdmin(p, spec); err != nil {
		return err
	}
	result := p.store.ApplyStatic(boot.Resources())
	for _, w := range result.Warnings {
		conf.Warn(w)
	}
	err = result.Err()
	if err == nil {
		err = p.store.Follow(root, boot.Proto.GetDynamicResources())
	}
	if err == nil {
		err = startFlusher(p, boot)
	}
	boot.Forget()
	return err
}

// startServices starts the bootstrap extensions; Close ends those that started.
func (p *Proxy) startServices() error {
	list, err := p.store.Services(p.boot.Load().Proto.GetBootstrapExtensions(), p.boot.Load().Where)
	if err != nil {
		return err
	}
	for i, s := range list {
		if err := s.Start(p.main); err != nil {
			return fmt.Errorf("bootstrap_extensions[%d]: %w", i, err)
		}
		p.services = append(p.services, s)
	}
	return nil
}

// open waits until the clusters have their hosts, and opens the listeners. It
// reports whether stop came first.
func (p *Proxy) open(stop <-chan struct{}) (stopped bool, err error) {
	p.state.Store(int32(stateInitializing))
	for _, initialized := range []<-chan struct{}{p.store.Initialized(), p.clusters.Initialized()} {
		select {
		case <-initialized:
		case <-stop:
			return true, nil
		}
	}
	p.main.Info("all clusters initialized; starting to accept", "loops", p.group.Len(), "listeners", p.listeners.Len())
	if err := p.listeners.Serve(); err != nil {
		return false, err
	}
	p.state.Store(int32(stateLive))
	p.stats.ready(time.Since(p.started))
	// What compiling has left behind would otherwise stay resident until the
	// heap has grown by its floor.
	debug.FreeOSMemory()
	return false, nil
}

// drain stops accepting and gives the requests under way until the deadline.
func (p *Proxy) drain(deadline time.Duration, hurry <-chan struct{}) {
	p.state.Store(int32(stateDraining))
	if err := p.listeners.Stop(nil); err != nil {
		p.main.Warn("closing listeners", "error", err)
	}
	p.onLoops(func(w *stream.Worker) { w.Drain() })
	const step = 10 * time.Millisecond
	end := time.NewTimer(deadline)
	defer end.Stop()
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		conns := 0
		p.onLoops(func(w *stream.Worker) { conns += w.ActiveConns() })
		if conns == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-hurry:
			return
		case <-end.C:
			p.main.Warn("connections are left at the end of the drain time", "connections", conns)
			return
		}
	}
}

// onLoops runs f for each worker on its loop, one after the other.
func (p *Proxy) onLoops(f func(*stream.Worker)) {
	for _, w := range p.workers {
		// An error means that the loops have stopped: nothing is left to do there.
		_ = w.Loop().Call(func(*eventloop.Loop) { f(w) })
	}
}

// Close ends everything that New started. What access loggers wrote is on its file
// when it returns.
func (p *Proxy) Close() {
	if p.admin != nil {
		p.admin.close()
	}
	p.flusher.Load().close()
	for _, s := range p.services {
		s.Close()
	}
	p.store.Close()
	if p.watcher != nil {
		p.watcher.Close()
	}
	err := errors.Join(p.listeners.Close(), p.spans.Close()) // the loops make the calls
	p.clusters.Close()
	p.group.Stop()
	if err = errors.Join(err, p.outputs.Close()); err != nil {
		p.main.Warn("closing", "error", err)
	}
	p.loopLog.close()
}

// current is the state that the world sees.
func (p *Proxy) current() state {
	if s := state(p.state.Load()); s != stateLive || !p.failed.Load() {
		return s
	}
	return stateDraining
}

func (s state) String() string {
	return [...]string{"LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"}[s]
}

// logAdmin writes an access-log line of admin. Loggers belong to loops, so the line
// is written on one; when that loop is too busy the line is lost.
func (p *Proxy) logAdmin(logger sdk.AccessLogger, info *sdk.StreamInfo, request, response *sdk.Headers) {
	p.group.Loop(0).TryPost(eventloop.TaskFunc(func(l *eventloop.Loop) {
		var none sdk.Headers
		info.LogType = sdk.LogDownstreamEnd
		logger.Log(l.Index(), info, request, response, &none)
	}))
}

// loopLog takes the log lines of loops, which must not wait for a file.
type loopLog struct {
	lines chan loopLine
	done  chan struct{}
	lost  atomic.Uint64
}

type loopLine struct {
	level eventloop.Level
	msg   string
}

func newLoopLog(out *slog.Logger) *loopLog {
	l := &loopLog{lines: make(chan loopLine, 64), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for line := range l.lines {
			switch line.level {
			case eventloop.LevelInfo:
				out.Info(line.msg)
			case eventloop.LevelWarn:
				out.Warn(line.msg)
			default:
				out.Error(line.msg)
			}
			if n := l.lost.Swap(0); n > 0 {
				out.Warn(fmt.Sprintf("%d lines of the loops were lost", n))
			}
		}
	}()
	return l
}

// write never waits.
func (l *loopLog) write(level eventloop.Level, msg string) {
	select {
	case l.lines <- loopLine{level, msg}:
	default:
		l.lost.Add(1)
	}
}

// close comes after the loops have stopped.
func (l *loopLog) close() {
	close(l.lines)
	<-l.done
}

// connections returns the number of downstream connections.
func (p *Proxy) connections() uint64 {
	n := 0
	p.onLoops(func(w *stream.Worker) { n += w.ActiveConns() })
	return uint64(n)
}
