package lb

import (
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

func itoa(n int) string { return strconv.Itoa(n) }

// hosts returns one host for each weight, 10.0.0.1:80 and on.
func hosts(weights ...uint32) []sdk.LBHost {
	hs := make([]sdk.LBHost, len(weights))
	for i, w := range weights {
		hs[i] = sdk.LBHost{Key: "10.0.0." + itoa(i+1) + ":80", Weight: w, Active: new(atomic.Int64)}
	}
	return hs
}

func equal(n int) []sdk.LBHost {
	w := make([]uint32, n)
	for i := range w {
		w[i] = 1
	}
	return hosts(w...)
}

func policies() map[string]sdk.LBPolicy {
	return map[string]sdk.LBPolicy{
		"round robin":   RoundRobin(),
		"least request": LeastRequest(0, 1),
		"random":        Random(),
		"ring hash":     RingHash(RingOptions{}),
		"ring murmur2":  RingHash(RingOptions{Murmur2: true}),
		"maglev":        Maglev(0),
	}
}

// count picks n times and returns how often each host came.
func count(p sdk.LBPicker, hosts, n int) []int {
	got := make([]int, hosts)
	for range n {
		got[p.Pick(&sdk.LBContext{})]++
	}
	return got
}

func TestNoHosts(t *testing.T) {
	for name, p := range policies() {
		if i := p.Build(nil).Picker(1).Pick(&sdk.LBContext{}); i != -1 {
			t.Errorf("%s picks %d of no hosts", name, i)
		}
	}
}

func TestOneHost(t *testing.T) {
	for name, p := range policies() {
		picker := p.Build(hosts(7)).Picker(1)
		for range 10 {
			if i := picker.Pick(&sdk.LBContext{}); i != 0 {
				t.Fatalf("%s picks %d of one host", name, i)
			}
		}
	}
}

// TestDistribution bounds the share of each of 5 equal hosts, without hashes.
func TestDistribution(t *testing.T) {
	const n, total = 5, 50_000
	for name, p := range policies() {
		tolerance := 0.05
		switch name {
		case "ring hash", "ring murmur2": // about 205 points a host: a ring is uneven
			tolerance = 0.25
		case "round robin":
			tolerance = 0
		}
		for i, c := range count(p.Build(equal(n)).Picker(3), n, total) {
			if off := math.Abs(float64(c)*n/total - 1); off > tolerance {
				t.Errorf("%s: host %d has %d of %d", name, i, c, total)
			}
		}
	}
}

func TestRoundRobinOrder(t *testing.T) {
	starts := map[int]bool{}
	for seed := range uint64(40) {
		p := RoundRobin().Build(equal(4)).Picker(seed)
		first := p.Pick(nil)
		starts[first] = true
		for i := range 12 {
			if got, want := p.Pick(nil), (first+1+i)%4; got != want {
				t.Fatalf("seed %d, pick %d: %d, want %d", seed, i, got, want)
			}
		}
	}
	if len(starts) != 4 {
		t.Errorf("40 loops begin with %d of 4 hosts", len(starts))
	}
}

// TestWeightedRoundRobin: exact shares over a whole cycle, spread and not in bursts.
func TestWeightedRoundRobin(t *testing.T) {
	weights := []uint32{5, 1, 3, 1}
	for seed := range uint64(5) {
		p := RoundRobin().Build(hosts(weights...)).Picker(seed)
		got := make([]int, 4)
		heavy, light := 0, 0
		for range 1000 {
			i := p.Pick(nil)
			got[i]++
			if i == 0 {
				heavy++
				light = 0
			} else {
				light++
				heavy = 0
			}
			if heavy > 2 || light > 3 {
				t.Fatalf("bursts: %d times the heavy one, %d times others", heavy, light)
			}
		}
		for i, w := range weights {
			if want := int(w) * 100; got[i] < want-1 || got[i] > want+1 {
				t.Errorf("seed %d: host of weight %d came %d times of 1000", seed, w, got[i])
			}
		}
	}
}

// TestWeightsFarApart: a weight of 2^32-1 beside 1 keeps its share for long.
func TestWeightsFarApart(t *testing.T) {
	p := RoundRobin().Build(hosts(math.MaxUint32, 1)).Picker(1).(*wrrPicker)
	p.heap[0].due += edfRebase * 2 // as after a very long time
	p.heap[1].due += edfRebase * 2
	got := count(p, 2, 1000)
	if got[1] > 1 {
		t.Errorf("the light host came %d times of 1000", got[1])
	}
}

func TestLeastRequestPicksTheIdle(t *testing.T) {
	hs := equal(2)
	hs[0].Active.Store(10)
	p := LeastRequest(0, 1).Build(hs).Picker(1)
	got := count(p, 2, 10_000)
	// The busy host comes only when both choices are it: a quarter.
	if got[0] < 2200 || got[0] > 2800 {
		t.Errorf("the busy host came %d times of 10000, want about 2500", got[0])
	}
	p = LeastRequest(10, 1).Build(hs).Picker(1)
	if got := count(p, 2, 10_000); got[0] > 50 {
		t.Errorf("with 10 choices the busy host came %d times of 10000", got[0])
	}
}

// TestLeastRequestOfVeryManyChoices: a choice_count of billions takes no longer than
// looking at all hosts, and begins anywhere.
func TestLeastRequestOfVeryManyChoices(t *testing.T) {
	hs := equal(5)
	hs[2].Active.Store(3)
	got := count(LeastRequest(1<<32-1, 1).Build(hs).Picker(1), 5, 4000)
	for i, n := range got {
		if i == 2 && n != 0 || i != 2 && (n < 700 || n > 1800) {
			t.Errorf("%v", got)
			break
		}
	}
}

func TestLeastRequestWeighted(t *testing.T) {
	for _, c := range []struct {
		bias   float64
		active int64
		want   float64 // share of the busy host of weight 2 beside an idle one of 1
	}{
		{1, 0, 2. / 3},
		{1, 1, 1. / 2},
		{1, 3, 1. / 3},
		{0, 3, 2. / 3},
		{2, 1, 1. / 3},
		{0.5, 3, 1. / 2},
		{-1, 3, 2. / 3}, // a negative bias is 0
	} {
		hs := hosts(2, 1)
		hs[0].Active.Store(c.active)
		got := count(LeastRequest(2, c.bias).Build(hs).Picker(1), 2, 12_000)
		if share := float64(got[0]) / 12_000; math.Abs(share-c.want) > 0.01 {
			t.Errorf("bias %v, %d active: share %.3f, want %.3f", c.bias, c.active, share, c.want)
		}
	}
}

func TestLeastRequestFollowsLoad(t *testing.T) {
	hs := equal(4)
	p := LeastRequest(0, 1).Build(hs).Picker(1)
	for range 400 { // requests that never end
		hs[p.Pick(&sdk.LBContext{})].Active.Add(1)
	}
	for i := range hs {
		if n := hs[i].Active.Load(); n < 97 || n > 103 {
			t.Errorf("host %d has %d of 400", i, n)
		}
	}
}

// keys hashes n keys and returns whom each goes to.
func keys(p sdk.LBPolicy, hs []sdk.LBHost, n int) []string {
	picker := p.Build(hs).Picker(rand.Uint64())
	owner := make([]string, n)
	for i := range owner {
		owner[i] = hs[picker.Pick(&sdk.LBContext{Hash: Hash("key" + itoa(i)), HasHash: true})].Key
	}
	return owner
}

// TestConsistency: without a host only its keys move (ring) or few others (Maglev),
// and the order in which hosts are configured has no say.
func TestConsistency(t *testing.T) {
	const n, total = 10, 20_000
	for name, p := range map[string]sdk.LBPolicy{
		"ring hash": RingHash(RingOptions{}), "ring murmur2": RingHash(RingOptions{Murmur2: true}), "maglev": Maglev(0),
	} {
		all := equal(n)
		before := keys(p, all, total)

		reversed := make([]sdk.LBHost, n)
		for i := range all {
			reversed[n-1-i] = all[i]
		}
		for i, owner := range keys(p, reversed, total) {
			if owner != before[i] {
				t.Fatalf("%s: another order gives key %d to %s instead of %s", name, i, owner, before[i])
			}
		}

		gone := all[3].Key
		moved := 0
		after := keys(p, append(append([]sdk.LBHost{}, all[:3]...), all[4:]...), total)
		for i := range after {
			if after[i] == gone {
				t.Fatalf("%s: a host that is gone was picked", name)
			}
			if before[i] != gone && after[i] != before[i] {
				moved++
			}
		}
		limit := 0
		switch name {
		case "maglev":
			limit = total * 4 / 100
		default: // 1024 points over 10 and 9 hosts: the numbers of points are rounded up differently
			limit = total * 12 / 100
		}
		if moved > limit {
			t.Errorf("%s: %d of %d keys of other hosts moved", name, moved, total)
		}
	}
}

func TestRingSize(t *testing.T) {
	for _, c := range []struct {
		o       RingOptions
		weights []uint32
		want    []int // points of each host
	}{
		{RingOptions{}, []uint32{1, 1, 1}, []int{342, 342, 342}},
		{RingOptions{MinSize: 6}, []uint32{1, 1, 1}, []int{2, 2, 2}},
		{RingOptions{MinSize: 3}, []uint32{1, 2}, []int{1, 2}},
		{RingOptions{MinSize: 12}, []uint32{1, 2, 3}, []int{2, 4, 6}},
		{RingOptions{MinSize: 1, MaxSize: 6}, []uint32{1, 1, 1, 1}, []int{1, 1, 1, 1}},
		{RingOptions{MinSize: 6, MaxSize: 6}, []uint32{1, 1, 1, 1}, []int{2, 1, 2, 1}},
	} {
		got := make([]int, len(c.weights))
		for _, h := range RingHash(c.o).Build(hosts(c.weights...)).(*ring).hosts {
			got[h]++
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%+v, weights %v: points %v, want %v", c.o, c.weights, got, c.want)
				break
			}
		}
	}
}

