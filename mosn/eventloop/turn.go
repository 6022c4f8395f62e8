package eventloop

import "time"

// run turns until the loop is stopped, then ends everything on it.
func (l *Loop) run() {
	defer close(l.done)
	l.buffers.Bind()
	l.now = l.group.cfg.Clock()
	for !l.stopping.Load() {
		l.turn(l.poll(true))
	}
	l.shutdown()
}

// RunTurn runs one turn without waiting for events and reports whether anything
// happened. It is for package looptest, on a group that is not started.
func (l *Loop) RunTurn() bool {
	l.buffers.Bind()
	before := l.stats.work
	l.turn(l.poll(false))
	return l.stats.work != before || l.pending()
}

// NextTimer returns the time, on the scale of Now, at which timers have to be
// looked at, or a value below 0 when none is armed. It is for looptest.
func (l *Loop) NextTimer() time.Duration {
	if next := l.wheel.next(); next >= 0 {
		return time.Duration(next) * tick
	}
	return -1
}

// poll takes events: first without waiting; when there are none and nothing
// else is to be done, it announces sleep, looks at the mailbox once more and
// waits until the next timer (rules R2 and R5).
func (l *Loop) poll(wait bool) int {
	n := l.wait(0)
	if n > 0 || !wait || l.pending() {
		return n
	}
	l.sleeping.Store(true)
	if l.mail.empty() && !l.stopping.Load() {
		if timeout := l.timeout(); timeout != 0 {
			l.stats.sleeps.Add(1)
			n = l.wait(timeout)
		}
	}
	l.sleeping.Store(false)
	return n
}

func (l *Loop) wait(timeout time.Duration) int {
	n, err := l.kernel.Wait(l.events[:], timeout)
	if err != nil {
		// A poller that fails is a bug or the end of memory: nothing can be
		// served, and going on would spin.
		panic("eventloop: poller: " + err.Error())
	}
	return n
}

// pending reports whether there is work that no event announces.
func (l *Loop) pending() bool {
	return len(l.dirty)+len(l.ready)+len(l.later)+len(l.closing)+len(l.accepts) > 0 || !l.mail.empty()
}

// timeout returns how long the loop may sleep, below 0 for ever.
func (l *Loop) timeout() time.Duration {
	next := l.wheel.next()
	if next < 0 {
		if len(l.out.items) > 0 {
			return outboxPoll
		}
		return -1
	}
	d := max(time.Duration(next)*tick-l.group.cfg.Clock(), 0)
	if len(l.out.items) > 0 {
		d = min(d, outboxPoll)
	}
	return d
}

// turn handles n events and everything else that is due.
func (l *Loop) turn(n int) {
	l.now = l.group.cfg.Clock()
	l.wallValid = false
	l.stats.turnStart.Store(int64(l.now) | 1)
	l.ready = append(l.ready, l.later...)
	clear(l.later)
	l.later = l.later[:0]
	l.late = false
	for i := range n {
		l.dispatch(l.events[i])
		if i%lookEvery == lookEvery-1 {
			l.late = l.group.cfg.Clock()-l.now >= eventBudget
		}
		if i%settleEvery == settleEvery-1 {
			l.settle(settleBudget)
		}
	}
	l.stats.work += uint64(n)
	if t := int64(l.now / tick); t > l.wheel.cur {
		l.wheel.advance(t, fireTimer, l)
	}
	l.runMail()
	l.runReady()
	l.out.retry()
	l.settle(settleBudget)
	l.stats.turnDone(n, l.group.cfg.Clock()-l.now)
}

func (l *Loop) dispatch(ev Event) {
	at := l.slots.lookup(ev.Token)
	switch {
	case at == nil: // closed earlier in this batch
	case at.conn != nil:
		l.connEvent(at.conn, ev.Flags)
	case at.ln != nil && l.late:
		at.ln.pending = true
		at.ln.enqueue()
	case at.ln != nil:
		l.acceptFrom(at.ln)
	}
}

