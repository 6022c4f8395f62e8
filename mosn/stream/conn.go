package stream

import (
	"errors"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// serverConn is a downstream connection: it feeds the codec and keeps the streams
// of the connection. A Serial codec has at most one, cur; a Multiplexed one has a
// table of them (multiplex.go).
type serverConn struct {
	w       *Worker
	cfg     *Config
	c       *eventloop.Conn
	codec   sdk.CodecConn // nil until the first bytes have told the protocol
	rpc     bool          // of the codec
	flow    bool          // the codec has flow control
	counted byProtocol
	cur     *Stream
	shared  *sharedConn     // nil for a Serial codec
	ties    *ties           // nil until a cluster has connections for this one alone
	state   map[string]*any // of filters; nil until one keeps something

	clocked    sdk.Clocked // nil when the codec does not care for time
	talker     sdk.Talker  // nil when the codec has nothing to say by itself
	queued     bool        // it is in the worker's list of talkers
	nextTalker *serverConn // there

	timer     eventloop.Timer // idle, or the head of a request
	started   time.Duration
	idleSince time.Duration
	headSince time.Duration // a head has begun to arrive, 0 when none has
	deadline  time.Duration // of max_connection_duration, 0 for none

	requests  uint32
	stalled   bool // input was left because cur is not finished
	closing   bool // no further request is read
	lastOne   bool // the response under way is the connection's last
	remoteEnd bool // the peer ended it
	ip        string

	prev, next *serverConn
}

// NewConn implements ConnFactory.
func (cfg *Config) NewConn(w *Worker, c *eventloop.Conn) eventloop.Handler {
	d := &serverConn{w: w, cfg: cfg, c: c, started: w.now(), idleSince: w.now()}
	d.timer.Init(w.loop, d)
	if cfg.MaxConnectionDuration > 0 {
		d.deadline = w.now() + cfg.MaxConnectionDuration
	}
	d.armTimer()
	w.conns.add(d)
	w.stats.Inc(cfg.Stats.CxTotal)
	w.stats.AddGauge(cfg.Stats.CxActive, 1)
	if len(cfg.Codecs) == 1 {
		d.speak(cfg.Codecs[0])
	}
	return d
}

// speak settles which protocol the connection speaks.
func (d *serverConn) speak(cc sdk.CodecConfig) { d.speakBy(cc, cc.New()) }

func (d *serverConn) speakBy(cc sdk.CodecConfig, conn sdk.CodecConn) {
	if d.codec != nil {
		d.w.stats.AddGauge(d.counted.cxActive, -1)
	}
	codec := cc.Codec()
	d.codec, d.rpc, d.flow = conn, codec.RPC, codec.FlowControl
	d.talker, _ = d.codec.(sdk.Talker)
	d.clocked, _ = d.codec.(sdk.Clocked)
	if codec.Mode == sdk.Multiplexed {
		d.share()
	}
	if n := cc.ReadLimit(); n > eventloop.DefaultReadLimit {
		d.c.SetReadLimit(n)
	}
	st := d.cfg.Stats
	switch {
	case d.rpc:
		d.counted = byProtocol{st.CxRPCTotal, st.RqRPCTotal, st.CxRPCActive}
	case d.shared != nil:
		d.counted = byProtocol{st.CxHTTP2Total, st.RqHTTP2Total, st.CxHTTP2Active}
	default:
		d.counted = byProtocol{st.CxHTTP1Total, st.RqHTTP1Total, st.CxHTTP1Active}
	}
	d.w.stats.Inc(d.counted.cxTotal)
	d.w.stats.AddGauge(d.counted.cxActive, 1)
}

// byProtocol are the stats of one protocol.
type byProtocol struct {
	cxTotal, rqTotal sdk.Counter
	cxActive         sdk.Gauge
}

// detect finds out from the first bytes which protocol the connection speaks, and
// reports whether it is known. What is nobody's goes to the first codec, as with
// Envoy's http_inspector, and most likely is refused by it.
func (d *serverConn) detect(in []byte) bool {
	if d.codec == nil && len(in) > 0 {
		cc, verdict := sdk.Detect(d.cfg.Codecs[1:], in)
		switch verdict {
		case sdk.Matched:
			d.speak(cc)
		case sdk.NoMatch:
			d.speak(d.cfg.Codecs[0])
		}
	}
	return d.codec != nil
}

// OnConnect is not called for accepted connections.
func (d *serverConn) OnConnect(*eventloop.Conn) {}

// OnData decodes what has arrived and hands the events to the streams.
func (d *serverConn) OnData(_ *eventloop.Conn, in []byte) (n int) {
	d.w.enter()
	defer d.w.leave()
	if !d.detect(in) {
		d.partial(len(in) > 0)
		return 0
	}
	if d.clocked != nil {
		d.clocked.Clock(d.w.now())
	}
	for done := false; !done; {
		var k int
		k, done = d.decode(in[n:])
		n += k
	}
	d.wrote()
	d.drained()
	return n
}

// decode hands on the events that there are in the input, and returns how much of that
// is used. It is done when no more can be had from it now; not when it was interrupted
// by the panic of one of several streams.
func (d *serverConn) decode(in []byte) (n int, done bool) {
	w := d.w
	if d.shared != nil {
		defer d.interrupted()
	}
	for !d.closing {
		if d.cur != nil && d.cur.requestEnded {
			d.stalled = len(in) > n
			return n, true
		}
		if n == len(in) && d.shared == nil {
			return n, true
		}
		if d.cur == nil && len(in) > 0 && (d.c.AboveHigh() || d.full()) {
			d.stalled = true // the client has yet to read what it asked for before
			return n, true
		}
		ev := &w.ev
		*ev = sdk.Event{Msg: &w.msg}
		k, err := d.codec.Decode(in[n:], ev)
		n += k
		if err != nil {
			if d.malformed(err, ev) {
				continue
			}
			break
		}
		if ev.Kind == sdk.EventNone {
			d.partial(n < len(in))
			return n, true
		}
		d.event(ev)
	}
	return len(in), true
}

func (d *serverConn) event(ev *sdk.Event) {
	if d.shared != nil {
		d.shared.at = ev.Stream
	}
	if r := d.ties.of(ev.Stream); r != nil {
		r.fromClient(ev)
		return
	}
	switch ev.Kind {
	case sdk.EventHeaders:
		d.headSince = 0
		d.begin(ev.Stream, ev.Msg, ev.End)
	case sdk.EventData:
		s := d.stream(ev.Stream)
		if s != nil {
			s.requestData(ev.Data, ev.End)
		}
		if d.flow {
			d.arrived(s, ev.Stream, len(ev.Data))
		}
	case sdk.EventTrailers:
		if s := d.stream(ev.Stream); s != nil {
			s.requestTrailersArrived(ev.Msg)
		}
	case sdk.EventReset:
		if s := d.stream(ev.Stream); s != nil {
			s.downstreamGone(sdk.FlagDownstreamRemoteReset)
		}
	case sdk.EventWindow:
		if ev.Stream == 0 {
			d.eachStream((*Stream).downstreamWritable)
			d.ties.writable()
		} else if s := d.stream(ev.Stream); s != nil {
			s.downstreamWritable()
		}
	case sdk.EventGoAway:
		d.drain()
	}
}

// begin starts the stream of a request whose head was decoded.
func (d *serverConn) begin(id uint64, m *sdk.Message, end bool) {
	if d.stream(id) != nil {
		d.sharedMalformed(errDuplicate, nil)
		return
	}
	s := d.w.acquire()
	d.keep(id, s)
	d.requests++
	s.begin(d, id, m, end)
	if d.shared != nil && d.last() && !d.lastOne {
		d.drain()
	}
}

// partial notes whether the head of a request has begun to arrive, for the timeouts
// that run from there.
func (d *serverConn) partial(some bool) {
	if !some && d.shared != nil {
		d.headSince = 0 // what had begun was no request
	}
	if !some || d.active() || d.headSince != 0 {
		return
	}
	d.headSince = max(d.w.now(), 1)
	if d.headLimit() > 0 {
		d.armTimer()
	}
}

// headLimit is how long a head may take to arrive, 0 for ever. For Envoy it is a stream
// from its first byte, so the stream's timeouts count too.
func (d *serverConn) headLimit() time.Duration {
	limit := d.cfg.RequestHeadersTimeout
	for _, t := range [...]time.Duration{d.cfg.StreamIdleTimeout, d.cfg.RequestTimeout} {
		if t > 0 && (limit == 0 || t < limit) {
			limit = t
		}
	}
	return limit
}

// headTimedOut answers a head that did not arrive in time.
func (d *serverConn) headTimedOut() {
	w, st, err := d.w, &d.cfg.Stats, errHeaderTimeout
	switch d.headLimit() {
	case d.cfg.RequestHeadersTimeout:
		w.stats.Inc(st.RqHeaderTimeout)
	case d.cfg.RequestTimeout:
		w.stats.Inc(st.RqTimeout)
		err = errRequestTimeout
	default:
		w.stats.Inc(st.RqIdleTimeout)
		err = errHeadIdle
	}
	if d.codec == nil {
		d.speak(d.cfg.Codecs[0])
	}
	if d.shared != nil { // there is no stream yet that could be answered
		d.sharedMalformed(err, nil)
		return
	}
	s := w.acquire()
	d.keep(0, s)
	w.msg.Reset()
	s.refuse(d, 0, &w.msg, err)
}

// malformed answers bytes that are not a valid request. It reports whether the
// connection can go on: where only one of its streams is broken.
func (d *serverConn) malformed(err error, ev *sdk.Event) (goOn bool) {
	w := d.w
	var ce *sdk.CodecError
	if !errors.As(err, &ce) {
		ce = &sdk.CodecError{Status: 400, Details: "http1.codec_error", Text: err.Error()}
	}
	w.stats.Inc(d.cfg.Stats.CxProtocolError)
	if d.shared != nil {
		return d.sharedMalformed(ce, ev)
	}
	if s := d.cur; s != nil {
		s.requestBroken(ce)
		return false
	}
	s := w.acquire()
	d.cur = s
	w.msg.Reset()
	s.refuse(d, 0, &w.msg, ce)
	return false
}

// OnEOF: a client that closes its side has gone, as Envoy sees it.
func (d *serverConn) OnEOF(*eventloop.Conn) {
	d.w.enter()
	defer d.w.leave()
	d.remoteGone()
	d.c.Close()
}

// remoteGone ends what the client that has left was asking for.
func (d *serverConn) remoteGone() {
	d.remoteEnd = true
	d.w.stats.Inc(d.cfg.Stats.CxDestroyRemote)
	if d.active() {
		d.w.stats.Inc(d.cfg.Stats.CxDestroyRemoteActiveRq)
		d.endStreams(clientLeft)
	} else if d.headSince != 0 && !d.closing {
		d.abandonedHead()
	}
}

func clientLeft(s *Stream) { s.downstreamGone(sdk.FlagDownstreamConnectionTermin) }

// abandonedHead logs a request whose head did not arrive. A shared connection has none
// before that.
func (d *serverConn) abandonedHead() {
	if d.shared != nil {
		return
	}
	s := d.w.acquire()
	d.w.msg.Reset()
	d.w.msg.Protocol = sdk.HTTP11
	s.attach(d, 0, &d.w.msg)
	d.w.stats.Inc(d.cfg.Stats.RqTotal)
	s.downstreamGone(sdk.FlagDownstreamConnectionTermin)
}

// OnDrained lets the response flow again.
func (d *serverConn) OnDrained(*eventloop.Conn) {
	d.w.enter()
	defer d.w.leave()
	serial := d.cur != nil
	d.eachStream((*Stream).downstreamWritable)
	d.ties.writable()
	d.wrote()
	if !serial && d.stalled {
		d.stalled = false
		d.c.Resume()
	}
}

// OnClose is the end of the connection.
func (d *serverConn) OnClose(_ *eventloop.Conn, err error) {
	w := d.w
	w.enter()
	defer w.leave()
	defer d.account() // whatever a filter does when it is told
	defer d.ties.close()
	d.timer.Stop()
	ours := err == nil || d.closing && eventloop.KindOf(err) == eventloop.KindTimeout
	switch {
	case d.remoteEnd:
	case !ours:
		d.remoteGone()
	default:
		w.stats.Inc(d.cfg.Stats.CxDestroyLocal)
		d.endStreams(clientLeft)
	}
}

// account takes the connection, which has ended, out of all accounts.
func (d *serverConn) account() {
	w, st := d.w, &d.cfg.Stats
	d.closing = true
	w.conns.remove(d)
	w.stats.Inc(st.CxDestroy)
	w.stats.AddGauge(st.CxActive, -1)
	if d.codec != nil {
		w.stats.AddGauge(d.counted.cxActive, -1)
	}
	w.stats.Add(st.CxRxBytes, d.c.BytesIn())
	w.stats.Add(st.CxTxBytes, d.c.BytesOut())
	w.stats.Observe(st.CxLength, uint64((w.now()-d.started)/time.Millisecond))
}

// released is called by the stream when it has ended. reuse says that a further
// request may follow on the connection.
func (d *serverConn) released(reuse bool) {
	d.idleSince = d.w.now()
	if d.shared != nil {
		d.sharedReleased()
		return
	}
	d.cur = nil
	if d.c.Closed() {
		return
	}
	if !reuse || d.closing || d.lastOne || !d.codec.Reusable() {
		d.closing = true
		d.timer.Stop()
		if t := d.cfg.DelayedCloseTimeout; t > 0 {
			d.c.CloseDelayed(t)
		} else {
			d.c.CloseFlush(0) // nobody would end the wait for the client
		}
		return
	}
	if d.stalled {
		d.stalled = false
		d.c.Resume()
	}
}

// drain ends the connection now if it is idle, else after its response. A client that
// can be told to open no further streams may have opened some before it heard of it; it
// has drain_timeout to hear.
func (d *serverConn) drain() {
	again := d.lastOne
	d.lastOne = true
	d.goAway()
	d.drained()
	if d.shared != nil && !d.closing && !again && d.cfg.DrainTimeout > 0 {
		d.deadline = d.w.now() + d.cfg.DrainTimeout
		d.armTimer()
	}
}

// drained ends the connection if it is draining and there is nothing to wait for.
func (d *serverConn) drained() {
	if !d.lastOne || d.closing || d.active() || d.headSince != 0 || d.c.Closed() {
		return
	}
	if d.shared != nil && d.codec.Reusable() {
		return // the client may yet open a stream
	}
	d.closing = true
	d.timer.Stop()
	d.finish()
}

// last reports whether the response under way must say that it is the last.
func (d *serverConn) last() bool {
	limit := d.cfg.MaxRequestsPerConnection
	return d.lastOne || d.w.draining || limit > 0 && d.requests >= limit
}

// armTimer sets the one timer to what comes first. While a stream is active the
// idle timeout does not run; the timer stays and looks again when it fires, so that
// a request costs no timer operation.
func (d *serverConn) armTimer() {
	at := time.Duration(0)
	earlier := func(t time.Duration) {
		if at == 0 || t < at {
			at = t
		}
	}
	if d.cfg.IdleTimeout > 0 {
		since := d.idleSince
		if d.active() || d.headSince != 0 {
			since = d.w.now()
		}
		earlier(since + d.cfg.IdleTimeout)
	}
	if limit := d.headLimit(); d.headSince != 0 && limit > 0 {
		earlier(d.headSince + limit)
	}
	if d.deadline != 0 {
		earlier(d.deadline)
	}
	if at == 0 {
		d.timer.Stop()
		return
	}
	d.timer.Arm(at - d.w.now())
}

// OnTimer implements eventloop.TimerHandler.
func (d *serverConn) OnTimer(*eventloop.Timer) {
	w := d.w
	w.enter()
	defer w.leave()
	if d.closing {
		return
	}
	now, limit := w.now(), d.headLimit()
	switch {
	case d.headSince != 0 && limit > 0 && now >= d.headSince+limit:
		d.headTimedOut()
		return
	case d.deadline != 0 && now >= d.deadline:
		if !d.lastOne {
			w.stats.Inc(d.cfg.Stats.CxMaxDuration)
		}
		d.deadline = 0
		d.drain()
	case !d.active() && d.headSince == 0 && d.cfg.IdleTimeout > 0 && now >= d.idleSince+d.cfg.IdleTimeout:
		w.stats.Inc(d.cfg.Stats.CxIdleTimeout)
		d.closing = true
		d.finish()
	}
	if !d.closing {
		d.armTimer()
	}
}

// clientIP returns the peer's address without the port, made once a connection.
func (d *serverConn) clientIP() string {
	if d.ip == "" {
		if a := d.c.RemoteAddr(); a.Addr().IsValid() {
			d.ip = a.Addr().Unmap().String()
		}
	}
	return d.ip
}
