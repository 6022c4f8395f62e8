package eventloop

import (
	"math/bits"
	"time"
)

// tick is the resolution of timers.
const tick = time.Millisecond

// TimerHandler is told when a timer fires. An owner of several timers compares
// t with the addresses of its fields.
type TimerHandler interface {
	OnTimer(t *Timer)
}

// Timer is embedded by value in what it times. Init comes first; the other
// methods belong to the loop. All are O(1) and none allocates.
type Timer struct {
	next, prev *Timer // nil while it is in no slot
	when       int64  // tick at which it is due
	loop       *Loop
	handler    TimerHandler
}

// Init gives the timer its loop and its handler.
func (t *Timer) Init(l *Loop, h TimerHandler) { t.loop, t.handler = l, h }

// Arm sets the timer to fire once, at least d after the loop's Now, in place of
// any earlier setting.
func (t *Timer) Arm(d time.Duration) {
	l := t.loop
	l.AssertOwner()
	when := int64((l.now + min(max(d, 0), maxTimer) + tick - 1) / tick)
	l.wheel.arm(t, when)
}

// Stop disarms the timer; afterwards it does not fire.
func (t *Timer) Stop() {
	if t.next == nil {
		return
	}
	t.loop.AssertOwner()
	t.unlink()
}

// Armed reports whether the timer is going to fire.
func (t *Timer) Armed() bool { return t.next != nil }

func (t *Timer) unlink() {
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
}

func (t *Timer) linkBefore(head *Timer) {
	t.prev, t.next = head.prev, head
	head.prev.next = t
	head.prev = t
}

const (
	levelBits  = 6
	levelSlots = 1 << levelBits
	levels     = 7 // 2^42 ms, far beyond maxTimer and any uptime
	maxTimer   = 10 * 365 * 24 * time.Hour
)

// wheel is a hierarchical timing wheel. A timer stands on the level of the
// highest digit, in base 64, in which its tick differs from the current one, in
// the slot of that digit; when the wheel reaches the slot, its timers move down
// a level or are due. So a lower level always comes first, and the next expiry
// is the lowest bit of the lowest level in use.
type wheel struct {
	cur   int64
	used  [levels]uint64 // a bit is set while its slot may hold a timer
	slots [levels][levelSlots]Timer
	due   Timer // head of what is being fired
}

func (w *wheel) init() {
	for l := range w.slots {
		for s := range w.slots[l] {
			head := &w.slots[l][s]
			head.next, head.prev = head, head
		}
	}
	w.due.next, w.due.prev = &w.due, &w.due
}

// arm files t under the tick when. A timer that only moves later stays where it
// is and is filed anew when its old slot comes: pushing an idle timer back on
// every request is one store.
func (w *wheel) arm(t *Timer, when int64) {
	if t.next != nil {
		if when >= t.when {
			t.when = when
			return
		}
		t.unlink()
	}
	t.when = when
	w.file(t)
}

func (w *wheel) file(t *Timer) {
	at := max(t.when, w.cur+1) // the current slot has been passed
	level := (63 - bits.LeadingZeros64(uint64(at^w.cur))) / levelBits
	slot := at >> (level * levelBits) & (levelSlots - 1)
	w.used[level] |= 1 << slot
	t.linkBefore(&w.slots[level][slot])
}

// next returns the tick at which the wheel has to move, or -1 when no timer is
// armed. For far timers it is the tick at which they come a level down.
func (w *wheel) next() int64 {
	_, _, at := w.nextSlot()
	return at
}

func (w *wheel) nextSlot() (level, slot int, at int64) {
	for level := range w.used {
		for w.used[level] != 0 {
			slot := bits.TrailingZeros64(w.used[level])
			head := &w.slots[level][slot]
			if head.next == head {
				w.used[level] &^= 1 << slot // emptied by Stop
				continue
			}
			shift := level * levelBits
			base := w.cur >> (shift + levelBits) << (shift + levelBits)
			return level, slot, base + int64(slot)<<shift
		}
	}
	return 0, 0, -1
}

// advance moves the wheel to the tick now and calls fire for every timer due.
// A timer armed by fire is due in a later call.
func (w *wheel) advance(now int64, fire func(*Loop, *Timer), l *Loop) {
	for {
		level, slot, at := w.nextSlot()
		if at < 0 || at > now {
			break
		}
		w.cur = at
		w.used[level] &^= 1 << slot
		w.collect(&w.slots[level][slot])
	}
	w.cur = max(w.cur, now)
	for w.due.next != &w.due {
		t := w.due.next
		t.unlink()
		if t.when > now { // pushed back by a callback while it waited here
			w.file(t)
			continue
		}
		fire(l, t)
	}
}

// collect takes the timers of a slot: those due to w.due, the others down.
func (w *wheel) collect(head *Timer) {
	for head.next != head {
		t := head.next
		t.unlink()
		if t.when <= w.cur {
			t.linkBefore(&w.due)
		} else {
			w.file(t)
		}
	}
}
