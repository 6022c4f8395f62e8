package desk

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/codectest"
)

// frame makes a frame of the protocol.
func frame(version, kind byte, number uint32, body string, texts ...string) []byte {
	var block []byte
	for _, s := range texts {
		block = appendText(block, s)
	}
	return append(append(appendHead(nil, version, kind, 0, number, len(block), len(body)), block...), body...)
}

func frames(version byte) codectest.Frames {
	request := []string{"com.acme.Orders", "Place"}
	if version == 2 {
		request = append(request, "blue")
	}
	request = append(request, "Trace", "1234", "user", "ann")
	return codectest.Frames{
		Codec:          Codec(),
		Request:        frame(version, kindRequest, 3000, "two tables", request...),
		Response:       frame(version, kindResponse, statusOK, "thank you", "cost", "12"),
		OneWay:         frame(version, kindOneWay, 0, "never mind", request...),
		Heartbeat:      frame(version, kindPing, 0, ""),
		HeartbeatReply: frame(version, kindPong, 0, ""),
		GoAway:         frame(version, kindBye, 0, ""),
		ID:             idOf,
		SetID:          setID,
		SetLength:      func(frame []byte, n uint32) { binary.BigEndian.PutUint32(frame[18:], n) },
	}
}

func TestConformance(t *testing.T) {
	for version := byte(1); version <= 2; version++ {
		codectest.Conformance(t, frames(version))
	}
}

// TestView: what routes and logs see.
func TestView(t *testing.T) {
	for _, c := range []struct {
		frame []byte
		want  string // of the transcript
	}{
		{frames(1).Request, `timeout=3s :method="POST" :authority="com.acme.orders" :path="/com.acme.Orders/Place" trace="1234" user="ann"`},
		{frames(2).Request, `:authority="g-blue.com.acme.orders" :path="/com.acme.Orders/Place" trace="1234"`},
		{frame(1, kindRequest, 0, "", "a b", "m"), "refused"},
		{frame(1, kindRequest, 0, "", "s"), "refused"},
		{frame(1, kindRequest, 0, "", "s", "m", ":path", "/evil", "x", "a\r\nb"), `:path="/s/m" x="a??b"`},
	} {
		if got := frames(1).Clients(t).Read(t, c.frame); !strings.Contains(got, c.want) {
			t.Errorf("%q is shown as\n%s", c.frame, got)
		}
	}
	servers, ids := frames(1).Servers(t, 1)
	for status, want := range []string{statusOK: `:status="200"`, statusFailed: `"500"`, statusUnknown: `"404"`, statusBusy: `"503"`, statusTimeout: `"504"`} {
		p := frame(1, kindResponse, uint32(status), "")
		setID(p, ids[0])
		if got := servers.Read(t, p); !strings.Contains(got, want) {
			t.Errorf("status %d is shown as\n%s", status, got)
		}
	}
}

// TestReply: what a caller is told when the proxy answers itself.
func TestReply(t *testing.T) {
	cfg, err := Codec().Compile(nil, sdk.Downstream, sdk.CodecOptions{})
	if err != nil {
		t.Fatal(err)
	}
	failed := func(status uint32) []byte { return frame(2, kindResponse, status, "", errorName, "because") }
	for status, want := range map[int][]byte{
		404: failed(statusUnknown), 429: failed(statusBusy), 503: failed(statusBusy), 408: failed(statusTimeout), 504: failed(statusTimeout),
		403: failed(statusFailed), 200: frame(2, kindResponse, statusOK, "because"),
	} {
		conn, ev := cfg.New(), sdk.Event{Msg: new(sdk.Message)}
		if _, err := conn.Decode(frames(2).Request, &ev); err != nil {
			t.Fatal(err)
		}
		var out sdk.Buffer
		out.Init(sdk.NewBufferPool(1))
		m := sdk.Message{Text: "because"}
		m.SetStatus(status)
		if err := conn.WriteHeaders(&out, ev.Stream, &m, true); err != nil {
			t.Fatal(err)
		}
		if got := out.Bytes(nil); string(got) != string(want) {
			t.Errorf("for %d: %q", status, got)
		}
	}
}

func TestTimeout(t *testing.T) {
	p := frame(1, kindRequest, 3000, "")
	for left, want := range map[time.Duration]uint32{1: 1, time.Second: 1000, 1500*time.Microsecond + 1: 2, 100 * 24 * time.Hour: 1<<32 - 1} {
		if setTimeout(p, left); binary.BigEndian.Uint32(p[12:]) != want {
			t.Errorf("%v: %d ms", left, binary.BigEndian.Uint32(p[12:]))
		}
	}
}

func FuzzClient(f *testing.F) {
	clients := frames(1).Clients(f)
	for version := byte(1); version <= 2; version++ {
		f.Add(append(frames(version).Heartbeat, frames(version).Request...), uint64(version))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) { clients.Shuffled(t, in, seed) })
}

func FuzzServer(f *testing.F) {
	servers, ids := frames(1).Servers(f, 1)
	response := frames(1).Response
	setID(response, ids[0])
	f.Add(append(response, frames(1).GoAway...), uint64(1))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) { servers.Shuffled(t, in, seed) })
}
