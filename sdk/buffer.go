package sdk

import "iter"

// ChunkSize is the payload of one chunk in bytes. With its header and the
// allocator's own word a chunk fills a 16 kB size class exactly.
const ChunkSize = 16<<10 - 32

// moveCopyMax is the most that Move copies instead of linking a chunk: below
// it, copying costs less than the extra iovec and the memory of a chunk that is
// nearly empty.
const moveCopyMax = 2 << 10

// chunk is a piece of a Buffer. The pointer stands first, so that the garbage
// collector scans eight bytes of it.
type chunk struct {
	next     *chunk
	off, end int32 // buf[off:end] is the content
	buf      [ChunkSize]byte
}

func (c *chunk) bytes() []byte { return c.buf[c.off:c.end] }
func (c *chunk) room() int     { return ChunkSize - int(c.end) }

// BufferPool hands chunks to Buffers and keeps a bounded number of free ones.
// An event loop owns one; it is not safe for use by several goroutines.
type BufferPool struct {
	free    *chunk
	nfree   int
	maxFree int
	inUse   int
	owner   poolOwner
}

// NewBufferPool returns an empty pool that keeps at most maxFree free chunks;
// what is released beyond that is left to the garbage collector.
func NewBufferPool(maxFree int) *BufferPool { return &BufferPool{maxFree: maxFree} }

// InUse returns the number of chunks that Buffers of this pool hold.
func (p *BufferPool) InUse() int { return p.inUse }

// Free returns the number of chunks kept for reuse.
func (p *BufferPool) Free() int { return p.nfree }

// Bind declares the calling goroutine the pool's owner. Built with the tag
// invariants, use from another goroutine panics from then on; without it, Bind
// does nothing.
func (p *BufferPool) Bind() { p.owner.bind() }

// AssertOwner panics when the pool is bound to another goroutine and the
// program was built with the tag invariants; without it, it costs nothing.
func (p *BufferPool) AssertOwner() { p.owner.check() }

func (p *BufferPool) get() *chunk {
	p.owner.check()
	p.inUse++
	c := p.free
	if c == nil {
		return new(chunk)
	}
	p.free = c.next
	p.nfree--
	c.next, c.off, c.end = nil, 0, 0
	return c
}

func (p *BufferPool) put(c *chunk) {
	p.owner.check()
	retire(c)
	p.inUse--
	if p.nfree >= p.maxFree {
		c.next = nil
		return
	}
	c.next = p.free
	p.free = c
	p.nfree++
}

// Buffer is a queue of bytes in pooled chunks: the write queue of a connection,
// a body on its way through. Call Init before use. It must not be copied unless
// it is empty. An empty Buffer holds no memory.
//
// A Buffer belongs to the loop of its pool. Slices that it returns are valid
// until the next call that removes their bytes.
type Buffer struct {
	pool       *BufferPool
	head, tail *chunk
	n          int
}

// Init gives b its pool. b must be empty.
func (b *Buffer) Init(pool *BufferPool) { b.pool = pool }

// Len returns the number of bytes held.
func (b *Buffer) Len() int { return b.n }

// Empty reports whether no byte is held.
func (b *Buffer) Empty() bool { return b.n == 0 }

// grow links a fresh chunk at the end.
func (b *Buffer) grow() *chunk {
	c := b.pool.get()
	if b.tail == nil {
		b.head = c
	} else {
		b.tail.next = c
	}
	b.tail = c
	return c
}

// Append copies p to the end.
func (b *Buffer) Append(p []byte) {
	b.n += len(p)
	for len(p) > 0 {
		c := b.tail
		if c == nil || c.room() == 0 {
			c = b.grow()
		}
		n := copy(c.buf[c.end:], p)
		c.end += int32(n)
		p = p[n:]
	}
}

// AppendString copies s to the end.
func (b *Buffer) AppendString(s string) {
	b.n += len(s)
	for len(s) > 0 {
		c := b.tail
		if c == nil || c.room() == 0 {
			c = b.grow()
		}
		n := copy(c.buf[c.end:], s)
		c.end += int32(n)
		s = s[n:]
	}
}

// AppendByte adds one byte to the end.
func (b *Buffer) AppendByte(v byte) {
	c := b.tail
	if c == nil || c.room() == 0 {
		c = b.grow()
	}
	c.buf[c.end] = v
	c.end++
	b.n++
}

// Prepend copies p, of at most ChunkSize bytes, to the front. A little content is moved
// for it, so that it does not become two pieces.
func (b *Buffer) Prepend(p []byte) {
	if len(p) == 0 {
		return
	}
	c := b.head
	switch {
	case c != nil && int(c.off) >= len(p):
		c.off -= int32(len(p))
	case c != nil && len(c.bytes()) <= moveCopyMax && c.room() >= len(p):
		copy(c.buf[int(c.off)+len(p):], c.bytes())
		c.end += int32(len(p))
	default:
		c = b.pool.get()
		c.off, c.end = int32(ChunkSize-len(p)), ChunkSize
		if c.next = b.head; b.tail == nil {
			b.tail = c
		}
		b.head = c
	}
	copy(c.buf[c.off:], p)
	b.n += len(p)
}

