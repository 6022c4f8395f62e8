package bolt

import (
	"bytes"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

func join(frames ...msg) (p []byte) {
	for _, m := range frames {
		p = append(p, m.bytes()...)
	}
	return p
}

// TestReading: what comes of frames that are no ordinary call, on either side. The
// upstream side has asked with the ids 1 and 2.
func TestReading(t *testing.T) {
	crc := call(7, "body")
	crc.version, crc.crc = 2, true
	broken := crc.bytes()
	broken[len(broken)-6] ^= 1
	notCovered := crc
	notCovered.version, notCovered.crc = 1, false // version 1 of Bolt 2 has none, whatever the switch says
	plain := notCovered.bytes()
	plain[11] = 1
	beat := msg{kind: typeRequest, cmd: cmdHeartbeat, id: 0x01020304, serial: 1, timeout: -1}
	beat2, fatBeat, quietBeat := beat, beat, beat
	beat2.version = 1
	fatBeat.class, fatBeat.headers, fatBeat.content = "c", []string{"a", "b"}, strings.Repeat("x", 30000)
	quietBeat.kind = typeOneWay
	away := msg{kind: typeRequest, cmd: cmdGoAway, id: 1, serial: 1, timeout: -1}
	oneWay := call(8, "")
	oneWay.kind = typeOneWay
	foreign := answer(1, "x", "a")
	strange := call(1, "")
	strange.cmd = 3
	crossed := call(1, "")
	crossed.cmd = cmdResponse
	failed := answer(2, "text", headerFailed, "true")
	for _, c := range []struct {
		name string
		side sdk.Side
		in   []byte
		want []string // parts of the transcript
	}{
		{"heartbeats", sdk.Downstream, join(beat, fatBeat, quietBeat, call(1, "x")), []string{"data 4294967297 \"x\"", "said 0100000001" + "01020304" + "01" + "0000" + "0000000000000000" + "0100000001"}},
		{"heartbeat of version 2", sdk.Upstream, join(beat2), []string{"said 020100000001010203040100" + "0000" + "0000000000000000\n"}},
		{"heartbeat answer unasked", sdk.Downstream, join(msg{cmd: cmdHeartbeat, id: 4}), []string{"dropped"}},
		{"go away", sdk.Upstream, join(away, answer(1, "x")), []string{"goaway 17179869183\n", "data 4294967297 \"x\"\nend"}},
		{"a client goes away", sdk.Downstream, join(away), []string{""}},
		{"one-way", sdk.Downstream, join(oneWay), []string{"headers 4294967304 RPC oneway :method"}},
		{"timeout", sdk.Downstream, join(call(8, "")), []string{"timeout=3s"}},
		{"duplicate id", sdk.Downstream, join(call(8, "a"), call(8, "b")), []string{"\"a\"", "error 0 bolt.duplicate_id"}},
		{"response from a client", sdk.Downstream, join(answer(1, "x"), call(2, "y")), []string{"dropped", "\"y\""}},
		{"unknown response", sdk.Upstream, join(answer(9, "x"), answer(1, "y")), []string{"dropped 0\nheaders 4294967297", "\"y\""}},
		{"second response", sdk.Upstream, join(answer(1, "x"), answer(1, "y")), []string{"\"x\"\nend 4294967297\ndropped"}},
		{"responses out of order", sdk.Upstream, join(answer(2, "x"), answer(1, "y")), []string{"data 8589934594 \"x\"", "data 4294967297 \"y\""}},
		{"reverse request", sdk.Upstream, join(call(5, "x"), answer(1, "y")), []string{"dropped", "\"y\"", "said 01000002010000000" + "50b0006"}},
		{"reverse one-way", sdk.Upstream, join(oneWay), []string{"dropped 0\n"}},
		{"response with a malformed map", sdk.Upstream, join(foreign, answer(2, "y")), []string{"reset 4294967297", "\"y\""}},
		{"application error", sdk.Upstream, join(failed), []string{`:status="500" x-rpc-status="0"`, `sofa_head_response_error="true"`}},
		{"CRC", sdk.Downstream, crc.bytes(), []string{"data 4294967303 \"body\"\nend"}},
		{"bad CRC", sdk.Downstream, broken, []string{"error 0 bolt.crc_mismatch"}},
		{"CRC switch in version 1", sdk.Downstream, plain, []string{"data 4294967303 \"body\"\nend"}},
		{"not Bolt", sdk.Downstream, []byte("GET / HTTP/1.1\r\n\r\n"), []string{"error 0 bolt.protocol"}},
		{"version 3 of Bolt 2", sdk.Downstream, []byte{2, 3}, []string{"error 0 bolt.protocol"}},
		{"type 3", sdk.Downstream, []byte{1, 3}, []string{"error 0 bolt.type"}},
		{"command 3", sdk.Downstream, strange.bytes(), []string{"error 0 bolt.type"}},
		{"a request that is a response", sdk.Downstream, crossed.bytes(), []string{"error 0 bolt.type"}},
		{"refused", sdk.Downstream, join(call(3, "", headerTarget, "com.acme.Other:1.0")), []string{"refused 4294967299 400 bolt.target_mismatch"}},
		{"cut off", sdk.Downstream, call(1, "xyz").bytes()[:40], []string{"error 0 bolt.cut_off"}},
	} {
		for _, ahead := range []int{0, 2} {
			s := suite(t, c.side, Limits{LookAhead: ahead}, 2)
			if c.name == "go away" { // the serial number of the third stream is in the id
				s = suite(t, c.side, Limits{LookAhead: ahead}, 3)
			}
			got := s.Read(t, c.in)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("%s, look-ahead %d:\n%s\nhas no %q", c.name, ahead, got, want)
				}
			}
			s.Splits(t, c.in[:min(len(c.in), 4000)])
		}
	}
}

