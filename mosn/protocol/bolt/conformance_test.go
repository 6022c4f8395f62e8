package bolt

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"sofamesh.io/sofamesh/sdk/codectest"
)

// TestConformance: the suite that every codec of RPC runs, in each version.
func TestConformance(t *testing.T) {
	for version, name := range []string{"version 1", "version 2", "version 2 with CRC"} {
		t.Run(name, func(t *testing.T) {
			frame := func(m msg) []byte {
				m.version, m.crc = version, version == 2
				return m.bytes()
			}
			oneWay := call(0, "one-way", "k", "v")
			oneWay.kind, oneWay.timeout = typeOneWay, 0
			codectest.Conformance(t, codectest.Frames{
				Codec:          Codec(Limits{}),
				Request:        frame(call(0, "a body", "App", "x", "trace", "1")),
				Response:       frame(answer(0, "an answer", "k", "v")),
				OneWay:         frame(oneWay),
				Heartbeat:      msg{version: min(version, 1), kind: typeRequest, cmd: cmdHeartbeat, serial: 1, timeout: -1}.bytes(),
				HeartbeatReply: msg{version: min(version, 1), cmd: cmdHeartbeat, serial: 1}.bytes(),
				GoAway:         frame(msg{kind: typeRequest, cmd: cmdGoAway, serial: 1, timeout: -1}),
				ID:             func(p []byte) uint64 { return uint64(binary.BigEndian.Uint32(p[idAt(p):])) },
				SetID: func(p []byte, id uint64) {
					patchID(p, uint32(id))
					var f fixed
					if f.parse(p) == nil && f.crc {
						binary.BigEndian.PutUint32(p[len(p)-4:], crc32.ChecksumIEEE(p[:len(p)-4]))
					}
				},
				SetLength: func(p []byte, n uint32) {
					var f fixed
					_ = f.parse(p)
					binary.BigEndian.PutUint32(p[f.size-4:], n)
				},
			})
		})
	}
}
