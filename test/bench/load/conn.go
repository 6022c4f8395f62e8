//go:build linux

package load

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

const maxHead = 16 << 10 // bytes of an incomplete response head kept for a connection

// fault is why an exchange failed.
type fault uint8

const (
	faultConnect   fault = iota // the connection could not be made
	faultCut                    // it ended before the response did
	faultMalformed              // the response is no HTTP/1.1, or more than one
	faultStatus                 // not 200, or a grpc-status that is not 0 or missing
	faultLength                 // not the bytes asked for
	faultForeign                // Bolt and HTTP/2: for nobody who waits, or with another call's content
	faults
)

// owner decides what a connection does next. It is called on the loop's goroutine.
type owner interface {
	connected(c *conn)
	answered(c *conn) // the response is complete and right; c.last tells whether the server closes now
	failed(c *conn, f fault)
}

// shape is what all connections of a plan send and expect.
type shape struct {
	target  netip.AddrPort
	request []byte
	length  int // body bytes of a right answer
}

// conn is one client connection with at most one exchange under way.
type conn struct {
	loop  *rawsock.Loop
	owner owner
	shape *shape
	fd    int
	opens int    // how often it was opened: tells a replaced connection apart, whose descriptor number is often the same
	up    bool   // the handshake is over
	busy  bool   // an answer is awaited
	body  bool   // its head has been read
	last  bool   // the server closes after this answer
	left  int    // body bytes still to come
	start int64  // when the request was due, by the loop's clock
	head  []byte // an incomplete response head
	buf   []byte // shared by all connections of the loop: holds nothing between events
}

// open starts a connection and has the loop report on it.
func (c *conn) open() error {
	fd, err := rawsock.Dial(c.shape.target)
	if err != nil {
		return err
	}
	c.opens++
	c.fd, c.up, c.busy, c.body, c.last, c.head = fd, false, false, false, false, c.head[:0]
	if err := c.loop.Add(fd, rawsock.Edge, c); err != nil {
		rawsock.Close(fd)
		c.fd = -1
		return err
	}
	return nil
}

// shut closes the connection, if it is open.
func (c *conn) shut() {
	if c.fd >= 0 {
		c.loop.Drop(c.fd)
		c.fd, c.up, c.busy = -1, false, false
	}
}

// send writes the request; due is when it should have gone out.
func (c *conn) send(due int64) {
	c.start, c.busy = due, true
	if n, errno := rawsock.Send(c.fd, c.shape.request); errno != 0 || n != len(c.shape.request) {
		c.fail(faultCut) // a request of 100 bytes that an idle socket does not take: the peer has gone
	}
}

// Ready is the loop's call.
func (c *conn) Ready(events uint32) {
	if !c.up {
		if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			c.fail(faultConnect)
			return
		}
		if events&unix.EPOLLOUT == 0 {
			return
		}
		c.up = true
		c.owner.connected(c)
	}
	if c.up && events&(unix.EPOLLIN|rawsock.Ended) != 0 {
		c.receive(events)
	}
}

func (c *conn) receive(events uint32) {
	for opens := c.opens; ; {
		n, errno := rawsock.Recv(c.fd, c.buf)
		if errno == unix.EAGAIN {
			return
		}
		if errno != 0 || n == 0 {
			c.fail(faultCut)
			return
		}
		if f := c.take(c.buf[:n]); f != faults {
			c.fail(f)
			return
		}
		if c.fd < 0 || c.opens != opens || n < len(c.buf) && events&rawsock.Ended == 0 {
			return // replaced by its owner, or drained
		}
	}
}

// take consumes bytes of the answer; faults (the count) means that all is well.
func (c *conn) take(data []byte) fault {
	if !c.busy {
		return faultMalformed // nobody asked
	}
	if !c.body {
		if len(c.head) > 0 {
			c.head = append(c.head, data...)
			data = c.head
		}
		h, ok := parseHead(data)
		switch {
		case !ok:
			return faultMalformed
		case h.size == 0:
			if len(c.head) == 0 {
				c.head = append(c.head, data...)
			}
			return faults
		case h.status != 200:
			return faultStatus
		case h.length != c.shape.length:
			return faultLength
		}
		c.body, c.left, c.last = true, h.length, h.close
		data = data[h.size:]
		c.head = c.head[:0]
	}
	if c.left -= len(data); c.left > 0 {
		return faults
	}
	if c.left < 0 {
		return faultLength
	}
	c.body, c.busy = false, false
	c.owner.answered(c)
	return faults
}

func (c *conn) fail(f fault) {
	c.shut()
	c.owner.failed(c, f)
}
