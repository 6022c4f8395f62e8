package http2

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attacker is a client that writes frames as fast as it can. It belongs to one goroutine; another one, which ends with the connection, takes
// what comes back, unless the attack is not to read.
type attacker struct {
	*http2.Framer
	conn  net.Conn
	out   *bufio.Writer
	enc   *hpack.Encoder
	block bytes.Buffer
	next  uint32 // stream
	sent  int    // frames
	lost  atomic.Bool
}

// newAttacker connects and opens with the settings.
func newAttacker(addr string, reads bool, settings ...http2.Setting) (*attacker, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	a := attackOn(conn, settings...)
	a.conn = conn
	if reads {
		go a.drain()
	}
	return a, nil
}

// attackOn writes to anything: without a connection an attack can be prepared.
func attackOn(out io.Writer, settings ...http2.Setting) *attacker {
	a := &attacker{next: 1}
	a.out = bufio.NewWriterSize(out, 16<<10)
	a.Framer = http2.NewFramer(a.out, nil)
	a.AllowIllegalWrites = true
	a.enc = hpack.NewEncoder(&a.block)
	_, _ = a.out.WriteString(http2.ClientPreface)
	_ = a.WriteSettings(settings...)
	return a
}

func (a *attacker) drain() {
	_, _ = io.Copy(io.Discard, a.conn)
	a.lost.Store(true)
}

// push counts a frame and sends what has gathered; false when the connection is lost.
func (a *attacker) push(err error) bool {
	a.sent++
	if err == nil && a.sent%64 == 0 && a.conn != nil {
		_ = a.conn.SetWriteDeadline(time.Now().Add(time.Second))
		err = a.out.Flush()
	}
	var n net.Error
	if err != nil && !(errors.As(err, &n) && n.Timeout()) { // a proxy that does not read has not ended the connection
		a.lost.Store(true)
	}
	return !a.lost.Load() && err == nil
}

// head encodes the head of a request with further fields.
func (a *attacker) head(path string, fields ...hpack.HeaderField) []byte {
	a.block.Reset()
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "h"}, {Name: ":path", Value: path},
	}, fields...) {
		_ = a.enc.WriteField(f)
	}
	return a.block.Bytes()
}

// request opens the next stream; end says whether the head ends it.
func (a *attacker) request(block []byte, end bool) (uint32, error) {
	id := a.next
	a.next += 2
	return id, a.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: end, EndHeaders: true})
}

// bystanders are clients that send requests one after the other while something else goes on.
type bystanders struct {
	stop    chan struct{}
	results chan error
	served  atomic.Int64
	clients int
}

// watch starts some clients, each with a connection of its own. Every request must be answered well.
func watch(t *testing.T, p *proxy) *bystanders {
	b := &bystanders{stop: make(chan struct{}), clients: 4, results: make(chan error, 4)}
	for range b.clients {
		client := goClient(t)
		go func() {
			defer client.CloseIdleConnections()
			for {
				select {
				case <-b.stop:
					b.results <- nil
					return
				default:
				}
				resp, err := client.Get("http://" + p.addr() + "/bytes/1000")
				if err := checkBody(resp, err, 1000, 0); err != nil {
					b.results <- err
					return
				}
				b.served.Add(1)
			}
		}()
	}
	return b
}

// end stops them and says how many requests were served.
func (b *bystanders) end(t *testing.T) int64 {
	t.Helper()
	close(b.stop)
	for range b.clients {
		if err := <-b.results; err != nil {
			t.Errorf("another client: %v", err)
		}
	}
	return b.served.Load()
}

// growth samples the resident set of the proxy until the returned function is called, which says by how much it grew at most.
func growth(p *proxy) func() int64 {
	start, stop, peak := p.RSS(), make(chan struct{}), make(chan int64)
	go func() {
		top := start
		for {
			select {
			case <-stop:
				peak <- top - start
				return
			case <-time.After(10 * time.Millisecond):
				top = max(top, p.RSS())
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-peak
	}
}