func (l *Loop) runMail() {
	n := 0
	for n < taskBudget {
		t := l.mail.pop()
		if t == nil {
			break
		}
		l.runTask(t)
		n++
	}
	if n > 0 {
		l.stats.work += uint64(n)
		l.mail.hint()
	}
}

// runReady goes on with what a budget cut short in the last turn, for about readyBudget;
// what remains waits for the next turn, at the front.
func (l *Loop) runReady() {
	if len(l.accepts) > 0 {
		batch := l.accepts
		l.accepts = nil
		l.stats.work += uint64(len(batch))
		for _, ln := range batch {
			ln.queued = false
			l.acceptFrom(ln)
		}
	}
	if len(l.ready) == 0 {
		return
	}
	batch := l.ready
	l.ready = l.spare[:0]
	done, deadline := 0, l.group.cfg.Clock()+readyBudget
	for done < len(batch) {
		c := batch[done]
		c.clear(fReady)
		l.protect(c, stepRead)
		done++
		if l.group.cfg.Clock() >= deadline {
			break
		}
	}
	l.stats.work += uint64(done)
	l.putBack(&l.ready, batch, done)
}

// settle writes out what was queued and delivers the closings, until both are done or
// patience is over; another turn goes on with the rest. Of many connections that end
// together each may have many streams to end.
func (l *Loop) settle(patience time.Duration) {
	if len(l.dirty)+len(l.closing) == 0 {
		return
	}
	deadline := l.group.cfg.Clock() + patience
	for range settleRounds {
		if len(l.dirty) > 0 && !l.settleList(&l.dirty, stepFlush, deadline) {
			return
		}
		if len(l.closing) > 0 && !l.settleList(&l.closing, stepClose, deadline) {
			return
		}
		if len(l.dirty)+len(l.closing) == 0 {
			return
		}
	}
}

// settleList takes a step for each connection of a list, and reports whether there was
// the time for all. What comes onto the list meanwhile stays there.
func (l *Loop) settleList(list *[]*Conn, s step, deadline time.Duration) (all bool) {
	batch := *list
	*list = l.spare[:0]
	done := 0
	for done < len(batch) {
		l.protect(batch[done], s)
		done++
		if (s == stepClose || done%lookEvery == 0) && l.group.cfg.Clock() >= deadline {
			break
		}
	}
	l.stats.work += uint64(done)
	return l.putBack(list, batch, done)
}

// putBack gives the storage of a batch back, of which some are done. The others go to
// the front of the list that they are from; it reports whether there are none.
func (l *Loop) putBack(list *[]*Conn, batch []*Conn, done int) (all bool) {
	n := copy(batch, batch[done:])
	clear(batch[n:])
	l.spare = batch[:0]
	if n > 0 {
		l.spare = *list
		*list = append(batch[:n], *list...)
		clear(l.spare)
		l.spare = l.spare[:0]
	}
	return n == 0
}

// step is one of the things done for a connection under protection.
type step uint8

const (
	stepRead step = iota
	stepFlush
	stepClose
)

// protect runs a step and closes c when it panics.
func (l *Loop) protect(c *Conn, s step) {
	defer l.recovered(c)
	switch s {
	case stepRead:
		c.read()
	case stepFlush:
		c.flush()
	case stepClose:
		c.ended()
	}
}

// shutdown closes all connections and listeners and runs what is left.
func (l *Loop) shutdown() {
	for i := range l.slots.slots {
		if ln := l.slots.slots[i].ln; ln != nil {
			ln.Close()
		}
	}
	for {
		t := l.mail.pop()
		if t == nil {
			break
		}
		l.runTask(t)
	}
	l.settle(lastBudget)
	for range settleRounds { // OnClose may still dial or queue something
		for i := range l.slots.slots {
			if c := l.slots.slots[i].conn; c != nil {
				c.finish(ErrStopped, false)
			}
		}
		l.settle(lastBudget)
	}
	l.kernel.Release()
}
