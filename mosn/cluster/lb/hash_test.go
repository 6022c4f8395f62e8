package lb

import "testing"

// pattern is the input of the reference values: n bytes (i*7+3) mod 251.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((i*7 + 3) % 251)
	}
	return b
}

// TestHashes compares with values of the reference implementations: libxxhash, and
// libstdc++'s std::hash<std::string> for MurmurHash2.
func TestHashes(t *testing.T) {
	for _, c := range []struct {
		n                   int
		xxh0, xxh1, murmur2 uint64
	}{
		{0, 0xef46db3751d8e999, 0xd5afba1336a3be4b, 0x553e93901e462a6e},
		{1, 0x1f25c8d0bc1f4bb6, 0x610f93f8c89889fe, 0xee3be81f55123770},
		{3, 0x31d2363f52e564c9, 0x2d80e074130d0176, 0xc7ec7614121082b2},
		{4, 0x9bb64b7d66ee9fda, 0x5ec9fdd10fcbcb0e, 0x9fcb89e533a2ef69},
		{7, 0x9a7b149959ce60d8, 0xd8b4a941715fee31, 0x18028077d5472541},
		{8, 0xdab99d95c6f90092, 0xf119f5b26c0020ab, 0xfb4356b9e3bf0a1d},
		{12, 0xd52e407833af5133, 0x37851f0d89d23966, 0x3879dd3ea6a31e38},
		{31, 0xa2aa5f33cc4a6119, 0xaaca4e41ffcae21c, 0xa8efb530c63bf256},
		{32, 0x23c3c17ef790fd97, 0x7421b79a02b42132, 0xd1c7d4bcbcf4eb37},
		{33, 0x50a7cfc7ba588784, 0x17b3df313de9a40e, 0xfd27399f0abb5a11},
		{63, 0xf1438f15b9ed16e9, 0x0c94f8b81b79534c, 0x62d1b1aaa519e456},
		{64, 0x2cd990a1beed6894, 0xe6ad1d314f33c911, 0x4143257d5165f4a6},
		{100, 0x778e26df8290f456, 0xb7eaa27e636e1391, 0xa7233931ee799f23},
		{200, 0x1852812fa0b23ef3, 0x78cd8698fd3e9ea0, 0x806b1733ba2554b1},
	} {
		b := pattern(c.n)
		if h := Hash(string(b)); h != c.xxh0 {
			t.Errorf("XXH64 of %d bytes = %#x, want %#x", c.n, h, c.xxh0)
		}
		if h := HashSeed(string(b), 1); h != c.xxh1 {
			t.Errorf("XXH64 of %d bytes, seed 1 = %#x, want %#x", c.n, h, c.xxh1)
		}
		if h := HashBytes(b, 1); h != c.xxh1 {
			t.Errorf("HashBytes of %d bytes = %#x, want %#x", c.n, h, c.xxh1)
		}
		if h := murmur2(b); h != c.murmur2 {
			t.Errorf("MurmurHash2 of %d bytes = %#x, want %#x", c.n, h, c.murmur2)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	for _, n := range []int{8, 32, 200} {
		s := string(pattern(n))
		b.Run(s[:0]+itoa(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				Hash(s)
			}
		})
	}
}
