//go:build linux

// Package bolt is what the bench needs of SOFARPC's Bolt, version 1: the frames that a Java client and a Java server send, the origin
// server, and the forwarder that stands where the floor stands for HTTP: it patches ids and nothing else.
//
// It knows nothing of mosn's codec, so that the one checks the other. Server and Forwarder own their sockets and run on the goroutine
// of the rawsock.Loop they are given.
package bolt

import "encoding/binary"

// Kinds and commands of frames.
const (
	KindAnswer  = 0
	KindRequest = 1

	CommandHeartbeat = 0
	CommandRequest   = 1
	CommandAnswer    = 2
)

// MaxFrame is the size of the largest frame that anybody here takes.
const MaxFrame = 16 << 10

const (
	version     = 1
	idAt        = 5
	requestHead = 22 // bytes before the class name
	answerHead  = 20
)

// Frame is what is read of a frame's head.
type Frame struct {
	Kind    byte
	Command uint16
	ID      uint32
	Status  uint16 // of an answer; 0 is success
	Content int    // where it begins
	Size    int    // of the whole frame; 0 while the head is incomplete
}

// Parse reads the head of the frame at the start of data. Size may exceed what data has. It gives false when this is no request or
// answer of version 1, or one above MaxFrame.
func Parse(data []byte) (f Frame, ok bool) {
	if len(data) > 0 && data[0] != version || len(data) > 1 && data[1] > KindRequest {
		return Frame{}, false
	}
	if len(data) < answerHead || data[1] == KindRequest && len(data) < requestHead {
		return Frame{}, true
	}
	f = Frame{Kind: data[1], Command: binary.BigEndian.Uint16(data[2:]), ID: binary.BigEndian.Uint32(data[idAt:])}
	head := requestHead
	if f.Kind == KindAnswer {
		f.Status = binary.BigEndian.Uint16(data[10:])
		head = answerHead
	}
	lengths := data[head-8:]
	f.Content = head + int(binary.BigEndian.Uint16(lengths)) + int(binary.BigEndian.Uint16(lengths[2:]))
	content := binary.BigEndian.Uint32(lengths[4:])
	if content > MaxFrame || f.Content+int(content) > MaxFrame {
		return Frame{}, false
	}
	f.Size = f.Content + int(content)
	return f, true
}

// SetID patches the id of the frame at the start of data.
func SetID(data []byte, id uint32) { binary.BigEndian.PutUint32(data[idAt:], id) }
