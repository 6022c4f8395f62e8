package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestBuckets(t *testing.T) {
	for _, c := range []struct {
		v           uint64
		left, width float64
	}{
		{0, 0, 0}, {1, 1, 0.1}, {9, 9, 0.1}, {10, 10, 1}, {99, 99, 1}, {100, 100, 10}, {109, 100, 10}, {110, 110, 10}, {999, 990, 10},
		{1000, 1000, 100}, {12345, 12000, 1000}, {1e18, 1e18, 1e17}, {math.MaxUint64, 1.8e19, 1e18},
	} {
		if left, width := bucketBounds(bucketOf(c.v)); left != c.left || width != c.width {
			t.Errorf("%d is in [%g, +%g), want [%g, +%g)", c.v, left, width, c.left, c.width)
		}
	}
}

func TestBucketsCoverEverything(t *testing.T) {
	check := func(v uint64) {
		left, width := bucketBounds(bucketOf(v))
		if f := float64(v); f < left*(1-1e-15) || f > (left+width)*(1+1e-15) {
			t.Fatalf("%d is in [%g, +%g)", v, left, width)
		}
	}
	for _, p := range pow10 {
		check(p - 1)
		check(p)
		check(p + 1)
		if p > 1 && bucketOf(p) != bucketOf(p-1)+1 {
			t.Errorf("the buckets of %d and %d are not neighbours", p-1, p)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100000 {
		check(r.Uint64() >> r.UintN(64))
	}
}

func distribution(values ...uint64) Distribution {
	h := &histogram{}
	for _, v := range values {
		h.observe(v)
	}
	return merge([]*histogram{nil, h})
}

// TestQuantilesAsEnvoy holds what Envoy 1.40 printed for these values.
func TestQuantilesAsEnvoy(t *testing.T) {
	for _, c := range []struct {
		values []uint64
		want   [10]float64
	}{
		{[]uint64{0}, [10]float64{}},
		{[]uint64{1, 1, 1, 1}, [10]float64{1.02, 1.02, 1.04, 1.06, 1.08, 1.08, 1.08, 1.08, 1.08, 1.08}},
		{[]uint64{1, 43, 167}, [10]float64{1.05, 1.05, 43.5, 165, 165, 165, 165, 165, 165, 165}},
		{[]uint64{0, 2, 43, 167}, [10]float64{0, 0, 2.05, 43.5, 165, 165, 165, 165, 165, 165}},
	} {
		d := distribution(c.values...)
		for i, q := range quantiles {
			if got := round(d.Quantile(q)); got != c.want[i] {
				t.Errorf("P%g of %v is %v, Envoy says %v", q, c.values, got, c.want[i])
			}
		}
	}
	if !math.IsNaN(distribution().Quantile(50)) {
		t.Error("a quantile of nothing is a number")
	}
}

func TestQuantilePrecision(t *testing.T) {
	h := &histogram{}
	for v := range uint64(10000) {
		h.observe(v)
	}
	d := merge([]*histogram{h})
	for _, q := range quantiles {
		want := q * 100
		if got := d.Quantile(q); math.Abs(got-want) > 0.1*want+1 {
			t.Errorf("P%g is %g, want about %g", q, got, want)
		}
	}
}

// TestAtMost holds Envoy's cumulative buckets for 1, 43 and 167.
func TestAtMost(t *testing.T) {
	d := distribution(1, 43, 167)
	for limit, want := range map[float64]uint64{0.5: 0, 1: 1, 25: 1, 50: 2, 100: 2, 250: 3, 3600000: 3} {
		if got := d.AtMost(limit); got != want {
			t.Errorf("%d values are at most %g, want %d", got, limit, want)
		}
	}
}

func TestInterval(t *testing.T) {
	s := NewStore(Options{})
	h := s.Root().Histogram("h")
	one, two := NewLocal(), NewLocal()
	c := NewCollector(s, []*Local{one, two}, inline)
	flush := func() Metric {
		t.Helper()
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		v, err := c.Scrape(Filter{Kinds: []Kind{KindHistogram}})
		if err != nil {
			t.Fatal(err)
		}
		return *v.Metrics[0]
	}
	one.Observe(h, 10)
	two.Observe(h, 20)
	if m := flush(); m.Interval.Count != 2 || m.Total.Count != 2 || m.Total.Sum != 30 {
		t.Errorf("first interval: %+v", m)
	}
	two.Observe(h, 20)
	two.Observe(h, 700)
	if m := flush(); m.Interval.Count != 2 || m.Interval.Sum != 720 || m.Interval.Quantile(0) != 20.5 || m.Interval.Quantile(100) != 705 || m.Total.Count != 4 {
		t.Errorf("second interval: %+v", m)
	}
	if m := flush(); m.Interval.Count != 0 || m.Total.Count != 4 {
		t.Errorf("empty interval: %+v", m)
	}
}
