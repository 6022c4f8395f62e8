package cluster

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

// mux makes a world with the multiplexed cluster c on one loop.
func mux(t testing.TB, f frameCodec, fields string) (*world, *LoopCluster) {
	t.Helper()
	w := newWorld(t, 1, nil)
	w.codec = f.codec()
	w.OnDial(addr(1), looptest.Accept)
	w.set(static(fields))
	return w, w.m.Local(0).Get("c")
}

// ask starts a call whose request is a head with that path.
func ask(lc *LoopCluster, path string) *probe {
	p := &probe{lc: lc, ready: func(p *probe) { p.send("GET", path, true) }}
	p.start()
	return p
}

// post starts a call whose request has a head, and a body that the test writes.
func post(lc *LoopCluster, path string) *probe {
	p := &probe{lc: lc, ready: func(p *probe) { p.send("POST", path, false) }}
	p.start()
	return p
}

func TestCallsShareAConnection(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	a, b := ask(lc, "a"), ask(lc, "b")
	w.Settle()
	peer := w.dialled(1)
	if got := frames(peer); got != "q1:/a q2:/b" {
		t.Fatalf("sent %q", got)
	}
	c := ask(lc, "c")
	if !c.Ready() || c.ConnID() != a.ConnID() || c.Reused() {
		t.Error("a call does not join, or counts as one on an idle connection")
	}
	w.stats("upstream_rq_active", 3, "upstream_cx_active", 1)
	say(peer, 'I', 2, "")
	say(peer, 'H', 2, "")
	say(peer, 'H', 1, "")
	say(peer, 'D', 2, "b-")
	say(peer, 'd', 1, "a")
	say(peer, 'T', 2, "")
	say(peer, 'h', 3, "")
	w.Settle()
	a.expect(t, `head 200; "a" end`)
	b.expect(t, `1xx 100; head 200; "b-"; trailers 1`)
	c.expect(t, "head 200 end")
	if got, want := b.BytesReceived(), uint64(4*frameHead+2); got != want {
		t.Errorf("%d bytes received, want %d", got, want)
	}
	if got, want := a.BytesSent(), uint64(frameHead+2); got != want {
		t.Errorf("%d bytes sent, want %d", got, want)
	}
	w.stats("upstream_cx_total", 1, "upstream_cx_active", 1, "upstream_rq_total", 3, "upstream_rq_active", 0,
		"upstream_rq_pending_active", 0, "upstream_cx_rx_bytes_total", 7*frameHead+3)
	if d := ask(lc, "d"); !d.Reused() {
		t.Error("the connection was not kept")
	}
}

// TestSplitFrames has everything come byte by byte.
func TestSplitFrames(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	a, b := ask(lc, "a"), ask(lc, "b")
	w.Settle()
	peer := w.dialled(1)
	var all []byte
	all = appendFrame(all, 'H', 1, "")
	all = appendFrame(all, 'H', 2, "")
	all = appendFrame(all, 'P', 0, "")
	all = appendFrame(all, 'd', 2, "bb")
	all = appendFrame(all, 'd', 1, "aa")
	frames(peer)
	for i := range all {
		peer.SendBytes(all[i : i+1])
		w.Settle()
	}
	a.expect(t, `head 200; "aa" end`)
	b.expect(t, `head 200; "bb" end`)
	if got := frames(peer); got != "p0" {
		t.Errorf("the codec's own output: %q", got)
	}
}

func TestStreamLimit(t *testing.T) {
	w, lc := mux(t, frameCodec{}, settings("max_streams", 2))
	var calls []*probe
	for range 4 {
		calls = append(calls, ask(lc, "x"))
	}
	w.Settle()
	one, two := w.dialled(1), w.dialled(1)
	if w.Dialled(addr(1)) != nil || frames(one) != "q1:/x q2:/x" || frames(two) != "q1:/x q2:/x" {
		t.Fatal("four calls do not take two connections of two streams")
	}
	fifth := ask(lc, "x")
	w.Settle()
	three := w.dialled(1)
	if !fifth.Ready() || frames(three) != "q1:/x" {
		t.Fatal("no further connection at the limit")
	}
	// The one with the fewest streams is taken.
	say(two, 'h', 1, "")
	say(two, 'h', 2, "")
	w.Settle()
	if p := ask(lc, "x"); p.ConnID() != calls[2].ConnID() {
		t.Error("not the connection with the fewest streams")
	}
	w.stats("upstream_cx_active", 3, "upstream_rq_active", 4)
}

