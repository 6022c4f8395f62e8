package codectest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/framecodec"
)

// mini is a small protocol: 'M', kind, a tenth of the status, u32 id, u32 length of
// the content.
func mini() framecodec.Protocol {
	own := func(dst []byte, kind framecodec.Kind, id uint64, status int, content string) []byte {
		frame := miniFrame(kind, content)
		frame[2] = byte(status / 10)
		binary.BigEndian.PutUint32(frame[3:], uint32(id))
		return append(dst, frame...)
	}
	return framecodec.Protocol{
		Name: "mini", Mode: sdk.Multiplexed,
		Match: func(p []byte) sdk.Verdict {
			switch {
			case len(p) > 0 && p[0] != 'M' || len(p) > 1 && p[1] > 6:
				return sdk.NoMatch
			case len(p) < 2:
				return sdk.NeedMore
			}
			return sdk.Matched
		},
		Cut: func(p []byte) (head, size int, err error) {
			switch {
			case p[0] != 'M':
				return 0, 0, errors.New("no M")
			case len(p) < 11:
				return 0, 0, nil
			}
			return 11, 11 + int(binary.BigEndian.Uint32(p[7:])), nil
		},
		Read: func(head []byte, f *framecodec.Frame) error {
			f.Kind, f.Status, f.ID = framecodec.Kind(head[1]), int(head[2])*10, uint64(binary.BigEndian.Uint32(head[3:]))
			return nil
		},
		SetID: func(head []byte, id uint64) { binary.BigEndian.PutUint32(head[3:], uint32(id)) },
		Reply: func(dst []byte, to framecodec.Asked, status int, text string) []byte {
			return own(dst, framecodec.Response, to.ID, status, text)
		},
		Heartbeat: func(dst []byte, id uint64) []byte { return own(dst, framecodec.Heartbeat, id, 0, "") },
		HeartbeatReply: func(dst, head []byte) []byte {
			return own(dst, framecodec.HeartbeatReply, uint64(binary.BigEndian.Uint32(head[3:])), 0, "")
		},
		GoAway: func(dst []byte) []byte { return own(dst, framecodec.GoAway, 0, 0, "") },
	}
}

func miniFrame(kind framecodec.Kind, content string) []byte {
	p := binary.BigEndian.AppendUint32([]byte{'M', byte(kind), 0, 0, 0, 0, 0}, uint32(len(content)))
	return append(p, content...)
}

// miniFrames are samples of it.
func miniFrames(p framecodec.Protocol) Frames {
	return Frames{
		Codec:     framecodec.New(p),
		Request:   miniFrame(framecodec.Request, "ask"),
		Response:  miniFrame(framecodec.Response, "answer"),
		OneWay:    miniFrame(framecodec.OneWay, "tell"),
		Heartbeat: miniFrame(framecodec.Heartbeat, ""), HeartbeatReply: miniFrame(framecodec.HeartbeatReply, ""),
		GoAway:    miniFrame(framecodec.GoAway, ""),
		ID:        func(p []byte) uint64 { return uint64(binary.BigEndian.Uint32(p[3:])) },
		SetID:     func(p []byte, id uint64) { binary.BigEndian.PutUint32(p[3:], uint32(id)) },
		SetLength: func(p []byte, n uint32) { binary.BigEndian.PutUint32(p[7:], n) },
	}
}

// bent is a connection that breaks promises.
type bent struct {
	sdk.Talker
	decoded func(in []byte, ev *sdk.Event, err error) error
	deaf    bool // to the end of the input
}

func (b *bent) Decode(in []byte, ev *sdk.Event) (int, error) {
	n, err := b.Talker.Decode(in, ev)
	if b.decoded != nil {
		err = b.decoded(in, ev, err)
	}
	return n, err
}

func (b *bent) EOF(ev *sdk.Event) error {
	err := b.Talker.EOF(ev)
	if b.deaf {
		return nil
	}
	return err
}

type bentConfig struct {
	sdk.CodecConfig
	bend func(*bent)
}

func (c bentConfig) New() sdk.CodecConn {
	b := &bent{Talker: c.CodecConfig.New().(sdk.Talker)}
	c.bend(b)
	return b
}

// bend makes a codec's connections break promises.
func bend(codec *sdk.Codec, how func(*bent)) {
	compile := codec.Compile
	codec.Compile = func(c sdk.Compiler, side sdk.Side, o sdk.CodecOptions) (sdk.CodecConfig, error) {
		cfg, err := compile(c, side, o)
		return bentConfig{cfg, how}, err
	}
}

// complains returns what Conformance complains of.
func complains(t *testing.T, f Frames) (said string) {
	t.Helper()
	tb := &failing{TB: t}
	defer func() {
		if r := recover(); r != nil && r != tb {
			panic(r)
		}
		said = tb.said
	}()
	Conformance(tb, f)
	return tb.said
}

