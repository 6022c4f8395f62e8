package cluster

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

func TestExchange(t *testing.T) {
	w, lc := one(t, "")
	p := start(lc)
	if p.Ready() || !p.Active() || p.Host().Address() != "10.0.0.1:80" {
		t.Fatal("a call without a connection is ready")
	}
	w.Settle()
	peer := w.dialled(1)
	sent := peer.Received()
	if !strings.HasPrefix(sent, "GET / HTTP/1.1\r\nhost: a\r\n") {
		t.Fatalf("sent %q", sent)
	}
	if p.LocalAddr().String() == "" || p.ConnID() == 0 || p.Reused() {
		t.Errorf("local %v, id %d, reused %v", p.LocalAddr(), p.ConnID(), p.Reused())
	}
	peer.Send(ok)
	w.Settle()
	p.expect(t, `head 200; "ok" end`)
	if p.Active() {
		t.Error("the call has not ended")
	}
	if p.BytesSent() != uint64(len(sent)) || p.BytesReceived() != uint64(len(ok)) {
		t.Errorf("%d bytes sent, %d received", p.BytesSent(), p.BytesReceived())
	}
	w.stats("upstream_cx_total", 1, "upstream_cx_http1_total", 1, "upstream_cx_active", 1, "upstream_rq_total", 1,
		"upstream_rq_active", 0, "upstream_rq_pending_total", 1, "upstream_rq_pending_active", 0,
		"upstream_cx_rx_bytes_total", len(ok), "upstream_cx_tx_bytes_total", len(sent), "upstream_cx_destroy", 0,
		"membership_total", 1, "membership_healthy", 1, "membership_change", 1)

	// The connection is kept and used again; the second call is ready at once.
	q := start(lc)
	if !q.Ready() || !q.Reused() || q.ConnID() != p.ConnID() {
		t.Fatal("the idle connection is not used")
	}
	w.Settle()
	peer.Send("HTTP/1.1 204 No Content\r\n\r\n")
	w.Settle()
	q.expect(t, "head 204 end")
	w.stats("upstream_cx_total", 1, "upstream_rq_total", 2, "upstream_rq_pending_total", 1)
	h := lc.Hosts().Hosts()[0]
	if h.Requests.Load() != 2 || h.ActiveRequests.Load() != 0 || h.ActiveConnections.Load() != 1 || h.Connections.Load() != 1 {
		t.Error("the host's numbers are wrong")
	}
}

// TestSplit delivers a response with every kind of event byte by byte.
func TestSplit(t *testing.T) {
	w, lc := one(t, `http_protocol_options { enable_trailers: true }`)
	p := start(lc)
	w.Settle()
	peer := w.dialled(1)
	for _, c := range "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\na: b\r\n\r\n" {
		peer.Send(string(c))
		w.Settle()
	}
	p.expect(t, `1xx 100; head 200; "x"; trailers 1`)
	if q := start(lc); !q.Reused() {
		t.Error("the connection was not kept")
	}
}

func TestIdleConnectionsAreReusedLastInFirstOut(t *testing.T) {
	w, lc := one(t, "")
	a, b := start(lc), start(lc)
	w.Settle()
	first, second := w.dialled(1), w.dialled(1)
	first.Send(ok)
	w.Settle()
	second.Send(ok)
	w.Settle()
	if c := start(lc); c.ConnID() != b.ConnID() {
		t.Error("the connection that was used last is not taken first")
	}
	if d := start(lc); d.ConnID() != a.ConnID() {
		t.Error("the other idle connection is not taken")
	}
	if e := start(lc); e.Ready() {
		t.Error("a busy connection is taken")
	}
}

