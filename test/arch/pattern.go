package arch

import "strings"

// A pattern names packages by their folder below the module's root:
//
//	mosn/stats      that package only
//	mosn/cluster/...    that package and everything below
//	mosn/protocol/*     each folder below, with everything below it, as a unit
//
// The unit is what a package may always import from: its own subtree.

// match reports whether the package p fits the pattern, and the unit it
// belongs to.
func match(pattern, p string) (unit string, ok bool) {
	if base, found := strings.CutSuffix(pattern, "/..."); found {
		return base, within(base, p)
	}
	base, found := strings.CutSuffix(pattern, "/*")
	if !found {
		return pattern, p == pattern
	}
	rest, below := strings.CutPrefix(p, base+"/")
	if !below {
		return "", false
	}
	first, _, _ := strings.Cut(rest, "/")
	return base + "/" + first, true
}

// within reports whether p is base or lies below it.
func within(base, p string) bool {
	return p == base || strings.HasPrefix(p, base+"/")
}

func matchAny(patterns []string, p string) bool {
	for _, pattern := range patterns {
		if _, ok := match(pattern, p); ok {
			return true
		}
	}
	return false
}
