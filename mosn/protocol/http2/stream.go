package http2

import "sofamesh.io/sofamesh/mosn/idtable"

// stream is what the codec knows of a stream.
type stream struct {
	id    uint32
	flags streamFlags
	send  int32 // what the peer's window lets us send; less than 0 after a change of settings
	recv  int32 // what our window lets the peer send
	room  int32 // our window when it is whole; it grows, see oweStream
	taken int32 // bytes that were consumed of its first ones, see swallowed
	held  int32 // bytes that the owner has got and not yet told to have consumed
	aside int32 // those of them that are settled with the connection, see Parked
	owed  int32 // bytes that we may add to the peer's window
	// left is what is missing of the body by content-length, or anyLength.
	left       int64
	prev, next *stream // neighbours in the one list that has it
}

const anyLength = -1

// streamFlags are the state of a stream (RFC 9113, 5.1) and what it is.
type streamFlags uint16

const (
	remoteEnd streamFlags = 1 << iota // the peer has ended it
	localEnd                          // we have
	opened                            // upstream: HEADERS were written; before that it is idle for the peer
	answered                          // upstream: the final head has come; downstream: it is written
	dead                              // we have reset it; what comes is ignored
	starved                           // its owner waits for the stream's window
	queued                            // it is in the list of those that wait for the connection's
	headOnly                          // upstream: the request is HEAD
	tunnel                            // CONNECT: opaque bytes follow
	extended                          // CONNECT with :protocol
	lagged                            // its owner has parked some since the peer's window was opened
)

func (s *stream) is(f streamFlags) bool { return s.flags&f != 0 }

// over reports whether both sides have ended the stream.
func (s *stream) over() bool { return s.flags&(remoteEnd|localEnd) == remoteEnd|localEnd }

// streams are those of a connection, by id.
type streams struct {
	byID idtable.Table[stream]
	free *stream // that are out of use, linked by next
	most int     // that there were at a time, since there was none
	keep int     // how many streams' storage may stay when there is none
}

// How many streams' storage a connection without streams keeps. Those to upstreams are
// few, and under load again and again without streams between two bursts of them;
// of clients there are many, and each may have had its one burst.
const (
	keepDownstream = 64
	keepUpstream   = 1024
)

// get returns the stream with the id, nil when there is none. It is valid until it
// is removed.
func (t *streams) get(id uint32) *stream { return t.byID.Get(uint64(id)) }

func (t *streams) used() int { return t.byID.Len() }

// add makes a stream, whose id is not there.
func (t *streams) add(id uint32) *stream {
	s := t.free
	if s == nil {
		s = new(stream)
	} else {
		t.free = s.next
	}
	*s = stream{id: id}
	t.byID.Put(uint64(id), s)
	t.most = max(t.most, t.used())
	return s
}

// remove takes a stream out. When it was the last of many, their storage is given
// back.
func (t *streams) remove(s *stream) {
	t.byID.Remove(uint64(s.id))
	*s = stream{next: t.free}
	t.free = s
	if t.used() == 0 {
		if t.most > t.keep {
			*t = streams{keep: t.keep}
		}
		t.most = 0
	}
}

// all returns the streams, in no order.
func (t *streams) all() []*stream { return t.byID.Append(nil) }

// list is a queue of streams; a stream is in one list at most.
type list struct {
	first, last *stream
	n           int
}

func (l *list) push(s *stream) {
	s.prev, s.next = l.last, nil
	if l.last == nil {
		l.first = s
	} else {
		l.last.next = s
	}
	l.last = s
	l.n++
}

func (l *list) remove(s *stream) {
	if s.prev == nil {
		l.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		l.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
	l.n--
}
