package http1

import (
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// headRoom is what a head needs beside its fields: the first line's constants,
// the reason phrase, and the fields that the codec adds.
const headRoom = 128

// headWriter writes a head in place at the end of a Buffer. It reserves the whole
// head at once when that fits a chunk, and piece by piece when it does not.
type headWriter struct {
	out *sdk.Buffer
	p   []byte
	n   int
}

// newHeadWriter begins a head with the fields of h. One that will not fit a chunk
// is judged here, for it cannot be taken back once it is begun; for others fields
// does that as it writes.
func newHeadWriter(out *sdk.Buffer, h *sdk.Headers) (headWriter, error) {
	size := h.ByteSize() + h.Len()*len(": \r\n") + headRoom
	if size > sdk.ChunkSize {
		size = headRoom
		for i := range h.Slots() {
			if err := checkField(h, i); err != nil {
				return headWriter{}, err
			}
		}
		if n := h.Find("content-length", 0); n >= 0 && h.Find("content-length", n+1) >= 0 {
			return headWriter{}, errWriteLength
		}
	}
	return headWriter{out: out, p: out.Reserve(size)}, nil
}

// checkField judges the field at position i of a message that is to be written:
// nothing that could begin another line, or another message, is ever written.
// What came from the wire unchanged is known to be fine.
func checkField(h *sdk.Headers, i int) error {
	name, value, ok := h.At(i)
	switch {
	case !ok || h.CleanAt(i):
		return nil
	case httpfield.Plain(httpfield.Raw(value)) != len(value):
		return errWriteValue
	case h.IDAt(i) == sdk.HeaderOther && !httpfield.Token(name):
		return errWriteName
	}
	return nil
}

// abort takes back what was written.
func (w *headWriter) abort() { w.out.Commit(0) }

// text writes s.
func (w *headWriter) text(s string) {
	if len(s) > len(w.p)-w.n {
		w.spill(s)
		return
	}
	w.n += copy(w.p[w.n:], s)
}

// spill writes s, for which there is no room in the chunk.
func (w *headWriter) spill(s string) {
	w.flush()
	w.out.AppendString(s)
	w.p = w.out.Reserve(headRoom)
	w.n = 0
}

// flush hands over what was written; nothing may follow.
func (w *headWriter) flush() { w.out.Commit(w.n) }

// field writes one field, its name as it is or in proper case.
func (w *headWriter) field(name, value string, proper bool) {
	k := len(name) + len(value) + len(": \r\n")
	if k > len(w.p)-w.n {
		w.name(name, proper)
		w.text(": ")
		w.text(value)
		w.text("\r\n")
		return
	}
	p := w.p[w.n : w.n+k]
	i := copy(p, name)
	if proper {
		properCase(p[:i])
	}
	p[i], p[i+1] = ':', ' '
	i += 2 + copy(p[i+2:], value)
	p[i], p[i+1] = '\r', '\n'
	w.n += k
}

// name writes a name where there may be no room for it.
func (w *headWriter) name(name string, proper bool) {
	if !proper || len(name) > headRoom {
		w.text(name)
		return
	}
	var scratch [headRoom]byte
	p := scratch[:copy(scratch[:], name)]
	properCase(p)
	w.text(httpfield.String(p))
}

// fields writes those fields of the view that belong on the wire. A name that the
// peer's codec kept is written as it came, whatever this side's own format is.
func (w *headWriter) fields(c *config, h *sdk.Headers, dropLength, dropConnection bool) error {
	proper, lengths := c.proper(), 0
	for i := range h.Slots() {
		switch id := h.IDAt(i); id {
		case sdk.HeaderContentLength:
			if dropLength {
				continue
			}
			if lengths++; lengths > 1 {
				return errWriteLength
			}
		case sdk.HeaderConnection:
			if dropConnection {
				continue
			}
		case sdk.HeaderTransferEncoding, sdk.HeaderHost:
			continue
		default:
			if id != sdk.HeaderOther && id <= sdk.HeaderProtocol {
				if err := checkField(h, i); err != nil {
					return err
				}
				continue
			}
		}
		if line := h.LineAt(i); line != nil && !proper && !h.HasOriginalAt(i) {
			w.text(httpfield.String(line))
			continue
		}
		if err := w.edited(h, i, proper); err != nil {
			return err
		}
	}
	return nil
}

// edited writes the field at position i when it cannot be taken as it came.
func (w *headWriter) edited(h *sdk.Headers, i int, proper bool) error {
	name, value, ok := h.At(i)
	if !ok {
		return nil
	}
	if err := checkField(h, i); err != nil {
		return err
	}
	if h.HasOriginalAt(i) {
		name, proper = h.OriginalNameAt(i), false
	}
	w.field(name, value, proper)
	return nil
}

// finish writes the fields that are the codec's own and ends the head.
func (w *headWriter) finish(c *config, m mode, connection string) {
	if connection != "" {
		w.field("connection", connection, c.proper())
	}
	switch m {
	case emptyBody:
		w.field("content-length", "0", c.proper())
	case inChunked, headOfChunks:
		w.field("transfer-encoding", "chunked", c.proper())
	}
	w.text("\r\n")
	w.flush()
}

// properCase makes x-forwarded-for X-Forwarded-For: a letter that follows neither
// letter nor digit becomes upper case.
func properCase(p []byte) {
	start := true
	for i, c := range p {
		lower := c >= 'a' && c <= 'z'
		if start && lower {
			p[i] = c - ('a' - 'A')
		}
		start = !lower && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
	}
}