// TestRingPlacement checks the point at or after a hash, and the wrap.
func TestRingPlacement(t *testing.T) {
	hs := equal(2)
	table := RingHash(RingOptions{MinSize: 4}).Build(hs)
	r := table.(*ring)
	p := table.Picker(1)
	pick := func(hash uint64, attempt uint32) int {
		return p.Pick(&sdk.LBContext{Hash: hash, HasHash: true, Attempt: attempt})
	}
	for i, at := range r.points {
		if h := Hash(hs[r.hosts[i]].Key + "_0"); h != at {
			if h = Hash(hs[r.hosts[i]].Key + "_1"); h != at {
				t.Errorf("point %#x is not the hash of its host's key", at)
			}
		}
		next := (i + 1) % len(r.points)
		if got := pick(at, 0); got != int(r.hosts[i]) {
			t.Errorf("at point %d: host %d", i, got)
		}
		if got := pick(at+1, 0); got != int(r.hosts[next]) {
			t.Errorf("behind point %d: host %d", i, got)
		}
		if got := pick(at, 1); got != int(r.hosts[next]) {
			t.Errorf("second attempt at point %d: host %d", i, got)
		}
	}
	if got := pick(0, 0); got != int(r.hosts[0]) {
		t.Errorf("at 0: host %d", got)
	}
}

