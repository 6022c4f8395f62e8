package peers

import (
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// H2Client runs a script of HTTP/2 frames against one address and keeps what came back. It belongs to one goroutine.
type H2Client struct {
	addr     string
	act      *Activity
	requests func() int
	conns    []*h2Conn
	asked    map[*h2Conn]map[uint32]bool // streams that a script opened
}

// NewH2Client makes a client for an address; the step `backend N` waits until requests says N.
func NewH2Client(addr string, requests func() int, act *Activity) *H2Client {
	return &H2Client{addr: addr, act: act, requests: requests, asked: map[*h2Conn]map[uint32]bool{}}
}

// Run does the steps in order, on a first connection that it opens itself; results as of Client.Run.
func (c *H2Client) Run(ops []Op) error {
	for connect := true; connect || len(ops) > 0; {
		var err error
		if connect {
			if ops, err = c.connect(ops); err != nil {
				return err
			}
			connect = false
			continue
		}
		if connect = ops[0].Kind == OpConnect; !connect {
			conn := c.conns[len(c.conns)-1]
			c.step(conn, ops[0])
			if len(ops) == 1 || ops[1].Kind != OpFrame && ops[1].Kind != OpSend {
				conn.flush()
			}
		}
		ops = ops[1:]
	}
	return nil
}

// connect opens a connection, with the settings that the next steps have; it returns the steps after those.
func (c *H2Client) connect(ops []Op) ([]Op, error) {
	nc, err := net.DialTimeout("tcp", c.addr, patience)
	if err != nil {
		return nil, err
	}
	conn := newH2Conn(nc, c.act)
	conn.resetText = "reset by "
	c.conns = append(c.conns, conn)
	c.asked[conn] = map[uint32]bool{}
	conn.writeRaw([]byte(http2.ClientPreface))
	ops = conn.open(ops)
	if len(ops) == 0 || ops[0].Kind != OpFrame {
		conn.flush()
	}
	go conn.collect()
	return ops, nil
}

// open writes the first SETTINGS, before anything is read.
func (c *h2Conn) open(ops []Op) []Op {
	first := Frame{Type: http2.FrameSettings, Conn: true}
	for len(ops) > 0 && (ops[0].Kind == OpOpen || ops[0].Kind == OpManual) {
		if ops[0].Kind == OpOpen {
			first = *ops[0].Frame
		}
		c.manual = c.manual || ops[0].Kind == OpManual
		ops = ops[1:]
	}
	c.write(first, 0)
	return ops
}

func (c *H2Client) step(conn *h2Conn, op Op) {
	switch op.Kind {
	case OpFrame:
		if op.Frame.Type == http2.FrameHeaders && op.Frame.Stream != 0 {
			c.asked[conn][op.Frame.Stream] = true
			conn.update(func() { conn.stream(op.Frame.Stream) })
		}
		conn.write(*op.Frame, 0)
	case OpSend:
		conn.writeRaw(op.Data)
	case OpSleep:
		time.Sleep(op.Wait)
	case OpAwait:
		conn.wait(patience, func() bool {
			n := 0
			for _, s := range conn.order {
				if s.done() {
					n++
				}
			}
			return n >= op.N
		})
	case OpBackend:
		awaitCount(c.requests, op.N)
	case OpHead:
		conn.wait(patience, func() bool { s := conn.stream(uint32(op.N)); return s.final() >= 0 || s.done() })
	case OpOver:
		conn.wait(patience, func() bool { return conn.stream(uint32(op.N)).done() })
	case OpRead:
		conn.wait(patience, func() bool { return conn.received(string(op.Data)) })
	case OpPing:
		conn.ping()
	case OpGoAway:
		conn.wait(patience, func() bool { return len(conn.goaway) > 0 })
	case OpEOF:
		conn.wait(patience, func() bool { return false })
	case OpFin:
		_ = conn.conn.(*net.TCPConn).CloseWrite()
	case OpClose:
		conn.close()
	case OpReset:
		conn.resetConn()
	}
}

// received says whether any stream's data contains the text. With mu held.
func (c *h2Conn) received(text string) bool {
	for _, s := range c.order {
		for _, b := range s.blocks {
			if strings.Contains(string(b.data), text) {
				return true
			}
		}
	}
	return false
}

// AwaitAll waits until each stream that the script opened has ended, or its connection.
func (c *H2Client) AwaitAll() {
	for _, conn := range c.conns {
		conn.wait(patience, func() bool {
			for id := range c.asked[conn] {
				if !conn.stream(id).done() {
					return false
				}
			}
			return true
		})
	}
}

// AwaitClose waits for the end of each connection on which the proxy has announced it by a GOAWAY that says why.
func (c *H2Client) AwaitClose() {
	for _, conn := range c.conns {
		conn.wait(patience, func() bool {
			return len(conn.goaway) == 0 || strings.HasPrefix(conn.goaway[len(conn.goaway)-1], http2.ErrCodeNo.String()+",")
		})
	}
}

// Close ends all connections.
func (c *H2Client) Close() {
	for _, conn := range c.conns {
		conn.close()
	}
}

// Report renders each connection: its streams in the order of the script, and how it stands.
func (c *H2Client) Report() string {
	var out strings.Builder
	for i, conn := range c.conns {
		name := fmt.Sprintf("client conn %d", i+1)
		conn.mu.Lock()
		for _, s := range conn.order {
			fmt.Fprintf(&out, "%s stream %d got\n%s", name, s.id, indent(s.String()))
		}
		out.WriteString(conn.report(name))
		conn.mu.Unlock()
	}
	return out.String()
}