// TestConnectionQuota: at the limit of connections to a host calls wait for a stream.
func TestConnectionQuota(t *testing.T) {
	w, lc := mux(t, frameCodec{}, settings("max_streams", 1)+
		"circuit_breakers { per_host_thresholds { max_connections { value: 1 } } }")
	a, b := ask(lc, "a"), ask(lc, "b")
	w.Settle()
	peer := w.dialled(1)
	if !a.Ready() || b.Ready() || w.Dialled(addr(1)) != nil {
		t.Fatal("a second connection was made, or a second stream")
	}
	say(peer, 'h', 1, "")
	w.Settle()
	if !b.Ready() || frames(peer) != "q1:/a q2:/b" {
		t.Fatal("the call that waited is not served")
	}
	b.Cancel(sdk.ResetLocal)
	if c := ask(lc, "c"); !c.Ready() {
		t.Error("a cancelled call keeps its stream")
	}
	if got := frames(peer); got != "" {
		t.Errorf("written before the turn's end: %q", got)
	}
	w.Settle()
	if got := frames(peer); got != "R2 q3:/c" {
		t.Errorf("sent %q", got)
	}
}

// TestRequestInOnePiece: a protocol whose requests cannot interleave takes the next
// one after the end of the one that is being written.
func TestRequestInOnePiece(t *testing.T) {
	w, lc := mux(t, frameCodec{onePiece: true},
		"circuit_breakers { per_host_thresholds { max_connections { value: 1 } } }")
	a := post(lc, "a")
	w.Settle()
	peer := w.dialled(1)
	b := ask(lc, "b")
	w.Settle()
	if b.Ready() {
		t.Fatal("a request begins within another")
	}
	a.WriteData([]byte("1"), false)
	a.WriteData([]byte("2"), true)
	w.Settle()
	if got := frames(peer); got != "Q1:/a D1:1 d1:2 q2:/b" {
		t.Errorf("sent %q", got)
	}
}

func TestLateAndUnknownResponses(t *testing.T) {
	w, lc := mux(t, frameCodec{flow: true}, "")
	a, b := ask(lc, "a"), ask(lc, "b")
	w.Settle()
	peer := w.dialled(1)
	a.Cancel(sdk.ResetLocal)
	w.Settle()
	frames(peer)
	say(peer, 'H', 1, "") // late
	say(peer, 'd', 1, "xx")
	say(peer, 'h', 77, "") // never asked for
	say(peer, 'V', 0, "")  // dropped by the codec
	say(peer, 'R', 78, "")
	say(peer, 'W', 79, "")
	say(peer, 'E', 80, "")
	say(peer, 'h', 2, "")
	say(peer, 'h', 2, "") // twice
	w.Settle()
	a.expect(t, "")
	b.expect(t, "head 200 end")
	if got := frames(peer); got != "C1:2" {
		t.Errorf("sent %q, want what was dropped to be given back to the window", got)
	}
	w.stats("upstream_rq_stray_response", 4, "upstream_cx_active", 1, "upstream_cx_protocol_error", 0)
}

// TestEndsOfAConnection lists what ends a connection, with two calls under way.
func TestEndsOfAConnection(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     func(*looptest.Peer)
		a, b   string
		remote int
		stat   string
	}{
		{"closed", func(p *looptest.Peer) { p.Close() }, "failed UC connection termination", "", 1, ""},
		{"reset", func(p *looptest.Peer) { p.Reset() }, "failed UC connection termination", "", 1, ""},
		{"garbage", func(p *looptest.Peer) { say(p, 'Z', 0, "") }, "failed UPE protocol error", "", 0, "upstream_cx_protocol_error"},
		{"two heads", func(p *looptest.Peer) { say(p, 'H', 1, ""); say(p, 'H', 1, "") }, "head 200; failed UPE protocol error",
			"failed UPE protocol error", 0, "upstream_cx_protocol_error"},
		{"answers that are not read", func(p *looptest.Peer) {
			p.Window(0)
			for range maxTalk/frameHead + 1 {
				say(p, 'P', 0, "")
			}
		}, "failed UPE protocol error", "", 0, "upstream_cx_protocol_error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, lc := mux(t, frameCodec{}, "")
			a, b := ask(lc, "a"), ask(lc, "b")
			w.Settle()
			peer := w.dialled(1)
			c.do(peer)
			w.Settle()
			a.expect(t, c.a)
			if c.b == "" {
				c.b = c.a
			}
			b.expect(t, c.b)
			if !peer.Closed() || a.err.Unsent || a.Reused() {
				t.Errorf("closed %v, unsent %v, reused %v", peer.Closed(), a.err.Unsent, a.Reused())
			}
			w.stats("upstream_cx_active", 0, "upstream_cx_destroy", 1, "upstream_cx_destroy_with_active_rq", c.remote,
				"upstream_cx_destroy_remote", c.remote, "upstream_rq_active", 0,
				"upstream_rq_pending_failure_eject", 2*c.remote, "upstream_rq_tx_reset", 2-2*c.remote)
			if c.stat != "" {
				w.stats(c.stat, 1)
			}
			if d := ask(lc, "d"); d.Ready() {
				t.Error("the closed connection is used")
			}
		})
	}
}

