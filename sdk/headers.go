package sdk

import (
	"iter"
	"strconv"
	"unsafe"
)

// Headers is an ordered list of header fields with lower-case names, pseudo
// headers (":path") included. It is the one view through which routes, filters
// and logs see a request or response of any protocol.
//
// Storage is one byte arena that is reused: once it has grown to the size of
// the traffic, nothing is allocated. A string that a getter returns points into
// the arena and is valid until the Headers is Reset, which for the headers of a
// stream is the end of the stream: clone what must live longer.
//
// The zero value is empty and ready. A Headers is not safe for concurrent use.
type Headers struct {
	buf    []byte
	fields []field
	index  [numHeaderIDs]uint16 // 1 + the position of the first live field of that id
	base   uint32               // where the text of the last Load begins
	live   int                  // fields that are not removed
	size   int                  // bytes of names and values of live fields

	pristine bool // see Pristine
}

// field is one header; a removed one stays as a tombstone so that positions are
// stable while somebody iterates.
type field struct {
	name, value span
	orig        uint32 // offset of the name as the peer wrote it (same length), or noOrig
	id          HeaderID
	removed     bool
	clean       bool // see CleanAt
	line        bool // buf holds "name: value\r\n" from name.off on
	sensitive   bool // see SensitiveAt
}

type span struct{ off, len uint32 }

const noOrig = ^uint32(0)

// Reset empties h and keeps its storage.
func (h *Headers) Reset() {
	h.pristine = false
	if len(h.buf) == 0 && len(h.fields) == 0 {
		return
	}
	poisonHeaders(h.buf)
	h.buf = h.buf[:0]
	h.fields = h.fields[:0]
	h.index = [numHeaderIDs]uint16{}
	h.live, h.size = 0, 0
}

// SetPristine notes that h is as the message came. Codecs that forward original bytes
// call it when they have filled h.
func (h *Headers) SetPristine() { h.pristine = true }

// Pristine reports whether nothing was added, changed or removed since SetPristine, so
// that such a codec need not look for it.
func (h *Headers) Pristine() bool { return h.pristine }

// Len is the number of fields.
func (h *Headers) Len() int { return h.live }

// ByteSize is the sum of the lengths of all names and values.
func (h *Headers) ByteSize() int { return h.size }

// Slots is the number of positions that At accepts, removed fields included.
func (h *Headers) Slots() int { return len(h.fields) }

// At returns the field at position i, or ok false when it was removed.
//
//	for i := range h.Slots() {
//		if name, value, ok := h.At(i); ok { ... }
//	}
func (h *Headers) At(i int) (name, value string, ok bool) {
	f := &h.fields[i]
	if f.removed {
		return "", "", false
	}
	return h.nameOf(f), h.str(f.value), true
}

// IDAt returns the well-known id of the field at position i, HeaderOther when it
// has none or was removed.
func (h *Headers) IDAt(i int) HeaderID {
	if h.fields[i].removed {
		return HeaderOther
	}
	return h.fields[i].id
}

// OriginalNameAt returns the name at position i as the peer wrote it, for codecs
// that keep the case of names; it equals the name when nothing else is known. For
// :authority it is how the peer wrote host, if it did.
func (h *Headers) OriginalNameAt(i int) string {
	f := &h.fields[i]
	if f.orig == noOrig {
		return h.nameOf(f)
	}
	return h.str(span{f.orig, uint32(len(originalOf(f.id, h.nameOf(f))))})
}

// HasOriginalAt reports whether the name at position i is kept as the peer wrote
// it.
func (h *Headers) HasOriginalAt(i int) bool { return h.fields[i].orig != noOrig }

// originalOf is the lower-case name that a peer's spelling of a field differs
// from in case only.
func originalOf(id HeaderID, name string) string {
	if id == HeaderAuthority {
		return headerNames[HeaderHost]
	}
	return name
}

// All iterates over the fields in order. It is for code off the request path;
// At does the same without a closure.
func (h *Headers) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := range h.fields {
			if name, value, ok := h.At(i); ok && !yield(name, value) {
				return
			}
		}
	}
}

// Get returns the value of the first field called name (lower case).
func (h *Headers) Get(name string) (value string, ok bool) {
	if i := h.find(name, 0); i >= 0 {
		return h.str(h.fields[i].value), true
	}
	return "", false
}

// Value returns the value of the first field called name, "" when there is none.
func (h *Headers) Value(name string) string {
	v, _ := h.Get(name)
	return v
}

// Has reports whether a field called name is there.
func (h *Headers) Has(name string) bool { return h.find(name, 0) >= 0 }

