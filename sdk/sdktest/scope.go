package sdktest

import (
	"maps"
	"slices"
	"sync"

	"sofamesh.io/sofamesh/sdk"
)

// Scope is an sdk.Scope that numbers names from 1 and can tell them. Scopes made
// from it share its numbers.
type Scope struct {
	names  *names
	prefix string
}

type names struct {
	mu sync.Mutex
	id map[string]uint32
}

var _ sdk.Scope = (*Scope)(nil)

// NewScope returns an empty scope without prefix.
func NewScope() *Scope { return &Scope{names: &names{id: map[string]uint32{}}} }

// Names returns all names that were asked for, prefixes included, sorted.
func (s *Scope) Names() []string {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	return slices.Sorted(maps.Keys(s.names.id))
}

// ID returns the number of a name with its prefix, 0 when nobody asked for it.
func (s *Scope) ID(name string) uint32 {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	return s.names.id[name]
}

func (s *Scope) resolve(name string) uint32 {
	name = s.prefix + name
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	id := s.names.id[name]
	if id == 0 {
		id = uint32(len(s.names.id) + 1)
		s.names.id[name] = id
	}
	return id
}

// Counter implements sdk.Scope.
func (s *Scope) Counter(name string) sdk.Counter { return sdk.Counter{ID: s.resolve(name)} }

// Gauge implements sdk.Scope.
func (s *Scope) Gauge(name string) sdk.Gauge { return sdk.Gauge{ID: s.resolve(name)} }

// Histogram implements sdk.Scope.
func (s *Scope) Histogram(name string) sdk.Histogram { return sdk.Histogram{ID: s.resolve(name)} }

// Scope implements sdk.Scope.
func (s *Scope) Scope(name string) sdk.Scope {
	return &Scope{names: s.names, prefix: s.prefix + name + "."}
}
