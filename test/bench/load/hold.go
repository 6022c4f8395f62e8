//go:build linux

package load

import (
	"fmt"
	"net/netip"
	"time"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

const (
	holdAtOnce  = 64               // connections that open at the same time: few upstream connections are needed for any number of idle ones
	holdTimeout = 30 * time.Second // for all of them
)

// Held is a set of idle connections, each of which has had one request answered: the state of a client that waits for its next call.
type Held struct {
	loop    *rawsock.Loop
	conns   []*conn
	next    int // the first one not opened yet
	pending int
	idle    int
	err     error
}

// Hold opens count connections to target, has each of them ask once, and returns when all are answered and idle. It must not be
// called from one of the loop's handlers.
func Hold(loop *rawsock.Loop, target netip.AddrPort, count int) (*Held, error) {
	shape, err := Plan{Target: target, Conns: count}.shape()
	if err != nil {
		return nil, err
	}
	h := &Held{loop: loop}
	buf := make([]byte, bufBytes)
	for range count {
		h.conns = append(h.conns, &conn{loop: loop, owner: h, shape: shape, fd: -1, buf: buf})
	}
	for end := time.Now().Add(holdTimeout); h.idle < count && h.err == nil; {
		for h.pending < holdAtOnce && h.next < count && h.err == nil {
			h.err = h.conns[h.next].open()
			h.next++
			h.pending++
		}
		if err := loop.Turn(100); err != nil {
			h.err = err
		}
		if h.err == nil && time.Now().After(end) {
			h.err = fmt.Errorf("only %d of %d connections were answered within %v", h.idle, count, holdTimeout)
		}
	}
	if h.err != nil {
		h.Close()
		return nil, h.err
	}
	return h, nil
}

// Close closes all connections. It fails when one of them did not stay open until now.
func (h *Held) Close() error {
	for _, c := range h.conns {
		c.shut()
	}
	h.conns = nil
	return h.err
}

func (h *Held) connected(c *conn) { c.send(0) }

func (h *Held) answered(c *conn) {
	h.pending--
	h.idle++
	if c.last {
		h.err = fmt.Errorf("the peer closes connection %d after one request", h.idle)
	}
}

func (h *Held) failed(_ *conn, f fault) {
	if h.err == nil {
		h.err = fmt.Errorf("connection %d of %d failed (%v)", h.idle+1, len(h.conns), f)
	}
}

func (f fault) String() string {
	return [...]string{"connect", "cut", "malformed answer", "status", "length", "foreign", "none"}[f]
}
