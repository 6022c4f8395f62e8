// Package idtable finds things by number, the way connections that many exchanges share
// find the stream of a frame: with fewer steps than a map takes, and without allocating
// once a table has its size. A table belongs to one goroutine, an event loop's.
package idtable

import "math/rand/v2"

// Table finds what an id stands for: open addressing with linear probing, and deletion
// that moves what follows back, so that there are no tombstones. It allocates only when
// it grows beyond its largest size so far. The zero value is empty.
type Table[T any] struct {
	slots []slot[T] // a power of two, or none
	shift uint8     // 64 - log2(len(slots))
	seed  uint64    // unknown to who chooses ids so that they meet
	n     int
}

// slot is free when of is nil.
type slot[T any] struct {
	id uint64
	of *T
}

const minSlots = 16

// home is where an id belongs: the upper bits of a product, so that ids which follow
// each other, as most do, are spread, and of another one, so that all bits count.
func (t *Table[T]) home(id uint64) int {
	const phi = 0x9e3779b97f4a7c15 // Fibonacci hashing
	h := (id ^ t.seed) * phi
	return int((h ^ h>>32) * phi >> t.shift)
}

// find returns the index of an id, or of the free slot where it would be. The table
// must not be empty of slots.
func (t *Table[T]) find(id uint64) int {
	mask := len(t.slots) - 1
	i := t.home(id)
	for t.slots[i].of != nil && t.slots[i].id != id {
		i = (i + 1) & mask
	}
	return i
}

// Len returns the number of ids.
func (t *Table[T]) Len() int { return t.n }

// Get returns what an id stands for, nil when it is unknown.
func (t *Table[T]) Get(id uint64) *T {
	if t.n == 0 {
		return nil
	}
	return t.slots[t.find(id)].of
}

// Put adds an id; it reports false when the id is taken. of is not nil.
func (t *Table[T]) Put(id uint64, of *T) bool {
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

func (t *Table[T]) grow() {
	old := t.slots
	if old == nil {
		t.seed = rand.Uint64()
	}
	t.slots = make([]slot[T], max(2*len(old), minSlots))
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

// Remove takes out an id, which may be absent.
func (t *Table[T]) Remove(id uint64) {
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
	t.slots[hole] = slot[T]{}
}

// Append appends all that is in the table to dst, in no order: how to visit them while
// the table changes.
func (t *Table[T]) Append(dst []*T) []*T {
	for i := range t.slots {
		if of := t.slots[i].of; of != nil {
			dst = append(dst, of)
		}
	}
	return dst
}
