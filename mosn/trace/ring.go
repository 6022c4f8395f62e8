package trace

import (
	"sync/atomic"

	"sofamesh.io/sofamesh/sdk"
)

// maxBytes bounds the text of the spans of one loop that wait.
const maxBytes = 4 << 20

// maxKept is how much storage of its own an empty slot keeps.
const maxKept = 4 << 10

// ring carries spans from one loop to one goroutine. head and tail count spans since the
// start, in and out their bytes; the loop alone stores head, in and dropped, the
// goroutine alone tail and out. Slots between tail and head are the goroutine's.
type ring struct {
	// The loop's.
	slots []sdk.Span // made by the first span; published by head
	in    uint64
	_     [64]byte
	head  atomic.Uint64
	drops atomic.Uint64
	_     [64]byte
	// The goroutine's.
	tail    atomic.Uint64
	out     atomic.Uint64
	counted uint64 // of drops
	_       [64]byte
}

// put swaps s with an empty slot, or drops it. waiting is how many there are then.
func (r *ring) put(s *sdk.Span, most int) (waiting int, ok bool) {
	if r.slots == nil {
		r.slots = make([]sdk.Span, most)
	}
	head := r.head.Load()
	used := head - r.tail.Load()
	size := uint64(s.Size())
	if used >= uint64(len(r.slots)) || r.in-r.out.Load()+size > maxBytes {
		r.drops.Store(r.drops.Load() + 1)
		s.Reset()
		return int(used), false
	}
	slot := &r.slots[head%uint64(len(r.slots))]
	*slot, *s = *s, *slot
	r.in += size
	r.head.Store(head + 1)
	return int(used) + 1, true
}

// waiting is how many spans there are.
func (r *ring) waiting() int { return int(r.head.Load() - r.tail.Load()) }

// peek appends the spans that wait, up to a number. They stay until release.
func (r *ring) peek(dst []*sdk.Span, most int) []*sdk.Span {
	tail, head := r.tail.Load(), r.head.Load()
	for ; tail < head && len(dst) < most; tail++ {
		dst = append(dst, &r.slots[tail%uint64(len(r.slots))])
	}
	return dst
}

// release empties the first n slots and gives them back to the loop.
func (r *ring) release(n int) {
	tail, out := r.tail.Load(), r.out.Load()
	for range n {
		slot := &r.slots[tail%uint64(len(r.slots))]
		size := slot.Size()
		if out += uint64(size); size > maxKept {
			*slot = sdk.Span{}
		} else {
			slot.Reset()
		}
		tail++
	}
	r.out.Store(out)
	r.tail.Store(tail)
}
