package route

import "math/bits"

// domains finds virtual hosts by name in one pass over the host, however many
// there are: a hash is carried along from the fixed end of the names, and looked up
// wherever a name of that length exists.
//
// A table is filled by add and then only read.
type domains struct {
	slots   []domainSlot // open addressing, a power of two
	count   int
	lengths []uint64 // a bit for each length that some name has
	back    bool     // names are compared from the end: "*.foo"
}

type domainSlot struct {
	hash uint32
	name string // lower case, without the wildcard; "" marks a free slot
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
	slot := d.slot(h, name)
	if slot.name != "" {
		return false
	}
	*slot = domainSlot{h, name, vh}
	d.count++
	for len(name)/64 >= len(d.lengths) {
		d.lengths = append(d.lengths, 0)
	}
	d.lengths[len(name)/64] |= 1 << (len(name) % 64)
	return true
}

func (d *domains) grow() {
	old := d.slots
	d.slots = make([]domainSlot, max(8, 2*len(old)))
	for _, s := range old {
		if s.name != "" {
			*d.slot(s.hash, s.name) = s
		}
	}
}

// slot returns the slot of a lower-case name, or the free one where it would be.
func (d *domains) slot(h uint32, name string) *domainSlot {
	for i := spread(h); ; i++ {
		s := &d.slots[i&uint32(len(d.slots)-1)]
		if s.name == "" || s.hash == h && s.name == name {
			return s
		}
	}
}

// spread mixes the upper bits, where FNV is better, into those that choose a slot.
func spread(h uint32) uint32 { return h ^ bits.RotateLeft32(h, 16) }

func (d *domains) hash(name string) uint32 {
	h := uint32(hashSeed)
	for n := range len(name) {
		h = (h ^ uint32(d.at(name, n))) * hashPrime
	}
	return h
}

// at returns byte n from the end where comparing starts, in lower case.
func (d *domains) at(name string, n int) byte {
	if d.back {
		n = len(name) - 1 - n
	}
	b := name[n]
	if b-'A' < 26 {
		b |= 0x20
	}
	return b
}

// longest returns the virtual host with the longest name that host begins with
// (or ends in, for names with back), of at most limit bytes.
func (d *domains) longest(host string, limit int) *VirtualHost {
	limit = min(limit, len(host), 64*len(d.lengths)-1)
	var found *VirtualHost
	h := uint32(hashSeed)
	for n := range limit {
		h = (h ^ uint32(d.at(host, n))) * hashPrime
		if d.lengths[(n+1)/64]&(1<<((n+1)%64)) == 0 {
			continue
		}
		if vh := d.lookup(h, host, n+1); vh != nil {
			found = vh
		}
	}
	return found
}

// whole returns the virtual host whose name is host.
func (d *domains) whole(host string) *VirtualHost {
	n := len(host)
	if n/64 >= len(d.lengths) || d.lengths[n/64]&(1<<(n%64)) == 0 {
		return nil
	}
	return d.lookup(d.hash(host), host, n)
}

// lookup finds the first (last) n bytes of host, whose hash is h.
func (d *domains) lookup(h uint32, host string, n int) *VirtualHost {
	for i := spread(h); ; i++ {
		s := &d.slots[i&uint32(len(d.slots)-1)]
		if s.name == "" {
			return nil
		}
		if s.hash == h && len(s.name) == n && d.same(s.name, host, n) {
			return s.vh
		}
	}
}

func (d *domains) same(name, host string, n int) bool {
	for i := range n {
		if d.at(name, i) != d.at(host, i) {
			return false
		}
	}
	return true
}
