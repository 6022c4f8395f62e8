package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

const pairedField = "connection_pool_per_downstream_connection: true "

// client is a downstream connection for tests.
type client struct {
	w     *world
	lc    *LoopCluster
	codec *sdk.Codec
	pair  *Pair
	full  bool
	shut  bool // takes no requests
	log   []string
	calls []*hostProbe
}

// hostProbe is a request of a host and what its owner sees.
type hostProbe struct {
	HostCall
	cl *client
}

func (c *client) NewHostCall() *HostCall {
	if c.shut {
		return nil
	}
	h := &hostProbe{cl: c}
	h.Init(h)
	c.calls = append(c.calls, h)
	return &h.HostCall
}

func (c *client) Full() bool { return c.full }
func (c *client) OnTieLost() { c.log = append(c.log, "lost") }

func (h *hostProbe) note(format string, args ...any) {
	h.cl.log = append(h.cl.log, fmt.Sprintf("%d ", h.id)+fmt.Sprintf(format, args...))
}

func (h *hostProbe) OnHostHeaders(_ *HostCall, m *sdk.Message, end bool) {
	h.note("%s%s", m.Path(), ended(end))
}
func (h *hostProbe) OnHostData(_ *HostCall, p []byte, end bool) { h.note("%q%s", p, ended(end)) }
func (h *hostProbe) OnHostWritable(*HostCall)                   { h.note("writable") }
func (h *hostProbe) OnHostReset(*HostCall) {
	h.note("reset")
	if h.Active() {
		panic("a call that was reset is active")
	}
}

// saw compares what the client has seen since the last time.
func (c *client) saw(want string) {
	c.w.t.Helper()
	got := strings.Join(c.log, "; ")
	c.log = nil
	if got != want {
		c.w.t.Errorf("saw %q, want %q", got, want)
	}
}

// call begins a call over the client's own connections.
func (c *client) call(path string) *probe {
	m := &sdk.Message{Protocol: sdk.RPC, Codec: c.codec}
	m.AddID(sdk.HeaderPath, path)
	m.AddID(sdk.HeaderAuthority, "a")
	m.AddID(sdk.HeaderMethod, "GET")
	p := &probe{lc: c.lc, ready: func(p *probe) {
		if err := p.WriteHeaders(m, true); err != nil {
			panic(err)
		}
	}}
	c.lc.StartPaired(c.pair, &p.Call, c.lc.Choose(&LBContext{}), m, p, Default)
	c.w.Settle()
	return p
}

// pairs makes a world with the paired cluster c, and n clients of a protocol that lets
// hosts call.
func pairs(t *testing.T, n int, fields string) (*world, rpcs, []*client) {
	t.Helper()
	w, r := twoRPCs(t, 1, pairedField+fields)
	lc := w.m.Local(0).Get("c")
	if !lc.Paired() {
		t.Fatal("the cluster is not paired")
	}
	var list []*client
	for range n {
		cl := &client{w: w, lc: lc, codec: r.frames}
		cl.pair = NewPair(w.Loop, cl)
		list = append(list, cl)
	}
	return w, r, list
}

// known is a client whose first call was answered over a connection of its own.
func known(t *testing.T, fields string) (*world, *client, *looptest.Peer) {
	t.Helper()
	w, _, list := pairs(t, 1, fields)
	p := list[0].call("/a")
	host := w.dialled(1)
	say(host, 'h', 1, "")
	w.Settle()
	p.expect(t, "head 200 end")
	if got := frames(host); got != "q1:/a" {
		t.Fatalf("sent %q", got)
	}
	return w, list[0], host
}

// tell has the host send a frame, and settles.
func (w *world) tell(host *looptest.Peer, kind byte, id uint64, payload string) {
	say(host, kind, id, payload)
	w.Settle()
}

