package bolt

import (
	"bytes"
	"encoding/binary"
	"slices"
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

// FuzzBoltThrough reads anything as a client's bytes and then anything as a server's,
// and sends on what it understands: each frame that leaves is one that came, in its
// order, with another id and the CRC of that.
func FuzzBoltThrough(f *testing.F) {
	for _, p := range captured(f) {
		f.Add(p, p, uint8(0))
		f.Add(join(call(1, "x"), call(2, "long enough to be cut through")), join(answer(1, "y"), answer(2, "long enough to be cut through")), uint8(1))
	}
	f.Fuzz(func(t *testing.T, client, server []byte, bits uint8) {
		down, up := ends(t, fuzzLimits(bits))
		there := newRelay(t, down.New(), up.New())
		there.inPieces(client, int(bits>>1))
		checkPassed(t, client, take(there.out))
		back := newRelay(t, there.to, there.conn)
		for came, sent := range there.ids {
			back.ids[sent] = came
		}
		server = bytes.Clone(server)
		for _, p := range cut(server) {
			if p[0] <= 2 && len(p) >= 10 {
				patchID(p, binary.BigEndian.Uint32(p[idAt(p):])%uint32(len(there.ids)+2))
			}
		}
		back.inPieces(server, int(bits>>1))
		checkPassed(t, server, take(back.out))
	})
}

// inPieces runs p in pieces of n bytes, 0 for all at once.
func (r *relay) inPieces(p []byte, n int) {
	r.tb.Helper()
	if n == 0 {
		n = len(p) + 1
	}
	var rest []byte
	for part := range slices.Chunk(p, n) {
		if rest = r.run(append(rest, part...)); r.conn.(*conn).failed != nil {
			return
		}
	}
}

// cut parts bytes at the ends of frames, as far as they are frames. The last one may
// be incomplete.
func cut(p []byte) (frames [][]byte) {
	for len(p) > 0 {
		var g fixed
		n := len(p)
		if g.parse(p) == nil && g.size > 0 && g.content >= 0 {
			n = min(n, g.head()+g.content+g.trailer())
		}
		frames = append(frames, p[:n:n])
		p = p[n:]
	}
	return frames
}

func checkPassed(t *testing.T, in, out []byte) {
	t.Helper()
	came := cut(in)
	for _, p := range cut(out) {
		var g fixed
		whole := g.parse(p) == nil && g.size > 0 && len(p) == g.head()+g.content+g.trailer()
		fits := func(q []byte) bool {
			if len(q) < len(p) || len(p) < 10 || q[0] != p[0] {
				return false
			}
			r := bytes.Clone(q)
			patchID(r, binary.BigEndian.Uint32(p[idAt(p):]))
			if whole && g.crc {
				return bytes.Equal(p, withID(r, g.id)) && bytes.Equal(q, withID(q, binary.BigEndian.Uint32(q[idAt(q):])))
			}
			return bytes.HasPrefix(r, p)
		}
		i := slices.IndexFunc(came, fits)
		if i < 0 {
			t.Fatalf("%x\nleft as\n%x\nof which this is none that came:\n%x", in, out, p)
		}
		came = came[i+1:]
	}
}

// TestMutated is a smoke test of the same.
func TestMutated(t *testing.T) {
	for _, p := range captured(t) {
		suite(t, sdk.Downstream, Limits{}, 0).Mutated(t, p, 100)
		suite(t, sdk.Upstream, Limits{}, 9).Mutated(t, p, 100)
	}
}
