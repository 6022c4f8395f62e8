package eventloop

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// The bounds of a turn (rule R3).
const (
	maxEvents    = 256                  // events taken from the kernel
	scratchSize  = 64 << 10             // bytes read per connection
	acceptBudget = 16                   // connections accepted per listener
	taskBudget   = 256                  // tasks of the mailbox
	eventBudget  = time.Millisecond     // after which events are only noted
	readyBudget  = time.Millisecond / 4 // for what was left before
	settleBudget = time.Millisecond     // for writing and closing in one settling
	lastBudget   = time.Minute          // for the last one
	lookEvery    = 8                    // events or writes after which a turn looks at the clock
	settleEvery  = 64                   // events after which answers are written out
	settleRounds = 4                    // rounds of writing and closing in one settling
	outboxPoll   = time.Millisecond
	freeChunks   = 64 // about 1 MB of write buffers kept by a loop
)

// Loop is one event loop. Its methods run on its goroutine unless they say
// otherwise.
type Loop struct {
	group *Group
	index int

	kernel  Kernel
	events  [maxEvents]Event
	scratch []byte // what is read, when nothing is kept from before
	plain   []byte // what transports make of it; nil until one does
	vec     [][]byte

	now       time.Duration
	wallTime  time.Time
	wallValid bool
	wheel     wheel

	buffers *sdk.BufferPool
	reads   readPool
	slots   slotTable
	// late says that the events of this turn have taken their time: what the rest of them
	// announce waits in the ready list.
	late    bool
	dirty   []*Conn // have something to write
	ready   []*Conn // have more to read or to present
	later   []*Conn // have that, too, but have had their share of this turn
	accepts []*Listener
	closing []*Conn // wait for OnClose
	spare   []*Conn // takes turns with the lists above
	nextID  uint64
	conns   int

	sleeping atomic.Bool
	stopping atomic.Bool
	done     chan struct{}
	mail     mailbox
	out      outbox
	stats    loopStats
}

func newLoop(g *Group, index int, k Kernel) *Loop {
	l := &Loop{
		group:   g,
		index:   index,
		kernel:  k,
		scratch: make([]byte, scratchSize),
		vec:     make([][]byte, 0, maxVec),
		buffers: sdk.NewBufferPool(freeChunks),
		nextID:  uint64(index) + 1,
		done:    make(chan struct{}),
	}
	l.wheel.init()
	l.mail.init(g.cfg.MailboxSize)
	l.out.blocked = make([]bool, g.cfg.Loops)
	l.now = g.cfg.Clock()
	l.wheel.cur = int64(l.now / tick)
	return l
}

// Index returns the loop's number within its group, from 0. Any goroutine.
func (l *Loop) Index() int { return l.index }

// Group returns the loop's group. Any goroutine.
func (l *Loop) Group() *Group { return l.group }

// Done is closed when the loop has ended. Any goroutine.
func (l *Loop) Done() <-chan struct{} { return l.done }

// Now returns the monotonic time at which the turn began, since the group was
// built.
func (l *Loop) Now() time.Duration { return l.now }

// Wall returns the wall-clock time, read at most once a turn.
func (l *Loop) Wall() time.Time {
	if !l.wallValid {
		l.wallTime = l.group.cfg.Wall()
		l.wallValid = true
	}
	return l.wallTime
}

// Buffers returns the pool for sdk.Buffers that live on this loop.
func (l *Loop) Buffers() *sdk.BufferPool { return l.buffers }

// Connections returns the number of open connections.
func (l *Loop) Connections() int { return l.conns }

// AssertOwner panics, in builds with the tag invariants, when the caller is not
// on the loop's goroutine.
func (l *Loop) AssertOwner() { l.buffers.AssertOwner() }

// TryPost puts a task into the loop's mailbox and reports false when that is
// full or the loop has stopped. It never waits. Any goroutine.
func (l *Loop) TryPost(t Task) bool {
	if l.stopping.Load() || !l.mail.push(t) {
		return false
	}
	l.wake()
	return true
}

