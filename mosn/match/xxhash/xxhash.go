// Package xxhash is XXH64, the hash that Envoy draws from values: the host of a
// request, the share of requests that something applies to.
//
// It holds no state and allocates nothing.
package xxhash

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// The primes of xxHash's 64-bit variant (XXH64).
const (
	prime1 = 0x9E3779B185EBCA87
	prime2 = 0xC2B2AE3D27D4EB4F
	prime3 = 0x165667B19E3779F9
	prime4 = 0x85EBCA77C2B2AE63
	prime5 = 0x27D4EB2F165667C5
)

// String returns the hash of s.
func String(s string, seed uint64) uint64 {
	return Bytes(unsafe.Slice(unsafe.StringData(s), len(s)), seed)
}

// Bytes returns the hash of b.
func Bytes(b []byte, seed uint64) uint64 {
	n := uint64(len(b))
	h := seed + prime5
	if len(b) >= 32 {
		h, b = stripes(b, seed)
	}
	h += n
	for ; len(b) >= 8; b = b[8:] {
		h ^= round(0, binary.LittleEndian.Uint64(b))
		h = bits.RotateLeft64(h, 27)*prime1 + prime4
	}
	if len(b) >= 4 {
		h ^= uint64(binary.LittleEndian.Uint32(b)) * prime1
		h = bits.RotateLeft64(h, 23)*prime2 + prime3
		b = b[4:]
	}
	for _, c := range b {
		h ^= uint64(c) * prime5
		h = bits.RotateLeft64(h, 11) * prime1
	}
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

// stripes takes all whole stripes of 32 bytes and returns what is left.
func stripes(b []byte, seed uint64) (h uint64, rest []byte) {
	lanes := [4]uint64{seed, seed, seed, seed}
	lanes[0] += prime1
	lanes[0] += prime2 // the sum of both constants overflows
	lanes[1] += prime2
	lanes[3] -= prime1
	for ; len(b) >= 32; b = b[32:] {
		for i := range lanes {
			lanes[i] = round(lanes[i], binary.LittleEndian.Uint64(b[8*i:]))
		}
	}
	for i, v := range lanes {
		h += bits.RotateLeft64(v, [4]int{1, 7, 12, 18}[i])
	}
	for _, v := range lanes {
		h = (h^round(0, v))*prime1 + prime4
	}
	return h, b
}

func round(acc, v uint64) uint64 {
	return bits.RotateLeft64(acc+v*prime2, 31) * prime1
}