// TestPairs: each client has one connection to a host and protocol, and Close ends
// what is the client's alone.
func TestPairs(t *testing.T) {
	w, r, list := pairs(t, 2, "")
	a, b := list[0], list[1]
	calls := []*probe{a.call("/1"), a.call("/2")}
	ha := w.dialled(1)
	calls = append(calls, b.call("/3"))
	hb := w.dialled(1)
	a.codec = r.lines
	calls = append(calls, a.call("/4"))
	lines := w.dialled(1)
	if got := frames(ha) + "|" + frames(hb) + "|" + lines.Received(); got != "q1:/1 q2:/2|q1:/3|/4\n" {
		t.Errorf("sent %q", got)
	}
	w.stats("upstream_cx_active", 3, "upstream_rq_active", 4)
	shared := rpc(a.lc, r.frames, 0, "shared", true)
	w.Settle()
	hs := w.dialled(1)
	for _, c := range calls[:2] {
		c.Cancel(sdk.ResetLocal)
	}
	calls[3].Cancel(sdk.ResetLocal)
	a.pair.Close()
	w.Settle()
	if !ha.Ended() || !lines.Ended() || hb.Ended() || hs.Ended() {
		t.Errorf("ended: %v %v %v %v", ha.Ended(), lines.Ended(), hb.Ended(), hs.Ended())
	}
	a.saw("")
	w.tell(hb, 'h', 1, "")
	calls[2].expect(t, "head 200 end")
	shared.expect(t, "head 200 end")
	b.pair.Close()
	w.Settle()
	w.stats("upstream_cx_active", 1, "upstream_rq_active", 0)
	if n := len(a.lc.paired); n != 0 {
		t.Errorf("%d pools are left", n)
	}
}

// TestPairCloseEarly: a connection that is being made when the client leaves ends when
// it stands.
func TestPairCloseEarly(t *testing.T) {
	w, _, list := pairs(t, 1, "")
	w.OnDial(addr(1), looptest.Hold)
	p := list[0].call("/a")
	host := w.dialled(1)
	p.Cancel(sdk.ResetLocal)
	list[0].pair.Close()
	host.Establish()
	w.Settle()
	if !host.Ended() {
		t.Error("it goes on")
	}
	w.stats("upstream_cx_active", 0)
}

// TestHostCalls: requests of the host in all shapes, and their answers.
func TestHostCalls(t *testing.T) {
	w, cl, host := known(t, "")
	w.tell(host, 'Q', 1001, "/x")
	w.tell(host, 'q', 1002, "/y")
	w.tell(host, 'O', 1003, "/z")
	w.tell(host, 'D', 1001, "a")
	w.tell(host, 'T', 1001, "")
	cl.saw(`1001 /x; 1002 /y end; 1003 /z end; 1001 "a"; 1001 "" end`)
	x, y, z := cl.calls[0], cl.calls[1], cl.calls[2]
	if !x.Active() || z.Active() {
		t.Error("a one-way call is under way, or another one not")
	}
	m := &sdk.Message{}
	if err := y.WriteHeaders(m, true); err != nil || y.Active() {
		t.Errorf("%v, active %v", err, y.Active())
	}
	_ = x.WriteHeaders(m, false)
	x.WriteData([]byte("b"), true)
	if x.Active() || x.WriteHeaders(m, true) != nil || x.WriteData([]byte("c"), true) != 1 || x.AboveHigh() {
		t.Error("more than an answer")
	}
	x.Cancel(sdk.ResetLocal)
	w.Settle()
	if got := frames(host); got != "h1002 H1001 d1001:b" {
		t.Errorf("answered %q", got)
	}
	w.tell(host, 'Q', 1004, "/w")
	w.tell(host, 'R', 1004, "")
	w.tell(host, 'D', 1004, "late")
	cl.saw("1004 /w; 1004 reset")
	w.tell(host, 'q', 1005, "/v")
	cl.calls[4].Cancel(sdk.ResetLocal)
	w.Settle()
	if got := frames(host); got != "R1005" {
		t.Errorf("said %q", got)
	}
	w.tell(host, 'H', 77, "") // an answer to nothing is none of these
	cl.saw("1005 /v end")
	w.stats("upstream_rq_stray_response", 1, "upstream_cx_active", 1, "upstream_rq_total", 1)
}

// TestHostCallsRefused: by a client that takes none, and above the limit.
func TestHostCallsRefused(t *testing.T) {
	w, cl, host := known(t, settings("max_streams", 1))
	w.tell(host, 'q', 1001, "/x")
	w.tell(host, 'q', 1002, "/y")
	cl.shut = true
	cl.calls[0].Cancel(sdk.ResetLocal)
	w.tell(host, 'q', 1003, "/y")
	if got := frames(host); got != "R1002 R1001 R1003" {
		t.Errorf("said %q", got)
	}
	cl.saw("1001 /x end")
	w.stats("upstream_rq_stray_response", 2)
}

