package bolt

import (
	"encoding/binary"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/rpcview"
)

// edited reports whether the view differs from the header map it was made of.
func edited(h *sdk.Headers, s shown) bool {
	for i := range h.Slots() {
		if i >= s.first && i < s.first+s.count {
			if !h.CleanAt(i) {
				return true
			}
		} else if added(h, i) {
			return true
		}
	}
	return false
}

// added reports whether the field at position i, which is not from the header map,
// belongs into it.
func added(h *sdk.Headers, i int) bool {
	name, _, ok := h.At(i)
	return ok && name != "" && !rpcview.Hidden(name)
}

// splice appends to m.Frame a head with the edits made on the view, and returns
// the head alone; the caller cuts it off again. Entries that are not edited, and
// those that are not shown, keep their bytes and their order; new ones follow.
func splice(m *sdk.Message, f *fixed, s shown) ([]byte, error) {
	start := len(m.Frame)
	if m.Slots() < s.first+s.count {
		return nil, errWriteMap
	}
	blockAt := f.size + f.class
	m.Frame = append(m.Frame, m.Frame[:blockAt]...)
	slot := s.first
	var buf [rpcview.MaxName]byte
	for e := (entry{end: blockAt}); e.end < f.head(); {
		if !e.next(m.Frame[:f.head()]) {
			return nil, errWriteMap
		}
		if e.null || rpcview.Name(buf[:], m.Frame[e.key:e.keyEnd]) == nil {
			m.Frame = append(m.Frame, m.Frame[e.start:e.end]...)
			continue
		}
		i := slot
		slot++
		switch _, value, live := m.At(i); {
		case !live:
		case m.CleanAt(i):
			m.Frame = append(m.Frame, m.Frame[e.start:e.end]...)
		default:
			m.Frame = append(m.Frame, m.Frame[e.start:e.keyEnd]...)
			m.Frame = appendText(m.Frame, value)
		}
	}
	for i := range m.Slots() {
		if (i < s.first || i >= s.first+s.count) && added(&m.Headers, i) {
			name, value, _ := m.At(i)
			m.Frame = appendText(appendText(m.Frame, name), value)
		}
	}
	head := m.Frame[start:]
	if f.headers = len(head) - blockAt; f.headers > 1<<16-1 || slot != s.first+s.count {
		return nil, errWriteMap
	}
	return head, nil
}

func appendText(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}
