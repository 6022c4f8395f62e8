package codectest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// Suite describes one side of one codec.
type Suite struct {
	// New makes a connection that has seen nothing.
	New func() sdk.CodecConn
	// Open is called before the first byte, and after each message that ended, with
	// the id of that message (0 before the first): an upstream side writes its next
	// request there, a downstream side of a Serial codec its response. It returns
	// false to stop reading. Nil does nothing.
	Open func(conn sdk.CodecConn, out *sdk.Buffer, ended uint64) bool
}

// Read feeds the pieces to a new connection as they would arrive, then the end of
// the input, and returns what came of it, one line an event. Data events that
// follow each other are one line. A broken promise of the codec fails the test.
func (s Suite) Read(tb testing.TB, pieces ...[]byte) string {
	tb.Helper()
	return s.read(tb, sdk.NewBufferPool(4), pieces...)
}

// read is Read with a pool that many reads share.
func (s Suite) read(tb testing.TB, pool *sdk.BufferPool, pieces ...[]byte) string {
	tb.Helper()
	r := &reader{tb: tb, suite: s, conn: s.New(), pool: pool}
	r.out.Init(pool)
	r.open(0)
	for _, p := range pieces {
		if r.over {
			break
		}
		r.feed(p)
	}
	r.finish()
	return r.log.String()
}

// Splits checks that input gives the same events when it is cut in two at every
// byte (or, over 2000 bytes, at some), and when it arrives byte by byte.
func (s Suite) Splits(tb testing.TB, input []byte) {
	tb.Helper()
	pool := sdk.NewBufferPool(4)
	want := s.read(tb, pool, input)
	step := 1 + len(input)/2000
	for i := 1; i < len(input); i += step {
		if got := s.read(tb, pool, input[:i], input[i:]); got != want {
			tb.Fatalf("cut at %d of %q:\n%s\nwant, as in one piece:\n%s", i, input, got, want)
		}
	}
	if len(input) > 8000 {
		return
	}
	var single [][]byte
	for i := range input {
		single = append(single, input[i:i+1])
	}
	if got := s.read(tb, pool, single...); got != want {
		tb.Fatalf("byte by byte %q:\n%s\nwant, as in one piece:\n%s", input, got, want)
	}
}

