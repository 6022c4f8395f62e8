package stream

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

// flowLimit is the buffer limit of both sides in these tests.
const flowLimit = 64 << 10

// slack is what may be held beyond the limits: what one read brings on each side, and
// the halves of chunks.
const slack = 512 << 10

func flowWorld(t testing.TB, o setup) *world {
	o.limit = flowLimit
	o.clusters = map[string]string{"c": fmt.Sprintf("per_connection_buffer_limit_bytes { value: %d }", flowLimit)}
	return newWorld(t, o)
}

// noise is a body that tells when a piece is lost, doubled or moved.
func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

// pump lets bytes flow to p in windows of n, and calls seen with each piece, until
// nothing comes any more. It checks that the loop never holds much.
func (w *world) pump(p *looptest.Peer, n int, seen func([]byte)) {
	w.t.Helper()
	for {
		p.Window(n)
		w.Settle()
		if held := w.Loop.Buffers().InUse() * (16 << 10); held > 2*flowLimit+slack {
			w.t.Fatalf("%d bytes are held", held)
		}
		got := p.Take()
		if len(got) == 0 {
			return
		}
		seen(got)
	}
}

// TestBigBodies moves 10 MB each way through small windows, whole and in order.
func TestBigBodies(t *testing.T) {
	const size = 10 << 20
	body := noise(size)
	want := sha256.Sum256(body)
	for _, filtered := range []bool{false, true} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("filtered %v, chunked %v", filtered, chunked), func(t *testing.T) {
				o := setup{action: "timeout {}"}
				if filtered {
					o.filters = []FilterConfig{{Name: "s", Config: stateful{}}}
				}
				w := flowWorld(t, o)
				c := w.client()
				framing := fmt.Sprintf("content-length: %d\r\n\r\n", size)
				if chunked {
					framing = fmt.Sprintf("transfer-encoding: chunked\r\n\r\n%x\r\n", size)
				}
				c.Send("POST / HTTP/1.1\r\nhost: a\r\n" + framing)
				c.SendBytes(body)
				if chunked {
					c.Send("\r\n0\r\n\r\n")
				}
				w.Turn()
				for w.Turn() && w.Loop.Buffers().InUse() == 0 {
				}
				b := w.backend(1)
				b.Window(0)
				w.Settle()
				if c.Unread() < size/2 {
					t.Errorf("the loop read %d bytes for a host that takes none", size-c.Unread())
				}
				var got []byte
				w.pump(b, 50_000, func(p []byte) { got = append(got, p...) })
				if sha256.Sum256([]byte(strings.TrimSuffix(dechunk(string(got)), "|0\r\n\r\n"))) != want {
					t.Errorf("the host got another body of %d bytes", len(got))
				}

				b.Window(-1)
				c.Window(0)
				b.Send("HTTP/1.1 200 OK\r\n" + framing)
				b.SendBytes(body)
				if chunked {
					b.Send("\r\n0\r\n\r\n")
				}
				w.Settle()
				if b.Unread() < size/2 {
					t.Errorf("the loop read %d bytes for a client that takes none", size-b.Unread())
				}
				got = got[:0]
				w.pump(c, 50_000, func(p []byte) { got = append(got, p...) })
				if sha256.Sum256([]byte(strings.TrimSuffix(dechunk(string(got)), "|0\r\n\r\n"))) != want {
					t.Errorf("the client got another body of %d bytes", len(got))
				}
				w.logged("POST / 200 - via_upstream")
				i := w.log.last()
				if i.BytesReceived != size || i.BytesSent != size {
					t.Errorf("counted %d in, %d out", i.BytesReceived, i.BytesSent)
				}
				c.Window(-1)
				w.send(c, get) // both connections are as good as before
				b.Received()
				w.send(b, ok2)
				w.got(c, ok2Down)
				w.idle()
			})
		}
	}
}

// dechunk returns the body of a message, chunks joined; for those of many chunks it is
// faster than unchunk.
func dechunk(m string) string {
	head, rest, _ := strings.Cut(m, "\r\n\r\n")
	if !strings.Contains(head, "chunked") {
		return rest
	}
	var b strings.Builder
	for {
		size, after, ok := strings.Cut(rest, "\r\n")
		var n int
		if _, err := fmt.Sscanf(size, "%x", &n); err != nil || !ok || n == 0 || n+2 > len(after) {
			return b.String() + "|" + rest
		}
		b.WriteString(after[:n])
		rest = after[n+2:]
	}
}

