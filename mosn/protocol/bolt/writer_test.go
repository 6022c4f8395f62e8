package bolt

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/hessian"
)

// TestEdits: what is done to the view is spliced into the header map; the rest
// keeps its bytes, hidden and odd entries too.
func TestEdits(t *testing.T) {
	in := call(7, "body", "App", "x", "x-envoy-hidden", "1", "NULL", "\xff", "crlf", "a\r\nb", "last", "z")
	base := in.headers[:4:4]
	for _, c := range []struct {
		name    string
		edit    func(*sdk.Message)
		headers []string // after the first two
		timeout int32
		content string
	}{
		{"nothing", func(*sdk.Message) {}, in.headers[4:], 3000, "body"},
		{"of no effect", func(m *sdk.Message) {
			m.Set(":path", "/other")
			m.Add("x-request-id", "1")
			m.Add("x-forwarded-proto", "http")
			m.Add("x-envoy-attempt-count", "1")
			m.SetID(sdk.HeaderAuthority, "other")
		}, in.headers[4:], 3000, "body"},
		{"added", func(m *sdk.Message) { m.Add("traceparent", "00"); m.Add("k", "") },
			append(in.headers[4:len(in.headers):len(in.headers)], "traceparent", "00", "k", ""), 3000, "body"},
		{"replaced", func(m *sdk.Message) { m.Set("app", "longer than it was") },
			append([]string{"App", "longer than it was"}, in.headers[6:]...), 3000, "body"},
		{"removed", func(m *sdk.Message) { m.Remove("app"); m.Remove("crlf") },
			[]string{"x-envoy-hidden", "1", "NULL", "\xff", "last", "z"}, 3000, "body"},
		{"removed and added", func(m *sdk.Message) { m.Remove("app"); m.Add("app", "y") },
			append(in.headers[6:len(in.headers):len(in.headers)], "app", "y"), 3000, "body"},
		{"hidden ones cannot be removed", func(m *sdk.Message) { m.Remove("x-envoy-hidden") }, in.headers[4:], 3000, "body"},
		{"timeout", func(m *sdk.Message) { m.Timeout = 1500*time.Millisecond + 1 }, in.headers[4:], 1501, "body"},
		{"spent timeout", func(m *sdk.Message) { m.Timeout = 1 }, in.headers[4:], 1, "body"},
		{"no timeout", func(m *sdk.Message) { m.Timeout = 0 }, in.headers[4:], 3000, "body"},
		{"shorter body", func(m *sdk.Message) { m.SetInt(sdk.HeaderContentLength, 2) }, in.headers[4:], 3000, "bo"},
	} {
		for version := range 3 {
			in.version, in.crc = version, version == 2
			want := in
			want.id, want.timeout, want.content = 1, c.timeout, c.content
			want.headers = append(base, c.headers...)
			down, up := ends(t, Limits{})
			r := newRelay(t, down.New(), up.New())
			r.edit = c.edit
			r.run(in.bytes())
			if got := take(r.out); !bytes.Equal(got, want.bytes()) {
				t.Errorf("%s, version %d:\n%q\nwant\n%q", c.name, version, got, want.bytes())
			}
		}
	}
}

// head returns a decoded message for a writer to write.
func head(t *testing.T, codec sdk.CodecConn, m msg) *sdk.Message {
	t.Helper()
	ev := sdk.Event{Msg: new(sdk.Message)}
	if _, err := codec.Decode(m.bytes(), &ev); err != nil || ev.Kind != sdk.EventHeaders {
		t.Fatal(err, ev.Kind)
	}
	return ev.Msg
}

// TestTurns: frames do not mix. Heads that come while another frame is being
// written wait, and so do heartbeats.
func TestTurns(t *testing.T) {
	down, up := ends(t, Limits{})
	c, out := up.New(), buffer()
	request := func(id uint32, content string) *sdk.Message { return head(t, down.New(), call(id, content)) }
	write := func(id uint64, m *sdk.Message, end bool) {
		t.Helper()
		if err := c.WriteHeaders(out, id, m, end); err != nil {
			t.Fatal(err)
		}
	}
	ids := []uint64{c.NewStream(), c.NewStream(), c.NewStream(), c.NewStream()}
	write(ids[0], request(7, "first"), false)
	if c.WriteData(out, ids[0], []byte("fi"), false) != 2 {
		t.Fatal("not taken")
	}
	write(ids[1], request(7, ""), true)
	write(ids[2], request(7, "third"), false)
	write(ids[3], request(7, "4"), false)
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
	ev := sdk.Event{Msg: new(sdk.Message)}
	if _, err := c.Decode(nil, &ev); err != nil || ev.Kind != sdk.EventWindow || ev.Stream != ids[2] {
		t.Fatalf("no window: %+v", ev)
	}
	if c.WriteData(out, ids[2], []byte("third"), true) != 5 || !c.(sdk.Talker).Pending() {
		t.Fatal("not taken, or nothing to say")
	}
	c.(sdk.Talker).Flush(out)
	want := join(call(1, "first"), call(2, ""), call(3, "third"), msg{kind: typeRequest, id: 5, serial: 1, timeout: -1})
	if got := take(out); !bytes.Equal(got, want) {
		t.Errorf("written\n%q\nwant\n%q", got, want)
	}
}

