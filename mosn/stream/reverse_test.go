package stream

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
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

// over checks that nothing of hosts' requests is left.
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

// TestReverseClientLeaves: its connections to hosts end with the client, whatever is
// under way.
func TestReverseClientLeaves(t *testing.T) {
	for name, leave := range map[string]func(p *looptest.Peer){
		"closes": (*looptest.Peer).Close, "resets": (*looptest.Peer).Reset,
	} {
		for stage := range 4 {
			t.Run(fmt.Sprint(name, stage), func(t *testing.T) {
				w := newWorld(t, paired(setup{}))
				c, host := w.tied()
				other, _ := w.tied()
				push, long := request(5, "push", 3000, strings.Repeat("x", 20000)).String(), strings.Repeat("y", 20000)
				switch stage {
				case 1: // half of a request
					w.send(host, push[:17000])
				case 2: // no answer
					w.send(host, push)
				case 3: // half an answer
					w.send(host, push)
					w.send(c, answerTo(2, long).String()[:17000])
				}
				leave(c)
				w.Settle()
				if !host.Ended() {
					t.Error("the host's connection goes on")
				}
				w.stats(".upstream_cx_active", 1, "downstream_cx_active", 1)
				if other.Ended() {
					t.Error("another client is concerned")
				}
				w.noReverse(min(stage, 1))
			})
		}
	}
}

// TestReverseLastWords: what the client has answered before it left reaches the host.
func TestReverseLastWords(t *testing.T) {
	w := newWorld(t, paired(setup{}))
	c, host := w.tied()
	w.says(host, request(5, "push", 3000, "p"))
	host.Window(10)
	c.Send(answerTo(2, "bye").String())
	c.Close()
	w.Settle()
	host.Window(-1)
	w.Settle()
	w.hears(host, "answer 5 status=0 bye")
	if !host.Ended() {
		t.Error("the host's connection goes on")
	}
	w.noReverse(1)
}

// TestReverseHostLeaves: the client gets what is under way from other hosts, and then
// the end of its connection.
func TestReverseHostLeaves(t *testing.T) {
	o := setup{clusters: map[string]string{"m": ""}, table: elsewhere}
	for name, leave := range map[string]func(p *looptest.Peer){
		"closes": (*looptest.Peer).Close, "resets": (*looptest.Peer).Reset,
		"goes away": func(p *looptest.Peer) {
			p.Send("\x01\x01\x00\x64\x01\x00\x00\x00\x01\x01" + strings.Repeat("\x00", 12))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, paired(o))
			c, host := w.tied()
			w.says(c, request(2, "elsewhere", 0, "q"), request(3, "here", 0, "q"))
			w.says(host, request(5, "push", 3000, "p"))
			w.hears(c, "request 4 timeout=3000 p")
			leave(host)
			w.Settle()
			if name == "goes away" {
				w.says(host, answerTo(2, "last"))
				w.hears(c, "answer 3 status=0 last")
			} else {
				w.hears(c, "answer 3 status=16")
			}
			if c.Ended() {
				t.Fatal("the client is cut off from an answer under way")
			}
			w.says(c, request(9, "here", 0, "q"), answerTo(4, "late"))
			w.says(w.backend(11), answerTo(1, "r"))
			w.hears(c, "answer 2 status=0 r")
			if !c.Ended() || !host.Ended() {
				t.Errorf("client ended %v, host ended %v", c.Ended(), host.Ended())
			}
			w.stats(".upstream_cx_total", 1)
			w.noReverse(1)
		})
	}
}

// TestReverseHostGone: the same when a host is no longer the cluster's, or there was
// nothing under way.
func TestReverseHostGone(t *testing.T) {
	w := newWorld(t, paired(setup{clusters: map[string]string{"c": "circuit_breakers {}"}}))
	c, host := w.tied()
	if err := w.m.Update(nil, []string{"c"}); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	if !c.Ended() || !host.Ended() {
		t.Errorf("client ended %v, host ended %v", c.Ended(), host.Ended())
	}
	w.stats("downstream_cx_active", 0)
}

