// Package callout makes the requests that are the proxy's own: those of filters, on the
// loop of their stream, and those of goroutines, such as exporters and fetchers. They go
// to a cluster as a routed request does, with its load balancing, connections, breakers
// and stats, and count as requests from inside (Envoy's Http::AsyncClient).
//
// A call is unary: the whole request is there at the start, the whole answer is told at
// the end. It has one timeout for all its attempts.
//
//	calling --answer--> over                          done is called, once
//	   |  ^-----------.
//	failure --retry--> backing off
//	   '--no retry--> over
//
// Local is one loop's share. It, its Sets and their calls belong to the loop's
// goroutine. A Set holds the calls of one owner, which cancels them with its own end. A
// Manager hands out Callers, which any goroutine but a loop's may use.
package callout
