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

// FuzzRawName: the name that is read from a resource's bytes is the one that decoding
// finds.
func FuzzRawName(f *testing.F) {
	f.Add([]byte("\n\x01a"))
	f.Add([]byte("\n\x01a\n\x01b"))
	f.Add([]byte("\x12\x03\n\x01x\n\x01a"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, bad := unmarshal(ClusterType, raw)
		name, err := rawName(ClusterType, raw)
		if bad == nil && (err != nil || name != resourceName(m)) {
			t.Errorf("%q, %v; decoded it is %q", name, err, resourceName(m))
		}
	})
}
