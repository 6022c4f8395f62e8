package stats

// chunkLen is the number of slots that are allocated together. Small, because the
// proxy may know 10k clusters of which each has a few gauges set and the rest
// untouched; a power of two, because the split is on the request path.
const (
	chunkBits = 4
	chunkLen  = 1 << chunkBits
)

// chunk holds values and which of them were ever written, as zero may be a value.
type chunk struct {
	v    [chunkLen]uint64
	used uint16
}

// slab is a sparse array of numbers. The zero value is empty. It has one writer.
type slab struct {
	chunks []*chunk
}

// slot returns the place of a number; what was never touched is allocated here, and
// only here.
func (s *slab) at(id uint32) (c *chunk, i uint32) {
	n := id >> chunkBits
	if n < uint32(len(s.chunks)) {
		if c := s.chunks[n]; c != nil {
			return c, id & (chunkLen - 1)
		}
	}
	return s.grow(n), id & (chunkLen - 1)
}

//go:noinline
func (s *slab) grow(n uint32) *chunk {
	if n >= uint32(len(s.chunks)) {
		s.chunks = append(s.chunks, make([]*chunk, int(n)+1-len(s.chunks))...)
	}
	c := &chunk{}
	s.chunks[n] = c
	return c
}

// get returns a number and whether it was ever written.
func (s *slab) get(id uint32) (v uint64, used bool) {
	n := id >> chunkBits
	if n >= uint32(len(s.chunks)) || s.chunks[n] == nil {
		return 0, false
	}
	c, i := s.chunks[n], id&(chunkLen-1)
	return c.v[i], c.used&(1<<i) != 0
}

// copyTo makes dst equal to s, reusing what dst has.
func (s *slab) copyTo(dst *slab) {
	for len(dst.chunks) < len(s.chunks) {
		dst.chunks = append(dst.chunks, nil)
	}
	for i, c := range s.chunks {
		switch {
		case c == nil:
		case dst.chunks[i] == nil:
			dup := *c
			dst.chunks[i] = &dup
		default:
			*dst.chunks[i] = *c
		}
	}
}
