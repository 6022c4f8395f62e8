package cluster

import (
	"sync/atomic"

	"sofamesh.io/sofamesh/mosn/eventloop"
)

// mail brings updates to a Local. At most one task of it is in the loop's mailbox,
// however many updates there are: ten thousand answers of a resolver before the
// loops run must not fill it.
type mail struct {
	local   *Local
	waiting atomic.Pointer[letter]
}

// letter is a batch of updates that a loop has not taken; the newest is first.
type letter struct {
	updates []update
	older   *letter
}

// send hands over a batch. Senders take turns (Manager.mu).
func (m *mail) send(batch []update) error {
	for {
		older := m.waiting.Load()
		if !m.waiting.CompareAndSwap(older, &letter{updates: batch, older: older}) {
			continue // the loop has just taken what was there
		}
		if older != nil {
			return nil // the loop has not come by since the last one was posted
		}
		return m.local.loop.Post(m)
	}
}

// Run implements eventloop.Task.
func (m *mail) Run(*eventloop.Loop) {
	var oldest *letter
	for l := m.waiting.Swap(nil); l != nil; {
		older := l.older
		l.older, oldest = oldest, l
		l = older
	}
	for ; oldest != nil; oldest = oldest.older {
		m.local.apply(oldest.updates)
	}
}
