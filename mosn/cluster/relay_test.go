package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

// onePerHost limits connections to one, beside other thresholds.
func onePerHost(thresholds string) string {
	return static("circuit_breakers { per_host_thresholds { max_connections { value: 1 } } " + thresholds + "} per_connection_buffer_limit_bytes { value: 20000 }")
}

// relayed makes a world of four loops whose cluster c has one connection to its host,
// on loop 0.
func relayed(t testing.TB, f frameCodec, thresholds string) (*world, func(loop int) *LoopCluster) {
	t.Helper()
	w := newWorld(t, 4, nil)
	w.codec = f.codec()
	for i := range 4 {
		w.NetOf(i).OnDial(addr(1), looptest.Accept)
	}
	w.set(onePerHost(thresholds))
	return w, func(loop int) *LoopCluster { return w.m.Local(loop).Get("c") }
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		limit, loops, host int
		owners, quotas     string
	}{
		{0, 4, 1, "0 1 2 3", "0 0 0 0"}, // no limit: each its own
		{1, 1, 5, "0", "1"},
		{1, 4, 0, "0 0 0 0", "1 1 1 1"},
		{1, 4, 6, "2 2 2 2", "1 1 1 1"},
		{2, 4, 0, "0 1 0 1", "1 1 1 1"},
		{3, 4, 1, "1 1 2 3", "1 1 1 1"},
		{4, 4, 3, "0 1 2 3", "1 1 1 1"},
		{6, 4, 0, "0 1 2 3", "2 2 1 1"},
	} {
		var owners, quotas []string
		total, seen := 0, map[int]bool{}
		for i := range c.loops {
			o, q := share(c.limit, c.loops, i, c.host)
			owners, quotas = append(owners, fmt.Sprint(o)), append(quotas, fmt.Sprint(q))
			if own, _ := share(c.limit, c.loops, o, c.host); own != o {
				t.Errorf("%+v: loop %d hands over to %d, which hands over to %d", c, i, o, own)
			}
			if !seen[o] {
				total, seen[o] = total+q, true
			}
		}
		if strings.Join(owners, " ") != c.owners || strings.Join(quotas, " ") != c.quotas || total != c.limit {
			t.Errorf("%+v: owners %v, quotas %v", c, owners, quotas)
		}
	}
}

func TestHandOver(t *testing.T) {
	w, lc := relayed(t, frameCodec{}, "")
	a, b := ask(lc(3), "a"), ask(lc(1), "b")
	c := &probe{lc: lc(2), ready: func(p *probe) {
		p.send("POST", "c", false)
		p.WriteData([]byte("body"), false)
		p.WriteTrailers(&sdk.Message{})
	}}
	c.start()
	if !a.Ready() || a.LocalAddr() != (eventloop.Addr{}) {
		t.Error("a call that is handed over is not ready, or knows the connection's address")
	}
	w.Settle()
	peer := w.dialled(1)
	for i := range 4 {
		if w.NetOf(i).Dialled(addr(1)) != nil {
			t.Fatalf("loop %d made a connection too", i)
		}
	}
	if got := frames(peer); got != "q1:/a q2:/b Q3:/c D3:body T3" {
		t.Fatalf("sent %q", got)
	}
	say(peer, 'I', 1, "")
	say(peer, 'H', 1, "")
	say(peer, 'D', 1, "x")
	say(peer, 'T', 1, "")
	say(peer, 'H', 2, "")
	say(peer, 'd', 2, "b")
	say(peer, 'h', 3, "")
	w.Settle()
	a.expect(t, `1xx 100; head 200; "x"; trailers 1`)
	b.expect(t, `head 200; "b" end`)
	c.expect(t, "head 200 end")
	if a.ConnID() != b.ConnID() || a.ConnID() == 0 || a.BytesReceived() != 4*frameHead+1 || a.BytesSent() != frameHead+2 {
		t.Errorf("connection %d, %d received, %d sent", a.ConnID(), a.BytesReceived(), a.BytesSent())
	}
	w.stats("upstream_cx_total", 1, "upstream_rq_total", 3, "upstream_rq_active", 0)
}

