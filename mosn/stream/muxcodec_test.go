package stream

import (
	"bytes"
	"fmt"
	"strconv"

	"sofamesh.io/sofamesh/mosn/protocol/http1"
	"sofamesh.io/sofamesh/sdk"
)

// lines is a multiplexed protocol of text lines, for tests: "ID H PATH", "ID D TEXT",
// "ID E TEXT" (the end), "ID R" (reset), "ID B" (a malformed request), "ID O PATH" (a
// one-way request that is malformed), "ping", which it answers by itself, "bad", which
// breaks the connection, and "boom", at which it panics.
type lines struct {
	host  *sdk.Codec // what its requests are carried to hosts by
	pongs int
	away  bool
}

// viaHTTP carries lines to hosts as HTTP/1.
type viaHTTP struct{ codec *sdk.Codec }

func (v viaHTTP) Codec() *sdk.Codec { return v.codec }
func (v viaHTTP) ReadLimit() int    { return 96 << 10 }

func (v viaHTTP) New() sdk.CodecConn {
	cfg, err := http1.Codec().Compile(nil, sdk.Upstream, sdk.CodecOptions{})
	if err != nil {
		panic(err)
	}
	return cfg.New()
}

// Codec implements sdk.CodecConfig.
func (l lines) Codec() *sdk.Codec {
	return &sdk.Codec{Name: "lines", Mode: sdk.Multiplexed, RPC: true}
}

// New implements sdk.CodecConfig.
func (l lines) New() sdk.CodecConn { return &lines{host: l.host} }

// ReadLimit implements sdk.CodecConfig.
func (lines) ReadLimit() int { return 64 << 10 }

func (l *lines) Decode(in []byte, ev *sdk.Event) (int, error) {
	n := bytes.IndexByte(in, '\n') + 1
	if n == 0 {
		return 0, nil
	}
	words := bytes.SplitN(bytes.TrimSpace(in[:n]), []byte(" "), 3)
	switch string(words[0]) {
	case "ping":
		l.pongs++
		k, err := l.Decode(in[n:], ev)
		return n + k, err
	case "boom":
		panic("boom")
	case "bad":
		return n, &sdk.CodecError{Details: "lines.bad", Text: "bad"}
	}
	id, err := strconv.ParseUint(string(words[0]), 10, 64)
	if err != nil || len(words) < 2 {
		return n, err
	}
	text := append(words, nil)[2]
	ev.Stream, ev.Data = id, text
	switch words[1][0] {
	case 'H':
		ev.Kind = sdk.EventHeaders
		l.head(ev.Msg, string(text))
	case 'D', 'E':
		ev.Kind, ev.End = sdk.EventData, words[1][0] == 'E'
	case 'R':
		ev.Kind, ev.Reset = sdk.EventReset, sdk.ResetRemote
	case 'B', 'O':
		l.head(ev.Msg, string(text))
		ev.Msg.OneWay = words[1][0] == 'O'
		return n, &sdk.CodecError{Stream: true, Status: 400, Details: "lines.stream", Text: "bad"}
	}
	return n, nil
}

func (l *lines) head(m *sdk.Message, path string) {
	m.Reset()
	m.Protocol, m.Codec = sdk.RPC, l.host
	m.AddID(sdk.HeaderMethod, "POST")
	m.AddID(sdk.HeaderAuthority, "h")
	m.AddID(sdk.HeaderPath, path)
}

func (l *lines) EOF(*sdk.Event) error { return nil }
func (l *lines) NewStream() uint64    { return 0 }

func (l *lines) WriteHeaders(out *sdk.Buffer, id uint64, m *sdk.Message, end bool) error {
	fmt.Fprintf(out, "%d H %d %t\n", id, m.Status(), end)
	return nil
}

func (l *lines) WriteData(out *sdk.Buffer, id uint64, p []byte, end bool) int {
	kind := "D"
	if end {
		kind = "E"
	}
	fmt.Fprintf(out, "%d %s %s\n", id, kind, p)
	return len(p)
}

func (l *lines) WriteTrailers(out *sdk.Buffer, id uint64, _ *sdk.Message) {
	l.WriteData(out, id, nil, true)
}

func (l *lines) WriteReset(out *sdk.Buffer, id uint64, r sdk.ResetReason) bool {
	fmt.Fprintf(out, "%d R %s\n", id, r)
	return true
}

func (l *lines) Consumed(*sdk.Buffer, uint64, int) {}
func (l *lines) WriteGoAway(out *sdk.Buffer) {
	l.away = true
	out.AppendString("away\n")
}

func (l *lines) Reusable() bool { return !l.away }
func (l *lines) Pending() bool  { return l.pongs > 0 }

func (l *lines) Flush(out *sdk.Buffer) {
	for ; l.pongs > 0; l.pongs-- {
		out.AppendString("pong\n")
	}
}
