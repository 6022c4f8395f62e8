package lb

import (
	"math"

	"sofamesh.io/sofamesh/sdk"
)

// LeastRequest compares choices hosts taken by chance (0: Envoy's default of 2) and
// picks the one with the fewest active requests. With different weights it is a
// weighted round robin instead, whose weights are divided by the active requests
// plus one, to the power of bias (Envoy's active_request_bias, default 1).
func LeastRequest(choices int, bias float64) sdk.LBPolicy {
	if choices == 0 {
		choices = 2
	}
	return leastRequest{choices, max(bias, 0)}
}

type leastRequest struct {
	choices int
	bias    float64
}

func (l leastRequest) Build(hosts []sdk.LBHost) sdk.LBTable {
	return &lrTable{leastRequest: l, hosts: hosts, weighted: !sameWeight(hosts)}
}

type lrTable struct {
	leastRequest
	hosts    []sdk.LBHost
	weighted bool
}

func (t *lrTable) Picker(seed uint64) sdk.LBPicker {
	s := newSource(seed)
	if !t.weighted {
		return &lrPicker{source: s, hosts: t.hosts, choices: t.choices}
	}
	p := &wlrPicker{edf: newEDF(t.hosts), hosts: t.hosts, bias: t.bias}
	for range s.below(len(t.hosts)) {
		p.Pick(nil)
	}
	return p
}

// scanFactor is how many choices a host there must be for looking at all of them.
const scanFactor = 4

type lrPicker struct {
	source
	hosts   []sdk.LBHost
	choices int
}

func (p *lrPicker) Pick(*sdk.LBContext) int {
	if len(p.hosts) <= 1 {
		return len(p.hosts) - 1
	}
	if p.choices > scanFactor*len(p.hosts) {
		return p.scan()
	}
	best, least := -1, int64(math.MaxInt64)
	for range p.choices {
		i := p.below(len(p.hosts))
		if n := p.hosts[i].Active.Load(); n < least {
			best, least = i, n
		}
	}
	return best
}

// scan looks at every host once, which so many choices by chance would come to, in
// bounded time.
func (p *lrPicker) scan() int {
	i := p.below(len(p.hosts))
	best, least := -1, int64(math.MaxInt64)
	for range p.hosts {
		if n := p.hosts[i].Active.Load(); n < least {
			best, least = i, n
		}
		if i++; i == len(p.hosts) {
			i = 0
		}
	}
	return best
}

type wlrPicker struct {
	edf
	hosts []sdk.LBHost
	bias  float64
}

func (p *wlrPicker) Pick(*sdk.LBContext) int {
	i := p.next()
	h := &p.hosts[i]
	weight := float64(h.Weight)
	switch active := float64(h.Active.Load() + 1); p.bias {
	case 0:
	case 1:
		weight /= active
	default:
		weight /= math.Pow(active, p.bias)
	}
	p.again(weight)
	return i
}
