package grpc

import (
	"encoding/binary"

	"sofamesh.io/sofamesh/sdk"
)

// PrefixSize is the length of what stands before each message: a byte of flags and the
// length of the message.
const PrefixSize = 5

// Prefix returns what stands before an uncompressed message of n bytes.
func Prefix(n uint32) (p [PrefixSize]byte) {
	binary.BigEndian.PutUint32(p[1:], n)
	return p
}

// Frames follows the messages of a body whose pieces end anywhere. It keeps no bytes.
// The zero value stands before the first message.
type Frames struct {
	// Begun is the number of messages of which the first byte was seen.
	Begun uint64

	left uint32 // bytes of the message that are to come, as far as the prefix was read
	seen uint8  // bytes of the prefix; PrefixSize within the message
}

// Next takes from the front of p what belongs to one message, and reports how much that
// is and whether the message ends there. n is 0 for an empty p alone.
func (f *Frames) Next(p []byte) (n int, end bool) {
	for ; n < len(p) && f.seen < PrefixSize; n++ {
		switch f.seen {
		case 0:
			f.Begun++
			f.left = 0
		default:
			f.left = f.left<<8 | uint32(p[n])
		}
		f.seen++
	}
	if f.seen < PrefixSize {
		return n, false
	}
	body := min(uint64(f.left), uint64(len(p)-n))
	n += int(body)
	f.left -= uint32(body)
	if f.left > 0 {
		return n, false
	}
	f.seen = 0
	return n, true
}

// Count follows all of b and returns how many messages have begun in it.
func (f *Frames) Count(b *sdk.Buffer) uint64 {
	before := f.Begun
	for p := range b.Chunks() {
		for len(p) > 0 {
			n, _ := f.Next(p)
			p = p[n:]
		}
	}
	return f.Begun - before
}