// TestNotReused lists exchanges after which the connection must not carry another.
func TestNotReused(t *testing.T) {
	for _, c := range []struct {
		name, answer, want string
		early              bool // the request is not complete
		fields             string
		stats              []any
	}{
		{name: "connection: close", answer: "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", want: `head 200; "ok" end`,
			stats: []any{"upstream_cx_close_notify", 1, "upstream_cx_destroy_local", 1}},
		{name: "HTTP/1.0", answer: "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", want: `head 200; "ok" end`,
			stats: []any{"upstream_cx_destroy_local", 1}},
		{name: "surplus", answer: ok + "x", want: `head 200; "ok" end`, stats: []any{"upstream_cx_protocol_error", 1}},
		{name: "second response", answer: ok + ok, want: `head 200; "ok" end`, stats: []any{"upstream_cx_protocol_error", 1}},
		{name: "early response", early: true, answer: ok, want: `head 200; "ok" end`,
			stats: []any{"upstream_cx_destroy_local", 1, "upstream_cx_destroy_with_active_rq", 1}},
		{name: "last of max_requests", fields: "max_requests_per_connection { value: 1 }", answer: ok, want: `head 200; "ok" end`,
			stats: []any{"upstream_cx_max_requests", 1, "upstream_cx_destroy_local", 1}},
		{name: "garbage", answer: "garbage", want: "failed UPE protocol error",
			stats: []any{"upstream_cx_protocol_error", 1, "upstream_cx_destroy_local_with_active_rq", 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, lc := one(t, c.fields)
			p := &probe{lc: lc}
			if c.early {
				p.ready = func(p *probe) { p.send("POST", "", false) }
			}
			p.start()
			w.Settle()
			peer := w.dialled(1)
			peer.Send(c.answer)
			w.Settle()
			p.expect(t, c.want)
			if !peer.Closed() {
				t.Error("the connection is open")
			}
			w.stats(append(c.stats, "upstream_cx_active", 0, "upstream_cx_destroy", 1, "upstream_rq_active", 0)...)
			if n := p.WriteData([]byte("late"), true); n != 4 {
				t.Errorf("data after the end: %d bytes taken", n)
			}
			if q := start(lc); q.Ready() {
				t.Error("a closed connection is used")
			}
		})
	}
}

// TestHostEnds lists what the host can do to a connection while a request is under
// way, and how the call fails.
func TestHostEnds(t *testing.T) {
	fin := func(p *looptest.Peer) { p.Close() }
	rst := func(p *looptest.Peer) { p.Reset() }
	for _, c := range []struct {
		name, answer string
		do           func(*looptest.Peer)
		want         string
	}{
		{"closed before the answer", "", fin, "failed UC connection termination"},
		{"reset before the answer", "", rst, "failed UC connection termination"},
		{"closed after 100", "HTTP/1.1 100 Continue\r\n\r\n", fin, "1xx 100; failed UC connection termination"},
		{"closed in the head", "HTTP/1.1 200", fin, "failed UPE protocol error"},
		{"reset in the head", "HTTP/1.1 200", rst, "failed UPE protocol error"},
		{"closed in the body", okHead + "o", fin, `head 200; "o"; failed UPE protocol error`},
		{"reset in the body", okHead + "o", rst, `head 200; "o"; failed UPE protocol error`},
		{"until close", "HTTP/1.1 200 OK\r\n\r\nabc", fin, `head 200; "abc"; "" end`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, lc := one(t, "")
			p := start(lc)
			w.Settle()
			peer := w.dialled(1)
			peer.Send(c.answer)
			w.Settle()
			c.do(peer)
			w.Settle()
			p.expect(t, c.want)
			if p.Active() || !peer.Closed() {
				t.Error("the call or the connection goes on")
			}
			w.stats("upstream_cx_active", 0, "upstream_cx_destroy", 1, "upstream_cx_destroy_remote", 1, "upstream_rq_active", 0)
			if p.err != nil && p.err.Unsent {
				t.Error("a request that was sent counts as unsent")
			}
		})
	}
}

