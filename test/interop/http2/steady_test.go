package http2

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	steadyClients = 16
	steadyRate    = 400 // requests a second of all together
)

// waits says how long requests took that were due at regular times, from when they were due.
type waits struct {
	sorted []time.Duration
	sent   int // bytes
}

// at returns a percentile.
func (w *waits) at(percent int) time.Duration {
	if len(w.sorted) == 0 {
		return 0
	}
	return w.sorted[min(len(w.sorted)*percent/100, len(w.sorted)-1)]
}

func (w *waits) String() string {
	return fmt.Sprintf("%d, p50 %d us, p90 %d us, p99 %d us, max %d us", len(w.sorted),
		w.at(50).Microseconds(), w.at(90).Microseconds(), w.at(99).Microseconds(), w.at(100).Microseconds())
}

// steady sends requests of HTTP/1 at a constant rate for a time, from some connections. A late answer does not make the next request late in
// the account: it counts from when it was due. Every request must be answered well.
func steady(t *testing.T, addr string, duration time.Duration) *waits {
	t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	all := &waits{}
	every := time.Second * steadyClients / steadyRate
	start := time.Now().Add(20 * time.Millisecond)
	for i := range steadyClients {
		group.Go(func() {
			took, sent, err := oneSteady(addr, start.Add(every*time.Duration(i)/steadyClients), every, duration)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("another client: %v", err)
			}
			all.sorted = append(all.sorted, took...)
			all.sent += sent
		})
	}
	group.Wait()
	slices.Sort(all.sorted)
	return all
}

func oneSteady(addr string, due time.Time, every, duration time.Duration) (took []time.Duration, sent int, err error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(due.Add(duration + patience))
	request := []byte("GET /bytes/1000 HTTP/1.1\r\nhost: h\r\n\r\n")
	in := bufio.NewReader(conn)
	for end := due.Add(duration); due.Before(end); due = due.Add(every) {
		sleepUntil(due)
		if _, err := conn.Write(request); err != nil {
			return took, sent, err
		}
		sent += len(request)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return took, sent, err
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != 1000 || err != nil || resp.StatusCode != http.StatusOK {
			return took, sent, fmt.Errorf("%s, %d bytes, %v", resp.Status, n, err)
		}
		took = append(took, time.Since(due))
	}
	return took, sent, nil
}

// sleepUntil sleeps in the system, because the runtime's timers are late by up to a millisecond.
func sleepUntil(due time.Time) {
	for d := time.Until(due); d > 0; d = time.Until(due) {
		ts := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&ts, nil) // interrupted: once more
	}
}
