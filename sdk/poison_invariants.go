//go:build invariants

package sdk

// poisonHeaders overwrites a header arena that is about to be reused, so that a
// string kept beyond its stream shows itself in tests.
func poisonHeaders(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