// TestClosedIdleConnection: a request meets a connection that the host closes at the
// same time: no byte was answered, and the connection had served before.
func TestClosedIdleConnection(t *testing.T) {
	w, lc := one(t, "")
	p := start(lc)
	w.Settle()
	peer := w.dialled(1)
	peer.Send(ok)
	w.Settle()
	p.events()
	p.start()
	peer.Reset()
	w.Settle()
	p.expect(t, "failed UC connection termination")
	if !p.Reused() || p.err.Reset != sdk.ResetConnLost {
		t.Errorf("reused %v, reset %v", p.Reused(), p.err.Reset)
	}
}

// TestIdleConnectionEnds: data or an end on an idle connection closes it at once.
func TestIdleConnectionEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(*looptest.Peer)
		stats []any
	}{
		{"data", func(p *looptest.Peer) { p.Send(ok) }, []any{"upstream_cx_protocol_error", 1, "upstream_cx_destroy_local", 1}},
		{"end", func(p *looptest.Peer) { p.CloseWrite() }, []any{"upstream_cx_destroy_remote", 1}},
		{"reset", func(p *looptest.Peer) { p.Reset() }, []any{"upstream_cx_destroy_remote", 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, lc := one(t, "")
			start(lc)
			w.Settle()
			peer := w.dialled(1)
			peer.Send(ok)
			w.Settle()
			c.do(peer)
			w.Settle()
			if !peer.Closed() {
				t.Fatal("the connection is open")
			}
			w.stats(append(c.stats, "upstream_cx_active", 0, "upstream_cx_destroy_with_active_rq", 0)...)
			if p := start(lc); p.Ready() {
				t.Error("the closed connection is used")
			}
		})
	}
}

func TestConnectFails(t *testing.T) {
	for _, c := range []struct {
		outcome         looptest.Outcome
		want, transport string
	}{
		{looptest.Refuse, "failed UF remote connection failure", "delayed connect error: Connection refused"},
		{looptest.Unreachable, "failed UF remote connection failure", "delayed connect error: No route to host"},
		{looptest.NoDescriptors, "failed UF remote connection failure", "delayed connect error: Too many open files"},
	} {
		w, lc := one(t, "")
		w.OnDial(addr(1), c.outcome)
		p, q := start(lc), start(lc)
		w.Settle()
		p.expect(t, c.want)
		q.expect(t, c.want)
		if p.TransportFailure() != c.transport || !p.err.Unsent {
			t.Errorf("transport failure %q, unsent %v", p.TransportFailure(), p.err.Unsent)
		}
		w.stats("upstream_cx_connect_fail", 2, "upstream_cx_connect_timeout", 0, "upstream_cx_active", 0,
			"upstream_rq_pending_failure_eject", 2, "upstream_rq_pending_active", 0, "upstream_rq_total", 0,
			"upstream_cx_destroy_remote", 2)
	}
}

func TestConnectTimeout(t *testing.T) {
	w, lc := one(t, "connect_timeout { nanos: 250000000 }")
	w.OnDial(addr(1), looptest.Hold)
	p := start(lc)
	w.Settle()
	w.Advance(249 * time.Millisecond)
	p.expect(t, "")
	w.Advance(2 * time.Millisecond)
	p.expect(t, "failed UF connection timeout")
	if p.TransportFailure() != "" {
		t.Errorf("transport failure %q", p.TransportFailure())
	}
	w.stats("upstream_cx_connect_timeout", 1, "upstream_cx_connect_fail", 1, "upstream_cx_active", 0, "upstream_cx_destroy_local", 1)
}

// TestRetryFromFailure: a call started again from its own failure is not failed with
// the others that waited.
func TestRetryFromFailure(t *testing.T) {
	w, lc := one(t, "")
	w.OnDial(addr(1), looptest.Hold)
	p := &probe{lc: lc}
	p.on = func(p *probe, what string) {
		if strings.HasPrefix(what, "failed") && len(p.log) == 1 {
			w.OnDial(addr(1), looptest.Accept)
			p.start()
		}
	}
	p.start()
	w.Settle()
	w.dialled(1).Fail(syscall.ECONNREFUSED)
	w.Settle()
	w.dialled(1).Send(ok)
	w.Settle()
	p.expect(t, `failed UF remote connection failure; head 200; "ok" end`)
}

