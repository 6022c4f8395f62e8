package stats

import (
	"fmt"
	"strings"
	"testing"
)

func TestLookups(t *testing.T) {
	s := NewStore(Options{})
	s.ClearLookups() // its own
	show := func(want string) {
		t.Helper()
		var b strings.Builder
		if err := s.WriteLookups(&b); err != nil || b.String() != want {
			t.Errorf("got %q, %v\nwant %q", b.String(), err, want)
		}
	}
	s.Root().Counter("a")
	show("Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 1\n")
	s.TrackLookups(true)
	s.Root().Scope("x").Gauge("b")
	s.Root().Counter("c")
	s.Root().Counter("c")
	show("   Count Lookup\n       2 c\n       1 x.b\n\ntotal: 4\n")
	s.ClearLookups()
	show("   Count Lookup\n\ntotal: 0\n")
	for i := range 3 * maxLookups {
		s.Root().Counter(fmt.Sprint(i))
	}
	if n := len(s.lookups.counts); n != maxLookups {
		t.Errorf("%d names are remembered", n)
	}
	s.TrackLookups(false)
	show(fmt.Sprintf("Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: %d\n", 3*maxLookups))
}
