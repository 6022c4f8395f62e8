package faults

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// memoryBound is how much the resident set may grow while a gigabyte passes.
const memoryBound = 48 << 20

// TestLargeDownload streams a gigabyte to a client that pauses now and then: the proxy must hold the backend back, not the bytes.
func TestLargeDownload(t *testing.T) {
	each(t, func(t *testing.T, b program) {
		o := newOrigin(t, streams)
		r := newRig(t, b, `{cluster: b, timeout: 0s}`, o.port())
		peak := watchRSS(r)
		conn := dial(t, r.addr)
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nhost: h\r\n\r\n")
		in := bufio.NewReaderSize(conn, 256<<10)
		status, length, err := readHead(in)
		if err != nil || status != 200 || length != streamBytes {
			t.Fatalf("status %d, length %d, %v", status, length, err)
		}
		for left := length; left > 0; {
			n, err := io.CopyN(io.Discard, in, min(left, 256<<20))
			if err != nil {
				t.Fatalf("%d bytes missing: %v", left-n, err)
			}
			left -= n
			time.Sleep(100 * time.Millisecond)
		}
		checkGrowth(t, peak)
	})
}

// TestLargeUpload streams a gigabyte to the backend.
func TestLargeUpload(t *testing.T) {
	each(t, func(t *testing.T, b program) {
		o := newOrigin(t, answers)
		r := newRig(t, b, `{cluster: b, timeout: 0s}`, o.port())
		peak := watchRSS(r)
		conn := dial(t, r.addr)
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n", int64(streamBytes))
		if err := writeZeros(conn, streamBytes); err != nil {
			t.Fatal(err)
		}
		status, _, err := readHead(bufio.NewReader(conn))
		if err != nil || status != 200 {
			t.Fatalf("status %d, %v", status, err)
		}
		if got := o.received.Load(); got != streamBytes {
			t.Errorf("the backend received %d bytes", got)
		}
		checkGrowth(t, peak)
	})
}

// TestStalledClient lets a client read nothing of a large answer: the proxy stops reading from the backend, and its memory stays.
func TestStalledClient(t *testing.T) {
	each(t, func(t *testing.T, b program) {
		o := newOrigin(t, streams)
		r := newRig(t, b, `{cluster: b, timeout: 0s}`, o.port())
		peak := watchRSS(r)
		const clients = 8
		for range clients {
			conn := dial(t, r.addr)
			fmt.Fprintf(conn, "GET / HTTP/1.1\r\nhost: h\r\n\r\n")
		}
		eventually(t, 10*time.Second, "all requests are under way", func() bool {
			return r.stat(t, "cluster.b.upstream_rq_active") == clients
		})
		time.Sleep(time.Second)
		checkGrowth(t, peak)
	})
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	return conn
}

// watchRSS samples the resident set every 10 ms until the returned function is called, which tells how much it grew at most.
func watchRSS(r *rig) func() int64 {
	start := r.RSS()
	stop := make(chan struct{})
	peak := make(chan int64)
	go func() {
		top := start
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				peak <- top - start
				return
			case <-tick.C:
				top = max(top, r.RSS())
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-peak
	}
}

func checkGrowth(t *testing.T, peak func() int64) {
	t.Helper()
	grew := peak()
	t.Logf("RSS grew by %d kB at most", grew>>10)
	if grew > memoryBound {
		t.Errorf("RSS grew by %d kB, more than %d", grew>>10, memoryBound>>10)
	}
}