// TestRestartFromEnd: a call may be started again from within its last event.
func TestRestartFromEnd(t *testing.T) {
	w, lc := one(t, "")
	p := &probe{lc: lc}
	p.on = func(p *probe, what string) {
		if strings.HasSuffix(what, "end") && len(p.log) == 2 {
			p.start()
		}
	}
	p.start()
	w.Settle()
	peer := w.dialled(1)
	peer.Send(ok)
	w.Settle()
	for other := w.Dialled(addr(1)); other != nil; other = w.Dialled(addr(1)) {
		peer = other
	}
	if !p.Active() {
		t.Fatal("the call is not under way again")
	}
	w.stats("upstream_rq_active", 1)
	p.Cancel(sdk.ResetLocal)
	w.stats("upstream_rq_active", 0)
}

func TestCancel(t *testing.T) {
	w, lc := one(t, "")
	waiting := start(lc)
	waiting.Cancel(sdk.ResetLocal)
	if waiting.Active() {
		t.Error("a cancelled call waits")
	}
	w.stats("upstream_rq_cancelled", 1, "upstream_rq_pending_active", 0)
	w.Settle() // the connection that was begun is kept
	peer := w.dialled(1)
	p := start(lc)
	if !p.Ready() {
		t.Fatal("the connection made for a cancelled call is not kept")
	}
	w.Settle()
	p.Cancel(sdk.ResetLocal)
	p.Cancel(sdk.ResetLocal)
	w.Settle()
	if !peer.Closed() {
		t.Error("the connection of a cancelled exchange is open")
	}
	p.expect(t, "")
	w.stats("upstream_cx_destroy_local_with_active_rq", 1, "upstream_cx_active", 0, "upstream_rq_active", 0)
}

func TestCancelFromEvent(t *testing.T) {
	w, lc := one(t, "")
	p := &probe{lc: lc}
	p.on = func(p *probe, _ string) { p.Cancel(sdk.ResetLocal) }
	p.start()
	w.Settle()
	w.dialled(1).Send(ok)
	w.Settle()
	p.expect(t, "head 200")
	w.stats("upstream_cx_active", 0, "upstream_rq_active", 0)
}

// TestWaitingOrder: calls that wait are served in turn, and one that is cancelled in
// the middle is left out.
func TestWaitingOrder(t *testing.T) {
	w, lc := one(t, "circuit_breakers { thresholds { max_connections { value: 1 } } }")
	var order []int
	probes := make([]*probe, 5)
	for i := range probes {
		probes[i] = &probe{lc: lc, ready: func(p *probe) { order = append(order, i); p.send("GET", "", true) }}
		probes[i].start()
	}
	w.Settle()
	peer := w.dialled(1)
	probes[2].Cancel(sdk.ResetLocal)
	for range 4 {
		peer.Send(ok)
		w.Settle()
	}
	if len(order) != 4 || order[0] != 0 || order[1] != 1 || order[2] != 3 || order[3] != 4 {
		t.Errorf("served in the order %v", order)
	}
	if w.Dialled(addr(1)) != nil {
		t.Error("more than max_connections connections")
	}
	w.stats("upstream_cx_overflow", 4, "upstream_rq_pending_total", 5, "upstream_cx_total", 1)
}

// TestWaitingAfterLoss: what waits for a busy connection gets another when that is
// lost.
func TestWaitingAfterLoss(t *testing.T) {
	w, lc := one(t, "circuit_breakers { thresholds { max_connections { value: 1 } } }")
	p, q := start(lc), start(lc)
	w.Settle()
	w.dialled(1).Reset()
	w.Settle()
	p.expect(t, "failed UC connection termination")
	w.dialled(1).Send(ok)
	w.Settle()
	q.expect(t, `head 200; "ok" end`)
}

