package eventloop

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// stubKernel scripts Wait; its sockets do not exist.
type stubKernel struct {
	Kernel
	waits  []time.Duration
	onWait func(timeout time.Duration, events []Event) int
	wakes  atomic.Int32
}

func (k *stubKernel) Wait(events []Event, timeout time.Duration) (int, error) {
	k.waits = append(k.waits, timeout)
	if k.onWait == nil {
		return 0, nil
	}
	return k.onWait(timeout, events), nil
}

func (k *stubKernel) Wake()                         { k.wakes.Add(1) }
func (k *stubKernel) Release()                      {}
func (k *stubKernel) Watch(int, uint64) error       { return nil }
func (k *stubKernel) Forget(int)                    {}
func (k *stubKernel) Close(int, bool)               {}
func (k *stubKernel) SocketError(int) syscall.Errno { return 0 }

// newStub returns a loop over a stubKernel with a manual clock.
func newStub(t *testing.T, cfg Config) (*Loop, *stubKernel, *time.Duration) {
	t.Helper()
	k, clock := new(stubKernel), new(time.Duration)
	cfg.NewKernel = func() (Kernel, error) { return k, nil }
	cfg.Clock = func() time.Duration { return *clock }
	if cfg.Log == nil {
		cfg.Log = func(Level, string) {}
	}
	g, err := NewGroup(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	return g.Loop(0), k, clock
}

// Rule R2: after events the loop polls without waiting; with nothing left it
// waits once, until the next timer.
func TestPollsThenSleeps(t *testing.T) {
	l, k, _ := newStub(t, Config{})
	var timer Timer
	timer.Init(l, nopTimer{})
	timer.Arm(30 * time.Millisecond)
	batches := 2
	k.onWait = func(timeout time.Duration, events []Event) int {
		if batches > 0 {
			batches--
			events[0] = Event{Token: 1 << 40} // of a slot that does not exist any more
			return 1
		}
		return 0
	}
	l.slots.slots = make([]slot, 1)
	for range 3 {
		l.turn(l.poll(true))
	}
	want := []time.Duration{0, 0, 0, 30 * time.Millisecond}
	if !slices.Equal(k.waits, want) {
		t.Fatalf("waits %v, want %v", k.waits, want)
	}
	timer.Stop()
	k.waits = nil
	l.turn(l.poll(true))
	if !slices.Equal(k.waits, []time.Duration{0, -1}) {
		t.Fatalf("without timers: waits %v", k.waits)
	}
	if s := l.Stats(); s.Turns != 4 || s.Events != 2 || s.Sleeps != 2 {
		t.Fatalf("stats %+v", s)
	}
}

// A loop with work that no event announces does not sleep.
func TestDoesNotSleepOnWork(t *testing.T) {
	l, k, _ := newStub(t, Config{})
	l.TryPost(TaskFunc(func(*Loop) {}))
	l.turn(l.poll(true))
	if !slices.Equal(k.waits, []time.Duration{0}) {
		t.Fatalf("waits %v", k.waits)
	}
}

// Rule R5: the kernel is woken only when the loop announced that it sleeps, and
// once.
func TestWakesOnlyASleeper(t *testing.T) {
	l, k, _ := newStub(t, Config{})
	task := TaskFunc(func(*Loop) {})
	l.TryPost(task)
	if k.wakes.Load() != 0 {
		t.Fatal("woken while awake")
	}
	l.turn(l.poll(true))
	k.onWait = func(timeout time.Duration, _ []Event) int {
		if timeout != 0 {
			l.TryPost(task)
			l.TryPost(task)
		}
		return 0
	}
	l.turn(l.poll(true))
	if n := k.wakes.Load(); n != 1 {
		t.Fatalf("woken %d times", n)
	}
}

func TestPostWakesASleepingLoop(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		for range 200 {
			ran := make(chan struct{})
			if err := r.Loop(0).Post(TaskFunc(func(*Loop) { close(ran) })); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ran:
			case <-time.After(patience):
				t.Fatal("a posted task never ran")
			}
		}
	})
}

