package sdk

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
	f.orig, f.id, f.removed, f.clean, f.line = noOrig, l.ID, false, true, l.Exact
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