// TestUnsentWhenLost: the call of which the socket had taken nothing is safe to retry,
// the other one is not.
func TestUnsentWhenLost(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	a := ask(lc, "a")
	w.Settle()
	peer := w.dialled(1)
	peer.Window(0)
	b := ask(lc, "b")
	w.Settle()
	peer.Reset()
	w.Settle()
	a.expect(t, "failed UC connection termination")
	b.expect(t, "failed UC connection termination")
	if a.err != ErrConnLost || b.err != ErrConnLostUnsent {
		t.Errorf("%+v, %+v", a.err, b.err)
	}
}

// TestIdleRaceOnly: Reused is for the race with a host that closes an idle connection.
func TestIdleRaceOnly(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	a := ask(lc, "a")
	w.Settle()
	peer := w.dialled(1)
	say(peer, 'h', 1, "")
	w.Settle()
	a.expect(t, "head 200 end")
	b := ask(lc, "b")
	c := ask(lc, "c")
	peer.Reset()
	w.Settle()
	if !b.Reused() || c.Reused() {
		t.Errorf("reused %v and %v, want only the one on the idle connection", b.Reused(), c.Reused())
	}

	d := ask(lc, "d")
	w.Settle()
	peer = w.dialled(1)
	say(peer, 'h', 1, "")
	w.Settle()
	e := ask(lc, "e")
	w.Settle()
	say(peer, 'P', 0, "") // it lives
	w.Settle()
	peer.Reset()
	w.Settle()
	d.expect(t, "head 200 end")
	e.expect(t, "failed UC connection termination")
	if e.Reused() {
		t.Error("the host has sent something since, and yet it may be an idle connection's end")
	}
}

func TestResets(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	a, b, c, d := ask(lc, "a"), ask(lc, "b"), ask(lc, "c"), ask(lc, "d")
	w.Settle()
	peer := w.dialled(1)
	frames(peer)
	say(peer, 'R', 1, "")
	say(peer, 'X', 2, "")
	say(peer, 'E', 3, "")
	w.Settle()
	a.expect(t, "failed UR remote reset")
	b.expect(t, "failed UR remote refused stream reset")
	c.expect(t, "failed UPE protocol error")
	if !b.err.Unsent || frames(peer) != "R3" {
		t.Error("a refused stream is not unsent, or the peer is not told of a malformed one")
	}
	say(peer, 'h', 4, "")
	w.Settle()
	d.expect(t, "head 200 end")
	w.stats("upstream_cx_active", 1, "upstream_rq_active", 0)
}

// TestGoAway: calls above the last id are refused, the others end as they should, and
// then the connection does.
func TestGoAway(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	a, b, c := ask(lc, "a"), ask(lc, "b"), ask(lc, "c")
	w.Settle()
	peer := w.dialled(1)
	retried := 0
	c.on = func(p *probe, what string) {
		if strings.HasPrefix(what, "failed") {
			retried++
			p.on = nil
			p.start()
		}
	}
	say(peer, 'G', 2, "")
	w.Settle()
	c.expect(t, "failed UR remote refused stream reset")
	if c.err != ErrRefused || retried != 1 {
		t.Errorf("%+v", c.err)
	}
	next := w.dialled(1)
	if got := frames(next); got != "q1:/c" {
		t.Errorf("the retry sent %q", got)
	}
	say(peer, 'h', 1, "")
	w.Settle()
	if peer.Closed() {
		t.Error("closed with a call under way")
	}
	say(peer, 'h', 2, "")
	w.Settle()
	a.expect(t, "head 200 end")
	b.expect(t, "head 200 end")
	if !peer.Closed() {
		t.Error("not closed after the last call")
	}
	say(next, 'G', 0, "")
	say(next, 'h', 1, "")
	w.Settle()
	c.expect(t, "failed UR remote refused stream reset")
	if !next.Closed() {
		t.Error("a connection without calls outlives going away")
	}
	w.stats("upstream_cx_active", 0, "upstream_rq_active", 0, "upstream_cx_destroy_with_active_rq", 0)
}

// TestGoAwayVictimsCancelEachOther: the owner of one refused call gives up others.
func TestGoAwayVictimsCancelEachOther(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	var calls []*probe
	for range 9 {
		calls = append(calls, ask(lc, "x"))
	}
	for i, p := range calls {
		p.on = func(*probe, string) {
			if i+1 < len(calls) {
				calls[i+1].Cancel(sdk.ResetLocal)
			}
		}
	}
	w.Settle()
	say(w.dialled(1), 'G', 0, "")
	w.Settle()
	for i, p := range calls {
		want := "failed UR remote refused stream reset"
		if i%2 == 1 {
			want = ""
		}
		p.expect(t, want)
		if p.Active() {
			t.Error("a call goes on")
		}
	}
	w.stats("upstream_rq_active", 0, "upstream_cx_active", 0)
}

