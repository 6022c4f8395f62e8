package server

import (
	"context"
	"time"

	"sofamesh.io/sofamesh/mosn/config"
	"sofamesh.io/sofamesh/sdk"
)

const (
	defaultFlush = 5 * time.Second // stats_flush_interval when it is not set
	sinkTimeout  = 5 * time.Second // for one sink to take one snapshot
)

// flusher ends the intervals over which histograms are shown and gives the numbers to the
// sinks. A goroutine of its own does it, so a sink that hangs holds up the other sinks, at
// most for sinkTimeout, and nothing else; intervals that end meanwhile are one.
type flusher struct {
	p        *Proxy
	interval time.Duration // 0: when somebody asks for the stats (stats_flush_on_admin)
	sinks    []sink
	dropped  sdk.Counter // snapshots that a sink did not take
	asked    chan chan<- struct{}
	stop     chan struct{}
	done     chan struct{}
}

type sink struct {
	sdk.StatsFlusher
	failing bool // the log has it
}

// startFlusher compiles the bootstrap's stats and begins to flush.
func startFlusher(p *Proxy, boot *config.Bootstrap) error {
	conf, sinks, err := p.store.Stats(boot)
	if err != nil {
		closeSinks(sinks)
		return err
	}
	p.collector.Configure(conf)
	f := &flusher{
		p: p, interval: defaultFlush, dropped: p.names.Root().Counter("server.dropped_stat_flushes"),
		asked: make(chan chan<- struct{}), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if d := boot.Proto.GetStatsFlushInterval(); d != nil && d.AsDuration() > 0 {
		f.interval = d.AsDuration()
	}
	if boot.Proto.GetStatsFlushOnAdmin() {
		f.interval = 0
	}
	for _, s := range sinks {
		f.sinks = append(f.sinks, sink{StatsFlusher: s})
	}
	p.flusher.Store(f)
	go f.run()
	return nil
}

func closeSinks(list []sdk.StatsFlusher) {
	for _, s := range list {
		s.Close()
	}
}

// checkStats compiles the bootstrap's stats and forgets them.
func checkStats(store *config.Store, boot *config.Bootstrap) error {
	_, sinks, err := store.Stats(boot)
	closeSinks(sinks)
	return err
}

func (f *flusher) run() {
	defer close(f.done)
	defer func() {
		for _, s := range f.sinks {
			s.Close()
		}
	}()
	var tick <-chan time.Time // nil: never
	if f.interval > 0 {
		t := time.NewTicker(f.interval)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-tick:
			f.flush()
		case answer := <-f.asked:
			f.flush()
			close(answer)
		case <-f.stop:
			f.flush() // the last numbers go out, too
			return
		}
	}
}

func (f *flusher) flush() {
	if len(f.sinks) == 0 {
		if err := f.p.collector.Flush(); err != nil {
			f.p.main.Warn("flushing stats", "error", err)
		}
		return
	}
	f.p.stats.update()
	snap, err := f.p.collector.Snapshot(time.Now())
	if err != nil {
		f.p.main.Warn("flushing stats", "error", err)
		return
	}
	for i := range f.sinks {
		s := &f.sinks[i]
		ctx, cancel := context.WithTimeout(context.Background(), sinkTimeout)
		err := s.Flush(ctx, snap)
		cancel()
		if err != nil {
			f.p.names.Shared().Inc(f.dropped)
		}
		if failed := err != nil; failed != s.failing { // once for as long as it lasts
			s.failing = failed
			if failed {
				f.p.main.Warn("a stats sink fails", "sink", i, "error", err)
			} else {
				f.p.main.Info("a stats sink works again", "sink", i)
			}
		}
	}
}

// beforeStats flushes if that is to be done whenever somebody asks for the stats. Like
// close it does nothing to a nil flusher.
func (f *flusher) beforeStats(ctx context.Context) {
	if f == nil || f.interval > 0 {
		return
	}
	answer := make(chan struct{})
	select {
	case f.asked <- answer:
		<-answer
	case <-f.done:
	case <-ctx.Done():
	}
}

// close comes while the loops still run, for the last flush.
func (f *flusher) close() {
	if f != nil {
		close(f.stop)
		<-f.done
	}
}
