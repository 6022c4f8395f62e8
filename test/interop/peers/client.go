package peers

import (
	"bytes"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"
)

// Client runs a script of raw bytes against one address and keeps what came back. It belongs to one goroutine.
type Client struct {
	addr     string
	act      *Activity
	requests func() int
	conns    []*clientConn
}

type clientConn struct {
	*stream
	methods []string // of the requests sent so far
}

// NewClient makes a client for an address; the step `backend N` waits until requests says N.
func NewClient(addr string, requests func() int, act *Activity) *Client {
	return &Client{addr: addr, act: act, requests: requests}
}

// Run does the steps in order, on a first connection that it opens itself. An error means that a connection could not be opened; a step that
// waited in vain is visible in the report instead.
func (c *Client) Run(ops []Op) error {
	if err := c.connect(); err != nil {
		return err
	}
	for _, op := range ops {
		if op.Kind == OpConnect {
			if err := c.connect(); err != nil {
				return err
			}
			continue
		}
		c.step(c.conns[len(c.conns)-1], op)
	}
	return nil
}

// AwaitAll waits until each connection that is still open has had as many final responses as requests were sent on it.
func (c *Client) AwaitAll() {
	for _, conn := range c.conns {
		conn.await(len(conn.methods))
	}
}

// AwaitClose waits for the end of each connection on which the proxy has announced it. Envoy leaves the closing to the client for a second
// (delayed_close_timeout), so that a client that still writes is not reset.
func (c *Client) AwaitClose() {
	for _, conn := range c.conns {
		conn.wait(patience, func(buf []byte, eof bool) bool {
			msgs, _ := conn.responses(buf, eof)
			return eof || !closes(msgs)
		})
	}
}

// closes reports whether the last response has announced the end of the connection.
func closes(msgs []*Message) bool {
	if len(msgs) == 0 {
		return false
	}
	how, _ := msgs[len(msgs)-1].Get("connection")
	return strings.EqualFold(how, "close")
}

// Close ends all connections.
func (c *Client) Close() {
	for _, conn := range c.conns {
		conn.close()
	}
}

// Report renders each connection: the responses, bytes that are none, and how it stands.
func (c *Client) Report() string {
	var out strings.Builder
	for i, conn := range c.conns {
		buf, e := conn.state()
		msgs, rest := conn.responses(buf, e != endNone)
		for _, m := range msgs {
			fmt.Fprintf(&out, "client conn %d got\n%s", i+1, indent(m.String()))
		}
		if len(rest) > 0 {
			fmt.Fprintf(&out, "client conn %d then got %s\n", i+1, Abbreviate(rest))
		}
		if e == endReset && closes(msgs) {
			e = endFIN // whether the kernel had unread bytes then is a matter of timing
		}
		fmt.Fprintf(&out, "client conn %d is %v\n", i+1, e)
	}
	return out.String()
}

func (c *Client) connect() error {
	conn, err := net.DialTimeout("tcp", c.addr, patience)
	if err != nil {
		return err
	}
	c.conns = append(c.conns, &clientConn{stream: newStream(conn, c.act)})
	return nil
}

var requestLine = regexp.MustCompile(`(?m)^([A-Z]+) [^\r\n]* HTTP/1\.[01]\r?$`)

func (c *Client) step(conn *clientConn, op Op) {
	switch op.Kind {
	case OpSend:
		for _, m := range requestLine.FindAllSubmatch(op.Data, -1) {
			conn.methods = append(conn.methods, string(m[1]))
		}
		_ = conn.conn.SetWriteDeadline(time.Now().Add(patience))
		_, _ = conn.conn.Write(op.Data) // an error shows as the end of the connection
	case OpSleep:
		time.Sleep(op.Wait)
	case OpAwait:
		conn.await(op.N)
	case OpBackend:
		awaitCount(c.requests, op.N)
	case OpRead:
		conn.wait(patience, func(buf []byte, _ bool) bool { return bytes.Contains(buf, op.Data) })
	case OpEOF:
		conn.wait(patience, func(_ []byte, eof bool) bool { return eof })
	case OpFin:
		conn.fin()
	case OpClose:
		conn.close()
	case OpReset:
		conn.reset()
	}
}

func awaitCount(count func() int, n int) {
	for deadline := time.Now().Add(patience); count() < n && time.Now().Before(deadline); {
		time.Sleep(2 * time.Millisecond)
	}
}

// await waits for n final (not 1xx, except 101) responses.
func (c *clientConn) await(n int) {
	c.wait(patience, func(buf []byte, eof bool) bool {
		msgs, _ := c.responses(buf, eof)
		final := 0
		for _, m := range msgs {
			if code := Status(m.Start); code >= 200 || code == 101 {
				final++
			}
		}
		return final >= n
	})
}

// responses splits what was received into messages and the rest that is none (yet).
func (c *clientConn) responses(buf []byte, eof bool) (msgs []*Message, rest []byte) {
	final := 0
	for len(buf) > 0 {
		method := "GET"
		if final < len(c.methods) {
			method = c.methods[final]
		}
		m, n, err := ParseResponse(buf, eof, method)
		if m == nil || err != nil {
			return msgs, buf
		}
		msgs = append(msgs, m)
		buf = buf[n:]
		if m.Tunnel {
			m.Body = buf
			return msgs, nil
		}
		if Status(m.Start) >= 200 {
			final++
		}
	}
	return msgs, nil
}
