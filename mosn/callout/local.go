package callout

import (
	"math/rand/v2"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// Local makes the calls of one loop.
type Local struct {
	// Address is the machine's, for x-forwarded-for; "" leaves that out. Total counts the
	// calls to clusters that are known. Both are set before the first.
	Address string
	Total   sdk.Counter

	loop     *eventloop.Loop
	clusters *cluster.Local
	stats    *stats.Local
	rand     *rand.PCG
	lastID   sdk.CallID
	free     *call
}

// NewLocal returns what makes the calls of a loop.
func NewLocal(loop *eventloop.Loop, clusters *cluster.Local, st *stats.Local) *Local {
	return &Local{loop: loop, clusters: clusters, stats: st, rand: rand.NewPCG(rand.Uint64(), rand.Uint64())}
}

func (l *Local) acquire() *call {
	c := l.free
	if c == nil {
		c = &call{l: l}
		c.timer.Init(l.loop, c)
		return c
	}
	l.free, c.next = c.next, nil
	return c
}

// Done is told how a call has ended: by an answer, which is valid until it returns, or
// by an error.
type Done = func(*sdk.CallResponse, *sdk.CallError)

// Owner has calls made in its name.
type Owner interface {
	// OnCallDone calls done, with what it likes to do before and after.
	OnCallDone(done Done, resp *sdk.CallResponse, err *sdk.CallError)
}

// Set holds the calls of one owner that are under way. The zero value is empty; it must
// not be copied or forgotten while it is not.
type Set struct{ first *call }

// Start makes a call. Its end is told to o later, never from within Start. r.Headers are
// copied; r.Body must stay as it is until the end.
func (s *Set) Start(l *Local, o Owner, cluster string, r *sdk.CallRequest, done Done) sdk.CallID {
	c := l.acquire()
	l.lastID++
	c.id, c.set, c.owner, c.done = l.lastID, s, o, done
	if c.next = s.first; c.next != nil {
		c.next.prev = c
	}
	s.first = c
	c.begin(cluster, r)
	return c.id
}

// Cancel gives up the call with an id, if it is under way; nobody is told.
func (s *Set) Cancel(id sdk.CallID) {
	for c := s.first; c != nil; c = c.next {
		if c.id == id {
			c.cancel()
			return
		}
	}
}

// CancelAll gives up all calls; nobody is told.
func (s *Set) CancelAll() {
	for s.first != nil {
		s.first.cancel()
	}
}

func (s *Set) remove(c *call) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		s.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
}
