//go:build linux

package h2

// header is a field of a header block.
type header struct{ name, value string }

// block says which of the header blocks that are the same each time is meant.
type block int

const (
	getBlock    block = iota // less :path
	unaryBlock               // a call of one message
	streamBlock              // and of many
	pageBlock                // the answer to GET
	refusedBlock
	startBlock // of a call's answer
	doneBlock  // its trailers
	failedBlock
	blocks
)

func (b block) headers() []header {
	call := func(path string) []header {
		return []header{
			{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "bench.test"},
			{"content-type", "application/grpc"}, {"user-agent", "grpc-sofamesh-bench/1"}, {"te", "trailers"},
		}
	}
	switch b {
	case getBlock:
		return []header{{":method", "GET"}, {":scheme", "http"}, {":authority", "bench.test"}, {"user-agent", "sofamesh-bench"}, {"accept", "*/*"}}
	case unaryBlock:
		return call(unaryPath)
	case streamBlock:
		return call(streamPath)
	case pageBlock:
		return []header{{":status", "200"}, {"content-type", "text/plain"}, {"content-length", "1024"}}
	case refusedBlock:
		return []header{{":status", "400"}, {"content-length", "0"}}
	case startBlock:
		return []header{{":status", "200"}, {"content-type", "application/grpc"}}
	case doneBlock:
		return []header{{"grpc-status", "0"}, {"grpc-message", ""}}
	default:
		return []header{{"grpc-status", "13"}, {"grpc-message", "not what the load sends"}}
	}
}

// encoder writes header blocks as clients and servers do: a field is told once and then named by its place in the table. All fields
// together are far below the table's size, so none ever leaves it.
type encoder struct {
	table []header
	bare  bool // the peer keeps no table
	tell  bool // which it was not told to do without yet
	last  [blocks]struct {
		bytes []byte
		table int // entries when it was written: with more of them, places have changed
	}
}

// forget does without a table from the next block on.
func (e *encoder) forget() { *e = encoder{bare: true, tell: true} }

// begin writes what must stand before the first field of a block.
func (e *encoder) begin(out []byte) []byte {
	if e.tell {
		e.tell = false
		out = append(out, 0x20) // the table's size is 0 now
	}
	return out
}

// append writes a block to out.
func (e *encoder) append(out []byte, b block) []byte {
	out = e.begin(out)
	last := &e.last[b]
	if last.bytes == nil || last.table != len(e.table) {
		before := len(e.table)
		var fresh []byte
		for _, h := range b.headers() {
			fresh = e.field(fresh, h)
		}
		if before != len(e.table) {
			return append(out, fresh...) // told, the next time named
		}
		last.bytes, last.table = fresh, before
	}
	return append(out, last.bytes...)
}

func (e *encoder) field(out []byte, h header) []byte {
	switch h {
	case header{":method", "GET"}:
		return append(out, 0x82)
	case header{":method", "POST"}:
		return append(out, 0x83)
	case header{":scheme", "http"}:
		return append(out, 0x86)
	case header{":status", "200"}:
		return append(out, 0x88)
	case header{":status", "400"}:
		return append(out, 0x8c)
	}
	for i, known := range e.table {
		if known == h {
			return append(out, 0x80|byte(61+len(e.table)-i))
		}
	}
	how := byte(0x40)
	if e.bare {
		how = 0
	} else {
		e.table = append(e.table, h)
	}
	return appendText(appendText(append(out, how), h.name), h.value)
}

// appendText writes a string of less than 127 bytes, as it is.
func appendText(out []byte, s string) []byte {
	return append(append(out, byte(len(s))), s...)
}

// appendPath writes a :path with a mark, which no table is to remember.
func appendPath(out []byte, mark Mark) []byte {
	out = append(out, 0x04, byte(len(getPath)+len(mark)))
	return append(append(out, getPath...), mark[:]...)
}
