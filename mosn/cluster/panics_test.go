package cluster

import (
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// What an owner does when it is told is its own affair: a panic there must not keep
// from the other calls of the connection, or of the pool, what is theirs.

func panics(*probe, string) { panic("mine") }

// logged forgets the panics that were logged, of which there must be n.
func (w *world) logged(t *testing.T, n int) {
	t.Helper()
	if len(w.Logs) != n {
		t.Errorf("logged %d times: %q", len(w.Logs), w.Logs)
	}
	w.Logs = nil
}

// TestOwnersPanic: the calls that share the connection go on.
func TestOwnersPanic(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	bad, good := ask(lc, "a"), ask(lc, "b")
	bad.on = panics
	w.Settle()
	peer := w.dialled(1)
	say(peer, 'h', 1, "")
	say(peer, 'h', 2, "")
	w.Settle()
	good.expect(t, "head 200 end")
	bad.expect(t, "head 200 end")
	if peer.Ended() {
		t.Error("the connection has ended")
	}
	w.logged(t, 1)
	w.stats("upstream_cx_active", 1, "upstream_rq_active", 0)
}

// TestPanicKeepsNoWindow: what the owner was told of counts as consumed.
func TestPanicKeepsNoWindow(t *testing.T) {
	w, lc := mux(t, frameCodec{flow: true}, "")
	p := ask(lc, "a")
	w.Settle()
	peer := w.dialled(1)
	say(peer, 'H', 1, "")
	w.Settle()
	frames(peer)
	p.on = panics
	say(peer, 'd', 1, "xx")
	w.Settle()
	if got := frames(peer); got != "C1:2" {
		t.Errorf("sent %q", got)
	}
	w.logged(t, 1)
}

// TestPanicKeepsNoPlace: the call that waits for a stream gets it when another has
// ended, whatever the end was.
func TestPanicKeepsNoPlace(t *testing.T) {
	for name, end := range map[string]func(w *world, p *probe, say func(kind byte)){
		"answer":    func(_ *world, _ *probe, say func(byte)) { say('h') },
		"reset":     func(_ *world, _ *probe, say func(byte)) { say('R') },
		"malformed": func(_ *world, _ *probe, say func(byte)) { say('E') },
		"parked": func(w *world, p *probe, say func(byte)) {
			p.ReadDisable(true)
			say('h')
			w.Settle()
			p.ReadDisable(false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, lc := mux(t, frameCodec{}, settings("max_streams", 1)+
				"circuit_breakers { per_host_thresholds { max_connections { value: 1 } } }")
			bad, next := ask(lc, "a"), ask(lc, "b")
			w.Settle()
			peer := w.dialled(1)
			bad.on = panics
			end(w, bad, func(kind byte) { say(peer, kind, 1, "") })
			w.Settle()
			if !next.Ready() {
				t.Error("the call that waits does not get the place")
			}
			w.logged(t, 1)
		})
	}
}

// TestPanicWhenReady: the calls behind one that panics when it gets its stream get
// theirs.
func TestPanicWhenReady(t *testing.T) {
	w, lc := mux(t, frameCodec{}, settings("max_streams", 1)+
		"circuit_breakers { per_host_thresholds { max_connections { value: 1 } } }")
	first := ask(lc, "a")
	bad := &probe{lc: lc, ready: func(p *probe) {
		defer p.Cancel(sdk.ResetLocal)
		panic("mine")
	}}
	bad.start()
	next := ask(lc, "b")
	w.Settle()
	say(w.dialled(1), 'h', 1, "")
	w.Settle()
	first.expect(t, "head 200 end")
	if !next.Ready() {
		t.Error("the call that waits does not get the place")
	}
	w.logged(t, 1)
}

// TestPanicWhenRefused: every call that the host has not processed is told.
func TestPanicWhenRefused(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	calls := []*probe{ask(lc, "a"), ask(lc, "b"), ask(lc, "c")}
	calls[0].on, calls[1].on = panics, panics
	w.Settle()
	peer := w.dialled(1)
	say(peer, 'G', 0, "")
	w.Settle()
	for _, p := range calls {
		p.expect(t, "failed UR remote refused stream reset")
	}
	if !peer.Closed() {
		t.Error("a connection without calls outlives going away")
	}
	w.logged(t, 1)
	w.stats("upstream_rq_active", 0, "upstream_cx_active", 0)
}

// TestPanicOfOneWay: every one-way call whose bytes are sent ends.
func TestPanicOfOneWay(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	calls := []*probe{oneWay(lc), oneWay(lc)}
	calls[0].on = panics
	w.Settle()
	w.dialled(1)
	for _, p := range calls {
		p.expect(t, "head 200 end")
	}
	w.logged(t, 1)
	w.stats("upstream_rq_active", 0)
}

// TestPanicWhenWritable: every call that waits for the connection may write again.
func TestPanicWhenWritable(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "per_connection_buffer_limit_bytes { value: 1000 }")
	calls := []*probe{post(lc, "a"), post(lc, "b")}
	w.Settle()
	peer := w.dialled(1)
	peer.Window(0)
	for _, p := range calls {
		p.WriteData(make([]byte, 2000), false)
	}
	w.Settle()
	calls[0].on = panics
	peer.Window(-1)
	w.Settle()
	for _, p := range calls {
		p.expect(t, "writable")
	}
	w.logged(t, 1)
}
