package stats

import (
	"math"
	"math/bits"
)

// A histogram has the buckets of circllhist, which Envoy uses: two significant
// decimal digits, so a value is known to 10% at worst and 1% at best. 0 to 99 have
// a bucket each; then every power of ten has 90, up to the end of uint64.

// histogram is one distribution with one writer. Buckets are sparse: latencies of
// one service live in a few chunks.
type histogram struct {
	buckets    slab
	count, sum uint64
}

func (h *histogram) observe(v uint64) {
	c, i := h.buckets.at(bucketOf(v))
	c.v[i]++
	h.count++
	h.sum += v
}

func (h *histogram) copyTo(dst *histogram) {
	if dst.count == h.count {
		return
	}
	h.buckets.copyTo(&dst.buckets)
	dst.count, dst.sum = h.count, h.sum
}

// pow10 are the powers of ten in uint64.
var pow10 = [20]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// bucketOf returns the number of v's bucket.
func bucketOf(v uint64) uint32 {
	if v < 100 {
		return uint32(v)
	}
	// 1233/4096 stands for log10(2): exp is the power of ten below v, or one more.
	exp := uint(bits.Len64(v)*1233) >> 12
	if v < pow10[exp] {
		exp--
	}
	mantissa := uint32(v / pow10[exp-1]) // 10..99
	return 100 + 90*uint32(exp-2) + mantissa - 10
}

// bucketBounds returns where a bucket starts and how wide it is. The buckets of 1
// to 9 are a tenth wide, as in circllhist, whose buckets are of real numbers.
func bucketBounds(b uint32) (left, width float64) {
	switch {
	case b == 0:
		return 0, 0
	case b < 10:
		return float64(b), 0.1
	case b < 100:
		return float64(b), 1
	}
	b -= 100
	unit := float64(pow10[b/90+1])
	return float64(b%90+10) * unit, unit
}

// Distribution is a summed histogram: the non-empty buckets in ascending order.
type Distribution struct {
	buckets []bucketCount
	Count   uint64
	Sum     uint64
}

type bucketCount struct {
	bucket uint32
	count  uint64
}

// merge sums histograms; nil ones are allowed.
func merge(hists []*histogram) Distribution {
	var d Distribution
	longest := 0
	for _, h := range hists {
		if h != nil {
			longest = max(longest, len(h.buckets.chunks))
			d.Count += h.count
			d.Sum += h.sum
		}
	}
	for b := range uint32(longest * chunkLen) {
		n := uint64(0)
		for _, h := range hists {
			if h != nil {
				v, _ := h.buckets.get(b)
				n += v
			}
		}
		if n > 0 {
			d.buckets = append(d.buckets, bucketCount{b, n})
		}
	}
	return d
}

// minus returns what d has more than an earlier state of it.
func (d Distribution) minus(before Distribution) Distribution {
	diff := Distribution{Count: d.Count - before.Count, Sum: d.Sum - before.Sum}
	j := 0
	for _, b := range d.buckets {
		for j < len(before.buckets) && before.buckets[j].bucket < b.bucket {
			j++
		}
		if j < len(before.buckets) && before.buckets[j].bucket == b.bucket {
			b.count -= before.buckets[j].count
		}
		if b.count > 0 {
			diff.buckets = append(diff.buckets, b)
		}
	}
	return diff
}

// quantiles are those that Envoy prints.
var quantiles = []float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100}

// Quantile returns the value at q per cent, NaN when there is none. As in Envoy, n
// values of one bucket are taken to divide it into n+1 equal parts.
func (d Distribution) Quantile(q float64) float64 {
	if d.Count == 0 {
		return math.NaN()
	}
	rank := uint64(max(1, math.Ceil(q*float64(d.Count)/100)))
	below := uint64(0)
	for i, b := range d.buckets {
		if below+b.count >= rank || i == len(d.buckets)-1 {
			left, width := bucketBounds(b.bucket)
			return left + width*float64(min(rank-below, b.count))/float64(b.count+1)
		}
		below += b.count
	}
	return math.NaN()
}

// AtMost returns how many values are not above limit, the whole bucket that limit
// falls into included.
func (d Distribution) AtMost(limit float64) uint64 {
	n := uint64(0)
	for _, b := range d.buckets {
		if left, _ := bucketBounds(b.bucket); left > limit {
			break
		}
		n += b.count
	}
	return n
}
