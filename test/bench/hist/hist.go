// Package hist is the bench's latency histogram: log-linear buckets, constant-time recording, quantiles within 0.8%.
//
// It owns nothing but its counts. The load generator records into one from its only goroutine.
package hist

import "math/bits"

const (
	subBits = 7            // 128 linear steps in each power of two: a bucket is at most 1/128 of its value wide
	sub     = 1 << subBits // values below 2*sub have a bucket of their own
	rows    = 64 - subBits
)

// H counts non-negative values, here nanoseconds. The zero value is empty and ready.
type H struct {
	counts [rows * sub]uint64
	total  uint64
}

// Record counts v; a negative value (a clock that stepped) counts as 0. It does not allocate.
func (h *H) Record(v int64) {
	h.counts[bucket(uint64(max(v, 0)))]++
	h.total++
}

// Count is the number of recorded values.
func (h *H) Count() uint64 { return h.total }

// Reset empties the histogram.
func (h *H) Reset() { *h = H{} }

// Quantile is the smallest bucket's upper edge that at least the share q (0..1) of all values does not exceed; 0 when empty.
func (h *H) Quantile(q float64) int64 {
	if h.total == 0 {
		return 0
	}
	want := uint64(q * float64(h.total))
	if float64(want) < q*float64(h.total) {
		want++ // round up: the rank that covers the share
	}
	want = min(max(want, 1), h.total)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= want {
			return int64(upper(i))
		}
	}
	return 0 // not reached: the counts add up to total
}

// bucket maps a value to its index: row r holds [sub<<(r-1), sub<<r) in sub steps, row 0 the values below sub.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	if v < sub {
		return int(v)
	}
	return (shift+1)*sub + int(v>>shift) - sub
}

// upper is the largest value that falls into bucket i.
func upper(i int) uint64 {
	row := i / sub
	if row == 0 {
		return uint64(i)
	}
	return (uint64(sub+i%sub)+1)<<(row-1) - 1
}