// Find returns the position of the first field called name at or after from, or
// -1. It is how to walk several fields of one name without allocating.
func (h *Headers) Find(name string, from int) int { return h.find(name, from) }

// ValueAt returns the value at position i, which Find returned.
func (h *Headers) ValueAt(i int) string { return h.str(h.fields[i].value) }

// ID returns the value of the first field with a well-known id, "" when there is
// none. It costs one array access.
func (h *Headers) ID(id HeaderID) string {
	if i := h.index[id]; i != 0 {
		return h.str(h.fields[i-1].value)
	}
	return ""
}

// HasID reports whether a field with the id is there.
func (h *Headers) HasID(id HeaderID) bool { return h.index[id] != 0 }

// Method returns ":method".
func (h *Headers) Method() string { return h.ID(HeaderMethod) }

// Path returns ":path", the query included.
func (h *Headers) Path() string { return h.ID(HeaderPath) }

// Authority returns ":authority": the host, and the port if one was written.
func (h *Headers) Authority() string { return h.ID(HeaderAuthority) }

// Scheme returns ":scheme".
func (h *Headers) Scheme() string { return h.ID(HeaderScheme) }

// Status returns ":status" as a number, 0 when it is missing or malformed.
func (h *Headers) Status() int {
	s := h.ID(HeaderStatus)
	if len(s) != 3 {
		return 0
	}
	n := 0
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0
		}
		n = n*10 + int(d)
	}
	return n
}

// SetStatus sets ":status".
func (h *Headers) SetStatus(code int) {
	if code < 100 || code > 999 {
		h.SetInt(HeaderStatus, int64(code))
		return
	}
	b := [3]byte{'0' + byte(code/100), '0' + byte(code/10%10), '0' + byte(code%10)}
	h.SetID(HeaderStatus, unsafe.String(&b[0], len(b)))
}

// Add appends a field. The name must be lower case and valid for the protocol;
// codecs check what comes from the wire before they add it.
func (h *Headers) Add(name, value string) {
	h.add(LookupHeader(name), name, value)
}

// AddID appends a field with a well-known name.
func (h *Headers) AddID(id HeaderID, value string) { h.add(id, "", value) }

// AddBytes appends a field from the wire. id is LookupHeader of the name, so that
// a codec that has found it already does not pay twice.
func (h *Headers) AddBytes(id HeaderID, name, value []byte) {
	h.add(id, unsafe.String(unsafe.SliceData(name), len(name)), unsafe.String(unsafe.SliceData(value), len(value)))
}

// AddOriginal is AddBytes for a name that the peer wrote as orig, which differs
// from name in case only (or from host, for :authority).
func (h *Headers) AddOriginal(id HeaderID, name, orig, value []byte) {
	h.AddBytes(id, name, value)
	f := &h.fields[len(h.fields)-1]
	f.orig = uint32(len(h.buf))
	h.buf = append(h.buf, orig...)
}

// Set replaces all fields called name by one.
func (h *Headers) Set(name, value string) {
	i := h.find(name, 0)
	if i < 0 {
		h.Add(name, value)
		return
	}
	h.replace(i, value)
	for i = h.find(name, i+1); i >= 0; i = h.find(name, i+1) {
		h.removeAt(i)
	}
}

// SetID is Set for a well-known name.
func (h *Headers) SetID(id HeaderID, value string) {
	i := h.index[id]
	if i == 0 {
		h.add(id, "", value)
		return
	}
	h.replace(int(i-1), value)
	for j := int(i); j < len(h.fields); j++ {
		if h.fields[j].id == id && !h.fields[j].removed {
			h.removeAt(j)
		}
	}
}

// SetInt sets a well-known header to a decimal number.
func (h *Headers) SetInt(id HeaderID, n int64) {
	var b [20]byte
	s := strconv.AppendInt(b[:0], n, 10)
	h.SetID(id, unsafe.String(unsafe.SliceData(s), len(s)))
}

// AppendID appends sep and value to the first field with the id, or adds the
// field when it is missing ("x-forwarded-for", "via").
func (h *Headers) AppendID(id HeaderID, sep, value string) {
	i := h.index[id]
	if i == 0 {
		h.add(id, "", value)
		return
	}
	f := &h.fields[i-1]
	off := uint32(len(h.buf))
	h.buf = append(h.buf, h.buf[f.value.off:f.value.off+f.value.len]...)
	h.buf = append(h.buf, sep...)
	h.buf = append(h.buf, value...)
	h.size += len(sep) + len(value)
	f.value = span{off, uint32(len(h.buf)) - off}
	f.clean, f.line, h.pristine = false, false, false
}

