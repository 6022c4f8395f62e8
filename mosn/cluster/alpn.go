package cluster

import "sofamesh.io/sofamesh/sdk"

// With auto_config it is left to TLS (ALPN) whether a host is spoken to in HTTP/2 or
// HTTP/1. The two have pools of different kinds, and a call goes into one before there is
// a connection: until the host has chosen otherwise it is taken for HTTP/2. Then the calls
// that wait move, with the connection.

// protocols are those that TLS offers where its own configuration names none: as in
// Envoy, none unless the choice is left to it.
func (c *Config) protocols() []string {
	if c.auto == nil {
		return nil
	}
	return []string{"h2", "http/1.1"}
}

// wayTo is wayOf for a host whose choice may be known.
func (c *Config) wayTo(h *Host, m *sdk.Message) way {
	w := c.wayOf(m)
	if c.auto != nil && w.codec == c.http2 && h.http1.Load() {
		w.codec = c.auto
	}
	return w
}

// chosen finds out which version of HTTP the host has chosen for a connection that
// stands now, and remembers it. It returns the pool for that one, nil if it is that of
// the connection.
func (ln *link) chosen() *pool {
	p := ln.pool
	cfg := p.lc.cfg
	if cfg.auto == nil || p.way.codec.Codec().RPC {
		return nil
	}
	t := ln.conn.TLS()
	http1 := t == nil || t.ALPN != "h2"
	p.host.http1.Store(http1)
	if to := p.other(http1); to != p {
		return to
	}
	ln.countProtocol()
	return nil
}

// handOver gives a connection that nobody uses yet to another pool, and those who wait
// for it with it.
func (ln *link) handOver(to *pool) {
	p := ln.pool
	conn, started := ln.conn, ln.started
	p.conns--
	p.connecting--
	ln.state = connClosed
	to.conns++
	to.connecting++
	if to.mux == nil {
		cn := &connection{}
		cn.join(to, cn)
		cn.conn, cn.started = conn, started
		conn.SetHandler(cn)
		p.move(to)
		cn.stand()
		return
	}
	cn := &muxConn{}
	cn.join(to, cn)
	cn.conn, cn.started = conn, started
	cn.prepare()
	conn.SetHandler(cn)
	to.mux.open = append(to.mux.open, cn)
	p.move(to)
	cn.stand()
}

// other returns the pool beside p for a version of HTTP, which may be p.
func (p *pool) other(http1 bool) *pool {
	by := way{codec: p.lc.cfg.http2}
	if http1 {
		by.codec = p.lc.cfg.auto
	}
	switch {
	case by == p.way:
		return p
	case p.pair != nil:
		return p.pair.poolOf(p.lc, p.host, p.prio, by)
	}
	return p.lc.poolOf(p.host, p.prio, by)
}

// move has the calls that wait here wait there.
func (p *pool) move(to *pool) {
	until := p.order
	for p.first != nil && p.first.order <= until {
		c := p.first
		p.unqueue(c)
		c.state, c.pool = callIdle, to
		to.start(c)
	}
}
