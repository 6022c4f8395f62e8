package bolt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/codectest"
	"sofamesh.io/sofamesh/sdk/hessian"
)

// captured returns the frames of the captures, whole ones only, by what the
// section says of them.
func captured(tb testing.TB) (frames [][]byte) {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.hex")
	if err != nil || len(files) != 3 {
		tb.Fatalf("%d captures, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		for _, section := range strings.Split(string(text), "\n\n") {
			var p []byte
			for line := range strings.Lines(section) {
				digits, _, _ := strings.Cut(line, "#")
				q, err := hex.DecodeString(strings.TrimSpace(digits))
				if err != nil {
					tb.Fatalf("%s: %v in %q", name, err, line)
				}
				p = append(p, q...)
			}
			var f fixed
			if len(p) > 0 && f.parse(p) == nil && f.size > 0 && len(p) == f.head()+f.content+f.trailer() {
				frames = append(frames, p)
			}
		}
	}
	return frames
}

// msg describes a frame of a test.
type msg struct {
	version int // 0: Bolt 1; 1, 2: that version of Bolt 2
	crc     bool
	kind    byte
	cmd     uint16
	id      uint32
	serial  byte
	timeout int32
	status  uint16
	class   string
	headers []string // names and values; "\xff" stands for null
	content string
}

func (m msg) bytes() []byte {
	p := []byte{1}
	if m.version > 0 {
		p = []byte{2, byte(m.version)}
	}
	p = append(p, m.kind, byte(m.cmd>>8), byte(m.cmd), 1)
	p = binary.BigEndian.AppendUint32(p, m.id)
	p = append(p, m.serial)
	if m.version > 0 {
		p = append(p, map[bool]byte{true: 1}[m.crc])
	}
	if m.kind == typeResponse {
		p = binary.BigEndian.AppendUint16(p, m.status)
	} else {
		p = binary.BigEndian.AppendUint32(p, uint32(m.timeout))
	}
	var block []byte
	for _, s := range m.headers {
		if s == "\xff" {
			block = binary.BigEndian.AppendUint32(block, null)
		} else {
			block = appendText(block, s)
		}
	}
	p = binary.BigEndian.AppendUint16(p, uint16(len(m.class)))
	p = binary.BigEndian.AppendUint16(p, uint16(len(block)))
	p = binary.BigEndian.AppendUint32(p, uint32(len(m.content)))
	p = append(append(append(p, m.class...), block...), m.content...)
	if m.crc {
		p = binary.BigEndian.AppendUint32(p, crc32.ChecksumIEEE(p))
	}
	return p
}

// call is a request to a service with protobuf, whose names are in headers.
func call(id uint32, content string, headers ...string) msg {
	return msg{
		kind: typeRequest, cmd: cmdRequest, id: id, serial: serialProtobuf, timeout: 3000,
		class: hessian.SofaRequestClass, content: content,
		headers: append([]string{headerService, "com.acme.Hello:1.0", headerMethod, "sayHi"}, headers...),
	}
}

// answer is a response.
func answer(id uint32, content string, headers ...string) msg {
	return msg{cmd: cmdResponse, id: id, serial: serialProtobuf, class: "R", headers: headers, content: content}
}

// sofaBody is the content of a Hessian request.
func sofaBody(service, method string, args ...string) string {
	var b []byte
	short := func(s string) { b = append(append(b, byte(len(s))), s...) }
	b = append(append(b, 'O', 0xbc), hessian.SofaRequestClass...)
	b = append(b, 0x92)
	short(sofaFields[0])
	short(sofaFields[1])
	b = append(b, 'o', 0x90)
	short(method)
	short(service)
	for _, a := range args {
		short(a)
	}
	return string(b)
}

// javaBody is the content as the Java client writes it, without properties.
func javaBody(service, method string, args ...string) string {
	b := []byte("O\xbc" + hessian.SofaRequestClass + "\x95")
	short := func(s string) { b = append(append(b, byte(len(s))), s...) }
	for _, field := range []string{"targetAppName", "methodName", "targetServiceUniqueName", "requestProps", "methodArgSigs"} {
		short(field)
	}
	b = append(b, 'o', 0x90, 'N')
	short(method)
	short(service)
	b = append(b, 'N', 'N')
	for _, a := range args {
		short(a)
	}
	return string(b)
}

