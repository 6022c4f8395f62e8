package bolt

import (
	"bytes"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/hessian"
)

// replied returns what a request gets when a message that is no server's answers it.
func replied(t *testing.T, ask msg, status int, text string, headers ...string) []byte {
	t.Helper()
	down, _ := ends(t, Limits{})
	k, out := down.New(), buffer()
	ev := sdk.Event{Msg: new(sdk.Message)}
	if _, err := k.Decode(ask.bytes(), &ev); err != nil {
		t.Fatal(err)
	}
	var m sdk.Message
	m.SetStatus(status)
	m.Text = text
	for i := 0; i < len(headers); i += 2 {
		m.Add(headers[i], headers[i+1])
	}
	err := k.WriteHeaders(out, ev.Stream, &m, false)
	if n := k.WriteData(out, ev.Stream, []byte("content goes nowhere"), true); err != nil || n != 20 {
		t.Fatal(err, n)
	}
	got := take(out)
	if err := k.WriteHeaders(out, ev.Stream, &m, true); err != errWriteOrder {
		t.Errorf("a second answer: %v", err)
	}
	return got
}

// asked are requests of the kinds that are answered differently.
func asked(kind string, version int) msg {
	m := call(9, "x")
	switch kind {
	case "Hessian":
		m = hessianCall(sofaBody("a.B:1.0", "m", "x"))
	case "Hessian, its other number":
		m = hessianCall(sofaBody("a.B:1.0", "m", "x"))
		m.serial = serialHessian2
	case "JSON":
		m.serial = serialJSON
	case "MsgPack":
		m.serial = serialMsgPack
	case "bare":
		m.class = "java.lang.String"
	}
	m.id, m.version, m.crc = 9, version, version == 2
	return m
}

// TestStatusReplies: what Bolt's own statuses say, they say for every kind of
// request. The package's documentation has what the Java client makes of them.
func TestStatusReplies(t *testing.T) {
	const any = "Hessian, its other number|Hessian|protobuf|JSON|MsgPack|bare"
	overloaded := []string{"x-envoy-overloaded", "true"}
	for _, c := range []struct {
		kinds   string
		status  int
		headers []string
		want    uint16
	}{
		{any, 504, nil, statusTimeout},
		{any, 408, nil, statusTimeout},
		{any, 429, nil, statusBusy},
		{any, 503, overloaded, statusBusy},
		{any, 503, nil, statusClosed},
		{any, 502, nil, statusClosed},
		{any, 503, []string{"x-rpc-status", "0"}, statusClosed},
		{any, 403, []string{"x-rpc-status", "2"}, statusException},
		{"bare|MsgPack", 404, nil, statusNoProcessor},
		{"bare|MsgPack", 404, []string{"x-rpc-status", "1x"}, statusNoProcessor},
		{"bare|MsgPack", 403, nil, statusUnknown},
		{"bare|MsgPack", 500, nil, statusUnknown},
		{"bare|MsgPack", 302, nil, statusUnknown},
		{"bare|MsgPack", 200, nil, statusOK},
	} {
		for kind := range strings.SplitSeq(c.kinds, "|") {
			for version := range 3 {
				ask := asked(kind, version)
				want := msg{version: min(version, 1), cmd: cmdResponse, id: 9, serial: ask.serial, status: c.want}
				if got := replied(t, ask, c.status, "text", c.headers...); !bytes.Equal(got, want.bytes()) {
					t.Errorf("%s, %d %q: %x, want %x", kind, c.status, c.headers, got, want.bytes())
				}
			}
		}
	}
}

// TestTextReplies: other errors and results are a SofaResponse in the request's
// serialization. The Java client has read each of these: an error is a
// SofaRpcException with the text as its message.
func TestTextReplies(t *testing.T) {
	const (
		prefix    = "O\xbe" + hessian.SofaResponseClass + "\x94\x07isError\x08errorMsg\x0bappResponse\x0dresponsePropso\x90"
		emoji     = "gr\u00fcn \U0001f600"
		emojiJava = "\x07gr\u00fcn \xed\xa0\xbd\xed\xb8\x80"
	)
	failed := []string{headerFailed, "true"}
	for _, c := range []struct {
		kind    string
		status  int
		text    string
		headers []string
		content string
	}{
		{"Hessian", 404, "no route", failed, prefix + "T\x08no routeNN"},
		{"Hessian", 403, emoji, failed, prefix + "T" + emojiJava + "NN"},
		{"Hessian", 500, "", failed, prefix + "T\x0astatus 500NN"},
		{"Hessian", 400, "no", failed, prefix + "T\x02noNN"},
		{"Hessian", 302, "no", failed, prefix + "T\x02noNN"},
		{"Hessian", 200, emoji, nil, prefix + "FN" + emojiJava + "N"},
		{"Hessian", 204, "", nil, prefix + "FN\x00N"},
		{"Hessian, its other number", 404, "no", failed, prefix + "T\x02noNN"},
		{"protobuf", 404, emoji, failed, emoji},
		{"protobuf", 200, "\x0a\x01x", nil, "\x0a\x01x"},
		{"JSON", 403, "no \"route\"\x01", failed, `"no \"route\"\u0001"`},
		{"JSON", 201, `{"a": 1}`, nil, `{"a": 1}`},
		{"protobuf", 404, strings.Repeat("x", maxErrorText-1) + "\u00fc", failed, strings.Repeat("x", maxErrorText-1)},
		{"protobuf", 200, strings.Repeat("x", 2*maxErrorText), nil, strings.Repeat("x", 2*maxErrorText)},
	} {
		for version := range 3 {
			ask := asked(c.kind, version)
			want := msg{
				version: min(version, 1), cmd: cmdResponse, id: 9, serial: ask.serial,
				class: hessian.SofaResponseClass, headers: c.headers, content: c.content,
			}
			if got := replied(t, ask, c.status, c.text); !bytes.Equal(got, want.bytes()) {
				t.Errorf("%s, %d:\n%q\nwant\n%q", c.kind, c.status, got, want.bytes())
			}
		}
	}
}

// TestReplyWaits: an answer of ours does not get into a frame that is being written,
// and what waits is bounded.
func TestReplyWaits(t *testing.T) {
	down, up := ends(t, Limits{Queue: 300})
	k, c, out := down.New(), up.New(), buffer()
	server := c.NewStream()
	c.(*conn).find(server).begun = true
	first, second, third := asks(t, k, 1), asks(t, k, 2), asks(t, k, 3)
	if err := k.WriteHeaders(out, first, head(t, c, answer(uint32(server), "long")), false); err != nil {
		t.Fatal(err)
	}
	var m sdk.Message
	m.SetStatus(404)
	m.Text = "no route"
	if err := k.WriteHeaders(out, second, &m, true); err != nil {
		t.Fatal(err)
	}
	m.Text = strings.Repeat("x", 300)
	if err := k.WriteHeaders(out, third, &m, true); err != errQueue {
		t.Errorf("a queue without bounds: %v", err)
	}
	k.WriteData(out, first, []byte("long"), true)
	second404 := msg{
		cmd: cmdResponse, id: 2, serial: serialProtobuf, class: hessian.SofaResponseClass,
		headers: []string{headerFailed, "true"}, content: "no route",
	}
	if got, want := take(out), join(answer(1, "long"), second404); !bytes.Equal(got, want) {
		t.Errorf("%q\nwant\n%q", got, want)
	}
}
