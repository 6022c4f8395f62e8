package http2

import (
	"strings"

	"sofamesh.io/sofamesh/mosn/protocol/http2/hpack"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// headWriter writes a message's fields as a header block. All of them are judged
// before the first is written: what is written changes the table of the peer.
type headWriter struct {
	c        *conn
	m        *sdk.Message
	request  bool
	trailers bool
	flags    streamFlags // what the head makes of its stream
	status   string      // of a response
	method   string      // the line of a request
	scheme   string
	path     string
	host     string
	protocol string // of extended CONNECT
	// nominated is the connection header of a message of HTTP/1, if it names fields.
	nominated string
	fields    int // that will be written, without pseudo-headers
	size      int // of the block, at most
}

// requestLine chooses the pseudo-headers of a request. An upgrade becomes extended
// CONNECT, as with Envoy.
func (h *headWriter) requestLine() error {
	m := h.m
	h.method, h.path, h.host = m.Method(), m.Path(), m.Authority()
	if h.host == "" {
		h.host = m.ID(sdk.HeaderHost)
	}
	if h.scheme = m.Scheme(); h.scheme == "" {
		h.scheme = "http"
	}
	if h.method == "HEAD" {
		h.flags = headOnly
	}
	switch {
	case !httpfield.Token(h.method):
		return errWriteLine
	case h.method == "CONNECT":
		h.flags = tunnel
		h.scheme, h.path = "", ""
		if h.host == "" {
			return errWriteLine
		}
	case m.Upgrade:
		if h.c.settled && !h.c.connects {
			return errWriteExtended
		}
		h.flags = tunnel | extended
		h.method, h.protocol = "CONNECT", m.ID(sdk.HeaderUpgrade)
		if !httpfield.Token(h.protocol) || h.host == "" {
			return errWriteLine
		}
	}
	if h.path == "" && h.scheme != "" || !unbroken(h.path) || !unbroken(h.host) || !unbroken(h.scheme) {
		return errWriteLine
	}
	return nil
}

// check judges the fields and how long they are at most.
func (h *headWriter) check() error {
	m := h.m
	if m.Codec != h.c.cfg.codec && m.HasID(sdk.HeaderConnection) {
		h.nominate(m.ID(sdk.HeaderConnection))
	}
	if m.HasID(sdk.HeaderContentLength) && !h.trailers {
		if _, ok := httpfield.ParseLength(m.ID(sdk.HeaderContentLength)); !ok {
			return errWriteLength
		}
	}
	h.size = hpack.BeginMax + h.lineSize()
	for i := range m.Slots() {
		name, value, ok := h.at(i)
		if !ok {
			continue
		}
		if !m.CleanAt(i) && (!httpfield.LowerToken(httpfield.Raw(name)) || httpfield.Plain(httpfield.Raw(value)) != len(value)) {
			return errWriteField
		}
		h.fields++
		h.size += hpack.FieldMax(name, value)
	}
	if h.size > maxWritten {
		return errWriteLarge
	}
	return nil
}

// maxWritten bounds a header block that we write, in bytes.
const maxWritten = 1 << 20

// lineSize is how long the pseudo-headers are at most.
func (h *headWriter) lineSize() int {
	switch {
	case h.request:
		return hpack.FieldMax(":method", h.method) + hpack.FieldMax(":scheme", h.scheme) + hpack.FieldMax(":path", h.path) +
			hpack.FieldMax(":authority", h.host) + hpack.FieldMax(":protocol", h.protocol)
	case h.trailers:
		return 0
	}
	return hpack.FieldMax(":status", h.status)
}

// nominate takes note of a connection header that names fields which stay behind
// (RFC 9110, 7.6.1).
func (h *headWriter) nominate(list string) {
	for _, common := range [...]string{"keep-alive", "close", "upgrade"} {
		if httpfield.EqualFold(list, common) {
			return
		}
	}
	h.nominated = list
}

// at returns the field at position i, unless it does not belong on the wire.
func (h *headWriter) at(i int) (name, value string, ok bool) {
	m := h.m
	name, value, ok = m.At(i)
	if !ok {
		return
	}
	switch id := m.IDAt(i); id {
	case sdk.HeaderOther:
	case sdk.HeaderConnection, sdk.HeaderKeepAlive, sdk.HeaderProxyConnection, sdk.HeaderTransferEncoding, sdk.HeaderUpgrade,
		sdk.HeaderHTTP2Settings:
		return "", "", false
	case sdk.HeaderTE:
		if value != "trailers" && !httpfield.HasToken(value, "trailers") {
			return "", "", false
		}
		value = "trailers"
	case sdk.HeaderHost:
		if h.request || h.trailers {
			return "", "", false
		}
	case sdk.HeaderContentLength:
		if h.trailers || h.flags&tunnel != 0 || m.Find("content-length", 0) != i {
			return "", "", false
		}
	default:
		if isPseudo(id) {
			return "", "", false
		}
	}
	if h.nominated != "" && name != "te" && httpfield.HasToken(h.nominated, name) {
		return "", "", false
	}
	if n := len(value); n > 0 && (httpfield.Blank(value[0]) || httpfield.Blank(value[n-1])) {
		value = strings.Trim(value, " \t")
	}
	return name, value, true
}

// write writes the block, in place if it fits a chunk of the buffer.
func (h *headWriter) write(out *sdk.Buffer, id uint32, end bool) {
	before := out.Len()
	frames := 1
	if h.size+headerSize <= sdk.ChunkSize {
		p := out.Reserve(headerSize + h.size)
		n := h.encode(p[headerSize:])
		f := frame{length: n, kind: frameHeaders, flags: flagEndHeaders, stream: id}
		if end {
			f.flags |= flagEndStream
		}
		f.put(p)
		out.Commit(headerSize + n)
	} else {
		p := make([]byte, h.size)
		frames = writeBlock(out, p[:h.encode(p)], id, end)
	}
	h.c.wrote(out, before, frames, 0)
}

// writeBlock writes a block as HEADERS and as many CONTINUATION frames as it needs.
func writeBlock(out *sdk.Buffer, p []byte, id uint32, end bool) (frames int) {
	f := frame{kind: frameHeaders, stream: id}
	if end {
		f.flags = flagEndStream
	}
	for last := false; !last; frames++ {
		f.length = min(len(p), maxFrame)
		if last = f.length == len(p); last {
			f.flags |= flagEndHeaders
		}
		var head [headerSize]byte
		f.put(head[:])
		out.Append(head[:])
		out.Append(p[:f.length])
		p = p[f.length:]
		f.kind, f.flags = frameContinuation, 0
	}
	return frames
}

// encode writes the block to p, which has room for it, and returns its length.
func (h *headWriter) encode(p []byte) int {
	e, m := &h.c.enc, h.m
	n := e.Begin(p)
	switch {
	case h.request:
		n += e.Put(p[n:], sdk.HeaderMethod, ":method", h.method, false)
		if h.protocol != "" {
			n += e.Put(p[n:], sdk.HeaderProtocol, ":protocol", h.protocol, false)
		}
		if h.scheme != "" {
			n += e.Put(p[n:], sdk.HeaderScheme, ":scheme", h.scheme, false)
			n += e.Put(p[n:], sdk.HeaderPath, ":path", h.path, false)
		}
		if h.host != "" {
			n += e.Put(p[n:], sdk.HeaderAuthority, ":authority", h.host, false)
		}
	case !h.trailers:
		n += e.Put(p[n:], sdk.HeaderStatus, ":status", h.status, false)
	}
	for i := range m.Slots() {
		if name, value, ok := h.at(i); ok {
			n += e.Put(p[n:], m.IDAt(i), name, value, m.SensitiveAt(i))
		}
	}
	return n
}
