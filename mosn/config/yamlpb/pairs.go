package yamlpb

import (
	"iter"

	"gopkg.in/yaml.v3"
)

// pairs yields the keys and values of a map in their order, then those that merge
// keys ("<<") bring in and that the map does not have itself; of several maps
// merged, an earlier one wins.
func (d *decoder) pairs(n *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(k, v *yaml.Node) bool) {
		var merged []*yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := resolve(n.Content[i]), n.Content[i+1]
			switch {
			case k == nil || k.Kind != yaml.ScalarNode:
				d.errorf(n.Content[i], "a key must be a scalar")
			case k.Tag == "!!merge":
				merged = append(merged, v)
			case !yield(k, v):
				return
			}
		}
		if len(merged) == 0 {
			return
		}
		have := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if k := resolve(n.Content[i]); k != nil {
				have[k.Value] = true
			}
		}
		for _, v := range merged {
			if !d.merge(v, have, yield) {
				return
			}
		}
	}
}

// merge yields the pairs of a map, or of a list of maps, that are not in have yet.
func (d *decoder) merge(v *yaml.Node, have map[string]bool, yield func(k, v *yaml.Node) bool) bool {
	n := d.enter(v)
	if n == nil {
		return false
	}
	defer d.leave()
	switch n.Kind {
	case yaml.SequenceNode:
		for _, e := range n.Content {
			if !d.merge(e, have, yield) {
				return false
			}
		}
	case yaml.MappingNode:
		for k, v := range d.pairs(n) {
			if d.budget--; have[k.Value] {
				continue
			}
			have[k.Value] = true
			if !yield(k, v) {
				return false
			}
		}
	default:
		d.errorf(v, "is %s, want a map or a list of maps to merge", describe(n))
	}
	return true
}
