package bolt

// open is a request without its response.
type open struct {
	stream uint64 // 0: the slot is free
	id     uint32 // as it stands in the frame
	v2     bool
	serial byte
	sofa   bool // a SofaRequest: the answer is a SofaResponse
	begun  bool // the head of our side's message is written
	queued bool // or it waits for its turn
}

// table finds open requests by id: open addressing with linear probing. It grows
// by doubling and gives a large table back when the last request has ended.
type table struct {
	slots []open // its length is 0 or a power of two, at most half of it is used
	used  int
	seed  uint32 // unknown to the peer
}

const (
	firstSlots = 8
	keepSlots  = 128 // an empty table may keep
)

// home is the slot where the search for an id begins. Ids are counted up, mostly,
// but a peer that means harm may choose them, so all bits count, and the seed.
func (t *table) home(id uint32) int {
	h := (id ^ t.seed) * 0x9e3779b1
	h = (h ^ h>>16) * 0x9e3779b1
	return int(h^h>>16) & (len(t.slots) - 1)
}

// get returns the request with the id, nil when there is none. The pointer is
// valid until add or remove.
func (t *table) get(id uint32) *open {
	if i := t.index(id); i >= 0 {
		return &t.slots[i]
	}
	return nil
}

// index returns the slot of the request with the id, -1 when there is none.
func (t *table) index(id uint32) int {
	if t.used == 0 {
		return -1
	}
	for i := t.home(id); t.slots[i].stream != 0; i = (i + 1) & (len(t.slots) - 1) {
		if t.slots[i].id == id {
			return i
		}
	}
	return -1
}

// add puts a request in, whose id is not there.
func (t *table) add(o open) {
	if 2*(t.used+1) > len(t.slots) {
		old := t.slots
		t.slots = make([]open, max(firstSlots, 2*len(old)))
		for _, o := range old {
			if o.stream != 0 {
				t.place(o)
			}
		}
	}
	t.place(o)
	t.used++
}

func (t *table) place(o open) {
	i := t.home(o.id)
	for t.slots[i].stream != 0 {
		i = (i + 1) & (len(t.slots) - 1)
	}
	t.slots[i] = o
}

// remove takes the request with the id out, and moves up what had to make way.
func (t *table) remove(id uint32) {
	i := t.index(id)
	if i < 0 {
		return
	}
	mask := len(t.slots) - 1
	for j := (i + 1) & mask; t.slots[j].stream != 0; j = (j + 1) & mask {
		if (j-t.home(t.slots[j].id))&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = open{}
	if t.used--; t.used == 0 && len(t.slots) > keepSlots {
		t.slots = nil
	}
}
