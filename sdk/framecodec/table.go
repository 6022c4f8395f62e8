package framecodec

import "math/bits"

// open is a request without its response.
type open struct {
	Asked
	key    uint64 // the ID; 0 for Serial protocols, which have one request at a time
	stream uint64 // 0: the slot is free
	next   int32  // free slots: 1 + the next one
	begun  bool   // the head of our side's message is written
	queued bool   // or it waits for its turn
	given  bool   // given up; the id is kept until the response has come
}

// table holds the open requests of a connection in slots, so that a stream finds its
// request by its number, and frames find it by their id. It grows by doubling and
// gives a large table back when the last request has ended.
type table struct {
	slots  []open
	free   int32    // 1 + the first free slot
	index  []uint32 // by key, linear probing: 1 + the slot; at most half of it is used
	used   int
	given  int    // of these
	serial uint64 // of the last stream
	seed   uint64 // odd; it spreads ids in a way that no peer can know
}

const (
	// A stream is its serial number and, in the lower bits, its slot.
	slotBits   = 20
	slotMask   = 1<<slotBits - 1
	firstIndex = 8
	keepSlots  = 64 // an empty table may keep
)

// home is the place where the search for a key begins.
func (t *table) home(key uint64) int {
	return int(key * t.seed >> (64 - bits.Len(uint(len(t.index)-1))))
}

// place returns where in the index the key is, or would be.
func (t *table) place(key uint64) int {
	mask := len(t.index) - 1
	i := t.home(key)
	for t.index[i] != 0 && t.slots[t.index[i]-1].key != key {
		i = (i + 1) & mask
	}
	return i
}

// get returns the request with the key, nil when there is none. The pointer is valid
// until add.
func (t *table) get(key uint64) *open {
	if t.used == 0 {
		return nil
	}
	if slot := t.index[t.place(key)]; slot != 0 {
		return &t.slots[slot-1]
	}
	return nil
}

// find returns the open request of a stream, nil when there is none.
func (t *table) find(stream uint64) *open {
	if slot := int(stream & slotMask); stream != 0 && slot < len(t.slots) {
		if o := &t.slots[slot]; o.stream == stream && !o.given {
			return o
		}
	}
	return nil
}

// add puts in a request, whose key is not there, and returns its stream.
func (t *table) add(key uint64, a Asked) uint64 {
	if 2*(t.used+1) > len(t.index) {
		t.index = make([]uint32, max(firstIndex, 2*len(t.index)))
		for i := range t.slots {
			if o := &t.slots[i]; o.stream != 0 {
				t.index[t.place(o.key)] = uint32(i + 1)
			}
		}
	}
	slot := int(t.free) - 1
	if slot < 0 {
		slot = len(t.slots)
		t.slots = append(t.slots, open{})
	} else {
		t.free = t.slots[slot].next
	}
	at := t.place(key)
	t.slots[slot] = open{Asked: a, key: key, stream: t.nextStream(slot)}
	t.index[at] = uint32(slot + 1)
	t.used++
	return t.slots[slot].stream
}

// nextStream returns the id of a new stream. One that is in no slot (a one-way
// request) has a slot that does not exist.
func (t *table) nextStream(slot int) uint64 {
	t.serial++
	return t.serial<<slotBits | uint64(slot)
}

// last is an id that no stream so far is above.
func (t *table) last() uint64 { return t.serial<<slotBits | slotMask }

// remove takes out a request, and moves up in the index what had to make way.
func (t *table) remove(o *open) {
	mask := len(t.index) - 1
	i := t.place(o.key)
	for j := (i + 1) & mask; t.index[j] != 0; j = (j + 1) & mask {
		if home := t.home(t.slots[t.index[j]-1].key); (j-home)&mask >= (j-i)&mask {
			t.index[i] = t.index[j]
			i = j
		}
	}
	slot := int32(o.stream & slotMask)
	t.index[i] = 0
	if o.given {
		t.given--
	}
	*o = open{next: t.free}
	t.free = slot + 1
	if t.used--; t.used == 0 && len(t.slots) > keepSlots {
		t.slots, t.index, t.free = nil, nil, 0
	}
}