var sofaFields = [...]string{"methodName", "targetServiceUniqueName"}

// ends makes the two sides of one program: they share the codec.
func ends(tb testing.TB, l Limits) (down, up sdk.CodecConfig) {
	tb.Helper()
	codec := Codec(l)
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

// relay carries messages from one side to the other as the stream layer will.
type relay struct {
	tb   testing.TB
	conn sdk.CodecConn // reads
	to   sdk.CodecConn // writes
	out  *sdk.Buffer   // of to
	said *sdk.Buffer   // of conn
	ids  map[uint64]uint64
	edit func(*sdk.Message)
	msg  sdk.Message
	ev   sdk.Event
	seen []string // what came besides messages
	rest []byte   // what was not consumed

	lenient bool // what cannot be written is lost
}

func newRelay(tb testing.TB, conn, to sdk.CodecConn) *relay {
	return &relay{tb: tb, conn: conn, to: to, out: buffer(), said: buffer(), ids: map[uint64]uint64{}}
}

// run reads p and returns what the codec has not consumed.
func (r *relay) run(p []byte) []byte {
	r.tb.Helper()
	defer func() { r.rest = p }()
	for {
		r.ev.Msg = &r.msg
		n, err := r.conn.Decode(p, &r.ev)
		p = p[n:]
		if err != nil {
			r.seen = append(r.seen, err.Error())
			if ce := err.(*sdk.CodecError); !ce.Stream {
				return p
			}
			if !r.msg.OneWay {
				r.msg.Reset()
				r.msg.SetStatus(400)
				r.msg.Text = err.Error()
				if err := r.conn.WriteHeaders(r.said, r.ev.Stream, &r.msg, true); err != nil {
					r.tb.Fatal(err)
				}
			}
			continue
		}
		if r.ev.Kind == sdk.EventNone {
			r.conn.(sdk.Talker).Flush(r.said)
			return p
		}
		r.event()
	}
}

func (r *relay) event() {
	r.tb.Helper()
	switch ev := &r.ev; ev.Kind {
	case sdk.EventHeaders:
		if _, ok := r.ids[ev.Stream]; !ok {
			r.ids[ev.Stream] = r.to.NewStream()
		}
		if r.edit != nil {
			r.edit(&r.msg)
		}
		if err := r.to.WriteHeaders(r.out, r.ids[ev.Stream], &r.msg, ev.End); err != nil && !r.lenient {
			r.tb.Fatal(err)
		}
	case sdk.EventData:
		if n := r.to.WriteData(r.out, r.ids[ev.Stream], ev.Data, ev.End); n != len(ev.Data) && !r.lenient {
			r.tb.Fatalf("%d bytes of %d are taken", n, len(ev.Data))
		}
	default:
		r.seen = append(r.seen, [...]string{
			"none", "headers", "informational", "data", "trailers", "reset", "window", "goaway", "heartbeat", "dropped",
		}[ev.Kind])
	}
}

// withID returns the frame with another id, and the CRC that belongs to it.
func withID(frame []byte, id uint32) []byte {
	p := bytes.Clone(frame)
	patchID(p, id)
	var f fixed
	if f.parse(p) == nil && f.crc {
		binary.BigEndian.PutUint32(p[len(p)-4:], crc32.ChecksumIEEE(p[:len(p)-4]))
	}
	return p
}

// suite is a side whose Open does nothing; an upstream side has asked with the ids
// of the responses.
func suite(tb testing.TB, side sdk.Side, l Limits, asked int) codectest.Suite {
	down, up := ends(tb, l)
	return codectest.Suite{New: func() sdk.CodecConn {
		if side == sdk.Downstream {
			return down.New()
		}
		c := up.New()
		for range asked {
			id := c.NewStream()
			c.(*conn).find(id).begun = true
		}
		return c
	}}
}
