package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

// frameCodec is a multiplexed protocol of frames: a kind, the id of the stream and
// the length of what follows. Lower-case kinds of messages end them.
//
//	Q q  head of a request (the path)          H h  head of a response
//	D d  data                                  T    trailers
//	R X  reset, and reset before processed     I    1xx head
//	W    window of a stream, 0 for all         G    going away; the id is the last one processed
//	B b  heartbeat and answer                  P p  the peer's heartbeat and our answer
//	O    one-way head of a request             from the host once Reverse is called, with ids from 1000 on
//	E    malformed, this stream only           Z    malformed
//	!    makes the codec panic
type frameCodec struct {
	piece    int  // most bytes that a WriteData takes
	noReset  bool // only closing expresses a reset
	onePiece bool // no other request while one is not complete
	sameID   bool // gives the same id again and again
	ids      uint64
	flow     bool // has flow control
	queue    bool // requests wait in the codec while one is not complete, as Bolt's do
}

const frameHead = 9

var (
	errFrame  = errors.New("not a frame")
	errStream = &sdk.CodecError{Text: "malformed message", Stream: true}
)

func (f frameCodec) codec() *sdk.Codec {
	return &sdk.Codec{Name: "http1", Mode: sdk.Multiplexed, RPC: true, FlowControl: f.flow,
		Compile: func(sdk.Compiler, sdk.Side, sdk.CodecOptions) (sdk.CodecConfig, error) { return f, nil }}
}

func (f frameCodec) New() sdk.CodecConn { return &frameConn{frameCodec: f} }

func (f frameCodec) Codec() *sdk.Codec { return f.codec() }

func (f frameCodec) ReadLimit() int { return 96 << 10 }

type frameConn struct {
	frameCodec
	next    uint64
	writing uint64 // the stream whose request is not complete, with onePiece and queue
	pings   int
	held    []heldHead // with queue
	windows []uint64
	reverse bool
}

type heldHead struct {
	id   uint64
	path string
	end  bool
}

func appendFrame(b []byte, kind byte, id uint64, payload string) []byte {
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

func writeFrame(out *sdk.Buffer, kind byte, id uint64, n int) {
	head := out.Reserve(frameHead)
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(id))
	binary.BigEndian.PutUint32(head[5:], uint32(n))
	out.Commit(frameHead)
}

func (c *frameConn) Decode(in []byte, ev *sdk.Event) (int, error) {
	ev.Kind, ev.End, ev.Data = sdk.EventNone, false, nil
	if len(c.windows) > 0 {
		ev.Kind, ev.Stream = sdk.EventWindow, c.windows[0]
		c.windows = c.windows[1:]
		return 0, nil
	}
	if len(in) < frameHead {
		return 0, nil
	}
	kind, size := in[0], int(binary.BigEndian.Uint32(in[5:]))
	if len(in) < frameHead+size {
		return 0, nil
	}
	ev.Stream = uint64(binary.BigEndian.Uint32(in[1:]))
	n := frameHead + size
	ev.Data = in[frameHead:n]
	switch kind {
	case 'V':
		ev.Kind = sdk.EventDropped
	case 'Q', 'q', 'O':
		if !c.reverse {
			return n, errFrame
		}
		ev.Msg.Reset()
		ev.Msg.AddID(sdk.HeaderPath, string(ev.Data))
		ev.Msg.OneWay = kind == 'O'
		ev.Kind, ev.End = sdk.EventHeaders, kind != 'Q'
	case 'H', 'h', 'I':
		ev.Msg.Reset()
		ev.Msg.SetStatus(200)
		if kind == 'I' {
			ev.Msg.SetStatus(100)
		}
		ev.Msg.Close = size == 5 // "close"
		ev.Kind, ev.End = sdk.EventHeaders, kind == 'h'
		if kind == 'I' {
			ev.Kind = sdk.EventInformational
		}
	case 'D', 'd':
		ev.Kind, ev.End = sdk.EventData, kind == 'd'
	case 'T':
		ev.Msg.Reset()
		ev.Msg.Add("a", "b")
		ev.Kind = sdk.EventTrailers
	case 'R':
		ev.Kind, ev.Reset = sdk.EventReset, sdk.ResetRemote
	case 'X':
		ev.Kind, ev.Reset = sdk.EventReset, sdk.ResetRefused
	case 'W':
		ev.Kind = sdk.EventWindow
	case 'G':
		ev.Kind = sdk.EventGoAway
	case 'b':
		ev.Kind = sdk.EventHeartbeat
	case 'P':
		c.pings++
		m, err := c.Decode(in[n:], ev)
		return n + m, err
	case 'E':
		return n, errStream
	case '!':
		panic("the codec's")
	default:
		return 0, errFrame
	}
	return n, nil
}