// TestNotUsedFurther lists what lets the calls of a connection end, but no new begin.
func TestNotUsedFurther(t *testing.T) {
	for _, c := range []struct {
		name, fields string
		codec        frameCodec
		do           func(w *world, a *probe, peer *looptest.Peer)
		stat         string
	}{
		{"max_requests_per_connection", "max_requests_per_connection { value: 2 }", frameCodec{},
			func(*world, *probe, *looptest.Peer) {}, "upstream_cx_max_requests"},
		{"max_connection_duration", "common_http_protocol_options { max_connection_duration { seconds: 9 } }", frameCodec{},
			func(w *world, _ *probe, _ *looptest.Peer) { w.Advance(10 * time.Second) }, "upstream_cx_max_duration_reached"},
		{"response that closes", "", frameCodec{}, func(w *world, _ *probe, peer *looptest.Peer) {
			say(peer, 'H', 1, "close")
			w.Settle()
		}, "upstream_cx_close_notify"},
		{"cancelled in the middle of a frame", "", frameCodec{noReset: true},
			func(_ *world, a *probe, _ *looptest.Peer) { a.Cancel(sdk.ResetLocal) }, ""},
		{"replaced cluster", "", frameCodec{}, func(w *world, _ *probe, _ *looptest.Peer) { w.set(static("")) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, lc := mux(t, c.codec, settings("heartbeat_interval", "0s")+c.fields)
			a, b := ask(lc, "a"), ask(lc, "b")
			w.Settle()
			peer := w.dialled(1)
			c.do(w, a, peer)
			if peer.Closed() {
				t.Fatal("closed with a call under way")
			}
			if p := ask(w.m.Local(0).Get("c"), "c"); p.Ready() {
				t.Error("a further call is taken")
			}
			say(peer, 'h', 2, "")
			w.Settle()
			b.expect(t, "head 200 end")
			say(peer, 'd', 1, "")
			a.Cancel(sdk.ResetLocal)
			w.Settle()
			if !peer.Closed() {
				t.Error("open after the last call")
			}
			if c.stat != "" {
				w.stats(c.stat, 1)
			}
			w.stats("upstream_cx_active", 1, "upstream_rq_active", 1)
		})
	}
}

func TestIdleTimeoutOfSharedConnections(t *testing.T) {
	w, lc := mux(t, frameCodec{}, settings("heartbeat_interval", "0s")+"common_http_protocol_options { idle_timeout { seconds: 5 } }")
	a := ask(lc, "a")
	w.Settle()
	peer := w.dialled(1)
	w.Advance(time.Minute)
	say(peer, 'h', 1, "")
	w.Settle()
	a.expect(t, "head 200 end")
	w.Advance(4 * time.Second)
	b := ask(lc, "b")
	w.Advance(4 * time.Second)
	if peer.Closed() {
		t.Fatal("closed with a call under way")
	}
	say(peer, 'h', 2, "")
	w.Settle()
	b.expect(t, "head 200 end")
	w.Advance(6 * time.Second)
	if !peer.Closed() {
		t.Fatal("open after the idle timeout")
	}
	w.stats("upstream_cx_idle_timeout", 1, "upstream_cx_active", 0)
}

func TestHeartbeats(t *testing.T) {
	w, lc := mux(t, frameCodec{}, settings("heartbeat_interval", "10s", "heartbeat_timeout", "2s", "heartbeat_misses", 2))
	a := ask(lc, "a")
	w.Settle()
	peer := w.dialled(1)
	frames(peer)
	w.Advance(9 * time.Second)
	say(peer, 'H', 1, "") // traffic is as good as an answer
	w.Advance(9 * time.Second)
	if got := frames(peer); got != "" {
		t.Fatalf("a connection in use is sent %q", got)
	}
	w.Advance(2 * time.Second)
	if got := frames(peer); got != "B0" {
		t.Fatalf("a silent connection is sent %q", got)
	}
	say(peer, 'b', 0, "")
	w.Advance(9 * time.Second)
	if got := frames(peer); got != "" {
		t.Fatalf("after an answer: %q", got)
	}
	w.Advance(6 * time.Second)
	if got := frames(peer); got != "B0 B0" || peer.Closed() {
		t.Fatalf("without an answer: %q, closed %v", got, peer.Closed())
	}
	w.Advance(2 * time.Second)
	a.expect(t, "head 200; failed UC connection termination")
	if !peer.Closed() {
		t.Fatal("a dead host's connection is open")
	}
	w.stats("upstream_cx_destroy_local_with_active_rq", 1)
}

// TestHeartbeatJitter: intervals are longer by a random part, so that the heartbeats of
// many connections do not come together.
func TestHeartbeatJitter(t *testing.T) {
	w, lc := mux(t, frameCodec{}, settings("heartbeat_interval", "10s", "heartbeat_timeout", "2s"))
	lc.cfg.mux.HeartbeatJitter = 5 * time.Second
	ask(lc, "a")
	w.Settle()
	peer := w.dialled(1)
	frames(peer)
	seen := map[time.Duration]bool{}
	for range 10 {
		waited := time.Duration(0)
		for ; frames(peer) == ""; waited += time.Second / 10 {
			w.Advance(time.Second / 10)
		}
		if waited < 10*time.Second || waited > 15*time.Second {
			t.Fatalf("a heartbeat after %v", waited)
		}
		seen[waited] = true
		say(peer, 'b', 0, "")
		w.Advance(2 * time.Second) // when the answer would have had to be there
	}
	if len(seen) < 5 {
		t.Errorf("the intervals are %v", seen)
	}
}

