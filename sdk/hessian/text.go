package hessian

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// String reads a text and returns it as UTF-8: mostly a part of the body, else
// appended to dst[:0] (several chunks, or characters that Java wrote as two
// surrogates). Null is refused, as are the numbers and truth values that Java
// would take for a text, surrogates without a partner and overlong forms.
func (r *Reader) String(dst []byte) ([]byte, error) {
	var text []byte
	for chunk := 0; ; chunk++ {
		f, at, err := r.first()
		if err != nil {
			return nil, err
		}
		if f.kind != Text {
			return nil, r.failAt(at, Refused, "not a text")
		}
		n, more, err := r.chunk(f)
		if err != nil {
			return nil, err
		}
		start := r.pos
		if err := r.chars(n); err != nil {
			return nil, err
		}
		if len(text)+r.pos-start > r.limits.Text {
			return nil, r.failAt(at, Exceeded, "a text is longer than the limit")
		}
		if chunk == 0 && !more {
			return r.decode(dst[:0], start, r.pos)
		}
		part, err := r.decode(nil, start, r.pos)
		if err != nil {
			return nil, err
		}
		if chunk == 0 {
			text = dst[:0]
		}
		if text = append(text, part...); !more {
			return text, nil
		}
	}
}

// chunk reads the length that follows the first byte of a text or of binary
// data, in the unit of either; more says that another chunk follows it.
func (r *Reader) chunk(f form) (n int, more bool, err error) {
	switch f.op {
	case opTextHigh, opBytesHigh:
		if err := r.advance(1); err != nil {
			return 0, false, err
		}
		return int(f.n)<<8 | int(r.b[r.pos-1]), false, nil
	case opTextMore, opTextLast, opBytesMore, opBytesLast:
		n, err = r.uint16()
		return n, f.op == opTextMore || f.op == opBytesMore, err
	}
	return int(f.n), false, nil
}

func (r *Reader) uint16() (int, error) {
	if err := r.advance(2); err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint16(r.b[r.pos-2:])), nil
}

// chunks skips the rest of a text or of binary data, which f starts.
func (r *Reader) chunks(f form) error {
	kind := f.kind
	for {
		n, more, err := r.chunk(f)
		if err != nil {
			return err
		}
		if kind == Text {
			err = r.chars(n)
		} else {
			err = r.advance(n)
		}
		if err != nil || !more {
			return err
		}
		var at int
		if f, at, err = r.first(); err != nil {
			return err
		}
		if f.kind != kind {
			return r.failAt(at, Malformed, "another chunk was announced, another value came")
		}
	}
}

// chars skips n characters, each one to three bytes: Java counts and writes
// UTF-16 units. Four bytes are what some write for two of them, which others
// then count as one: nobody can skip that safely, and Java's readers refuse it.
func (r *Reader) chars(n int) error {
	b := r.b[r.pos:]
	i := 0
	for n > 0 {
		if n >= 8 && i+8 <= len(b) && binary.LittleEndian.Uint64(b[i:])&0x8080808080808080 == 0 {
			i, n = i+8, n-8
			continue
		}
		if i >= len(b) {
			return r.truncated()
		}
		c, size := b[i], 2
		switch {
		case c < 0x80:
			i, n = i+1, n-1
			continue
		case c>>5 == 0b110:
		case c>>4 == 0b1110:
			size = 3
		default:
			return r.failAt(r.pos+i, Malformed, "a text is not the UTF-8 that Hessian takes")
		}
		for j := i + 1; j < i+size; j++ {
			if j >= len(b) {
				return r.truncated()
			}
			if b[j]>>6 != 0b10 {
				return r.failAt(r.pos+j, Malformed, "a text is not the UTF-8 that Hessian takes")
			}
		}
		i, n = i+size, n-1
	}
	r.pos += i
	return nil
}

// decode returns the characters from start to end, which chars has walked over.
func (r *Reader) decode(dst []byte, start, end int) ([]byte, error) {
	raw := r.b[start:end:end]
	if utf8.Valid(raw) {
		return raw, nil
	}
	for i := 0; i < len(raw); {
		c, size := utf8.DecodeRune(raw[i:])
		if c == utf8.RuneError && size <= 1 {
			c, size = surrogates(raw[i:]), 6
		}
		if c == utf8.RuneError && size == 6 {
			return nil, r.failAt(start+i, Refused, "a text has an overlong form or half a surrogate pair")
		}
		dst, i = utf8.AppendRune(dst, c), i+size
	}
	return dst, nil
}

// surrogates decodes the pair of three bytes each that b starts with.
func surrogates(b []byte) rune {
	if len(b) < 6 || b[0] != 0xed || b[3] != 0xed {
		return utf8.RuneError
	}
	unit := func(b []byte) rune { return 0xd000 | rune(b[1]&0x3f)<<6 | rune(b[2]&0x3f) }
	return utf16.DecodeRune(unit(b), unit(b[3:]))
}

// trim cuts what Java's String.trim cuts: all up to and including the space.
func trim(b []byte) []byte {
	return bytes.TrimFunc(b, func(c rune) bool { return c <= ' ' })
}
