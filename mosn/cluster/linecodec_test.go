package cluster

import (
	"bytes"

	"sofamesh.io/sofamesh/sdk"
)

// lineCodec is a protocol of one line each way: the path, answered by the body. It
// shows what the pool costs without a real codec, and answers streams that a test
// wants to be reset.
func lineCodec() *sdk.Codec {
	return &sdk.Codec{Name: "http1", Compile: func(sdk.Compiler, sdk.Side, sdk.CodecOptions) (sdk.CodecConfig, error) {
		return lineConfig{}, nil
	}}
}

type lineConfig struct{}

func (l lineConfig) Codec() *sdk.Codec { return lineCodec() }
func (lineConfig) New() sdk.CodecConn  { return &lineConn{} }
func (lineConfig) ReadLimit() int      { return 96 << 10 }

type lineConn struct {
	head bool // of the response, delivered
	busy bool
}

func (c *lineConn) Decode(in []byte, ev *sdk.Event) (int, error) {
	ev.Kind, ev.End = sdk.EventNone, false
	end := bytes.IndexByte(in, '\n')
	switch {
	case end < 0:
		return 0, nil
	case in[0] == '!': // the stream is reset; !! before it was processed
		ev.Kind, ev.Reset = sdk.EventReset, sdk.ResetRemote
		if in[1] == '!' {
			ev.Reset = sdk.ResetRefused
		}
		return end + 1, nil
	case in[0] == '-': // going away
		ev.Kind = sdk.EventGoAway
		return end + 1, nil
	case in[0] == '+': // more may be written
		ev.Kind = sdk.EventWindow
		return end + 1, nil
	case !c.head:
		c.head = true
		ev.Msg.Reset()
		ev.Msg.SetStatus(200)
		ev.Kind = sdk.EventHeaders
		return 0, nil
	}
	c.head, c.busy = false, false
	ev.Kind, ev.End, ev.Data = sdk.EventData, true, in[:end]
	return end + 1, nil
}

func (c *lineConn) EOF(ev *sdk.Event) error {
	ev.Kind = sdk.EventNone
	return nil
}

func (c *lineConn) NewStream() uint64 { return 1 }

func (c *lineConn) WriteHeaders(out *sdk.Buffer, _ uint64, m *sdk.Message, _ bool) error {
	c.busy = !m.OneWay
	out.AppendString(m.Path())
	out.AppendByte('\n')
	return nil
}

// WriteReset is possible before the response has begun.
func (c *lineConn) WriteReset(out *sdk.Buffer, _ uint64, r sdk.ResetReason) bool {
	if c.head || r != sdk.ResetLocalRefused {
		return false
	}
	out.AppendString("reset\n")
	c.busy = false
	return true
}

// WriteData takes at most 3 bytes at a time.
func (c *lineConn) WriteData(out *sdk.Buffer, _ uint64, p []byte, _ bool) int {
	p = p[:min(len(p), 3)]
	out.Append(p)
	return len(p)
}

func (*lineConn) WriteTrailers(*sdk.Buffer, uint64, *sdk.Message) {}
func (*lineConn) Consumed(*sdk.Buffer, uint64, int)               {}
func (*lineConn) WriteGoAway(*sdk.Buffer)                         {}
func (c *lineConn) Reusable() bool                                { return !c.busy }
