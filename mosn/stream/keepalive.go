package stream

import (
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// Keepalive is connection_keepalive of HTTP/2: a client of which nothing has come for
// Interval, and a random part of Jitter, is sent a PING; without a byte within Timeout its
// connection is closed. (Envoy sends one each interval, whatever has come.) Interval 0 is
// none.
type Keepalive struct{ Interval, Jitter, Timeout time.Duration }

// pulse is what a connection knows of its client's life.
type pulse struct {
	beats sdk.Heartbeater
	at    time.Duration // when to look again, 0 for never
	heard uint64        // BytesIn when that was set
	asked bool          // the client, and it has not answered
}

// keepAlive begins to look after the client's life, if that is configured.
func (d *serverConn) keepAlive() {
	if d.cfg.Keepalive.Interval > 0 && d.codec != nil && !d.rpc {
		d.shared.pulse.beats, _ = d.codec.(sdk.Heartbeater)
		d.nextBeat()
	}
}

func (d *serverConn) nextBeat() {
	k, p := &d.cfg.Keepalive, &d.shared.pulse
	if p.beats == nil {
		return
	}
	p.at, p.heard, p.asked = d.w.now()+k.Interval, d.c.BytesIn(), false
	if k.Jitter > 0 {
		p.at += time.Duration(d.w.rand.Uint64() % uint64(k.Jitter))
	}
	d.armTimer()
}

// beat asks the client, or closes its connection, when it is time. What has come
// meanwhile is as good as an answer; while we do not read, nothing can be said.
func (d *serverConn) beat(now time.Duration) {
	if d.shared == nil || d.shared.pulse.at == 0 || now < d.shared.pulse.at {
		return
	}
	switch p := &d.shared.pulse; {
	case d.c.BytesIn() != p.heard || d.c.ReadDisabled():
		d.nextBeat()
	case p.asked:
		d.closing = true
		d.c.Close()
	default:
		p.asked, p.at = true, now+d.cfg.Keepalive.Timeout
		p.beats.WriteHeartbeat(d.c.Out())
		d.wrote()
	}
}