// TestPostWaitsForSpace: many goroutines over a small mailbox; nothing is lost
// and each poster's tasks keep their order.
func TestPostWaitsForSpace(t *testing.T) {
	overKernelsWith(t, Config{MailboxSize: 4}, func(t *testing.T, r *rig) {
		const posters, each = 8, 500
		var got [posters][]int // the loop's
		var wg sync.WaitGroup
		for p := range posters {
			wg.Go(func() {
				for i := range each {
					if err := r.Loop(0).Post(TaskFunc(func(*Loop) { got[p] = append(got[p], i) })); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		r.on(func(*Loop) {
			for p := range got {
				if len(got[p]) != each || !slices.IsSorted(got[p]) {
					t.Errorf("poster %d: %d tasks ran, in order: %v", p, len(got[p]), slices.IsSorted(got[p]))
				}
			}
		})
	})
}

func overKernelsWith(t *testing.T, cfg Config, test func(t *testing.T, r *rig)) {
	for name, newKernel := range kernels() {
		cfg.NewKernel = newKernel
		t.Run(name, func(t *testing.T) { test(t, newRig(t, cfg)) })
	}
}

func TestPostAfterStop(t *testing.T) {
	r := newRig(t, Config{MailboxSize: 2})
	l := r.Loop(0)
	hold, held := make(chan struct{}), make(chan struct{})
	if err := l.Post(TaskFunc(func(*Loop) { close(held); <-hold })); err != nil {
		t.Fatal(err)
	}
	<-held
	waiting := make(chan error, 4)
	for range 4 { // two fill the mailbox, two wait
		go func() { waiting <- l.Post(TaskFunc(func(*Loop) {})) }()
	}
	go func() {
		time.Sleep(time.Millisecond)
		close(hold)
	}()
	r.Stop()
	for range 4 {
		if err := <-waiting; err != nil && !errors.Is(err, ErrStopped) {
			t.Errorf("Post returned %v", err)
		}
	}
	if err := l.Post(TaskFunc(func(*Loop) { t.Error("ran") })); !errors.Is(err, ErrStopped) {
		t.Errorf("Post after Stop returned %v", err)
	}
	if l.TryPost(TaskFunc(func(*Loop) { t.Error("ran") })) {
		t.Error("TryPost after Stop succeeded")
	}
	if err := l.Call(func(*Loop) { t.Error("ran") }); !errors.Is(err, ErrStopped) {
		t.Errorf("Call after Stop returned %v", err)
	}
}

// Rule R5: a loop never waits for another. What does not fit is kept in a
// bounded outbox, in order; what does not fit there is refused to the caller.
func TestOutbox(t *testing.T) {
	k := []*stubKernel{}
	g, err := NewGroup(Config{
		Loops: 2, MailboxSize: 4, Log: func(Level, string) {},
		Clock:     func() time.Duration { return 0 },
		NewKernel: func() (Kernel, error) { k = append(k, new(stubKernel)); return k[len(k)-1], nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Stop()
	a, b := g.Loop(0), g.Loop(1)
	var got []int
	posted := 0
	for a.PostFromLoop(b, TaskFunc(func(*Loop) { got = append(got, len(got)) })) {
		posted++
	}
	if posted != 4+outboxSize || a.Stats().Overloads != 1 {
		t.Fatalf("%d posts succeeded, %d overloads", posted, a.Stats().Overloads)
	}
	if a.timeout() != outboxPoll {
		t.Fatalf("with a full outbox the loop would sleep %v", a.timeout())
	}
	order := []int{}
	for i := range a.out.items { // give the waiting ones a number
		a.out.items[i].task = TaskFunc(func(*Loop) { order = append(order, i) })
	}
	for range outboxSize {
		b.RunTurn()
		a.RunTurn()
	}
	if len(got) != 4 || len(order) != outboxSize || !slices.IsSorted(order) || len(a.out.items) != 0 {
		t.Fatalf("%d ran at once and %d from the outbox, in order %v", len(got), len(order), slices.IsSorted(order))
	}
	for i := range 6 { // two of them do not fit
		a.PostFromLoop(b, TaskFunc(func(*Loop) { order = append(order, 1000+i) }))
	}
	b.RunTurn() // makes room, but the two are older
	a.PostFromLoop(b, TaskFunc(func(*Loop) { order = append(order, 2000) }))
	a.RunTurn()
	b.RunTurn()
	if len(order) != outboxSize+7 || !slices.IsSorted(order) {
		t.Fatalf("a later task overtook those in the outbox: %v", order[outboxSize:])
	}
	if !a.PostFromLoop(a, TaskFunc(func(*Loop) { got = nil })) {
		t.Fatal("a loop cannot post to itself")
	}
	a.RunTurn()
	if got != nil {
		t.Fatal("what a loop posts to itself does not run")
	}
}

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
		if len(r.logs) != len(order) || !strings.Contains(r.logs[1], "boom in OnData") || !strings.Contains(r.logs[1], "loop_test.go") {
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
