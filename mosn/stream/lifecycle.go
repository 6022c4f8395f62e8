package stream

import "fmt"

// phase is where a stream is in its life. The request's and the response's ends
// are flags beside it, because they may come in any order.
type phase uint8

const (
	idle       phase = iota // in the free list
	filtering               // the request's head is in the filter chain
	waiting                 // an attempt is under way, no response head was accepted
	backingOff              // an attempt has failed, the next one is due later
	responding              // a response head was accepted, from upstream or made here
	upgraded                // opaque bytes in both directions
	ended                   // over; waiting to be reclaimed

	numPhases
)

func (p phase) String() string {
	return [...]string{"idle", "filtering", "waiting", "backing off", "responding", "upgraded", "ended"}[p]
}

// transition is what moves a stream from one phase to another.
type transition uint8

const (
	begin       transition = iota // a request head was decoded
	attempt                       // a request goes to a host
	retry                         // the attempt failed and another may follow
	respond                       // the head of an upstream's response is accepted
	reply                         // we answer ourselves
	switchToRaw                   // the response grants an upgrade
	finish                        // the response is complete, or the stream was given up
	reclaim                       // nothing refers to the stream any more

	numTransitions
)

func (t transition) String() string {
	return [...]string{"begin", "attempt", "retry", "respond", "reply", "switch to raw", "finish", "reclaim"}[t]
}

// next is the whole life of a stream as a table: next[from][by] is the phase that
// follows, 0 (idle) meaning that the transition is not possible there. Only
// reclaim leads to idle.
//
//	idle -begin-> filtering -attempt-> waiting -respond-> responding -finish-> ended
//	                 |                  |   ^                ^   |
//	                 |            retry v   | attempt        |   +-switch-> upgraded -finish-> ended
//	                 |              backingOff               |
//	                 +---------reply--------+----reply-------+
var next = [numPhases][numTransitions]phase{
	idle:       {begin: filtering},
	filtering:  {attempt: waiting, reply: responding, finish: ended},
	waiting:    {retry: backingOff, respond: responding, reply: responding, finish: ended},
	backingOff: {attempt: waiting, reply: responding, finish: ended},
	responding: {reply: responding, switchToRaw: upgraded, finish: ended}, // reply: only while the head is still held
	upgraded:   {finish: ended},
	ended:      {reclaim: idle},
}

// can reports whether the transition is possible in phase p.
func (p phase) can(t transition) bool { return next[p][t] != idle || (p == ended && t == reclaim) }

// move performs the transition. An impossible one is a defect of this package: the
// panic ends the connection it happened on and is logged with its stack.
func (p *phase) move(t transition) {
	if !p.can(t) {
		panic(fmt.Sprintf("stream: %s is not possible while %s", t, *p))
	}
	*p = next[*p][t]
}

// live reports whether the stream is between begin and finish.
func (p phase) live() bool { return p != idle && p != ended }
