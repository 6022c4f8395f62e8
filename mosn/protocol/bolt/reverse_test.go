package bolt

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// both are the two connections of a client and its host, with messages carried both
// ways.
type both struct{ there, back *relay }

func newBoth(tb testing.TB, l Limits) both {
	down, up := ends(tb, l)
	c, h := down.New(), up.New()
	h.(sdk.Reverser).Reverse()
	return both{newRelay(tb, c, h), newRelay(tb, h, c)}
}

// client and host run what either says, and return what the other gets.
func (b both) client(p []byte) []byte { return run(b.there, b.back, p) }
func (b both) host(p []byte) []byte   { return run(b.back, b.there, p) }

func run(from, to *relay, p []byte) []byte {
	from.tb.Helper()
	from.run(p)
	for came, sent := range from.ids {
		to.ids[sent] = came
	}
	return take(from.out)
}

// open is how many requests are open on both connections.
func (b both) open() (n int) {
	for _, r := range []*relay{b.there, b.back} {
		c := r.conn.(*conn)
		n += c.ours.used + c.theirs.used
	}
	return n
}

// TestReverse: requests and answers in both directions, under the same ids, in each
// version; every frame goes on as it came.
func TestReverse(t *testing.T) {
	for version, crc := range []bool{false, false, true} {
		frame := func(m msg) []byte {
			m.version, m.crc = version, crc
			return m.bytes()
		}
		b := newBoth(t, Limits{LookAhead: 100})
		ask, push := frame(call(1, "ask")), frame(call(1, strings.Repeat("push", 100), "Odd", "\xff", ":path", "/x"))
		bare := call(2, "bare") // of no service, in a serialization of its own
		bare.class, bare.serial, bare.headers, bare.timeout = "a.B", 77, nil, 0
		tell := call(3, "tell")
		tell.kind = typeOneWay
		for _, step := range []struct {
			pass     func([]byte) []byte
			in       []byte
			id, open int
		}{
			{b.client, ask, 1, 2},
			{b.host, push, 2, 4},
			{b.host, frame(bare), 3, 6},
			{b.host, frame(tell), 4, 6},
			{b.client, frame(answer(2, "pushed", "k", "v")), 1, 4},
			{b.host, frame(answer(1, strings.Repeat("asked", 100))), 1, 2},
			{b.client, frame(answer(3, "")), 2, 0},
			{b.client, frame(call(9, "again")), 5, 2},
		} {
			if got, want := step.pass(step.in), withID(step.in, uint32(step.id)); !bytes.Equal(got, want) {
				t.Errorf("version %d:\n%x became\n%x, want\n%x", version, step.in, got, want)
			}
			if n := b.open(); n != step.open {
				t.Errorf("version %d: %d are open, want %d", version, n, step.open)
			}
		}
		// Answers to what was not asked, or is answered.
		if got := b.client(join(answer(2, "x"), answer(77, "x"))); len(got) > 0 || len(b.there.seen) != 2 {
			t.Errorf("%x, %q", got, b.there.seen)
		}
		if b.there.said.Len()+b.back.said.Len() > 0 || len(b.back.seen) > 0 {
			t.Errorf("said %d and %d bytes, %q", b.there.said.Len(), b.back.said.Len(), b.back.seen)
		}
	}
}

