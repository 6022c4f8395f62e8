package shared

import (
	"math"
	"sync/atomic"
)

// line is the size of a cache line.
const line = 64

// Count is a number with a cache line to itself.
type Count struct {
	_ [line - 8]byte
	atomic.Int64
	_ [line - 8]byte
}

// Unlimited is a Resource's limit that is never reached (Envoy's 2^32-1 and
// beyond).
const Unlimited = math.MaxInt64

// Resource counts what is in use and refuses more than a limit, exactly: the sum
// over all loops never exceeds it, but for Force.
type Resource struct {
	used atomic.Int64
	max  int64 // set before use, then constant
}

// SetMax sets the limit. It must be called before the Resource is shared.
func (r *Resource) SetMax(n int64) { r.max = n }

// Max returns the limit.
func (r *Resource) Max() int64 { return r.max }

// Used returns what is in use now.
func (r *Resource) Used() int64 { return r.used.Load() }

// Remaining returns how much more can be taken now, at least 0.
func (r *Resource) Remaining() int64 { return max(r.max-r.used.Load(), 0) }

// Open reports whether the limit is reached: the circuit breaker is open.
func (r *Resource) Open() bool { return r.used.Load() >= r.max }

// TryAcquire takes one, unless the limit is reached.
func (r *Resource) TryAcquire() bool { return r.TryAcquireBelow(r.max) }

// TryAcquireBelow is TryAcquire for a limit that the caller has just computed.
func (r *Resource) TryAcquireBelow(limit int64) bool {
	for {
		n := r.used.Load()
		if n >= limit {
			return false
		}
		if r.used.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Force takes one whatever the limit is.
func (r *Resource) Force() { r.used.Add(1) }

// Release gives one back.
func (r *Resource) Release() { r.used.Add(-1) }

// Total is a number that shares its cache line with others which are changed at
// the same time.
type Total struct{ atomic.Int64 }
