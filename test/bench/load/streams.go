//go:build linux

package load

import (
	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/h2"
	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// asker is one running plan of HTTP/2.
type asker struct {
	meter
	pipes   []*pipe
	free    ring[*stream] // open loop: idle callers, longest idle first
	request *h2.Message
	answer  *h2.Message
	next    uint64 // what the next request is marked with
	buf     []byte // holds nothing between events
}

// stream is one caller, and what it has under way: a request; or a call that goes on, with a message at a time.
type stream struct {
	pipe  *pipe
	id    uint32 // 0: idle
	mark  h2.Mark
	start int64 // when the request or message was due, by the meter's clock
	head  bool  // the answer's head has come
	whole bool  // and its message, which was right
	last  bool  // the call was told to end
	got   []byte
	room  int // a long stream's window
}

// pipe is one connection with its callers.
type pipe struct {
	h2.Link
	g       *asker
	streams []*stream
	id      uint32
	up      bool  // the handshake is over
	why     fault // of what came and was not liked
}

func runStreams(m meter) (Result, error) {
	g := &asker{meter: m, free: newRing[*stream](m.plan.Calls), request: h2.NewRequest(), answer: h2.NewAnswer(m.plan.HTTP2), buf: make([]byte, h2.BufferBytes)}
	defer g.shut()
	for range m.plan.Conns {
		p := &pipe{g: g}
		p.FD = -1
		g.pipes = append(g.pipes, p)
	}
	for i := range m.plan.Calls {
		p := g.pipes[i%len(g.pipes)]
		p.streams = append(p.streams, &stream{pipe: p})
	}
	for _, p := range g.pipes {
		p.open()
	}
	return g.measure(g.sendDue)
}

func (g *asker) shut() {
	for _, p := range g.pipes {
		p.shut()
	}
}

// sendDue sends the open loop's requests whose time has come, as far as callers are idle.
func (g *asker) sendDue() {
	if g.plan.Rate == 0 {
		return
	}
	for now := g.now(); g.free.len() > 0 && g.pace.due(now) > 0; {
		g.free.pop().ask(g.pace.next())
	}
	for _, p := range g.pipes {
		p.flush()
	}
}

// open starts the connection and has the loop report on it.
func (p *pipe) open() {
	fd, err := rawsock.Dial(p.g.plan.Target)
	if err == nil {
		if err = p.g.loop.Add(fd, rawsock.Edge, p); err != nil {
			rawsock.Close(fd)
		}
	}
	if err != nil {
		p.g.err = err // a local failure: out of ports or descriptors
		return
	}
	p.Dialed(fd, p)
	p.id = 1
	p.g.waiting++
}

func (p *pipe) shut() {
	if p.FD >= 0 {
		p.g.loop.Drop(p.FD)
		p.FD, p.up = -1, false
	}
}

// Ready is the loop's call.
func (p *pipe) Ready(events uint32) {
	if !p.up && !p.connected(events) {
		return
	}
	if events&unix.EPOLLOUT != 0 {
		p.Writable()
	}
	if events&(unix.EPOLLIN|rawsock.Ended) != 0 {
		p.why = faultCut
		if !p.Receive(events, p.g.buf) {
			p.fail(p.why)
			return
		}
	}
	p.flush()
}

// connected looks at the outcome of connecting; true when the connection stands. Its callers then ask, or wait until they are due.
func (p *pipe) connected(events uint32) bool {
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		p.fail(faultConnect)
		return false
	}
	if events&unix.EPOLLOUT == 0 {
		return false
	}
	p.up = true
	p.g.waiting--
	for _, s := range p.streams {
		s.goOn(p.g.now())
	}
	return true
}

// goOn has an idle caller do what comes next.
func (s *stream) goOn(now int64) {
	switch g := s.pipe.g; {
	case g.closing || g.err != nil:
	case g.plan.Rate > 0:
		g.free.push(s)
	default:
		s.ask(now)
	}
}

// ask writes the next request, or begins the next call.
func (s *stream) ask(due int64) {
	p, g := s.pipe, s.pipe.g
	g.waiting++
	*s = stream{pipe: p, id: p.id, got: s.got[:0], room: p.Window()}
	p.id += 2
	s.due(due)
	p.Ask(g.plan.HTTP2, s.id, g.request, s.mark)
	if g.plan.HTTP2 == h2.Stream {
		p.Say(s.id, g.request, s.mark, &s.room)
	}
}

// due begins what is measured.
func (s *stream) due(at int64) {
	s.pipe.g.next++
	s.mark, s.start, s.whole, s.got = h2.NewMark(s.pipe.g.next), at, false, s.got[:0]
}

