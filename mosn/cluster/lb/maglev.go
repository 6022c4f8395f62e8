package lb

import (
	"cmp"
	"slices"

	"sofamesh.io/sofamesh/sdk"
)

// DefaultMaglevSize is Envoy's size of a Maglev table; MaxMaglevSize its upper
// bound. A size must be a prime.
const (
	DefaultMaglevSize = 65537
	MaxMaglevSize     = 5000011
)

// Maglev fills a table in which the hosts take turns, each by its own permutation of
// the places, and picks by hash modulo size (Eisenbud et al., NSDI 2016, section
// 3.4). Size 0 is the default.
func Maglev(size uint64) sdk.LBPolicy {
	if size == 0 {
		size = DefaultMaglevSize
	}
	return maglev(size)
}

type maglev uint64

// claim is a host that fills its places.
type claim struct {
	host         uint32
	offset, skip uint64 // the permutation: offset + n*skip modulo size
	n            uint64
	share        float64
	due          float64
}

// Build fills the table. Hosts take turns in the order of their keys, so that it
// does not depend on the order in which they are configured. A host with less than
// the greatest weight sits turns out.
func (size maglev) Build(hosts []sdk.LBHost) sdk.LBTable {
	if len(hosts) == 0 {
		return &maglevTable{}
	}
	shares, _, greatest := normalise(hosts)
	claims := size.claims(hosts, shares)
	const free = ^uint32(0)
	t := &maglevTable{places: make([]uint32, size)}
	for i := range t.places {
		t.places[i] = free
	}
	filled := 0
	for round := 1; ; round++ {
		for i := range claims {
			c := &claims[i]
			if float64(round)*c.share < c.due {
				continue
			}
			c.due += greatest
			at := c.take(uint64(size))
			for t.places[at] != free {
				at = c.take(uint64(size))
			}
			t.places[at] = c.host
			if filled++; filled == len(t.places) {
				return t
			}
		}
	}
}

func (size maglev) claims(hosts []sdk.LBHost, shares []float64) []claim {
	claims := make([]claim, len(hosts))
	for i := range hosts {
		key := hosts[i].Key
		claims[i] = claim{
			host:   uint32(i),
			offset: HashSeed(key, 0) % uint64(size),
			skip:   HashSeed(key, 1)%(uint64(size)-1) + 1,
			share:  shares[i],
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return cmp.Compare(hosts[a.host].Key, hosts[b.host].Key) })
	return claims
}

// take returns the next place of the permutation.
func (c *claim) take(size uint64) uint64 {
	at := (c.offset + c.skip*c.n) % size
	c.n++
	return at
}

type maglevTable struct{ places []uint32 }

func (t *maglevTable) Picker(seed uint64) sdk.LBPicker { return &maglevPicker{t, newSource(seed)} }

type maglevPicker struct {
	*maglevTable
	source
}

func (p *maglevPicker) Pick(ctx *sdk.LBContext) int {
	if len(p.places) == 0 {
		return -1
	}
	hash := p.hashOf(ctx)
	if ctx.Attempt > 0 { // flips most bits, so that another host is likely
		hash ^= -uint64(ctx.Attempt)
	}
	return int(p.places[hash%uint64(len(p.places))])
}
