// Package listener opens the sockets that a Listener resource describes and hands
// each accepted connection to the resource's filter chain.
//
// A Config is a compiled resource, immutable and shared by loops. The Manager owns
// all listeners of a proxy; it is called off the loops, by one goroutine at a time
// (the resource store's, or admin's), and posts what concerns a loop to it. On each
// loop a listener has one acceptor: it counts, and asks the chain's
// stream.ConnFactory for the connection's handler.
//
// Sockets that serve an address are kept when their resource is replaced, since
// closing one resets the connections in its queue; only the chain behind them
// changes, for connections accepted from then on.
package listener
