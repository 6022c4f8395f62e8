package ping

import (
	"encoding/binary"
	"testing"

	"sofamesh.io/sofamesh/sdk/codectest"
)

func frames() codectest.Frames {
	return codectest.Frames{
		Codec:          Codec(),
		Request:        []byte("pg\x01\x00\x00\x00\x00\x00\x00\x00\x00\x05hello"),
		Response:       []byte("pg\x02\x00\x00\x00\x00\x00\x00\x00\x00\x03you"),
		Heartbeat:      []byte("pg\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		HeartbeatReply: []byte("pg\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		ID:             idOf,
		SetID:          setID,
		SetLength:      func(frame []byte, n uint32) { binary.BigEndian.PutUint32(frame[8:], n) },
	}
}

func TestConformance(t *testing.T) { codectest.Conformance(t, frames()) }

func FuzzClient(f *testing.F) {
	clients := frames().Clients(f)
	f.Add(append(frames().Heartbeat, frames().Request...), uint64(1))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) { clients.Shuffled(t, in, seed) })
}

func FuzzServer(f *testing.F) {
	servers, ids := frames().Servers(f, 1)
	response := frames().Response
	setID(response, ids[0])
	f.Add(response, uint64(1))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) { servers.Shuffled(t, in, seed) })
}
