package lb

import (
	"encoding/binary"

	"sofamesh.io/sofamesh/mosn/match/xxhash"
)

// Hash returns XXH64 of s with seed 0: what Envoy's hash policies make of a header,
// a cookie or an address.
func Hash(s string) uint64 { return HashSeed(s, 0) }

// HashSeed returns XXH64 of s.
func HashSeed(s string, seed uint64) uint64 { return xxhash.String(s, seed) }

// HashBytes returns XXH64 of b.
func HashBytes(b []byte, seed uint64) uint64 { return xxhash.Bytes(b, seed) }

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
