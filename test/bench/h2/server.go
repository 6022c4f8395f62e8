//go:build linux

package h2

import (
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// maxStreams is how many streams a connection may have open. It is not announced: gRPC's servers set no limit either.
const maxStreams = 8192

// Server answers each request with the mark that it carries: GET with a page, a gRPC message with another, and calls with a status
// behind it. A message that is not what the load sends ends its call with a status other than 0.
//
// All that a turn of the loop answers to a connection goes out with one write.
type Server struct {
	loop     *rawsock.Loop
	listener int
	request  *Message
	page     *Message
	answer   *Message
	idle     []*exchange // taken again, so that nothing is allocated for a request
	buf      [BufferBytes]byte
}

// served is one connection.
type served struct {
	Link
	s       *Server
	streams map[uint32]*exchange
}

// exchange is a gRPC call that goes on. GET is answered at once.
type exchange struct {
	kind    Kind
	started bool // its head was answered
	got     []byte
	room    int
}

// NewServer listens on addr (port 0: any) and serves from loop.
func NewServer(loop *rawsock.Loop, addr netip.AddrPort) (*Server, error) {
	fd, err := rawsock.Listen(addr)
	if err != nil {
		return nil, err
	}
	s := &Server{loop: loop, listener: fd, request: NewRequest(), page: NewAnswer(Get), answer: NewAnswer(Unary)}
	if err := loop.Add(fd, unix.EPOLLIN, s); err != nil {
		rawsock.Close(fd)
		return nil, err
	}
	return s, nil
}

// Port is the port the server listens on.
func (s *Server) Port() (uint16, error) { return rawsock.Port(s.listener) }

// Ready accepts what waits. It is the listener's handler.
func (s *Server) Ready(uint32) {
	for {
		fd, errno := rawsock.Accept(s.listener)
		if errno != 0 {
			return // drained, or the client has gone: epoll reports a listener that still has something
		}
		c := &served{s: s, streams: map[uint32]*exchange{}}
		c.Accepted(fd, c)
		if err := s.loop.Add(fd, rawsock.Edge, c); err != nil {
			rawsock.Close(fd)
		}
	}
}

// Ready answers all that the connection holds.
func (c *served) Ready(events uint32) {
	if events&unix.EPOLLOUT != 0 {
		c.Writable()
	}
	alive := events&(unix.EPOLLIN|rawsock.Ended) == 0 || c.Receive(events, c.s.buf[:])
	if !c.Flush() || !alive {
		c.s.loop.Drop(c.FD)
	}
}

// Headers implements Handler.
func (c *served) Headers(id uint32, end bool) bool {
	if c.streams[id] != nil {
		return false // no client has trailers
	}
	path := c.Head.Path()
	if c.Head.Method() == "GET" && end {
		at := len(c.Out)
		c.appendHeaders(id, pageBlock, false)
		var mark Mark
		copy(mark[:], strings.TrimPrefix(path, getPath))
		c.appendData(id, c.s.page, mark, true)
		c.charge(at, c.s.page.Size(), nil)
		return true
	}
	kind := None
	switch {
	case c.Head.Method() != "POST" || end || c.Head.Value("content-type") != "application/grpc" || c.Head.Value("te") != "trailers":
	case path == unaryPath:
		kind = Unary
	case path == streamPath:
		kind = Stream
	}
	if kind == None {
		c.trailers(id, refusedBlock)
		return true
	}
	if len(c.streams) >= maxStreams {
		return false
	}
	x := c.s.take()
	x.kind, x.room = kind, c.Window()
	c.streams[id] = x
	return true
}

func (s *Server) take() *exchange {
	if len(s.idle) == 0 {
		return &exchange{}
	}
	x := s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
	*x = exchange{got: x.got[:0]}
	return x
}

// Data implements Handler. A message may come in any number of pieces.
func (c *served) Data(id uint32, p []byte, end bool) bool {
	x := c.streams[id]
	if x == nil {
		return true // of a call that was ended
	}
	size := c.s.request.Size()
	for {
		n := min(len(p), size-len(x.got))
		x.got, p = append(x.got, p[:n]...), p[n:]
		if len(x.got) < size {
			break
		}
		mark, ok := c.s.request.Match(x.got)
		if !ok || x.kind == Unary && (len(p) > 0 || x.started) {
			c.finish(id, failedBlock)
			return true
		}
		c.say(id, x, mark)
		x.got = x.got[:0]
	}
	if end {
		status := doneBlock
		if len(x.got) > 0 || !x.started {
			status = failedBlock
		}
		c.finish(id, status)
	}
	return true
}

// say answers a message.
func (c *served) say(id uint32, x *exchange, mark Mark) {
	at := len(c.Out)
	if !x.started {
		x.started = true
		c.appendHeaders(id, startBlock, false)
	}
	c.appendData(id, c.s.answer, mark, false)
	room := &x.room
	if x.kind == Unary {
		room = nil // it is one message, and the exchange is soon another's
	}
	c.charge(at, c.s.answer.Size(), room)
}

// finish ends a call with its trailers. One that never started has them without a head, as a response of its own.
func (c *served) finish(id uint32, b block) {
	x := c.streams[id]
	if !x.started {
		b = refusedBlock
	}
	delete(c.streams, id)
	if x.kind == Unary { // others may have something held back
		c.s.idle = append(c.s.idle, x)
	}
	c.trailers(id, b)
}

// trailers writes a header block that ends its stream.
func (c *served) trailers(id uint32, b block) {
	at := len(c.Out)
	c.appendHeaders(id, b, true)
	c.charge(at, 0, nil)
}

// Reset implements Handler.
func (c *served) Reset(id uint32) { delete(c.streams, id) }

// Room implements Handler.
func (c *served) Room(id uint32) *int {
	if x := c.streams[id]; x != nil && x.kind == Stream {
		return &x.room
	}
	return nil
}

// Shift implements Handler.
func (c *served) Shift(by int) {
	for _, x := range c.streams {
		x.room += by
	}
}
