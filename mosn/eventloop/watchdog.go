package eventloop

import (
	"fmt"
	"runtime"
	"time"
)

const (
	watchEvery = 100 * time.Millisecond
	dumpEvery  = 30 * time.Second // at most one stack dump in this time
	dumpSize   = 64 << 10
)

// watch looks after the loops until the group stops: a turn that lasts over
// 200 ms is reported once, with all stacks (rule R7).
func (g *Group) watch() {
	tuner := NewHeapTuner(g.cfg.HeapFloor)
	defer tuner.Close()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	dog := watchdog{group: g, reported: make([]int64, len(g.loops)), lastDump: -dumpEvery}
	for {
		select {
		case <-g.quit:
			return
		case <-ticker.C:
			dog.look(g.cfg.Clock())
			tuner.Tune()
		}
	}
}

// watchdog remembers what it reported.
type watchdog struct {
	group    *Group
	reported []int64 // by loop: the turn, by its start, that was reported
	lastDump time.Duration
}

func (d *watchdog) look(now time.Duration) {
	for i, l := range d.group.loops {
		start := l.stats.turnStart.Load()
		if start == 0 || start == d.reported[i] || now-time.Duration(start) < stuckTurn {
			continue
		}
		d.reported[i] = start
		msg := fmt.Sprintf("loop %d is stuck in one turn for %v", i, now-time.Duration(start))
		if now-d.lastDump >= dumpEvery {
			d.lastDump = now
			stacks := make([]byte, dumpSize)
			msg += "\n" + string(stacks[:runtime.Stack(stacks, true)])
		}
		d.group.cfg.Log(LevelWarn, msg)
	}
}
