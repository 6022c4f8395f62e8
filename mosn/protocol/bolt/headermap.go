package bolt

import (
	"encoding/binary"
	"strings"
	"unsafe"

	"sofamesh.io/sofamesh/sdk"
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

// maxName is the longest name that is shown, in bytes.
const maxName = 256

// shownName returns the name under which an entry is shown, or nil if it is not
// shown. It writes the name to the beginning of dst, which may be the key itself.
func (e *entry) shownName(dst, block []byte) []byte {
	key := block[e.key:e.keyEnd]
	if e.nullKey || e.nullValue || len(key) == 0 || len(key) > maxName {
		return nil
	}
	name := dst[:len(key)]
	for i, c := range key {
		if c = tokenLower[c]; c == 0 {
			return nil
		}
		name[i] = c
	}
	if hidden(str(name)) {
		return nil
	}
	return name
}

// tokenLower maps the characters of a token (RFC 9110 section 5.6.2) to lower case
// and all others to 0.
//
//nolint:gochecknoglobals // a constant table
var tokenLower = makeTokenLower()

func makeTokenLower() (t [256]byte) {
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = c, c
	}
	for _, c := range []byte("0123456789!#$%&'*+-.^_`|~") {
		t[c] = c
	}
	return t
}

// hidden reports whether a lower-case name belongs to HTTP's own machinery:
// pseudo headers, framing and hops, and what Envoy sanitises or adds at each hop.
// Such fields of a header map are not shown, lest a peer pass for the proxy, and
// such fields of the view are not written.
func hidden(name string) bool {
	switch name[0] {
	case ':':
		return true
	case 'x':
		return strings.HasPrefix(name, "x-envoy-") || strings.HasPrefix(name, "x-forwarded-") ||
			strings.HasPrefix(name, "x-rpc-") || name == "x-request-id" || name == "x-client-trace-id" ||
			name == "x-real-ip"
	case 'c', 'd', 'e', 'h', 'k', 'p', 's', 't', 'u', 'v':
		switch name {
		case "connection", "content-length", "content-type", "date", "expect", "host", "http2-settings", "keep-alive",
			"proxy-connection", "server", "te", "trailer", "transfer-encoding", "upgrade", "via":
			return true
		}
	}
	return false
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
		name := e.shownName(loaded[e.key:], block)
		if name == nil {
			continue
		}
		clean(loaded[e.value:e.valueEnd])
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

// clean makes a value fit for HTTP and for lines of a log.
func clean(value []byte) {
	if isClean(value) {
		return
	}
	for i, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			value[i] = '?'
		}
	}
}

// isClean looks at 8 bytes at a time. It may say no to bytes beside the ones that
// clean changes.
func isClean(value []byte) bool {
	for ; len(value) >= 8; value = value[8:] {
		if unclean(binary.LittleEndian.Uint64(value)) {
			return false
		}
	}
	var rest [8]byte
	copy(rest[copy(rest[:], "--------"[len(value):]):], value)
	return !unclean(binary.LittleEndian.Uint64(rest[:]))
}

// unclean reports whether one of 8 bytes is below ' ', or, its top bit apart, 0x7f.
func unclean(x uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	return ((x-ones*' ')&^x|(x&^tops+ones))&tops != 0
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
