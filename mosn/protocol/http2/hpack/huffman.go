package hpack

import (
	"encoding/binary"
	"errors"
)

// codeLengths are the lengths in bits of the codes of all bytes (RFC 7541,
// appendix B). The code is canonical: codes of one length follow each other in the
// order of the bytes, so that the lengths are all there is to know.
var codeLengths = [256]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
	6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
	13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
	15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
	20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
	26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
	20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
}

const (
	minCode = 5  // bits of the shortest code
	maxCode = 30 // and of the longest
	peek    = 9  // bits that the first look at a code takes
)

// huffman is the code, made for writing and reading.
type huffman struct {
	codes [256]uint32
	// first tells for the next bits the byte and the length of its code, 0 when that
	// is longer.
	first [1 << peek]struct{ symbol, length uint8 }
	// For longer codes: those of length n begin at start[n], left-aligned in 32 bits,
	// and end before start[n+1]; their bytes are in order from at[n] on.
	start [maxCode + 2]uint64
	at    [maxCode + 1]int
	order [256]uint8
}

// code is never changed.
var code = makeHuffman()

func makeHuffman() (h huffman) {
	next, n := uint64(0), 0 // of 32 bits, left-aligned
	for length := minCode; length <= maxCode; length++ {
		h.start[length], h.at[length] = next, n
		for s, l := range codeLengths {
			if int(l) != length {
				continue
			}
			h.codes[s] = uint32(next >> (32 - length))
			h.order[n] = uint8(s)
			n++
			if length <= peek {
				from := next >> (32 - peek)
				for i := range uint64(1) << (peek - length) {
					h.first[from+i].symbol, h.first[from+i].length = uint8(s), l
				}
			}
			next += 1 << (32 - length)
		}
	}
	h.start[maxCode+1] = next
	return h
}

var errHuffman = errors.New("hpack: a malformed Huffman string")

// decodedMax is the length that n bytes of Huffman code can have at most when they
// are decoded.
func decodedMax(n int) int { return n * 8 / minCode }

// decodeHuffman decodes p to dst, which has room for decodedMax of its length, and
// returns how many bytes that are.
func decodeHuffman(dst, p []byte) (int, error) {
	var bits uint64 // the next have bits stand at its top
	have, n := 0, 0
	for {
		if have < 32 {
			if len(p) >= 4 {
				bits |= uint64(binary.BigEndian.Uint32(p)) << (32 - have)
				p = p[4:]
				have += 32
			} else {
				for ; len(p) > 0; p = p[1:] {
					bits |= uint64(p[0]) << (56 - have)
					have += 8
				}
			}
		}
		f := code.first[bits>>(64-peek)]
		symbol, length := f.symbol, int(f.length)
		if length == 0 {
			symbol, length = longCode(bits >> 32)
		}
		if length == 0 || length > have {
			return n, padding(bits, have)
		}
		dst[n] = symbol
		n++
		bits <<= length
		have -= length
	}
}

// longCode finds the byte whose code begins the 32 bits given, and its length; 0
// when there is none.
func longCode(bits uint64) (symbol uint8, length int) {
	for length = peek + 1; length <= maxCode; length++ {
		if bits < code.start[length+1] {
			return code.order[code.at[length]+int((bits-code.start[length])>>(32-length))], length
		}
	}
	return 0, 0
}

// padding judges what is left behind the last code: less than a byte, all ones.
func padding(bits uint64, have int) error {
	if have > 7 || have > 0 && bits>>(64-have) != 1<<have-1 {
		return errHuffman
	}
	return nil
}

// huffmanLen is the length of s in Huffman code.
func huffmanLen(s string) int {
	n := 0
	for i := range len(s) {
		n += int(codeLengths[s[i]])
	}
	return (n + 7) / 8
}

// putHuffman writes s in Huffman code to dst, which has room for it, and returns
// how many bytes that are.
func putHuffman(dst []byte, s string) int {
	var bits uint64
	have, n := 0, 0
	for i := range len(s) {
		c := s[i]
		length := int(codeLengths[c])
		bits = bits<<length | uint64(code.codes[c])
		have += length
		for have >= 8 {
			have -= 8
			dst[n] = byte(bits >> have)
			n++
		}
	}
	if have > 0 {
		dst[n] = byte(bits<<(8-have)) | byte(1<<(8-have)-1)
		n++
	}
	return n
}
