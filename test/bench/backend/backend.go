//go:build linux

// Package backend is the bench's HTTP/1.1 origin server, as cheap as one thread can make it: it finds the end of a request head, looks
// at the path and writes a prepared response. Connections are kept alive whatever the request says, bodies in requests are refused.
//
// It owns its listener and connections, and runs on the goroutine of the rawsock.Loop it is given.
package backend

import (
	"bytes"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// Body sizes of the two resources.
const (
	SmallBytes = 128      // GET /
	LargeBytes = 16 << 10 // GET /16k
)

const maxHead = 16 << 10 // bytes of an incomplete request head kept for a connection

var headEnd = []byte("\r\n\r\n")

// Server answers GET / and GET /16k, and 404 for any other path.
type Server struct {
	loop     *rawsock.Loop
	listener int
	small    []byte
	large    []byte
	missing  []byte
	buf      [64 << 10]byte
}

type conn struct {
	s    *Server
	fd   int
	head []byte // an incomplete request head
	out  []byte // what the socket did not take yet; nothing is read meanwhile
}

// New listens on addr (port 0: any) and serves from loop.
func New(loop *rawsock.Loop, addr netip.AddrPort) (*Server, error) {
	fd, err := rawsock.Listen(addr)
	if err != nil {
		return nil, err
	}
	s := &Server{
		loop: loop, listener: fd,
		small:   response("200 OK", SmallBytes),
		large:   response("200 OK", LargeBytes),
		missing: response("404 Not Found", 0),
	}
	if err := loop.Add(fd, unix.EPOLLIN, s); err != nil {
		rawsock.Close(fd)
		return nil, err
	}
	return s, nil
}

func response(status string, size int) []byte {
	head := fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", status, size)
	return append([]byte(head), bytes.Repeat([]byte("x"), size)...)
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
		if err := s.loop.Add(fd, rawsock.Edge, &conn{s: s, fd: fd}); err != nil {
			rawsock.Close(fd)
		}
	}
}

// Ready answers all requests that the connection holds.
func (c *conn) Ready(events uint32) {
	if len(c.out) > 0 {
		if events&(unix.EPOLLOUT|rawsock.Ended) == 0 {
			return
		}
		if !c.write(nil) {
			if len(c.out) == 0 {
				c.s.loop.Drop(c.fd)
			}
			return
		}
		events |= unix.EPOLLRDHUP // an edge may have passed while nothing was read
	}
	for {
		n, errno := rawsock.Recv(c.fd, c.s.buf[:])
		if errno == unix.EAGAIN {
			return
		}
		if errno != 0 || n == 0 || !c.answer(c.s.buf[:n]) {
			c.s.loop.Drop(c.fd)
			return
		}
		if len(c.out) > 0 || n < len(c.s.buf) && events&rawsock.Ended == 0 {
			return
		}
	}
}

// answer writes a response for each complete request head in data; false when the connection must be closed.
func (c *conn) answer(data []byte) bool {
	if len(c.head) > 0 {
		c.head = append(c.head, data...)
		data = c.head
	}
	for len(data) > 0 {
		end := bytes.Index(data, headEnd)
		if end < 0 {
			break
		}
		res := c.s.route(data[:end])
		if res == nil {
			return false
		}
		if !c.write(res) && len(c.out) == 0 {
			return false
		}
		data = data[end+len(headEnd):]
	}
	c.head = append(c.head[:0], data...)
	return len(c.head) <= maxHead
}

// route picks the response by the request line; nil for what is no GET of HTTP/1.1.
func (s *Server) route(head []byte) []byte {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	path, ok := bytes.CutPrefix(line, []byte("GET "))
	path, ok2 := bytes.CutSuffix(path, []byte(" HTTP/1.1"))
	switch {
	case !ok || !ok2:
		return nil
	case string(path) == "/":
		return s.small
	case string(path) == "/16k":
		return s.large
	}
	return s.missing
}

// write sends res, or what still waits when res is nil; true when nothing waits any more. A dead socket leaves nothing waiting, yet
// gives false. While something waits, res joins it: the socket is full until epoll says otherwise.
func (c *conn) write(res []byte) bool {
	if len(c.out) > 0 && res != nil {
		c.out = append(c.out, res...)
		return false
	}
	if res == nil {
		res = c.out
	}
	n, errno := rawsock.Send(c.fd, res)
	if errno != 0 && errno != unix.EAGAIN {
		c.out = nil
		return false
	}
	c.out = append(c.out[:0], res[n:]...)
	return len(c.out) == 0
}
