// Package trace is what all tracing providers share: the queues that take spans from
// the loops to the goroutines that send them, the forms in which a trace is carried from
// hop to hop (W3C, B3, SOFATracer's), and the tags that the configuration adds.
//
// A [Queue] has one ring a loop, which that loop alone fills, and one goroutine, which
// empties them all and hands batches to its provider. A full ring drops what is new and
// counts it; a loop never waits. [Exporters] owns the queues, and shares one among all
// who have the same configuration.
package trace
