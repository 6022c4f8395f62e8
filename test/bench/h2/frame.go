//go:build linux

// Package h2 is what the bench needs of HTTP/2: connections on which requests and answers are many and small, and the origin server.
//
// Frames, windows and what is sent are its own; of mosn's codec it has only the reader of header blocks. So the one checks the other.
// A Link and a Server own their sockets and run on the goroutine of the rawsock.Loop they are given.
package h2

import "encoding/binary"

// Frames by type (RFC 9113, 6).
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePush         = 5
	framePing         = 6
	frameGoAway       = 7
	frameWindowUpdate = 8
	frameContinuation = 9
)

const (
	flagEnd      = 0x1 // of a stream
	flagAck      = 0x1
	flagWhole    = 0x4 // END_HEADERS
	flagPadded   = 0x8
	flagPriority = 0x20
)

const (
	settingTableSize = 1
	settingPush      = 2
	settingWindow    = 4
)

const (
	preface     = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	headBytes   = 9
	maxFrame    = 16 << 10
	firstWindow = 65535   // of connections, and of streams before the settings
	ourWindow   = 1 << 30 // nobody waits for us
	giveBack    = 1 << 20 // bytes that come before the connection's window is opened for them again
)

// frame is one frame that came. Its payload lies in the buffer of the read.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// cut takes the first frame of data; size is 0 when it is not whole yet. A frame above maxFrame gives false.
func cut(data []byte) (f frame, size int, ok bool) {
	if len(data) < headBytes {
		return f, 0, true
	}
	n := int(data[0])<<16 | int(data[1])<<8 | int(data[2])
	if n > maxFrame {
		return f, 0, false
	}
	if size = headBytes + n; len(data) < size {
		return f, 0, true
	}
	return frame{data[3], data[4], binary.BigEndian.Uint32(data[5:]) & (1<<31 - 1), data[headBytes:size]}, size, true
}

// content is the payload without padding and priority.
func (f frame) content() (p []byte, ok bool) {
	p = f.payload
	pad := 0
	if f.flags&flagPadded != 0 {
		if len(p) == 0 {
			return nil, false
		}
		pad, p = int(p[0]), p[1:]
	}
	if f.kind == frameHeaders && f.flags&flagPriority != 0 {
		if len(p) < 5 {
			return nil, false
		}
		p = p[5:]
	}
	if pad > len(p) {
		return nil, false
	}
	return p[:len(p)-pad], true
}

// appendHead writes the head of a frame with n bytes of payload.
func appendHead(out []byte, n int, kind, flags byte, stream uint32) []byte {
	out = append(out, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	return binary.BigEndian.AppendUint32(out, stream)
}

func appendSetting(out []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(out, id), value)
}

func appendWindow(out []byte, stream, n uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHead(out, 4, frameWindowUpdate, 0, stream), n)
}
