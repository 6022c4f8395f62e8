package faults

import (
	"fmt"
	"io"
	"sync"
	"testing"
)

// TestLimitsHoldOverWorkers fills a circuit breaker from many connections at once: the limit is one for all workers.
func TestLimitsHoldOverWorkers(t *testing.T) {
	const limit, clients = 10, 100
	for _, concurrency := range []int{1, 4} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			each(t, func(t *testing.T, b program) {
				o := newOrigin(t, silent)
				thresholds := fmt.Sprintf(`{max_requests: %d, max_connections: 20000, max_pending_requests: 20000}`, limit)
				r := newRigWith(t, b, `{cluster: b, timeout: 1s}`, thresholds, concurrency, o.port())
				got := map[int]int{}
				var mu sync.Mutex
				var wg sync.WaitGroup
				for range clients {
					wg.Go(func() {
						status := get(r.addr)
						mu.Lock()
						defer mu.Unlock()
						got[status]++
					})
				}
				wg.Wait()
				admitted := got[504]
				// Envoy looks and counts in two steps, so that its workers can exceed the limit together by one each.
				if admitted < limit || admitted >= limit+concurrency || admitted+got[503] != clients {
					t.Errorf("answers by status: %v, want %d admitted (504) and the rest 503", got, limit)
				}
				if left := r.stat(t, "cluster.b.upstream_rq_active"); left != 0 {
					t.Errorf("%d requests still counted", left)
				}
			})
		})
	}
}

// TestHeadTooLarge sends a head that never ends, from many clients at once: each is refused at the limit of 60 kB (Envoy's default) and
// memory does not follow what was sent.
func TestHeadTooLarge(t *testing.T) {
	each(t, func(t *testing.T, b program) {
		o := newOrigin(t, answers)
		r := newRig(t, b, routeDefault, o.port())
		before := r.FDs()
		peak := watchRSS(r)
		const clients = 50
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				conn := dial(t, r.addr)
				fmt.Fprintf(conn, "GET / HTTP/1.1\r\nhost: h\r\nx-large: ")
				_ = writeZeros(letters{conn}, 8<<20) // the proxy may end the connection before all is sent
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			})
		}
		wg.Wait()
		checkGrowth(t, peak)
		r.quiet(t, before)
		if flags := r.flags(t, clients); flags["431 DPE"] != clients {
			t.Errorf("access log: %v, want %d of 431 DPE", flags, clients)
		}
	})
}

// letters turns written zeros into letters.
type letters struct{ io.Writer }

func (l letters) Write(p []byte) (int, error) {
	text := make([]byte, len(p))
	for i := range text {
		text[i] = 'a'
	}
	return l.Writer.Write(text)
}
