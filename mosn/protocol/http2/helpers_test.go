package http2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	oracle "golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func u32(n uint32) *wrapperspb.UInt32Value { return wrapperspb.UInt32(n) }

// newConfig compiles options for tests.
func newConfig(tb testing.TB, side sdk.Side, pb *corev3.Http2ProtocolOptions) *config {
	tb.Helper()
	var o sdk.CodecOptions
	if pb != nil {
		o.Proto = pb
	}
	return newConfigOf(tb, side, o)
}

func newConfigOf(tb testing.TB, side sdk.Side, o sdk.CodecOptions) *config {
	tb.Helper()
	cfg, err := Codec().Compile(sdktest.NewCompiler(tb), side, o)
	if err != nil {
		tb.Fatal(err)
	}
	return cfg.(*config)
}

// lenient has malformed messages end their streams only.
func lenient() *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{OverrideStreamErrorOnInvalidHttpMessage: wrapperspb.Bool(true), AllowConnect: true}
}

// message makes a message of names and values.
func message(fields ...string) *sdk.Message {
	m := new(sdk.Message)
	for i := 0; i < len(fields); i += 2 {
		m.Add(fields[i], fields[i+1])
	}
	return m
}

// The frames of a peer.

func raw(kind frameType, flags uint8, stream uint32, payload string) string {
	return string(frame{length: len(payload), kind: kind, flags: flags, stream: stream}.append(nil)) + payload
}

// fieldsOf is a header block that touches no table.
func fieldsOf(fields ...string) string {
	var b []byte
	for i, s := range fields {
		if i%2 == 0 {
			b = append(b, 0)
		}
		if len(s) < 127 {
			b = append(b, byte(len(s)))
		} else {
			b = append(b, 127)
			n := len(s) - 127
			for ; n >= 128; n >>= 7 {
				b = append(b, byte(n)|0x80)
			}
			b = append(b, byte(n))
		}
		b = append(b, s...)
	}
	return string(b)
}

func headers(stream uint32, flags uint8, fields ...string) string {
	return raw(frameHeaders, flags|flagEndHeaders, stream, fieldsOf(fields...))
}

func data(stream uint32, flags uint8, p string) string { return raw(frameData, flags, stream, p) }

func be(v uint32) string { return string(word(nil, v)) }

func rst(stream uint32, c errorCode) string { return raw(frameReset, 0, stream, be(uint32(c))) }

func window(stream, n uint32) string { return raw(frameWindowUpdate, 0, stream, be(n)) }

func settings(pairs ...uint32) string {
	var p []byte
	for i := 0; i < len(pairs); i += 2 {
		p = word(binary.BigEndian.AppendUint16(p, uint16(pairs[i])), pairs[i+1])
	}
	return raw(frameSettings, 0, 0, string(p))
}

func goAwayFrame(last uint32, c errorCode) string {
	return raw(frameGoAway, 0, 0, be(last)+be(uint32(c)))
}

// get is the head of a request.
func get(more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "h"}, more...)
}

func post(more ...string) []string {
	return append([]string{":method", "POST", ":scheme", "http", ":path", "/", ":authority", "h"}, more...)
}

const end = flagEndStream

// clientHello is how a client begins.
func clientHello(pairs ...uint32) string { return clientPreface + settings(pairs...) }

// driver plays the loop of one connection.
type driver struct {
	tb   testing.TB
	conn *conn
	out  sdk.Buffer
	pool *sdk.BufferPool
	msg  sdk.Message
	ev   sdk.Event
	in   []byte
	dec  *oracle.Decoder // of what the codec writes
	log  []string
	err  error
	eat  bool // data is consumed as it comes
}

func drive(tb testing.TB, cfg *config) *driver {
	d := &driver{tb: tb, conn: cfg.New().(*conn), pool: sdk.NewBufferPool(8), dec: oracle.NewDecoder(4096, nil)}
	d.out.Init(d.pool)
	return d
}

// serve is a driver of a server that the client's preface and SETTINGS have reached.
func serve(tb testing.TB, pb *corev3.Http2ProtocolOptions, pairs ...uint32) *driver {
	d := drive(tb, newConfig(tb, sdk.Downstream, pb))
	d.feed(clientHello(pairs...))
	d.wrote()
	return d
}

// call is a driver of a client whose server has said its SETTINGS.
func call(tb testing.TB, pb *corev3.Http2ProtocolOptions, pairs ...uint32) *driver {
	d := drive(tb, newConfig(tb, sdk.Upstream, pb))
	d.feed(settings(pairs...))
	d.wrote()
	return d
}

// feed gives the codec input and returns the events that come of it, one a line.
func (d *driver) feed(p string) string {
	d.tb.Helper()
	d.in = append(d.in, p...)
	d.log = d.log[:0]
	for {
		d.decode()
		if d.err != nil || !d.conn.Pending() {
			break
		}
		d.conn.Flush(&d.out)
	}
	d.conn.Flush(&d.out)
	return strings.Join(d.log, "\n")
}

