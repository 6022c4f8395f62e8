// Package shared holds the few numbers that all event loops change together,
// because Envoy's limits hold over the whole process: what a host and a cluster
// have in flight, the circuit breakers' thresholds over that, and token buckets.
//
// Everything here is atomics, padded so that two values that different loops
// change do not share a cache line. Methods may be called on any goroutine and
// never wait.
package shared
