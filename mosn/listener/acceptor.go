package listener

import (
	"context"
	"errors"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/shared"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// acceptor is one listener's share of one loop. It and everything in it belong to
// the loop's goroutine.
type acceptor struct {
	worker  *stream.Worker
	drain   *Drain
	current *generation // what connections accepted from now on get
	sockets []*eventloop.Listener
}

// generation is a Config in use on one loop. It lives until it was replaced and
// its last connection has ended.
type generation struct {
	cfg      *Config
	conns    int
	list     *tracked // the connections
	replaced bool
	timer    eventloop.Timer // until those that are left are closed
}

// OnAccept implements eventloop.Acceptor.
func (a *acceptor) OnAccept(_ *eventloop.Listener, c *eventloop.Conn) eventloop.Handler {
	g := a.current
	b, st, loop := g.cfg.block, a.worker.Stats(), a.worker.Loop()
	if !g.cfg.limit.TryAcquireBelow(int64(g.cfg.runtime.Uint(g.cfg.limitKey, shared.Unlimited))) {
		st.Inc(b.Counter(counterOverflow))
		return nil
	}
	st.Inc(b.Counter(counterTotal))
	st.Inc(b.Counter(counterWorkers + loop.Index()))
	st.AddGauge(b.Gauge(gaugeActive), 1)
	st.AddGauge(b.Gauge(gaugeWorkers+loop.Index()), 1)
	g.conns++
	t := &tracked{a: a, g: g, conn: c, start: loop.Now()}
	t.link()
	if g.cfg.logs != nil {
		c.LocalAddr() // the Conn remembers it; once closed it could not find out
	}
	if g.cfg.buffer > 0 {
		c.SetWatermarks(g.cfg.buffer, g.cfg.buffer/2)
	}
	if chain := g.cfg.chain; chain.tls != nil {
		c.SetTransport(chain.tls.New(st), chain.timeout)
	}
	t.Handler = g.cfg.chain.NewConn(a.worker, c)
	if t.Handler == nil {
		t.Handler = eventloop.NopHandler{}
		c.Close()
	}
	return t
}

// replace makes cfg (nil: none) what new connections get.
func (a *acceptor) replace(cfg *Config) {
	if old := a.current; old != nil {
		old.replaced = true
		old.retire(a)
		old.maybeEnd(a.worker.Loop())
	}
	a.current = nil
	if cfg != nil {
		a.current = &generation{cfg: cfg}
	}
}

// serve accepts on sockets; what was served before is closed.
func (a *acceptor) serve(sockets []*eventloop.Socket) error {
	a.closeSockets()
	for _, s := range sockets {
		ln, err := a.worker.Loop().Serve(s, a)
		if err != nil {
			return err
		}
		a.sockets = append(a.sockets, ln)
	}
	return nil
}

func (a *acceptor) closeSockets() {
	for _, ln := range a.sockets {
		ln.Close()
	}
	a.sockets = nil
}

// retire asks the connections to end, and sees to it that they do.
func (g *generation) retire(a *acceptor) {
	if g.conns == 0 {
		return
	}
	for t := g.list; t != nil; t = t.next {
		if r, ok := t.Handler.(stream.Retirer); ok {
			r.Retire(a.drain.gradual())
		}
	}
	g.timer.Init(a.worker.Loop(), g)
	g.timer.Arm(a.drain.Time)
}

// OnTimer closes the connections that are left at the end of the drain time.
func (g *generation) OnTimer(*eventloop.Timer) {
	for t := g.list; t != nil; {
		next := t.next
		t.conn.Close()
		t = next
	}
}

// maybeEnd closes the chain when this was the last use on the last loop.
func (g *generation) maybeEnd(l *eventloop.Loop) {
	if !g.replaced || g.conns > 0 || g.cfg.live.Add(-1) > 0 {
		return
	}
	g.timer.Stop()
	chain := g.cfg.chain
	closing := eventloop.JobFunc(
		func(context.Context) error { chain.Close(); return nil },
		func(*eventloop.Loop, error) {},
	)
	if !l.Async(closing) {
		chain.Close() // the queue is full: better here than never
	}
}

// tracked is the handler of an accepted connection: the chain's own, and what the
// listener has to do when the connection ends.
type tracked struct {
	eventloop.Handler
	a          *acceptor
	g          *generation
	conn       *eventloop.Conn
	start      time.Duration
	prev, next *tracked
}

func (t *tracked) link() {
	if t.next = t.g.list; t.next != nil {
		t.next.prev = t
	}
	t.g.list = t
}

func (t *tracked) unlink() {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		t.g.list = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.prev, t.next = nil, nil
}

// OnClose implements eventloop.Handler.
func (t *tracked) OnClose(c *eventloop.Conn, err error) {
	defer t.closed(c, err) // whatever a filter does when it is told
	t.Handler.OnClose(c, err)
}

// closed takes the connection out of the listener's accounts.
func (t *tracked) closed(c *eventloop.Conn, err error) {
	failure, timeout := transportFailure(err)
	b, st, loop := t.g.cfg.block, t.a.worker.Stats(), t.a.worker.Loop()
	st.Inc(b.Counter(counterDestroy))
	st.AddGauge(b.Gauge(gaugeActive), -1)
	st.AddGauge(b.Gauge(gaugeWorkers+loop.Index()), -1)
	st.Observe(b.Histogram(histogramLength), uint64((loop.Now()-t.start)/time.Millisecond))
	t.g.cfg.limit.Release()
	if timeout {
		st.Inc(b.Counter(counterHandshakeTimeout))
	}
	if t.g.cfg.logs != nil {
		t.log(c, failure)
	}
	t.unlink()
	t.g.conns--
	t.g.maybeEnd(loop)
}

// transportFailure is what a transport says of the connection's end, and whether its
// handshake has taken too long.
func transportFailure(err error) (text string, timeout bool) {
	e, ok := errors.AsType[*eventloop.Error](err)
	switch {
	case !ok:
		return "", false
	case e.Kind == eventloop.KindTimeout && e.Op == "handshake":
		return "", true
	case e.Cause != nil:
		return e.Cause.Error(), false
	}
	return "", false
}

// log writes the connection to the listener's own access log.
func (t *tracked) log(c *eventloop.Conn, failure string) {
	loop := t.a.worker.Loop()
	lived := loop.Now() - t.start
	remote := c.RemoteAddr().AddrPort
	local := c.LocalAddr()
	info := &sdk.StreamInfo{
		StartTime: loop.Wall().Add(-lived), Start: int64(t.start), End: int64(loop.Now()),
		ConnectionID: c.ID(), BytesReceived: c.BytesIn(), BytesSent: c.BytesOut(),
		DownstreamRemote: remote, DownstreamDirectRemote: remote,
		DownstreamLocal: local.AddrPort, DownstreamLocalPath: local.Path,
		DownstreamTLS: c.TLS(), DownstreamFailure: failure,
	}
	var none sdk.Headers
	t.g.cfg.logs.Log(loop.Index(), info, &none, &none, &none)
}