// TestIdleProbe: a heartbeat goes ahead of a call to a host that has been silent; without
// an answer the connection is lost.
func TestIdleProbe(t *testing.T) {
	w, lc := mux(t, frameCodec{}, settings("heartbeat_interval", "0s", "heartbeat_timeout", "2s", "heartbeat_misses", 1))
	lc.cfg.mux.IdleInterval = 5 * time.Second
	ask(lc, "a")
	w.Settle()
	peer := w.dialled(1)
	if got := frames(peer); strings.Contains(got, "B0") {
		t.Fatalf("a new connection is sent %q", got)
	}
	say(peer, 'H', 1, "")
	w.Advance(4 * time.Second)
	ask(lc, "b")
	w.Settle()
	if got := frames(peer); strings.Contains(got, "B0") {
		t.Fatalf("before the interval it is sent %q", got)
	}
	w.Advance(2 * time.Second)
	c := ask(lc, "c")
	ask(lc, "d")
	w.Settle()
	if got := frames(peer); !strings.HasPrefix(got, "B0 ") || strings.Count(got, "B0") != 1 {
		t.Fatalf("a silent host is sent %q", got)
	}
	say(peer, 'b', 0, "")
	w.Advance(3 * time.Second)
	if peer.Closed() {
		t.Fatal("the answer does not count")
	}
	w.Advance(3 * time.Second)
	e := ask(lc, "e")
	w.Advance(2 * time.Second)
	c.expect(t, "failed UC connection termination")
	e.expect(t, "failed UC connection termination")
}

// TestSharedWritability: a full queue, a stream's and the connection's window.
func TestSharedWritability(t *testing.T) {
	w, lc := mux(t, frameCodec{piece: 3}, "per_connection_buffer_limit_bytes { value: 100 }")
	a, b := post(lc, "a"), post(lc, "b")
	w.Settle()
	peer := w.dialled(1)
	if n := a.WriteData([]byte("12345"), true); n != 3 {
		t.Fatalf("%d bytes taken", n)
	}
	w.Settle()
	say(peer, 'W', 1, "")
	w.Settle()
	a.expect(t, "writable")
	b.expect(t, "")
	b.WriteData([]byte("12345"), true)
	say(peer, 'W', 0, "")
	w.Settle()
	a.expect(t, "")
	b.expect(t, "writable")

	peer.Window(0)
	for range 20 {
		a.WriteData([]byte("xyz"), false)
	}
	if !a.AboveHigh() || !b.AboveHigh() {
		t.Fatal("not above the high watermark")
	}
	w.Settle()
	peer.Window(-1)
	w.Settle()
	a.expect(t, "writable")
	b.expect(t, "writable")
	w.stats("upstream_flow_control_backed_up_total", 1, "upstream_flow_control_drained_total", 1)
	b.WriteTrailers(&sdk.Message{})
	w.Settle()
	if got := frames(peer); !strings.HasSuffix(got, "T2") {
		t.Errorf("sent %q", got)
	}
}

// TestWindows: body that was delivered, or dropped, opens its stream's window again;
// what an owner does not want yet does not, and stops nobody else.
func TestWindows(t *testing.T) {
	w, lc := mux(t, frameCodec{flow: true}, "per_connection_buffer_limit_bytes { value: 1000 }")
	a, b := ask(lc, "a"), ask(lc, "b")
	w.Settle()
	peer := w.dialled(1)
	say(peer, 'H', 1, "")
	say(peer, 'H', 2, "")
	say(peer, 'D', 1, "12345")
	say(peer, 'D', 9, "nobody's")
	w.Settle()
	if got := frames(peer); got != "q1:/a q2:/b C1:5 C9:8" {
		t.Errorf("sent %q", got)
	}
	a.events()
	a.ReadDisable(true)
	long := strings.Repeat("x", 3000) // over the buffer limit
	say(peer, 'D', 1, long)
	say(peer, 'D', 2, "other")
	w.Settle()
	a.expect(t, "")
	b.expect(t, `head 200; "other"`)
	if got := frames(peer); got != "C2:5" {
		t.Errorf("sent %q", got)
	}
	a.ReadDisable(false)
	a.expectSoon(w, fmt.Sprintf("%q", long))
	if got := frames(peer); got != "C1:3000" {
		t.Errorf("sent %q", got)
	}
	b.ReadDisable(true)
	say(peer, 'd', 2, "last")
	w.Settle()
	b.Cancel(sdk.ResetLocal) // what is kept for it is dropped
	w.Settle()
	if got := frames(peer); got != "C2:4" {
		t.Errorf("sent %q", got)
	}
}

