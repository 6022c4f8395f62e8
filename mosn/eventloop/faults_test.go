package eventloop

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A turn that is over the bounds is noticed (rule R7): by the loop itself at
// 10 ms, by the watchdog, with all stacks, at 200 ms, once.
func TestWatchdog(t *testing.T) {
	var logs []string
	l, _, clock := newStub(t, Config{Log: func(_ Level, msg string) { logs = append(logs, msg) }})
	dog := watchdog{group: l.group, reported: make([]int64, 1), lastDump: -dumpEvery}
	look := func() { dog.look(*clock) }
	run := func(d time.Duration) {
		l.TryPost(TaskFunc(func(*Loop) {
			*clock += d
			look()
			look()
		}))
		l.RunTurn()
		*clock += time.Millisecond
		look() // between turns there is nothing to report
	}
	run(time.Microsecond)
	run(10 * time.Millisecond)
	if l.Stats().Missed != 0 || logs != nil {
		t.Fatalf("missed %d, logs %v", l.Stats().Missed, logs)
	}
	run(11 * time.Millisecond)
	if l.Stats().Missed != 1 || logs != nil {
		t.Fatalf("missed %d, logs %v", l.Stats().Missed, logs)
	}
	run(201 * time.Millisecond)
	if len(logs) != 1 || !strings.Contains(logs[0], "TestWatchdog") {
		t.Fatalf("%d logs, want one with this test's stack: %v", len(logs), logs)
	}
	run(time.Second)
	if len(logs) != 2 || strings.Contains(logs[1], "TestWatchdog") {
		t.Fatal("a second dump comes too early, or the stuck turn is not reported")
	}
	*clock += dumpEvery
	run(time.Second)
	if len(logs) != 3 || !strings.Contains(logs[2], "TestWatchdog") {
		t.Fatal("no dump after the interval")
	}
	s := l.Stats()
	if s.TurnTimes[1] != 1 || s.TurnTimes[14] != 2 || s.TurnTimes[18] != 1 || s.TurnTimes[20] != 2 {
		t.Fatalf("turn times %v", s.TurnTimes)
	}
}

// TestWatchdogRuns: the group's goroutine does look.
func TestWatchdogRuns(t *testing.T) {
	r := newRig(t, Config{})
	stuck := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.logs) > 0 && strings.Contains(r.logs[0], "stuck")
	}
	r.on(func(*Loop) {
		for end := time.Now().Add(patience); !stuck() && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	})
	if !stuck() {
		t.Fatal("a loop that is stuck is not reported")
	}
}

// Rule R9: a panic in any callback ends that connection only.
func TestPanicInCallback(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		boom := func(*Conn) { panic("boom in a callback") }
		accepts := 0
		var h *spy
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			accepts++
			if accepts == 1 {
				boom(c)
			}
			return h
		})
		bystander := newSpy()
		cases := map[string]func(h *spy){
			"accept":   func(*spy) {},
			"data":     func(h *spy) { h.onData = func(c *Conn, _ []byte) int { panic("boom in OnData") } },
			"too many": func(h *spy) { h.onData = func(c *Conn, in []byte) int { return len(in) + 1 } },
			"eof":      func(h *spy) { h.onEOF = boom },
			"drained": func(h *spy) {
				h.onDrained = boom
				h.onData = func(c *Conn, in []byte) int { c.NotifyFlushed(); return len(in) }
			},
			"close": func(h *spy) { h.onEOF = (*Conn).Close; h.onClose = boom },
		}
		order := []string{"accept", "data", "too many", "eof", "drained", "close"}
		for i, name := range order {
			r.on(func(*Loop) {
				h = newSpy()
				cases[name](h)
			})
			c := r.connect(ln.Addr())
			mustWrite(t, c, []byte("x"))
			if name == "eof" || name == "close" {
				_ = c.Close()
			} else {
				expectEnd(t, c)
			}
			r.eventually(name+": the connection is gone", func(l *Loop) bool {
				return l.Connections() == 0 && l.Stats().Panics > uint64(i) && (name == "accept" || h.closes > 0)
			})
			r.on(func(l *Loop) {
				if got := l.Stats().Panics; got != uint64(i+1) {
					t.Errorf("%s: %d panics counted, want %d", name, got, i+1)
				}
				if name != "accept" && (h.closes != 1 || name != "close" && KindOf(h.err) != KindPanic) {
					t.Errorf("%s: %d closes, %s", name, h.closes, describe(h.err))
				}
			})
		}
		r.on(func(*Loop) { h = bystander })
		c := r.connect(ln.Addr())
		mustWrite(t, c, []byte("still there"))
		r.eventually("the loop goes on", func(*Loop) bool { return string(bystander.data) == "still there" })
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.logs) != len(order) || !strings.Contains(r.logs[1], "boom in OnData") || !strings.Contains(r.logs[1], "TestPanicInCallback") {
			t.Errorf("logs: %d, the second %q", len(r.logs), r.logs[1])
		}
	})
}

