package stream

import (
	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/idtable"
	"sofamesh.io/sofamesh/sdk"
)

// ties is what a downstream connection has from its first request on to a cluster with
// connections of its own for each downstream connection: those, and the requests that
// their hosts make to the client. It owns them as cluster.PairOwner.
//
// Neither direction is buffered without bound: while too much waits for the client its
// hosts are not read, and the other way round. There is nobody else whom that stops.
type ties struct {
	d        *serverConn
	pair     *cluster.Pair
	reverses idtable.Table[reverse] // by the id of the stream on the client's connection
	each     []*reverse             // scratch
	toClient int                    // bytes of requests that wait for the client's codec
	toHosts  int                    // bytes of answers that wait for the hosts' codecs
	deaf     bool                   // the client is not read
	lost     bool                   // a host has forgotten the client
}

// choose returns a host for an attempt, nil when there is none: the one that knows the
// client, or the balancer's choice.
func (u *upstream) choose() *cluster.Host {
	if t := u.s.conn.ties; t != nil && u.cluster.Paired() {
		if h := t.pair.Host(u.cluster, &u.s.req); h != nil {
			return h
		}
	}
	return u.cluster.Choose(&u.lb)
}

// start begins an attempt, over connections of the client's own if the cluster says so.
func (u *upstream) start() {
	if !u.cluster.Paired() {
		u.cluster.Start(&u.call, u.host, &u.s.req, u, u.priority)
		return
	}
	d := u.s.conn
	if d.ties == nil {
		t := &ties{d: d}
		t.pair = cluster.NewPair(d.w.loop, t)
		d.ties = t
	}
	u.cluster.StartPaired(d.ties.pair, &u.call, u.host, &u.s.req, u, u.priority)
}

// NewHostCall implements cluster.PairOwner.
func (t *ties) NewHostCall() *cluster.HostCall {
	_, able := t.d.codec.(sdk.Reverser)
	if !able || t.lost || t.d.closing || t.d.c.Closed() {
		return nil
	}
	return &t.d.w.newReverse(t).host
}

// Full implements cluster.PairOwner.
func (t *ties) Full() bool { return t.d.c.AboveHigh() || t.toClient > t.d.bufferLimit() }

// OnTieLost implements cluster.PairOwner. The client must notice that a host has
// forgotten it, as it would without us: it gets the answers that are under way, and
// then the end of its connection.
func (t *ties) OnTieLost() {
	d := t.d
	d.w.enter()
	defer d.w.leave()
	if t.lost || d.closing {
		return
	}
	t.lost = true
	if d.shared == nil {
		d.drain()
		return
	}
	d.lastOne = true
	d.goAway()
	d.headSince = 0 // of a head whose rest is not read
	t.readClient(false)
	t.end()
	defer d.sharedReleased() // also when a filter panics
	d.endStreams(func(s *Stream) {
		if !s.requestEnded {
			s.info.Details = "upstream_tie_lost"
			s.end(sdk.FlagUpstreamConnectionTerminat)
		}
	})
}

// of returns the host's request that an event of the client's connection is for.
func (t *ties) of(stream uint64) *reverse {
	if t == nil {
		return nil
	}
	return t.reverses.Get(stream)
}

// isLost reports whether a host has forgotten the client, so that nothing but answers
// under way keeps its connection.
func (t *ties) isLost() bool { return t != nil && t.lost }

// count returns the number of hosts' requests under way.
func (t *ties) count() int {
	if t == nil {
		return 0
	}
	return t.reverses.Len()
}

// eachReverse calls f for every request of a host; f may end it, and others.
func (t *ties) eachReverse(f func(*reverse)) {
	list := t.reverses.Append(t.each)
	t.each = nil
	for _, r := range list {
		if t.reverses.Get(r.id) == r {
			f(r)
		}
	}
	clear(list)
	t.each = list[:0]
}

// writable: the client's connection takes more.
func (t *ties) writable() {
	if t == nil {
		return
	}
	t.eachReverse((*reverse).flushRequest)
	t.readHosts()
}

// readHosts has hosts read again unless too much waits for the client.
func (t *ties) readHosts() {
	if !t.Full() {
		t.pair.Resume()
	}
}

// readClient stops the reading of the client, or lets it go on if enough has gone to
// the hosts.
func (t *ties) readClient(on bool) {
	if on == !t.deaf || on && (t.lost || t.toHosts > t.d.bufferLimit()) {
		return
	}
	t.deaf = !on
	t.d.readDisable(!on)
}

// released goes on after the end of a host's request.
func (t *ties) released() {
	t.d.idleSince = t.d.w.now()
	t.readHosts()
	t.readClient(true)
	t.d.sharedReleased()
}

// end gives up all requests of hosts.
func (t *ties) end() {
	t.eachReverse(func(r *reverse) { r.giveUp(sdk.ResetConnLost) })
}

// close ends the connections: the client has gone, and its streams have ended.
func (t *ties) close() {
	if t != nil {
		t.end()
		t.pair.Close()
	}
}
