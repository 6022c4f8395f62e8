package bolt

import (
	"encoding/binary"
	"unsafe"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/rpcview"
)

// entry is one field of a header map: [u32 length][key][u32 length][value], where
// the length 0xffffffff stands for null. The numbers are offsets in the map. A null
// key reads as an empty one: neither is ever shown.
type entry struct {
	start       int
	key, keyEnd int
	value, end  int
	null        bool // the value is
}

const null = ^uint32(0)

// next moves on to the entry behind e, of which the zero value stands before the
// first. It reports false when the map is malformed there.
func (e *entry) next(block []byte) (ok bool) {
	e.start = e.end
	if e.key, e.keyEnd, _, ok = text(block, e.start); ok {
		e.value, e.end, e.null, ok = text(block, e.keyEnd)
	}
	return ok
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

// viewer adds the fields of a header map that are shown to a view, one by one.
type viewer struct {
	m            *sdk.Message
	block        []byte // as it came
	loaded       []byte // the view's copy
	first, count int
}

func (v *viewer) init(m *sdk.Message, block []byte) {
	v.m, v.block, v.first = m, block, m.Slots()
	v.loaded = m.Load(block)
}

// add adds an entry. name is the name under which it is shown if that is known.
func (v *viewer) add(e *entry, name string) {
	if e.null {
		return
	}
	at, id := v.loaded[e.key:e.keyEnd], sdk.HeaderOther
	if name != "" {
		copy(at, name)
	} else {
		if rpcview.Name(at, v.block[e.key:e.keyEnd]) == nil {
			return
		}
		id = sdk.LookupHeader(str(at))
	}
	rpcview.Clean(v.loaded[e.value:e.end])
	v.m.AddLoaded(sdk.LoadedField{ID: id, Name: e.key, NameEnd: e.keyEnd, Value: e.value, ValueEnd: e.end})
	v.count++
}

// finish completes the message: its Frame becomes the head and the suffix.
func (v *viewer) finish(head []byte, w writerKind) {
	m := v.m
	m.Frame = append(m.Frame[:0], head...)
	m.Frame = binary.BigEndian.AppendUint16(m.Frame, uint16(v.first))
	m.Frame = binary.BigEndian.AppendUint16(m.Frame, uint16(v.count))
	m.Frame = binary.BigEndian.AppendUint64(m.Frame, uint64(w))
	m.SetPristine()
}

// show makes a message of a head, of which checkMap has seen the map.
func show(m *sdk.Message, head []byte, blockAt int, w writerKind) {
	var v viewer
	v.init(m, head[blockAt:])
	for e := (entry{}); e.end < len(v.block) && e.next(v.block); {
		v.add(&e, "")
	}
	v.finish(head, w)
}

// checkMap walks over a header map.
func checkMap(block []byte, limit int) error {
	count := 0
	for e := (entry{}); e.end < len(block); count++ {
		if !e.next(block) {
			return errMap
		}
	}
	if count > limit {
		return errCount
	}
	return nil
}

// usual returns the lower-case form of a header's name if it is one of those that
// SOFARPC's clients send with every call, "" for any other. None of these has an id or
// is hidden.
func usual(key []byte) string {
	switch string(key) {
	case "app":
		return "app"
	case "type":
		return "type"
	case "protocol":
		return "protocol"
	case "rpc_trace_context.samp":
		return "rpc_trace_context.samp"
	case "rpc_trace_context.sofaRpcId":
		return "rpc_trace_context.sofarpcid"
	case "rpc_trace_context.sofaTraceId":
		return "rpc_trace_context.sofatraceid"
	case "rpc_trace_context.sysPenAttrs":
		return "rpc_trace_context.syspenattrs"
	case "rpc_trace_context.sofaPenAttrs":
		return "rpc_trace_context.sofapenattrs"
	case "rpc_trace_context.sofaCallerApp":
		return "rpc_trace_context.sofacallerapp"
	case "rpc_trace_context.sofaCallerIp":
		return "rpc_trace_context.sofacallerip"
	case "rpc_trace_context.sofaCallerZone":
		return "rpc_trace_context.sofacallerzone"
	case "rpc_trace_context.sofaCallerIdc":
		return "rpc_trace_context.sofacalleridc"
	}
	return ""
}

// str is b as a string, valid and constant as long as b is.
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
