package bolt

import (
	"bytes"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

func seeds(f *testing.F) {
	f.Helper()
	for _, p := range captured(f) {
		f.Add(p, uint8(0))
		f.Add(p, uint8(1))
	}
	f.Add(join(call(1, "x", "k", "\xff", ":path", "/"), call(1, "y"), answer(1, "z"), answer(1, "")), uint8(0))
	f.Add(join(msg{kind: typeRequest, id: 4, timeout: -1}, msg{id: 4}, msg{kind: typeRequest, cmd: cmdGoAway, id: 1}), uint8(1))
	crc := call(3, "content", "a", "b")
	crc.version, crc.crc = 2, true
	f.Add(crc.bytes(), uint8(1))
	f.Add(crc.bytes()[:60], uint8(0))
}

// fuzzLimits are small, so that short inputs reach them.
func fuzzLimits(bits uint8) Limits {
	l := Limits{Frame: 1 << 16, Streams: 8, Queue: 1 << 12}
	if bits&1 != 0 {
		l.LookAhead = 16
	}
	return l
}

// FuzzBoltServer reads anything as a client's bytes: the same events in any pieces;
// whatever is sent on reads as the same call again, for which nothing differs.
func FuzzBoltServer(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte, bits uint8) {
		l := fuzzLimits(bits)
		suite(t, sdk.Downstream, l, 0).Shuffled(t, in, uint64(len(in)))
		down, up := ends(t, l)
		r := newRelay(t, down.New(), up.New())
		r.run(in)
		sent := take(r.out)
		again := newRelay(t, down.New(), up.New())
		if rest := again.run(sent); again.conn.(*conn).failed != nil || len(again.seen) > 0 || !bytes.Equal(append(take(again.out), rest...), sent) {
			t.Fatalf("%x\nwas sent on as\n%x\nand that is another thing: %q", in, sent, again.seen)
		}
	})
}

// FuzzBoltClient reads anything as a server's bytes.
func FuzzBoltClient(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte, bits uint8) {
		l := fuzzLimits(bits)
		suite(t, sdk.Upstream, l, 5).Shuffled(t, in, uint64(len(in)))
		down, up := ends(t, l)
		c, k := up.New(), down.New()
		r := newRelay(t, c, k)
		for id := range uint32(3) {
			stream := c.NewStream()
			c.(*conn).find(stream).begun = true
			ev := sdk.Event{Msg: new(sdk.Message)}
			if _, err := k.Decode(call(id+100, "").bytes(), &ev); err != nil {
				t.Fatal(err)
			}
			r.ids[stream] = ev.Stream
		}
		r.run(in)
		var g fixed
		for p := take(r.out); len(p) > 0; p = p[g.head()+g.content+g.trailer():] {
			if err := g.parse(p); err != nil || g.size == 0 || g.kind != typeResponse || g.id < 100 {
				t.Fatalf("%x\nbecame\n%x", in, p)
			}
			if len(p) < g.head()+g.content+g.trailer() {
				break // still under way
			}
		}
	})
}

// TestMutated is a smoke test of the same.
func TestMutated(t *testing.T) {
	for _, p := range captured(t) {
		suite(t, sdk.Downstream, Limits{}, 0).Mutated(t, p, 100)
		suite(t, sdk.Upstream, Limits{}, 9).Mutated(t, p, 100)
	}
}
