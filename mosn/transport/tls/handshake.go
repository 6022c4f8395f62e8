package tls

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// Why a handshake came to nothing that had not even begun.
var (
	errNotReady = errors.New("TLS secrets are not there yet")
	errTooMany  = errors.New("too many handshakes at a time")
	errGone     = errors.New("the connection has ended")
)

// retryEvery is how soon the end of an abandoned handshake is tried again when the
// workers have too much to do.
const retryEvery = 10 * time.Millisecond

// handshake is a handshake under way, as a coroutine. The loop has it, or else, between
// step and Done, a worker of the loop, always the same one.
type handshake struct {
	t       *conn
	c       *eventloop.Conn
	timer   eventloop.Timer
	pending []byte // of the peer's, that no step has got yet
	running bool   // a worker has it
	counted bool   // in side.active
	closed  bool   // the connection has ended
	failure error  // found without a worker
	abandon bool   // the worker shall end it; set while it is the loop's

	// Here the loop and the worker take turns.
	in, out []byte
	next    func() (struct{}, bool) // nil before the first step
	stop    func()
	yield   func(struct{}) bool
	over    bool
	err     error
	info    *sdk.TLSInfo
	counts  []sdk.Counter
}

// arrived takes bytes of the peer's, and has a worker go on when there are enough: whole
// records, and at first a whole ClientHello. So who sends byte by byte wakes nobody.
func (h *handshake) arrived(c *eventloop.Conn, p []byte) (more bool) {
	h.pending = append(h.pending, p...)
	return h.proceed(c)
}

// proceed begins a step if there is something to do, and reports whether there was not.
func (h *handshake) proceed(c *eventloop.Conn) (more bool) {
	if h.next == nil && h.t.side.server && !wholeHello(h.pending) {
		return true
	}
	n := wholeRecords(h.pending)
	if n == 0 {
		return true
	}
	h.in = append(h.in, h.pending[:n]...)
	h.pending = append(h.pending[:0], h.pending[n:]...)
	h.step(c)
	return false
}

// step has a worker go on.
func (h *handshake) step(c *eventloop.Conn) {
	h.c = c
	if !h.counted {
		if !h.t.side.active.TryAcquire() {
			h.failLater(c, errTooMany)
			return
		}
		h.counted = true
	}
	if h.running = c.Loop().Heavy(h); !h.running {
		h.failLater(c, errTooMany)
	}
}

// failLater ends the connection, from a task: its owner may not hear of it from within
// its own call.
func (h *handshake) failLater(c *eventloop.Conn, err error) {
	h.c, h.failure = c, err
	h.timer.Init(c.Loop(), h)
	h.timer.Arm(0)
}

// Work implements eventloop.Job: on the worker, it runs the handshake until it needs
// more of the peer, or to its end when the connection has ended.
func (h *handshake) Work(ctx context.Context) error {
	if h.abandon || ctx.Err() != nil {
		if h.stop != nil {
			h.stop()
		}
		h.over = true
		return nil
	}
	if h.next == nil {
		h.next, h.stop = iter.Pull(h.run)
	}
	if _, waiting := h.next(); !waiting {
		h.stop()
		h.over = true
	}
	return nil
}

// run is the coroutine.
func (h *handshake) run(yield func(struct{}) bool) {
	h.yield = yield
	h.err = errGone // unless it gets to its end
	err := h.t.tls.Handshake()
	h.err = err
	h.info, h.counts = h.t.summary(err == nil)
}

// read is the net.Conn's Read within the coroutine.
func (h *handshake) read(p []byte) (int, error) {
	for len(h.in) == 0 {
		if !h.yield(struct{}{}) {
			return 0, io.ErrUnexpectedEOF
		}
	}
	n := copy(p, h.in)
	h.in = h.in[n:]
	return n, nil
}

func (h *handshake) write(p []byte) (int, error) {
	h.out = append(h.out, p...)
	return len(p), nil
}

// Done implements eventloop.Job: on the loop, it takes what the worker has done.
func (h *handshake) Done(_ *eventloop.Loop, err error) {
	h.running = false
	if err != nil { // a panic, after which the coroutine is gone
		h.over, h.err = true, err
	}
	if h.closed {
		h.end()
		return
	}
	if len(h.out) > 0 {
		h.c.Wire().Append(h.out)
		h.out = h.out[:0]
	}
	switch {
	case h.over:
		h.finish()
	case h.proceed(h.c):
		h.c.MoreWire()
	}
}

// finish ends a handshake that is over.
func (h *handshake) finish() {
	t := h.t
	h.release()
	t.info = h.info
	for _, counter := range h.counts {
		t.st.Inc(counter)
	}
	if h.err != nil {
		t.count(h.err)
		h.c.Fail(&eventloop.Error{Op: "handshake", Kind: eventloop.KindTransport, Cause: reasonOf(h.err)})
		return
	}
	t.hand, t.wire.hand = nil, nil
	h.c.Secured(append(h.in, h.pending...))
}

// release makes room for another handshake.
func (h *handshake) release() {
	if h.counted {
		h.counted = false
		h.t.side.active.Release()
	}
}

// close is called when the connection has ended.
func (h *handshake) close() {
	if h.closed {
		return
	}
	h.closed = true
	if h.failure != nil {
		h.timer.Stop()
	}
	if !h.running {
		h.end()
	}
}

// end has the worker end the coroutine that nobody waits for any longer.
func (h *handshake) end() {
	if h.over || h.next == nil {
		h.release()
		return
	}
	h.abandon = true
	if h.running = h.c.Loop().Heavy(h); !h.running {
		h.timer.Init(h.c.Loop(), h)
		h.timer.Arm(retryEvery)
	}
}

// OnTimer implements eventloop.TimerHandler.
func (h *handshake) OnTimer(*eventloop.Timer) {
	switch {
	case h.closed:
		h.end()
	case h.failure != nil:
		h.t.count(h.failure)
		kind := eventloop.KindTransport
		if h.failure == errTooMany {
			kind = eventloop.KindOverload
		}
		h.c.Fail(&eventloop.Error{Op: "handshake", Kind: kind, Cause: h.failure})
	}
}
