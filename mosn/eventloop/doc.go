// Package eventloop is the engine of the data plane: it owns the event loops,
// their timers, mailboxes and buffers, the sockets and the bytes waiting in
// them, and the few goroutines that do what must not be done on a loop.
//
// A Group has N loops. A Loop is one goroutine that runs turns to completion:
// it takes ready events from its Kernel (epoll on Linux, poll(2) elsewhere, an
// in-memory one in tests), calls the Handlers of the connections that they
// concern, fires timers, runs the tasks of its mailbox, and at the end writes
// out what was queued, gathered per connection. Everything that belongs to a
// loop (Conn, Listener, Timer, sdk.Buffer) is touched on that goroutine only.
// Other goroutines reach a loop through Post; a loop reaches another through
// PostFromLoop, which never waits.
//
// Callers: mosn/listener serves sockets on the loops, mosn/cluster dials from
// them, mosn/transport wraps connections, mosn/server builds the Group. Nothing
// below this package knows a protocol.
//
// The reason for loops of our own, beside the runtime's netpoller, is isolation:
// while anything in the process is bound to the CPU, goroutines that park wait
// for a processor for tens of milliseconds; a loop that polls by raw system
// calls keeps its processor. Hence the rules that the tests check: a loop never
// parks on a channel, a mutex or the netpoller; it makes raw system calls on
// non-blocking descriptors only; and its turn is bounded.
package eventloop
