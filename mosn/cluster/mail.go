package cluster

import (
	"sync/atomic"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
)

// mailBudget is about how long a loop works on updates in one turn; what is left
// waits for the next tick. Ten thousand clusters that are replaced at once must not
// hold up the requests.
const mailBudget = time.Millisecond

// mail brings updates to a Local, in the order in which they were sent. At most one
// task of it is in the loop's mailbox, however many updates there are: ten thousand
// answers of a resolver before the loops run must not fill it.
type mail struct {
	local   *Local
	waiting atomic.Pointer[letter]

	// The rest is the loop's own.
	oldest, newest *letter // taken, not yet applied; their order is turned round
	timer          eventloop.Timer
}

// letter is a batch of updates that a loop has not applied. While it waits, next is
// the one before it; once it is taken, the one after it.
type letter struct {
	updates []update
	next    *letter
	read    func() // called when it is applied; may be nil
}

// send hands over a batch. Senders take turns (Manager.mu).
func (m *mail) send(batch []update, read func()) error {
	fresh := &letter{updates: batch, read: read}
	for {
		older := m.waiting.Load()
		fresh.next = older
		if !m.waiting.CompareAndSwap(older, fresh) {
			continue // the loop has just taken what was there
		}
		if older != nil {
			return nil // the loop has not come by since the last one was posted
		}
		return m.local.loop.Post(m)
	}
}

// Run implements eventloop.Task.
func (m *mail) Run(l *eventloop.Loop) {
	idle := m.oldest == nil
	m.take()
	if idle { // else the timer is running
		m.work(l)
	}
}

// OnTimer goes on where the budget ended.
func (m *mail) OnTimer(*eventloop.Timer) { m.work(m.local.loop) }

// take puts what waits behind what there is.
func (m *mail) take() {
	var first *letter
	last := m.waiting.Swap(nil)
	for l := last; l != nil; {
		older := l.next
		l.next, first = first, l
		l = older
	}
	if first == nil {
		return
	}
	if m.oldest == nil {
		m.oldest = first
	} else {
		m.newest.next = first
	}
	m.newest = last
}

// work applies letters until there are none or the budget is spent.
func (m *mail) work(l *eventloop.Loop) {
	clock := l.Group().Clock
	const look = 16 // updates between two looks at the clock
	end, n := clock()+mailBudget, 0
	for m.oldest != nil {
		first := m.oldest
		part := first.updates[:min(look, len(first.updates))]
		m.local.apply(part)
		first.updates = first.updates[len(part):]
		if len(first.updates) == 0 {
			if first.read != nil {
				first.read()
			}
			m.oldest = first.next
		}
		if n += len(part); n >= look {
			n = 0
			if m.oldest != nil && clock() >= end {
				m.timer.Arm(time.Millisecond)
				return
			}
		}
	}
	m.newest = nil
}
