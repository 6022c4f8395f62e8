package servicekey

import (
	"cmp"
	"slices"
)

// A Collision is a host that several services would have.
type Collision struct {
	Host string
	Keys []Key // at least two, canonical, one of each service
}

// Collisions returns the hosts that different services among keys share, sorted
// by host, the keys of each by interface, version and group. What differs in the
// protocol alone is one service that is offered twice.
func Collisions(keys []Key) []Collision {
	byHost := make(map[string][]Key, len(keys))
	for _, k := range keys {
		host := k.Host()
		byHost[host] = append(byHost[host], k.Canonical())
	}
	var found []Collision
	for host, same := range byHost {
		slices.SortFunc(same, compare)
		if same = slices.CompactFunc(same, sameService); len(same) > 1 {
			found = append(found, Collision{host, same})
		}
	}
	slices.SortFunc(found, func(a, b Collision) int { return cmp.Compare(a.Host, b.Host) })
	return found
}

func compare(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.Version, b.Version),
		cmp.Compare(a.Group, b.Group), cmp.Compare(a.Protocol, b.Protocol))
}

// sameService compares canonical keys.
func sameService(a, b Key) bool {
	return a.Interface == b.Interface && a.Version == b.Version && a.Group == b.Group
}