func TestPendingOverflow(t *testing.T) {
	w, lc := one(t, "circuit_breakers { thresholds { max_pending_requests { value: 1 } } }")
	w.OnDial(addr(1), looptest.Hold)
	p, q := start(lc), start(lc)
	q.expect(t, "failed UO overflow")
	if q.err != ErrPendingOverflow || !q.err.Unsent {
		t.Error("not ErrPendingOverflow")
	}
	w.stats("upstream_rq_pending_overflow", 1, "upstream_rq_pending_total", 1, "circuit_breakers.default.rq_pending_open", 1)
	w.Settle()
	w.dialled(1).Establish()
	w.Settle()
	if !p.Ready() {
		t.Error("the call that was first is not served")
	}
	w.stats("circuit_breakers.default.rq_pending_open", 0)
}

func TestRequestOverflow(t *testing.T) {
	w, lc := one(t, "circuit_breakers { thresholds { max_requests { value: 1 } track_remaining: true } }")
	p := start(lc)
	w.Settle()
	q := start(lc) // waits for its connection, then is one too many
	w.Settle()
	q.expect(t, "failed UO overflow")
	w.stats("upstream_rq_active_overflow", 1, "upstream_rq_pending_overflow", 0, "upstream_rq_total", 1, "upstream_cx_total", 2,
		"circuit_breakers.default.rq_open", 1, "circuit_breakers.default.remaining_rq", 0, "circuit_breakers.default.remaining_cx", 1022)
	r := start(lc) // meets the idle connection
	r.expect(t, "failed UO overflow")
	w.dialled(1).Send(ok)
	w.Settle()
	p.expect(t, `head 200; "ok" end`)
	if s := start(lc); !s.Ready() {
		t.Error("refused though nothing is active")
	}
	w.stats("upstream_rq_active_overflow", 2)
}

// TestPriorities: each routing priority has its own connections and limits.
func TestPriorities(t *testing.T) {
	w, lc := one(t, "circuit_breakers { thresholds { max_requests { value: 1 } } thresholds { priority: HIGH max_requests { value: 2 } } }")
	p := start(lc)
	w.Settle()
	peer := w.dialled(1)
	peer.Send(ok)
	w.Settle()
	p.events()
	high := &probe{lc: lc}
	lc.Start(&high.Call, lc.Choose(&LBContext{}), nil, high, High)
	if high.Ready() {
		t.Error("a connection of another priority is used")
	}
	w.Settle()
	if p.start(); !p.Ready() {
		t.Error("a request of high priority counts for the default one")
	}
	w.stats("circuit_breakers.default.rq_open", 1, "circuit_breakers.high.rq_open", 0)
}

func TestIdleTimeout(t *testing.T) {
	w, lc := one(t, "common_http_protocol_options { idle_timeout { seconds: 10 } }")
	p := start(lc)
	w.Settle()
	peer := w.dialled(1)
	w.Advance(20 * time.Second) // busy, not idle
	peer.Send(ok)
	w.Settle()
	w.Advance(9 * time.Second)
	p.start() // reused: the time begins anew
	w.Settle()
	w.Advance(9 * time.Second)
	peer.Send(ok)
	w.Settle()
	w.Advance(9 * time.Second)
	if peer.Closed() {
		t.Fatal("closed before its time")
	}
	w.Advance(1001 * time.Millisecond)
	if !peer.Closed() {
		t.Fatal("an idle connection is not closed")
	}
	w.stats("upstream_cx_idle_timeout", 1, "upstream_cx_active", 0, "upstream_cx_destroy_local", 1)
}

