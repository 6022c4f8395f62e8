package faults

import (
	"bufio"
	"io"
	"maps"
	"net"
	"sync"
	"testing"
	"time"
)

// TestClientVanishes lets many clients leave in each phase of a request, by FIN and by RST.
func TestClientVanishes(t *testing.T) {
	const clients = 100
	cases := []struct {
		name string
		how  behaviour
		send string
		read int    // bytes of the answer to wait for
		log  string // empty: no line
	}{
		{"before the first byte", answers, "", 0, ""},
		{"in the request line", answers, "GET / HT", 0, "0 DC"},
		{"in the headers", answers, "GET / HTTP/1.1\r\nhost: h\r\nx-", 0, "0 DC"},
		{"before the body", silent, "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n", 0, "0 DC"},
		{"in the body", silent, "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhello", 0, "0 DC"},
		{"before the answer", silent, "GET / HTTP/1.1\r\nhost: h\r\n\r\n", 0, "0 DC"},
		{"in the answer", slow, "GET / HTTP/1.1\r\nhost: h\r\n\r\n", 20, "200 DC"},
		{"in a large answer", streams, "GET / HTTP/1.1\r\nhost: h\r\n\r\n", 1000, "200 DC"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, b program) {
				o := newOrigin(t, c.how)
				r := newRig(t, b, `{cluster: b, timeout: 0s}`, o.port())
				before := r.FDs()
				var wg sync.WaitGroup
				for i := range clients {
					wg.Go(func() { vanish(t, r.addr, c.send, c.read, i%2 == 0) })
				}
				wg.Wait()
				r.quiet(t, before)
				if c.log == "" {
					return
				}
				if flags := r.flags(t, clients); !maps.Equal(flags, map[string]int{c.log: clients}) {
					t.Errorf("access log: %v, want %d of %q", flags, clients, c.log)
				}
			})
		})
	}
}

// vanish sends and reads a part and leaves.
func vanish(t *testing.T, addr, send string, read int, reset bool) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Errorf("connect: %v", err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, send); err != nil {
		t.Errorf("send: %v", err)
	}
	if _, err := io.CopyN(io.Discard, conn, int64(read)); err != nil {
		t.Errorf("read: %v", err)
	}
	time.Sleep(150 * time.Millisecond) // let the proxy reach the phase; too early is another phase, not a failure of this test
	if reset {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
}

// TestTenThousandConnections opens ten thousand connections at once, uses half of them, drops them all, and does it again: everything comes
// back and the second round needs no more memory than the first.
func TestTenThousandConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("ten thousand connections take a while; -short was given")
	}
	each(t, func(t *testing.T, b program) {
		o := newOrigin(t, answers)
		r := newRig(t, b, routeDefault, o.port())
		if got := get(r.addr); got != 200 {
			t.Fatalf("a first request got %d", got)
		}
		before := r.FDs()
		var after [3]int64
		bound := int64(8 << 20)
		for round := range after {
			openAndDrop(t, r, 10000)
			r.quiet(t, before)
			after[round] = r.RSS()
			if b.name == "mosn" {
				after[round], bound = r.live(t), 1<<20
			}
		}
		t.Logf("after each round: %v kB", []int64{after[0] >> 10, after[1] >> 10, after[2] >> 10})
		if growth := after[2] - after[1]; growth > bound {
			t.Errorf("the third round left %d kB more than the second", growth>>10)
		}
		if got := get(r.addr); got != 200 {
			t.Errorf("afterwards a request got %d", got)
		}
	})
}

// openAndDrop holds n connections at the same time; every second one carries a request, every third one is reset instead of closed.
func openAndDrop(t *testing.T, r *rig, n int) {
	t.Helper()
	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	const workers = 16
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				c, err := net.DialTimeout("tcp", r.addr, 10*time.Second)
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = c
				if i%2 == 0 {
					if status := roundTrip(c, bufio.NewReader(c)); status != 200 {
						t.Errorf("connection %d: status %d", i, status)
					}
				}
			}
		})
	}
	wg.Wait()
	eventually(t, 10*time.Second, "all connections are counted", func() bool {
		return r.stat(t, "http.faults.downstream_cx_active") == n
	})
	for i, c := range conns {
		if c == nil {
			continue
		}
		if i%3 == 0 {
			_ = c.(*net.TCPConn).SetLinger(0)
		}
		_ = c.Close()
	}
}