// TestHandOverEnds lists the ends of a call that is handed over, other than a
// response; each relay is used again.
func TestHandOverEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(w *world, p *probe, peer *looptest.Peer)
		want  string
		check func(p *probe) bool
	}{
		{"reset", func(_ *world, _ *probe, peer *looptest.Peer) { say(peer, 'R', 1, "") }, "failed UR remote reset", nil},
		{"refused", func(_ *world, _ *probe, peer *looptest.Peer) { say(peer, 'G', 0, "") },
			"failed UR remote refused stream reset", func(p *probe) bool { return p.err == ErrRefused }},
		{"lost", func(_ *world, _ *probe, peer *looptest.Peer) { peer.Close() }, "failed UC connection termination",
			func(p *probe) bool { return p.err == ErrConnLost }},
		{"malformed", func(_ *world, _ *probe, peer *looptest.Peer) { say(peer, 'Z', 1, "") }, "failed UPE protocol error", nil},
		{"cancelled", func(_ *world, p *probe, _ *looptest.Peer) { p.Cancel(sdk.ResetLocal) }, "", nil},
		{"cancelled while the answer is under way", func(w *world, p *probe, peer *looptest.Peer) {
			say(peer, 'h', 1, "")
			w.Loop.RunTurn() // the owner's loop
			p.Cancel(sdk.ResetLocal)
		}, "", nil},
		{"cancelled in the middle of a response", func(w *world, p *probe, peer *looptest.Peer) {
			p.on = func(p *probe, what string) {
				if what == `"x"` {
					p.Cancel(sdk.ResetLocal)
				}
			}
			say(peer, 'H', 1, "")
			say(peer, 'D', 1, "x")
			say(peer, 'D', 1, "y")
		}, `head 200; "x"`, nil},
		{"cancelled with all of the answer unread", func(w *world, p *probe, peer *looptest.Peer) {
			p.ReadDisable(true)
			say(peer, 'H', 1, "")
			say(peer, 'd', 1, "x")
			w.Settle()
			p.Cancel(sdk.ResetLocal)
		}, "", nil},
		{"answered early", func(_ *world, _ *probe, peer *looptest.Peer) { say(peer, 'h', 1, "") }, "head 200 end",
			func(p *probe) bool { return p.WriteData([]byte("late"), true) == 4 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, lc := relayed(t, frameCodec{}, "")
			p := post(lc(2), "a")
			w.Settle()
			peer := w.dialled(1)
			p.WriteData([]byte("left"), false)
			c.do(w, p, peer)
			w.Settle()
			p.expect(t, c.want)
			if p.Active() || c.check != nil && !c.check(p) {
				t.Errorf("active %v, error %+v", p.Active(), p.err)
			}
			w.stats("upstream_rq_active", 0)
			local := w.m.Local(2)
			r := local.relays[0]
			if r == nil || r.caller.next != nil {
				t.Fatal("the relay was not given back once")
			}
			p.on = nil
			p.ready = func(p *probe) { p.send("GET", "again", true) }
			p.start()
			w.Settle()
			if p.carrier != r {
				t.Error("the relay is not used again")
			}
			if next := w.Dialled(addr(1)); next != nil {
				peer = next
			}
			got := frames(peer)
			if !strings.HasSuffix(got, ":/again") {
				t.Fatalf("sent %q", got)
			}
			id := uint64(got[len(got)-len("1:/again")] - '0')
			say(peer, 'h', id, "")
			w.Settle()
			p.expect(t, "head 200 end")
		})
	}
}

