package framecodec

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// request returns a decoded request for a writer to write.
func request(tb testing.TB, down sdk.CodecConfig, f frame) *sdk.Message {
	tb.Helper()
	ev, _ := next(tb, down.New(), f.bytes())
	if ev.Kind != sdk.EventHeaders {
		tb.Fatal(ev.Kind)
	}
	return ev.Msg
}

func write(tb testing.TB, c sdk.CodecConn, out *sdk.Buffer, id uint64, m *sdk.Message, end bool) {
	tb.Helper()
	if err := c.WriteHeaders(out, id, m, end); err != nil {
		tb.Fatal(err)
	}
}

// TestTimeout: what is left of it goes on, and nothing else that is edited.
func TestTimeout(t *testing.T) {
	kept := tp()
	kept.SetTimeout = nil
	for _, c := range []struct {
		name string
		p    Protocol
		left time.Duration
		want uint32
	}{{"as it was", tp(), 3 * time.Second, 3000}, {"less", tp(), 1500*time.Millisecond + 1, 1501}, {"spent", tp(), 1, 1}, {"none", tp(), 0, 3000}, {"no place", kept, time.Second, 3000}} {
		down, up := ends(t, c.p)
		in := call(7, "", "k", "v")
		m := request(t, down, in)
		m.Set("k", "edited")
		m.Add("other", "1")
		m.Set(":path", "/elsewhere")
		m.Timeout = c.left
		u, out := up.New(), buffer()
		for range 2 { // a retry writes the message again
			id := u.NewStream()
			write(t, u, out, id, m, true)
			in.id, in.timeout = uint64(inner(u).lastID), c.want
			if got := take(out); !bytes.Equal(got, in.bytes()) {
				t.Errorf("%s:\n%q\nwant\n%q", c.name, got, in.bytes())
			}
		}
	}
}

// TestTurns: frames do not mix. Heads that come while another frame is being written
// wait, and so do heartbeats, which get their turn between any two.
func TestTurns(t *testing.T) {
	down, up := ends(t, tp())
	c, out := up.New(), buffer()
	ids := []uint64{c.NewStream(), c.NewStream(), c.NewStream(), c.NewStream(), c.NewStream()}
	write(t, c, out, ids[0], request(t, down, call(7, "first")), false)
	if c.WriteData(out, ids[0], []byte("fi"), false) != 2 || c.Reusable() {
		t.Fatal("not taken, or further requests are welcome behind half of one")
	}
	write(t, c, out, ids[1], request(t, down, call(7, "")), true)
	write(t, c, out, ids[3], request(t, down, call(7, "4")), false)
	write(t, c, out, ids[2], request(t, down, call(7, "third")), false)
	c.(sdk.Heartbeater).WriteHeartbeat(out)
	if c.(sdk.Talker).Pending() || c.WriteData(out, ids[2], []byte("th"), false) != 0 {
		t.Fatal("something is written into another frame")
	}
	if c.WriteReset(out, ids[0], sdk.ResetLocal) || !c.WriteReset(out, ids[3], sdk.ResetLocal) {
		t.Fatal("a half-written frame is given up, or one that waits is not")
	}
	if c.WriteData(out, ids[0], []byte("rst too much"), true) != 12 {
		t.Fatal("not taken")
	}
	if ev, _ := next(t, c, nil); ev.Kind != sdk.EventWindow || ev.Stream != ids[2] {
		t.Fatalf("no window: %+v", ev)
	}
	if c.WriteData(out, ids[2], []byte("third"), true) != 5 || c.(sdk.Talker).Pending() {
		t.Fatal("not taken, or something is left")
	}
	if !c.Reusable() {
		t.Error("no further requests are welcome")
	}
	write(t, c, out, ids[4], request(t, down, call(7, "")), true)
	want := join(call(1, "first"), frame{kind: Heartbeat, id: 6}, call(2, ""), call(3, "third"), call(5, ""))
	if got := take(out); !bytes.Equal(got, want) {
		t.Errorf("written\n%q\nwant\n%q", got, want)
	}
}