func TestIdleTimeoutDefaultAndOff(t *testing.T) {
	for _, c := range []struct {
		fields string
		after  time.Duration
	}{{"", time.Hour}, {"common_http_protocol_options { idle_timeout {} }", 0}} {
		w, lc := one(t, c.fields)
		start(lc)
		w.Settle()
		peer := w.dialled(1)
		peer.Send(ok)
		w.Settle()
		w.Advance(59 * time.Minute)
		if peer.Closed() {
			t.Errorf("%q: closed before its time", c.fields)
		}
		w.Advance(48 * time.Hour)
		if peer.Closed() != (c.after > 0) {
			t.Errorf("%q: closed = %v", c.fields, peer.Closed())
		}
	}
}

func TestMaxConnectionDuration(t *testing.T) {
	w, lc := one(t, "common_http_protocol_options { max_connection_duration { seconds: 5 } }")
	a, b := start(lc), start(lc)
	w.Settle()
	idle, busy := w.dialled(1), w.dialled(1)
	idle.Send(ok)
	w.Settle()
	w.Advance(5001 * time.Millisecond)
	if !idle.Closed() || busy.Closed() {
		t.Fatalf("idle closed %v, busy closed %v", idle.Closed(), busy.Closed())
	}
	w.stats("upstream_cx_max_duration_reached", 2)
	busy.Send(ok)
	w.Settle()
	if !busy.Closed() {
		t.Error("kept beyond its time")
	}
	a.expect(t, `head 200; "ok" end`)
	b.expect(t, `head 200; "ok" end`)
}

func TestMaxRequestsPerConnection(t *testing.T) {
	w, lc := one(t, "max_requests_per_connection { value: 3 }")
	p := start(lc)
	w.Settle()
	peer := w.dialled(1)
	for i := range 3 {
		if i > 0 {
			p.start()
		}
		w.Settle()
		peer.Send(ok)
		w.Settle()
	}
	if !peer.Closed() {
		t.Error("a fourth request could be sent")
	}
	w.stats("upstream_cx_max_requests", 1, "upstream_cx_total", 1)
}

// TestReadDisable: no event comes while reading is disabled, not even of bytes that
// were read already; and the next exchange is not affected.
func TestReadDisable(t *testing.T) {
	w, lc := one(t, "")
	p := &probe{lc: lc}
	p.on = func(p *probe, what string) {
		if what == "head 200" {
			p.ReadDisable(true)
			p.ReadDisable(true)
		}
	}
	p.start()
	w.Settle()
	peer := w.dialled(1)
	peer.Send(ok)
	w.Settle()
	p.expect(t, "head 200")
	p.ReadDisable(false)
	w.Settle()
	p.expect(t, "")
	p.ReadDisable(false)
	w.Settle()
	p.expect(t, `"ok" end`)
	w.stats("upstream_flow_control_paused_reading_total", 1, "upstream_flow_control_resumed_reading_total", 1)
}

// TestReadDisabledAtEnd: an owner that cannot read on when the response ends leaves
// the connection readable.
func TestReadDisabledAtEnd(t *testing.T) {
	w, lc := one(t, "")
	p := &probe{lc: lc}
	p.on = func(p *probe, what string) {
		if what == "head 200" {
			p.ReadDisable(true)
		}
	}
	p.start()
	w.Settle()
	peer := w.dialled(1)
	peer.Send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
	w.Settle()
	p.Cancel(sdk.ResetLocal)
	w.Settle()
	if !peer.Closed() {
		t.Error("open")
	}
}

func TestBackpressure(t *testing.T) {
	w, lc := one(t, "per_connection_buffer_limit_bytes { value: 1000 }")
	p := &probe{lc: lc, ready: func(p *probe) { p.send("POST", "", false) }}
	p.start()
	w.Settle()
	peer := w.dialled(1)
	peer.Window(0)
	if n := p.WriteData(make([]byte, 5000), false); n != 5000 || !p.AboveHigh() {
		t.Fatalf("%d bytes taken, above high %v", n, p.AboveHigh())
	}
	w.Settle()
	p.expect(t, "")
	peer.Window(-1)
	w.Settle()
	p.expect(t, "writable")
	if p.AboveHigh() {
		t.Error("still above the high watermark")
	}
	w.stats("upstream_flow_control_backed_up_total", 1, "upstream_flow_control_drained_total", 1)
	p.WriteData(nil, true)
	w.Settle()
	peer.Send(ok)
	w.Settle()
	p.expect(t, `head 200; "ok" end`)
	if start(lc).Ready() == false {
		t.Error("the connection was not kept")
	}
}

