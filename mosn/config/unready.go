package config

import (
	"cmp"
	"slices"
)

// Unready is a resource that waits for others.
type Unready struct {
	Name     string   // `listener "web"`
	Missing  []string // what it waits for, sorted
	Updating bool     // an older version serves meanwhile
}

// Unready returns the resources that wait, by name.
func (s *Store) Unready() []Unready {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Unready
	for _, e := range s.entries {
		if e.Warming == nil {
			continue
		}
		u := Unready{Name: label(e.Key), Updating: e.Active != nil}
		for _, use := range e.Warming.uses {
			if !use.early && !use.settled {
				u.Missing = append(u.Missing, label(use.entry.Key))
			}
		}
		slices.Sort(u.Missing)
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b Unready) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