// TestReverseFlood: a host may ask so much at a time, of one-way requests as much as
// the client reads.
func TestReverseFlood(t *testing.T) {
	w := newWorld(t, paired(setup{limit: 4000, clusters: map[string]string{
		"c": `metadata { filter_metadata { key: "mosn" value { fields { key: "max_streams" value { number_value: 3 } } } } }`}}))
	c, host := w.tied()
	for id := range uint32(5) {
		w.says(host, request(10+id, "push", 3000, "p"))
	}
	w.hears(host, "answer 13 status=4", "answer 14 status=4")
	w.hears(c, "request 2 timeout=3000 p", "request 3 timeout=3000 p", "request 4 timeout=3000 p")
	w.stats(".upstream_rq_stray_response", 2, "downstream_rq_reverse_active", 3)
	w.says(c, answerTo(2, ""), answerTo(3, ""), answerTo(4, ""))
	w.hears(host, "answer 10 status=0", "answer 11 status=0", "answer 12 status=0")
	w.noReverse(3)

	c.Window(0)
	tell := request(20, "tell", 0, strings.Repeat("z", 300))
	tell.kind = 2
	host.Send(strings.Repeat(tell.String(), 20000))
	w.Settle()
	if n := host.Unread(); n < 6<<20 {
		t.Errorf("%d bytes of the host are not read", n)
	}
	if n := w.Loop.Buffers().InUse(); n > 40 {
		t.Errorf("%d chunks are in use", n)
	}
	c.Window(-1)
	w.Settle()
	if n := strings.Count(frames(c.Received()), "oneway"); n != 20000 {
		t.Errorf("%d reached the client", n)
	}
	w.noReverse(20003)
}

// TestReverseBig: big bodies pass in both directions in small pieces, between peers
// that read slowly, and little of them is held.
func TestReverseBig(t *testing.T) {
	w := newWorld(t, paired(setup{limit: 8000, clusters: map[string]string{"c": "per_connection_buffer_limit_bytes { value: 8000 }"}}))
	c, host := w.tied()
	for _, slow := range []bool{false, true} {
		body := strings.Repeat("0123456789abcdef", 60000)
		pass := func(from, to *looptest.Peer, f frame, want string) {
			if slow {
				to.Window(0)
			}
			from.Send(f.String())
			w.Settle()
			for got := ""; ; {
				got += to.Received()
				if got != "" && len(frames(got)) == len(want) {
					if frames(got) != want {
						t.Error("another frame arrived")
					}
					break
				}
				if slow && w.Loop.Buffers().InUse() > 40 {
					t.Fatalf("%d chunks are in use", w.Loop.Buffers().InUse())
				}
				if !slow {
					t.Fatalf("%d bytes came", len(got))
				}
				to.Window(50000)
				w.Settle()
			}
			to.Window(-1)
		}
		id := uint32(2)
		if slow {
			id = 3
		}
		pass(host, c, request(5, "push", 0, body), fmt.Sprintf("request %d timeout=0 %s", id, body))
		pass(c, host, answerTo(id, body+"!"), "answer 5 status=0 "+body+"!")
	}
	w.noReverse(2)
}

// TestReverseTakesTurns: while another host's answer is being written to the client a
// request waits, and not in unbounded memory.
func TestReverseTakesTurns(t *testing.T) {
	w := newWorld(t, paired(setup{limit: 8000, clusters: map[string]string{"m": ""}, table: elsewhere}))
	c, host := w.tied()
	w.says(c, request(2, "elsewhere", 0, "q"))
	other, body := w.backend(11), strings.Repeat("0123456789", 4000)
	answer := answerTo(1, body).String()
	w.send(other, answer[:20000])
	push := strings.Repeat("p", 900000)
	oneWay := request(6, "tell", 0, "t")
	oneWay.kind = 2
	host.Send(request(5, "push", 3000, push).String() + oneWay.String())
	w.Settle()
	if n := host.Unread(); n < 700000 {
		t.Errorf("%d bytes of the host are not read", n)
	}
	w.send(other, answer[20000:])
	w.hears(c, "answer 2 status=0 "+body, "request 3 timeout=3000 "+push, "oneway 4 timeout=0 t")
	w.says(c, answerTo(3, "ok"))
	w.hears(host, "answer 5 status=0 ok")
	w.noReverse(2)
}