// TestPausedCall: one call's owner does not read; the others are not held up, and
// nothing is lost, also when the connection ends meanwhile.
func TestPausedCall(t *testing.T) {
	for _, ending := range []string{"data", "empty data", "trailers", "head", "lost", "cancelled"} {
		t.Run(ending, func(t *testing.T) {
			w, lc := mux(t, frameCodec{}, "")
			a, b := ask(lc, "a"), ask(lc, "b")
			w.Settle()
			peer := w.dialled(1)
			a.ReadDisable(true)
			a.ReadDisable(true)
			want := `head 200; "12"`
			say(peer, 'I', 1, "")
			if ending == "head" {
				say(peer, 'h', 1, "")
				want = "head 200 end"
			} else {
				say(peer, 'H', 1, "")
				say(peer, 'D', 1, "1")
				say(peer, 'D', 1, "2")
			}
			switch ending {
			case "data":
				say(peer, 'd', 1, "3")
				want = `head 200; "123" end`
			case "empty data":
				w.Settle()
				a.ReadDisable(false)
				a.ReadDisable(false)
				w.Advance(time.Millisecond)
				a.ReadDisable(true)
				a.ReadDisable(true)
				say(peer, 'd', 1, "")
				want += `; "" end`
			case "trailers":
				say(peer, 'T', 1, "")
				want += "; trailers 1"
			}
			say(peer, 'h', 2, "")
			w.Settle()
			b.expect(t, "head 200 end")
			switch ending {
			case "lost":
				peer.Close()
				w.Settle()
				a.expect(t, "failed UC connection termination")
				w.stats("upstream_rq_active", 0)
				return
			case "cancelled":
				a.Cancel(sdk.ResetLocal)
				w.Advance(time.Second)
				a.expect(t, "")
				w.stats("upstream_rq_active", 0)
				return
			}
			peer.Close() // the response is complete
			w.Settle()
			a.ReadDisable(false)
			w.Advance(time.Millisecond)
			if !a.Active() {
				t.Fatal("a paused call was ended")
			}
			a.WriteData([]byte("late"), false)
			a.ReadDisable(false)
			a.expectSoon(w, want)
			w.stats("upstream_rq_active", 0, "upstream_cx_active", 0, "upstream_cx_destroy_with_active_rq", 0)
		})
	}
}

func (p *probe) expectSoon(w *world, want string) {
	w.t.Helper()
	w.Advance(2 * time.Millisecond)
	p.expect(w.t, want)
}

// TestChokedConnection: a host that does not read is sent no further requests, and no
// connection is made instead, until it does.
func TestChokedConnection(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "per_connection_buffer_limit_bytes { value: 1000 }")
	a := post(lc, "a")
	w.Settle()
	peer := w.dialled(1)
	peer.Discard()
	peer.Window(0)
	a.WriteData(make([]byte, maxBacklog-1000), false)
	w.Settle()
	b := ask(lc, "b")
	w.Settle()
	w.stats("upstream_rq_pending_active", 0, "upstream_cx_total", 1)
	a.WriteData(make([]byte, 1000), false)
	w.Settle()
	c := ask(lc, "c")
	w.Settle()
	w.stats("upstream_rq_pending_active", 1, "upstream_cx_total", 1)
	peer.Window(-1)
	w.Settle()
	w.stats("upstream_rq_pending_active", 0, "upstream_cx_total", 1)
	say(peer, 'h', 2, "")
	say(peer, 'h', 3, "")
	w.Settle()
	b.expect(t, "writable; head 200 end")
	c.expect(t, "head 200 end")
}

// TestPausedCallChokes: what is kept for one call is bounded; beyond it the connection
// stops reading, until the owner reads on or gives up.
func TestPausedCallChokes(t *testing.T) {
	for _, giveUp := range []bool{false, true} {
		w, lc := mux(t, frameCodec{}, "per_connection_buffer_limit_bytes { value: 1000 }")
		a, b := ask(lc, "a"), ask(lc, "b")
		w.Settle()
		peer := w.dialled(1)
		a.ReadDisable(true)
		say(peer, 'H', 1, "")
		for range 100 {
			say(peer, 'D', 1, strings.Repeat("x", 100))
			w.Settle()
		}
		say(peer, 'h', 2, "")
		w.Settle()
		if peer.Unread() < 8000 {
			t.Fatalf("%d bytes are unread", peer.Unread())
		}
		b.expect(t, "")
		if giveUp {
			a.Cancel(sdk.ResetLocal)
		} else {
			a.ReadDisable(false)
		}
		w.Advance(10 * time.Millisecond)
		b.expect(t, "head 200 end")
		if got := strings.Count(a.events(), "x"); got != 10000 && !giveUp {
			t.Errorf("%d bytes of 10000", got)
		}
	}
}

