package http2

// stream is what the codec knows of a stream. It holds no pointer, so that the
// garbage collector does not look at the table.
type stream struct {
	id    uint32
	flags streamFlags
	send  int32 // what the peer's window lets us send; less than 0 after a change of settings
	recv  int32 // what our window lets the peer send
	held  int32 // bytes that the owner has got and not yet told to have consumed
	owed  int32 // bytes that we may add to the peer's window
	// left is what is missing of the body by content-length, or anyLength.
	left       int64
	prev, next uint32 // neighbours in the one list that has it
}

const anyLength = -1

// streamFlags are the state of a stream (RFC 9113, 5.1) and what it is.
type streamFlags uint16

const (
	remoteEnd streamFlags = 1 << iota // the peer has ended it
	localEnd                          // we have
	opened                            // upstream: HEADERS were written; before that it is idle for the peer
	answered                          // upstream: the final head has come; downstream: it is written
	dead                              // we have reset it; what comes is ignored
	starved                           // its owner waits for the stream's window
	queued                            // it is in the list of those that wait for the connection's
	headOnly                          // upstream: the request is HEAD
	tunnel                            // CONNECT: opaque bytes follow
	extended                          // CONNECT with :protocol
)

func (s *stream) is(f streamFlags) bool { return s.flags&f != 0 }

// over reports whether both sides have ended the stream.
func (s *stream) over() bool { return s.flags&(remoteEnd|localEnd) == remoteEnd|localEnd }

// table finds streams by id: open addressing with linear probing. It grows by
// doubling and gives a large table back when the last stream has gone.
type table struct {
	slots []stream // id 0: free; the length is 0 or a power of two, at most half of it is used
	used  int
}

const (
	firstSlots = 8
	keepSlots  = 128 // an empty table may keep
)

// home is the slot where the search for an id begins. Ids are counted up by two;
// the multiplication spreads those of a peer that leaves gaps.
func (t *table) home(id uint32) int { return int(id*0x9e3779b1>>7) & (len(t.slots) - 1) }

// get returns the stream with the id, nil when there is none. The pointer is valid
// until add or remove.
func (t *table) get(id uint32) *stream {
	if t.used == 0 {
		return nil
	}
	for i := t.home(id); t.slots[i].id != 0; i = (i + 1) & (len(t.slots) - 1) {
		if t.slots[i].id == id {
			return &t.slots[i]
		}
	}
	return nil
}

// add puts a stream in, whose id is not there, and returns its place.
func (t *table) add(s stream) *stream {
	if 2*(t.used+1) > len(t.slots) {
		old := t.slots
		t.slots = make([]stream, max(firstSlots, 2*len(old)))
		for i := range old {
			if old[i].id != 0 {
				t.place(&old[i])
			}
		}
	}
	t.used++
	return t.place(&s)
}

func (t *table) place(s *stream) *stream {
	i := t.home(s.id)
	for t.slots[i].id != 0 {
		i = (i + 1) & (len(t.slots) - 1)
	}
	t.slots[i] = *s
	return &t.slots[i]
}

// remove takes a stream of the table out, and moves up what had to make way.
func (t *table) remove(id uint32) {
	mask := len(t.slots) - 1
	i := t.home(id)
	for t.slots[i].id != id {
		i = (i + 1) & mask
	}
	for j := (i + 1) & mask; t.slots[j].id != 0; j = (j + 1) & mask {
		if (j-t.home(t.slots[j].id))&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = stream{}
	if t.used--; t.used == 0 && len(t.slots) > keepSlots {
		t.slots = nil
	}
}

// list is a queue of streams of a table; a stream is in one list at most.
type list struct {
	first, last uint32
	n           int
}

func (l *list) push(t *table, s *stream) {
	s.prev, s.next = l.last, 0
	if l.last == 0 {
		l.first = s.id
	} else {
		t.get(l.last).next = s.id
	}
	l.last = s.id
	l.n++
}

func (l *list) remove(t *table, s *stream) {
	if s.prev == 0 {
		l.first = s.next
	} else {
		t.get(s.prev).next = s.next
	}
	if s.next == 0 {
		l.last = s.prev
	} else {
		t.get(s.next).prev = s.prev
	}
	s.prev, s.next = 0, 0
	l.n--
}
