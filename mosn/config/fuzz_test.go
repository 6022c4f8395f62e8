package config

import (
	"testing"

	"sofamesh.io/sofamesh/mosn/stats"
)

// FuzzBootstrap: whatever the text, loading and compiling it ends without a panic,
// and what compiles once compiles again.
func FuzzBootstrap(f *testing.F) {
	reg := newRegistry(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		boot, err := Load(Source{YAML: text}, reg)
		if err != nil {
			return
		}
		s := NewStore(Options{
			Registry: reg, Stats: stats.NewStore(stats.Options{}), Loops: 1, Node: boot.Proto.GetNode(), Runtime: boot.Runtime.Values(),
		})
		first := s.Apply(boot.Resources())
		second := s.Apply(boot.Resources())
		if len(second.Applied) != 0 && first.Err() == nil {
			t.Errorf("applied again: %v", second.Applied)
		}
	})
}