// TestEarlyResponse: the answer is complete before the request is.
func TestEarlyResponseOnASharedConnection(t *testing.T) {
	for _, noReset := range []bool{false, true} {
		w, lc := mux(t, frameCodec{noReset: noReset}, "")
		a, b := post(lc, "a"), ask(lc, "b")
		w.Settle()
		peer := w.dialled(1)
		frames(peer)
		say(peer, 'h', 1, "")
		w.Settle()
		a.expect(t, "head 200 end")
		if n := a.WriteData([]byte("late"), true); n != 4 {
			t.Errorf("%d bytes taken after the end", n)
		}
		say(peer, 'h', 2, "")
		w.Settle()
		b.expect(t, "head 200 end")
		if got := frames(peer); (got == "R1") == noReset || peer.Closed() != noReset {
			t.Errorf("sent %q, closed %v", got, peer.Closed())
		}
	}
}

func TestSharedConnectFails(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	w.OnDial(addr(1), looptest.Refuse)
	a, b := ask(lc, "a"), ask(lc, "b")
	w.Settle()
	a.expect(t, "failed UF remote connection failure")
	b.expect(t, "failed UF remote connection failure")
	if a.TransportFailure() != "delayed connect error: Connection refused" {
		t.Errorf("%q", a.TransportFailure())
	}
	w.stats("upstream_cx_connect_fail", 1, "upstream_cx_active", 0, "upstream_rq_pending_failure_eject", 2)

	w.OnDial(addr(1), looptest.Hold)
	c := ask(lc, "c")
	w.Advance(6 * time.Second)
	c.expect(t, "failed UF connection timeout")
	w.stats("upstream_cx_connect_timeout", 1, "upstream_cx_active", 0)
}

func TestSharedBreakers(t *testing.T) {
	w, lc := mux(t, frameCodec{}, settings("max_streams", 1)+`circuit_breakers { thresholds {
		max_connections { value: 1 } max_requests { value: 2 } max_pending_requests { value: 2 } } }`)
	a, b, c := ask(lc, "a"), ask(lc, "b"), ask(lc, "c")
	c.expect(t, "failed UO overflow")
	w.Settle()
	peer := w.dialled(1)
	if !a.Ready() || b.Ready() {
		t.Fatal("max_connections does not hold")
	}
	w.stats("upstream_rq_pending_overflow", 1)
	b.Cancel(sdk.ResetLocal)
	say(peer, 'h', 1, "")
	w.Settle()

	w, lc = mux(t, frameCodec{}, `circuit_breakers { thresholds { max_requests { value: 2 } } }`)
	a, b, c = ask(lc, "a"), ask(lc, "b"), ask(lc, "c")
	w.Settle()
	d := ask(lc, "d")
	c.expect(t, "failed UO overflow")
	d.expect(t, "failed UO overflow")
	w.stats("upstream_rq_active_overflow", 2, "upstream_rq_active", 2)
	a.Cancel(sdk.ResetLocal)
	b.Cancel(sdk.ResetLocal)
	w.stats("upstream_rq_active", 0)
}

// TestIDs: ids that wrap around pass over those in use; a codec that has no other ends
// its connection.
func TestIDs(t *testing.T) {
	w, lc := mux(t, frameCodec{ids: 3}, "")
	a := ask(lc, "a")
	w.Settle()
	peer := w.dialled(1)
	for _, id := range []uint64{2, 3, 2, 3} {
		b := ask(lc, "b")
		w.Settle()
		if got := frames(peer); !strings.Contains(got, fmt.Sprintf("q%d:/b", id)) {
			t.Fatalf("sent %q, want id %d", got, id)
		}
		say(peer, 'h', id, "")
		w.Settle()
		b.expect(t, "head 200 end")
	}
	a.expect(t, "")

	w, lc = mux(t, frameCodec{sameID: true}, "")
	a = ask(lc, "a")
	b := ask(lc, "b")
	w.Settle()
	a.expect(t, "failed UPE protocol error")
	b.expect(t, "failed UC connection termination")
	if !b.err.Unsent || !w.dialled(1).Closed() {
		t.Error("the call without an id is not unsent, or the connection is open")
	}
	w.stats("upstream_rq_active", 0, "upstream_cx_active", 0)
}

// TestThousandCalls: a thousand calls at a time on one connection, answered in another
// order and in pieces; each gets what it asked for.
func TestThousandCalls(t *testing.T) {
	const n = 1000
	w, lc := mux(t, frameCodec{}, "")
	calls := make([]*probe, n)
	for i := range calls {
		calls[i] = ask(lc, fmt.Sprint("p", i))
	}
	w.Settle()
	peer := w.dialled(1)
	sent := strings.Fields(frames(peer))
	if len(sent) != n || w.Dialled(addr(1)) != nil {
		t.Fatalf("%d requests", len(sent))
	}
	var out bytes.Buffer
	for round := range 3 {
		for i := range sent {
			var id uint64
			var path string
			if _, err := fmt.Sscanf(sent[i*7%n], "q%d:/%s", &id, &path); err != nil {
				t.Fatal(err)
			}
			switch round {
			case 0:
				out.Write(appendFrame(nil, 'H', id, ""))
			case 1:
				out.Write(appendFrame(nil, 'D', id, path))
			case 2:
				out.Write(appendFrame(nil, 'd', id, "!"))
			}
		}
	}
	peer.SendBytes(out.Bytes())
	w.Settle()
	for i, p := range calls {
		p.expect(t, fmt.Sprintf(`head 200; "p%d"; "!" end`, i))
	}
	w.stats("upstream_cx_total", 1, "upstream_rq_total", n, "upstream_rq_active", 0)
}

