package eventloop

import (
	"errors"
	"slices"
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
