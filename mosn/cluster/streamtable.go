package cluster

// streamTable finds what a stream id stands for: open addressing with linear probing,
// and deletion that moves what follows back, so that there are no tombstones. It
// allocates only when it grows beyond its largest size so far.
type streamTable[T any] struct {
	slots []streamSlot[T] // a power of two, or none
	shift uint8           // 64 - log2(len(slots))
	n     int
}

// streamSlot is free when of is nil.
type streamSlot[T any] struct {
	id uint64
	of *T
}

const minStreamSlots = 16

// home is where an id belongs: the upper bits of Fibonacci hashing, because ids
// that follow each other are what codecs give.
func (t *streamTable[T]) home(id uint64) int { return int(id * 0x9e3779b97f4a7c15 >> t.shift) }

// find returns the index of an id, or of the free slot where it would be. The table
// must not be empty of slots.
func (t *streamTable[T]) find(id uint64) int {
	mask := len(t.slots) - 1
	i := t.home(id)
	for t.slots[i].of != nil && t.slots[i].id != id {
		i = (i + 1) & mask
	}
	return i
}

// get returns what an id stands for, nil when it is unknown.
func (t *streamTable[T]) get(id uint64) *T {
	if t.n == 0 {
		return nil
	}
	return t.slots[t.find(id)].of
}

// put adds an id; it reports false when the id is taken.
func (t *streamTable[T]) put(id uint64, of *T) bool {
	if 4*(t.n+1) > 3*len(t.slots) {
		t.grow()
	}
	s := &t.slots[t.find(id)]
	if s.of != nil {
		return false
	}
	s.id, s.of = id, of
	t.n++
	return true
}

func (t *streamTable[T]) grow() {
	old := t.slots
	t.slots = make([]streamSlot[T], max(2*len(old), minStreamSlots))
	t.shift = 64
	for n := len(t.slots); n > 1; n >>= 1 {
		t.shift--
	}
	for _, s := range old {
		if s.of != nil {
			t.slots[t.find(s.id)] = s
		}
	}
}

// remove takes out an id, which may be absent.
func (t *streamTable[T]) remove(id uint64) {
	if t.n == 0 {
		return
	}
	hole := t.find(id)
	if t.slots[hole].of == nil {
		return
	}
	t.n--
	mask := len(t.slots) - 1
	for i := (hole + 1) & mask; t.slots[i].of != nil; i = (i + 1) & mask {
		// What stands at i may move to the hole unless its home lies between them.
		if (i-t.home(t.slots[i].id))&mask >= (i-hole)&mask {
			t.slots[hole] = t.slots[i]
			hole = i
		}
	}
	t.slots[hole] = streamSlot[T]{}
}
