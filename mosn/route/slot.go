package route

import "sync/atomic"

// Slot is the place of a routing table that may be replaced while it is used: a
// listener that gets its table by RDS keeps the slot, not the table. Whoever handles a
// request loads it once and goes on with what it got, so that one request sees one
// table. A Slot may be used on any goroutine; loading takes no lock.
type Slot struct{ table atomic.Pointer[Table] }

// NewSlot returns a slot with a table.
func NewSlot(t *Table) *Slot {
	s := &Slot{}
	s.table.Store(t)
	return s
}

// Load returns the table in force, never nil once one was stored.
func (s *Slot) Load() *Table { return s.table.Load() }

// Store replaces the table.
func (s *Slot) Store(t *Table) { s.table.Store(t) }
