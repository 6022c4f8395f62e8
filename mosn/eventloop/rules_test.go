package eventloop

import (
	"go/ast"
	"go/parser"
	"go/token"
	"runtime"
	"slices"
	"sort"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Rule R4: what a loop does on Linux for every event are raw system calls; the
// only one that tells the scheduler is the wait.
func TestRawSystemCalls(t *testing.T) {
	raw := []string{"Read", "Write", "Writev", "Accept", "connectTo", "Close", "newSocket", "Watch", "Wake"}
	calls := map[string][]string{}
	for _, file := range []string{"sys_linux.go", "epoll_linux.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok && slices.Contains(
					[]string{"RawSyscall", "RawSyscall6", "Syscall", "Syscall6"}, sel.Sel.Name) {
					calls[fn.Name.Name] = append(calls[fn.Name.Name], sel.Sel.Name)
				}
				return true
			})
		}
	}
	for _, name := range raw {
		for _, call := range calls[name] {
			if call != "RawSyscall" && call != "RawSyscall6" {
				t.Errorf("%s calls %s", name, call)
			}
		}
		if len(calls[name]) != 1 {
			t.Errorf("%s makes %d system calls, want 1", name, len(calls[name]))
		}
	}
	if want := []string{"RawSyscall6", "Syscall6"}; !slices.Equal(calls["Wait"], want) {
		t.Errorf("Wait calls %v, want %v", calls["Wait"], want)
	}
}

// Rule R8: a request over the system's sockets allocates nothing.
func TestRequestDoesNotAllocate(t *testing.T) {
	overKernels(t, func(t *testing.T, r *rig) {
		ln := r.serve(ListenConfig{}, func(*Conn) Handler { return echo{} })
		run := func(n int) uint64 {
			p := &pinger{msg: pattern(300), left: n, done: make(chan struct{})}
			r.on(func(l *Loop) { l.Dial(ln.Addr(), nil, p) })
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			<-p.done
			runtime.ReadMemStats(&after)
			return after.Mallocs - before.Mallocs
		}
		run(100)
		const n = 5000
		// The watchdog and the runtime allocate a little meanwhile.
		if mallocs := run(n); mallocs > n/20 {
			t.Errorf("%d allocations in %d requests", mallocs, n)
		}
	})
}

// TestIsolation is the reason for the loops: a goroutine bound to the CPU does
// not take the loop's place at R1's GOMAXPROCS. The figures are logged; that
// the requests go through is asserted, their latency is test/bench's matter.
func TestIsolation(t *testing.T) {
	before := runtime.GOMAXPROCS(plan(1, 1, "", files()).MaxProcs)
	defer runtime.GOMAXPROCS(before)
	r := newRig(t, Config{})
	ln := r.serve(ListenConfig{}, func(*Conn) Handler { return echo{} })
	var stop atomic.Bool
	hogged := make(chan uint64)
	go func() {
		n := uint64(0)
		for !stop.Load() {
			n++
		}
		hogged <- n
	}()
	p := &timedPinger{pinger: pinger{msg: pattern(200), left: 3000, done: make(chan struct{})}, clock: r.Clock}
	start := time.Now()
	r.on(func(l *Loop) { l.Dial(ln.Addr(), nil, p) })
	select {
	case <-p.done:
	case <-time.After(6 * patience):
		t.Error("the requests do not get through beside a busy goroutine")
	}
	took := time.Since(start)
	stop.Store(true)
	spins := <-hogged
	sort.Slice(p.times, func(i, j int) bool { return p.times[i] < p.times[j] })
	if len(p.times) > 0 {
		t.Logf("%.1fk requests/s, p50 %v, p99 %v, max %v beside %d M spins of a busy goroutine",
			float64(len(p.times))/took.Seconds()/1000, p.times[len(p.times)/2],
			p.times[len(p.times)*99/100], p.times[len(p.times)-1], spins/1e6)
	}
}

// timedPinger notes how long each request took.
type timedPinger struct {
	pinger
	clock func() time.Duration
	sent  time.Duration
	times []time.Duration
}

func (p *timedPinger) OnData(c *Conn, in []byte) int {
	now := p.clock()
	p.times = append(p.times, now-p.sent)
	p.sent = now
	return p.pinger.OnData(c, in)
}

// TestIdleConnectionMemory: an idle connection costs its Conn, a slot and its
// owner; no buffer, no goroutine.
func TestIdleConnectionMemory(t *testing.T) {
	r := newRig(t, Config{})
	ln := r.serve(ListenConfig{}, func(*Conn) Handler { return new(echo) })
	const n = 2000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	clients := make([]int, 0, 2*n)
	t.Cleanup(func() {
		for _, fd := range clients {
			_ = unix.Close(fd)
		}
	})
	dial := func() { // bare descriptors: the client's side costs no memory here
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, fd)
		if err := unix.Connect(fd, ln.Addr().sockaddr()); err != nil {
			t.Fatal(err)
		}
		mustSys(t, unix.Send(fd, []byte("x"), 0)) // it is active once
	}
	settled := func(l *Loop) bool { return l.Connections() == len(clients) && l.Buffers().InUse() == 0 }
	for range n { // fills the pools, which do not grow with the connections
		dial()
	}
	r.eventually("the first are served", settled)
	before := heap()
	for range n {
		dial()
	}
	r.eventually("all are served", settled)
	each := (int64(heap()) - int64(before)) / n
	if each > 500 {
		t.Errorf("an idle connection costs %d bytes", each)
	}
	t.Logf("an idle connection costs %d bytes", each)
}
