package eventloop

import (
	"net/netip"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// Handler is what a connection's owner implements. All calls come on the loop's
// goroutine, from the loop itself and never from inside a method of Conn, so
// that an owner may call any method from any callback.
type Handler interface {
	// OnConnect: a connection made by Dial is established.
	OnConnect(c *Conn)
	// OnData presents all bytes not yet consumed, contiguous, and returns how
	// many it consumed. The slice may be written to and is valid during the
	// call. The rest is presented again with more, when more has come, or after
	// Resume or ReadDisable(false). With
	// SetReadLimit bytes kept and nothing consumed, reading stops until Resume.
	OnData(c *Conn, in []byte) (consumed int)
	// OnEOF: the peer will send no more; everything was presented before.
	OnEOF(c *Conn)
	// OnDrained: the write queue has fallen to the low watermark after it had
	// been above the high one; or what NotifyFlushed asked for.
	OnDrained(c *Conn)
	// OnClose is the last call and comes exactly once, later in the turn in
	// which the connection ended, or soon after. Err is nil when our side closed it, else an
	// *Error; a close that ran into its timeout has KindTimeout.
	OnClose(c *Conn, err error)
}

// NopHandler implements Handler and consumes all data; embed it for the calls
// that an owner does not need.
type NopHandler struct{}

// OnConnect does nothing.
func (NopHandler) OnConnect(*Conn) {}

// OnData drops the data.
func (NopHandler) OnData(_ *Conn, in []byte) int { return len(in) }

// OnEOF does nothing.
func (NopHandler) OnEOF(*Conn) {}

// OnDrained does nothing.
func (NopHandler) OnDrained(*Conn) {}

// OnClose does nothing.
func (NopHandler) OnClose(*Conn, error) {}

// Defaults of a connection in bytes. The watermark is that of Envoy's
// per_connection_buffer_limit_bytes.
const (
	DefaultHighWatermark = 1 << 20
	DefaultLowWatermark  = DefaultHighWatermark / 2
	DefaultReadLimit     = 64 << 10
)

type connFlags uint32

const (
	fReadable   connFlags = 1 << iota // the kernel may have more
	fWritable                         // the kernel may take more
	fConnecting                       // not established yet
	fPeerHalf                         // the peer's FIN (or worse) was reported
	fPeerGone                         // an error or a full hang-up was reported
	fEOF                              // end of stream was read
	fStalled                          // the read limit is reached, nothing consumed
	fPresent                          // present what is kept, though nothing new came
	fPresenting                       // in OnData
	fYielded                          // Resume was called from it
	fSwapped                          // SetHandler was called
	fEarlyClose                       // DetectEarlyClose
	fDirty                            // on loop.dirty
	fReady                            // on loop.ready
	fWasHigh                          // above the high watermark since OnDrained
	fNotify                           // NotifyFlushed
	fShutWrite                        // half close when flushed
	fShutDone                         // sent
	fWriteDead                        // a write failed; reading what came before
	fEnding                           // the owner closed; no OnData, OnEOF, OnDrained
	fDiscard                          // CloseDelayed: read and drop
	fClosed                           // the descriptor is gone
	fAccepted                         // not dialled
	fLocalKnown                       // local holds the address
	fHandshake                        // the transport is not ready yet
)

// Conn is a stream connection, TCP or Unix. It belongs to one loop for life; a
// Conn is never reused for another connection, so a reference that outlives it
// is harmless. Methods called after its end do nothing.
type Conn struct {
	loop    *Loop
	handler Handler
	tp      *sealing // nil: the bytes are those of the wire
	out     sdk.Buffer
	in      leftover

	fd           int32
	slot         uint32
	flags        connFlags
	readDisabled uint32
	high, low    uint32
	readLimit    uint32 // for the owner; once CloseDelayed was called, what may be dropped

	id       uint64
	bytesIn  uint64
	bytesOut uint64
	timer    Timer         // to connect, to end a close
	patience time.Duration // of a close, between two writes that get on
	err      error         // for OnClose

	remote netip.AddrPort
	local  netip.AddrPort
	path   *string // of the Unix socket: ours when accepted, the peer's when dialled
}

func (c *Conn) has(f connFlags) bool { return c.flags&f != 0 }
func (c *Conn) set(f connFlags)      { c.flags |= f }
func (c *Conn) clear(f connFlags)    { c.flags &^= f }

// newConn returns a connection that has no descriptor yet.
func (l *Loop) newConn(h Handler) *Conn {
	c := &Conn{
		loop:      l,
		handler:   h,
		fd:        -1,
		high:      DefaultHighWatermark,
		low:       DefaultLowWatermark,
		readLimit: DefaultReadLimit,
		id:        l.nextID,
	}
	l.nextID += uint64(l.group.cfg.Loops)
	c.out.Init(l.buffers)
	c.timer.Init(l, (*connTimer)(c))
	l.conns++
	return c
}

// watch gives c its descriptor and a slot and begins to watch it.
func (c *Conn) watch(fd int) error {
	c.fd = int32(fd)
	var token uint64
	c.slot, token = c.loop.slots.take(c, nil)
	return c.loop.kernel.Watch(fd, token)
}

// Loop returns the loop that the connection belongs to. Any goroutine.
func (c *Conn) Loop() *Loop { return c.loop }

// ID returns a number that no other connection of the group has or had.
func (c *Conn) ID() uint64 { return c.id }

// FD returns the descriptor, for socket options only, or -1 after the end.
func (c *Conn) FD() int { return int(c.fd) }

// SetHandler hands the connection to another owner. Called from OnData, what
// that call leaves unconsumed is presented to the new owner at once.
func (c *Conn) SetHandler(h Handler) {
	c.handler = h
	c.set(fSwapped)
}

// Out returns the write queue. Append to it; the loop writes it out before the
// turn ends. Call Out anew for every burst of writing, since it is the call
// that makes the loop look. Before OnConnect the bytes wait.
func (c *Conn) Out() *sdk.Buffer {
	c.touch()
	return &c.out
}

// touch has the loop flush c in this turn.
func (c *Conn) touch() {
	c.loop.AssertOwner()
	if !c.has(fDirty) {
		c.set(fDirty)
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// Queued returns the number of bytes in the write queue.
func (c *Conn) Queued() int {
	if c.tp != nil {
		return c.out.Len() + c.tp.sealed
	}
	return c.out.Len()
}

// SetWatermarks sets the bounds for AboveHigh and OnDrained, in bytes of the
// write queue; high 0 is no bound.
func (c *Conn) SetWatermarks(high, low int) {
	c.high, c.low = clamp32(high), clamp32(min(low, high))
}

// HighWatermark returns the high watermark in bytes, 0 when there is none.
func (c *Conn) HighWatermark() int { return int(c.high) }

// AboveHigh reports whether the write queue is above the high watermark: the
// owner should stop its source until OnDrained.
func (c *Conn) AboveHigh() bool { return c.high > 0 && c.out.Len() > int(c.high) }

// NotifyFlushed asks for one OnDrained when the socket has accepted all that is
// queued.
func (c *Conn) NotifyFlushed() {
	c.set(fNotify)
	c.touch()
}

// BytesIn returns the number of bytes read from the socket. With a transport BytesIn
// and BytesOut count what its owner sees.
func (c *Conn) BytesIn() uint64 { return c.bytesIn }

// BytesOut returns the number of bytes that the socket has accepted.
func (c *Conn) BytesOut() uint64 { return c.bytesOut }

// SetReadLimit bounds the bytes kept unconsumed; one read, of at most 64 kB,
// may exceed it.
func (c *Conn) SetReadLimit(n int) { c.readLimit = max(clamp32(n), 1) }

// ReadDisable(true) stops reading and presenting, ReadDisable(false) undoes one
// such call. Calls nest.
func (c *Conn) ReadDisable(on bool) {
	switch {
	case on:
		c.readDisabled++
		c.checkGone()
	case c.readDisabled == 0:
		panic("eventloop: ReadDisable(false) without ReadDisable(true)")
	default:
		if c.readDisabled--; c.readDisabled == 0 {
			c.Resume()
		}
	}
}

// ReadDisabled reports whether reading is disabled.
func (c *Conn) ReadDisabled() bool { return c.readDisabled > 0 }

// DetectEarlyClose makes the peer's FIN, while reading is disabled, close the
// connection with ErrPeerClosed, as Envoy's detectEarlyCloseWhenReadDisabled.
// A reset is noticed at any time.
func (c *Conn) DetectEarlyClose(on bool) {
	c.clear(fEarlyClose)
	if on {
		c.set(fEarlyClose)
		c.checkGone()
	}
}

// Resume presents what is kept again, soon, and goes on reading. Called from OnData,
// it lets others have their turn first.
func (c *Conn) Resume() {
	c.clear(fStalled)
	c.set(fPresent)
	if c.has(fPresenting) {
		c.set(fYielded) // read sees to it
		return
	}
	c.queueRead()
}

// queueRead puts c on the ready list when there is something to do there.
func (c *Conn) queueRead() {
	if c.idle() {
		return
	}
	c.set(fReady)
	c.loop.ready = append(c.loop.ready, c)
}

// queueLater is queueRead for the next turn: c has had its share of this one.
func (c *Conn) queueLater() {
	if c.idle() {
		return
	}
	c.set(fReady)
	c.loop.later = append(c.loop.later, c)
}

// idle reports whether there is nothing to read or to present, or c is queued already.
func (c *Conn) idle() bool {
	return c.has(fReady|fClosed) || !c.has(fReadable) && c.in.len() == 0 && (c.tp == nil || c.tp.idle())
}

// Closed reports whether the connection has ended or is being closed by its
// owner: no OnData, OnEOF and OnDrained follows.
func (c *Conn) Closed() bool { return c.has(fEnding | fClosed) }

// Established reports whether bytes can flow: connected and not closed.
func (c *Conn) Established() bool { return c.flags&(fConnecting|fHandshake|fEnding|fClosed) == 0 }

// RemoteAddr returns the peer's address. An accepted Unix connection's peer has
// none.
func (c *Conn) RemoteAddr() Addr {
	if c.path != nil && !c.has(fAccepted) {
		return UnixAddr(*c.path)
	}
	return TCPAddr(c.remote)
}

// LocalAddr returns our address. The first call for a TCP connection asks the
// system, so it has to come before the connection's end.
func (c *Conn) LocalAddr() Addr {
	if c.path != nil {
		if c.has(fAccepted) {
			return UnixAddr(*c.path)
		}
		return Addr{}
	}
	if !c.has(fLocalKnown | fClosed | fConnecting) {
		c.local = c.loop.kernel.LocalAddr(int(c.fd)).AddrPort
		c.set(fLocalKnown)
	}
	return TCPAddr(c.local)
}

// connTimer is a Conn as the handler of its own timer.
type connTimer Conn

// OnTimer ends an attempt to connect, a handshake or a close that took too long.
func (t *connTimer) OnTimer(*Timer) {
	c, op := (*Conn)(t), "close"
	switch {
	case c.has(fConnecting):
		op = "connect"
	case c.has(fHandshake):
		op = "handshake"
	}
	c.finish(&Error{Op: op, Kind: KindTimeout}, false)
}

func clamp32(n int) uint32 { return uint32(min(max(n, 0), 1<<30)) }

// Dial starts a connection to an address and returns it. The outcome is
// OnConnect, or OnClose with the error; neither comes before Dial returns. Cfg
// may be nil.
func (l *Loop) Dial(to Addr, cfg *DialConfig, h Handler) *Conn {
	l.AssertOwner()
	c := l.newConn(h)
	c.set(fConnecting)
	c.remote = to.AddrPort
	if to.IsUnix() {
		c.path = &to.Path
	}
	var timeout time.Duration
	if cfg != nil {
		timeout = cfg.Timeout
		if cfg.HighWatermark > 0 {
			c.SetWatermarks(cfg.HighWatermark, cfg.LowWatermark)
		}
	}
	fd, errno := l.kernel.Connect(to, cfg)
	if fd < 0 {
		c.finish(sysError("connect", errno), false)
		return c
	}
	if err := c.watch(fd); err != nil {
		c.finish(sysError("connect", errnoOf(err)), false)
		return c
	}
	if timeout > 0 {
		c.timer.Arm(timeout)
	}
	return c
}
