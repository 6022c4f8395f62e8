package xxhash

import "testing"

// TestReference compares with values of libxxhash; mosn/cluster/lb has more.
func TestReference(t *testing.T) {
	for _, c := range []struct {
		n          int
		seed, want uint64
	}{
		{0, 0, 0xef46db3751d8e999}, {7, 0, 0x9a7b149959ce60d8}, {32, 1, 0x7421b79a02b42132}, {200, 0, 0x1852812fa0b23ef3},
		{100, 0, 0x778e26df8290f456}, {63, 1, 0x0c94f8b81b79534c},
	} {
		b := make([]byte, c.n)
		for i := range b {
			b[i] = byte((i*7 + 3) % 251)
		}
		if h := String(string(b), c.seed); h != c.want || Bytes(b, c.seed) != h {
			t.Errorf("%d bytes, seed %d: %#x, want %#x", c.n, c.seed, h, c.want)
		}
	}
}