func TestHandOverConnectFails(t *testing.T) {
	w, lc := relayed(t, frameCodec{}, "")
	w.OnDial(addr(1), looptest.Refuse)
	p := ask(lc(1), "a")
	w.Settle()
	p.expect(t, "failed UF remote connection failure")
	if p.err != ErrConnFailure || p.TransportFailure() != "delayed connect error: Connection refused" {
		t.Errorf("%+v, %q", p.err, p.TransportFailure())
	}
	w.OnDial(addr(1), looptest.Hold)
	p.start()
	w.Settle()
	p.Cancel(sdk.ResetLocal) // while the owner waits for the connection
	w.Settle()
	w.stats("upstream_rq_pending_active", 0, "upstream_rq_cancelled", 1)
}

func TestHandOverRefusedMessage(t *testing.T) {
	w, lc := relayed(t, frameCodec{}, "")
	p := &probe{lc: lc(1), ready: func(p *probe) {
		var m sdk.Message
		if err := p.WriteHeaders(&m, true); err != nil {
			panic(err)
		}
	}}
	p.start()
	w.Settle()
	p.expect(t, "failed UPE protocol error")
	w.stats("upstream_rq_active", 0)
}

// TestHandOverBreakers: the limits hold over all loops.
func TestHandOverBreakers(t *testing.T) {
	w, lc := relayed(t, frameCodec{}, "thresholds { max_requests { value: 2 } }")
	var calls []*probe
	for i := range 4 {
		calls = append(calls, ask(lc(i), "x"))
	}
	w.Settle()
	failed := 0
	for _, p := range calls {
		if p.events() == "failed UO overflow" {
			failed++
		}
	}
	if failed != 2 {
		t.Errorf("%d of 4 calls failed", failed)
	}
	w.stats("upstream_rq_active", 2, "upstream_rq_active_overflow", 2)
}

// TestHandOverLargeBodies: bodies pass in both directions through lanes of a few
// parcels, with a slow peer and a slow owner, and nothing is lost or doubled.
func TestHandOverLargeBodies(t *testing.T) {
	const size = 1 << 20
	w, lc := relayed(t, frameCodec{piece: 1000}, "")
	body := make([]byte, size)
	for i := range body {
		body[i] = byte('a' + i*7%26)
	}
	p := post(lc(3), "a")
	sent := 0
	push := func(p *probe) {
		sent += p.WriteData(body[sent:], true)
	}
	p.on = func(p *probe, what string) {
		if what == "writable" {
			push(p)
		}
	}
	push(p)
	if sent == size || !p.AboveHigh() {
		t.Fatalf("%d bytes are taken at once", sent)
	}
	w.Settle()
	peer := w.dialled(1)
	var raw []byte
	for i := 0; i < 10000 && len(raw) < size+size/1000*frameHead; i++ {
		peer.Window(5000)
		for range 5 {
			say(peer, 'W', 1, "")
			w.Settle()
		}
		raw = append(raw, peer.Take()...)
	}
	peer.Window(-1)
	w.Settle()
	raw = append(raw, peer.Take()...)
	if got := bodyOf(raw); got != string(body) {
		t.Fatalf("%d bytes arrived, or other ones", len(got))
	}
	var got strings.Builder
	p.events()
	p.on = nil

	say(peer, 'H', 1, "")
	for at := 0; at < size; at += 1 << 14 {
		say(peer, 'D', 1, string(body[at:at+1<<14]))
	}
	say(peer, 'd', 1, "")
	p.ReadDisable(true)
	w.Settle()
	if peer.Unread() == 0 {
		t.Error("everything was read for an owner that does not take it")
	}
	if got := p.events(); got != "" {
		t.Fatalf("told while reading is disabled: %.60q", got)
	}
	for p.Active() {
		p.ReadDisable(false)
		w.Advance(3 * time.Millisecond)
		if p.Active() {
			p.ReadDisable(true)
		}
		for _, what := range strings.Split(p.events(), "; ") {
			if strings.HasPrefix(what, `"`) {
				got.WriteString(strings.TrimSuffix(strings.Trim(strings.TrimSuffix(what, " end"), `"`), `"`))
			}
		}
	}
	if got.String() != string(body) {
		t.Fatalf("%d bytes came back, or other ones", got.Len())
	}
	w.stats("upstream_rq_active", 0)
}

