package stats

import (
	"slices"
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// Text is a value that is no number: Envoy's text readout.
type Text struct{ Name, Value string }

// SetText sets a text under a scope's prefix. Beyond the bound of names, and on a scope
// of another make, it does nothing. Not for loops.
func SetText(scope sdk.Scope, name, value string) {
	s, ok := scope.(*Scope)
	if !ok {
		return
	}
	st := s.store
	st.mu.Lock()
	defer st.mu.Unlock()
	full := s.prefix + name
	if _, known := st.texts[full]; !known && len(st.texts) >= st.max {
		return
	}
	if st.texts == nil {
		st.texts = map[string]string{}
	}
	st.texts[full] = value
}

// readouts returns the texts that a filter lets through, by name.
func (s *Store) readouts(f Filter) []Text {
	if len(f.Kinds) > 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Text
	for name, value := range s.texts {
		if (f.Name == nil || f.Name.MatchString(name)) && (!f.UsedOnly || value != "") {
			out = append(out, Text{name, value})
		}
	}
	slices.SortFunc(out, func(a, b Text) int { return strings.Compare(a.Name, b.Name) })
	return out
}