// TestBigFramesPass: content beyond the look-ahead is handed on as it arrives, and
// its CRC is made anew on the way.
func TestBigFramesPass(t *testing.T) {
	for _, crc := range []bool{false, true} {
		m := call(3, strings.Repeat("0123456789", 10000))
		m.version, m.crc = 2, crc
		down, up := ends(t, Limits{LookAhead: 100})
		r := newRelay(t, down.New(), up.New())
		in := m.bytes()
		half := len(in) / 2
		rest := r.run(in[:half])
		if r.out.Len() != half || len(rest) > 0 {
			t.Fatalf("of %d bytes %d are handed on, %d kept", half, r.out.Len(), len(rest))
		}
		r.run(in[half:])
		if got := take(r.out); !bytes.Equal(got, withID(in, 1)) {
			t.Errorf("crc %v: another frame came out", crc)
		}
	}
}

// TestBadCRCIsNotMended: content is handed on before its CRC is known, but then
// what is handed on never becomes a frame.
func TestBadCRCIsNotMended(t *testing.T) {
	m := call(3, strings.Repeat("0123456789", 100))
	m.version, m.crc = 2, true
	in := m.bytes()
	in[len(in)-1] ^= 1
	down, up := ends(t, Limits{LookAhead: 100})
	r := newRelay(t, down.New(), up.New())
	r.run(in)
	if len(r.seen) != 1 || r.seen[0] != errCRC.Text {
		t.Errorf("%q", r.seen)
	}
	if got := take(r.out); !bytes.Equal(got, withID(in, 1)[:len(in)-4]) {
		t.Errorf("%d bytes of %d are handed on", len(got), len(in))
	}
	if r.to.WriteReset(r.out, r.ids[1<<32|3], sdk.ResetRemote) {
		t.Error("the server's connection could be kept")
	}
}

func TestHeartbeat(t *testing.T) {
	_, up := ends(t, Limits{})
	c := up.New()
	out := buffer()
	var ids [2][]byte
	for i := range ids {
		c.(sdk.Heartbeater).WriteHeartbeat(out)
		p := take(out)
		var f fixed
		if err := f.parse(p); err != nil || f.cmd != cmdHeartbeat || f.kind != typeRequest || f.timeout != -1 || len(p) != 22 {
			t.Fatalf("%x: %v", p, err)
		}
		ids[i] = msg{cmd: cmdHeartbeat, id: f.id, serial: 1}.bytes()
	}
	for i, want := range []sdk.EventKind{sdk.EventDropped, sdk.EventHeartbeat, sdk.EventDropped} {
		ev := sdk.Event{Msg: new(sdk.Message)}
		if _, err := c.Decode(ids[min(i, 1)], &ev); err != nil || ev.Kind != want {
			t.Errorf("answer %d: %v, %v", i, ev.Kind, err)
		}
	}
}

// TestGoAway: no client but MOSN's bears to be told (see WriteGoAway), and what was
// on its way when we decided to go is still served.
func TestGoAway(t *testing.T) {
	down, up := ends(t, Limits{})
	for _, c := range []sdk.CodecConn{down.New(), up.New()} {
		out := buffer()
		if !c.Reusable() {
			t.Error("a new connection takes no streams")
		}
		c.WriteGoAway(out)
		if !out.Empty() || c.Reusable() || c.(sdk.Talker).Pending() {
			t.Error("go away is written, or has no effect")
		}
	}
	c := down.New()
	c.WriteGoAway(buffer())
	if asks(t, c, 5) == 0 {
		t.Error("a request after go-away is not taken")
	}
}

// TestSniff: at most 6 bytes decide.
func TestSniff(t *testing.T) {
	match := Codec(Limits{}).Match
	for _, frame := range captured(t) {
		var f fixed
		_ = f.parse(frame)
		if f.kind == typeResponse {
			continue
		}
		for n := range 16 {
			want := sdk.Matched
			if n < 5 || f.v2 && n < 6 {
				want = sdk.NeedMore
			}
			if got := match(frame[:n]); got != want {
				t.Errorf("%x: %v", frame[:n], got)
			}
		}
	}
	for _, s := range []string{"GET / ", "\x16\x03\x01\x02\x00\x01", "\x03", "\x02\x03", "\x01\x00\x00", "\x01\x01\x01", "\x01\x01\x00\x02", "\x01\x01\x00\x01\x02", "\xda\xbb"} {
		if got := match([]byte(s)); got != sdk.NoMatch {
			t.Errorf("%q: %v", s, got)
		}
	}
}
