package faults

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// behaviour is how an origin treats a request.
type behaviour int32

const (
	answers    behaviour = iota
	slow                 // answers ten bytes, one every 20 ms
	silent               // never answers
	closes               // closes instead of answering
	resets               // resets instead of answering
	halfCloses           // shuts its direction down instead of answering
	cutsOff              // closes inside the body
	streams              // sends a body of streamBytes
)

const streamBytes = 1 << 30

// origin is a backend whose behaviour can be changed while it runs.
type origin struct {
	ln       net.Listener
	how      atomic.Int32
	received atomic.Int64 // body bytes

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newOrigin(t *testing.T, how behaviour) *origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{ln: ln, conns: map[net.Conn]bool{}}
	o.how.Store(int32(how))
	go o.serve(ln)
	t.Cleanup(o.kill)
	return o
}

func (o *origin) port() int { return o.ln.Addr().(*net.TCPAddr).Port }

// kill is what a dying process does: the listener and all connections are gone.
func (o *origin) kill() {
	_ = o.ln.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// revive listens on the same port again.
func (o *origin) revive(t *testing.T) {
	t.Helper()
	addr := o.ln.Addr().String()
	eventually(t, 5*time.Second, "the port is free again", func() bool {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return false
		}
		o.ln = ln
		return true
	})
	go o.serve(o.ln)
}

func (o *origin) serve(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		o.conns[c] = true
		o.mu.Unlock()
		go o.handle(c)
	}
}

func (o *origin) handle(c net.Conn) {
	defer func() {
		_ = c.Close()
		o.mu.Lock()
		delete(o.conns, c)
		o.mu.Unlock()
	}()
	in := bufio.NewReaderSize(c, 64<<10)
	for {
		_, length, err := readHead(in)
		if err != nil {
			return
		}
		n, err := io.CopyN(io.Discard, in, length)
		o.received.Add(n)
		if err != nil || !o.answer(c, in) {
			return
		}
	}
}

// answer does what the behaviour says; false ends the connection.
func (o *origin) answer(c net.Conn, in *bufio.Reader) bool {
	const head = "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
	switch behaviour(o.how.Load()) {
	case slow:
		fmt.Fprintf(c, head, 10)
		for range 10 {
			time.Sleep(20 * time.Millisecond)
			if _, err := c.Write([]byte("x")); err != nil {
				return false
			}
		}
	case silent:
		_, _ = io.Copy(io.Discard, in)
		return false
	case closes:
		return false
	case resets:
		_ = c.(*net.TCPConn).SetLinger(0)
		return false
	case halfCloses:
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, in)
		return false
	case cutsOff:
		fmt.Fprintf(c, head, 10)
		_, _ = c.Write([]byte("12345"))
		time.Sleep(20 * time.Millisecond)
		return false
	case streams:
		fmt.Fprintf(c, head, streamBytes)
		return writeZeros(c, streamBytes) == nil
	default:
		fmt.Fprintf(c, head+"ok", 2) // at once: killed between head and body, no proxy could save it
	}
	return true
}

// writeZeros writes n zero bytes.
func writeZeros(w io.Writer, n int64) error {
	block := make([]byte, 256<<10)
	for n > 0 {
		k := min(n, int64(len(block)))
		if _, err := w.Write(block[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}