// ask reads a request and returns its stream.
func ask(tb testing.TB, c sdk.CodecConn, f frame) uint64 {
	tb.Helper()
	ev, _ := next(tb, c, f.bytes())
	return ev.Stream
}

// TestReplies: what a client is told when the answer is not a server's.
func TestReplies(t *testing.T) {
	down, _ := ends(t, tp())
	c, out := down.New(), buffer()
	told := func(status uint32, text string) {
		t.Helper()
		want := frame{kind: Response, mark: byte(status / 10), id: 9, timeout: 7<<16 | status, content: text}
		if got := take(out); !bytes.Equal(got, want.bytes()) {
			t.Errorf("%d %s: %q", status, text, got)
		}
	}
	id := ask(t, c, call(9, ""))
	var m sdk.Message
	m.SetStatus(100)
	write(t, c, out, id, &m, false)
	m.SetStatus(404)
	m.Text = "no route"
	write(t, c, out, id, &m, false)
	if n := c.WriteData(out, id, []byte("<html>"), true); n != 6 {
		t.Fatal(n)
	}
	told(404, "no route")
	for reason, status := range map[sdk.ResetReason]uint32{
		sdk.ResetOverflow: 503, sdk.ResetConnLost: 503, sdk.ResetConnTimeout: 504, sdk.ResetProtocol: 502, sdk.ResetLocal: 500,
	} {
		id := ask(t, c, call(9, "")) // the id can be used again
		for range 2 {                // the second time there is nothing to give up
			if !c.WriteReset(out, id, reason) {
				t.Fatal("only the connection's end can tell it")
			}
		}
		told(status, reason.String())
	}
	for _, reply := range []func([]byte, Asked, int, string) []byte{nil, func(dst []byte, _ Asked, _ int, _ string) []byte { return dst }} {
		p := tp()
		p.Reply = reply
		down, _ := ends(t, p)
		c := down.New()
		id := ask(t, c, call(9, ""))
		if err := c.WriteHeaders(out, id, &m, true); err == nil || c.WriteReset(out, id, sdk.ResetLocal) || !out.Empty() {
			t.Errorf("without a reply: %v", err)
		}
	}
}

// TestLateAnswer: an id that is short is not used again before the response to the
// request that was given up has come; when many have not, the connection has had its
// time.
func TestLateAnswer(t *testing.T) {
	p := tp()
	p.IDBits = 8
	down, up := ends(t, p)
	c, out := up.New(), buffer()
	m := request(t, down, call(7, ""))
	given := c.NewStream()
	write(t, c, out, given, m, true)
	if !c.WriteReset(out, given, sdk.ResetLocal) {
		t.Fatal("not given up")
	}
	for range 1000 {
		id := c.NewStream()
		write(t, c, out, id, m, true)
		wire := inner(c).lastID & 0xff
		if wire == 1 || wire == 0 {
			t.Fatalf("the id %d is used while its answer is on its way", wire)
		}
		if ev, _ := next(t, c, answer(wire, "").bytes()); ev.Kind != sdk.EventHeaders || ev.Stream != id {
			t.Fatalf("%+v", ev)
		}
	}
	if ev, _ := next(t, c, answer(1, "").bytes()); ev.Kind != sdk.EventDropped || inner(c).table.used != 0 {
		t.Fatalf("the late answer: %+v", ev)
	}
	out.Release()
	for i := 0; c.Reusable(); i++ {
		if i > 127 {
			t.Fatal("there is no end to requests without an answer")
		}
		id := c.NewStream()
		write(t, c, out, id, m, true)
		c.WriteReset(out, id, sdk.ResetLocal)
	}
	if ev, _ := next(t, c, nil); ev.Kind != sdk.EventGoAway || c.(sdk.Talker).Pending() {
		t.Errorf("nobody hears of it: %+v", ev)
	}
}

