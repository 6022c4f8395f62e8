package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

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

// TestReverseHostGone: the same when a host is no longer the cluster's, and nothing is
// under way but a head of which half has come.
func TestReverseHostGone(t *testing.T) {
	w := newWorld(t, paired(setup{clusters: map[string]string{"c": "circuit_breakers {}"}}))
	c, host := w.tied()
	w.send(c, request(2, "half", 0, "x").String()[:30])
	if err := w.m.Update(nil, []string{"c"}); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	if !c.Ended() || !host.Ended() {
		t.Errorf("client ended %v, host ended %v", c.Ended(), host.Ended())
	}
	w.Advance(time.Second) // delayed_close_timeout
	w.stats("downstream_cx_active", 0)
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
