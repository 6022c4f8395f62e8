package hpack

import "sofamesh.io/sofamesh/sdk"

// overhead is what an entry counts beside its name and value (RFC 7541, 4.1).
const overhead = 32

// entry is an entry of a dynamic table.
type entry struct {
	hash        uint64 // of an Encoder's
	at          uint32 // where its line begins, counted from the first byte ever
	older       uint32 // the entry before it with the same bucket, an Encoder's
	name, value uint32 // their lengths
	id          sdk.HeaderID
	invalid     bool // see Field.Invalid
}

func (e *entry) size() int { return int(e.name) + int(e.value) + overhead }

// table is a dynamic table. Entries are numbered from 1 on as they come; those from
// oldest up to next are there. Their lines stand one behind the other in text.
type table struct {
	text         []byte
	base         uint32  // the place of text[0], as entry.at counts
	entries      []entry // a ring; its length is 0 or a power of two
	oldest, next uint32
	size, max    int
}

// entry returns the entry with the number n, which is there.
func (t *table) entry(n uint32) *entry { return &t.entries[n&uint32(len(t.entries)-1)] }

func (t *table) len() int { return int(t.next - t.oldest) }

// line returns the line of an entry: "name: value" and CRLF.
func (t *table) line(e *entry) []byte {
	at := e.at - t.base
	return t.text[at : at+e.name+e.value+4]
}

// shrink drops the oldest entries until at most size bytes are left, as the RFC
// counts them.
func (t *table) shrink(size int) {
	for t.size > size {
		t.size -= t.entry(t.oldest).size()
		t.oldest++
	}
}

// resize changes the limit.
func (t *table) resize(size int) {
	t.max = size
	t.shrink(size)
}

// add makes an entry and returns it with its line, which is for the caller to
// write. Nil means that it is too large; then the table is empty.
func (t *table) add(name, value int) (*entry, []byte) {
	size := name + value + overhead
	if size > t.max {
		t.shrink(0)
		return nil, nil
	}
	t.shrink(t.max - size)
	if t.len() == len(t.entries) {
		t.moreEntries()
	}
	at := t.room(name + value + 4)
	e := t.entry(t.next)
	*e = entry{at: at, name: uint32(name), value: uint32(value)}
	t.next++
	t.size += size
	return e, t.line(e)
}

func (t *table) moreEntries() {
	old := *t
	t.entries = make([]entry, max(8, 2*len(old.entries)))
	for n := t.oldest; n != t.next; n++ {
		*t.entry(n) = *old.entry(n)
	}
}

// room makes room for n bytes behind the lines and returns their place. The lines of
// entries that are gone are overwritten when there is no other room.
func (t *table) room(n int) uint32 {
	if len(t.text)+n > cap(t.text) {
		live := 0
		if t.len() > 0 {
			live = len(t.text) - int(t.entry(t.oldest).at-t.base)
		}
		keep := t.text[len(t.text)-live:]
		to := t.text[:0]
		if 2*(live+n) > cap(t.text) {
			to = make([]byte, 0, max(512, 4*(live+n)))
		}
		t.base += uint32(len(t.text) - live)
		t.text = append(to, keep...)
	}
	at := t.base + uint32(len(t.text))
	t.text = t.text[:len(t.text)+n]
	return at
}