// TestMaglevShares: the table of equal hosts differs by at most one place; that of
// weighted ones follows the weights.
func TestMaglevShares(t *testing.T) {
	for _, c := range []struct {
		size    uint64
		weights []uint32
	}{
		{65537, []uint32{1, 1, 1}}, {251, []uint32{1, 1, 1, 1, 1, 1, 1}}, {65537, []uint32{1, 2, 3}}, {65537, []uint32{1, 1000}},
	} {
		places := Maglev(c.size).Build(hosts(c.weights...)).(*maglevTable).places
		if len(places) != int(c.size) {
			t.Fatalf("%d places, want %d", len(places), c.size)
		}
		got := make([]int, len(c.weights))
		for _, h := range places {
			got[h]++
		}
		var sum uint32
		for _, w := range c.weights {
			sum += w
		}
		for i, w := range c.weights {
			want := float64(c.size) * float64(w) / float64(sum)
			if math.Abs(float64(got[i])-want) > 2 {
				t.Errorf("size %d, weights %v: %v places", c.size, c.weights, got)
				break
			}
		}
	}
}

func TestMaglevAttempt(t *testing.T) {
	p := Maglev(0).Build(equal(5)).Picker(1)
	other := 0
	for i := range 1000 {
		ctx := sdk.LBContext{Hash: Hash(itoa(i)), HasHash: true}
		first := p.Pick(&ctx)
		ctx.Attempt = 1
		if p.Pick(&ctx) != first {
			other++
		}
	}
	if other < 700 {
		t.Errorf("a second attempt names another of 5 hosts %d times of 1000", other)
	}
}

// TestSeedsDiffer: loops do not all begin with the same host.
func TestSeedsDiffer(t *testing.T) {
	for name, p := range policies() {
		table := p.Build(equal(16))
		first := map[int]bool{}
		for seed := range uint64(64) {
			first[table.Picker(seed).Pick(&sdk.LBContext{})] = true
		}
		if len(first) < 8 {
			t.Errorf("%s: 64 loops begin with %d of 16 hosts", name, len(first))
		}
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	for name, p := range policies() {
		for _, hs := range [][]sdk.LBHost{equal(10), hosts(1, 2, 3)} {
			picker := p.Build(hs).Picker(1)
			ctx := sdk.LBContext{Hash: 12345, HasHash: true}
			if n := testing.AllocsPerRun(100, func() { picker.Pick(&ctx) }); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, name := range []string{"round robin", "least request", "random", "ring hash", "maglev"} {
		p := policies()[name]
		for _, weighted := range []bool{false, true} {
			hs := equal(100)
			if weighted {
				name += " weighted"
				hs[0].Weight = 2
			}
			picker := p.Build(hs).Picker(1)
			b.Run(name, func(b *testing.B) {
				ctx := sdk.LBContext{HasHash: true}
				for b.Loop() {
					ctx.Hash += 0x9E3779B185EBCA87
					picker.Pick(&ctx)
				}
			})
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, name := range []string{"ring hash", "maglev"} {
		hs := equal(100)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				policies()[name].Build(hs)
			}
		})
	}
}