func (d *driver) decode() {
	for d.err == nil {
		d.ev.Msg = &d.msg
		n, err := d.conn.Decode(d.in, &d.ev)
		d.in = d.in[n:]
		var ce *sdk.CodecError
		switch {
		case errors.As(err, &ce) && ce.Stream:
			d.log = append(d.log, fmt.Sprintf("refused %d %s", d.ev.Stream, ce.Text))
		case err != nil:
			d.err = err
			d.log = append(d.log, "error "+err.Error())
		case d.ev.Kind == sdk.EventNone:
			return
		default:
			d.event()
		}
	}
}

func (d *driver) event() {
	ev := &d.ev
	name := [...]string{"none", "headers", "informational", "data", "trailers", "reset", "window", "goaway", "heartbeat", "dropped"}[ev.Kind]
	line := fmt.Sprintf("%s %d", name, ev.Stream)
	switch ev.Kind {
	case sdk.EventHeaders, sdk.EventInformational, sdk.EventTrailers:
		if d.msg.Upgrade {
			line += " upgrade"
		}
		for name, value := range d.msg.All() {
			line += fmt.Sprintf(" %s=%s", name, value)
		}
		if d.msg.Protocol != sdk.HTTP2 || d.msg.Codec != d.conn.cfg.codec {
			d.tb.Errorf("%s: protocol %v, codec %v", line, d.msg.Protocol, d.msg.Codec)
		}
	case sdk.EventData:
		if len(ev.Data) <= 32 {
			line += fmt.Sprintf(" %q", ev.Data)
		} else {
			line += fmt.Sprintf(" (%d)", len(ev.Data))
		}
		if d.eat {
			d.conn.Consumed(&d.out, ev.Stream, len(ev.Data))
		}
	case sdk.EventReset:
		line += " " + ev.Reset.String()
	}
	if ev.End {
		line += " end"
	}
	d.log = append(d.log, line)
}

// wrote returns what the codec has written since the last call, one frame a line.
func (d *driver) wrote() string {
	d.tb.Helper()
	p := d.out.Bytes(nil)
	d.out.Release()
	var lines []string
	if strings.HasPrefix(string(p), clientPreface) {
		lines = append(lines, "preface")
		p = p[len(clientPreface):]
	}
	for len(p) > 0 {
		var f frame
		f.parse(p)
		lines = append(lines, d.line(&f, p[headerSize:headerSize+f.length]))
		p = p[headerSize+f.length:]
	}
	return strings.Join(lines, "\n")
}

func (d *driver) line(f *frame, p []byte) string {
	names := [...]string{"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"}
	line := fmt.Sprintf("%s %d", names[f.kind], f.stream)
	switch f.kind {
	case frameData:
		if len(p) <= 32 {
			line += fmt.Sprintf(" %q", p)
		} else {
			line += fmt.Sprintf(" (%d)", len(p))
		}
	case frameHeaders:
		if !f.has(flagEndHeaders) {
			line += fmt.Sprintf(" (%d)", len(p))
			break
		}
		fields, err := d.dec.DecodeFull(p)
		if err != nil {
			d.tb.Fatalf("the header block %x cannot be read: %v", p, err)
		}
		for _, x := range fields {
			line += fmt.Sprintf(" %s=%s", x.Name, x.Value)
		}
	case frameReset, frameWindowUpdate:
		line += fmt.Sprintf(" %d", be32(p))
	case frameGoAway:
		line += fmt.Sprintf(" %d %d", be32(p), be32(p[4:]))
	case frameSettings:
		for ; len(p) > 0; p = p[settingSize:] {
			line += fmt.Sprintf(" %d=%d", binary.BigEndian.Uint16(p), be32(p[2:]))
		}
	case framePing:
		line += fmt.Sprintf(" %x", p)
	case frameContinuation:
		line += fmt.Sprintf(" (%d)", len(p))
	}
	if f.kind == frameSettings || f.kind == framePing {
		if f.has(flagAck) {
			line += " ack"
		}
	} else if f.has(flagEndStream) {
		line += " end"
	}
	return line
}

// want compares what happened with what should have.
func want(tb testing.TB, what, got, want string) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

// respond writes the head of a response.
func (d *driver) respond(id uint64, end bool, fields ...string) {
	d.tb.Helper()
	if err := d.conn.WriteHeaders(&d.out, id, message(append([]string{":status", "200"}, fields...)...), end); err != nil {
		d.tb.Fatal(err)
	}
}

// request opens a stream with a request.
func (d *driver) request(end bool, fields ...string) uint64 {
	d.tb.Helper()
	id := d.conn.NewStream()
	if err := d.conn.WriteHeaders(&d.out, id, message(fields...), end); err != nil {
		d.tb.Fatal(err)
	}
	return id
}

func testCompiler(tb testing.TB) sdk.Compiler { return sdktest.NewCompiler(tb) }

// tryDrive is drive for options that may be refused.
func tryDrive(tb testing.TB, pb *corev3.Http2ProtocolOptions) (*driver, error) {
	cfg, err := Codec().Compile(testCompiler(tb), sdk.Downstream, sdk.CodecOptions{Proto: pb})
	if err != nil {
		return nil, err
	}
	return drive(tb, cfg.(*config)), nil
}
