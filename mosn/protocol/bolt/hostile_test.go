package bolt

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// TestLimits: each is told from the fixed part, before anything is waited for.
func TestLimits(t *testing.T) {
	l := Limits{Frame: 1000, Headers: 100, Class: 50, Count: 3, Streams: 2, LookAhead: 64}
	huge := func(content uint32) []byte {
		p := call(1, "").bytes()[:22]
		p[18], p[19], p[20], p[21] = byte(content>>24), byte(content>>16), byte(content>>8), byte(content)
		return p
	}
	long := call(1, "")
	long.class = strings.Repeat("c", 51)
	for _, c := range []struct {
		name string
		in   []byte
		err  string
	}{
		{"content", huge(1000), "bolt.frame_too_large"},
		{"4 GB", huge(0xfffffff0), "bolt.frame_too_large"},
		{"negative", huge(0x80000000), "bolt.frame_too_large"},
		{"headers", call(1, "", "k", strings.Repeat("v", 60)).bytes()[:22], "bolt.headers_too_large"},
		{"class", long.bytes()[:22], "bolt.class_too_long"},
		{"count", call(1, "", "a", "", "b", "").bytes(), "bolt.too_many_headers"},
		{"open requests", join(call(1, ""), call(2, ""), call(3, "")), "bolt.too_many_requests"},
	} {
		if got := suite(t, sdk.Downstream, l, 0).Read(t, c.in); !strings.Contains(got, " "+c.err+":") {
			t.Errorf("%s: no %s in\n%s", c.name, c.err, got)
		}
	}
}

// TestLimitsOfAnswers: the same from a server.
func TestLimitsOfAnswers(t *testing.T) {
	l := Limits{Frame: 1000, Headers: 100, Class: 50}
	for _, c := range []struct {
		at    int
		value byte
		err   string
	}{
		{12, 0xff, "bolt.class_too_long"}, {14, 0xff, "bolt.headers_too_large"},
		{16, 0xff, "bolt.frame_too_large"}, {16, 0x80, "bolt.frame_too_large"}, {18, 0x10, "bolt.frame_too_large"},
	} {
		p := answer(1, "").bytes()[:20]
		p[c.at] = c.value
		if got := suite(t, sdk.Upstream, l, 1).Read(t, p); !strings.Contains(got, " "+c.err+":") {
			t.Errorf("%x: no %s in\n%s", p, c.err, got)
		}
	}
}

// TestFloodWhileWriting: what asks for an answer costs bounded memory while a long
// frame keeps us from giving it, on either side.
func TestFloodWhileWriting(t *testing.T) {
	beat := msg{kind: typeRequest, id: 4, serial: 1, timeout: -1}.bytes()
	for _, c := range []struct {
		name  string
		side  sdk.Side
		frame []byte
	}{
		{"a client's heartbeats", sdk.Downstream, beat},
		{"a server's heartbeats", sdk.Upstream, beat},
		{"a server's requests", sdk.Upstream, call(5, "x").bytes()},
	} {
		down, up := ends(t, Limits{})
		k, out := down.New(), buffer()
		m, stream := head(t, suite(t, sdk.Upstream, Limits{}, 1).New(), answer(1, "body")), uint64(0)
		if c.side == sdk.Upstream {
			m = head(t, down.New(), call(1, "body"))
			k = up.New()
			stream = k.NewStream()
		} else {
			stream = asks(t, k, 1)
		}
		m.Codec = k.(*conn).cfg.codec
		if err := k.WriteHeaders(out, stream, m, false); err != nil {
			t.Fatal(err)
		}
		flood := bytes.Repeat(c.frame, 1000)
		ev := sdk.Event{Msg: new(sdk.Message)}
		for range 20 {
			for in := flood; len(in) > 0; {
				n, err := k.Decode(in, &ev)
				if n == 0 || err != nil {
					t.Fatal(n, err)
				}
				in = in[n:]
			}
		}
		if said := len(k.(*conn).said); said < maxSaid || said > maxSaid+24 || k.(sdk.Talker).Pending() {
			t.Errorf("%s: %d bytes are kept", c.name, said)
		}
		k.WriteData(out, stream, []byte("body"), true)
		k.(sdk.Talker).Flush(out)
		if n := out.Len(); n < maxSaid || n > maxSaid+1000 || cap(k.(*conn).said) > 256 {
			t.Errorf("%s: %d bytes are written, room for %d is kept", c.name, n, cap(k.(*conn).said))
		}
		take(out)
	}
}