// Write appends p; it makes a Buffer an io.Writer and never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.Append(p)
	return len(p), nil
}

// Reserve returns at least n contiguous free bytes at the end for an encoder to
// write in place, n <= ChunkSize. Commit must follow before any other call.
func (b *Buffer) Reserve(n int) []byte {
	if n > ChunkSize {
		panic("sdk: Reserve beyond the size of a chunk")
	}
	c := b.tail
	if c == nil || c.room() < n {
		c = b.grow()
	}
	return c.buf[c.end:]
}

// Commit adds the first n bytes of what Reserve returned to the content.
func (b *Buffer) Commit(n int) {
	c := b.tail
	if n < 0 || n > c.room() {
		panic("sdk: Commit of more than Reserve returned")
	}
	c.end += int32(n)
	b.n += n
	if c.off == c.end {
		b.dropTail()
	}
}

// dropTail releases the last chunk, which is empty.
func (b *Buffer) dropTail() {
	last := b.tail
	if b.head == last {
		b.head, b.tail = nil, nil
	} else {
		c := b.head
		for c.next != last {
			c = c.next
		}
		c.next = nil
		b.tail = c
	}
	b.pool.put(last)
}

// Move appends all of src, which is empty afterwards, and copies no more than
// one small chunk. Both must have the same pool.
func (b *Buffer) Move(src *Buffer) {
	if b.pool != src.pool {
		panic("sdk: Move between buffers of different pools")
	}
	b.pool.owner.check()
	if b == src || src.n == 0 {
		return
	}
	if b.tail != nil {
		if p := src.head.bytes(); len(p) <= moveCopyMax && len(p) <= b.tail.room() {
			b.Append(p)
			src.Drain(len(p))
		}
	}
	if src.n == 0 {
		return
	}
	if b.tail == nil {
		b.head = src.head
	} else {
		b.tail.next = src.head
	}
	b.tail = src.tail
	b.n += src.n
	src.head, src.tail, src.n = nil, nil, 0
}

// MoveN appends the first n bytes of src, n <= src.Len(), and removes them
// there. Whole chunks change hands; at most one partial chunk is copied.
func (b *Buffer) MoveN(src *Buffer, n int) {
	if b.pool != src.pool {
		panic("sdk: MoveN between buffers of different pools")
	}
	if n > src.n {
		panic("sdk: MoveN of more than the source holds")
	}
	for n > 0 && n < src.n {
		c := src.head
		size := len(c.bytes())
		if size > n || size <= moveCopyMax {
			size = min(size, n)
			b.Append(c.bytes()[:size])
			src.Drain(size)
		} else {
			src.head = c.next
			src.n -= size
			b.link(c)
		}
		n -= size
	}
	if n > 0 {
		b.Move(src)
	}
}

// link appends the non-empty chunk c.
func (b *Buffer) link(c *chunk) {
	c.next = nil
	if b.tail == nil {
		b.head = c
	} else {
		b.tail.next = c
	}
	b.tail = c
	b.n += len(c.bytes())
}

// Drain removes the first n bytes, n <= Len.
func (b *Buffer) Drain(n int) {
	if n < 0 || n > b.n {
		panic("sdk: Drain of more than the buffer holds")
	}
	b.n -= n
	for n > 0 {
		c := b.head
		size := int(c.end - c.off)
		if n < size {
			c.off += int32(n)
			return
		}
		n -= size
		b.head = c.next
		if b.head == nil {
			b.tail = nil
		}
		b.pool.put(c)
	}
}

// First returns the first contiguous piece, nil when the buffer is empty.
func (b *Buffer) First() []byte {
	if b.n == 0 {
		return nil
	}
	return b.head.bytes()
}

// Single reports whether the content is one contiguous piece.
func (b *Buffer) Single() bool { return b.n > 0 && b.head.next == nil }

// Chunks iterates over the pieces in order. The buffer must not change
// meanwhile.
func (b *Buffer) Chunks() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for c := b.head; c != nil; c = c.next {
			if c.end > c.off && !yield(c.bytes()) {
				return
			}
		}
	}
}

// Slices appends the pieces in order to dst, as many as its capacity allows,
// and returns it: the vector of a gathered write.
func (b *Buffer) Slices(dst [][]byte) [][]byte {
	for c := b.head; c != nil && len(dst) < cap(dst); c = c.next {
		dst = append(dst, c.bytes())
	}
	return dst
}

// CopyTo copies the first min(len(dst), Len) bytes to dst and returns their
// number.
func (b *Buffer) CopyTo(dst []byte) int {
	n := 0
	for c := b.head; c != nil && n < len(dst); c = c.next {
		n += copy(dst[n:], c.bytes())
	}
	return n
}

// Bytes appends a copy of the content to dst and returns it.
func (b *Buffer) Bytes(dst []byte) []byte {
	for c := b.head; c != nil; c = c.next {
		dst = append(dst, c.bytes()...)
	}
	return dst
}

// Release removes everything.
func (b *Buffer) Release() { b.Drain(b.n) }