// TestConformanceFindsBrokenFunctions: each mistake that the author of a protocol
// may make is found, by the check that is there for it.
func TestConformanceFindsBrokenFunctions(t *testing.T) {
	good := mini()
	for _, c := range []struct {
		want   string
		mutate func(*framecodec.Protocol)
	}{
		{"", func(*framecodec.Protocol) {}},
		{"", func(p *framecodec.Protocol) { p.Heartbeat = nil }},
		{"", func(p *framecodec.Protocol) {
			p.Reply = func(dst []byte, to framecodec.Asked, _ int, _ string) []byte { return dst }
		}},
		{"recognition", func(p *framecodec.Protocol) {
			p.Match = func(prefix []byte) sdk.Verdict { return min(good.Match(prefix), sdk.NeedMore) }
		}},
		{"recognition", func(p *framecodec.Protocol) {
			p.Match = func(prefix []byte) sdk.Verdict { return max(good.Match(prefix), sdk.NeedMore) }
		}},
		{"recognition", func(p *framecodec.Protocol) {
			p.Match = func(prefix []byte) sdk.Verdict {
				if bytes.HasPrefix(prefix, []byte("GET ")) {
					return sdk.Matched
				}
				return good.Match(prefix)
			}
		}},
		{"the view", func(p *framecodec.Protocol) { p.SetID = func([]byte, uint64) {} }}, // no answer is shown
		{"forwarding", func(p *framecodec.Protocol) {
			p.SetID = func(head []byte, id uint64) { good.SetID(head, id); head[2]++ }
		}},
		{"forwarding", func(p *framecodec.Protocol) {
			p.SetID = func(head []byte, id uint64) { good.SetID(head, id&1) }
		}},
		{"forwarding", func(p *framecodec.Protocol) {
			p.Cut = func(in []byte) (int, int, error) { head, size, err := good.Cut(in); return head, max(size-1, 0), err }
		}},
		{"one-way", func(p *framecodec.Protocol) { p.Read = as(good, framecodec.OneWay, framecodec.Request) }},
		{"heartbeats", func(p *framecodec.Protocol) { p.HeartbeatReply = nil }},
		{"heartbeats", func(p *framecodec.Protocol) {
			p.HeartbeatReply = func(dst, head []byte) []byte { return good.HeartbeatReply(dst, make([]byte, len(head))) }
		}},
		{"heartbeats", func(p *framecodec.Protocol) {
			p.Heartbeat = func(dst []byte, _ uint64) []byte { return good.Heartbeat(dst, 1) }
		}},
		{"", func(p *framecodec.Protocol) { p.GoAway = nil }},
		{"go-away", func(p *framecodec.Protocol) {
			p.GoAway = func(dst []byte) []byte { return good.Heartbeat(dst, 1) }
		}},
		{"go-away", func(p *framecodec.Protocol) { p.Read = as(good, framecodec.GoAway, framecodec.Heartbeat) }},
		{"our own reply", func(p *framecodec.Protocol) {
			p.Reply = func(dst []byte, to framecodec.Asked, _ int, text string) []byte {
				return good.Reply(dst, to, 200, text)
			}
		}},
		{"our own reply", func(p *framecodec.Protocol) {
			p.Reply = func(dst []byte, _ framecodec.Asked, _ int, _ string) []byte { return append(dst, "rubbish"...) }
		}},
		{"our own reply", func(p *framecodec.Protocol) {
			p.Reply = func(dst []byte, to framecodec.Asked, status int, text string) []byte {
				return good.Reply(dst, framecodec.Asked{ID: to.ID + 1}, status, text)
			}
		}},
		{"lengths", func(p *framecodec.Protocol) {
			p.Cut = func(in []byte) (int, int, error) { head, size, err := good.Cut(in); return head, size & 0xff, err }
		}},
	} {
		p := mini()
		c.mutate(&p)
		if got := complains(t, miniFrames(p)); !about(got, c.want) {
			t.Errorf("want a complaint of %q, got %q", c.want, got)
		}
	}
}

// about reports whether a complaint is of one check; want "" is none at all.
func about(said, want string) bool {
	return want == "" && said == "" || want != "" && strings.HasPrefix(said, "mini: "+want+":")
}

// as reads frames of a kind as if they were of another one.
func as(p framecodec.Protocol, from, to framecodec.Kind) func([]byte, *framecodec.Frame) error {
	return func(head []byte, f *framecodec.Frame) error {
		err := p.Read(head, f)
		if f.Kind == from {
			f.Kind = to
		}
		return err
	}
}

// TestConformanceFindsBrokenConnections does the same with mistakes that a codec from
// scratch may have.
func TestConformanceFindsBrokenConnections(t *testing.T) {
	isResponse := func(in []byte) bool { return len(in) > 10 && in[1] == byte(framecodec.Response) }
	for _, c := range []struct {
		want string
		bend func(*bent)
	}{
		{"", func(*bent) {}},
		{"the view", func(b *bent) {
			b.decoded = func(_ []byte, ev *sdk.Event, err error) error { ev.Msg.Add(":evil", "1"); return err }
		}},
		{"the view", func(b *bent) {
			b.decoded = func(_ []byte, ev *sdk.Event, err error) error { ev.Msg.Add("a", "1\r\nb: 2"); return err }
		}},
		{"the view", func(b *bent) {
			b.decoded = func(_ []byte, ev *sdk.Event, err error) error { ev.Msg.Codec = nil; return err }
		}},
		{"ids", func(b *bent) {
			b.decoded = func(_ []byte, _ *sdk.Event, err error) error {
				if err != nil {
					return &sdk.CodecError{Text: "a small mishap", Stream: true}
				}
				return nil
			}
		}},
		{"stray responses", func(b *bent) {
			b.decoded = func(in []byte, ev *sdk.Event, err error) error {
				if ev.Kind == sdk.EventDropped && isResponse(in) {
					ev.Kind, ev.Stream = sdk.EventHeaders, 1
				}
				return err
			}
		}},
		{"go-away", func(b *bent) {
			b.decoded = func(_ []byte, ev *sdk.Event, err error) error {
				if ev.Kind == sdk.EventGoAway {
					ev.Stream = 0
				}
				return err
			}
		}},
		{"truncated frames", func(b *bent) { b.deaf = true }},
	} {
		f := miniFrames(mini())
		bend(f.Codec, c.bend)
		if got := complains(t, f); !about(got, c.want) {
			t.Errorf("want a complaint of %q, got %q", c.want, got)
		}
	}
}
