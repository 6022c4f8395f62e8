//go:build linux

package load

import "testing"

func TestPaceIsExact(t *testing.T) {
	p := newPace(3, 1000) // three a second from t=1000 ns: at 1000, 1000+333333333, 1000+666666666, 1000+1e9
	if p.due(999) != 0 || p.due(1000) != 1 {
		t.Fatal("the first request is due at the start, not before")
	}
	for i, want := range []int64{1000, 1000 + 333333333, 1000 + 666666666, 1000 + 1e9} {
		if got := p.next(); got < want-1 || got > want+1 {
			t.Errorf("request %d is due at %d, want %d", i, got, want)
		}
	}
	if got := p.due(1000 + 10e9); got != 27 {
		t.Errorf("%d are due after ten seconds with four sent, want 27", got)
	}
}

func TestPaceDoesNotDrift(t *testing.T) {
	p := newPace(30_007, 0)
	var last int64
	for range 30_007 * 60 {
		last = p.next()
	}
	if want := int64(60e9) - 33_326; last < want-100_000 || last > want+100_000 {
		t.Errorf("the last request of a minute is due at %d ns, want %d", last, want)
	}
	if p.due(60e9-1) != 0 {
		t.Error("all requests of the minute were sent, yet one is due")
	}
}

func TestNoRateIsNeverDue(t *testing.T) {
	p := newPace(0, 0)
	if p.due(1<<60) != 0 {
		t.Error("a closed loop has no due requests")
	}
}

func TestRingIsFirstInFirstOut(t *testing.T) {
	a, b, c := &conn{}, &conn{}, &conn{}
	r := newRing[*conn](3)
	for range 5 { // goes round the slots
		r.push(a)
		r.push(b)
		r.push(c)
		if !r.remove(b) || r.remove(b) {
			t.Fatal("b must be there once")
		}
		if r.len() != 2 || r.pop() != a || r.pop() != c || r.len() != 0 {
			t.Fatal("taking out b changed the order of the others")
		}
	}
}
