package cluster

import (
	"testing"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

// renamed is a codec's configuration under a codec of a test's own.
type renamed struct {
	sdk.CodecConfig
	codec *sdk.Codec
}

func (n renamed) Codec() *sdk.Codec { return n.codec }

// rpcs are two protocols beside HTTP: frames that share connections, and lines, which
// take turns.
type rpcs struct{ frames, lines *sdk.Codec }

// twoRPCs makes a world whose cluster c speaks HTTP/1 and those two.
func twoRPCs(t *testing.T, loops int, fields string) (*world, rpcs) {
	t.Helper()
	r := rpcs{
		frames: &sdk.Codec{Name: "frames", RPC: true, Mode: sdk.Multiplexed},
		lines:  &sdk.Codec{Name: "lines", RPC: true, Mode: sdk.Serial},
	}
	w := newWorld(t, loops, nil)
	w.rpc = []sdk.CodecConfig{renamed{frameCodec{}, r.frames}, renamed{lineConfig{}, r.lines}}
	for i := range loops {
		w.NetOf(i).OnDial(addr(1), looptest.Accept)
	}
	w.set(static(fields))
	return w, r
}

// rpc starts a call of a protocol; share is Message.Share.
func rpc(lc *LoopCluster, codec *sdk.Codec, share uint8, path string, oneWay bool) *probe {
	m := &sdk.Message{Protocol: sdk.RPC, Codec: codec, Share: share, OneWay: oneWay}
	m.AddID(sdk.HeaderPath, path)
	p := &probe{lc: lc, ready: func(p *probe) {
		if err := p.WriteHeaders(m, true); err != nil {
			panic(err)
		}
	}}
	lc.Start(&p.Call, lc.Choose(&LBContext{}), m, p, Default)
	return p
}

// TestOwnProtocol: a request is carried by its own protocol; what must not share a
// connection does not, and all else of one protocol does.
func TestOwnProtocol(t *testing.T) {
	w, r := twoRPCs(t, 1, "")
	lc := w.m.Local(0).Get("c")
	a, b := rpc(lc, r.frames, 0, "a", false), rpc(lc, r.frames, 0, "b", false)
	w.Settle()
	shared := w.dialled(1)
	if got := frames(shared); got != "q1:a q2:b" {
		t.Errorf("sent %q", got)
	}
	apart := rpc(lc, r.frames, 1, "c", false)
	w.Settle()
	other := w.dialled(1)
	if got := frames(other); got != "q1:c" {
		t.Errorf("sent %q", got)
	}
	line := rpc(lc, r.lines, 0, "d", false)
	http := start(lc)
	w.Settle()
	lines, web := w.dialled(1), w.dialled(1)
	if got := lines.Received(); got != "d\n" {
		t.Errorf("sent %q", got)
	}
	if got := web.Received(); got != "GET / HTTP/1.1\r\nhost: a\r\n\r\n" {
		t.Errorf("sent %q", got)
	}
	say(shared, 'h', 1, "")
	say(other, 'h', 1, "")
	lines.Send("yes\n")
	web.Send(ok)
	w.Settle()
	a.expect(t, "head 200 end")
	b.expect(t, "")
	apart.expect(t, "head 200 end")
	line.expect(t, `head 200; "yes" end`)
	http.expect(t, `head 200; "ok" end`)
	again := rpc(lc, r.lines, 0, "e", false)
	w.Settle()
	if got := lines.Received(); got != "e\n" {
		t.Errorf("the kept connection got %q", got)
	}
	b.Cancel(sdk.ResetLocal)
	again.Cancel(sdk.ResetLocal)
	w.stats("upstream_cx_total", 4, "upstream_rq_total", 6, "upstream_cx_http1_total", 1)
	if err := w.m.Update(nil, []string{"c"}); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	w.stats("upstream_cx_active", 0)
}

// TestNoProtocol: an RPC of a protocol that the cluster does not have fails, unsent.
func TestNoProtocol(t *testing.T) {
	w, _ := twoRPCs(t, 1, "")
	p := rpc(w.m.Local(0).Get("c"), &sdk.Codec{Name: "frames", RPC: true}, 0, "a", false)
	p.expect(t, "failed UPE protocol error")
	w.stats("upstream_cx_total", 0)
}

// TestProtocolHandedOver: the loop that has the connections has those of each protocol.
func TestProtocolHandedOver(t *testing.T) {
	w, r := twoRPCs(t, 4, "circuit_breakers { per_host_thresholds { max_connections { value: 1 } } }")
	var calls []*probe
	for i := range 4 {
		calls = append(calls, rpc(w.m.Local(i).Get("c"), r.frames, uint8(i/2), "a", false))
	}
	line := rpc(w.m.Local(3).Get("c"), r.lines, 0, "d", false)
	w.Settle()
	zero, one := w.NetOf(0).Dialled(addr(1)), w.NetOf(0).Dialled(addr(1))
	if zero == nil || one == nil {
		t.Fatal("loop 0 has not made two connections")
	}
	for _, p := range []*looptest.Peer{zero, one} {
		if got := frames(p); got != "q1:a q2:a" {
			t.Errorf("sent %q", got)
		}
		say(p, 'h', 1, "")
		say(p, 'h', 2, "")
	}
	own := w.NetOf(3).Dialled(addr(1)) // protocols that take turns have connections on every loop
	own.Send("yes\n")
	w.Settle()
	for _, c := range calls {
		c.expect(t, "head 200 end")
	}
	line.expect(t, `head 200; "yes" end`)
	if len(w.Logs) > 0 {
		t.Error(w.Logs)
	}
}

// TestOneWayInTurn: a one-way request of a protocol that takes turns ends when it is
// sent, and its connection serves the next.
func TestOneWayInTurn(t *testing.T) {
	w, r := twoRPCs(t, 1, "")
	lc := w.m.Local(0).Get("c")
	p := rpc(lc, r.lines, 0, "a", true)
	w.Settle()
	peer := w.dialled(1)
	p.expect(t, "head 200 end")
	peer.Window(0)
	p = rpc(lc, r.lines, 0, "b", true)
	w.Settle()
	p.expect(t, "") // it is not sent yet
	peer.Window(-1)
	w.Settle()
	p.expect(t, "head 200 end")
	if got := peer.Received(); got != "a\nb\n" {
		t.Errorf("sent %q", got)
	}
	w.stats("upstream_cx_total", 1, "upstream_rq_active", 0)
}
