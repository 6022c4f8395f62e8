package lb

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

// Hash returns XXH64 of s with seed 0: what Envoy's hash policies make of a header,
// a cookie or an address.
func Hash(s string) uint64 { return HashSeed(s, 0) }

// HashSeed returns XXH64 of s.
func HashSeed(s string, seed uint64) uint64 {
	return xxh64(unsafe.Slice(unsafe.StringData(s), len(s)), seed)
}

// HashBytes returns XXH64 of b.
func HashBytes(b []byte, seed uint64) uint64 { return xxh64(b, seed) }

func xxh64(b []byte, seed uint64) uint64 {
	n := uint64(len(b))
	h := seed + prime5
	if len(b) >= 32 {
		h, b = xxhLanes(b, seed)
	}
	h += n
	for ; len(b) >= 8; b = b[8:] {
		h ^= xxhRound(0, binary.LittleEndian.Uint64(b))
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

// xxhLanes takes all whole stripes of 32 bytes and returns what is left.
func xxhLanes(b []byte, seed uint64) (h uint64, rest []byte) {
	lanes := [4]uint64{seed, seed, seed, seed}
	lanes[0] += prime1
	lanes[0] += prime2 // the sum of both constants overflows
	lanes[1] += prime2
	lanes[3] -= prime1
	for ; len(b) >= 32; b = b[32:] {
		for i := range lanes {
			lanes[i] = xxhRound(lanes[i], binary.LittleEndian.Uint64(b[8*i:]))
		}
	}
	for i, v := range lanes {
		h += bits.RotateLeft64(v, [4]int{1, 7, 12, 18}[i])
	}
	for _, v := range lanes {
		h = (h^xxhRound(0, v))*prime1 + prime4
	}
	return h, b
}

func xxhRound(acc, v uint64) uint64 {
	return bits.RotateLeft64(acc+v*prime2, 31) * prime1
}

// murmurSeed is the seed that libstdc++ uses for std::hash, and so Envoy for
// MURMUR_HASH_2.
const murmurSeed = 0xc70f6907

// murmur2 returns the 64-bit MurmurHash2 (64A) of b.
func murmur2(b []byte) uint64 {
	const mul = 0xc6a4a7935bd1e995
	h := murmurSeed ^ uint64(len(b))*mul
	for ; len(b) >= 8; b = b[8:] {
		k := binary.LittleEndian.Uint64(b) * mul
		k ^= k >> 47
		h = (h ^ k*mul) * mul
	}
	if len(b) > 0 {
		var tail [8]byte
		copy(tail[:], b)
		h = (h ^ binary.LittleEndian.Uint64(tail[:])) * mul
	}
	h = (h ^ h>>47) * mul
	return h ^ h>>47
}
