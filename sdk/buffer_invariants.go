//go:build invariants

package sdk

import "runtime"

// poolOwner remembers the goroutine that a pool is bound to; 0 is none.
type poolOwner struct {
	id  uint64
	buf [64]byte // keeps check from allocating
}

func (o *poolOwner) bind() { o.id = goroutineID(o.buf[:]) }

func (o *poolOwner) check() {
	if o.id != 0 && o.id != goroutineID(o.buf[:]) {
		panic("sdk: a buffer, a connection or a timer is used outside its loop")
	}
}

// goroutineID reads the number in "goroutine 7 [running]:". It is slow, which
// is why it exists only in builds with the tag invariants.
func goroutineID(buf []byte) uint64 {
	id := uint64(0)
	for _, c := range buf[len("goroutine "):runtime.Stack(buf, false)] {
		if c < '0' || c > '9' {
			break
		}
		id = id*10 + uint64(c-'0')
	}
	return id
}

// retired is the value of off and end while a chunk is not in use.
const retired = -1

// retire poisons a chunk that goes back to its pool, so that a slice kept for
// too long shows itself, and panics when the chunk is there already.
func retire(c *chunk) {
	if c.off == retired {
		panic("sdk: a chunk is released twice")
	}
	for i := range c.buf {
		c.buf[i] = 0xdb
	}
	c.off, c.end = retired, retired
}