// TestCodecThatHoldsRequests: a codec that writes one request after the other tells
// who may go on by an event that no input announces.
func TestCodecThatHoldsRequests(t *testing.T) {
	w, lc := mux(t, frameCodec{queue: true}, "")
	a, b, c := post(lc, "a"), post(lc, "b"), ask(lc, "c")
	w.Settle()
	peer := w.dialled(1)
	if n := b.WriteData([]byte("b"), true); n != 0 {
		t.Fatalf("%d bytes taken of a request that waits", n)
	}
	if n := a.WriteData([]byte("a"), true); n != 1 {
		t.Fatalf("%d bytes taken", n)
	}
	b.expect(t, "") // not from within the other's write
	w.Settle()
	b.expect(t, "writable")
	b.WriteData([]byte("b"), true)
	w.Settle()
	if got := frames(peer); got != "Q1:/a d1:a Q2:/b d2:b q3:/c" {
		t.Errorf("sent %q", got)
	}
	c.expect(t, "")
}

// TestHalfWrittenRequestIsGivenUp: what waits behind it has not been sent, and is told
// so; what was sent before is still answered.
func TestHalfWrittenRequestIsGivenUp(t *testing.T) {
	w, lc := mux(t, frameCodec{queue: true}, "")
	before, half, behind, also := ask(lc, "a"), post(lc, "b"), ask(lc, "c"), post(lc, "d")
	w.Settle()
	peer := w.dialled(1)
	half.WriteData([]byte("x"), false)
	w.Settle()
	half.Cancel(sdk.ResetLocal)
	w.Settle()
	behind.expect(t, "failed UC connection termination")
	also.expect(t, "failed UC connection termination")
	if behind.err != ErrConnLostUnsent || also.err != ErrConnLostUnsent || peer.Closed() {
		t.Errorf("%v, %v, closed %v", behind.err, also.err, peer.Closed())
	}
	say(peer, 'h', 1, "")
	w.Settle()
	before.expect(t, "head 200 end")
	if got := frames(peer); got != "q1:/a Q2:/b D2:x" || !peer.Closed() {
		t.Errorf("sent %q, closed %v", got, peer.Closed())
	}
	w.stats("upstream_rq_active", 0)
}

// oneWay starts a call for which there is no response.
func oneWay(lc *LoopCluster) *probe {
	p := &probe{lc: lc, ready: func(p *probe) {
		var m sdk.Message
		m.AddID(sdk.HeaderPath, "/one-way")
		m.OneWay = true
		if err := p.WriteHeaders(&m, true); err != nil {
			panic(err)
		}
	}}
	p.start()
	return p
}

// TestOneWay: it ends when the socket has accepted its last byte.
func TestOneWay(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	a, b := ask(lc, "a"), oneWay(lc)
	w.Settle()
	peer := w.dialled(1)
	b.expect(t, "head 200 end")
	peer.Window(0)
	c := oneWay(lc)
	w.Settle()
	c.expect(t, "")
	peer.Window(-1)
	w.Settle()
	c.expect(t, "head 200 end")
	say(peer, 'h', 1, "")
	w.Settle()
	a.expect(t, "head 200 end")
	peer.Window(0)
	d := oneWay(lc)
	w.Settle()
	peer.Reset()
	w.Settle()
	d.expect(t, "failed UC connection termination")
	w.stats("upstream_rq_active", 0)
}

// TestManyAnswersOfTheCodecsOwn: a peer that reads may ask as often as it likes.
func TestManyAnswersOfTheCodecsOwn(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	a := ask(lc, "a")
	w.Settle()
	peer := w.dialled(1)
	peer.Discard()
	for range 3 * maxTalk / frameHead / 100 {
		for range 100 {
			say(peer, 'P', 0, "")
		}
		w.Settle()
	}
	say(peer, 'h', 1, "")
	w.Settle()
	a.expect(t, "head 200 end")
}

// TestOwnerPanics: the calls behind one whose owner panics are told all the same.
func TestOwnerPanics(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "")
	calls := []*probe{ask(lc, "a"), ask(lc, "b"), ask(lc, "c")}
	w.Settle()
	calls[0].on = func(*probe, string) { panic("on purpose") }
	calls[1].on = func(*probe, string) { panic("on purpose") }
	w.dialled(1).Close()
	w.Settle()
	for _, p := range calls {
		p.expect(t, "failed UC connection termination")
	}
	w.stats("upstream_rq_active", 0, "upstream_cx_active", 0)
	d := ask(lc, "d")
	w.Settle()
	if !d.Ready() {
		t.Error("the pool does not go on")
	}
}