// TestReverseCutOff: what is given up half written takes the connection along.
func TestReverseCutOff(t *testing.T) {
	t.Run("request", func(t *testing.T) {
		w := newWorld(t, paired(setup{}))
		c, host := w.tied()
		w.send(host, request(5, "push", 2000, strings.Repeat("x", 40000)).String()[:20000])
		w.Advance(2 * time.Second)
		if !c.Ended() || !host.Ended() {
			t.Errorf("client ended %v, host ended %v", c.Ended(), host.Ended())
		}
		w.noReverse(1)
	})
	t.Run("answer", func(t *testing.T) {
		w := newWorld(t, paired(setup{}))
		c, host := w.tied()
		w.says(host, request(5, "push", 2000, "x"))
		w.send(c, answerTo(2, strings.Repeat("x", 40000)).String()[:20000])
		w.Advance(2 * time.Second)
		w.Advance(time.Second)
		if !c.Ended() || !host.Ended() {
			t.Errorf("client ended %v, host ended %v", c.Ended(), host.Ended())
		}
		w.noReverse(1)
	})
	t.Run("early answer", func(t *testing.T) {
		w := newWorld(t, paired(setup{}))
		c, host := w.tied()
		w.send(host, request(5, "push", 2000, strings.Repeat("x", 40000)).String()[:20000])
		w.says(c, answerTo(2, "no"))
		if !c.Ended() {
			t.Error("the client's connection goes on")
		}
		w.noReverse(1)
	})
}

// TestReverseDrain: a connection that is to end waits for hosts' requests as for its
// own.
func TestReverseDrain(t *testing.T) {
	w := newWorld(t, paired(setup{}))
	c, host := w.tied()
	w.says(host, request(5, "push", 3000, "p"))
	w.hears(c, "request 2 timeout=3000 p")
	w.w.Drain()
	w.Settle()
	if c.Ended() {
		t.Fatal("it has ended")
	}
	w.says(c, answerTo(2, "ok"))
	w.hears(host, "answer 5 status=0 ok")
	if !c.Ended() {
		t.Error("it goes on")
	}
	w.noReverse(1)
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

// TestReverseQueue: requests that wait for another answer's end have all come by then,
// and heads that wait are bounded.
func TestReverseQueue(t *testing.T) {
	w := newWorld(t, paired(setup{clusters: map[string]string{"m": ""}, table: elsewhere}))
	c, host := w.tied()
	w.says(c, request(2, "elsewhere", 0, "q"))
	other, body := w.backend(11), strings.Repeat("0123456789", 4000)
	answer := answerTo(1, body).String()
	w.send(other, answer[:20000])
	tell := request(9, "tell", 0, "t")
	tell.kind = 2
	w.says(host, request(5, "push", 3000, "p5"), request(6, "push", 3000, strings.Repeat("six", 9000)), tell,
		request(7, "push", 1000, "p7"))
	w.Advance(time.Second) // one of them is given up while it waits
	w.hears(host, "answer 7 status=7")
	w.send(other, answer[20000:])
	w.hears(c, "answer 2 status=0 "+body, "request 3 timeout=3000 p5", "request 4 timeout=3000 "+strings.Repeat("six", 9000),
		"oneway 5 timeout=0 t")
	w.says(c, answerTo(3, ""), answerTo(4, ""))
	w.hears(host, "answer 5 status=0", "answer 6 status=0")

	w.says(c, request(3, "elsewhere", 0, "q"))
	answer = answerTo(2, body).String()
	w.send(other, answer[:20000])
	fat := request(0, "push", 3000, "")
	fat.headers = append(fat.headers, "fat", strings.Repeat("h", 50000))
	for fat.id = range 30 {
		w.says(host, fat)
	}
	refused := strings.Count(frames(host.Received()), "status=4")
	if refused < 8 || refused > 12 {
		t.Errorf("%d of 30 were refused", refused)
	}
	w.send(other, answer[20000:])
	if n := strings.Count(frames(c.Received()), "request"); n != 30-refused {
		t.Errorf("%d came to the client", n)
	}
	w.says(c, request(1, "still", 0, "q"))
	c.Close()
	w.Settle()
	w.noReverse(34)
}

// stopper holds the end of requests to /half for a second.
type stopper struct{ sdk.PassThrough }

func (stopper) New(sdk.Stream) sdk.Filter { return stopper{} }
func (stopper) Close()                    {}

func (stopper) OnRequestData(s sdk.Stream, _ *sdk.Buffer, end bool) sdk.Action {
	if !end || !strings.HasSuffix(s.Request().Path(), "half") {
		return sdk.Continue
	}
	s.After(time.Second, s.ResumeRequest)
	return sdk.Pause
}

// TestReverseAnswersWait: while a request to the host is half written the client's
// answers wait, and when they are long the client is not read.
func TestReverseAnswersWait(t *testing.T) {
	w := newWorld(t, paired(setup{limit: 30000, filters: []FilterConfig{{Name: "stop", Config: stopper{}}}}))
	c, host := w.tied()
	w.says(host, request(5, "push", 9000, "a"), request(6, "push", 9000, "b"), request(7, "push", 500, "c"))
	w.hears(c, "request 2 timeout=9000 a\nrequest 3 timeout=9000 b\nrequest 4 timeout=500 c")
	half := request(2, "half", 0, strings.Repeat("h", 20000)).String()
	w.send(c, half[:18000])
	w.send(c, half[18000:])
	long := strings.Repeat("long", 20000)
	w.says(c, answerTo(2, "first"), answerTo(4, "third"), answerTo(3, long))
	if c.Unread() == 0 {
		t.Error("all of the client's answers were read")
	}
	w.Advance(500 * time.Millisecond) // one of them is given up while it waits
	w.Advance(time.Second)
	got := frames(host.Received())
	for _, want := range []string{"timeout=15000 " + strings.Repeat("h", 20000), "answer 5 status=0 first", "answer 6 status=0 " + long,
		"answer 7 status=7"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %.30q in %.300q ... (%d bytes)", want, got, len(got))
		}
	}
	if c.Unread() > 0 {
		t.Errorf("%d bytes of the client are not read", c.Unread())
	}
	c.Close()
	w.Settle()
	w.noReverse(3)
}

