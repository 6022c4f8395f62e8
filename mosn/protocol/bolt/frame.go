package bolt

import (
	"encoding/binary"
	"time"
)

// The types and commands of frames (bolt's RpcCommandType, RpcCommandCode). Go
// away is MOSN's extension.
const (
	typeResponse = 0
	typeRequest  = 1
	typeOneWay   = 2

	cmdHeartbeat = 0
	cmdRequest   = 1
	cmdResponse  = 2
	cmdGoAway    = 100
)

// The serializations of SOFARPC with which we can tell what a call is for. The first
// two are both Hessian; with the others a server goes by the header map alone.
const (
	serialHessian    = 1
	serialHessian2   = 4
	serialProtobuf   = 11
	serialJSON       = 12
	serialMsgPack    = 13
	serialProtostuff = 14
)

// fixed is the part of a frame that has a fixed length: 22 bytes for a request of
// version 1, 20 for its response, 2 more each in version 2.
type fixed struct {
	v2      bool
	crc     bool // 4 bytes follow the content
	kind    byte
	cmd     uint16
	id      uint32
	serial  byte
	timeout int32  // of requests, in milliseconds; <= 0 means none
	status  uint16 // of responses
	class   int
	headers int
	content int
	size    int // of this part, in bytes
}

// head is the length of all that precedes the content.
func (f *fixed) head() int { return f.size + f.class + f.headers }

// trailer is the length of what follows it.
func (f *fixed) trailer() int {
	if f.crc {
		return 4
	}
	return 0
}

// parse reads a fixed part; it leaves size 0 when it is not all there. What can be
// judged early is, so that no peer is waited for in vain.
func (f *fixed) parse(p []byte) error {
	*f = fixed{}
	if len(p) == 0 {
		return nil
	}
	at := 1 // of the type
	switch p[0] {
	case 1:
	case 2:
		f.v2, at = true, 2
		if len(p) > 1 && p[1] != 1 && p[1] != 2 {
			return errProtocol
		}
	default:
		return errProtocol
	}
	if len(p) <= at {
		return nil
	}
	f.kind = p[at]
	if f.kind > typeOneWay {
		return errType
	}
	size := at + 19
	if f.kind != typeResponse {
		size = at + 21
	}
	if f.v2 {
		size++
	}
	if len(p) < size {
		return nil
	}
	f.size = size
	f.cmd = binary.BigEndian.Uint16(p[at+1:])
	f.id = binary.BigEndian.Uint32(p[at+4:])
	f.serial = p[at+8]
	f.lengths(p)
	f.crc = f.v2 && p[1] == 2 && p[at+9]&1 != 0
	switch f.cmd {
	case cmdHeartbeat:
	case cmdRequest, cmdGoAway:
		if f.kind == typeResponse {
			return errType
		}
	case cmdResponse:
		if f.kind != typeResponse {
			return errType
		}
	default:
		return errType
	}
	return nil
}

// lengths reads the end of the fixed part.
func (f *fixed) lengths(p []byte) {
	tail := p[f.size-8 : f.size]
	f.class = int(binary.BigEndian.Uint16(tail))
	f.headers = int(binary.BigEndian.Uint16(tail[2:]))
	f.content = int(int32(binary.BigEndian.Uint32(tail[4:])))
	if f.kind == typeResponse {
		f.status = binary.BigEndian.Uint16(p[f.size-10:])
	} else {
		f.timeout = int32(binary.BigEndian.Uint32(p[f.size-12:]))
	}
}

// check holds the lengths against the limits.
func (f *fixed) check(l *Limits) error {
	switch {
	case f.class > l.Class:
		return errClass
	case f.headers > l.Headers:
		return errHeaders
	case f.content < 0 || f.content > l.Frame-f.head():
		return errContent
	}
	return nil
}

// idAt is where the id stands in a frame.
func idAt(frame []byte) int { return 4 + int(frame[0]) } // 5 in version 1, 6 in version 2

func patchID(frame []byte, id uint32) { binary.BigEndian.PutUint32(frame[idAt(frame):], id) }

// setLengths writes header map and content length into a head.
func (f *fixed) setLengths(frame []byte) {
	binary.BigEndian.PutUint16(frame[f.size-6:], uint16(f.headers))
	binary.BigEndian.PutUint32(frame[f.size-4:], uint32(f.content))
}

// wait is the timeout as a duration.
func (f *fixed) wait() time.Duration {
	if f.timeout <= 0 {
		return 0
	}
	return time.Duration(f.timeout) * time.Millisecond
}

// setTimeout writes what is left of a request's timeout, at least a millisecond.
func (f *fixed) setTimeout(frame []byte, left time.Duration) {
	ms := min(max((left+time.Millisecond-1)/time.Millisecond, 1), 1<<31-1)
	binary.BigEndian.PutUint32(frame[f.size-12:], uint32(ms))
}

// put writes a fixed part and returns its length; p has room for 24 bytes. For a response status counts, for a request it is one of Bolt's own, with no
// timeout. The CRC switch is off, as in the error answers of the Java server.
func (f *fixed) put(p []byte) int {
	n := 0
	byte1 := func(v byte) { p[n] = v; n++ }
	if f.v2 {
		byte1(2)
	}
	byte1(1)
	byte1(f.kind)
	byte1(byte(f.cmd >> 8))
	byte1(byte(f.cmd))
	byte1(1)
	binary.BigEndian.PutUint32(p[n:], f.id)
	n += 4
	byte1(f.serial)
	if f.v2 {
		byte1(0)
	}
	if f.kind == typeResponse {
		binary.BigEndian.PutUint16(p[n:], f.status)
		n += 2
	} else {
		binary.BigEndian.PutUint32(p[n:], ^uint32(0))
		n += 4
	}
	binary.BigEndian.PutUint16(p[n:], uint16(f.class))
	binary.BigEndian.PutUint16(p[n+2:], uint16(f.headers))
	binary.BigEndian.PutUint32(p[n+4:], uint32(f.content))
	return n + 8
}
