package framecodec

import (
	"testing"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/codectest"
)

func TestConformance(t *testing.T) {
	light, narrow, bare := tp(), tp(), tp()
	light.Level = sdk.Light
	narrow.IDBits = 8
	bare.SetTimeout, bare.Reply, bare.Heartbeat, bare.GoAway = nil, nil, nil, nil
	for name, p := range map[string]Protocol{"medium": tp(), "light": light, "8 bits": narrow, "bare": bare, "serial": serialTP()} {
		t.Run(name, func(t *testing.T) {
			f := frames(p)
			if p.GoAway == nil {
				f.GoAway = nil
			}
			codectest.Conformance(t, f)
		})
	}
}

func FuzzClient(f *testing.F) {
	fr := frames(tp())
	f.Add(fr.Request, uint64(1))
	f.Add(join(frame{kind: Heartbeat, id: 1}, call(2, "x", "a", "b"), call(2, "")), uint64(2))
	suite := fr.Clients(f)
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) { suite.Shuffled(t, in, seed) })
}

func FuzzServer(f *testing.F) {
	fr := frames(tp())
	suite, ids := fr.Servers(f, 3)
	f.Add(join(answer(ids[2], "x"), answer(ids[0], "y"), frame{kind: GoAway}), uint64(1))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) { suite.Shuffled(t, in, seed) })
}