// TestFullConnection: no more requests than ids, or than the limit.
func TestFullConnection(t *testing.T) {
	for _, p := range []Protocol{{IDBits: 8}, {Limits: Limits{Streams: 127}}} {
		q := tp()
		q.IDBits, q.Limits = p.IDBits, p.Limits
		_, up := ends(t, q)
		c := up.New()
		n := 0
		for ; c.Reusable(); n++ {
			if c.NewStream() == 0 {
				t.Fatal("no stream, although it is reusable")
			}
		}
		if n != 127 || c.NewStream() != 0 {
			t.Errorf("%d requests are open", n)
		}
	}
}

// TestSerial: one exchange at a time, given up only with the connection.
func TestSerial(t *testing.T) {
	down, up := ends(t, serialTP())
	c, out := up.New(), buffer()
	if _, ok := c.(sdk.Heartbeater); ok {
		t.Error("it has heartbeats")
	}
	id := c.NewStream()
	if c.Reusable() || c.NewStream() != 0 {
		t.Error("two requests at a time")
	}
	write(t, c, out, id, request(t, down, call(77, "")), true)
	if got := take(out); !bytes.Equal(got, call(77, "").bytes()) {
		t.Errorf("%q", got)
	}
	if c.WriteReset(out, id, sdk.ResetLocal) {
		t.Error("it can be given up")
	}
	if ev, _ := next(t, c, answer(78, "x").bytes()); ev.Kind != sdk.EventHeaders || ev.Stream != id || c.Reusable() {
		t.Errorf("%+v", ev)
	}
	if ev, _ := next(t, c, []byte("x")); !ev.End || !c.Reusable() {
		t.Errorf("%+v", ev)
	}
	d := down.New()
	id = ask(t, d, call(77, ""))
	next(t, d, frame{kind: Heartbeat, id: 78}.bytes())
	if d.Reusable() || !d.WriteReset(out, id, sdk.ResetConnTimeout) || !d.Reusable() {
		t.Error("a client cannot be told")
	}
	want := join(frame{kind: HeartbeatReply, id: 78}, frame{kind: Response, mark: 50, id: 77, timeout: 7<<16 | 504, content: "connection timeout"})
	if got := take(out); !bytes.Equal(got, want) {
		t.Errorf("a client reads %q", got)
	}
}

// TestWritingRefused: what must not be written is not begun.
func TestWritingRefused(t *testing.T) {
	p := tp()
	p.Limits.Queue = 100
	down, up := ends(t, p)
	get := func() *sdk.Message { return request(t, down, call(1, "body")) }
	foreign, longer := new(sdk.Message), get()
	foreign.SetStatus(200)
	longer.SetInt(sdk.HeaderContentLength, 5)
	for _, c := range []struct {
		m    *sdk.Message
		end  bool
		want string
	}{{foreign, true, "tp.foreign"}, {get(), true, "tp.length"}, {longer, false, "tp.length"}} {
		k, out := up.New(), buffer()
		if err := k.WriteHeaders(out, k.NewStream(), c.m, c.end); fmt.Sprint(details(err)) != c.want || !out.Empty() {
			t.Errorf("%v, want %v; %d bytes", err, c.want, out.Len())
		}
	}
	k, out := down.New(), buffer()
	if err := k.WriteHeaders(out, ask(t, k, call(1, "")), get(), false); details(err) != "tp.foreign" {
		t.Errorf("a request for an answer: %v", err)
	}
	k = up.New()
	first, second, third := k.NewStream(), k.NewStream(), k.NewStream()
	for _, c := range []struct {
		id   uint64
		want string
	}{{first, ""}, {first, "tp.order"}, {99, "tp.order"}, {0, "tp.order"}, {second, ""}, {second, "tp.order"}, {third, ""}} {
		if err := k.WriteHeaders(out, c.id, get(), false); details(err) != c.want {
			t.Errorf("stream %d: %v, want %v", c.id, err, c.want)
		}
	}
	if err := k.WriteHeaders(out, k.NewStream(), get(), false); details(err) != "tp.queue" {
		t.Errorf("a full queue: %v", err)
	}
	k.WriteData(out, first, []byte("bo"), false)
	k.Consumed(out, first, 2)
	k.WriteTrailers(out, first, nil)
	ev := sdk.Event{Msg: new(sdk.Message)}
	if _, err := k.Decode(nil, &ev); details(err) != "tp.body_length" || k.Reusable() || k.(sdk.Talker).Pending() {
		t.Errorf("a body that ends early: %v", err)
	}
}

