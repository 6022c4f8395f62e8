// Package ping is a codec of the light level: it knows where frames end, what kind
// they are, and their ids. A frame of the protocol is
//
//	0   2  "pg"
//	2   1  kind: 1 request, 2 response, 3 heartbeat, 4 answer to a heartbeat
//	3   1  in a response: 0 it worked, 1 it did not
//	4   4  id
//	8   4  length of the content that follows
//
// The proxy's loops call the functions.
package ping

import (
	"encoding/binary"
	"errors"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/framecodec"
)

// Codec returns the codec.
func Codec() *sdk.Codec {
	return framecodec.New(framecodec.Protocol{
		Name: "ping", Level: sdk.Light, Mode: sdk.Multiplexed,
		Match: match, Cut: cut, Read: read, SetID: setID, Reply: reply,
		Heartbeat:      func(dst []byte, id uint64) []byte { return appendHead(dst, 3, 0, id, 0) },
		HeartbeatReply: func(dst, head []byte) []byte { return appendHead(dst, 4, 0, idOf(head), 0) },
	})
}

const headSize = 12

func match(p []byte) sdk.Verdict {
	switch {
	case len(p) < 3:
		return sdk.NeedMore
	case string(p[:2]) != "pg" || p[2] != 1 && p[2] != 3:
		return sdk.NoMatch
	}
	return sdk.Matched
}

func cut(in []byte) (head, size int, err error) {
	switch {
	case len(in) < headSize:
		return 0, 0, nil
	case string(in[:2]) != "pg":
		return 0, 0, errors.New("no frame begins here")
	}
	return headSize, headSize + int(binary.BigEndian.Uint32(in[8:])), nil
}

func read(head []byte, f *framecodec.Frame) error {
	if kind := head[2]; kind >= 1 && kind <= 4 {
		f.Kind = [...]framecodec.Kind{framecodec.Request, framecodec.Response, framecodec.Heartbeat, framecodec.HeartbeatReply}[kind-1]
	}
	if f.ID = idOf(head); head[3] != 0 {
		f.Status = 500
	}
	return nil
}

func idOf(head []byte) uint64 { return uint64(binary.BigEndian.Uint32(head[4:])) }

func setID(head []byte, id uint64) { binary.BigEndian.PutUint32(head[4:], uint32(id)) }

func reply(dst []byte, to framecodec.Asked, status int, text string) []byte {
	failed := byte(1)
	if status < 300 {
		failed = 0
	}
	return append(appendHead(dst, 2, failed, to.ID, len(text)), text...)
}

func appendHead(dst []byte, kind, failed byte, id uint64, content int) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, 'p', 'g', kind, failed), uint32(id))
	return binary.BigEndian.AppendUint32(dst, uint32(content))
}
