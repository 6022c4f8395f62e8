package hist

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestBucketEdges(t *testing.T) {
	next := uint64(0)
	for i := range rows * sub {
		if got := bucket(next); got != i {
			t.Fatalf("bucket(%d) = %d, want %d", next, got, i)
		}
		if got := bucket(upper(i)); got != i {
			t.Fatalf("bucket(upper(%d)=%d) = %d", i, upper(i), got)
		}
		if upper(i) == math.MaxInt64 {
			return // every int64 has a bucket, without a gap
		}
		next = upper(i) + 1
	}
	t.Fatalf("the last bucket ends at %d, below MaxInt64", next-1)
}

func TestBucketWidth(t *testing.T) {
	for _, v := range []uint64{1, 127, 128, 255, 256, 1000, 65537, 1e6, 1e9, 3600e9} {
		if up := upper(bucket(v)); float64(up-v) > float64(v)/sub {
			t.Errorf("%d is reported as %d: more than 1/%d off", v, up, sub)
		}
	}
}

func TestQuantileAgainstSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h H
	values := make([]int64, 50_001)
	for i := range values {
		values[i] = int64(math.Exp(rng.NormFloat64()*2 + 11)) // log-normal, about 60 us in the middle
		h.Record(values[i])
	}
	slices.Sort(values)
	for _, q := range []float64{0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
		rank := max(int(math.Ceil(q*float64(len(values)))), 1)
		exact := values[rank-1]
		got := h.Quantile(q)
		if got < exact || float64(got-exact) > float64(exact)/sub+1 {
			t.Errorf("quantile %v = %d, sorted values say %d", q, got, exact)
		}
	}
}

func TestSmallCounts(t *testing.T) {
	var h H
	if h.Quantile(0.5) != 0 || h.Count() != 0 {
		t.Error("an empty histogram must give 0")
	}
	h.Record(-5)
	h.Record(10)
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("median of {0,10} = %d, want the lower one, 0", got)
	}
	if got := h.Quantile(0.51); got != 10 {
		t.Errorf("just above the median of {0,10} = %d, want 10", got)
	}
	if h.Reset(); h.Count() != 0 || h.Quantile(1) != 0 {
		t.Error("Reset left values behind")
	}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	var h H
	if n := testing.AllocsPerRun(100, func() { h.Record(123456) }); n != 0 {
		t.Errorf("Record allocates %v times", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	var h H
	for i := 0; b.Loop(); i++ {
		h.Record(int64(i) * 37)
	}
}