// TestHostCallsUnpaired: over a connection that clients share no host may call.
func TestHostCallsUnpaired(t *testing.T) {
	w, r := twoRPCs(t, 1, "")
	rpc(w.m.Local(0).Get("c"), r.frames, 0, "a", false)
	w.Settle()
	host := w.dialled(1)
	w.tell(host, 'q', 1001, "/x")
	w.stats("upstream_cx_protocol_error", 1)
}

// TestHostCallsFull: while the client takes no more its hosts are not read.
func TestHostCallsFull(t *testing.T) {
	w, cl, host := known(t, "")
	cl.full = true
	w.tell(host, 'O', 1001, "/x")
	w.tell(host, 'O', 1002, "/y")
	cl.saw("1001 /x end")
	cl.full = false
	cl.pair.Resume()
	w.Settle()
	cl.saw("1002 /y end")
	cl.full = true
	w.tell(host, 'O', 1003, "/z")
	host.Reset()
	w.Settle()
	cl.pair.Resume() // it is gone
	cl.saw("1003 /z end; lost")
	w.stats("upstream_cx_active", 0)
}

// TestHostCallsWrite: an answer waits for the host, and for its turn.
func TestHostCallsWrite(t *testing.T) {
	w, cl, host := known(t, "per_connection_buffer_limit_bytes { value: 1000 } ")
	w.tell(host, 'q', 1001, "/x")
	w.tell(host, 'q', 1002, "/y")
	host.Window(0)
	x, y := cl.calls[0], cl.calls[1]
	_ = x.WriteHeaders(&sdk.Message{}, false)
	x.WriteData(make([]byte, 3000), false)
	w.Settle()
	if !x.AboveHigh() {
		t.Error("it is not above the limit")
	}
	cl.saw("1001 /x end; 1002 /y end")
	host.Window(-1)
	w.Settle()
	cl.saw("1001 writable")
	w.tell(host, 'W', 1002, "")
	w.tell(host, 'W', 0, "")
	cl.saw("1002 writable")
	y.Cancel(sdk.ResetLocal)
	w.tell(host, 'W', 1002, "")
	cl.saw("")
}

// TestHostCallsCut: where the protocol cannot give up half an answer, the connection
// ends, and with it what the host knows.
func TestHostCallsCut(t *testing.T) {
	w, r, list := pairs(t, 1, "")
	cl := list[0]
	w.rpc[0] = renamed{frameCodec{noReset: true}, r.frames}
	w.set(static(pairedField + "alt_stat_name: \"c\""))
	cl.lc = w.m.Local(0).Get("c")
	p := cl.call("/a")
	host := w.dialled(1)
	w.tell(host, 'q', 1001, "/x")
	w.tell(host, 'q', 1002, "/y")
	cl.calls[0].Cancel(sdk.ResetConnTimeout)
	w.Settle()
	cl.saw("1001 /x end; 1002 /y end; 1002 reset; lost")
	p.expect(t, "failed UC connection termination")
	if !host.Ended() {
		t.Error("the connection goes on")
	}
	w.stats("upstream_cx_active", 0, "upstream_rq_active", 0)
}