// TestReverseMalformed: an answer that cannot be read is the host's error; a host whose
// request cannot be read loses its connection.
func TestReverseMalformed(t *testing.T) {
	w := newWorld(t, paired(setup{}))
	c, host := w.tied()
	w.says(host, request(5, "push", 3000, "a"))
	bad := answerTo(2, "x")
	bad.headers = []string{"odd"}
	w.says(c, bad, request(2, "ask", 3000, "q"))
	w.hears(host, "answer 5 status=0 remote reset", "request 3 timeout=3000 q")
	odd := request(6, "push", 3000, "b")
	odd.headers = append(odd.headers, "odd")
	w.says(host, odd)
	w.hears(c, "request 2 timeout=3000 a", "answer 2 status=16")
	if !host.Ended() || !c.Ended() {
		t.Errorf("client ended %v, host ended %v", c.Ended(), host.Ended())
	}
	w.noReverse(1)
}

// TestReverseHostLeavesHalf: a request of which half has come when a host leaves has no
// answer to wait for.
func TestReverseHostLeavesHalf(t *testing.T) {
	w := newWorld(t, paired(setup{clusters: map[string]string{"m": ""}, table: elsewhere}))
	c, host := w.tied()
	w.send(c, request(2, "elsewhere", 0, strings.Repeat("x", 40000)).String()[:20000])
	other := w.backend(11)
	host.Close()
	w.Settle()
	w.says(host, request(5, "push", 3000, "late"))
	if !c.Ended() || !other.Ended() {
		t.Errorf("client ended %v, the other host %v", c.Ended(), other.Ended())
	}
	w.logged("POST /a.Service/register 200 - via_upstream; POST /a.Service/elsewhere 0 UC upstream_tie_lost")
	w.noReverse(0)
}