// Post puts a task into the loop's mailbox and waits while that is full. It
// returns ErrStopped when the loop has stopped. A task posted while the loop is
// being stopped may never run. Any goroutine but a loop's.
func (l *Loop) Post(t Task) error {
	if l.stopping.Load() || !l.mail.pushWait(t, l.done) {
		return ErrStopped
	}
	l.wake()
	return nil
}

// wake writes to the kernel only when the loop announced that it sleeps.
func (l *Loop) wake() {
	if l.sleeping.Load() && l.sleeping.CompareAndSwap(true, false) {
		l.kernel.Wake()
	}
}

// Call runs fn on the loop, waits for its end and returns ErrStopped when the
// loop ends first. Any goroutine but a loop's.
func (l *Loop) Call(fn func(*Loop)) error {
	ran := make(chan struct{})
	err := l.Post(TaskFunc(func(l *Loop) {
		defer close(ran)
		fn(l)
	}))
	if err != nil {
		return err
	}
	select {
	case <-ran:
		return nil
	case <-l.done:
		select { // it may have been the last thing that the loop did
		case <-ran:
			return nil
		default:
			return ErrStopped
		}
	}
}

// PostFromLoop posts t to another loop (or to l itself) without waiting. When
// the other's mailbox is full the task waits in a bounded outbox that is
// retried every turn, in order. False means overload: the task is not posted
// and the caller has to answer for it.
func (l *Loop) PostFromLoop(to *Loop, t Task) bool {
	l.AssertOwner()
	if !l.out.holds(to) && to.TryPost(t) {
		return true
	}
	if len(l.out.items) >= outboxSize || to.stopping.Load() {
		l.stats.overloads.Add(1)
		return false
	}
	l.out.items = append(l.out.items, outItem{to, t})
	return true
}

// Recovered, deferred by a callback that serves several parties at a time, ends a
// panic: it is counted and logged, and the connection stays open, so that only the
// party whose fault it is has the damage.
func (l *Loop) Recovered() {
	if r := recover(); r != nil {
		l.logPanic(r)
	}
}

// Log writes a line to the log, which may drop it. Any goroutine.
func (l *Loop) Log(level Level, line string) { l.group.cfg.Log(level, line) }

func (l *Loop) logPanic(r any) {
	l.stats.panics.Add(1)
	l.group.cfg.Log(LevelError, fmt.Sprintf("panic on loop %d: %v\n%s", l.index, r, debug.Stack()))
}

// recovered ends a panic of a callback (rule R9): it is counted and logged, and
// the connection that it belongs to, if any, is closed. It is deferred.
func (l *Loop) recovered(c *Conn) {
	r := recover()
	if r == nil {
		return
	}
	l.logPanic(r)
	if c != nil {
		c.finish(&Error{Op: "callback", Kind: KindPanic}, false)
	}
}

func (l *Loop) runTask(t Task) {
	defer l.recovered(nil)
	t.Run(l)
}

func fireTimer(l *Loop, t *Timer) {
	defer l.recovered(nil)
	l.stats.work++
	t.handler.OnTimer(t)
}

// slot is what an event's token names. The generation is raised when a slot is
// freed, so that an event for a descriptor that was closed earlier in the same
// batch does not reach the new owner of the slot.
type slot struct {
	conn *Conn
	ln   *Listener
	gen  uint32
}

type slotTable struct {
	slots []slot
	free  []uint32
}

func (s *slotTable) take(c *Conn, ln *Listener) (index uint32, token uint64) {
	if n := len(s.free); n > 0 {
		index = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		index = uint32(len(s.slots))
		s.slots = append(s.slots, slot{})
	}
	at := &s.slots[index]
	at.conn, at.ln = c, ln
	return index, uint64(at.gen)<<32 | uint64(index)
}

// release gives back a slot.
func (s *slotTable) release(index uint32) {
	at := &s.slots[index]
	at.conn, at.ln = nil, nil
	at.gen = (at.gen + 1) & 0x7fffffff // never wakeToken
	s.free = append(s.free, index)
}

func (s *slotTable) lookup(token uint64) *slot {
	at := &s.slots[uint32(token)]
	if at.gen != uint32(token>>32) {
		return nil
	}
	return at
}