func TestUpgrade(t *testing.T) {
	w, lc := one(t, "")
	p := &probe{lc: lc}
	p.ready = func(p *probe) {
		var m sdk.Message
		m.AddID(sdk.HeaderMethod, "GET")
		m.AddID(sdk.HeaderPath, "/")
		m.AddID(sdk.HeaderAuthority, "a")
		m.Add("connection", "upgrade")
		m.Add("upgrade", "websocket")
		m.Upgrade = true
		if err := p.WriteHeaders(&m, false); err != nil {
			panic(err)
		}
	}
	p.start()
	w.Settle()
	peer := w.dialled(1)
	peer.Received()
	peer.Send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nraw")
	w.Settle()
	p.expect(t, `head 101; "raw"`)
	p.WriteData([]byte("more"), false)
	w.Settle()
	if got := peer.Received(); got != "more" {
		t.Errorf("the host got %q", got)
	}
	p.WriteData(nil, true)
	w.Settle()
	if !peer.Ended() || peer.Closed() {
		t.Error("the end of our side is not a half close")
	}
	peer.Send("bye")
	w.Settle()
	p.expect(t, `"bye"`)
	peer.Close()
	w.Settle()
	p.expect(t, "failed UC connection termination")
	w.stats("upstream_cx_active", 0, "upstream_rq_active", 0)
}

func TestWriteHeadersRefused(t *testing.T) {
	w, lc := one(t, "")
	var refused error
	p := &probe{lc: lc, ready: func(p *probe) {
		var m sdk.Message // no method
		refused = p.WriteHeaders(&m, true)
	}}
	p.start()
	w.Settle()
	if refused == nil || !p.Active() {
		t.Fatalf("err %v, active %v", refused, p.Active())
	}
	if got := w.dialled(1).Received(); got != "" {
		t.Errorf("written: %q", got)
	}
	p.Cancel(sdk.ResetLocal)
}

// TestUnsent: a connection that dies before the socket took a byte of the request.
func TestUnsent(t *testing.T) {
	w, lc := one(t, "")
	w.OnDial(addr(1), looptest.Hold)
	p := start(lc)
	w.Settle()
	peer := w.dialled(1)
	peer.Window(0)
	peer.Establish()
	w.Settle()
	if !p.Ready() {
		t.Fatal("not connected")
	}
	peer.Reset()
	w.Settle()
	if p.err != ErrConnLostUnsent {
		t.Errorf("failed with %+v", p.err)
	}
}

func TestTwoStartsPanic(t *testing.T) {
	_, lc := one(t, "")
	p := start(lc)
	defer func() {
		if recover() == nil {
			t.Error("a call was started twice")
		}
		p.Cancel(sdk.ResetLocal)
	}()
	p.start()
}

// TestStreamEvents: what codecs of other protocols tell.
func TestStreamEvents(t *testing.T) {
	for _, c := range []struct {
		answer, want string
		err          *sdk.Error
		closed       bool
	}{
		{"ok\n", `head 200; "ok" end`, nil, false},
		{"!\n", "failed UR remote reset", ErrRemoteReset, true},
		{"!!\n", "failed UR remote refused stream reset", ErrRefused, true},
		{"-\nok\n", `head 200; "ok" end`, nil, true},
		{"+\nok\n", `writable; head 200; "ok" end`, nil, false},
	} {
		w, lc := oneWith(t, lineCodec(), "")
		p := start(lc)
		w.Settle()
		peer := w.dialled(1)
		peer.Send(c.answer)
		w.Settle()
		p.expect(t, c.want)
		if p.err != c.err || peer.Closed() != c.closed {
			t.Errorf("%q: err %v, closed %v", c.answer, p.err, peer.Closed())
		}
	}
}