// bodyOf returns the data of one request's frames.
func bodyOf(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		n := frameHead + int(uint32(b[5])<<24|uint32(b[6])<<16|uint32(b[7])<<8|uint32(b[8]))
		if b[0] == 'D' || b[0] == 'd' {
			out.Write(b[frameHead:n])
		}
		b = b[n:]
	}
	return out.String()
}

// TestHandOverOverload: an owner whose mailbox is full refuses calls at once, those
// that it has taken are not lost.
func TestHandOverOverload(t *testing.T) {
	w, lc := relayed(t, frameCodec{}, "thresholds { max_requests { value: 100000 } max_pending_requests { value: 100000 } }")
	one := ask(lc(1), "x")
	w.Settle()
	peer := w.dialled(1)
	frames(peer)
	for w.Group.Loop(0).TryPost(eventloop.TaskFunc(func(*eventloop.Loop) {})) {
	}
	one.Cancel(sdk.ResetLocal)
	var calls []*probe
	refused := 0
	for refused < 10 {
		p := ask(lc(1), "x")
		if p.err != nil {
			p.expect(t, "failed UO overflow")
			refused++
			continue
		}
		if calls = append(calls, p); len(calls) > 10000 {
			t.Fatal("nothing bounds what waits for the owner")
		}
	}
	calls[0].Cancel(sdk.ResetLocal)
	w.Advance(10 * time.Millisecond)
	w.stats("upstream_rq_active", len(calls)-1, "upstream_rq_pending_overflow", refused)
	sent := strings.Fields(frames(peer))
	if len(sent) != len(calls) || sent[0] != "R1" {
		t.Fatalf("%d requests of %d, the first %q", len(sent), len(calls), sent[0])
	}
	for _, s := range sent[1:] {
		var id uint64
		if _, err := fmt.Sscanf(s, "q%d:", &id); err != nil {
			t.Fatal(s)
		}
		say(peer, 'h', id, "")
	}
	w.Advance(10 * time.Millisecond)
	for _, p := range calls[1:] {
		p.expect(t, "head 200 end")
	}
	w.stats("upstream_rq_active", 0)
}

// TestHandOverDuringUpdate: the caller's loop has another generation of the cluster
// than the owner's, or the owner's has none.
func TestHandOverDuringUpdate(t *testing.T) {
	for _, remove := range []bool{false, true} {
		w, lc := relayed(t, frameCodec{}, "")
		old := lc(1)
		if remove {
			if err := w.m.Update(nil, []string{"c"}); err != nil {
				t.Fatal(err)
			}
			w.Settle()
		} else {
			w.set(onePerHost(""))
		}
		p := &probe{lc: old, ready: func(p *probe) { p.send("GET", "a", true) }}
		p.start()
		w.Settle()
		peer := w.dialled(1)
		say(peer, 'h', 1, "")
		w.Settle()
		p.expect(t, "head 200 end")
		if !peer.Closed() {
			t.Error("a connection of a cluster that is gone is kept")
		}
	}
}

// TestHandOverWindows: what has gone to the caller's loop opens the window; a caller
// that does not read keeps no more than its lane's.
func TestHandOverWindows(t *testing.T) {
	w, lc := relayed(t, frameCodec{flow: true}, "")
	p := ask(lc(1), "a")
	w.Settle()
	peer := w.dialled(1)
	say(peer, 'H', 1, "")
	say(peer, 'D', 1, "123")
	w.Settle()
	if got := frames(peer); got != "q1:/a C1:3" {
		t.Errorf("sent %q", got)
	}
	p.ReadDisable(true)
	for range 4 * laneSlots {
		say(peer, 'D', 1, "4")
	}
	w.Settle()
	if got := strings.Count(frames(peer), "C1:1"); got == 0 || got >= laneSlots {
		t.Errorf("%d pieces have opened the window", got)
	}
	p.ReadDisable(false)
	w.Advance(10 * time.Millisecond)
	if got := strings.Count(strings.Join(p.log, ""), "4"); got != 4*laneSlots {
		t.Errorf("%d pieces came", got)
	}
	p.Cancel(sdk.ResetLocal)
}

