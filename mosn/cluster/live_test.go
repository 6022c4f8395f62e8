package cluster

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// live is a manager over loops that run, with the system's network.
type live struct {
	*world
	group *eventloop.Group
}

func newLive(t *testing.T, loops int) *live {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	g, err := eventloop.NewGroup(eventloop.Config{Loops: loops})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, 1, nil) // for its compiler
	w.locals = nil
	for range loops {
		w.locals = append(w.locals, stats.NewLocal())
	}
	w.collect = stats.NewCollector(w.store, w.locals, func(i int, fn func()) error {
		return g.Loop(i).Call(func(*eventloop.Loop) { fn() })
	})
	w.m = NewManager(Options{Group: g, Stats: w.locals, Shared: w.store.Shared()})
	g.Start()
	t.Cleanup(func() {
		w.m.Close()
		g.Stop()
	})
	return &live{w, g}
}

// chain makes calls one after the other on its loop, until it has made enough.
type chain struct {
	quiet
	left     int
	failed   *atomic.Int64
	finished func()
}

func (c *chain) next() {
	if c.left--; c.left < 0 {
		c.finished()
		return
	}
	c.start()
}

func (c *chain) start() { c.lc.Start(&c.Call, c.lc.Choose(&c.ctx), nil, c, Default) }

func (c *chain) OnCallHeaders(_ *Call, m *sdk.Message, end bool) {
	c.res.Swap(m)
	if c.res.Status() != 200 {
		panic("status " + strconv.Itoa(c.res.Status()))
	}
	if end {
		c.next()
	}
}

func (c *chain) OnCallData(_ *Call, _ []byte, end bool) {
	if end {
		c.next()
	}
}
func (c *chain) OnCallTrailers(*Call, *sdk.Message) { c.next() }
func (c *chain) OnCallFailed(*Call, *sdk.Error) {
	c.failed.Add(1)
	c.next()
}

// TestLiveLoops: four loops and a real server: everything is answered, the limits
// hold over all loops, and nothing is left.
func TestLiveLoops(t *testing.T) {
	const chains, calls, limit = 8, 200, 5
	for _, loops := range []int{1, 4} {
		t.Run(fmt.Sprint(loops), func(t *testing.T) {
			var now, most atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				_, _ = w.Write([]byte("hello"))
				now.Add(-1)
			}))
			defer srv.Close()
			l := newLive(t, loops)
			host, port, err := net.SplitHostPort(srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			number, err := strconv.Atoi(port)
			if err != nil {
				t.Fatal(err)
			}
			cfg := l.config(fmt.Sprintf(`name: "c" circuit_breakers { thresholds { max_requests { value: %d } } }
				load_assignment { cluster_name: "c" endpoints { %s } }`, limit, ep(host, number, "")))
			if err := l.m.Update([]*Config{cfg}, nil); err != nil {
				t.Fatal(err)
			}
			failed := runChains(t, l, loops, chains, calls)
			if most.Load() > limit {
				t.Errorf("%d requests at a time with a limit of %d", most.Load(), limit)
			}
			done := uint64(loops*chains*calls) - uint64(failed)
			if done == 0 {
				t.Fatal("nothing was answered")
			}
			l.stats("upstream_rq_active", 0, "upstream_rq_pending_active", 0, "upstream_cx_connect_fail", 0)
			if got := l.stat("upstream_rq_total"); got != done {
				t.Errorf("upstream_rq_total %d, answered %d", got, done)
			}
			if got := l.stat("upstream_rq_active_overflow"); got != uint64(failed) {
				t.Errorf("upstream_rq_active_overflow %d, failed %d", got, failed)
			}
			if err := l.m.Update(nil, []string{"c"}); err != nil {
				t.Fatal(err)
			}
			for i := range loops { // after the update came by
				if err := l.group.Loop(i).Call(func(*eventloop.Loop) {}); err != nil {
					t.Fatal(err)
				}
			}
			if got := l.stat("upstream_cx_active"); got != 0 {
				t.Errorf("%d connections are open", got)
			}
		})
	}
}

// runChains runs chains on every loop and returns how many calls failed.
func runChains(t *testing.T, l *live, loops, chains, calls int) int64 {
	t.Helper()
	var wait sync.WaitGroup
	var failed atomic.Int64
	for i := range loops {
		for range chains {
			wait.Add(1)
			err := l.group.Loop(i).Call(func(*eventloop.Loop) {
				c := &chain{quiet: *newQuiet(l.m.Local(i).Get("c")), left: calls, failed: &failed, finished: wait.Done}
				c.next()
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	wait.Wait()
	return failed.Load()
}