// Shuffled is Splits with a few random cuts, for fuzz targets.
func (s Suite) Shuffled(tb testing.TB, input []byte, seed uint64) {
	tb.Helper()
	pool := sdk.NewBufferPool(4)
	want := s.read(tb, pool, input)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range 4 {
		var pieces [][]byte
		for rest := input; len(rest) > 0; {
			n := 1 + rnd.IntN(min(len(rest), max(40, len(input)/50)))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		if got := s.read(tb, pool, pieces...); got != want {
			tb.Fatalf("in pieces %q:\n%s\nwant, as in one piece:\n%s", pieces, got, want)
		}
	}
}

// Mutated reads input with bytes changed, doubled and taken out, in pieces and as
// a whole. It is a smoke test of hostile input; fuzz targets go deeper.
func (s Suite) Mutated(tb testing.TB, input []byte, rounds int) {
	tb.Helper()
	rnd := rand.New(rand.NewPCG(uint64(len(input)), 2))
	odd := []byte("\r\n\x00\t :,;\x7f\xff0A-")
	for range rounds {
		p := bytes.Clone(input)
		for range 1 + rnd.IntN(3) {
			i := rnd.IntN(len(p))
			switch rnd.IntN(3) {
			case 0:
				p[i] = odd[rnd.IntN(len(odd))]
			case 1:
				p = append(p[:i:i], p[min(len(p), i+1+rnd.IntN(4)):]...)
			case 2:
				p = append(p[:i:i], append([]byte{odd[rnd.IntN(len(odd))]}, p[i:]...)...)
			}
			if len(p) == 0 {
				break
			}
		}
		s.Shuffled(tb, p, rnd.Uint64())
	}
}

// reader plays the event loop for one connection.
type reader struct {
	tb      testing.TB
	suite   Suite
	conn    sdk.CodecConn
	out     sdk.Buffer
	pool    *sdk.BufferPool
	pending []byte
	msg     sdk.Message
	ev      sdk.Event
	log     strings.Builder
	data    []byte
	stream  uint64 // of data
	said    []byte // by a Talker of itself
	broken  bool   // the last Decode has refused a stream
	over    bool
}

func (r *reader) open(ended uint64) {
	if r.suite.Open != nil && !r.suite.Open(r.conn, &r.out, ended) {
		r.over = true
	}
	r.out.Release()
}

// feed gives the codec all that is not consumed, in memory of exactly that size,
// which is overwritten afterwards: nothing may point there.
func (r *reader) feed(p []byte) {
	in := append(make([]byte, 0, len(r.pending)+len(p)), r.pending...)
	in = append(in, p...)
	in = in[:len(in):len(in)]
	all := in
	for len(in) > 0 && !r.over {
		r.broken = false
		n, err := r.decode(in)
		in = in[n:]
		if err != nil || n == 0 && r.ev.Kind == sdk.EventNone && !r.broken {
			break
		}
	}
	r.talk()
	r.pending = bytes.Clone(in)
	for i := range all {
		all[i] = 0xdb
	}
}

// talk writes what the codec says by itself, and takes the events that follow.
func (r *reader) talk() {
	t, ok := r.conn.(sdk.Talker)
	for i := 0; ok && !r.over && t.Pending(); i++ {
		if i == 1000 {
			r.tb.Fatalf("the codec talks without end")
		}
		t.Flush(&r.out)
		r.said = r.out.Bytes(r.said)
		r.out.Release()
		r.decode(nil)
	}
}

func (r *reader) decode(in []byte) (int, error) {
	r.tb.Helper()
	r.ev.Msg = &r.msg
	before := string(in)
	n, err := r.conn.Decode(in, &r.ev)
	if string(in) != before {
		r.tb.Fatalf("Decode has written to its input %q", before)
	}
	if n < 0 || n > len(in) {
		r.tb.Fatalf("Decode of %d bytes has consumed %d", len(in), n)
	}
	var c *sdk.CodecError
	switch {
	case errors.As(err, &c) && c.Stream:
		r.refused(c)
	case err != nil:
		r.fail(err)
		return n, err
	default:
		r.event(n)
	}
	return n, nil
}

// fail notes an error, which ends the connection.
func (r *reader) fail(err error) {
	r.flush()
	r.over = true
	var c *sdk.CodecError
	if !errors.As(err, &c) {
		r.tb.Fatalf("the error %q is no *sdk.CodecError", err)
	}
	fmt.Fprintf(&r.log, "error %d %s: %s\n", c.Status, c.Details, c.Text)
}

// refused notes an error that breaks one stream only.
func (r *reader) refused(c *sdk.CodecError) {
	r.flush()
	r.broken = true
	fmt.Fprintf(&r.log, "refused %d %d %s: %s\nend %d\n", r.ev.Stream, c.Status, c.Details, c.Text, r.ev.Stream)
	r.open(r.ev.Stream)
}

// event notes an event.
func (r *reader) event(n int) {
	ev := &r.ev
	switch ev.Kind {
	case sdk.EventNone:
		return
	case sdk.EventData:
		if n == 0 && len(ev.Data) > 0 {
			r.tb.Fatalf("data %q, and nothing is consumed", ev.Data)
		}
		if r.stream != ev.Stream {
			r.flush()
		}
		r.stream = ev.Stream
		r.data = append(r.data, ev.Data...)
	default:
		r.flush()
		fmt.Fprintf(&r.log, "%s %d", kind(ev.Kind), ev.Stream)
		if ev.Kind == sdk.EventHeaders || ev.Kind == sdk.EventInformational || ev.Kind == sdk.EventTrailers {
			r.message()
		}
		r.log.WriteByte('\n')
	}
	if ev.End || ev.Kind == sdk.EventTrailers || ev.Kind == sdk.EventReset {
		r.flush()
		fmt.Fprintf(&r.log, "end %d\n", ev.Stream)
		r.open(ev.Stream)
	}
}

// message notes the head or the trailers of the event.
func (r *reader) message() {
	m := &r.msg
	fmt.Fprintf(&r.log, " %s", m.Protocol)
	for _, flag := range []struct {
		on   bool
		name string
	}{{m.Close, " close"}, {m.Upgrade, " upgrade"}, {m.OneWay, " oneway"}, {m.Timeout != 0, " timeout=" + m.Timeout.String()}} {
		if flag.on {
			r.log.WriteString(flag.name)
		}
	}
	for name, value := range m.All() {
		fmt.Fprintf(&r.log, " %s=%q", name, value)
	}
	if len(m.Frame) > 0 {
		fmt.Fprintf(&r.log, " frame=%x", m.Frame)
	}
}

// flush notes the data gathered so far.
func (r *reader) flush() {
	if len(r.data) > 0 {
		fmt.Fprintf(&r.log, "data %d %q\n", r.stream, r.data)
		r.data = r.data[:0]
	}
}

// finish ends the input.
func (r *reader) finish() {
	if !r.over {
		r.ev.Msg = &r.msg
		if err := r.conn.EOF(&r.ev); err != nil {
			r.fail(err)
		} else {
			r.event(0)
		}
	}
	r.flush()
	if t, ok := r.conn.(sdk.Talker); ok { // what it read before an error is still answered
		t.Flush(&r.out)
		r.said = r.out.Bytes(r.said)
	}
	if len(r.said) > 0 {
		fmt.Fprintf(&r.log, "said %x\n", r.said)
	}
	r.out.Release()
	if r.pool.InUse() != 0 {
		r.tb.Fatalf("%d chunks are lost", r.pool.InUse())
	}
}

func kind(k sdk.EventKind) string {
	return [...]string{
		"none", "headers", "informational", "data", "trailers", "reset", "window", "goaway", "heartbeat", "dropped",
	}[k]
}
