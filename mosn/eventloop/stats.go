package eventloop

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// The watchdog's bounds (rule R7).
const (
	slowTurn  = 10 * time.Millisecond
	stuckTurn = 200 * time.Millisecond
)

// TurnBuckets is the number of classes in the histogram of turn times: class 0
// holds turns below 1 us, class i those below 2^i us, the last all others.
const TurnBuckets = 24

// LoopStats are totals of one loop since its start.
type LoopStats struct {
	Turns     uint64
	Events    uint64
	Sleeps    uint64        // waits in the kernel
	Missed    uint64        // turns over 10 ms
	Panics    uint64        // callbacks and tasks ended by a panic
	Overloads uint64        // tasks refused because outbox and mailbox were full
	Longest   time.Duration // turn
	TurnTimes [TurnBuckets]uint64
}

// loopStats has one writer, the loop, and readers on any goroutine.
type loopStats struct {
	turns, events, sleeps, missed, panics, overloads atomic.Uint64

	times     [TurnBuckets]atomic.Uint64
	longest   atomic.Int64 // turn
	turnStart atomic.Int64 // when the turn under way began, 0 between turns
	work      uint64       // things done, for RunTurn; the loop's own
}

// bump adds to a counter that only the caller writes, without a locked add.
func bump(c *atomic.Uint64, n uint64) { c.Store(c.Load() + n) }

func (s *loopStats) turnDone(events int, took time.Duration) {
	bump(&s.turns, 1)
	if events > 0 {
		bump(&s.events, uint64(events))
	}
	bump(&s.times[min(bits.Len64(uint64(took/time.Microsecond)), TurnBuckets-1)], 1)
	if took > slowTurn {
		bump(&s.missed, 1)
	}
	if int64(took) > s.longest.Load() {
		s.longest.Store(int64(took))
	}
	s.turnStart.Store(0)
}

// Stats returns a copy of the loop's totals. Any goroutine.
func (l *Loop) Stats() LoopStats {
	s := &l.stats
	out := LoopStats{
		Turns: s.turns.Load(), Events: s.events.Load(), Sleeps: s.sleeps.Load(),
		Missed: s.missed.Load(), Panics: s.panics.Load(), Overloads: s.overloads.Load(),
		Longest: time.Duration(s.longest.Load()),
	}
	for i := range s.times {
		out.TurnTimes[i] = s.times[i].Load()
	}
	return out
}
