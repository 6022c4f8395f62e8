package http1

import (
	"strconv"
	"strings"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// mode is the framing of a message that is written.
type mode uint8

const (
	informational  mode = iota // 1xx: a head, and no end of anything
	noBody                     // none, and content-length, if given, tells of another's
	noBodyNoLength             // none, and content-length is not allowed (1xx, 204)
	headOfChunks               // none, but a GET's would be chunked
	emptyBody                  // none, said by content-length: 0
	byLength                   // content-length is in the head
	inChunked
	untilEnd // bytes as they are, until the connection ends
)

// dropsLength reports whether a content-length of the view must not be written.
func (m mode) dropsLength() bool {
	return m == informational || m == noBodyNoLength || m == untilEnd
}

// encoder is the writing half of a connection.
type encoder struct {
	missing uint64 // body bytes that content-length promised and that were not given yet
	mode    mode
	excess  bool // more bytes were given than promised; they were dropped
	written bool // the message is written to its end
}

func (e *encoder) start(m mode, length uint64) {
	e.mode, e.missing, e.excess, e.written = m, 0, false, false
	if m == byLength {
		e.missing = length
	}
}

// short reports whether the body had another length than was promised, after
// which the peer can no longer tell where the next message begins.
func (e *encoder) short() bool { return e.missing > 0 || e.excess }

// writeData writes body bytes in the frame that the head announced. What exceeds
// an announced length is dropped: it would be read as the next message.
func (e *encoder) writeData(out *sdk.Buffer, p []byte, end bool) {
	switch e.mode {
	case inChunked:
		if len(p) > 0 {
			writeChunk(out, p)
		}
		if end {
			out.AppendString("0\r\n\r\n")
		}
	case byLength:
		if uint64(len(p)) > e.missing {
			p, e.excess = p[:e.missing], true
		}
		e.missing -= uint64(len(p))
		out.Append(p)
	case untilEnd:
		out.Append(p)
	case emptyBody:
		e.excess = e.excess || len(p) > 0
	}
}

func writeChunk(out *sdk.Buffer, p []byte) {
	var line [18]byte
	size := append(strconv.AppendUint(line[:0], uint64(len(p)), 16), '\r', '\n')
	out.Append(size)
	out.Append(p)
	out.AppendString("\r\n")
}

// writeTrailers ends the body, with trailers where they can be written and are
// enabled. What is malformed, or would frame a message, is left out.
func (e *encoder) writeTrailers(c *config, out *sdk.Buffer, m *sdk.Message) {
	if e.mode != inChunked {
		return
	}
	if c.trailers {
		if w, err := newHeadWriter(out, &m.Headers); err == nil {
			w.text("0\r\n")
			if err := w.fields(c, &m.Headers, true, true); err == nil {
				w.text("\r\n")
				w.flush()
				return
			}
			w.abort()
		}
	}
	out.AppendString("0\r\n\r\n")
}

// contentLength returns the content-length of a message that is to be written.
// That there is only one is seen to when the fields are written.
func contentLength(h *sdk.Headers) (n uint64, has bool, err error) {
	if !h.HasID(sdk.HeaderContentLength) {
		return 0, false, nil
	}
	n, ok := httpfield.ParseLength(h.ID(sdk.HeaderContentLength))
	if !ok {
		return 0, false, errWriteLength
	}
	return n, true, nil
}

// checkRequest judges what goes into the request line.
func checkRequest(m *sdk.Message, connect bool) error {
	path, authority := m.Path(), m.Authority()
	switch {
	case !httpfield.Token(m.Method()):
		return errWriteLine
	case connect && authority == "", !connect && path == "":
		return errWriteLine
	case !unbroken(path), !unbroken(authority), !unbroken(m.Scheme()):
		return errWriteLine
	}
	return nil
}

// unbroken reports whether s holds neither blanks nor control characters.
func unbroken(s string) bool {
	return httpfield.Plain(httpfield.Raw(s)) == len(s) && strings.IndexByte(s, ' ') < 0 && strings.IndexByte(s, '\t') < 0
}