// TestTieLost: however a connection ends that the host knows a client by, the client
// is told; it never ends for want of use.
func TestTieLost(t *testing.T) {
	for _, tt := range []struct {
		name, fields string
		end          func(w *world, host *looptest.Peer)
	}{
		{"closed", "", func(_ *world, host *looptest.Peer) { host.Close() }},
		{"reset", "", func(_ *world, host *looptest.Peer) { host.Reset() }},
		{"malformed", "", func(_ *world, host *looptest.Peer) { say(host, 'Z', 0, "") }},
		{"away", "", func(_ *world, host *looptest.Peer) { say(host, 'G', 9, "") }},
		{"dead", settings("heartbeat_interval", "1s", "heartbeat_misses", 1), func(w *world, _ *looptest.Peer) {
			w.Advance(time.Second)
			w.Advance(2 * time.Second)
		}},
		{"too old", "common_http_protocol_options { max_connection_duration { seconds: 5 } } ", func(w *world, _ *looptest.Peer) {
			w.Advance(5 * time.Second)
		}},
		{"the host is gone", "", func(w *world, _ *looptest.Peer) {
			w.set(strings.Replace(static(pairedField), "10.0.0.1", "10.0.0.2", 1))
		}},
		{"the cluster is changed", "", func(w *world, _ *looptest.Peer) { w.set(static(pairedField + "lb_policy: RANDOM")) }},
		{"the cluster is gone", "", func(w *world, _ *looptest.Peer) {
			if err := w.m.Update(nil, []string{"c"}); err != nil {
				w.t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.fields == "" {
				tt.fields = settings("heartbeat_interval", "0s")
			}
			w, cl, host := known(t, tt.fields)
			if tt.name == "closed" {
				w.Advance(100 * time.Hour) // idle_timeout
				cl.saw("")
			}
			w.tell(host, 'q', 1001, "/x")
			cl.saw("1001 /x end")
			tt.end(w, host)
			w.Settle()
			got := strings.Join(cl.log, "; ")
			if got != "lost" && got != "1001 reset; lost" {
				t.Errorf("saw %q", got)
			}
			cl.log = nil
			if got == "lost" { // what is under way may end
				if host.Ended() {
					t.Fatal("the connection has ended")
				}
				_ = cl.calls[0].WriteHeaders(&sdk.Message{}, true)
				w.Settle()
				if got := frames(host); !strings.HasSuffix(got, "h1001") {
					t.Errorf("answered %q", got)
				}
			}
			if !host.Ended() {
				t.Error("the connection goes on")
			}
			cl.log = nil
			cl.pair.Close()
			w.Settle()
			cl.saw("")
		})
	}
}

// TestTieNever: a connection that was never made tells nobody anything, and neither
// does one of HTTP.
func TestTieNever(t *testing.T) {
	w, _, list := pairs(t, 1, "")
	cl := list[0]
	w.OnDial(addr(1), looptest.Refuse)
	p := cl.call("/a")
	p.expect(t, "failed UF remote connection failure")
	cl.saw("")
	w.OnDial(addr(1), looptest.Accept)
	web := &probe{lc: cl.lc}
	cl.lc.StartPaired(cl.pair, &web.Call, cl.lc.Choose(&LBContext{}), nil, web, Default)
	w.Settle()
	host := w.dialled(1)
	for host.Received() == "" { // the connection that was refused
		host = w.dialled(1)
	}
	host.Send(ok)
	w.Settle()
	web.expect(t, `head 200; "ok" end`)
	host.Close()
	w.Settle()
	cl.saw("")
	w.stats("upstream_cx_active", 0)
}

// TestPairPools: pools of clusters and hosts that are gone make way.
func TestPairPools(t *testing.T) {
	w, r, list := pairs(t, 1, "")
	cl := list[0]
	cl.codec = r.lines
	for i := range 20 {
		w.set(static(fmt.Sprintf("%s per_connection_buffer_limit_bytes { value: %d }", pairedField, 1000+i)))
		cl.lc = w.m.Local(0).Get("c")
		p := cl.call("/a")
		host := w.dialled(1)
		host.Send("yes\n")
		w.Settle()
		if p.Active() {
			t.Fatal("no answer")
		}
	}
	if n := len(cl.pair.pools); n > 2 {
		t.Errorf("%d pools", n)
	}
	cl.pair.Close()
	w.Settle()
	w.stats("upstream_cx_active", 0, "upstream_cx_total", 20)
}

// TestPairedCompiles: the field is taken, and not together with a limit for hosts'
// shared connections.
func TestPairedCompiles(t *testing.T) {
	w, _ := twoRPCs(t, 1, "")
	_, err := w.compile(static(pairedField + "circuit_breakers { per_host_thresholds { max_connections { value: 1 } } }"))
	if err == nil || !strings.Contains(err.Error(), "circuit_breakers.per_host_thresholds") ||
		!strings.Contains(err.Error(), "connection_pool_per_downstream_connection") {
		t.Errorf("%v", err)
	}
}

var _ sdk.Reverser = (*frameConn)(nil)