// TestHandOverMailboxFull: a mailbox that is full while a call is under way delays what
// is posted, in both directions; nothing of it is lost.
func TestHandOverMailboxFull(t *testing.T) {
	fill := func(l *eventloop.Loop) {
		from := l.Group().Loop(2)
		for from.PostFromLoop(l, eventloop.TaskFunc(func(*eventloop.Loop) {})) {
		}
		for l.TryPost(eventloop.TaskFunc(func(*eventloop.Loop) {})) {
		}
	}
	stuff := func(from, to *eventloop.Loop) { // the outbox too
		fill(to)
		for from.PostFromLoop(to, eventloop.TaskFunc(func(*eventloop.Loop) {})) {
		}
	}
	w, lc := relayed(t, frameCodec{}, "")
	p := post(lc(1), "a")
	w.Settle()
	peer := w.dialled(1)
	frames(peer)
	owner, caller := w.Group.Loop(0), w.Group.Loop(1)
	stuff(caller, owner)
	p.WriteData([]byte("body"), true)
	w.Advance(5 * time.Millisecond)
	if got := frames(peer); got != "d1:body" {
		t.Fatalf("sent %q", got)
	}
	say(peer, 'H', 1, "")
	say(peer, 'd', 1, "x")
	stuff(owner, caller)
	w.Advance(5 * time.Millisecond)
	p.expect(t, `head 200; "x" end`)

	p.ready = func(p *probe) { p.send("GET", "b", true) }
	p.start()
	w.Settle()
	stuff(caller, owner)
	p.Cancel(sdk.ResetLocal)
	w.Advance(5 * time.Millisecond)
	if got := frames(peer); got != "q2:/b R2" {
		t.Errorf("sent %q", got)
	}
	w.stats("upstream_rq_active", 0)
	if r := w.m.Local(1).relays[0]; r == nil || r.caller.next != nil {
		t.Error("the relay was not given back")
	}
}

// TestHandOverOwnerPanics: what comes after the event in which a call's owner panics is
// delivered, once, and the relay is given back.
func TestHandOverOwnerPanics(t *testing.T) {
	for _, at := range []string{"head 200", `"y" end`} {
		w, lc := relayed(t, frameCodec{}, "")
		p := ask(lc(1), "a")
		w.Settle()
		p.on = func(_ *probe, what string) {
			if what == at {
				panic("on purpose")
			}
		}
		peer := w.dialled(1)
		say(peer, 'H', 1, "")
		say(peer, 'D', 1, "x")
		say(peer, 'd', 1, "y")
		w.Settle()
		p.expect(t, `head 200; "x"; "y" end`)
		if r := w.m.Local(1).relays[0]; p.Active() || r == nil || r.caller.next != nil {
			t.Error("the call is active, or the relay was not given back")
		}
	}
}

// TestHandOverEndAlwaysFits: the end of a request is taken when nothing else is.
func TestHandOverEndAlwaysFits(t *testing.T) {
	for _, trailers := range []bool{false, true} {
		w, lc := relayed(t, frameCodec{}, "")
		p := post(lc(1), "a")
		sent := 0
		for p.WriteData([]byte("x"), false) == 1 {
			sent++
		}
		if trailers {
			p.WriteTrailers(&sdk.Message{})
		} else {
			p.WriteData(nil, true)
		}
		w.Settle()
		got := frames(w.dialled(1))
		if strings.Count(got, "D1:x") != sent || !strings.HasSuffix(got, map[bool]string{false: " d1", true: " T1"}[trailers]) {
			t.Errorf("%d pieces: sent %q", sent, got)
		}
	}
}