// TestEndless: frames that lead nowhere, for as long as you like, leave nothing
// behind.
func TestEndless(t *testing.T) {
	oneWay, hostile := call(5, ""), hessianCall(strings.Repeat("O\x90\x90", 3000))
	oneWay.kind, hostile.kind = typeOneWay, typeOneWay
	for _, c := range []struct {
		name string
		side sdk.Side
		in   []byte
	}{
		{"heartbeats", sdk.Downstream, msg{kind: typeRequest, id: 4, serial: 1, timeout: -1}.bytes()},
		{"answers to heartbeats", sdk.Upstream, msg{id: 4, serial: 1}.bytes()},
		{"one id again and again", sdk.Downstream, call(1, "x").bytes()},
		{"one-way requests", sdk.Downstream, oneWay.bytes()},
		{"definitions", sdk.Downstream, hostile.bytes()},
		{"unknown answers", sdk.Upstream, answer(77, "x").bytes()},
		{"go away", sdk.Upstream, msg{kind: typeRequest, cmd: cmdGoAway, id: 1}.bytes()},
		{"requests of the server's", sdk.Upstream, call(5, "x").bytes()},
	} {
		k, out := suite(t, c.side, Limits{}, 0).New(), buffer()
		var reply sdk.Message
		ev := sdk.Event{Msg: new(sdk.Message)}
		round := func() {
			for in := c.in; len(in) > 0; {
				n, err := k.Decode(in, &ev)
				if ce, ok := err.(*sdk.CodecError); ok && !ce.Stream || n == 0 {
					t.Fatal(c.name, n, err)
				}
				if ev.Kind == sdk.EventHeaders && !ev.Msg.OneWay {
					reply.Reset()
					reply.SetStatus(504)
					if err := k.WriteHeaders(out, ev.Stream, &reply, true); err != nil {
						t.Fatal(err)
					}
				}
				in = in[n:]
			}
			k.(sdk.Talker).Flush(out)
			out.Release()
		}
		round()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range 10000 {
			round()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 256<<10 {
			t.Errorf("%s: %d bytes more", c.name, grown)
		}
		if n := len(k.(*conn).table.slots); n > firstSlots {
			t.Errorf("%s: %d slots", c.name, n)
		}
		runtime.KeepAlive(k)
	}
}

// TestTable holds the table against a map.
func TestTable(t *testing.T) {
	var tab table
	model := map[uint32]uint64{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 200000 {
		id := rnd.Uint32N(300) * (1 + rnd.Uint32N(2)*0x9e370001)
		if _, ok := model[id]; ok {
			tab.remove(id)
			delete(model, id)
		} else if len(model) < 200 {
			tab.add(open{stream: uint64(i + 1), id: id})
			model[id] = uint64(i + 1)
		}
		probe := rnd.Uint32N(300)
		if o := tab.get(probe); (o != nil) != (model[probe] != 0) || o != nil && o.stream != model[probe] {
			t.Fatalf("step %d: %d is %v, want stream %d", i, probe, o, model[probe])
		}
	}
	for id := range model {
		tab.remove(id)
	}
	if tab.used != 0 || tab.slots != nil {
		t.Errorf("%d are left, %d slots are kept", tab.used, len(tab.slots))
	}
}

// TestChosenIDs: ids that differ in a few bits only do not make a search long.
func TestChosenIDs(t *testing.T) {
	for name, id := range map[string]func(uint32) uint32{
		"counted":               func(i uint32) uint32 { return i },
		"high bits":             func(i uint32) uint32 { return i << 21 },
		"inverses":              func(i uint32) uint32 { return i * 0xe8b2f51 }, // times 0x9e3779b1 it is i
		"inverses of high bits": func(i uint32) uint32 { return i << 21 * 0xe8b2f51 },
	} {
		tab := table{seed: rand.Uint32()}
		for i := range uint32(2000) {
			tab.add(open{stream: 1, id: id(i)})
		}
		longest, run := 0, 0
		for _, o := range tab.slots {
			if run++; o.stream == 0 {
				run = 0
			}
			longest = max(longest, run)
		}
		if longest > 200 {
			t.Errorf("%s: %d in a row", name, longest)
		}
	}
}
