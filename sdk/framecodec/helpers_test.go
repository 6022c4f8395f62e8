package framecodec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/codectest"
)

// The protocol of these tests has everything. A frame is "tp", kind, a byte that is a
// request's mark or a response's status / 10, u64 id, u32 timeout in ms, u16 length of
// the texts, u32 length of the content; then the texts, each ended by a zero byte:
// service, method, group, version, and names and values of headers; then the content.
const fixedPart = 22

type frame struct {
	kind    Kind
	mark    byte
	id      uint64
	timeout uint32
	texts   []string
	content string
}

func (f frame) bytes() []byte {
	var texts []byte
	for _, s := range f.texts {
		texts = append(append(texts, s...), 0)
	}
	p := append([]byte("tp"), byte(f.kind), f.mark)
	p = binary.BigEndian.AppendUint64(p, f.id)
	p = binary.BigEndian.AppendUint32(p, f.timeout)
	p = binary.BigEndian.AppendUint16(p, uint16(len(texts)))
	p = binary.BigEndian.AppendUint32(p, uint32(len(f.content)))
	return append(append(p, texts...), f.content...)
}

func call(id uint64, content string, headers ...string) frame {
	return frame{kind: Request, mark: 7, id: id, timeout: 3000, content: content,
		texts: append([]string{"com.acme.Hello", "sayHi", "", ""}, headers...)}
}

func answer(id uint64, content string, headers ...string) frame {
	return frame{kind: Response, mark: 20, id: id, content: content, texts: append([]string{"", "", "", ""}, headers...)}
}

func join(frames ...frame) (p []byte) {
	for _, f := range frames {
		p = append(p, f.bytes()...)
	}
	return p
}

func tp() Protocol {
	return Protocol{
		Name: "tp", Level: sdk.Medium, Mode: sdk.Multiplexed, IDBits: 64,
		Match: func(p []byte) sdk.Verdict {
			switch n := min(len(p), 2); {
			case string(p[:n]) != "tp"[:n]:
				return sdk.NoMatch
			case len(p) < 3:
				return sdk.NeedMore
			}
			return sdk.Matched
		},
		Cut: func(p []byte) (head, size int, err error) {
			switch {
			case string(p[:min(len(p), 2)]) != "tp"[:min(len(p), 2)]:
				return 0, 0, errors.New("no magic")
			case len(p) < fixedPart:
				return 0, 0, nil
			}
			head = fixedPart + int(binary.BigEndian.Uint16(p[16:]))
			return head, head + int(int32(binary.BigEndian.Uint32(p[18:]))), nil
		},
		Read: readFrame,
		SetID: func(head []byte, id uint64) {
			binary.BigEndian.PutUint64(head[4:], id)
		},
		SetTimeout: func(head []byte, left time.Duration) {
			binary.BigEndian.PutUint32(head[12:], uint32((left+time.Millisecond-1)/time.Millisecond))
		},
		Reply: func(dst []byte, to Asked, status int, text string) []byte {
			return append(dst, frame{kind: Response, mark: byte(status / 10), id: to.ID, timeout: uint32(to.Keep<<16) | uint32(status), content: text}.bytes()...)
		},
		Heartbeat: func(dst []byte, id uint64) []byte {
			return append(dst, frame{kind: Heartbeat, id: id}.bytes()...)
		},
		HeartbeatReply: func(dst, head []byte) []byte {
			n := len(dst)
			dst = append(dst, head...)
			dst[n+2] = byte(HeartbeatReply)
			return dst
		},
		GoAway: func(dst []byte) []byte { return append(dst, frame{kind: GoAway}.bytes()...) },
	}
}

func readFrame(head []byte, f *Frame) error {
	f.Kind, f.ID, f.Keep = Kind(head[2]), binary.BigEndian.Uint64(head[4:]), uint64(head[3])
	f.Timeout = time.Duration(binary.BigEndian.Uint32(head[12:])) * time.Millisecond
	if f.Kind == Response {
		f.Status = int(head[3]) * 10
	}
	rest := head[fixedPart:]
	text := func() (s []byte) {
		s, rest, _ = bytes.Cut(rest, []byte{0})
		return s
	}
	f.Service, f.Method, f.Group, f.Version = text(), text(), text(), text()
	for len(rest) > 0 {
		name := text()
		if string(name) == "refuse" {
			return Refuse("as it wants")
		}
		f.AddHeader(name, text())
	}
	return nil
}

// serialTP is the same without ids.
func serialTP() Protocol {
	p := tp()
	p.Mode, p.SetID, p.Heartbeat = sdk.Serial, nil, nil
	return p
}

func frames(p Protocol) codectest.Frames {
	oneWay := call(0, "one-way")
	oneWay.kind = OneWay
	f := codectest.Frames{
		Codec:   New(p),
		Request: call(0, "body of the request", "App", "x", "trace", "1").bytes(), Response: answer(0, "body", "a", "b").bytes(),
		OneWay: oneWay.bytes(), Heartbeat: frame{kind: Heartbeat}.bytes(), HeartbeatReply: frame{kind: HeartbeatReply}.bytes(),
		GoAway:    frame{kind: GoAway}.bytes(),
		ID:        func(p []byte) uint64 { return binary.BigEndian.Uint64(p[4:]) },
		SetID:     func(p []byte, id uint64) { binary.BigEndian.PutUint64(p[4:], id) },
		SetLength: func(p []byte, n uint32) { binary.BigEndian.PutUint32(p[18:], n) },
	}
	if p.Mode == sdk.Serial {
		f.ID, f.SetID = nil, nil
	}
	return f
}

// ends makes the two sides of one program: they share the codec.
func ends(tb testing.TB, p Protocol) (down, up sdk.CodecConfig) {
	tb.Helper()
	codec := New(p)
	for side, cfg := range map[sdk.Side]*sdk.CodecConfig{sdk.Downstream: &down, sdk.Upstream: &up} {
		var err error
		if *cfg, err = codec.Compile(nil, side, sdk.CodecOptions{}); err != nil {
			tb.Fatal(err)
		}
	}
	return down, up
}

func buffer() *sdk.Buffer {
	b := new(sdk.Buffer)
	b.Init(sdk.NewBufferPool(16))
	return b
}

func take(b *sdk.Buffer) []byte {
	p := b.Bytes(nil)
	b.Release()
	return p
}

// next decodes one event.
func next(tb testing.TB, c sdk.CodecConn, in []byte) (ev sdk.Event, n int) {
	tb.Helper()
	ev.Msg = new(sdk.Message)
	n, err := c.Decode(in, &ev)
	if err != nil {
		tb.Fatal(err)
	}
	return ev, n
}

// inner is the state of a connection.
func inner(c sdk.CodecConn) *conn {
	if b, ok := c.(*beatingConn); ok {
		return &b.conn
	}
	return c.(*conn)
}
