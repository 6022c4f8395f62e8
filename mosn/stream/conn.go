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

	speech *speech // nil when the codec has nothing to say by itself

	timer     eventloop.Timer // idle, or the head of a request
	started   time.Duration
	idleSince time.Duration
	headSince time.Duration // a head has begun to arrive, 0 when none has
	deadline  time.Duration // of max_connection_duration, 0 for none
	retiredAt time.Duration // when Retire was called; 0: it was not
	retire    time.Duration // its over

	requests  uint32
	used      int  // bytes that the codec has used since a stream was last told of one
	decoding  bool // the codec is at it
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
	if c.Secure() {
		w.stats.Inc(cfg.Stats.CxSSLTotal)
		w.stats.AddGauge(cfg.Stats.CxSSLActive, 1)
	}
	if len(cfg.Codecs) == 1 {
		d.speak(cfg.Codecs[0])
	}
	return d
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
	if d.speech != nil && d.speech.clock != nil {
		d.speech.clock.Clock(d.w.now())
	}
	d.w.effort = sdk.TurnEffort
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
		if w.effort <= 0 && n < len(in) {
			d.c.Resume() // in the next turn
			return n, true
		}
		ev := &w.ev
		*ev = sdk.Event{Msg: &w.msg}
		d.decoding = true
		k, err := d.codec.Decode(in[n:], ev)
		d.decoding = false
		n += k
		d.used += k
		w.effort -= ev.Effort(k)
		if err != nil {
			if d.malformed(err, ev) {
				continue
			}
			break
		}
		if ev.Kind == sdk.EventNone {
			if d.shared != nil {
				d.used = 0 // of the connection, or of a frame that is not all here
			}
			if len(in) > 0 {
				d.partial(n < len(in))
			}
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
	used := uint64(d.used)
	d.used = 0
	if r := d.ties.of(ev.Stream); r != nil {
		r.fromClient(ev)
		return
	}
	switch ev.Kind {
	case sdk.EventHeaders:
		d.headSince = 0
		d.begin(ev.Stream, ev.Msg, ev.End, used)
	case sdk.EventData:
		s := d.stream(ev.Stream)
		if s != nil {
			s.info.DownstreamWire.Received += used
			s.requestData(ev.Data, ev.End)
		}
		if d.flow {
			d.arrived(s, ev.Stream, len(ev.Data))
		}
	case sdk.EventTrailers:
		if h2 := d.counted.http2; h2 != nil {
			d.w.stats.Inc(h2.Trailers)
		}
		if s := d.stream(ev.Stream); s != nil {
			s.info.DownstreamWire.Received += used
			s.requestTrailersArrived(ev.Msg)
		}
	case sdk.EventReset:
		if h2 := d.counted.http2; h2 != nil {
			d.w.stats.Inc(h2.RxReset)
		}
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

// begin starts the stream of a request whose head was decoded of that many bytes.
func (d *serverConn) begin(id uint64, m *sdk.Message, end bool, used uint64) {
	if d.stream(id) != nil {
		d.sharedMalformed(errDuplicate, nil)
		return
	}
	s := d.w.acquire()
	d.keep(id, s)
	if d.requests++; d.requests == d.cfg.MaxRequestsPerConnection {
		d.w.stats.Inc(d.cfg.Stats.CxMaxRequests)
	}
	s.info.DownstreamWire.Received = used
	s.begin(d, id, m, end)
	if d.shared != nil && d.last() && d.shared.away == 0 {
		if d.w.leaving() {
			d.w.stats.Inc(d.cfg.Stats.CxDrainClose)
		}
		d.drain()
	}
}

// malformed answers bytes that are not a valid request. It reports whether the
// connection can go on: where only one of its streams is broken.
func (d *serverConn) malformed(err error, ev *sdk.Event) (goOn bool) {
	w := d.w
	var ce *sdk.CodecError
	if !errors.As(err, &ce) {
		ce = &sdk.CodecError{Status: 400, Details: "http1.codec_error", Text: err.Error()}
	}
	if d.shared == nil || !ce.Stream {
		w.stats.Inc(d.cfg.Stats.CxProtocolError)
	}
	if h2 := d.counted.http2; h2 != nil {
		w.stats.Inc(h2.Fault(ce.Details))
	}
	if d.shared != nil {
		return d.sharedMalformed(ce, ev)
	}
	if s := d.cur; s != nil {
		s.requestBroken(ce)
		return false
	}
	d.refuseHead(ce)
	return false
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

// clientIP returns the peer's address without the port, made once a connection.
func (d *serverConn) clientIP() string {
	if d.ip == "" {
		if a := d.c.RemoteAddr(); a.Addr().IsValid() {
			d.ip = a.Addr().Unmap().String()
		}
	}
	return d.ip
}
