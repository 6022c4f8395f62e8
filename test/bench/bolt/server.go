//go:build linux

package bolt

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

const statusError = 1

// Server answers each call with the mark that it carries. A call whose content is not what the load sent is answered with an error;
// a heartbeat, which a proxy may send, with one.
type Server struct {
	loop     *rawsock.Loop
	listener int
	request  *Message
	answer   *Message
	buf      [BufferBytes]byte

	// Gather has all that a turn of the loop answers to a connection go out with one write, instead of one for each answer as SOFARPC's
	// server does it.
	Gather bool
}

// served is one connection. take is a method value, made once.
type served struct {
	Link
	s    *Server
	take func(Frame, []byte) bool
}

// NewServer listens on addr (port 0: any) and serves from loop.
func NewServer(loop *rawsock.Loop, addr netip.AddrPort) (*Server, error) {
	fd, err := rawsock.Listen(addr)
	if err != nil {
		return nil, err
	}
	s := &Server{loop: loop, listener: fd, request: NewRequest(), answer: NewAnswer()}
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
		c := &served{s: s}
		c.Accepted(fd)
		c.take = c.serve
		if err := s.loop.Add(fd, rawsock.Edge, c); err != nil {
			rawsock.Close(fd)
		}
	}
}

// Ready answers all calls that the connection holds.
func (c *served) Ready(events uint32) {
	if events&unix.EPOLLOUT != 0 {
		c.Writable()
	}
	alive := events&(unix.EPOLLIN|rawsock.Ended) == 0 || c.Receive(events, c.s.buf[:], c.take)
	if !c.Flush() || !alive {
		c.s.loop.Drop(c.FD)
	}
}

func (c *served) serve(f Frame, frame []byte) bool {
	switch {
	case f.Kind != KindRequest:
		return false
	case f.Command == CommandHeartbeat:
		c.Out = append(c.Out, version, KindAnswer, 0, CommandHeartbeat, 1)
		c.Out = binary.BigEndian.AppendUint32(c.Out, f.ID)
		c.Out = append(c.Out, frame[9], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		return true
	case f.Command != CommandRequest:
		return false
	}
	mark, ok := c.s.request.Match(frame[f.Content:])
	at := len(c.Out)
	c.Out = c.s.answer.Append(c.Out, f.ID, mark)
	if !ok {
		c.Out[at+11] = statusError
	}
	return c.s.Gather || c.Flush()
}
