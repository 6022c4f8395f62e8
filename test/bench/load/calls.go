//go:build linux

package load

import (
	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/bolt"
	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// callers is one running plan of Bolt.
type callers struct {
	meter
	lines   []*line
	free    ring[*call] // open loop: idle callers, longest idle first
	request *bolt.Message
	answer  *bolt.Message
	next    uint64 // what the next call is marked with
	buf     []byte // holds nothing between events
}

// call is one caller, and the call it has under way.
type call struct {
	line  *line
	busy  bool
	id    uint32
	mark  bolt.Mark
	start int64 // when the call was due, by the meter's clock
}

// idSlots is a power of two above the calls of one connection.
const idSlots = 1024

// line is one connection with its callers. Ids are counted up; one whose slot is taken by a call that waits for long is left out.
type line struct {
	bolt.Link
	g     *callers
	take  func(bolt.Frame, []byte) bool
	up    bool // the handshake is over
	calls []*call
	id    uint32
	byID  [idSlots]*call
	why   fault // of a frame that take did not like
	dead  bool  // a write failed
}

func runCalls(m meter) (Result, error) {
	g := &callers{meter: m, free: newRing[*call](m.plan.Calls), request: bolt.NewRequest(), answer: bolt.NewAnswer(), buf: make([]byte, bolt.BufferBytes)}
	defer g.shut()
	for range m.plan.Conns {
		l := &line{g: g}
		l.FD, l.take = -1, l.answered
		g.lines = append(g.lines, l)
	}
	for i := range m.plan.Calls {
		l := g.lines[i%len(g.lines)]
		l.calls = append(l.calls, &call{line: l})
	}
	for _, l := range g.lines {
		l.open()
	}
	return g.measure(g.sendDue)
}

func (g *callers) shut() {
	for _, l := range g.lines {
		l.shut()
	}
}

// sendDue sends the open loop's calls whose time has come, as far as callers are idle.
func (g *callers) sendDue() {
	if g.plan.Rate == 0 {
		return
	}
	for now := g.now(); g.free.len() > 0 && g.pace.due(now) > 0; {
		g.free.pop().ask(g.pace.next())
	}
	for _, l := range g.lines {
		l.flush()
	}
}

// open starts the connection and has the loop report on it.
func (l *line) open() {
	fd, err := rawsock.Dial(l.g.plan.Target)
	if err == nil {
		if err = l.g.loop.Add(fd, rawsock.Edge, l); err != nil {
			rawsock.Close(fd)
		}
	}
	if err != nil {
		l.g.err = err // a local failure: out of ports or descriptors
		return
	}
	l.Dialed(fd)
	l.dead = false
	l.g.waiting++
}

func (l *line) shut() {
	if l.FD >= 0 {
		l.g.loop.Drop(l.FD)
		l.FD, l.up = -1, false
	}
}

// Ready is the loop's call.
func (l *line) Ready(events uint32) {
	if !l.up && !l.connected(events) {
		return
	}
	if events&unix.EPOLLOUT != 0 {
		l.Writable()
	}
	if events&(unix.EPOLLIN|rawsock.Ended) != 0 {
		l.why = faultCut
		if !l.Receive(events, l.g.buf, l.take) {
			l.fail(l.why)
			return
		}
	}
	l.flush()
}

// connected looks at the outcome of connecting; true when the connection stands. Its callers then ask, or wait until they are due.
func (l *line) connected(events uint32) bool {
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		l.fail(faultConnect)
		return false
	}
	if events&unix.EPOLLOUT == 0 {
		return false
	}
	l.up = true
	l.Writable()
	l.g.waiting--
	for _, c := range l.calls {
		c.goOn(l.g.now())
	}
	return true
}

// goOn has an idle caller do what comes next.
func (c *call) goOn(now int64) {
	switch g := c.line.g; {
	case g.closing:
	case g.plan.Rate > 0:
		g.free.push(c)
	default:
		c.ask(now)
	}
}

// ask sends the next call, or queues it until its line is flushed.
func (c *call) ask(due int64) {
	l := c.line
	for l.id++; l.byID[l.id%idSlots] != nil; l.id++ {
	}
	l.byID[l.id%idSlots] = c
	l.g.next++
	l.g.waiting++
	c.busy, c.id, c.mark, c.start = true, l.id, bolt.NewMark(l.g.next), due
	l.Out = l.g.request.Append(l.Out, c.id, c.mark)
	if !l.g.plan.Gather {
		l.dead = l.dead || !l.Flush()
	}
}

// end ends the caller's call.
func (c *call) end() {
	c.line.byID[c.id%idSlots] = nil
	c.busy = false
	c.line.g.waiting--
}

// answered holds an answer against the call it is for; false when the connection cannot be trusted any more.
func (l *line) answered(f bolt.Frame, frame []byte) bool {
	if f.Kind != bolt.KindAnswer || f.Command != bolt.CommandAnswer {
		l.why = faultMalformed
		return false
	}
	c := l.byID[f.ID%idSlots]
	if c == nil || c.id != f.ID {
		l.why = faultForeign
		return false
	}
	g := l.g
	now := g.now()
	content := frame[f.Content:]
	mark, whole := g.answer.Match(content)
	c.end()
	switch {
	case f.Status != 0:
		g.fault(faultStatus)
	case !whole:
		g.fault(faultLength)
	case mark != c.mark:
		g.fault(faultForeign)
	default:
		g.right(now, c.start)
	}
	if g.err == nil {
		c.goOn(now)
	}
	return true
}

func (l *line) flush() {
	if l.up && (l.dead || !l.Flush()) {
		l.fail(faultCut)
	}
}

// fail ends the connection, for the reason f, and cuts the calls under way on it. Another takes its place. The end of a connection
// without calls is nobody's failure.
func (l *line) fail(f fault) {
	g := l.g
	if !l.up {
		g.waiting--
	}
	if f != faultCut {
		g.fault(f)
	}
	l.shut()
	for _, c := range l.calls {
		g.free.remove(c)
		if c.busy {
			c.end()
			g.fault(faultCut)
		}
	}
	if g.err == nil && !g.closing {
		l.open()
	}
}
