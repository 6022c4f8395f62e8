package peers

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// H2Backend is an origin server that speaks HTTP/2 by prior knowledge, answers by scripts and keeps what reached it. The N-th request, over all of
// its connections, is answered by the N-th script, every further one by the last; the N-th script with OnConnect is that of the N-th
// connection in the same way. Its methods are safe for concurrent use.
type H2Backend struct {
	Name string

	ln       net.Listener
	act      *Activity
	requests []Script
	connects []Script

	mu      sync.Mutex
	conns   []*h2Conn
	records []h2Record
}

type h2Record struct {
	conn   int
	stream *h2Stream
}

// NewH2Backend starts a backend on a free port of 127.0.0.1; it ends with the test. Without scripts each request is answered by 200 and the
// backend's name as the body.
func NewH2Backend(t testing.TB, name string, scripts []Script, act *Activity) *H2Backend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("backend: %v", err)
	}
	b := &H2Backend{Name: name, ln: ln, act: act}
	for _, s := range scripts {
		if s.On == OnConnect {
			b.connects = append(b.connects, s)
		} else {
			b.requests = append(b.requests, s)
		}
	}
	if len(b.requests) == 0 {
		head := &Frame{Type: http2.FrameHeaders, Fields: []Header{{":status", "200"}, {"content-length", fmt.Sprint(len(name))}}}
		body := &Frame{Type: http2.FrameData, Data: []byte(name), End: true}
		b.requests = []Script{{Ops: []Op{{Kind: OpFrame, Frame: head}, {Kind: OpFrame, Frame: body}}}}
	}
	go b.accept()
	t.Cleanup(b.Close)
	return b
}

// Port is where it listens.
func (b *H2Backend) Port() int { return b.ln.Addr().(*net.TCPAddr).Port }

// Requests counts the requests whose head has arrived.
func (b *H2Backend) Requests() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.records)
}

// Close ends the listener and all connections.
func (b *H2Backend) Close() {
	_ = b.ln.Close()
	b.mu.Lock()
	conns := b.conns
	b.mu.Unlock()
	for _, c := range conns {
		c.close()
	}
}

// Report renders every request with its connection and stream, and how each connection stands.
func (b *H2Backend) Report() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out strings.Builder
	for _, r := range b.records {
		c := b.conns[r.conn-1]
		c.mu.Lock()
		fmt.Fprintf(&out, "%s conn %d stream %d got\n%s", b.Name, r.conn, r.stream.id, indent(r.stream.String()))
		c.mu.Unlock()
	}
	for i, c := range b.conns {
		c.mu.Lock()
		out.WriteString(c.report(fmt.Sprintf("%s conn %d", b.Name, i+1)))
		c.mu.Unlock()
	}
	return out.String()
}

func (b *H2Backend) accept() {
	for {
		nc, err := b.ln.Accept()
		if err != nil {
			return
		}
		b.act.Touch()
		c := newH2Conn(nc, b.act)
		c.resetText = "given up with "
		b.mu.Lock()
		b.conns = append(b.conns, c)
		index := len(b.conns)
		b.mu.Unlock()
		go b.serve(c, index)
	}
}

func (b *H2Backend) serve(c *h2Conn, index int) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.conn, preface); err != nil || string(preface) != http2.ClientPreface {
		c.update(func() { c.broken = fmt.Sprintf("%q instead of the preface, %v", preface, err) })
		c.close()
		return
	}
	var ops []Op
	if n := len(b.connects); n > 0 {
		ops = b.connects[min(index, n)-1].Ops
	}
	ops = c.open(ops)
	c.flush()
	c.opened = func(s *h2Stream) { // with c.mu held, on the collector's goroutine
		script := b.record(index, s)
		go c.answer(s, script)
	}
	go c.run(0, ops)
	c.collect()
	_ = c.conn.Close()
}

// record notes a request and hands out its script. The lock of a connection comes before b.mu.
func (b *H2Backend) record(conn int, s *h2Stream) Script {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = append(b.records, h2Record{conn, s})
	b.act.Touch()
	return b.requests[min(len(b.records), len(b.requests))-1]
}

func (c *h2Conn) answer(s *h2Stream, script Script) {
	if script.On == OnRequest && !c.wait(time.Hour, s.done) {
		return
	}
	c.run(s.id, script.Ops)
}

// run does the steps of a backend's script for a stream.
func (c *h2Conn) run(stream uint32, ops []Op) {
	for i, op := range ops {
		switch op.Kind {
		case OpFrame:
			c.write(*op.Frame, stream)
		case OpSend:
			c.writeRaw(op.Data)
		case OpSleep:
			time.Sleep(op.Wait)
		case OpRead:
			c.wait(patience, func() bool { return c.received(string(op.Data)) })
		case OpPing:
			c.ping()
		case OpFin:
			_ = c.conn.(*net.TCPConn).CloseWrite()
		case OpHang:
			return
		case OpClose:
			c.close()
		case OpReset:
			c.resetConn()
		}
		if i == len(ops)-1 || ops[i+1].Kind != OpFrame && ops[i+1].Kind != OpSend {
			c.flush()
		}
	}
}
