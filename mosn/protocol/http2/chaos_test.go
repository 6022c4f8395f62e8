package http2

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
)

// consistent checks what must hold of a codec between two calls.
func consistent(tb testing.TB, c *conn) {
	tb.Helper()
	live, graves, waits, used := 0, 0, 0, 0
	for _, s := range c.all() {
		used++
		switch {
		case s.is(dead):
			graves++
		case s.over():
			if s.held <= 0 {
				tb.Fatalf("stream %d is over, and kept", s.id)
			}
		default:
			live++
		}
		if s.is(queued) {
			waits++
		}
		if s.is(queued) && s.is(starved) || s.held < s.aside || s.aside < 0 || s.owed < 0 || s.recv < 0 {
			tb.Fatalf("stream %+v", *s)
		}
	}
	if live != c.live || graves != c.graves.n || waits != c.waiting.n || used != c.used() {
		tb.Fatalf("%d live, %d dead, %d waiting of %d, and the codec says %d, %d, %d of %d", live, graves, waits, used, c.live, c.graves.n, c.waiting.n, c.used())
	}
	for _, l := range []*list{&c.graves, &c.waiting} {
		n, prev := 0, (*stream)(nil)
		for s := l.first; s != nil; n++ {
			if s.prev != prev || c.get(s.id) != s {
				tb.Fatalf("the list is broken at %d", s.id)
			}
			prev, s = s, s.next
		}
		if n != l.n || l.last != prev {
			tb.Fatalf("a list of %d has %d", l.n, n)
		}
	}
}

// wholeWindow is what the peer may send and what will be given back, in all.
func (c *conn) wholeWindow() int {
	n := int(c.recv) + int(c.owed)
	for _, s := range c.all() {
		if !s.is(dead) {
			n += int(s.held - s.aside)
		}
	}
	if !c.payload.discard {
		n += c.payload.left
	}
	return n
}

// chaos is a client and a server that do at random all that they may.
type chaos struct {
	t      *testing.T
	rnd    *rand.Rand
	ends   [2]*end2
	resets int
}

// end2 is one of the two.
type end2 struct {
	conn    *conn
	out     sdk.Buffer
	in      []byte
	peer    *end2
	streams map[uint64]*chaosStream
	msg     sdk.Message
}

type chaosStream struct {
	head, sentEnd, gotEnd bool
	length                int  // of what is sent, -1: not announced
	sent, got             int  // bytes
	held                  int  // not consumed
	aside                 int  // and parked
	wait                  bool // for an EventWindow
}

func newChaos(t *testing.T, seed uint64) *chaos {
	x := &chaos{t: t, rnd: rand.New(rand.NewPCG(seed, 7))}
	o := &corev3.Http2ProtocolOptions{
		InitialStreamWindowSize: u32(initialRoom), InitialConnectionWindowSize: u32(uint32(initialRoom + x.rnd.IntN(60_000))),
		MaxConcurrentStreams: u32(uint32(1 + x.rnd.IntN(20))), HpackTableSize: u32(uint32(x.rnd.IntN(5000))),
		StreamResetBurst: nil, MaxOutboundFrames: u32(1 << 30),
	}
	for i, side := range []sdk.Side{sdk.Upstream, sdk.Downstream} {
		e := &end2{conn: newConfig(t, side, o).New().(*conn), streams: map[uint64]*chaosStream{}}
		e.conn.resets = 1 << 30
		e.out.Init(sdk.NewBufferPool(64))
		x.ends[i] = e
	}
	x.ends[0].peer, x.ends[1].peer = x.ends[1], x.ends[0]
	return x
}

