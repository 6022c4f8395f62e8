package stream

import (
	"maps"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

const pairedCluster = "connection_pool_per_downstream_connection: true "

// elsewhere routes one method to cluster m.
const elsewhere = `virtual_hosts { name: "v" domains: "*"
	routes { match { prefix: "/a.Service/elsewhere" } route { cluster: "m" } }
	routes { match { prefix: "/" } route { cluster: "c" } } }`

// paired has cluster c tie its connections to the clients', and host n of it known by
// the client's first call.
func paired(o setup) setup {
	o.clusters = maps.Clone(o.clusters)
	if o.clusters == nil {
		o.clusters = map[string]string{}
	}
	o.clusters["c"] = pairedCluster + o.clusters["c"]
	return withBolt(o)
}

// tied is a client that has called, and the connection of its own to the host.
func (w *world) tied() (c, host *looptest.Peer) {
	w.t.Helper()
	c = w.client()
	w.says(c, request(1, "register", 3000, "me"))
	host = w.backend(1)
	w.hears(host, "request 1 timeout=3000 me")
	w.says(host, answerTo(1, "known"))
	w.hears(c, "answer 1 status=0 known")
	return c, host
}

// noReverse checks that nothing of hosts' requests is left.
func (w *world) noReverse(total int) {
	w.t.Helper()
	w.stats("downstream_rq_reverse_total", total, "downstream_rq_reverse_active", 0)
	w.idle()
}

// TestReverse: a host calls the client that it knows, and gets its answer. The bytes
// are the same, but for the ids.
func TestReverse(t *testing.T) {
	w := newWorld(t, paired(setup{}))
	c, host := w.tied()
	push := request(7, "push", 4000, "news")
	push.headers = append(push.headers, "Mixed-Case", "v\n1", ":path", "x", "x-envoy-y", "z")
	w.says(host, push)
	push.id = 2
	w.got(c, push.String())
	w.stats("downstream_rq_reverse_active", 1, "downstream_rq_active", 0)
	back := answerTo(2, "thanks")
	back.headers, back.status = []string{"a", "b"}, 2
	w.says(c, back)
	back.id = 7
	w.got(host, back.String())
	w.noReverse(1)
	w.logged("POST /a.Service/register 200 - via_upstream")

	w.says(host, request(8, "empty", 0, ""))
	w.hears(c, "request 3 timeout=0")
	w.says(c, answerTo(3, ""))
	w.hears(host, "answer 8 status=0")
	w.noReverse(2)
}

// TestReverseRefused: over a connection that clients share a host cannot call any of
// them.
func TestReverseRefused(t *testing.T) {
	w := newWorld(t, withBolt(setup{}))
	c, host := w.tied()
	oneWay := request(6, "push", 0, "news")
	oneWay.kind = 2
	w.says(host, request(5, "push", 3000, "news"), oneWay)
	w.hears(host, "answer 5 status=6")
	w.hears(c)
	w.stats(".upstream_rq_stray_response", 2)
	w.noReverse(0)
}

// TestReverseSameIDs: both directions of both connections have ids of their own, so
// that all may be the same.
func TestReverseSameIDs(t *testing.T) {
	w := newWorld(t, paired(setup{}))
	a, ha := w.tied()
	b, hb := w.tied()
	for _, p := range []*looptest.Peer{a, b} {
		w.says(p, request(1, "ask", 3000, "q"))
	}
	for _, p := range []*looptest.Peer{ha, hb} {
		w.hears(p, "request 2 timeout=3000 q")
		w.says(p, request(1, "push", 3000, "p1"), request(2, "push", 3000, "p2"))
	}
	w.hears(a, "request 3 timeout=3000 p1\nrequest 4 timeout=3000 p2")
	w.says(a, request(3, "ask", 3000, "q3"), request(4, "ask", 3000, "q4"), answerTo(4, "a2"))
	w.hears(ha, "request 5 timeout=3000 q3\nrequest 6 timeout=3000 q4\nanswer 2 status=0 a2")
	w.says(ha, answerTo(5, "r3"), answerTo(2, "r"), answerTo(6, "r4"))
	w.says(a, answerTo(3, "a1"))
	w.hears(a, "answer 3 status=0 r3\nanswer 1 status=0 r\nanswer 4 status=0 r4")
	w.hears(ha, "answer 1 status=0 a1")
	w.hears(b, "request 3 timeout=3000 p1\nrequest 4 timeout=3000 p2")
	w.says(b, answerTo(3, "b1"), answerTo(4, "b2"))
	w.says(hb, answerTo(2, "s"))
	w.hears(b, "answer 1 status=0 s")
	w.hears(hb, "answer 1 status=0 b1\nanswer 2 status=0 b2")
	w.noReverse(4)
	w.stats(".upstream_cx_total", 2)
}

// TestReverseOneWay: one that needs no answer ends when it is written.
func TestReverseOneWay(t *testing.T) {
	w := newWorld(t, paired(setup{}))
	c, host := w.tied()
	f := request(7, "tell", 0, "news")
	f.kind = 2
	w.says(host, f)
	w.hears(c, "oneway 2 timeout=0 news")
	w.noReverse(1)
	w.says(c, answerTo(2, "unasked"))
	w.hears(host)
}

// TestReverseStray: answers to what was not asked, or was answered, are dropped; and a
// request with the id of one that is open ends the host's connection.
func TestReverseStray(t *testing.T) {
	w := newWorld(t, paired(setup{}))
	c, host := w.tied()
	w.says(c, answerTo(1, "x"), answerTo(77, "x"))
	w.says(host, request(9, "push", 3000, "p"))
	w.hears(c, "request 2 timeout=3000 p")
	w.says(c, answerTo(2, "one"), answerTo(2, "two"))
	w.hears(host, "answer 9 status=0 one")
	w.says(host, answerTo(9, "x"))
	w.hears(c)
	w.noReverse(1)
	w.says(host, request(9, "push", 3000, "p"), request(9, "push", 3000, "p"))
	if !host.Ended() || !c.Ended() {
		t.Error("the id of an open request was taken again")
	}
	w.stats(".upstream_cx_protocol_error", 1)
	w.noReverse(2)
}

// TestReverseTimeout: a client that does not answer costs the host its patience, at
// most the idle timeout of streams; a late answer is nobody's.
func TestReverseTimeout(t *testing.T) {
	w := newWorld(t, paired(setup{edit: func(cfg *Config) { cfg.StreamIdleTimeout = 9 * time.Second }}))
	c, host := w.tied()
	w.says(host, request(5, "push", 2000, "a"), request(6, "push", 0, "b"))
	w.hears(c, "request 2 timeout=2000 a\nrequest 3 timeout=0 b")
	w.Advance(1999 * time.Millisecond)
	w.hears(host)
	w.Advance(time.Millisecond)
	w.hears(host, "answer 5 status=7")
	w.Advance(7 * time.Second)
	w.hears(host, "answer 6 status=7")
	w.says(c, answerTo(2, "late"), answerTo(3, "late"))
	w.hears(host)
	w.noReverse(2)
	if c.Ended() || host.Ended() {
		t.Error("a connection has ended")
	}
}

// TestPairedKeepsHost: a client stays with the host that knows it, whatever the
// balancer would have; HTTP is balanced as ever.
func TestPairedKeepsHost(t *testing.T) {
	w := newWorld(t, paired(setup{hosts: 3, action: `retry_policy { retry_on: "connect-failure" num_retries { value: 9 } }`}))
	w.OnDial(addr(2), looptest.Refuse) // who is sent there is sent on
	at := map[int]int{}
	for range 3 {
		c := w.client()
		w.says(c, request(1, "a", 0, ""), request(2, "b", 0, ""))
		w.Advance(time.Second)
		w.says(c, request(3, "c", 0, ""))
		for n := 1; n <= 3; n++ {
			for h := w.next(n); h != nil; h = w.next(n) {
				if n == 2 {
					continue
				}
				if got := strings.Count(frames(h.Received()), "request"); got != 3 {
					t.Errorf("host %d got %d requests of the client", n, got)
				}
				w.says(h, answerTo(1, ""), answerTo(2, ""), answerTo(3, ""))
				at[n]++
			}
		}
	}
	if at[1] == 0 || at[3] == 0 || at[1]+at[3] != 3 {
		t.Errorf("connections: %v", at)
	}
}

// TestPairedHTTP: HTTP/1 clients have connections of their own too, which end with
// them; a host's end is no business of the client's.
func TestPairedHTTP(t *testing.T) {
	w := newWorld(t, setup{clusters: map[string]string{"c": pairedCluster}})
	a, b := w.client(), w.client()
	var hosts []*looptest.Peer
	for _, c := range []*looptest.Peer{a, b} {
		w.send(c, get)
		h := w.backend(1)
		w.send(h, ok2)
		w.got(c, ok2Down)
		hosts = append(hosts, h)
	}
	w.send(a, get)
	w.got(hosts[0], getUp+getUp)
	w.send(hosts[0], ok2)
	w.got(a, ok2Down)
	hosts[0].Close()
	w.Settle()
	if a.Ended() {
		t.Error("the client's connection ended with the host's")
	}
	w.send(a, get)
	again := w.backend(1)
	a.Close()
	w.Settle()
	if !again.Ended() || hosts[1].Ended() {
		t.Errorf("the client's connection ended: %v, another's: %v", again.Ended(), hosts[1].Ended())
	}
	w.stats(".upstream_cx_total", 3, ".upstream_cx_active", 1)
	w.idle()
}
