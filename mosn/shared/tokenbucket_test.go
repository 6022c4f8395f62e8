package shared

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTokenBucket(t *testing.T) {
	b := NewTokenBucket(3, 2, 10*time.Second) // a token in 5 seconds
	at := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	for i, step := range []struct {
		now  float64
		take float64 // below 0: put back
		ok   bool
		held uint32
		next float64
	}{
		{100, 1, true, 2, 0}, // full, whenever the first one comes
		{100, 1, true, 1, 0},
		{100, 2, false, 1, 0}, // none of two
		{100, 1, true, 0, 5},
		{100, 1, false, 0, 5},
		{101.5, 1, false, 0, 3.5},
		{104.99, 1, false, 0, 0.01},
		{105, 1, true, 0, 5},
		{104.9, 1, false, 0, 5.1}, // a loop whose clock is behind
		{1000, 1, true, 2, 0},     // no more than it holds
		{1000, -5, true, 3, 0},
		{1000, 3, true, 0, 5},
		{1000, -1, true, 1, 0},
		{1000, 0, true, 1, 0},
	} {
		ok := true
		if step.take < 0 {
			b.Refill(at(step.now), -step.take)
		} else {
			ok = b.Take(at(step.now), step.take)
		}
		if held, next := b.Held(at(step.now)), b.Next(at(step.now)); ok != step.ok || held != step.held || next != at(step.next) {
			t.Errorf("step %d: %v, holds %d, next in %v; want %+v", i, ok, held, next, step)
		}
	}
	if b.Max() != 3 || b.Rate() != 0.2 {
		t.Errorf("holds %d at most, gains %v", b.Max(), b.Rate())
	}
}

// TestTokenBucketExact: rounding takes no token from a burst at one moment.
func TestTokenBucketExact(t *testing.T) {
	for _, now := range []time.Duration{0, 12345678901, 1e6 * time.Hour / 1000} {
		for _, perFill := range []uint32{1, 3, 7, 1000, 999999} {
			b := NewTokenBucket(1000, perFill, time.Second)
			n := 0
			for b.Take(now, 1) {
				n++
			}
			if n != 1000 {
				t.Errorf("at %v with %d a second: %d tokens of 1000", now, perFill, n)
			}
		}
	}
}

// TestTokenBucketOverLoops has many goroutines take at once, at 1 and 4 of them: never
// more than there is.
func TestTokenBucketOverLoops(t *testing.T) {
	for _, loops := range []int{1, 4} {
		b := NewTokenBucket(5000, 1, time.Hour)
		var taken atomic.Int64
		var wg sync.WaitGroup
		for range loops {
			wg.Go(func() {
				for range 10_000 {
					if b.Take(time.Second, 1) {
						taken.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if taken.Load() != 5000 {
			t.Errorf("%d loops: %d taken of 5000", loops, taken.Load())
		}
	}
}

func TestTokenBucketAllocs(t *testing.T) {
	b := NewTokenBucket(10, 1, time.Second)
	if n := testing.AllocsPerRun(100, func() {
		b.Take(time.Second, 1)
		b.Refill(time.Second, 1)
		b.Held(time.Second)
		b.Next(time.Second)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTokenBucket(b *testing.B) {
	tb := NewTokenBucket(1000, 1000, time.Second)
	now := time.Duration(0)
	for b.Loop() {
		now += time.Microsecond
		tb.Take(now, 1)
	}
}
