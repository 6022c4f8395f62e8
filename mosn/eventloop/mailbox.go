package eventloop

import "sync/atomic"

// Task is work for a loop. Owners that post often implement it on a struct they
// keep, so that posting does not allocate.
type Task interface {
	Run(l *Loop)
}

// TaskFunc makes a Task of a function.
type TaskFunc func(l *Loop)

// Run calls f.
func (f TaskFunc) Run(l *Loop) { f(l) }

// mailbox is a bounded queue with many producers and one consumer. Each cell
// carries the turn on which it may be written or read, so that a producer needs
// one compare-and-swap and the consumer none (D. Vyukov's bounded queue).
type mailbox struct {
	cells   []cell
	mask    uint64
	head    atomic.Uint64 // next to write
	_       [56]byte      // producers and the consumer do not share a line
	tail    uint64        // next to read; the consumer's own
	waiters atomic.Int32  // goroutines that wait for space
	space   chan struct{} // holds one token: look again
}

type cell struct {
	turn atomic.Uint64
	task Task
}

func (m *mailbox) init(size int) {
	n := 1
	for n < size {
		n <<= 1
	}
	m.cells = make([]cell, n)
	m.mask = uint64(n - 1)
	for i := range m.cells {
		m.cells[i].turn.Store(uint64(i))
	}
	m.space = make(chan struct{}, 1)
}

// push reports false when the mailbox is full.
func (m *mailbox) push(t Task) bool {
	for {
		at := m.head.Load()
		c := &m.cells[at&m.mask]
		turn := c.turn.Load()
		switch {
		case turn == at:
			if m.head.CompareAndSwap(at, at+1) {
				c.task = t
				c.turn.Store(at + 1)
				return true
			}
		case turn < at:
			return false
		}
	}
}

// pop returns nil when the mailbox is empty.
func (m *mailbox) pop() Task {
	c := &m.cells[m.tail&m.mask]
	if c.turn.Load() != m.tail+1 {
		return nil
	}
	t := c.task
	c.task = nil
	c.turn.Store(m.tail + uint64(len(m.cells)))
	m.tail++
	return t
}

func (m *mailbox) empty() bool {
	return m.cells[m.tail&m.mask].turn.Load() != m.tail+1
}

// pushWait pushes t, waiting for space; it reports false when done is closed
// first. A loop must not call it.
func (m *mailbox) pushWait(t Task, done <-chan struct{}) bool {
	if m.push(t) {
		return true
	}
	m.waiters.Add(1)
	defer m.waiters.Add(-1)
	for {
		if m.push(t) {
			m.hint() // there may be space for the next one too
			return true
		}
		select {
		case <-m.space:
		case <-done:
			return false
		}
	}
}

// hint lets one waiting goroutine look again. It never waits.
func (m *mailbox) hint() {
	if m.waiters.Load() == 0 {
		return
	}
	select {
	case m.space <- struct{}{}:
	default:
	}
}

// outbox keeps what a loop could not post to others because their mailboxes
// were full. Order is kept for each receiver.
type outbox struct {
	items   []outItem
	blocked []bool // by loop index, scratch of retry
}

type outItem struct {
	to   *Loop
	task Task
}

// outboxSize bounds an outbox; beyond it PostFromLoop reports overload.
const outboxSize = 256

func (o *outbox) holds(to *Loop) bool {
	for i := range o.items {
		if o.items[i].to == to {
			return true
		}
	}
	return false
}

// retry posts what fits by now.
func (o *outbox) retry() {
	if len(o.items) == 0 {
		return
	}
	clear(o.blocked)
	kept := o.items[:0]
	for _, it := range o.items {
		if o.blocked[it.to.index] || !it.to.TryPost(it.task) {
			o.blocked[it.to.index] = true
			kept = append(kept, it)
		}
	}
	clear(o.items[len(kept):])
	o.items = kept
}
