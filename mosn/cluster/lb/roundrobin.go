package lb

import "sofamesh.io/sofamesh/sdk"

// RoundRobin takes the hosts in turn, each loop beginning elsewhere; with different
// weights, in turns that are in proportion to them.
func RoundRobin() sdk.LBPolicy { return roundRobin{} }

type roundRobin struct{}

func (roundRobin) Build(hosts []sdk.LBHost) sdk.LBTable {
	return &rrTable{hosts: hosts, weighted: !sameWeight(hosts)}
}

type rrTable struct {
	hosts    []sdk.LBHost
	weighted bool
}

func (t *rrTable) Picker(seed uint64) sdk.LBPicker {
	if len(t.hosts) == 0 {
		return &rrPicker{}
	}
	s := newSource(seed)
	start := s.below(len(t.hosts))
	if !t.weighted {
		return &rrPicker{n: len(t.hosts), next: start}
	}
	p := &wrrPicker{hosts: t.hosts, edf: newEDF(t.hosts)}
	for range start {
		p.Pick(nil)
	}
	return p
}

type rrPicker struct{ n, next int }

func (p *rrPicker) Pick(*sdk.LBContext) int {
	if p.n == 0 {
		return -1
	}
	i := p.next
	if p.next++; p.next == p.n {
		p.next = 0
	}
	return i
}

type wrrPicker struct {
	edf
	hosts []sdk.LBHost
}

func (p *wrrPicker) Pick(*sdk.LBContext) int {
	i := p.next()
	p.again(float64(p.hosts[i].Weight))
	return i
}