// TestSlowClientStopsHost and lets it go on, told by both sides' counters.
func TestSlowClientStopsHost(t *testing.T) {
	w := flowWorld(t, setup{})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	c.Window(0)
	body := strings.Repeat("x", 1<<20)
	w.send(b, fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n", len(body))+body)
	w.stats(".upstream_flow_control_paused_reading_total", 1, ".upstream_flow_control_resumed_reading_total", 0)
	left := b.Unread()
	if left < len(body)-2*flowLimit-slack {
		t.Errorf("%d bytes were read from the host", len(body)-left)
	}
	w.Settle()
	if b.Unread() != left {
		t.Error("reading goes on")
	}
	c.Window(-1)
	w.Settle()
	if got := bodyOf(c.Received()); got != body {
		t.Errorf("got %d bytes", len(got))
	}
	w.logged(okLog)
	w.idle()
}

// TestSlowHostStopsClient is the same for an upload.
func TestSlowHostStopsClient(t *testing.T) {
	w := flowWorld(t, setup{})
	c := w.client()
	w.send(c, post(1<<20))
	b := w.backend(1)
	b.Window(0)
	body := strings.Repeat("x", 1<<20)
	w.send(c, body)
	w.stats("downstream_flow_control_paused_reading_total", 1, "downstream_flow_control_resumed_reading_total", 0)
	if left := c.Unread(); left < len(body)-2*flowLimit-slack {
		t.Errorf("%d bytes were read from the client", len(body)-left)
	}
	b.Window(-1)
	w.Settle()
	if got := bodyOf(b.Received()); got != body {
		t.Errorf("host got %d bytes", len(got))
	}
	w.stats("downstream_flow_control_resumed_reading_total", 1)
	w.send(b, ok2)
	w.logged("POST / 200 - via_upstream")
	w.idle()
}

// TestUploadWaitsForConnection holds no more than the limit while nobody is there to
// take it.
func TestUploadWaitsForConnection(t *testing.T) {
	w := flowWorld(t, setup{})
	w.OnDial(addr(1), looptest.Hold)
	c := w.client()
	body := strings.Repeat("x", 1<<20)
	w.send(c, post(1<<20)+body)
	if left := c.Unread(); left < len(body)-flowLimit-slack {
		t.Errorf("%d bytes were read from the client", len(body)-left)
	}
	b := w.backend(1)
	b.Establish()
	w.Settle()
	if got := bodyOf(b.Received()); got != body {
		t.Errorf("host got %d bytes", len(got))
	}
	w.send(b, ok2)
	w.logged("POST / 200 - via_upstream")
}

// TestLeavingWhileStopped: who leaves while reading from him is stopped is noticed all
// the same, and nothing is left.
func TestLeavingWhileStopped(t *testing.T) {
	for _, how := range leavings() {
		t.Run("client, "+how.name, func(t *testing.T) {
			w := flowWorld(t, setup{})
			c := w.client()
			w.send(c, post(1<<20))
			b := w.backend(1)
			b.Window(0)
			w.send(c, strings.Repeat("x", 1<<19))
			how.do(c)
			w.Settle()
			w.logged("POST / 0 DC downstream_remote_disconnect")
			if !c.Closed() || !b.Closed() {
				t.Errorf("client closed %v, host closed %v", c.Closed(), b.Closed())
			}
			w.idle()
		})
		t.Run("host, "+how.name, func(t *testing.T) {
			w := flowWorld(t, setup{})
			c := w.client()
			w.send(c, get)
			b := w.backend(1)
			c.Window(0)
			w.send(b, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"+strings.Repeat("x", 1<<19))
			how.do(b)
			w.Settle()
			c.Window(-1) // what had arrived still goes out, then it is cut off
			w.Settle()
			w.logged("GET / 200 UPE upstream_reset_after_response_started{protocol_error}")
			if !c.Ended() || !b.Closed() {
				t.Errorf("client ended %v, host closed %v", c.Ended(), b.Closed())
			}
			w.Advance(2e9)
			w.idle()
		})
	}
}

// TestStoppedThenAnswered: an answer to an upload that is stopped ends the exchange and
// leaves the client readable.
func TestStoppedThenAnswered(t *testing.T) {
	w := flowWorld(t, setup{})
	c := w.client()
	w.send(c, post(1<<20))
	b := w.backend(1)
	b.Window(0)
	w.send(c, strings.Repeat("x", 1<<19))
	w.send(b, "HTTP/1.1 413 Too\r\ncontent-length: 0\r\n\r\n")
	if got := statusOf(c.Received()); got != "413 Payload Too Large" {
		t.Errorf("got %q", got)
	}
	w.logged("POST / 413 - via_upstream")
	w.Settle()
	if c.Unread() > 0 {
		t.Error("what the client still sends is not read away, so that its reading of the answer may fail")
	}
	w.Advance(2e9)
	w.idle()
}

// TestManyStreamsInOneTurn: responses of several streams in one turn reach each
// client whole.
func TestManyStreamsInOneTurn(t *testing.T) {
	w := newWorld(t, setup{})
	var cs, bs []*looptest.Peer
	for i := range 20 {
		c := w.client()
		c.Send(fmt.Sprintf("GET /%d HTTP/1.1\r\nhost: a\r\n\r\n", i))
		cs = append(cs, c)
	}
	w.Settle()
	for range cs {
		bs = append(bs, w.backend(1))
	}
	for _, b := range bs {
		line, _, _ := strings.Cut(b.Received(), " HTTP")
		path := strings.TrimPrefix(line, "GET /")
		b.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(path), path))
	}
	w.Turn()
	w.Settle()
	for i, c := range cs {
		if got := bodyOf(c.Received()); got != fmt.Sprint(i) {
			t.Errorf("client %d got %q", i, got)
		}
	}
	w.idle()
}
