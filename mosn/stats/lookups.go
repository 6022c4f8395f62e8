package stats

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// maxLookups bounds the names that are remembered, as in Envoy.
const maxLookups = 100

// lookups is what Envoy's admin shows as recent lookups: how often names were asked for,
// which is dear when it happens on the path of a request. It is under the store's mutex.
type lookups struct {
	total  uint64
	counts map[string]uint64 // nil while nobody wants to know
}

func (l *lookups) note(prefix, name string) {
	l.total++
	if l.counts == nil {
		return
	}
	name = prefix + name
	if _, known := l.counts[name]; known || len(l.counts) < maxLookups {
		l.counts[name]++
	}
}

// TrackLookups begins to remember which names are asked for, or ends that.
func (s *Store) TrackLookups(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !on:
		s.lookups.counts = nil
	case s.lookups.counts == nil:
		s.lookups.counts = map[string]uint64{}
	}
}

// ClearLookups forgets the lookups so far.
func (s *Store) ClearLookups() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookups.total = 0
	clear(s.lookups.counts)
}

// WriteLookups writes the lookups, the most frequent first, in the text of Envoy's
// /stats/recentlookups.
func (s *Store) WriteLookups(w io.Writer) error {
	s.mu.Lock()
	total, counts := s.lookups.total, maps.Clone(s.lookups.counts)
	s.mu.Unlock()
	var b strings.Builder
	if counts == nil {
		b.WriteString("Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n")
	} else {
		b.WriteString("   Count Lookup\n")
		names := slices.SortedFunc(maps.Keys(counts), func(a, o string) int {
			if counts[a] != counts[o] {
				return int(min(counts[o], 1<<30)) - int(min(counts[a], 1<<30))
			}
			return strings.Compare(a, o)
		})
		for _, name := range names {
			fmt.Fprintf(&b, "%8d %s\n", counts[name], name)
		}
	}
	fmt.Fprintf(&b, "\ntotal: %d\n", total)
	_, err := io.WriteString(w, b.String())
	return err
}
