package lb

import "sofamesh.io/sofamesh/sdk"

// edf is an earliest-deadline-first schedule: of n hosts, each is due every
// 1/weight, so that over time each is picked in proportion to its weight, and the
// picks of one are spread evenly between those of the others.
type edf struct {
	heap  []edfEntry
	now   float64
	order uint64
}

type edfEntry struct {
	due   float64
	order uint64 // breaks ties: first in, first out
	host  int32
}

// edfRebase is the time at which deadlines are set back, before adding the 1/weight
// of a heavy host is lost to rounding.
const edfRebase = 1 << 20

func newEDF(hosts []sdk.LBHost) edf {
	e := edf{heap: make([]edfEntry, len(hosts)), order: uint64(len(hosts))}
	for i := range hosts {
		e.heap[i] = edfEntry{due: 1 / float64(hosts[i].Weight), order: uint64(i), host: int32(i)}
	}
	for i := len(hosts)/2 - 1; i >= 0; i-- {
		e.down(i)
	}
	return e
}

// next returns the host that is due; again must follow.
func (e *edf) next() int {
	e.now = e.heap[0].due
	return int(e.heap[0].host)
}

// again schedules the host that next returned anew.
func (e *edf) again(weight float64) {
	if e.now > edfRebase {
		for i := range e.heap {
			e.heap[i].due -= e.now
		}
		e.now = 0
	}
	e.heap[0].due = e.now + 1/weight
	e.heap[0].order = e.order
	e.order++
	e.down(0)
}

func (e *edf) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(e.heap); c++ {
			if e.heap[c].before(&e.heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		e.heap[i], e.heap[least] = e.heap[least], e.heap[i]
		i = least
	}
}

func (a *edfEntry) before(b *edfEntry) bool {
	return a.due < b.due || a.due == b.due && a.order < b.order
}

// sameWeight reports whether all hosts have one weight, so that weights have no
// say.
func sameWeight(hosts []sdk.LBHost) bool {
	for i := range hosts {
		if hosts[i].Weight != hosts[0].Weight {
			return false
		}
	}
	return true
}
