package lb

import (
	"math/bits"
	"math/rand/v2"

	"sofamesh.io/sofamesh/sdk"
)

// source is one loop's random numbers.
type source struct{ rand.PCG }

func newSource(seed uint64) source {
	var s source
	s.Seed(seed, 0x5bd1e995)
	return s
}

// below returns a number in [0, n), n > 0.
func (s *source) below(n int) int {
	hi, _ := bits.Mul64(s.Uint64(), uint64(n))
	return int(hi)
}

// Random chooses among hosts by chance, whatever their weights, as Envoy does.
func Random() sdk.LBPolicy { return randomPolicy{} }

type randomPolicy struct{}

func (randomPolicy) Build(hosts []sdk.LBHost) sdk.LBTable { return randomTable(len(hosts)) }

type randomTable int

func (n randomTable) Picker(seed uint64) sdk.LBPicker {
	return &randomPicker{n: int(n), source: newSource(seed)}
}

type randomPicker struct {
	source
	n int
}

func (p *randomPicker) Pick(*sdk.LBContext) int {
	if p.n == 0 {
		return -1
	}
	return p.below(p.n)
}