func (c *frameConn) EOF(*sdk.Event) error { return nil }

func (c *frameConn) NewStream() uint64 {
	c.next++
	if c.ids > 0 {
		return 1 + (c.next-1)%c.ids
	}
	if c.sameID {
		return 1
	}
	return c.next
}

var errBadRequest = errors.New("a request without a path")

func (c *frameConn) Reverse() { c.reverse = true }

const firstHostID = 1000

func (c *frameConn) WriteHeaders(out *sdk.Buffer, id uint64, m *sdk.Message, end bool) error {
	if c.reverse && id >= firstHostID {
		kind := byte('H')
		if end {
			kind = 'h'
		}
		writeFrame(out, kind, id, 0)
		return nil
	}
	if m.Path() == "" {
		return errBadRequest
	}
	if c.queue && c.writing != 0 {
		c.held = append(c.held, heldHead{id, m.Path(), end})
		return nil
	}
	c.writeHead(out, heldHead{id, m.Path(), end})
	return nil
}

func (c *frameConn) writeHead(out *sdk.Buffer, h heldHead) {
	kind := byte('Q')
	if h.end {
		kind = 'q'
	} else {
		c.writing = h.id
	}
	writeFrame(out, kind, h.id, len(h.path))
	out.AppendString(h.path)
}

// complete begins the requests that wait for the end of this one.
func (c *frameConn) complete(out *sdk.Buffer) {
	c.writing = 0
	for len(c.held) > 0 && c.writing == 0 {
		h := c.held[0]
		c.held = c.held[1:]
		c.writeHead(out, h)
		if !h.end {
			c.windows = append(c.windows, h.id)
		}
	}
}

func (c *frameConn) WriteData(out *sdk.Buffer, id uint64, p []byte, end bool) int {
	if c.queue && c.writing != id {
		return 0
	}
	if c.piece > 0 && len(p) > c.piece {
		p, end = p[:c.piece], false
	}
	kind := byte('D')
	if end {
		kind = 'd'
	}
	writeFrame(out, kind, id, len(p))
	out.Append(p)
	if end {
		c.complete(out)
	}
	return len(p)
}

func (c *frameConn) WriteTrailers(out *sdk.Buffer, id uint64, _ *sdk.Message) {
	writeFrame(out, 'T', id, 0)
	c.complete(out)
}

func (c *frameConn) WriteReset(out *sdk.Buffer, id uint64, _ sdk.ResetReason) bool {
	if c.noReset || c.queue && c.writing == id {
		return false
	}
	writeFrame(out, 'R', id, 0)
	return true
}

func (c *frameConn) Consumed(out *sdk.Buffer, id uint64, n int) {
	text := strconv.Itoa(n)
	writeFrame(out, 'C', id, len(text))
	out.AppendString(text)
}

func (c *frameConn) WriteGoAway(*sdk.Buffer)        {}
func (c *frameConn) Reusable() bool                 { return !c.onePiece || c.writing == 0 }
func (c *frameConn) WriteHeartbeat(out *sdk.Buffer) { writeFrame(out, 'B', 0, 0) }
func (c *frameConn) Pending() bool                  { return c.pings > 0 || len(c.windows) > 0 }

func (c *frameConn) Flush(out *sdk.Buffer) {
	for ; c.pings > 0; c.pings-- {
		writeFrame(out, 'p', 0, 0)
	}
}

// frames shows what has arrived at a peer: "Q1:/a d1:xyz".
func frames(p *looptest.Peer) string {
	var out []string
	b := p.Take()
	for len(b) >= frameHead {
		n := frameHead + int(binary.BigEndian.Uint32(b[5:]))
		s := fmt.Sprintf("%c%d", b[0], binary.BigEndian.Uint32(b[1:]))
		if n > frameHead {
			s += ":" + string(b[frameHead:n])
		}
		out = append(out, s)
		b = b[n:]
	}
	if len(b) > 0 {
		out = append(out, fmt.Sprintf("and %d bytes", len(b)))
	}
	return strings.Join(out, " ")
}

// say sends a frame.
func say(p *looptest.Peer, kind byte, id uint64, payload string) {
	p.SendBytes(appendFrame(nil, kind, id, payload))
}
