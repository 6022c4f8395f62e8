package faults

import (
	"bufio"
	"maps"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// TestBackendFault sends many requests at once to a backend that fails in one way: each is answered as Envoy does, the log says why, and
// nothing is left behind.
func TestBackendFault(t *testing.T) {
	const requests = 200
	cases := []struct {
		name  string
		how   behaviour
		route string
		want  int
		log   string
	}{
		{"slow", slow, routeDefault, 200, "200 -"},
		{"silent", silent, `{cluster: b, timeout: 0.5s}`, 504, "504 UT"},
		{"closing", closes, routeDefault, 503, "503 UC"},
		{"resetting", resets, routeDefault, 503, "503 UC"},
		{"half-closed", halfCloses, routeDefault, 503, "503 UC"},
		{"cut-off", cutsOff, routeDefault, 0, "200 UPE"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, b program) {
				o := newOrigin(t, c.how)
				r := newRig(t, b, c.route, o.port())
				before := r.FDs()
				checkAll(t, r, requests, c.want, c.log)
				r.quiet(t, before)
				o.how.Store(int32(answers))
				if got := get(r.addr); got != 200 {
					t.Errorf("after the fault a request got %d", got)
				}
			})
		})
	}
}

// TestConnectFault is TestBackendFault for backends to which no connection can be made.
func TestConnectFault(t *testing.T) {
	const requests = 200
	cases := []struct {
		name string
		port func(testing.TB) int
	}{
		{"refusing", peers.RefusedPort},
		{"black hole", peers.BlackHole},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, b program) {
				r := newRig(t, b, routeDefault, c.port(t))
				before := r.FDs()
				checkAll(t, r, requests, 503, "503 UF")
				r.quiet(t, before)
			})
		})
	}
}

// checkAll sends n requests at once, each on a connection of its own.
func checkAll(t *testing.T, r *rig, n, want int, log string) {
	t.Helper()
	got := map[int]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			status := get(r.addr)
			mu.Lock()
			defer mu.Unlock()
			got[status]++
		})
	}
	wg.Wait()
	if !maps.Equal(got, map[int]int{want: n}) {
		t.Errorf("answers by status: %v, want %d of %d", got, n, want)
	}
	if flags := r.flags(t, n); !maps.Equal(flags, map[string]int{log: n}) {
		t.Errorf("access log: %v, want %d of %q", flags, n, log)
	}
}

// TestBackendKilled kills one of two backends under load. With a retry policy for what is safe, no request is lost, neither at the kill nor
// at the return.
func TestBackendKilled(t *testing.T) {
	each(t, func(t *testing.T, b program) {
		steady, victim := newOrigin(t, answers), newOrigin(t, answers)
		route := `{cluster: b, timeout: 5s, retry_policy: {retry_on: "connect-failure,reset", num_retries: 20, ` +
			`retry_back_off: {base_interval: 0.001s, max_interval: 0.01s}}}`
		r := newRig(t, b, route, steady.port(), victim.port())
		stop := make(chan struct{})
		results := make(chan map[int]int)
		const clients = 8
		for range clients {
			go func() { results <- keepSending(r.addr, stop) }()
		}
		for range 3 {
			time.Sleep(150 * time.Millisecond)
			victim.kill()
			time.Sleep(150 * time.Millisecond)
			victim.revive(t)
		}
		close(stop)
		sum := map[int]int{}
		for range clients {
			for status, n := range <-results {
				sum[status] += n
			}
		}
		if len(sum) != 1 || sum[200] == 0 {
			t.Errorf("answers by status: %v, want 200 alone", sum)
			lines, _ := os.ReadFile(r.log)
			for line := range strings.Lines(string(lines)) {
				if !strings.Contains(line, `" 200 - `) {
					t.Log(line)
				}
			}
		}
	})
}

// keepSending sends requests on one connection (a new one after a failure) until stopped, and counts the answers by status.
func keepSending(addr string, stop <-chan struct{}) map[int]int {
	count := map[int]int{}
	for {
		conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			count[0]++
			return count
		}
		in := bufio.NewReader(conn)
		for status := 200; status != 0; count[status]++ {
			select {
			case <-stop:
				_ = conn.Close()
				return count
			default:
			}
			status = roundTrip(conn, in)
		}
		_ = conn.Close()
	}
}