// TestStatuses: an error of the server's, as rules for HTTP see it.
func TestStatuses(t *testing.T) {
	for status, want := range map[uint16]int{
		0: 200, 1: 500, 2: 500, 3: 500, 4: 503, 5: 502, 6: 404, 7: 504, 8: 502, 9: 500, 16: 503, 17: 500, 18: 400, 999: 500,
	} {
		if got := httpStatus(status, false); got != want {
			t.Errorf("%d is %d, want %d", status, got, want)
		}
	}
	if httpStatus(0, true) != 500 || httpStatus(4, true) != 503 {
		t.Error("an application error is not seen, or hides another")
	}
}

// TestGivenUp: a client hears of it at once; a server's late answer is dropped.
func TestGivenUp(t *testing.T) {
	down, up := ends(t, Limits{})
	for reason, want := range map[sdk.ResetReason]msg{
		sdk.ResetOverflow: {status: statusBusy}, sdk.ResetConnLost: {status: statusClosed}, sdk.ResetConnTimeout: {status: statusTimeout},
		sdk.ResetProtocol: {status: statusErrorComm},
		sdk.ResetLocal:    {class: hessian.SofaResponseClass, headers: []string{headerFailed, "true"}, content: "local reset"},
	} {
		want.cmd, want.id, want.serial = cmdResponse, 9, serialProtobuf
		k, out := down.New(), buffer()
		id := asks(t, k, 9)
		for range 2 { // the second time there is nothing to give up
			if !k.WriteReset(out, id, reason) {
				t.Fatal("only the connection's end can tell it")
			}
		}
		if got := take(out); !bytes.Equal(got, want.bytes()) {
			t.Errorf("%v: %x", reason, got)
		}
		if id := asks(t, k, 9); id == 0 {
			t.Error("the id cannot be used again")
		}
	}
	c, out := up.New(), buffer()
	id := c.NewStream()
	if err := c.WriteHeaders(out, id, head(t, down.New(), call(1, "")), true); err != nil {
		t.Fatal(err)
	}
	late := answer(1, "x").bytes()
	ev := sdk.Event{Msg: new(sdk.Message)}
	if n, err := c.Decode(late[:20], &ev); n != 0 || err != nil || !c.WriteReset(out, id, sdk.ResetLocal) {
		t.Fatal(n, err)
	}
	if n, err := c.Decode(late, &ev); ev.Kind != sdk.EventDropped || err != nil || n == 0 {
		t.Errorf("the late answer: %+v, %v", ev, err)
	}
}

// TestWritingRefused: what must not be written is not begun.
func TestWritingRefused(t *testing.T) {
	down, up := ends(t, Limits{Queue: 200})
	request := func() *sdk.Message { return head(t, down.New(), call(1, "body")) }
	foreign := new(sdk.Message)
	foreign.SetStatus(200)
	noLength, longMap, badLength, huge := request(), request(), request(), request()
	noLength.RemoveID(sdk.HeaderContentLength)
	longMap.Add("k", strings.Repeat("v", 1<<16))
	badLength.SetID(sdk.HeaderContentLength, "4x")
	huge.SetID(sdk.HeaderContentLength, "99999999999999999999")
	for _, c := range []struct {
		m    *sdk.Message
		end  bool
		want error
	}{
		{foreign, true, errForeign}, {noLength, false, errWriteLength}, {badLength, false, errWriteLength}, {huge, false, errWriteLength},
		{request(), true, errWriteLength}, {longMap, false, errWriteMap},
	} {
		k, out := up.New(), buffer()
		if err := k.WriteHeaders(out, k.NewStream(), c.m, c.end); err != c.want || !out.Empty() {
			t.Errorf("%v, want %v; %d bytes", err, c.want, out.Len())
		}
	}
	k, out := up.New(), buffer()
	first, second, third := k.NewStream(), k.NewStream(), k.NewStream()
	for _, c := range []struct {
		id   uint64
		want error
	}{{first, nil}, {first, errWriteOrder}, {99, errWriteOrder}, {second, nil}, {second, errWriteOrder}, {third, errQueue}} {
		if err := k.WriteHeaders(out, c.id, request(), false); err != c.want {
			t.Errorf("stream %d: %v, want %v", c.id, err, c.want)
		}
	}
	k.WriteData(out, first, []byte("bo"), false)
	k.Consumed(out, first, 2)
	k.WriteTrailers(out, first, nil)
	ev := sdk.Event{Msg: new(sdk.Message)}
	if _, err := k.Decode(nil, &ev); err != errShortBody || k.Reusable() || k.(sdk.Talker).Pending() {
		t.Errorf("a body that ends early: %v", err)
	}
}

// TestEarlyAnswer: once a request is answered, the rest of it goes nowhere.
func TestEarlyAnswer(t *testing.T) {
	down, _ := ends(t, Limits{LookAhead: 1})
	k, out := down.New(), buffer()
	in := join(call(1, "a long body"), call(2, ""))
	ev := sdk.Event{Msg: new(sdk.Message)}
	n, err := k.Decode(in[:len(in)/3], &ev)
	if err != nil || n != 0 {
		t.Fatal(n, err)
	}
	if n, err = k.Decode(in, &ev); err != nil || ev.Kind != sdk.EventHeaders {
		t.Fatal(n, err)
	}
	var m sdk.Message
	m.SetStatus(404)
	if err := k.WriteHeaders(out, ev.Stream, &m, true); err != nil {
		t.Fatal(err)
	}
	if _, err = k.Decode(in[n:], &ev); err != nil || ev.Kind != sdk.EventHeaders || uint32(ev.Stream) != 2 {
		t.Errorf("%+v, %v", ev, err)
	}
}
