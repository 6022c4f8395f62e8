package route

import "math/bits"

// names finds virtual hosts by exact names.
type names struct {
	byName  map[string]*VirtualHost // lower case
	longest int
}

// add enters a lower-case name; false means that it is there already.
func (n *names) add(name string, vh *VirtualHost) bool {
	if n.byName == nil {
		n.byName = map[string]*VirtualHost{}
	}
	if n.byName[name] != nil {
		return false
	}
	n.byName[name] = vh
	n.longest = max(n.longest, len(name))
	return true
}

// find returns the virtual host called host, nil when there is none.
func (n *names) find(host string) *VirtualHost {
	if vh := n.byName[host]; vh != nil || len(host) > n.longest {
		return vh
	}
	var buf [256]byte // a DNS name has at most 253; what is longer costs an allocation
	low, folded := append(buf[:0], host...), false
	for i, b := range low {
		if b-'A' < 26 {
			low[i], folded = b|0x20, true
		}
	}
	if !folded {
		return nil
	}
	return n.byName[string(low)]
}

// domains finds virtual hosts by wildcard names in one pass over the host, however
// many there are: a hash is carried along from the fixed end of the names, and
// looked up wherever a name of that length exists.
//
// A table is filled by add and then only read.
type domains struct {
	slots   []domainSlot // open addressing, a power of two
	tags    []uint8      // of each slot, 0 when it is free: what a miss looks at
	count   int
	lengths []uint64 // a bit for each length that some name has
	back    bool     // names are compared from the end: "*.foo"
}

type domainSlot struct {
	name string // lower case, without the wildcard
	vh   *VirtualHost
}

// FNV-1a, of which only the spread matters: names come from the configuration.
const (
	hashSeed  = 2166136261
	hashPrime = 16777619
)

// add enters a name of at least one byte; false means that it is there already.
func (d *domains) add(name string, vh *VirtualHost) bool {
	if d.count*2 >= len(d.slots) {
		d.grow()
	}
	h := d.hash(name)
	if d.lookup(h, name, len(name)) != nil {
		return false
	}
	d.insert(h, domainSlot{name, vh})
	d.count++
	for len(name)/64 >= len(d.lengths) {
		d.lengths = append(d.lengths, 0)
	}
	d.lengths[len(name)/64] |= 1 << (len(name) % 64)
	return true
}

func (d *domains) grow() {
	old := d.slots
	size := max(8, 2*len(old))
	tags := d.tags
	d.slots, d.tags = make([]domainSlot, size), make([]uint8, size)
	for i, s := range old {
		if tags[i] != 0 {
			d.insert(d.hash(s.name), s)
		}
	}
}

// insert takes the first free slot.
func (d *domains) insert(h uint32, s domainSlot) {
	i, mask := spread(h), uint32(len(d.slots)-1)
	for d.tags[i&mask] != 0 {
		i++
	}
	d.slots[i&mask], d.tags[i&mask] = s, tag(h)
}

// spread mixes the upper bits, where FNV is better, into those that choose a slot.
func spread(h uint32) uint32 { return h ^ bits.RotateLeft32(h, 16) }

// tag is never 0.
func tag(h uint32) uint8 { return uint8(h>>24) | 1 }

// hash returns the hash of a lower-case name.
func (d *domains) hash(name string) uint32 {
	h := uint32(hashSeed)
	for i := range len(name) {
		if d.back {
			i = len(name) - 1 - i
		}
		h = (h ^ uint32(name[i])) * hashPrime
	}
	return h
}

// longest returns the virtual host with the longest name that host begins with
// (or ends in, for names with back) and is longer than.
func (d *domains) longest(host string) *VirtualHost {
	limit := min(len(host)-1, 64*len(d.lengths)-1)
	at, step := 0, 1
	if d.back {
		at, step = len(host)-1, -1
	}
	var found *VirtualHost
	h := uint32(hashSeed)
	for n := 1; n <= limit; n++ {
		b := host[at]
		at += step
		if b-'A' < 26 {
			b |= 0x20
		}
		h = (h ^ uint32(b)) * hashPrime
		if d.lengths[n/64]&(1<<(n%64)) == 0 {
			continue
		}
		if vh := d.lookup(h, host, n); vh != nil {
			found = vh
		}
	}
	return found
}

// lookup finds the name that is the first (last) n bytes of host, whose hash is h.
func (d *domains) lookup(h uint32, host string, n int) *VirtualHost {
	mask, want := uint32(len(d.tags)-1), tag(h)
	for i := spread(h); ; i++ {
		switch t := d.tags[i&mask]; {
		case t == 0:
			return nil
		case t == want:
			if s := &d.slots[i&mask]; len(s.name) == n && d.same(s.name, host, n) {
				return s.vh
			}
		}
	}
}

// same compares a name with the first (last) n bytes of host, n being its length.
func (d *domains) same(name, host string, n int) bool {
	if d.back {
		host = host[len(host)-n:]
	}
	host = host[:n]
	if host == name {
		return true
	}
	for i := range n {
		b := host[i]
		if b-'A' < 26 {
			b |= 0x20
		}
		if b != name[i] {
			return false
		}
	}
	return true
}
