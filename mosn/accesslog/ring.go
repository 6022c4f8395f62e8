package accesslog

import "sync/atomic"

// ringSize is the most bytes of one loop that wait for one output: at 200 bytes a
// line, 20 ms of 65000 requests a second. It is allocated by the first line.
const ringSize = 256 << 10

// maxScratch bounds what a loop keeps between lines.
const maxScratch = 64 << 10

// ring carries whole lines from one loop to one writer. head and tail count bytes
// since the start; the loop alone stores head, the writer alone stores tail.
type ring struct {
	// The loop's.
	scratch []byte
	buf     []byte // published by head: the writer looks only at what lies before it
	_       [64]byte
	head    atomic.Uint64
	dropped atomic.Uint64 // lines
	_       [64]byte
	// The writer's.
	tail    atomic.Uint64
	counted uint64 // of dropped
	_       [64]byte
}

// put copies line into the ring, or drops it; half reports that this line made the
// ring half full.
func (r *ring) put(line []byte) (half bool) {
	if r.buf == nil {
		r.buf = make([]byte, ringSize)
	}
	head := r.head.Load()
	used := head - r.tail.Load()
	if uint64(len(line)) > ringSize-used {
		r.dropped.Store(r.dropped.Load() + 1)
		return false
	}
	at := head % ringSize
	n := copy(r.buf[at:], line)
	copy(r.buf, line[n:])
	r.head.Store(head + uint64(len(line)))
	return used < ringSize/2 && used+uint64(len(line)) >= ringSize/2
}

// take hands what is there to write, in one or two pieces, and makes room. It
// returns the number of pieces.
func (r *ring) take(write func([]byte)) int {
	tail, head := r.tail.Load(), r.head.Load()
	if tail == head {
		return 0
	}
	from, to := tail%ringSize, head%ringSize
	if from < to {
		write(r.buf[from:to])
		r.tail.Store(head)
		return 1
	}
	write(r.buf[from:])
	r.tail.Store(tail + ringSize - from)
	if to == 0 {
		return 1
	}
	write(r.buf[:to])
	r.tail.Store(head)
	return 2
}
