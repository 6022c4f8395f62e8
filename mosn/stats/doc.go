// Package stats counts what the proxy does, under Envoy's stat names, and shows
// it in Envoy's formats.
//
// A [Store] gives names numbers; it is used off the loops, while configuration is
// compiled. A [Local] holds one loop's numbers: only that loop writes it, with
// plain additions, so the request path has no atomic operation, no lock and no
// map. Goroutines that are not loops write to the one [Shared]. A [Collector]
// copies the numbers of each loop on that loop (through a function that the server
// injects) and sums them when somebody asks; admin calls it on its own goroutines.
//
// What was never touched costs nothing but its name, and the names of objects of
// one kind (ten thousand clusters, sixty counters each) are stored once: see
// [Names] and [Block].
package stats