// SetValueAt replaces the value at position i.
func (h *Headers) SetValueAt(i int, value string) { h.replace(i, value) }

// RemoveAt removes the field at position i; positions of others stay.
func (h *Headers) RemoveAt(i int) {
	if !h.fields[i].removed {
		h.removeAt(i)
	}
}

// Remove removes all fields called name and reports whether there was one.
func (h *Headers) Remove(name string) bool {
	i := h.find(name, 0)
	found := i >= 0
	for ; i >= 0; i = h.find(name, i+1) {
		h.removeAt(i)
	}
	return found
}

// RemoveID removes all fields with the id and reports whether there was one.
func (h *Headers) RemoveID(id HeaderID) bool {
	if h.index[id] == 0 {
		return false
	}
	for i := int(h.index[id]) - 1; i < len(h.fields); i++ {
		if h.fields[i].id == id && !h.fields[i].removed {
			h.removeAt(i)
		}
	}
	return true
}

// Footprint is the number of bytes of storage that h holds.
func (h *Headers) Footprint() int { return cap(h.buf) + cap(h.fields)*int(unsafe.Sizeof(field{})) }

// CopyFrom makes h a copy of src; strings got from h before are invalid.
func (h *Headers) CopyFrom(src *Headers) {
	h.buf = append(h.buf[:0], src.buf...)
	h.fields = append(h.fields[:0], src.fields...)
	h.index, h.base, h.live, h.size, h.pristine = src.index, src.base, src.live, src.size, src.pristine
}

// Swap exchanges the contents of two Headers, storage included: how headers that
// a codec decoded into its scratch become a stream's without a copy.
func (h *Headers) Swap(o *Headers) { *h, *o = *o, *h }

func (h *Headers) str(s span) string {
	if s.len == 0 {
		return ""
	}
	return unsafe.String(&h.buf[s.off], int(s.len))
}

func (h *Headers) nameOf(f *field) string {
	if f.id != HeaderOther {
		return headerNames[f.id]
	}
	return h.str(f.name)
}

func (h *Headers) add(id HeaderID, name, value string) {
	f := h.newField()
	f.name, f.orig, f.id = span{}, noOrig, id
	f.removed, f.clean, f.line, f.sensitive = false, false, false, false
	if id == HeaderOther {
		f.name = h.store(name)
	} else {
		name = headerNames[id]
		if h.index[id] == 0 {
			h.index[id] = uint16(len(h.fields))
		}
	}
	f.value = h.store(value)
	h.live++
	h.size += len(name) + len(value)
	h.pristine = false
}

// newField appends a field, which the caller fills in place: copying one just built
// costs a stall.
func (h *Headers) newField() *field {
	n := len(h.fields)
	if n == cap(h.fields) {
		h.fields = append(h.fields, field{})
	} else {
		h.fields = h.fields[:n+1]
	}
	return &h.fields[n]
}

func (h *Headers) store(s string) span {
	off := len(h.buf)
	h.buf = append(h.buf, s...)
	return span{uint32(off), uint32(len(s))}
}

// replace gives a field another value. The old bytes stay in the arena, because
// somebody may still hold the string that a getter returned.
func (h *Headers) replace(i int, value string) {
	f := &h.fields[i]
	h.size += len(value) - int(f.value.len)
	f.value = h.store(value)
	f.clean, f.line, h.pristine = false, false, false
}

func (h *Headers) removeAt(i int) {
	f := &h.fields[i]
	h.size -= len(h.nameOf(f)) + int(f.value.len)
	h.live--
	f.removed, f.clean, f.line, h.pristine = true, false, false, false
	if f.id == HeaderOther || int(h.index[f.id]) != i+1 {
		return
	}
	h.index[f.id] = 0
	for j := i + 1; j < len(h.fields); j++ {
		if h.fields[j].id == f.id && !h.fields[j].removed {
			h.index[f.id] = uint16(j + 1)
			return
		}
	}
}

func (h *Headers) find(name string, from int) int {
	if id := LookupHeader(name); id != HeaderOther {
		i := int(h.index[id]) - 1
		if i >= from || i < 0 {
			return i
		}
		for i = from; i < len(h.fields); i++ {
			if f := &h.fields[i]; f.id == id && !f.removed {
				return i
			}
		}
		return -1
	}
	for i := from; i < len(h.fields); i++ {
		f := &h.fields[i]
		if f.id == HeaderOther && !f.removed && int(f.name.len) == len(name) && h.str(f.name) == name {
			return i
		}
	}
	return -1
}
