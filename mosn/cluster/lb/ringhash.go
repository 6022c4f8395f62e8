package lb

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"sofamesh.io/sofamesh/sdk"
)

// RingOptions are those of Cluster.RingHashLbConfig; 0 takes Envoy's default.
type RingOptions struct {
	MinSize, MaxSize uint64 // 1024, 8 Mi
	Murmur2          bool   // MURMUR_HASH_2 instead of XX_HASH
}

// The default bounds of a ring's size are Envoy's.
const (
	DefaultMinRing = 1024
	DefaultMaxRing = 8 << 20
)

// RingHash places each host on a ring of 64-bit numbers, in proportion to its
// weight, and picks the first host at or after a request's hash (Ketama).
func RingHash(o RingOptions) sdk.LBPolicy {
	if o.MinSize == 0 {
		o.MinSize = DefaultMinRing
	}
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxRing
	}
	return ringHash{o}
}

type ringHash struct{ RingOptions }

// ring is the table: points in ascending order, and whose they are.
type ring struct {
	points []uint64
	hosts  []uint32
}

type point struct {
	hash uint64
	host uint32
}

func (r ringHash) Build(hosts []sdk.LBHost) sdk.LBTable {
	points := r.place(hosts)
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.hash, b.hash) })
	t := &ring{points: make([]uint64, len(points)), hosts: make([]uint32, len(points))}
	for i, p := range points {
		t.points[i], t.hosts[i] = p.hash, p.host
	}
	return t
}

// place gives each host its points: so many that the lightest one has a whole
// number and all together at least MinSize, unless that exceeds MaxSize.
func (r ringHash) place(hosts []sdk.LBHost) []point {
	if len(hosts) == 0 {
		return nil
	}
	weights, least, _ := normalise(hosts)
	scale := min(math.Ceil(least*float64(r.MinSize))/least, float64(r.MaxSize))
	points := make([]point, 0, int(math.Ceil(scale)))
	var have, want float64
	var key []byte
	for i := range hosts {
		key = append(append(key[:0], hosts[i].Key...), '_')
		stem := len(key)
		want += scale * weights[i]
		for n := int64(0); have < want; n++ {
			key = strconv.AppendInt(key[:stem], n, 10)
			points = append(points, point{r.hash(key), uint32(i)})
			have++
		}
	}
	return points
}

func (r ringHash) hash(key []byte) uint64 {
	if r.Murmur2 {
		return murmur2(key)
	}
	return HashBytes(key, 0)
}

// normalise returns each host's share of the whole, the least and the greatest.
func normalise(hosts []sdk.LBHost) (shares []float64, least, greatest float64) {
	var sum uint64
	for i := range hosts {
		sum += uint64(hosts[i].Weight)
	}
	shares = make([]float64, len(hosts))
	least = 1
	for i := range hosts {
		shares[i] = float64(hosts[i].Weight) / float64(sum)
		least, greatest = min(least, shares[i]), max(greatest, shares[i])
	}
	return shares, least, greatest
}

func (t *ring) Picker(seed uint64) sdk.LBPicker { return &ringPicker{t, newSource(seed)} }

type ringPicker struct {
	*ring
	source
}

func (p *ringPicker) Pick(ctx *sdk.LBContext) int {
	if len(p.points) == 0 {
		return -1
	}
	i, _ := slices.BinarySearch(p.points, p.hashOf(ctx))
	if i == len(p.points) {
		i = 0
	}
	i = (i + int(ctx.Attempt)) % len(p.points)
	return int(p.hosts[i])
}

// hashOf returns the request's hash, or a random number when it has none.
func (s *source) hashOf(ctx *sdk.LBContext) uint64 {
	if ctx.HasHash {
		return ctx.Hash
	}
	return s.Uint64()
}