// expectEnd waits until the connection ends in whatever way.
func expectEnd(t *testing.T, c interface{ Read([]byte) (int, error) }) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatalf("read %d bytes instead of the end", n)
	}
}

func TestPanicInTaskTimerAndConnect(t *testing.T) {
	r := newRig(t, Config{})
	l := r.Loop(0)
	if err := l.Post(TaskFunc(func(*Loop) { panic("boom in a task") })); err != nil {
		t.Fatal(err)
	}
	bad := &panicTimer{}
	r.on(func(l *Loop) {
		bad.t.Init(l, bad)
		bad.t.Arm(0)
	})
	r.eventually("both are counted", func(l *Loop) bool { return l.Stats().Panics == 2 })
	ln := r.serve(ListenConfig{}, func(*Conn) Handler { return echo{} })
	h := newSpy()
	h.onConnect = func(*Conn) { panic("boom in OnConnect") }
	r.on(func(l *Loop) { l.Dial(ln.Addr(), nil, h) })
	h.wait(t)
	if KindOf(h.err) != KindPanic {
		t.Fatalf("ended with %s", describe(h.err))
	}
}

type panicTimer struct{ t Timer }

func (*panicTimer) OnTimer(*Timer) { panic("boom in a timer") }

// TestStop: everything open is closed with ErrStopped, what was posted before
// runs, and no goroutine is left (TestMain).
func TestStop(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		h := newSpy()
		ln := r.serve(ListenConfig{}, func(c *Conn) Handler {
			c.Out().AppendString("welcome")
			return h
		})
		c := r.connect(ln.Addr())
		mustRead(t, c, 7)
		var ran atomic.Int32
		for range 100 {
			if err := r.Loop(0).Post(TaskFunc(func(*Loop) { ran.Add(1) })); err != nil {
				t.Fatal(err)
			}
		}
		r.Stop()
		r.Stop()
		h.wait(t)
		if !errors.Is(h.err, ErrStopped) || ran.Load() != 100 {
			t.Fatalf("%s, %d tasks ran", describe(h.err), ran.Load())
		}
		expectEnd(t, c)
		<-r.Loop(0).Done()
	})
}

func TestStopOfAGroupThatNeverRan(t *testing.T) {
	before := openFiles(t)
	g, err := NewGroup(Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	g.Stop()
	g.Start() // does nothing any more
	if after := openFiles(t); after != before {
		t.Fatalf("%d descriptors before, %d after", before, after)
	}
}

func TestNewGroupFails(t *testing.T) {
	n := 0
	_, err := NewGroup(Config{Loops: 2, NewKernel: func() (Kernel, error) {
		if n++; n == 2 {
			return nil, syscall.EMFILE
		}
		return new(stubKernel), nil
	}})
	if !errors.Is(err, syscall.EMFILE) || !strings.Contains(err.Error(), "event loop 1") {
		t.Fatalf("error %v", err)
	}
}
