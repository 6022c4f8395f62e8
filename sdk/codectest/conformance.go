package codectest

import (
	"bytes"
	"errors"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// Frames declares what the codec of an RPC protocol is held against: frames as real
// peers write them. Those of Request, Response and OneWay should carry content, and
// at sdk.Medium and above headers.
type Frames struct {
	Codec *sdk.Codec
	// Request and Response are needed; of the others, nil is what the protocol has not
	// got. GoAway comes from a server.
	Request, Response                         []byte
	OneWay, Heartbeat, HeartbeatReply, GoAway []byte
	// ID reads the id of any of the frames, SetID writes another one, up to 255, and
	// what hangs on it, as a checksum. Serial protocols have neither.
	ID    func(frame []byte) uint64
	SetID func(frame []byte, id uint64)
	// SetLength writes a number into the length field of Request, or into its most
	// dangerous one; of a field of 8 bytes, into the upper half. Nil means that there
	// is none of 4 bytes or more.
	SetLength func(frame []byte, n uint32)
}

// Conformance checks what every codec of RPC must hold, whatever its protocol: it is
// recognised within 16 bytes, and no other protocol's opening is taken for it; the
// events do not hang on how the bytes arrive; a message is forwarded as it came, but
// for its id, and the answer has the asker's; heartbeats are answered hop by hop;
// requests of servers pass as well, where the protocol has them; whatever lengths, ids
// and rubbish a peer sends costs one connection at most.
func Conformance(tb testing.TB, f Frames) {
	tb.Helper()
	if f.Codec == nil || !f.Codec.RPC || f.Request == nil || f.Response == nil {
		tb.Fatalf("codectest: Frames needs a Codec of RPC, a Request and a Response")
	}
	if f.Codec.Mode == sdk.Multiplexed && (f.ID == nil || f.SetID == nil) {
		tb.Fatalf("codectest: Frames of a Multiplexed codec needs ID and SetID")
	}
	k := &conformance{Frames: f, tb: tb}
	for side, cfg := range map[sdk.Side]*sdk.CodecConfig{sdk.Downstream: &k.down, sdk.Upstream: &k.up} {
		var err error
		if *cfg, err = f.Codec.Compile(nil, side, sdk.CodecOptions{}); err != nil {
			tb.Fatalf("%s: Compile: %v", f.Codec.Name, err)
		}
	}
	for _, c := range []struct {
		name  string
		check func(*conformance)
	}{
		{"recognition", (*conformance).recognition},
		{"the view", (*conformance).view},
		{"forwarding", (*conformance).forwarding},
		{"one-way", (*conformance).oneWay},
		{"heartbeats", (*conformance).heartbeats},
		{"go-away", (*conformance).goAway},
		{"our own reply", (*conformance).reply},
		{"ids", (*conformance).ids},
		{"stray responses", (*conformance).strays},
		{"lengths", (*conformance).lengths},
		{"truncated frames", (*conformance).truncated},
		{"splits", (*conformance).splits},
		{"reverse requests", (*conformance).reverse},
	} {
		k.name = f.Codec.Name + ": " + c.name
		c.check(k)
	}
}

// conformance is one run of the suite.
type conformance struct {
	Frames
	tb       testing.TB
	name     string // of the check
	down, up sdk.CodecConfig
}

func (k *conformance) fatalf(format string, args ...any) {
	k.tb.Helper()
	k.tb.Fatalf(k.name+": "+format, args...)
}

// with returns a copy of a frame with an id.
func (k *conformance) with(frame []byte, id uint64) []byte {
	p := bytes.Clone(frame)
	if k.SetID != nil {
		k.SetID(p, id)
	}
	return p
}

// same holds what was written against a frame, whose id may be another one, and
// returns the id written.
func (k *conformance) same(what string, got, frame []byte) (id uint64) {
	k.tb.Helper()
	if len(got) != len(frame) {
		k.fatalf("%s: %d bytes are written, want %d:\n%x\n%x", what, len(got), len(frame), got, frame)
	}
	if k.ID != nil {
		id = k.ID(got)
	}
	if want := k.with(frame, id); !bytes.Equal(got, want) {
		k.fatalf("%s: written\n%x, want, as it came but for the id,\n%x", what, got, want)
	}
	return id
}

// happened is an event, or an error, that outlives the next one.
type happened struct {
	kind   sdk.EventKind
	stream uint64
	end    bool
	msg    sdk.Message
	data   []byte
	err    *sdk.CodecError
}

// end is one end of a connection.
type end struct {
	k    *conformance
	conn sdk.CodecConn
	out  sdk.Buffer
}

func (k *conformance) end(cfg sdk.CodecConfig) *end {
	e := &end{k: k, conn: cfg.New()}
	e.out.Init(sdk.NewBufferPool(4))
	return e
}

// read decodes whole frames and returns all that comes of them, and what the codec
// says of itself.
func (e *end) read(p []byte) (all []happened, said []byte) {
	e.k.tb.Helper()
	for range len(p) + 8 {
		var msg sdk.Message
		ev := sdk.Event{Msg: &msg}
		n, err := e.conn.Decode(p[:len(p):len(p)], &ev)
		p = p[n:]
		h := happened{kind: ev.Kind, stream: ev.Stream, end: ev.End, data: bytes.Clone(ev.Data)}
		if err != nil && !errors.As(err, &h.err) {
			e.k.fatalf("the error %q is no *sdk.CodecError", err)
		}
		if err == nil && ev.Kind == sdk.EventNone {
			break
		}
		h.msg.CopyFrom(&msg)
		all = append(all, h)
		if h.err != nil && !h.err.Stream || e.k.Codec.Mode == sdk.Serial && ev.End {
			break
		}
	}
	return all, e.spoken()
}

// spoken flushes what the codec says of itself.
func (e *end) spoken() []byte {
	if t, ok := e.conn.(sdk.Talker); ok && t.Pending() {
		t.Flush(&e.out)
	}
	return e.taken()
}

// taken returns what was written.
func (e *end) taken() []byte {
	p := e.out.Bytes(nil)
	e.out.Release()
	return p
}

// message picks out the one message on a stream, which must be whole.
func (e *end) message(all []happened, nth int) (m []happened) {
	e.k.tb.Helper()
	for i, h := range all {
		if h.err != nil {
			e.k.fatalf("message %d of the input: the error %q", nth, h.err)
		}
		if h.kind != sdk.EventHeaders {
			continue
		}
		if nth--; nth > 0 {
			continue
		}
		for _, part := range all[i:] {
			if part.stream == h.stream && (part.kind == sdk.EventHeaders || part.kind == sdk.EventData) {
				m = append(m, part)
			}
		}
		if !m[len(m)-1].end {
			e.k.fatalf("a message does not end")
		}
		return m
	}
	e.k.fatalf("a frame makes no message, but %s", kinds(all))
	return nil
}

// write sends a message on a stream and returns the bytes.
func (e *end) write(stream uint64, m []happened) []byte {
	e.k.tb.Helper()
	for _, h := range m {
		if h.kind == sdk.EventHeaders {
			if err := e.conn.WriteHeaders(&e.out, stream, &h.msg, h.end); err != nil {
				e.k.fatalf("WriteHeaders: %v", err)
			}
		} else if n := e.conn.WriteData(&e.out, stream, h.data, h.end); n != len(h.data) {
			e.k.fatalf("WriteData takes %d of %d bytes", n, len(h.data))
		}
	}
	return e.taken()
}

// ask reads a request as from a client, sends it on, and returns the stream at the
// server's side and what was written.
func (k *conformance) ask(up *end, request []byte) (stream uint64, written []byte) {
	k.tb.Helper()
	down := k.end(k.down)
	all, _ := down.read(request)
	stream = up.conn.NewStream()
	return stream, up.write(stream, down.message(all, 1))
}

// kinds names events for a complaint.
func kinds(all []happened) string {
	var b bytes.Buffer
	for _, h := range all {
		if h.err != nil {
			b.WriteString("error(" + h.err.Text + ") ")
			continue
		}
		b.WriteString(kind(h.kind) + " ")
	}
	if b.Len() == 0 {
		return "nothing"
	}
	return b.String()
}