func TestChaos(t *testing.T) {
	for seed := range uint64(30) {
		x := newChaos(t, seed)
		for range 600 {
			x.step()
		}
		x.settle()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func (x *chaos) step() {
	e := x.ends[x.rnd.IntN(2)]
	switch k := x.rnd.IntN(20); {
	case k < 8:
		x.deliver(e, 1+x.rnd.IntN(20_000))
	case k < 10 && e.conn.next != 0 && e.conn.Reusable():
		id := e.conn.NewStream()
		e.streams[id] = &chaosStream{length: -1}
		x.head(e, id, x.rnd.IntN(4) == 0)
	case k < 17:
		for id, s := range e.streams {
			x.work(e, id, s)
			break
		}
	case k == 17:
		e.conn.WriteHeartbeat(&e.out)
	case k == 18:
		e.conn.Flush(&e.out)
	}
	consistent(x.t, e.conn)
	if n := e.conn.wholeWindow(); n != e.conn.cfg.connWindow {
		x.t.Fatalf("a window of %d has become one of %d", e.conn.cfg.connWindow, n)
	}
}

// head writes a head.
func (x *chaos) head(e *end2, id uint64, end bool) {
	s := e.streams[id]
	s.head = true
	m := message(get("x-id", fmt.Sprint(id), "x-same", "same")...)
	if e.conn.next == 0 {
		m = message(":status", "200", "x-same", "same")
	}
	if !end && x.rnd.IntN(2) == 0 {
		s.length = x.rnd.IntN(50_000)
		m.SetInt(sdk.HeaderContentLength, int64(s.length))
	}
	if err := e.conn.WriteHeaders(&e.out, id, m, end); err != nil {
		x.t.Fatal(err)
	}
	s.sentEnd = end
}

// work does something with a stream.
func (x *chaos) work(e *end2, id uint64, s *chaosStream) {
	switch k := x.rnd.IntN(30); {
	case !s.head:
		x.head(e, id, x.rnd.IntN(6) == 0)
	case k == 0 && (!s.sentEnd || !s.gotEnd):
		e.conn.WriteReset(&e.out, id, sdk.ResetLocal)
		delete(e.streams, id)
		x.resets++
		return
	case k < 10 && s.held > 0:
		n := 1 + x.rnd.IntN(s.held)
		s.held -= n
		s.aside -= min(n, s.aside)
		e.conn.Consumed(&e.out, id, n)
	case k < 15 && s.held > s.aside:
		n := 1 + x.rnd.IntN(s.held-s.aside)
		s.aside += n
		e.conn.Parked(&e.out, id, n)
	case !s.sentEnd && !s.wait:
		x.send(e, id, s, 1+x.rnd.IntN(30_000))
	}
	x.drop(e, id)
}

func (x *chaos) send(e *end2, id uint64, s *chaosStream, n int) {
	end := x.rnd.IntN(5) == 0
	if s.length >= 0 {
		n = min(n, s.length-s.sent)
		end = n == s.length-s.sent
	}
	trailers := end && x.rnd.IntN(3) == 0
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(s.sent + i)
	}
	k := e.conn.WriteData(&e.out, id, p, end && !trailers)
	s.sent += k
	switch {
	case k < n:
		s.wait = true
	case trailers:
		e.conn.WriteTrailers(&e.out, id, message("grpc-status", "0"))
		s.sentEnd = true
	case end:
		s.sentEnd = true
	}
}

// drop forgets a stream that is over.
func (x *chaos) drop(e *end2, id uint64) {
	if s := e.streams[id]; s != nil && s.sentEnd && s.gotEnd && s.held == 0 {
		delete(e.streams, id)
	}
}

// deliver moves up to n bytes of what the peer has written, and handles the events.
func (x *chaos) deliver(e *end2, n int) {
	from := &e.peer.out
	for n > 0 && !from.Empty() {
		p := from.First()
		p = p[:min(n, len(p))]
		e.in = append(e.in, p...)
		from.Drain(len(p))
		n -= len(p)
	}
	ev := sdk.Event{Msg: &e.msg}
	for {
		k, err := e.conn.Decode(e.in, &ev)
		e.in = e.in[k:]
		var ce *sdk.CodecError
		if errors.As(err, &ce) {
			x.t.Fatal(err)
		}
		if ev.Kind == sdk.EventNone {
			return
		}
		x.event(e, &ev)
		consistent(x.t, e.conn)
	}
}

func (x *chaos) event(e *end2, ev *sdk.Event) {
	s := e.streams[ev.Stream]
	switch ev.Kind {
	case sdk.EventHeaders:
		if s == nil {
			if e.conn.next != 0 {
				x.t.Fatal("a response to nothing")
			}
			s = &chaosStream{length: -1}
			e.streams[ev.Stream] = s
		}
		if ev.Msg.Value("x-same") != "same" {
			x.t.Fatal("a head without its field")
		}
	case sdk.EventData:
		for i, b := range ev.Data {
			if b != byte(s.got+i) {
				x.t.Fatal("data out of order")
			}
		}
		s.got += len(ev.Data)
		s.held += len(ev.Data)
	case sdk.EventReset:
		delete(e.streams, ev.Stream)
		x.resets++
		return
	case sdk.EventWindow:
		if s != nil {
			s.wait = false
		}
		return
	case sdk.EventHeartbeat, sdk.EventDropped:
		return
	}
	s.gotEnd = s.gotEnd || ev.End || ev.Kind == sdk.EventTrailers
	x.drop(e, ev.Stream)
}

// settle has both ends finish what they have begun, and looks at what is left.
func (x *chaos) settle() {
	for range 10_000 {
		busy := false
		for _, e := range x.ends {
			x.deliver(e, 1<<20)
			for id, s := range e.streams {
				busy = true
				if s.held > 0 {
					e.conn.Consumed(&e.out, id, s.held)
					s.held = 0
				}
				if !s.head {
					x.head(e, id, true)
				}
				if !s.sentEnd && !s.wait {
					x.send(e, id, s, 60_000)
				}
				x.drop(e, id)
			}
			e.conn.Flush(&e.out)
		}
		if !busy && x.ends[0].out.Empty() && x.ends[1].out.Empty() && !x.ends[0].conn.Pending() && !x.ends[1].conn.Pending() {
			break
		}
	}
	for i, e := range x.ends {
		c := e.conn
		if c.live != 0 || c.used() != c.graves.n || int(c.recv+c.owed) != c.cfg.connWindow || len(e.streams) > 0 {
			x.t.Errorf("end %d: %d live streams of %d, %d dead, %d unknown to us, room for %d of %d", i, c.live, c.used(), c.graves.n, len(e.streams), c.recv+c.owed, c.cfg.connWindow)
		}
		if c.send != e.peer.conn.recv {
			x.t.Errorf("end %d may send %d, its peer takes %d", i, c.send, e.peer.conn.recv)
		}
	}
}
