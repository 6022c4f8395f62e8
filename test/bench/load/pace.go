//go:build linux

package load

// pace says when an open loop's requests are due: the i-th at start + i/rate, computed anew each time so that no rounding adds up.
type pace struct {
	rate  float64 // per nanosecond; 0: nothing is ever due
	start int64
	sent  uint64
}

func newPace(perSecond float64, start int64) pace {
	return pace{rate: perSecond / 1e9, start: start}
}

// due is the number of requests that should have been sent by now and were not.
func (p *pace) due(now int64) uint64 {
	if p.rate == 0 || now < p.start {
		return 0
	}
	if all := uint64(float64(now-p.start)*p.rate) + 1; all > p.sent {
		return all - p.sent
	}
	return 0
}

// next counts the next request as sent and gives the moment it was due.
func (p *pace) next() int64 {
	at := p.start + int64(float64(p.sent)/p.rate)
	p.sent++
	return at
}

// ring is a queue of what can send, of fixed capacity.
type ring[T comparable] struct {
	slots      []T
	head, size int
}

func newRing[T comparable](capacity int) ring[T] { return ring[T]{slots: make([]T, capacity)} }

func (r *ring[T]) len() int { return r.size }

func (r *ring[T]) push(c T) {
	r.slots[(r.head+r.size)%len(r.slots)] = c
	r.size++
}

func (r *ring[T]) pop() T {
	c := r.slots[r.head]
	var none T
	r.slots[r.head] = none
	r.head = (r.head + 1) % len(r.slots)
	r.size--
	return c
}

// remove takes c out of the queue, wherever it stands; false when it is not in it.
func (r *ring[T]) remove(c T) bool {
	found := false
	for range r.size {
		if next := r.pop(); next == c {
			found = true
		} else {
			r.push(next)
		}
	}
	return found
}
