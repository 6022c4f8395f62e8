package cluster

import "sofamesh.io/sofamesh/sdk"

// With auto_config it is left to TLS (ALPN) whether a host is spoken to in HTTP/2 or
// HTTP/1. The two have pools of different kinds, and a call goes into one before there is
// a connection: until the host has chosen otherwise it is taken for HTTP/2. Then the calls
// that wait move, at the price of one connection.

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

// disagreed reports whether the host has chosen another version of HTTP than that of the
// pool, and remembers it.
func (ln *link) disagreed() bool {
	p := ln.pool
	cfg := p.lc.cfg
	if cfg.auto == nil || p.way.codec.Codec().RPC {
		return false
	}
	t := ln.conn.TLS()
	http1 := t == nil || t.ALPN != "h2"
	p.host.http1.Store(http1)
	return http1 != (p.way.codec == cfg.auto)
}

// move has the calls that wait here wait for connections of the host's own choice.
func (p *pool) move() {
	lc := p.lc
	by := way{codec: lc.cfg.http2}
	if p.host.http1.Load() {
		by.codec = lc.cfg.auto
	}
	until := p.order
	for p.first != nil && p.first.order <= until {
		c := p.first
		p.unqueue(c)
		to := lc.poolOf(p.host, p.prio, by)
		if p.pair != nil {
			to = p.pair.poolOf(lc, p.host, p.prio, by)
		}
		c.state, c.pool = callIdle, to
		to.start(c)
	}
}
