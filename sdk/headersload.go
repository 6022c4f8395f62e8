package sdk

import "slices"

// Load appends text, the head of a message as it came, to the storage and returns
// the copy. The codec works on it in place (lower case, folded values) and
// declares its fields by AddLoaded, so that a head is copied once, not name by
// name. The copy is valid until the next call that adds anything else.
func (h *Headers) Load(text []byte) []byte {
	h.base = uint32(len(h.buf))
	h.buf = append(h.buf, text...)
	return h.buf[h.base:]
}

// LoadedField is a field in the text of the last Load, as offsets in it.
type LoadedField struct {
	ID              HeaderID
	Name, NameEnd   int
	Value, ValueEnd int
	// Exact says that the name is in lower case, and name and value are divided by
	// ": " and followed by CRLF.
	Exact bool
	// Original is where the name stands as the peer wrote it, 0 when that is not kept;
	// negative in the text of the Load before.
	Original int
}

// AddLoaded appends a field whose bytes are in the text of the last Load. The
// codec has proved that the name is a token (RFC 9110, 5.6.2), and that the value
// holds no control character but HTAB.
func (h *Headers) AddLoaded(l LoadedField) {
	f := h.newField()
	f.name = span{h.base + uint32(l.Name), uint32(l.NameEnd - l.Name)}
	f.value = span{h.base + uint32(l.Value), uint32(l.ValueEnd - l.Value)}
	f.orig, f.id, f.removed, f.clean, f.line, f.sensitive = noOrig, l.ID, false, true, l.Exact, false
	if l.Original != 0 {
		f.orig = h.base + uint32(l.Original)
	}
	size := l.NameEnd - l.Name
	if l.ID != HeaderOther {
		size = len(headerNames[l.ID])
		if h.index[l.ID] == 0 {
			h.index[l.ID] = uint16(len(h.fields))
		}
	}
	h.live++
	h.size += size + l.ValueEnd - l.Value
	h.pristine = false
}

// StartLine makes room for a line of up to n bytes behind the storage and returns
// it, for a codec that builds its fields one by one. AddLine declares what is
// written there; until then nothing has changed, so a field can just be dropped.
func (h *Headers) StartLine(n int) []byte {
	at := len(h.buf)
	h.buf = slices.Grow(h.buf, n)
	return h.buf[at : at+n]
}

// AddLine appends the field that stands at the beginning of what StartLine
// returned: "name: value" and CRLF, with lengths of name and value as given. The
// codec has proved of it what AddLoaded demands. sensitive is told by SensitiveAt.
func (h *Headers) AddLine(id HeaderID, name, value int, sensitive bool) {
	end := name + 2 + value
	h.base = uint32(len(h.buf))
	h.buf = h.buf[:len(h.buf)+end+2]
	h.AddLoaded(LoadedField{ID: id, NameEnd: name, Value: name + 2, ValueEnd: end, Exact: true})
	h.fields[len(h.fields)-1].sensitive = sensitive
}

// SensitiveAt reports whether the field at position i was sent as one that no
// compression may remember (RFC 7541, 7.1.3), so that it is sent on so.
func (h *Headers) SensitiveAt(i int) bool { return h.fields[i].sensitive }

// CleanAt reports whether the field at position i came by AddLoaded and was not
// changed since, so that a codec that writes it need not look for characters that
// would break its line.
func (h *Headers) CleanAt(i int) bool { return h.fields[i].clean }

// LineAt returns the field at position i as a line, "name: value" and CRLF, when
// that is how it came and it was not changed since, and nil otherwise.
func (h *Headers) LineAt(i int) []byte {
	f := &h.fields[i]
	if !f.line {
		return nil
	}
	return h.buf[f.name.off : f.value.off+f.value.len+2]
}
