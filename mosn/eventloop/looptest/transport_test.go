package looptest

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// rot is a transport whose handshake is one byte each way and which adds 1 to every
// byte; 0 on the wire says that nothing follows.
type rot struct {
	dialled       bool
	held          []byte
	ended, closed bool
	answer        eventloop.Timer
	conn          *eventloop.Conn
}

var errRot = errors.New("wrong byte")

func (r *rot) Start(c *eventloop.Conn) {
	r.conn = c
	r.answer.Init(c.Loop(), r)
	if r.dialled {
		c.Wire().AppendByte('H')
	}
}

func (r *rot) OnWire(_ *eventloop.Conn, wire []byte) bool {
	r.held = append(r.held, wire...)
	r.answer.Arm(time.Millisecond) // elsewhere
	return false
}

func (r *rot) OnTimer(*eventloop.Timer) {
	if r.held[0] != 'H' {
		r.conn.Wire().AppendString("!")
		r.conn.Fail(&eventloop.Error{Op: "handshake", Kind: eventloop.KindTransport, Cause: errRot})
		return
	}
	if !r.dialled {
		r.conn.Wire().AppendByte('H')
	}
	r.conn.Secured(r.held[1:])
}

func (r *rot) Read(c *eventloop.Conn, p []byte) (int, error) {
	if r.ended {
		return 0, io.EOF
	}
	n, err := c.ReadWire(p)
	for i, b := range p[:n] {
		if b == 0 {
			r.ended = true
			return i, nil
		}
		p[i] = b - 1
	}
	return n, err
}

func (r *rot) Write(c *eventloop.Conn, p []byte) error {
	for _, b := range p {
		c.Wire().AppendByte(b + 1)
	}
	return nil
}

func (r *rot) CloseWrite(c *eventloop.Conn) { c.Wire().AppendByte(0) }
func (r *rot) Closed(*eventloop.Conn)       { r.closed = true; r.answer.Stop() }
func (r *rot) Info() *sdk.TLSInfo           { return nil }

// owner keeps what it is told.
type owner struct {
	eventloop.NopHandler
	got                    bytes.Buffer
	take                   int // bytes a call, 0 for all
	connected, eof, closed int
	drained                int
	err                    error
}

func (o *owner) OnConnect(*eventloop.Conn) { o.connected++ }
func (o *owner) OnData(_ *eventloop.Conn, in []byte) int {
	n := len(in)
	if o.take > 0 {
		n = min(n, o.take)
	}
	o.got.Write(in[:n])
	return n
}
func (o *owner) OnEOF(*eventloop.Conn)     { o.eof++ }
func (o *owner) OnDrained(*eventloop.Conn) { o.drained++ }
func (o *owner) OnClose(_ *eventloop.Conn, err error) {
	o.closed++
	o.err = err
}

func sealed(s string) string {
	b := []byte(s)
	for i := range b {
		b[i]++
	}
	return string(b)
}

// secured returns a dialled connection that has made its handshake.
func secured(t *testing.T, e *Env) (*owner, *rot, *eventloop.Conn, *Peer) {
	t.Helper()
	to := eventloop.TCPAddr(netip.MustParseAddrPort("10.0.0.1:1"))
	e.OnDial(to, Accept)
	o, tr := &owner{}, &rot{dialled: true}
	c := e.Loop.Dial(to, &eventloop.DialConfig{Timeout: time.Second}, o)
	c.SetTransport(tr, 0)
	c.Out().AppendString("early")
	e.Settle()
	p := e.Dialled(to)
	if got := p.Received(); got != "H" || o.connected != 0 || c.Established() {
		t.Fatalf("before the handshake: %q, connected %d", got, o.connected)
	}
	p.Send("H" + sealed("hello"))
	e.Advance(2 * time.Millisecond)
	if got := p.Received(); got != sealed("early") || o.connected != 1 || o.got.String() != "hello" || !c.Established() {
		t.Fatalf("after it: %q, connected %d, got %q", got, o.connected, o.got.String())
	}
	return o, tr, c, p
}

func TestTransport(t *testing.T) {
	e := New(t)
	o, tr, c, p := secured(t, e)
	o.got.Reset()
	o.take = 2
	p.Send(sealed("abcde"))
	e.Settle()
	for range 5 {
		c.Resume()
		e.Settle()
	}
	if o.got.String() != "abcde" {
		t.Errorf("in twos: %q", o.got.String())
	}
	c.ReadDisable(true)
	p.Send(sealed("later"))
	e.Settle()
	if o.got.String() != "abcde" {
		t.Error("presented while reading is disabled")
	}
	o.take = 0
	c.ReadDisable(false)
	e.Settle()
	if o.got.String() != "abcdelater" || c.BytesIn() != 15 {
		t.Errorf("%q, %d bytes", o.got.String(), c.BytesIn())
	}
	// A window that is smaller than what is queued.
	p.Window(3)
	c.NotifyFlushed()
	c.Out().AppendString("slowly")
	e.Settle()
	if o.drained != 0 || c.Queued() == 0 || c.BytesOut() >= 5+6 {
		t.Errorf("drained %d, queued %d, out %d", o.drained, c.Queued(), c.BytesOut())
	}
	p.Window(-1)
	e.Settle()
	if o.drained != 1 || c.Queued() != 0 || c.BytesOut() != 5+6 || p.Received() != sealed("slowly") {
		t.Errorf("drained %d, queued %d, out %d", o.drained, c.Queued(), c.BytesOut())
	}
	// The end of either direction.
	p.Send(sealed("end") + "\x00")
	e.Settle()
	if o.eof != 1 || o.got.String() != "abcdelaterend" {
		t.Errorf("%d eof, %q", o.eof, o.got.String())
	}
	c.Out().AppendString("bye")
	c.CloseWrite()
	e.Settle()
	if p.Received() != sealed("bye")+"\x00" || !p.Ended() {
		t.Error("our end was not told")
	}
	c.Close()
	e.Settle()
	if o.closed != 1 || o.err != nil || !tr.closed || p.Received() != "" {
		t.Errorf("closed %d, %v", o.closed, o.err)
	}
}

func TestTransportEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(e *Env, c *eventloop.Conn, p *Peer)
		kind eventloop.Kind
		wire string // at the end
	}{
		"we close":       {func(_ *Env, c *eventloop.Conn, _ *Peer) { c.Close() }, 0, "\x00"},
		"we flush":       {func(_ *Env, c *eventloop.Conn, _ *Peer) { c.Out().AppendString("x"); c.CloseFlush(0) }, 0, "y\x00"},
		"we cut":         {func(_ *Env, c *eventloop.Conn, p *Peer) { p.Window(0); c.Out().AppendString("x"); c.Close() }, 0, ""},
		"we reset":       {func(_ *Env, c *eventloop.Conn, _ *Peer) { c.Reset() }, 0, ""},
		"a truncation":   {func(_ *Env, _ *eventloop.Conn, p *Peer) { p.Send(sealed("x")); p.CloseWrite() }, eventloop.KindTruncated, ""},
		"a reset":        {func(_ *Env, _ *eventloop.Conn, p *Peer) { p.Reset() }, eventloop.KindReset, ""},
		"a delayed end":  {func(_ *Env, c *eventloop.Conn, _ *Peer) { c.CloseDelayed(time.Second, 0) }, eventloop.KindTimeout, "\x00"},
		"a panic":        {func(e *Env, c *eventloop.Conn, p *Peer) { c.SetHandler(panicking{}); p.Send("x") }, eventloop.KindPanic, ""},
		"a quiet second": {func(e *Env, c *eventloop.Conn, _ *Peer) { e.Advance(2 * time.Second); c.Close() }, 0, "\x00"},
	} {
		e := New(t)
		o, _, c, p := secured(t, e)
		tt.do(e, c, p)
		e.Advance(2 * time.Second)
		if got := p.Received(); got != tt.wire {
			t.Errorf("%s: %q on the wire, want %q", name, got, tt.wire)
		}
		if name != "a panic" && (o.closed != 1 || (o.err == nil) != (tt.kind == 0) || o.err != nil && eventloop.KindOf(o.err) != tt.kind) {
			t.Errorf("%s: closed %d, %v", name, o.closed, o.err)
		}
		if !p.Closed() {
			t.Errorf("%s: not closed", name)
		}
	}
}

type panicking struct{ eventloop.NopHandler }

func (panicking) OnData(*eventloop.Conn, []byte) int { panic("in OnData") }

// TestHandshakeEnds: one that fails, one that takes too long, one that is cut off.
func TestHandshakeEnds(t *testing.T) {
	to := eventloop.TCPAddr(netip.MustParseAddrPort("10.0.0.1:1"))
	for name, tt := range map[string]struct {
		do   func(e *Env, c *eventloop.Conn, p *Peer)
		kind eventloop.Kind
		wire string
	}{
		"wrong":      {func(_ *Env, _ *eventloop.Conn, p *Peer) { p.Send("X") }, eventloop.KindTransport, "H!"},
		"silent":     {func(*Env, *eventloop.Conn, *Peer) {}, eventloop.KindTimeout, "H"},
		"the end":    {func(_ *Env, _ *eventloop.Conn, p *Peer) { p.CloseWrite() }, eventloop.KindTruncated, "H"},
		"a reset":    {func(_ *Env, _ *eventloop.Conn, p *Peer) { p.Reset() }, eventloop.KindReset, "H"},
		"we close":   {func(_ *Env, c *eventloop.Conn, _ *Peer) { c.Close() }, 0, "H"},
		"last words": {func(_ *Env, c *eventloop.Conn, _ *Peer) { c.Out().AppendString("x"); c.CloseFlush(time.Second) }, 0, "H"},
	} {
		e := New(t)
		e.OnDial(to, Accept)
		o, tr := &owner{}, &rot{dialled: true}
		c := e.Loop.Dial(to, &eventloop.DialConfig{Timeout: time.Second}, o)
		c.SetTransport(tr, 0)
		e.Settle()
		p := e.Dialled(to)
		tt.do(e, c, p)
		e.Advance(3 * time.Second)
		if got := p.Received(); got != tt.wire || o.closed != 1 || (o.err == nil) != (tt.kind == 0) || o.err != nil && eventloop.KindOf(o.err) != tt.kind || !tr.closed || o.connected != 0 {
			t.Errorf("%s: %q on the wire, closed %d, %v", name, got, o.closed, o.err)
		}
	}
}
