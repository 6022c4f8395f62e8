package cluster

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// frameServer answers each request with its own path, in another order than they
// came. It notes which it has processed.
type frameServer struct {
	ln    net.Listener
	after int    // requests on a connection after which it does what ends it; 0 never
	how   string // "close", "go away"

	wait  sync.WaitGroup
	mu    sync.Mutex
	seen  map[string]int
	open  map[net.Conn]bool
	conns int
	most  int // connections at a time
}

func newFrameServer(t *testing.T, after int, how string) *frameServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &frameServer{ln: ln, after: after, how: how, seen: map[string]int{}, open: map[net.Conn]bool{}}
	s.wait.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open[c] = true
			s.conns++
			s.most = max(s.most, len(s.open))
			s.mu.Unlock()
			s.wait.Go(func() { s.serve(c) })
		}
	})
	return s
}

// close ends the server and all its connections.
func (s *frameServer) close() {
	s.ln.Close()
	s.mu.Lock()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.wait.Wait()
}

func (s *frameServer) serve(c net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		c.Close()
	}()
	in := bufio.NewReader(c)
	head := make([]byte, frameHead)
	var batch [][]byte
	var last uint64
	for n := 1; ; n++ {
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		path := make([]byte, binary.BigEndian.Uint32(head[5:]))
		if _, err := io.ReadFull(in, path); err != nil {
			return
		}
		ending := s.after > 0 && n >= s.after
		if ending && s.how == "close" {
			return
		}
		if !ending || n == s.after {
			last = uint64(binary.BigEndian.Uint32(head[1:]))
			s.mu.Lock()
			s.seen[string(path)]++
			s.mu.Unlock()
			batch = append(batch, appendFrame(appendFrame(nil, 'H', last, ""), 'd', last, string(path)))
		}
		if ending && n == s.after {
			batch = append(batch, appendFrame(nil, 'G', last, "")) // later ones are not even looked at
		}
		if in.Buffered() < frameHead || len(batch) == 50 {
			for i := range batch {
				if _, err := c.Write(batch[len(batch)-1-i]); err != nil {
					return
				}
			}
			batch = batch[:0]
		}
	}
}

// caller makes calls one after the other on its loop and checks each answer. What is
// certainly not processed it tries again.
type caller struct {
	Call
	ctx      LBContext
	lc       *LoopCluster
	req      sdk.Message
	name     string
	n, left  int
	got      []byte
	wrong    *atomic.Int64
	lost     *atomic.Int64
	retries  *atomic.Int64
	finished func()
}

func (c *caller) path() string { return "/" + c.name + "-" + strconv.Itoa(c.n) }

func (c *caller) next() {
	if c.left--; c.left < 0 {
		c.finished()
		return
	}
	c.n++
	c.start()
}

func (c *caller) start() {
	c.got = c.got[:0]
	c.req.Reset()
	c.req.AddID(sdk.HeaderPath, c.path())
	c.lc.Start(&c.Call, c.lc.Choose(&c.ctx), nil, c, Default)
}

func (c *caller) OnCallReady(*Call) {
	if err := c.WriteHeaders(&c.req, true); err != nil {
		panic(err)
	}
}
func (c *caller) OnCallInformational(*Call, *sdk.Message) {}
func (c *caller) OnCallHeaders(_ *Call, _ *sdk.Message, end bool) {
	if end {
		panic("an answer without body")
	}
}
func (c *caller) OnCallData(_ *Call, p []byte, end bool) {
	c.got = append(c.got, p...)
	if !end {
		return
	}
	if string(c.got) != c.path() {
		c.wrong.Add(1)
	}
	c.next()
}
func (c *caller) OnCallTrailers(*Call, *sdk.Message) { panic("trailers") }
func (c *caller) OnCallWritable(*Call)               {}
func (c *caller) OnCallFailed(_ *Call, err *sdk.Error) {
	if err.Unsent {
		c.retries.Add(1)
		c.start()
		return
	}
	c.lost.Add(1)
	c.next()
}

// TestLiveSharedConnections: a thousand calls at a time from one and from four loops
// over one connection of a real server, which now and then goes away or is killed. No
// answer reaches the wrong caller, nothing that was certainly not processed is lost,
// and nothing that was tried again is processed twice.
func TestLiveSharedConnections(t *testing.T) {
	const callers, calls = 1000, 10
	for _, how := range []string{"", "go away", "close"} {
		for _, loops := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s/%d", how, loops), func(t *testing.T) {
				l := newLive(t, loops)
				after := 0
				if how != "" {
					after = 1500
				}
				srv := newFrameServer(t, after, how)
				defer srv.close()
				l.shareHost(t, srv)
				lost, retries := l.runCallers(t, loops, callers/loops, calls)
				srv.mu.Lock()
				defer srv.mu.Unlock()
				for path, n := range srv.seen {
					if n != 1 {
						t.Errorf("%s was processed %d times", path, n)
					}
				}
				if done := callers*calls - int(lost); how != "close" && (lost != 0 || len(srv.seen) != done) {
					t.Errorf("%d calls lost, %d processed, %d answered", lost, len(srv.seen), done)
				}
				if how == "" && (srv.conns != 1 || retries != 0) {
					t.Errorf("%d connections, %d retries", srv.conns, retries)
				}
				if how != "" && srv.conns < 3 {
					t.Errorf("%d connections: the server did not end any", srv.conns)
				}
				l.stats("upstream_rq_active", 0, "upstream_rq_pending_active", 0)
			})
		}
	}
}

// shareHost makes the server the host of cluster c, with one connection.
func (l *live) shareHost(t *testing.T, srv *frameServer) {
	t.Helper()
	l.codec = frameCodec{}.codec()
	at, ok := srv.ln.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("not a TCP address")
	}
	cfg := l.config(fmt.Sprintf(`name: "c" circuit_breakers {
		thresholds { max_requests { value: 100000 } max_pending_requests { value: 100000 } }
		per_host_thresholds { max_connections { value: 1 } } }
		load_assignment { cluster_name: "c" endpoints { %s } }`, ep("127.0.0.1", at.Port, "")))
	if err := l.m.Update([]*Config{cfg}, nil); err != nil {
		t.Fatal(err)
	}
}

// runCallers runs callers on every loop and returns how many calls were lost and how
// many tried again.
func (l *live) runCallers(t *testing.T, loops, callers, calls int) (lost, retries int64) {
	t.Helper()
	var wait sync.WaitGroup
	var nWrong, nLost, nRetries atomic.Int64
	for i := range loops {
		err := l.group.Loop(i).Call(func(*eventloop.Loop) {
			for j := range callers {
				wait.Add(1)
				c := &caller{lc: l.m.Local(i).Get("c"), name: fmt.Sprintf("%d-%d", i, j), left: calls,
					wrong: &nWrong, lost: &nLost, retries: &nRetries, finished: wait.Done}
				c.next()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wait.Wait()
	if n := nWrong.Load(); n != 0 {
		t.Errorf("%d answers to the wrong caller", n)
	}
	return nLost.Load(), nRetries.Load()
}
