package http1

import "sofamesh.io/sofamesh/sdk"

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

// newHeadWriter begins a head whose fields take at most size bytes. Of them :path
// and :authority may be written twice.
func newHeadWriter(out *sdk.Buffer, size int) headWriter {
	return headWriter{out: out, p: out.Reserve(min(size+headRoom, sdk.ChunkSize))}
}

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
	w.text(str(p))
}

// fields writes those fields of the view that belong on the wire. A name that the
// peer's codec kept is written as it came, whatever this side's own format is.
func (w *headWriter) fields(c *config, h *sdk.Headers, dropLength, dropConnection bool) {
	for i := range h.Slots() {
		name, value, ok := h.At(i)
		if !ok {
			continue
		}
		switch h.IDAt(i) {
		case sdk.HeaderMethod, sdk.HeaderPath, sdk.HeaderAuthority, sdk.HeaderScheme, sdk.HeaderStatus, sdk.HeaderProtocol,
			sdk.HeaderTransferEncoding, sdk.HeaderHost:
			continue
		case sdk.HeaderContentLength:
			if dropLength {
				continue
			}
		case sdk.HeaderConnection:
			if dropConnection {
				continue
			}
		}
		if h.HasOriginalAt(i) {
			w.field(h.OriginalNameAt(i), value, false)
		} else {
			w.field(name, value, c.proper())
		}
	}
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