func details(err error) string {
	if ce, ok := err.(*sdk.CodecError); ok {
		return ce.Details
	}
	return ""
}

// TestHeartbeatsDuringALongFrame cost bounded memory.
func TestHeartbeatsDuringALongFrame(t *testing.T) {
	down, up := ends(t, tp())
	k, out := up.New(), buffer()
	write(t, k, out, k.NewStream(), request(t, down, call(1, "body")), false)
	beat := bytes.Repeat(frame{kind: Heartbeat, id: 4}.bytes(), 1000)
	for range 50 {
		next(t, k, beat)
	}
	if said := len(inner(k).said); said < maxSaid || said > maxSaid+fixedPart {
		t.Errorf("%d bytes are kept", said)
	}
}

// TestEarlyAnswer: once a request is answered, the rest of it goes nowhere.
func TestEarlyAnswer(t *testing.T) {
	down, _ := ends(t, tp())
	k, out := down.New(), buffer()
	in := join(call(1, "a long body"), call(2, ""))
	ev, n := next(t, k, in)
	var m sdk.Message
	m.SetStatus(404)
	write(t, k, out, ev.Stream, &m, true)
	if ev, _ := next(t, k, in[n:]); ev.Kind != sdk.EventHeaders || ev.Msg.Frame[11] != 2 {
		t.Errorf("%+v", ev)
	}
}

// TestQueue holds the queue against a list.
func TestQueue(t *testing.T) {
	var q queue
	var want []string
	for i := range 5000 {
		head := strings.Repeat(fmt.Sprint(i%10), 1+i%50)
		q.push(outgoing{stream: uint64(i + 1), active: true}, []byte(head))
		want = append(want, head)
		if i%7 == 0 {
			q.drop(uint64(i + 1))
			want = want[:len(want)-1]
		}
		for range (i / 100) % 3 {
			w, head, ok := q.pop()
			if ok != (len(want) > 0) {
				t.Fatal("step", i, ok, len(want))
			}
			if ok {
				if string(head) != want[0] || !w.active {
					t.Fatalf("step %d: %q, want %q", i, head, want[0])
				}
				want = want[1:]
			}
		}
	}
	for range want {
		q.pop()
	}
	if _, _, ok := q.pop(); ok || q.size() != 0 || cap(q.bytes) > 16<<10 {
		t.Errorf("%d bytes are left, %d kept", q.size(), cap(q.bytes))
	}
}

// TestProtocolsThatDoNotFit are told of at once.
func TestProtocolsThatDoNotFit(t *testing.T) {
	for want, mutate := range map[string]func(*Protocol){
		"no Name": func(p *Protocol) { p.Name = "" }, "Level above": func(p *Protocol) { p.Level = sdk.Heavy },
		"no Match, Cut or Read": func(p *Protocol) { p.Cut = nil }, "no SetID": func(p *Protocol) { p.SetID = nil },
		"SetID or Heartbeat": func(p *Protocol) { p.Mode = sdk.Serial }, "IDBits": func(p *Protocol) { p.IDBits = 65 },
		"Streams": func(p *Protocol) { p.Limits.Streams = 1 << 21 }, "frames over": func(p *Protocol) { p.Limits.Frame = 1 << 31 },
	} {
		func() {
			defer func() {
				if r := fmt.Sprint(recover()); !strings.Contains(r, want) {
					t.Errorf("want %q, got %q", want, r)
				}
			}()
			p := tp()
			mutate(&p)
			New(p)
		}()
	}
}
