package eventloop

import (
	"math/rand/v2"
	"testing"
	"time"
)

// recorder notes the tick at which each of its timers fired.
type recorder struct {
	wheel *wheel
	fired map[*Timer]int64
	on    func(t *Timer)
}

func (r *recorder) OnTimer(t *Timer) {
	r.fired[t] = r.wheel.cur
	if r.on != nil {
		r.on(t)
	}
}

// newTimers returns a loop without a kernel, for its wheel.
func newTimers() (*Loop, *recorder) {
	l := &Loop{buffers: newTestPool()}
	l.wheel.init()
	return l, &recorder{wheel: &l.wheel, fired: map[*Timer]int64{}}
}

// to moves the loop's time and fires what is due.
func (l *Loop) to(now time.Duration) {
	l.now = now
	l.wheel.advance(int64(now/tick), fireTimer, l)
}

func TestTimerFiresInTime(t *testing.T) {
	for _, d := range []time.Duration{
		0, 1, time.Millisecond, 63 * time.Millisecond, 64 * time.Millisecond, 65 * time.Millisecond,
		4095 * time.Millisecond, 4096 * time.Millisecond, time.Hour, 100 * 24 * time.Hour, maxTimer,
	} {
		l, rec := newTimers()
		l.now = 12345678 * time.Microsecond // not on a tick
		l.wheel.cur = int64(l.now / tick)
		var timer Timer
		timer.Init(l, rec)
		timer.Arm(d)
		if !timer.Armed() {
			t.Fatalf("%v: not armed", d)
		}
		due := l.now + d
		for steps := 0; timer.Armed(); steps++ {
			next := time.Duration(l.wheel.next()) * tick
			if next < 0 || steps > 2*levels {
				t.Fatalf("%v: after %d steps the next is %v", d, steps, next)
			}
			if len(rec.fired) == 0 && next > due+tick {
				t.Fatalf("%v: due at %v, the wheel wants to sleep until %v", d, due, next)
			}
			l.to(next)
		}
		if at := time.Duration(rec.fired[&timer]) * tick; at < due || at > due+tick {
			t.Errorf("%v: fired at %v, due at %v", d, at, due)
		}
	}
}

func TestTimerBeyondTheMaximum(t *testing.T) {
	l, rec := newTimers()
	var timer Timer
	timer.Init(l, rec)
	timer.Arm(1<<63 - 1)
	l.to(maxTimer - tick)
	if len(rec.fired) != 0 {
		t.Fatal("fired early")
	}
	timer.Arm(-5)
	l.to(maxTimer)
	if len(rec.fired) != 1 {
		t.Fatal("a negative time does not mean now")
	}
}

func TestTimerStop(t *testing.T) {
	l, rec := newTimers()
	var a, b Timer
	a.Init(l, rec)
	b.Init(l, rec)
	a.Stop() // never armed
	a.Arm(5 * time.Millisecond)
	b.Arm(5 * time.Millisecond)
	a.Stop()
	a.Stop()
	l.to(time.Second)
	if _, ok := rec.fired[&a]; ok || len(rec.fired) != 1 || a.Armed() || b.Armed() {
		t.Fatalf("fired %v", rec.fired)
	}
	if l.wheel.next() != -1 {
		t.Fatal("an empty wheel has a next tick")
	}
}

// A timer that fires may stop or move one that is due in the same tick.
func TestTimerChangesOthersWhileFiring(t *testing.T) {
	l, rec := newTimers()
	var first, stopped, moved, now Timer
	for _, timer := range []*Timer{&first, &stopped, &moved, &now} {
		timer.Init(l, rec)
	}
	for _, timer := range []*Timer{&first, &stopped, &moved} {
		timer.Arm(10 * time.Millisecond)
	}
	rec.on = func(timer *Timer) {
		if timer == &first {
			stopped.Stop()
			moved.Arm(20 * time.Millisecond)
			now.Arm(0)
		}
	}
	l.to(10 * time.Millisecond)
	if len(rec.fired) != 1 {
		t.Fatalf("%d fired in the first tick", len(rec.fired))
	}
	l.to(100 * time.Millisecond)
	if _, ok := rec.fired[&stopped]; ok || len(rec.fired) != 3 {
		t.Fatalf("fired %v", rec.fired)
	}
}

func TestTimerRearm(t *testing.T) {
	l, rec := newTimers()
	var timer Timer
	timer.Init(l, rec)
	timer.Arm(10 * time.Millisecond)
	for ms := range 100 { // pushed back on every request
		l.to(time.Duration(ms) * time.Millisecond)
		timer.Arm(10 * time.Millisecond)
	}
	if len(rec.fired) != 0 {
		t.Fatal("fired although it was pushed back")
	}
	timer.Arm(time.Hour)
	timer.Arm(time.Millisecond) // earlier again
	l.to(101 * time.Millisecond)
	if rec.fired[&timer] == 0 {
		t.Fatal("moving a timer earlier has no effect")
	}
}

// TestTimerModel runs thousands of random operations beside a plain map.
func TestTimerModel(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		l, rec := newTimers()
		timers := make([]Timer, 50)
		due := map[*Timer]int64{}
		for i := range timers {
			timers[i].Init(l, rec)
		}
		rec.on = func(timer *Timer) {
			want, armed := due[timer]
			if !armed || want > l.wheel.cur {
				t.Fatalf("seed %d: fired at %d, due at %d (armed %v)", seed, l.wheel.cur, want, armed)
			}
			delete(due, timer)
		}
		now := int64(0)
		for range 5000 {
			timer := &timers[rnd.IntN(len(timers))]
			switch rnd.IntN(4) {
			case 0, 1:
				d := rnd.Int64N(1 << rnd.IntN(22))
				timer.Arm(time.Duration(d) * tick)
				due[timer] = now + d
			case 2:
				timer.Stop()
				delete(due, timer)
			case 3:
				now += rnd.Int64N(1 << rnd.IntN(16))
				l.to(time.Duration(now) * tick)
				for timer, at := range due {
					if at < now {
						t.Fatalf("seed %d: a timer due at %d has not fired at %d", seed, at, now)
					}
					if !timer.Armed() {
						t.Fatalf("seed %d: a timer is lost", seed)
					}
				}
			}
			next := l.wheel.next()
			for _, at := range due {
				if next < 0 || next > max(at, now+1) {
					t.Fatalf("seed %d: the wheel sleeps until %d, due at %d", seed, next, at)
				}
			}
		}
	}
}

func TestTimerDoesNotAllocate(t *testing.T) {
	l, rec := newTimers()
	var timer Timer
	timer.Init(l, rec)
	now := time.Duration(0)
	cycle := func() {
		timer.Arm(15 * time.Second)
		timer.Arm(16 * time.Second)
		timer.Stop()
		timer.Arm(time.Millisecond)
		now += 2 * time.Millisecond
		l.to(now)
	}
	cycle()
	if n := testing.AllocsPerRun(100, cycle); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// TestTimersRun: the loop sleeps until its timers and fires them.
func TestTimersRun(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		fired := make(chan time.Duration, 1)
		var timer Timer
		var armed time.Duration
		r.on(func(l *Loop) {
			timer.Init(l, timerFunc(func() { fired <- l.Now() }))
			timer.Arm(20 * time.Millisecond)
			armed = l.Now()
		})
		select {
		case at := <-fired:
			if at-armed < 20*time.Millisecond {
				t.Fatalf("fired after %v", at-armed)
			}
		case <-time.After(patience):
			t.Fatal("never fired")
		}
	})
}

type timerFunc func()

func (f timerFunc) OnTimer(*Timer) { f() }
