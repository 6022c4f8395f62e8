package eventloop

import "math/bits"

// Bytes that a handler leaves unconsumed are kept in a buffer of its
// connection, in classes of powers of two. Small ones are pooled per loop.
const (
	minClass    = 9  // 512 B
	maxClass    = 16 // 64 kB; bigger ones are left to the garbage collector
	keptPerSize = 32 << 10
)

// readPool keeps free read buffers, at most keptPerSize bytes (and at least
// one) of each class.
type readPool struct {
	free [maxClass - minClass + 1][][]byte
}

// get returns a buffer of at least n bytes.
func (p *readPool) get(n int) []byte {
	class := max(bits.Len(uint(n-1)), minClass)
	if class > maxClass {
		return make([]byte, 1<<class)
	}
	free := &p.free[class-minClass]
	if k := len(*free); k > 0 {
		b := (*free)[k-1]
		(*free)[k-1] = nil
		*free = (*free)[:k-1]
		return b
	}
	return make([]byte, 1<<class)
}

func (p *readPool) put(b []byte) {
	class := bits.Len(uint(len(b))) - 1
	if class < minClass || class > maxClass {
		return
	}
	poison(b)
	free := &p.free[class-minClass]
	if len(*free) < max(1, keptPerSize>>class) {
		*free = append(*free, b)
	}
}

// leftover is what a connection keeps of its input: buf[off:end].
type leftover struct {
	buf      []byte
	off, end int32
}

func (r *leftover) len() int      { return int(r.end - r.off) }
func (r *leftover) bytes() []byte { return r.buf[r.off:r.end] }

// keep replaces the content by rest, which may be a part of it.
func (r *leftover) keep(p *readPool, rest []byte) {
	switch {
	case len(rest) == 0:
		r.release(p)
	case r.len() > 0: // rest is the end of what is here
		r.off = r.end - int32(len(rest))
	default:
		r.buf = p.get(len(rest) + len(rest)/2)
		r.off, r.end = 0, int32(copy(r.buf, rest))
	}
}

// space returns room to read more behind the content, so that both together
// are at most limit bytes. The content is not empty and below limit.
func (r *leftover) space(p *readPool, limit int) []byte {
	kept := r.len()
	want := min(max(kept, 1<<minClass), limit-kept)
	if len(r.buf)-int(r.end) < want {
		if len(r.buf)-kept >= want && int(r.off) >= kept {
			copy(r.buf, r.bytes()) // enough was consumed: no overlap, amortised
		} else {
			grown := p.get(kept + want)
			copy(grown, r.bytes())
			p.put(r.buf)
			r.buf = grown
		}
		r.off, r.end = 0, int32(kept)
	}
	return r.buf[r.end:min(len(r.buf), int(r.off)+limit)]
}

func (r *leftover) release(p *readPool) {
	if r.buf != nil {
		p.put(r.buf)
		*r = leftover{}
	}
}