// TestReverseEnds: how a server's request ends without an answer of the client's.
func TestReverseEnds(t *testing.T) {
	b := newBoth(t, Limits{})
	b.host(join(call(5, "x"), call(6, "y")))
	client, host := b.there.conn, b.back.conn
	for stream, id := range b.back.ids {
		if !client.WriteReset(b.back.out, id, sdk.ResetLocal) || b.back.out.Len() > 0 {
			t.Error("the client is told")
		}
		if uint32(stream) == 5 {
			if !host.WriteReset(b.there.out, stream, sdk.ResetConnTimeout) {
				t.Error("the host cannot be told")
			}
		}
	}
	want := msg{cmd: cmdResponse, id: 5, serial: serialProtobuf, status: statusTimeout}.bytes()
	if got := take(b.there.out); !bytes.Equal(got, want) {
		t.Errorf("said %x, want %x", got, want)
	}
	var m sdk.Message
	m.SetStatus(503)
	for stream := range b.back.ids {
		if uint32(stream) == 6 {
			if err := host.WriteHeaders(b.there.out, stream, &m, true); err != nil {
				t.Error(err)
			}
		}
	}
	if got := take(b.there.out); !bytes.Equal(got[:14], msg{cmd: cmdResponse, id: 6, serial: serialProtobuf, status: statusClosed}.bytes()[:14]) {
		t.Errorf("said %x", got)
	}
	if got := b.client(join(answer(1, "late"), answer(2, "late"))); len(got) > 0 || b.open() > 0 {
		t.Errorf("%x, %d open", got, b.open())
	}
	// Our own words are no request to a client.
	if err := client.WriteHeaders(b.back.out, client.NewStream(), &m, true); err != errForeign {
		t.Error(err)
	}
}

// TestReverseHostile: limits hold for a server's requests too.
func TestReverseHostile(t *testing.T) {
	odd := call(1, "x", "odd")
	many := call(1, "x")
	for range 1001 {
		many.headers = append(many.headers, "", "")
	}
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"duplicate id", join(call(1, "x"), call(1, "y")), errDuplicate},
		{"too many", join(call(1, ""), call(2, ""), call(3, "")), errTooMany},
		{"malformed header map", odd.bytes(), errReverseMap},
		{"too many headers", many.bytes(), errReverseMap},
	} {
		b := newBoth(t, Limits{Streams: 2})
		b.host(c.in)
		if got := b.back.conn.(*conn).failed; got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	b := newBoth(t, Limits{})
	for id := range uint32(10000) {
		tell := call(id, "x")
		tell.kind = typeOneWay
		b.back.run(tell.bytes())
		b.back.out.Release()
	}
	if b.open() > 0 {
		t.Error("one-way requests stay open")
	}
}

// FuzzBoltReverse reads anything as a client's and a server's bytes in turn, and
// carries on what it understands in both directions: each frame that leaves is one
// that came.
func FuzzBoltReverse(f *testing.F) {
	f.Add(join(call(1, "x"), call(2, "")), join(call(1, "y"), answer(1, "z")), join(answer(3, "w"), call(1, "v")), uint8(0))
	f.Add([]byte(nil), join(call(1, "long enough to be cut through"), call(2, "")), join(answer(1, "long enough to be cut through"), answer(2, "")), uint8(1))
	for _, p := range captured(f) {
		f.Add(p, p, p, uint8(1))
	}
	f.Fuzz(func(t *testing.T, asks, server, client []byte, bits uint8) {
		b := newBoth(t, fuzzLimits(bits))
		b.there.lenient, b.back.lenient = true, true
		pass := func(do func([]byte) []byte, to sdk.CodecConn, in []byte) {
			in = bytes.Clone(in)
			for _, p := range cut(in) {
				if p[0] <= 2 && len(p) >= 10 && p[int(p[0])] == typeResponse {
					patchID(p, binary.BigEndian.Uint32(p[idAt(p):])%uint32(to.(*conn).serial+2))
				}
			}
			checkPassed(t, in, do(in))
		}
		c, h := b.there.conn, b.back.conn
		pass(b.client, c, asks)
		pass(b.host, h, server)
		if len(b.there.rest) == 0 && !c.(*conn).inside {
			pass(b.client, c, client)
		}
		for _, k := range []*conn{c.(*conn), h.(*conn)} {
			if k.theirs.used > k.cfg.Streams || k.queued > k.cfg.Queue {
				t.Errorf("%d requests are open, %d bytes wait", k.theirs.used, k.queued)
			}
		}
	})
}
