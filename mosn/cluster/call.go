package cluster

import (
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// Priority is a routing priority; each has its own connections and circuit
// breakers.
type Priority uint8

// The priorities (envoy.config.core.v3.RoutingPriority).
const (
	Default Priority = iota
	High

	numPriorities
)

// CallEvents is how the owner of a Call is told of its progress, on the loop.
//
// Exactly one of these ends a Call, after which nothing more comes: an event with
// end set, OnCallTrailers, OnCallFailed, or the owner's own Cancel. From within that
// last event the Call may already be started again.
type CallEvents interface {
	// OnCallReady: there is a connection, the request may be written. It may come
	// from within Start.
	OnCallReady(c *Call)
	// OnCallInformational brings a 1xx head other than 101. m is scratch.
	OnCallInformational(c *Call, m *sdk.Message)
	// OnCallHeaders brings the response's head. m is scratch: swap it out to keep it.
	OnCallHeaders(c *Call, m *sdk.Message, end bool)
	// OnCallData brings body bytes, which are valid during the call.
	OnCallData(c *Call, p []byte, end bool)
	// OnCallTrailers brings the trailers, which are the end.
	OnCallTrailers(c *Call, m *sdk.Message)
	// OnCallWritable: what was written has drained below the low watermark after
	// AboveHigh was true, or the peer takes more after WriteData took less than all.
	OnCallWritable(c *Call)
	// OnCallFailed: the attempt is over without a complete response. It may come from
	// within Start, never from within another method.
	OnCallFailed(c *Call, err *sdk.Error)
}

// carrier is what an active Call is on: a connection of its own, a place on a shared
// one, or another loop that has the connection. Its methods are what the Call's
// methods of the same names say, for a Call that is active.
type carrier interface {
	writeHeaders(c *Call, m *sdk.Message, end bool) error
	writeData(c *Call, p []byte, end bool) int
	writeTrailers(c *Call, m *sdk.Message)
	aboveHigh(c *Call) bool
	readDisable(c *Call, on bool) // first and last of a nest only
	cancel(c *Call, reason sdk.ResetReason)
	localAddr() eventloop.Addr
	bytes(c *Call) (received, sent uint64)
}

// callState is where a Call is in its life.
type callState uint8

const (
	callIdle    callState = iota // not started, or ended
	callPending                  // waits for a connection
	callActive                   // has a connection
)

// Call is one attempt to have a request answered by one host. It is embedded by
// value in what makes the attempt; the zero value is ready, and it may be used again
// when it has ended. It must not be copied while it is under way.
type Call struct {
	ev      CallEvents
	pool    *pool
	carrier carrier // set while active

	next, prev *Call // in the pool's queue, or on its multiplexed connection
	order      uint64

	id       uint64 // of the stream on the connection
	mux      muxCall
	inBase   uint64 // the connection's bytes before this call
	outBase  uint64
	received uint64 // wire bytes, once ended
	sent     uint64
	connID   uint64
	tls      *sdk.TLSInfo
	connect  [2]time.Duration // when the connection was begun, and stood
	failure  string

	state        callState
	prio         Priority
	requestDone  bool
	reused       bool
	readDisabled uint8
}

// Active reports whether the Call has been started and has not ended.
func (c *Call) Active() bool { return c.state != callIdle }

// Ready reports whether the Call has a connection, so that Write may be used.
func (c *Call) Ready() bool { return c.state == callActive }

// Host returns the host that the Call was last started with.
func (c *Call) Host() *Host {
	if c.pool == nil {
		return nil
	}
	return c.pool.host
}

// Codec returns the protocol that the Call travels by, nil before it was ever started.
func (c *Call) Codec() *sdk.Codec {
	if c.pool == nil {
		return nil
	}
	return c.pool.way.codec.Codec()
}

// Reused reports whether the connection had carried an exchange before this one. If
// it fails with ErrConnLost then, the host may have closed it while it was idle.
func (c *Call) Reused() bool { return c.reused }

// TransportFailure returns what the transport says of a connection that could not
// be made (Envoy's %UPSTREAM_TRANSPORT_FAILURE_REASON%), after OnCallFailed.
func (c *Call) TransportFailure() string { return c.failure }

// ConnID returns the id of the connection that the Call has or had, 0 if none.
func (c *Call) ConnID() uint64 { return c.connID }

// TLS returns what is known by TLS of the host at the other end of that connection, nil
// in plain text.
func (c *Call) TLS() *sdk.TLSInfo { return c.tls }

// ConnectTimes returns when the connection that the Call has or had was begun, and when
// it stood, on the clock of all loops; 0 if there is none or another loop has it.
func (c *Call) ConnectTimes() (begun, stood time.Duration) { return c.connect[0], c.connect[1] }

// Protocol returns what is spoken with the host that the Call was last started with, as
// Envoy's %UPSTREAM_PROTOCOL%, or the name of the codec.
func (c *Call) Protocol() string {
	switch name := c.pool.way.codec.Codec().Name; name {
	case "http1":
		return sdk.HTTP11.String()
	case "http2":
		return sdk.HTTP2.String()
	default:
		return name
	}
}

// LocalAddr returns our address on the connection, while the Call is Ready. It is
// not known where another loop has the connection.
func (c *Call) LocalAddr() eventloop.Addr {
	if c.state != callActive {
		return eventloop.Addr{}
	}
	return c.carrier.localAddr()
}

// BytesReceived returns the wire bytes received for the Call so far, also when it
// has ended.
func (c *Call) BytesReceived() uint64 {
	if c.state != callActive {
		return c.received
	}
	received, _ := c.carrier.bytes(c)
	return received
}

// BytesSent returns the wire bytes that the socket has accepted for the Call so far,
// also when it has ended. On a shared connection it is those written.
func (c *Call) BytesSent() uint64 {
	if c.state != callActive {
		return c.sent
	}
	_, sent := c.carrier.bytes(c)
	return sent
}

// WriteHeaders writes the request's head. An error means that the codec refuses the
// message and has written nothing; the Call is still under way.
func (c *Call) WriteHeaders(m *sdk.Message, end bool) error {
	if c.state != callActive {
		return nil
	}
	return c.carrier.writeHeaders(c, m, end)
}

// WriteData writes body bytes and returns how many were taken. When that is not all,
// OnCallWritable follows; end counts only when it is. On an upgraded Call the end is
// a half close. After the Call's end everything is taken and dropped.
func (c *Call) WriteData(p []byte, end bool) int {
	if c.state != callActive {
		return len(p)
	}
	return c.carrier.writeData(c, p, end)
}

// WriteTrailers ends the request.
func (c *Call) WriteTrailers(m *sdk.Message) {
	if c.state == callActive {
		c.carrier.writeTrailers(c, m)
	}
}

// AboveHigh reports whether more is queued than the cluster's buffer limit: the
// owner should stop its source until OnCallWritable.
func (c *Call) AboveHigh() bool { return c.state == callActive && c.carrier.aboveHigh(c) }

// ReadDisable(true) stops the events of the response, ReadDisable(false) undoes one
// such call. Calls nest; the end of the Call undoes them all.
func (c *Call) ReadDisable(on bool) {
	if c.state != callActive {
		return
	}
	lc := c.pool.lc
	switch {
	case on:
		if c.readDisabled++; c.readDisabled == 1 {
			lc.inc(FlowPausedReading)
			c.carrier.readDisable(c, true)
		}
	case c.readDisabled == 0:
		panic("cluster: ReadDisable(false) without ReadDisable(true)")
	default:
		if c.readDisabled--; c.readDisabled == 0 {
			lc.inc(FlowResumedReading)
			c.carrier.readDisable(c, false)
		}
	}
}

// Cancel gives the Call up. It does nothing when the Call has ended.
func (c *Call) Cancel(reason sdk.ResetReason) {
	switch c.state {
	case callIdle:
	case callPending:
		c.pool.unqueue(c)
		c.state = callIdle
		c.pool.lc.inc(RqCancelled)
	case callActive:
		c.carrier.cancel(c, reason)
	}
}
