package bolt

import (
	"encoding/binary"
	"unsafe"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/rpcview"
)

// entry is one field of a header map: [u32 length][key][u32 length][value], where
// the length 0xffffffff stands for null. The numbers are offsets in the map.
type entry struct {
	start, end         int
	key, keyEnd        int
	value, valueEnd    int
	nullKey, nullValue bool
}

const null = ^uint32(0)

// next reads the entry at offset at; ok is false when the map is malformed.
func next(block []byte, at int) (e entry, ok bool) {
	e.start = at
	if e.key, e.keyEnd, e.nullKey, ok = text(block, at); !ok {
		return e, false
	}
	e.value, e.valueEnd, e.nullValue, ok = text(block, e.keyEnd)
	e.end = e.valueEnd
	return e, ok
}

func text(block []byte, at int) (start, end int, isNull, ok bool) {
	if len(block)-at < 4 {
		return 0, 0, false, false
	}
	n := binary.BigEndian.Uint32(block[at:])
	at += 4
	if n == null {
		return at, at, true, true
	}
	if int64(n) > int64(len(block)-at) {
		return 0, 0, false, false
	}
	return at, at + int(n), false, true
}

// shownName returns the name under which an entry is shown, which is in dst, or
// nil if it is not shown.
func (e *entry) shownName(dst *[rpcview.MaxName]byte, block []byte) []byte {
	if e.nullKey || e.nullValue {
		return nil
	}
	return rpcview.Name(dst, block[e.key:e.keyEnd])
}

// shown is what follows the head in Message.Frame, in suffix bytes.
type shown struct {
	first, count int // where in the view the fields of the header map are
	writer       writerKind
}

const suffix = 12

// split parts what show has put into a Frame.
func split(frame []byte) (head []byte, s shown) {
	n := len(frame) - suffix
	p := frame[n:]
	s.first, s.count = int(binary.BigEndian.Uint16(p)), int(binary.BigEndian.Uint16(p[2:]))
	s.writer = writerKind(binary.BigEndian.Uint64(p[4:]))
	return frame[:n], s
}

// show adds the fields of a header map that are shown to the view, and puts the
// head and the suffix into the message's Frame.
func show(m *sdk.Message, head []byte, blockAt int, w writerKind) {
	block := head[blockAt:]
	first, count := m.Slots(), 0
	loaded := m.Load(block)
	for at := 0; at < len(block); {
		e, _ := next(block, at) // identity or checkMap has been here
		at = e.end
		var buf [rpcview.MaxName]byte
		name := e.shownName(&buf, block)
		if name == nil {
			continue
		}
		copy(loaded[e.key:], name)
		rpcview.Clean(loaded[e.value:e.valueEnd])
		m.AddLoaded(sdk.LoadedField{
			ID: sdk.LookupHeader(str(name)), Name: e.key, NameEnd: e.keyEnd, Value: e.value, ValueEnd: e.valueEnd,
		})
		count++
	}
	m.Frame = append(m.Frame[:0], head...)
	m.Frame = binary.BigEndian.AppendUint16(m.Frame, uint16(first))
	m.Frame = binary.BigEndian.AppendUint16(m.Frame, uint16(count))
	m.Frame = binary.BigEndian.AppendUint64(m.Frame, uint64(w))
}

// checkMap walks over a header map.
func checkMap(block []byte, limit int) error {
	count := 0
	for at := 0; at < len(block); count++ {
		e, ok := next(block, at)
		if !ok {
			return errMap
		}
		at = e.end
	}
	if count > limit {
		return errCount
	}
	return nil
}

// str is b as a string, valid and constant as long as b is.
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