// find gives the caller of a stream; nil when it has none any more.
func (p *pipe) find(id uint32) *stream {
	for _, s := range p.streams {
		if s.id == id && id != 0 {
			return s
		}
	}
	return nil
}

// Headers implements h2.Handler: the head of an answer, or its trailers.
func (p *pipe) Headers(id uint32, end bool) bool {
	s := p.find(id)
	if s == nil {
		return p.nobodys(id)
	}
	if !s.head {
		s.head = true
		if p.Head.Status() != 200 {
			s.end(faultStatus, !end)
			return true
		}
		if !end {
			return true
		}
	}
	switch {
	case !end:
		p.why = faultMalformed // informational responses and trailers with something behind them: nobody sends them
		return false
	case p.g.plan.HTTP2 == h2.Get:
		s.end(faultLength, false) // a page has no trailers
	case p.Head.Value("grpc-status") != "0":
		s.end(faultStatus, false)
	case p.g.plan.HTTP2 == h2.Stream && !s.last:
		s.end(faultCut, false)
	case !s.whole:
		s.end(faultLength, false)
	default:
		s.end(faults, false)
	}
	return true
}

// Data implements h2.Handler.
func (p *pipe) Data(id uint32, b []byte, end bool) bool {
	s := p.find(id)
	switch {
	case s == nil:
		return p.nobodys(id)
	case !s.head:
		p.why = faultMalformed
		return false
	case end && p.g.plan.HTTP2 != h2.Get:
		s.end(faultStatus, false) // no trailers, no status
		return true
	}
	if s.whole {
		if len(b) > 0 {
			s.end(faultLength, !end)
			return true
		}
	} else {
		if s.got = append(s.got, b...); len(s.got) < p.g.answer.Size() && !end {
			return true
		}
		mark, ok := p.g.answer.Match(s.got)
		if !ok {
			s.end(faultLength, !end)
			return true
		}
		if mark != s.mark {
			s.end(faultForeign, !end)
			return true
		}
		if s.whole = true; p.g.plan.HTTP2 == h2.Stream {
			s.said()
		}
	}
	if end {
		s.end(faults, false)
	}
	return true
}

// said has a long call go on, its message being answered.
func (s *stream) said() {
	p, g := s.pipe, s.pipe.g
	now := g.now()
	g.right(now, s.start)
	if g.closing {
		s.last = true
		p.End(s.id)
		return
	}
	s.due(now)
	p.Say(s.id, g.request, s.mark, &s.room)
}

// nobodys judges what came on a stream of nobody: one that we have reset may still speak.
func (p *pipe) nobodys(id uint32) bool {
	if id == 0 || id%2 == 0 || id >= p.id {
		p.why = faultForeign
		return false
	}
	return true
}

// end ends what the caller has under way, with a fault or without (faults), and has it go on. reset tells the peer.
func (s *stream) end(f fault, reset bool) {
	g, now := s.pipe.g, s.pipe.g.now()
	g.waiting--
	switch {
	case f != faults:
		g.fault(f)
	case g.plan.HTTP2 != h2.Stream: // whose messages were counted
		g.right(now, s.start)
	}
	if reset {
		s.pipe.Cancel(s.id)
	}
	s.id = 0
	s.goOn(now)
}

// Reset implements h2.Handler.
func (p *pipe) Reset(id uint32) {
	if s := p.find(id); s != nil {
		s.end(faultCut, false)
	}
}

// Room implements h2.Handler.
func (p *pipe) Room(id uint32) *int {
	if s := p.find(id); s != nil && p.g.plan.HTTP2 == h2.Stream {
		return &s.room
	}
	return nil
}

// Shift implements h2.Handler.
func (p *pipe) Shift(by int) {
	for _, s := range p.streams {
		s.room += by
	}
}

func (p *pipe) flush() {
	if p.up && !p.Flush() {
		p.fail(faultCut)
	}
}

// fail ends the connection, for the reason f, and cuts what is under way on it. Another takes its place. The end of a connection
// without calls is nobody's failure.
func (p *pipe) fail(f fault) {
	g := p.g
	if !p.up {
		g.waiting--
	}
	if f != faultCut {
		g.fault(f)
	}
	p.shut()
	for _, s := range p.streams {
		g.free.remove(s)
		if s.id != 0 {
			s.id = 0
			g.waiting--
			g.fault(faultCut)
		}
	}
	if g.err == nil && !g.closing {
		p.open()
	}
}
