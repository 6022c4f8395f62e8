package stream

import (
	crand "crypto/rand"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/callout"
	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// ConnFactory is what a network filter compiles to: it makes the handlers of the
// connections that a listener accepts. It is immutable and shared by all loops.
type ConnFactory interface {
	// NewConn returns the handler of a connection that was just accepted on w's
	// loop, nil to refuse it.
	NewConn(w *Worker, c *eventloop.Conn) eventloop.Handler
	// Close comes after the last connection.
	Close()
}

// Retirer is a handler of a connection that can end it with grace, for when the
// listener that accepted it was replaced or removed.
type Retirer interface {
	// Retire lets one of the next responses be the last, more likely so as time passes,
	// and certainly when all of over has. An idle connection stays. On the loop.
	Retire(over time.Duration)
}

// NetworkFilter is an extension that handles connections, listed in builtin.
type NetworkFilter struct {
	Name    string        // Envoy's name
	Config  proto.Message // the type of typed_config, as an empty message
	Fields  sdk.FieldStatus
	Compile func(c sdk.Compiler, pb proto.Message) (ConnFactory, error)
}

// Worker is one loop's share of the stream layer: its connections, its streams and
// what they reuse. Everything in it belongs to the loop's goroutine.
type Worker struct {
	// Failing says that health checks of the proxy are to fail; nil if they never are. It
	// is set before the first connection.
	Failing *atomic.Bool

	loop     *eventloop.Loop
	clusters *cluster.Local
	calls    *callout.Local
	stats    *stats.Local
	rand     *rand.ChaCha8

	ev        sdk.Event   // what a codec fills; read before anything else is called
	msg       sdk.Message // the scratch of ev.Msg
	chunk     sdk.Buffer  // body on its way through filters
	replyBody sdk.Buffer
	replyText []byte // of a reply whose body is formatted

	free     *Stream     // to be reused
	dead     *Stream     // ended; reclaimed when depth is 0
	shadows  *shadow     // mirrors to be reused
	reverses *reverse    // hosts' requests to be reused
	traces   *tracing    // to be reused
	tryLogs  *tryLog     // to be reused
	depth    int         // callbacks that are on the stack
	talkers  *serverConn // whose codecs have something to say; told when depth is 0 again
	effort   int         // left of sdk.TurnEffort to the connection whose data is being decoded

	conns    connList
	streams  int
	draining bool

	routeIn      route.MatchInput
	routeScratch route.Scratch
	hashIn       route.HashInput
	location     []byte

	dateSecond int64
	date       []byte
}

// NewWorker returns the worker of a loop.
func NewWorker(loop *eventloop.Loop, clusters *cluster.Local, st *stats.Local) *Worker {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails (crypto/rand)
	w := &Worker{loop: loop, clusters: clusters, stats: st, rand: rand.NewChaCha8(seed)}
	w.calls = callout.NewLocal(loop, clusters, st)
	w.chunk.Init(loop.Buffers())
	w.replyBody.Init(loop.Buffers())
	w.conns.init()
	return w
}

// Loop returns the worker's loop.
func (w *Worker) Loop() *eventloop.Loop { return w.loop }

// Calls makes the calls of filters and of goroutines.
func (w *Worker) Calls() *callout.Local { return w.calls }

// Stats returns the loop's slots.
func (w *Worker) Stats() *stats.Local { return w.stats }

// ActiveConns returns the number of downstream connections.
func (w *Worker) ActiveConns() int { return w.conns.n }

// ActiveStreams returns the number of streams that have not ended.
func (w *Worker) ActiveStreams() int { return w.streams }

// Drain asks every downstream connection to end: idle ones at once, others after
// the response that is under way, which says so ("connection: close").
func (w *Worker) Drain() {
	w.enter()
	defer w.leave()
	w.draining = true
	w.conns.each(func(d *serverConn) { d.drain() })
}

// Draining reports whether Drain was called.
func (w *Worker) Draining() bool { return w.draining }

// leaving reports whether clients are to go elsewhere.
func (w *Worker) leaving() bool { return w.draining || w.Failing != nil && w.Failing.Load() }

// enter and leave bracket every callback. Streams that end meanwhile are reclaimed
// when the outermost one returns: until then code further up the stack may still
// look at them.
func (w *Worker) enter() { w.depth++ }

func (w *Worker) leave() {
	if w.depth == 1 && w.talkers != nil {
		defer w.left() // a panic must not keep it from that
		w.talk()
		return
	}
	w.left()
}

func (w *Worker) left() {
	w.depth--
	if w.depth == 0 && w.dead != nil {
		w.reap()
	}
}

// talk lets the codecs speak that have something to say, including those that have it
// only then.
func (w *Worker) talk() {
	for w.talkers != nil {
		d := w.talkers
		w.talkers, d.speech.next = d.speech.next, nil
		d.talk()
	}
}

func (w *Worker) reap() {
	for w.dead != nil {
		s := w.dead
		w.dead, s.link = s.link, nil
		s.reclaim()
	}
}

// acquire returns an idle stream.
func (w *Worker) acquire() *Stream {
	s := w.free
	if s == nil {
		return newStream(w)
	}
	w.free, s.link = s.link, nil
	return s
}

// httpDate returns the value of the date header, made once a second.
func (w *Worker) httpDate() []byte {
	now := w.loop.Wall()
	if sec := now.Unix(); sec != w.dateSecond {
		w.dateSecond = sec
		w.date = now.UTC().AppendFormat(w.date[:0], "Mon, 02 Jan 2006 15:04:05 GMT")
	}
	return w.date
}

func (w *Worker) now() time.Duration { return w.loop.Now() }

// connList is an intrusive ring of connections.
type connList struct {
	head serverConn
	n    int
}

func (l *connList) init() { l.head.next, l.head.prev = &l.head, &l.head }

func (l *connList) add(d *serverConn) {
	d.prev, d.next = l.head.prev, &l.head
	l.head.prev.next, l.head.prev = d, d
	l.n++
}

func (l *connList) remove(d *serverConn) {
	d.prev.next, d.next.prev = d.next, d.prev
	d.next, d.prev = nil, nil
	l.n--
}

// each calls f for every connection; f may remove the one it is called for.
func (l *connList) each(f func(*serverConn)) {
	for d := l.head.next; d != &l.head; {
		next := d.next
		f(d)
		d = next
	}
}
