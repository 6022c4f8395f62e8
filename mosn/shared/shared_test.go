package shared

import (
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

func TestResourceLimit(t *testing.T) {
	var r Resource
	r.SetMax(2)
	for range 2 {
		if !r.TryAcquire() {
			t.Fatal("refused below the limit")
		}
	}
	if r.TryAcquire() {
		t.Fatal("granted at the limit")
	}
	if r.Used() != 2 || r.Remaining() != 0 || !r.Open() {
		t.Fatalf("used %d, remaining %d, open %v", r.Used(), r.Remaining(), r.Open())
	}
	r.Force()
	if r.Used() != 3 || r.Remaining() != 0 {
		t.Fatalf("after Force: used %d, remaining %d", r.Used(), r.Remaining())
	}
	r.Release()
	r.Release()
	if r.Open() || r.Remaining() != 1 || !r.TryAcquire() {
		t.Fatal("nothing to take after Release")
	}
}

func TestResourceZeroAndUnlimited(t *testing.T) {
	var zero Resource
	if zero.TryAcquire() || !zero.Open() {
		t.Fatal("a limit of 0 grants")
	}
	var all Resource
	all.SetMax(Unlimited)
	for range 10_000 {
		if !all.TryAcquire() {
			t.Fatal("an unlimited resource refuses")
		}
	}
}

// TestResourceLimitHoldsOverLoops has many goroutines take and give back, and
// checks that never more than the limit was granted at once, at 1 and 4 of them.
func TestResourceLimitHoldsOverLoops(t *testing.T) {
	for _, loops := range []int{1, 4} {
		const limit = 3
		var r Resource
		r.SetMax(limit)
		var inside, worst, granted atomic.Int64
		var wg sync.WaitGroup
		for range loops {
			wg.Go(func() {
				for range 20_000 {
					if !r.TryAcquire() {
						continue
					}
					granted.Add(1)
					n := inside.Add(1)
					for w := worst.Load(); n > w && !worst.CompareAndSwap(w, n); w = worst.Load() {
					}
					inside.Add(-1)
					r.Release()
				}
			})
		}
		wg.Wait()
		if worst.Load() > limit || r.Used() != 0 {
			t.Fatalf("%d loops: %d at once with a limit of %d; %d left", loops, worst.Load(), limit, r.Used())
		}
		if loops == 1 && granted.Load() != 20_000 {
			t.Fatalf("one loop was refused %d times", 20_000-granted.Load())
		}
	}
}

func TestRetryLimit(t *testing.T) {
	var b Breakers
	b.Retries.SetMax(1)
	if !b.TryRetry() || b.TryRetry() {
		t.Fatal("max_retries of 1 is not one retry")
	}
	b.Retries.Release()
	if !b.TryRetry() {
		t.Fatal("a retry that was given back is not granted")
	}
}

func TestRetryBudget(t *testing.T) {
	for _, c := range []struct {
		active, pending int
		fraction        float64
		min, want       int64
	}{
		{0, 0, 0.2, 3, 3},
		{10, 0, 0.2, 3, 3},
		{20, 5, 0.2, 3, 5},
		{24, 0, 0.2, 3, 4},
		{100, 0, 1, 0, 100},
		{0, 0, 0.2, 0, 0},
	} {
		var b Breakers
		b.Retries.SetMax(1000) // has no say beside a budget
		b.SetBudget(c.fraction, c.min)
		b.Requests.SetMax(Unlimited)
		b.Pending.SetMax(Unlimited)
		for range c.active {
			b.Requests.Force()
		}
		for range c.pending {
			b.Pending.Force()
		}
		n := int64(0)
		for b.TryRetry() {
			n++
		}
		if n != c.want || b.MaxRetries() != c.want {
			t.Errorf("%+v: %d retries granted, MaxRetries %d", c, n, b.MaxRetries())
		}
	}
}

func TestPadding(t *testing.T) {
	var b Breakers
	var h Host
	apart := func(name string, p, q unsafe.Pointer) {
		t.Helper()
		if d := uintptr(q) - uintptr(p); d < line {
			t.Errorf("%s are %d bytes apart", name, d)
		}
	}
	apart("retries and requests", unsafe.Pointer(&b.Retries.used), unsafe.Pointer(&b.Requests.used))
	apart("active requests and connections", unsafe.Pointer(&h.ActiveRequests.Int64), unsafe.Pointer(&h.ActiveConnections))
	if at := unsafe.Offsetof(h.ActiveRequests) + unsafe.Offsetof(h.ActiveRequests.Int64); at < line-8 {
		t.Errorf("active requests stand %d bytes behind what is in front of the host", at)
	}
	if size := unsafe.Sizeof(b); size > 256 {
		t.Errorf("Breakers take %d bytes, two for each of 10k clusters", size)
	}
}

func TestNoAllocation(t *testing.T) {
	var b Breakers
	b.Requests.SetMax(10)
	b.SetBudget(0.2, 3)
	if n := testing.AllocsPerRun(100, func() {
		b.Requests.TryAcquire()
		if b.TryRetry() {
			b.Retries.Release()
		}
		b.Requests.Release()
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkAcquireRelease(b *testing.B) {
	var r Resource
	r.SetMax(1024)
	for b.Loop() {
		r.TryAcquire()
		r.Release()
	}
}

func BenchmarkAcquireReleaseParallel(b *testing.B) {
	var r Resource
	r.SetMax(1 << 40)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.TryAcquire()
			r.Release()
		}
	})
}
