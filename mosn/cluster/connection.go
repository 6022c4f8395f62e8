package cluster

import (
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// lastWords is how long a connection that is given up may take to write what is
// queued, if the client's last words may have come together with its end.
const lastWords = time.Second

// connection is an upstream connection of a Serial codec, which serves one call at a
// time. Its pool owns it; the loop calls it as the connection's handler and its
// timers' handler.
type connection struct {
	link
	call *Call

	next, prev *connection // in the idle list, the last used first

	upgraded  bool // opaque bytes from here on
	answering bool // some of the present response has come
	oneWay    bool // there will be no response
	halfSent  bool // the last request was answered before all of it was sent
}

// dial starts a connection for the pool.
func (p *pool) dial() {
	cn := &connection{}
	cn.link.dial(p, cn)
}

// OnConnect implements eventloop.Handler.
func (cn *connection) OnConnect(*eventloop.Conn) {
	switch to, p := cn.chosen(), cn.pool; {
	case to == nil:
		cn.stand()
	case to.owner != nil: // another loop's, which makes its own
		cn.finish(false)
		p.move(to)
	default:
		cn.link.handOver(to)
	}
}

// stand begins the use of a connection that stands.
func (cn *connection) stand() {
	cn.established()
	cn.pool.serve(cn)
}

// attach gives the connection to a call and tells the call.
func (cn *connection) attach(c *Call) {
	cn.state = connBusy
	cn.call = c
	cn.answering, cn.oneWay = false, false
	cn.begin(c, cn)
	c.id = cn.codec.NewStream()
	c.inBase, c.outBase = cn.conn.BytesIn(), cn.conn.BytesOut()
	c.ev.OnCallReady(c)
}

// detach ends a call on this connection; its owner is told by the caller, if at all.
func (cn *connection) detach(c *Call) {
	c.received, c.sent = c.BytesReceived(), c.BytesSent()
	if c.readDisabled > 0 {
		c.readDisabled = 0
		cn.conn.ReadDisable(false)
	}
	c.state, c.carrier = callIdle, nil
	cn.call = nil
	cn.ended()
}

// OnDrained implements eventloop.Handler.
func (cn *connection) OnDrained(*eventloop.Conn) {
	cn.drained()
	switch c := cn.call; {
	case c == nil:
	case cn.oneWay && c.requestDone && cn.conn.Queued() == 0:
		cn.endOneWay()
	default:
		c.ev.OnCallWritable(c)
	}
}

// endOneWay ends a request that gets no response: the socket has accepted its last
// byte. Its owner sees a head that is all.
func (cn *connection) endOneWay() {
	cn.deliver(cn.pool.lc.local.sent())
	cn.release(false)
}

// OnData implements eventloop.Handler.
func (cn *connection) OnData(conn *eventloop.Conn, in []byte) int {
	used := 0
	local := cn.pool.lc.local
	ev := &local.event
	ev.Msg = &local.msg
	for {
		if cn.state == connClosed {
			return len(in)
		}
		if cn.call == nil {
			cn.unasked()
			return len(in)
		}
		if conn.ReadDisabled() {
			return used
		}
		n, err := cn.codec.Decode(in[used:], ev)
		used += n
		if err != nil {
			cn.pool.lc.inc(CxProtocolError)
			cn.lose(false, ErrProtocol)
			return len(in)
		}
		if ev.Kind == sdk.EventNone {
			cn.answering = cn.answering || used < len(in) || n > 0
			return used
		}
		if cn.deliver(ev) {
			cn.release(used < len(in))
			return len(in)
		}
	}
}

// deliver hands an event to the call and reports whether that ended it, in which
// case the connection is to be released. The call is detached before its owner is
// told, so that the owner may start it again at once.
func (cn *connection) deliver(ev *sdk.Event) (ended bool) {
	c := cn.call
	cn.answering = ev.Kind != sdk.EventInformational
	switch ev.Kind {
	case sdk.EventHeaders:
		if saysClose(ev.Msg) {
			cn.pool.lc.inc(CxCloseNotify)
		}
		cn.upgraded = ev.Msg.Upgrade
		cn.endIf(ev.End, c)
		c.ev.OnCallHeaders(c, ev.Msg, ev.End)
		return ev.End
	case sdk.EventInformational:
		c.ev.OnCallInformational(c, ev.Msg)
	case sdk.EventData:
		cn.endIf(ev.End, c)
		c.ev.OnCallData(c, ev.Data, ev.End)
		return ev.End
	case sdk.EventTrailers:
		cn.endIf(true, c)
		c.ev.OnCallTrailers(c, ev.Msg)
		return true
	case sdk.EventReset:
		cn.draining = true
		cn.detach(c)
		c.ev.OnCallFailed(c, resetError(ev.Reset))
		return true
	case sdk.EventWindow:
		c.ev.OnCallWritable(c)
	case sdk.EventGoAway:
		cn.draining = true
	}
	return false
}

// saysClose reports whether the host has said that it closes the connection. A body
// without length, which the end of the connection ends, says nothing.
func saysClose(m *sdk.Message) bool {
	return m.Close && (m.Protocol == sdk.HTTP10 || m.HasID(sdk.HeaderConnection) || m.HasID(sdk.HeaderProxyConnection))
}

func resetError(r sdk.ResetReason) *sdk.Error {
	if r == sdk.ResetRefused {
		return ErrRefused
	}
	return ErrRemoteReset
}

// endIf detaches the call when the response is complete. An exchange whose request
// is not complete then leaves a connection that cannot be used again.
func (cn *connection) endIf(end bool, c *Call) {
	if !end {
		return
	}
	if !c.requestDone {
		cn.draining, cn.halfSent = true, true
	}
	cn.detach(c)
}

// release puts the connection back to use after an exchange, or closes it when it is
// not fit for another one. surplus says that there are bytes after the response.
func (cn *connection) release(surplus bool) {
	if cn.state == connClosed {
		return
	}
	if surplus && !cn.upgraded {
		cn.pool.lc.inc(CxProtocolError)
	}
	if surplus || cn.draining || cn.upgraded || cn.conn.Closed() || !cn.codec.Reusable() {
		cn.finish(false)
		cn.pool.grow()
		return
	}
	cn.countBytes()
	cn.pool.serve(cn)
}

// unasked closes a connection on which the host sends without having been asked:
// what it sends now must never be taken for the answer to a later request.
func (cn *connection) unasked() {
	cn.pool.lc.inc(CxProtocolError)
	cn.finish(false)
}

// OnEOF implements eventloop.Handler.
func (cn *connection) OnEOF(*eventloop.Conn) {
	if cn.call == nil || cn.upgraded {
		cn.lose(true, ErrConnLost)
		return
	}
	local := cn.pool.lc.local
	ev := &local.event
	ev.Msg = &local.msg
	ev.Kind = sdk.EventNone
	if err := cn.codec.EOF(ev); err != nil || ev.Kind == sdk.EventNone {
		cn.lose(true, cn.lostError())
		return
	}
	cn.draining = true
	if cn.deliver(ev) {
		cn.closeRemote()
		return
	}
	cn.lose(true, ErrProtocol)
}

// closeRemote closes a connection without call that the host has closed.
func (cn *connection) closeRemote() {
	cn.finish(true)
	cn.pool.grow()
}

// OnClose implements eventloop.Handler. For a connection that we closed everything
// is done already.
func (cn *connection) OnClose(_ *eventloop.Conn, err error) {
	switch cn.state {
	case connClosed:
	case connConnecting:
		cn.connectFailed(err)
	case connIdle, connBusy:
		cn.lose(true, cn.lostError())
	}
}

// lostError says what became of the call when the connection is gone: an answer that
// was cut off is a protocol error to Envoy, no answer a lost connection.
func (cn *connection) lostError() *sdk.Error {
	switch {
	case cn.answering && !cn.upgraded:
		cn.pool.lc.inc(CxProtocolError)
		return ErrProtocol
	case cn.call != nil && cn.conn.BytesOut() == cn.call.outBase:
		return ErrConnLostUnsent
	}
	return ErrConnLost
}

// lose closes the connection and fails its call, if it has one.
func (cn *connection) lose(remote bool, err *sdk.Error) {
	c := cn.call
	cn.finish(remote)
	defer cn.pool.grow() // also for those who wait when the call's owner panics
	if c != nil {
		cn.detach(c)
		c.ev.OnCallFailed(c, err)
	}
}

// connectFailed ends an attempt to connect. All calls that wait fail with it, as in
// Envoy, so that their owners can try another host.
func (cn *connection) connectFailed(err error) {
	failure, remote := cn.countFailure(err)
	cn.finish(remote)
	defer cn.pool.grow() // also for those who wait when the owner of a call panics
	cn.pool.failPending(failure, transportFailure(err))
}

// OnTimer implements eventloop.TimerHandler.
func (cn *connection) OnTimer(t *eventloop.Timer) {
	if t == &cn.lifeTimer {
		cn.pool.lc.inc(CxMaxDurationReached)
		cn.draining = true
	} else if cn.state == connIdle {
		cn.pool.lc.inc(CxIdleTimeout)
	}
	if cn.state == connIdle {
		cn.finish(false)
	}
}

// finish closes the connection and takes it out of all accounts. remote says who
// began. A call must be detached after it, so that it is counted.
func (cn *connection) finish(remote bool) {
	if cn.state == connClosed {
		return
	}
	if cn.state == connIdle {
		cn.pool.unlink(cn)
	}
	if cn.upgraded {
		cn.conn.CloseFlush(lastWords)
	} else {
		cn.conn.Close()
	}
	cn.closed(remote, cn.call != nil || cn.halfSent)
}

// The rest implements carrier.

func (cn *connection) writeHeaders(c *Call, m *sdk.Message, end bool) error {
	if err := cn.codec.WriteHeaders(cn.conn.Out(), c.id, m, end); err != nil {
		return err
	}
	cn.oneWay = m.OneWay
	cn.written(c, end)
	return nil
}

// written notes what a call has written, and whether that was all.
func (cn *connection) written(c *Call, end bool) {
	cn.wrote()
	if c.requestDone = end; end && cn.oneWay {
		cn.conn.NotifyFlushed()
	}
}

func (cn *connection) writeData(c *Call, p []byte, end bool) int {
	n := cn.codec.WriteData(cn.conn.Out(), c.id, p, end)
	end = end && n == len(p)
	if end && cn.upgraded {
		cn.conn.CloseWrite()
	}
	cn.written(c, end)
	return n
}

func (cn *connection) writeTrailers(c *Call, m *sdk.Message) {
	cn.codec.WriteTrailers(cn.conn.Out(), c.id, m)
	cn.written(c, true)
}

func (cn *connection) aboveHigh(*Call) bool { return cn.conn.AboveHigh() }

func (cn *connection) readDisable(_ *Call, on bool) { cn.conn.ReadDisable(on) }

func (cn *connection) bytes(c *Call) (received, sent uint64) {
	return cn.conn.BytesIn() - c.inBase, cn.conn.BytesOut() - c.outBase
}

func (cn *connection) cancel(c *Call, reason sdk.ResetReason) {
	if cn.codec.WriteReset(cn.conn.Out(), c.id, reason) {
		cn.detach(c)
		cn.release(false)
		return
	}
	cn.finish(false)
	cn.detach(c)
	cn.pool.grow()
}
