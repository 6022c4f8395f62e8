package peers

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait of a script; a script that meets it has failed.
const patience = 6 * time.Second

// Trigger says when a script of a backend runs.
type Trigger uint8

// The triggers.
const (
	OnRequest Trigger = iota // when the request is here with its whole body
	OnHead                   // when the head is here
	OnConnect                // when the connection is accepted, before any byte of it
)

// Script answers one request (or one connection, with OnConnect).
type Script struct {
	On  Trigger
	Ops []Op
}

// Backend is an origin server that answers by scripts and keeps what reached it. The N-th request, over all of its connections, is answered
// by the N-th script, every further one by the last. Its methods are safe for concurrent use.
type Backend struct {
	Name string

	ln      net.Listener
	act     *Activity
	scripts []Script

	mu      sync.Mutex
	next    int
	conns   []*backendConn
	records []*record
}

// record is one request as it arrived.
type record struct {
	conn int
	msg  *Message
	note string
}

type backendConn struct {
	*stream
	b       *Backend
	index   int
	pending *record // whose head is here and whose body is not yet; guarded by b.mu
}

// NewBackend starts a backend on a free port of 127.0.0.1; it ends with the test. Without scripts each request is answered by 200 and the
// backend's name as the body.
func NewBackend(t testing.TB, name string, scripts []Script, act *Activity) *Backend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("backend: %v", err)
	}
	if len(scripts) == 0 {
		ok := fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(name), name)
		scripts = []Script{{Ops: []Op{{Data: []byte(ok)}}}}
	}
	b := &Backend{Name: name, ln: ln, act: act, scripts: scripts}
	go b.accept()
	t.Cleanup(b.Close)
	return b
}

// Port is where it listens.
func (b *Backend) Port() int { return b.ln.Addr().(*net.TCPAddr).Port }

// Requests counts the requests whose head has arrived.
func (b *Backend) Requests() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.records)
}

// Close ends the listener and all connections.
func (b *Backend) Close() {
	_ = b.ln.Close()
	b.mu.Lock()
	conns := b.conns
	b.mu.Unlock()
	for _, c := range conns {
		c.close()
	}
}

// Report renders every request with the connection that it came over, and how each connection stands.
func (b *Backend) Report() string {
	b.mu.Lock()
	conns := slices.Clone(b.conns)
	b.mu.Unlock()
	rests, ends := make([][]byte, len(conns)), make([]end, len(conns))
	for i, c := range conns { // not under b.mu: a stream's lock comes first
		rests[i], ends[i] = c.state()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var out strings.Builder
	for _, r := range b.records {
		if r.conn > len(conns) {
			continue // it came after the look at the connections
		}
		msg := r.msg
		if rest := &rests[r.conn-1]; conns[r.conn-1].pending == r {
			if m, n, _ := ParseRequest(*rest, true); m != nil {
				msg, *rest = m, (*rest)[n:]
			}
		}
		fmt.Fprintf(&out, "%s conn %d got\n%s%s", b.Name, r.conn, indent(msg.String()), r.note)
	}
	for i := range conns {
		if len(rests[i]) > 0 {
			fmt.Fprintf(&out, "%s conn %d then got %s\n", b.Name, i+1, Abbreviate(rests[i]))
		}
		fmt.Fprintf(&out, "%s conn %d is %v\n", b.Name, i+1, ends[i])
	}
	return out.String()
}

func (b *Backend) accept() {
	for {
		conn, err := b.ln.Accept()
		if err != nil {
			return
		}
		b.act.Touch()
		b.mu.Lock()
		c := &backendConn{stream: newStream(conn, b.act), b: b, index: len(b.conns) + 1}
		b.conns = append(b.conns, c)
		b.mu.Unlock()
		go c.serve()
	}
}

// script hands out the script of the next request, or nil when that one does not start with the wanted trigger.
func (b *Backend) script(connect bool) *Script {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.scripts[min(b.next, len(b.scripts)-1)]
	if connect != (s.On == OnConnect) {
		return nil
	}
	b.next++
	return s
}

func (c *backendConn) serve() {
	if s := c.b.script(true); s != nil && !c.run(s.Ops) {
		return
	}
	for {
		r := c.head()
		if r == nil {
			c.finish()
			return
		}
		s := c.b.script(false)
		if s == nil {
			s = &Script{}
		}
		if s.On == OnHead && !c.run(s.Ops) {
			return
		}
		if tunnel(r.msg, s) {
			c.tunnel(r, s)
			return
		}
		if !c.body(r) || s.On == OnRequest && !c.run(s.Ops) {
			return
		}
	}
}

// finish closes the own side once the proxy has closed the other; bytes that were no request stay for the report.
func (c *backendConn) finish() {
	c.wait(time.Hour, func([]byte, bool) bool { return false })
	_ = c.conn.Close()
}

func (c *backendConn) head() *record {
	var r *record
	c.wait(time.Hour, func(buf []byte, _ bool) bool {
		m, _, err := ParseHead(buf)
		if m == nil {
			return err != nil
		}
		r = &record{conn: c.index, msg: m}
		return true
	})
	if r != nil {
		c.b.mu.Lock()
		c.b.records = append(c.b.records, r)
		c.pending = r
		c.b.mu.Unlock()
		c.b.act.Touch()
	}
	return r
}

// body waits for the whole request and puts it into its record; false when the connection is of no more use.
func (c *backendConn) body(r *record) bool {
	var msg *Message
	var broken error
	c.wait(time.Hour, func(buf []byte, eof bool) bool {
		var n int
		msg, n, broken = ParseRequest(buf, eof)
		if msg != nil {
			c.drop(n)
		}
		return msg != nil || broken != nil
	})
	c.b.mu.Lock()
	c.pending = nil
	if msg != nil {
		r.msg = msg
	}
	if broken != nil {
		r.note = fmt.Sprintf("  not a request: %v\n", broken)
	}
	whole := r.msg.Whole
	c.b.mu.Unlock()
	if !whole {
		c.finish()
	}
	return whole
}

func tunnel(m *Message, s *Script) bool {
	for _, op := range s.Ops {
		if op.Kind == OpSend {
			return tunnels(firstLine(op.Data), m.Method())
		}
	}
	return false
}

func firstLine(p []byte) string {
	line, _, _ := bytes.Cut(p, []byte("\r\n"))
	return string(line)
}

// tunnel drops the head and runs the script; all further bytes stay in the stream's buffer, for the report.
func (c *backendConn) tunnel(r *record, s *Script) {
	c.mu.Lock()
	_, n, _ := ParseHead(c.buf)
	c.drop(n)
	c.mu.Unlock()
	c.b.mu.Lock()
	r.msg.Tunnel, c.pending = true, nil
	c.b.mu.Unlock()
	if s.On == OnHead || c.run(s.Ops) {
		c.finish()
	}
}

// run does the steps; false when the connection is of no more use.
func (c *backendConn) run(ops []Op) bool {
	for _, op := range ops {
		switch op.Kind {
		case OpSend:
			_, _ = c.conn.Write(op.Data)
		case OpSleep:
			time.Sleep(op.Wait)
		case OpRead:
			c.wait(patience, func(buf []byte, _ bool) bool { return bytes.Contains(buf, op.Data) })
		case OpFin:
			c.fin()
		case OpHang:
			c.finish()
			return false
		case OpClose:
			c.close()
			return false
		case OpReset:
			c.reset()
			return false
		}
	}
	return true
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n  ") + "\n"
}