// TestPartialWrite: end counts only when everything was taken.
func TestPartialWrite(t *testing.T) {
	w, lc := oneWith(t, lineCodec(), "")
	p := &probe{lc: lc, ready: func(p *probe) { p.send("POST", "", false) }}
	p.start()
	w.Settle()
	if n := p.WriteData([]byte("abcde"), true); n != 3 || p.requestDone {
		t.Fatalf("%d taken, request done %v", n, p.requestDone)
	}
	if n := p.WriteData([]byte("de"), true); n != 2 || !p.requestDone {
		t.Fatalf("%d taken, request done %v", n, p.requestDone)
	}
}

// TestEarlyResponse: a connection whose request was not sent completely is not used
// again, even if its codec would.
func TestEarlyResponse(t *testing.T) {
	w, lc := oneWith(t, lineCodec(), "")
	p := &probe{lc: lc, ready: func(p *probe) { p.send("POST", "", false) }}
	p.start()
	w.Settle()
	peer := w.dialled(1)
	peer.Send("ok\n")
	w.Settle()
	p.expect(t, `head 200; "ok" end`)
	if !peer.Closed() {
		t.Error("the connection is kept")
	}
}

// TestResetStream: where the protocol can give up a stream, the connection stays,
// and it reads on even if the stream did not.
func TestResetStream(t *testing.T) {
	w, lc := oneWith(t, lineCodec(), "")
	p := start(lc)
	w.Settle()
	peer := w.dialled(1)
	p.ReadDisable(true)
	p.Cancel(sdk.ResetLocalRefused)
	w.stats("upstream_rq_active", 0, "upstream_cx_active", 1)
	q := start(lc)
	w.Settle()
	if got := peer.Received(); got != "/\nreset\n/\n" {
		t.Errorf("sent %q", got)
	}
	peer.Send("ok\n")
	w.Settle()
	q.expect(t, `head 200; "ok" end`)
	p.expect(t, "")
}

// TestIdleConnectionDiesInTheSameTurn: a call that starts in the turn in which the
// idle connection broke, before the pool was told, gets another one.
func TestIdleConnectionDiesInTheSameTurn(t *testing.T) {
	w, lc := one(t, "")
	a := start(lc)
	b := &probe{lc: lc}
	b.on = func(b *probe, what string) {
		if strings.HasSuffix(what, "end") && len(b.log) == 2 {
			b.start()
		}
	}
	b.start()
	w.Settle()
	idle, busy := w.dialled(1), w.dialled(1)
	idle.Send(ok)
	w.Settle()
	a.expect(t, `head 200; "ok" end`)
	idle.Reset()
	busy.Send(ok)
	w.Settle() // b waits for a connection until its own is free
	busy.Send(ok)
	w.Settle()
	b.expect(t, `head 200; "ok" end; head 200; "ok" end`)
}

// TestLongHead: a head may be as long as the codec allows; the connection keeps what
// is not complete.
func TestLongHead(t *testing.T) {
	w, lc := one(t, "")
	p := start(lc)
	w.Settle()
	peer := w.dialled(1)
	peer.Send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: " + strings.Repeat("x", 70<<10))
	w.Settle()
	p.expect(t, "")
	peer.Send("\r\n\r\n")
	w.Settle()
	p.expect(t, "head 200 end")
	p.start()
	w.Settle()
	peer.Send("HTTP/1.1 200 OK\r\nx: " + strings.Repeat("x", 200<<10)) // beyond the limit
	w.Settle()
	p.expect(t, "failed UPE protocol error")
}
