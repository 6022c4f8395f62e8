package stream

import "testing"

// TestTransitions states every transition that is possible; all others must not be.
func TestTransitions(t *testing.T) {
	type edge struct {
		from phase
		by   transition
	}
	possible := map[edge]phase{
		{idle, begin}:             filtering,
		{filtering, attempt}:      waiting,
		{filtering, reply}:        responding,
		{filtering, finish}:       ended,
		{waiting, retry}:          backingOff,
		{waiting, respond}:        responding,
		{waiting, reply}:          responding,
		{waiting, finish}:         ended,
		{backingOff, attempt}:     waiting,
		{backingOff, reply}:       responding,
		{backingOff, finish}:      ended,
		{responding, reply}:       responding,
		{responding, switchToRaw}: upgraded,
		{responding, finish}:      ended,
		{upgraded, finish}:        ended,
		{ended, reclaim}:          idle,
	}
	for from := range numPhases {
		for by := range numTransitions {
			want, ok := possible[edge{from, by}]
			if got := from.can(by); got != ok {
				t.Errorf("%s: can %s = %v, want %v", from, by, got, ok)
				continue
			}
			p := from
			panicked := tryMove(&p, by)
			if panicked == ok {
				t.Errorf("%s: move(%s) panicked = %v", from, by, panicked)
			}
			if ok && p != want {
				t.Errorf("%s: %s leads to %s, want %s", from, by, p, want)
			}
			if !ok && p != from {
				t.Errorf("%s: impossible %s changed the phase to %s", from, by, p)
			}
		}
	}
}

// TestEveryPhaseEnds checks that no phase is a dead end: from each one the stream
// can get back to the free list.
func TestEveryPhaseEnds(t *testing.T) {
	for p := range numPhases {
		if p == idle {
			continue
		}
		if p.live() != p.can(finish) {
			t.Errorf("%s: live = %v, can finish = %v", p, p.live(), p.can(finish))
		}
	}
}

func tryMove(p *phase, t transition) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	p.move(t)
	return false
}
