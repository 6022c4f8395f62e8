package stream

import (
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

// TestDetect: the first bytes of a connection tell what it speaks, as early as they
// can; what is no other protocol's is HTTP's.
func TestDetect(t *testing.T) {
	hello := request(1, "hello", 3000, "x").String()
	for _, tt := range []struct{ name, send, rest, method, stat string }{
		{"HTTP", "GET / HTTP/1.1\r\nhost: a\r\n\r\n", "", "GET", "downstream_cx_http1_total"},
		{"HTTP by its first byte", "G", "ET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET", "downstream_cx_http1_total"},
		{"Bolt", hello, "", "POST", "downstream_cx_rpc_total"},
		{"Bolt in two", hello[:3], hello[3:], "POST", "downstream_cx_rpc_total"},
		{"Bolt by five bytes", hello[:5], hello[5:], "POST", "downstream_cx_rpc_total"},
		{"nobody's", "\x01\x77", "", "", "downstream_cx_http1_total"},
		{"nobody's, long", strings.Repeat("\xff", 40) + "\r\n", "", "", "downstream_cx_http1_total"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, withBolt(setup{}))
			c := w.client()
			w.Settle()
			w.stats("downstream_cx_total", 1, "downstream_cx_http1_total", 0, "downstream_cx_rpc_total", 0)
			w.send(c, tt.send)
			if tt.rest != "" {
				w.send(c, tt.rest)
			}
			w.stats(tt.stat, 1)
			if tt.method == "" {
				w.stats("downstream_cx_protocol_error", 1)
				if got := statusOf(c.Received()); got != "400 Bad Request" {
					t.Errorf("got %q", got)
				}
				return
			}
			if b := w.backend(1); b.Total() == 0 {
				t.Error("nothing came to the host")
			}
			c.Close()
			w.Settle()
			w.stats(strings.Replace(tt.stat, "total", "active", 1), 0, "downstream_rq_total", 1)
		})
	}
}

// TestDetectSlowly: a connection that does not say what it is, or breaks off a frame
// of Bolt, is held to the time for a head.
func TestDetectSlowly(t *testing.T) {
	for name, send := range map[string]string{"undecided": "\x01\x01", "half a frame": request(1, "m", 0, "x").String()[:15]} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withBolt(setup{edit: func(cfg *Config) { cfg.RequestHeadersTimeout = time.Second }}))
			c := w.client()
			w.send(c, send)
			w.Advance(900 * time.Millisecond)
			if c.Ended() {
				t.Fatal("it was ended early")
			}
			w.Advance(2 * time.Second)
			if !c.Ended() {
				t.Error("it goes on")
			}
			w.stats("downstream_rq_header_timeout", 1, "downstream_cx_active", 0)
		})
	}
}

// TestRPCShares: requests of several clients go to a host over one connection, under
// ids of that connection, and each answer comes back to who asked. HTTP has its own.
func TestRPCShares(t *testing.T) {
	w := newWorld(t, withBolt(setup{}))
	a, b, h := w.client(), w.client(), w.client()
	w.says(a, request(7, "one", 3000, "from a"), request(8, "two", 3000, "also"))
	w.says(b, request(7, "one", 3000, "from b"))
	host := w.backend(1)
	w.hears(host, "request 1 timeout=3000 from a", "request 2 timeout=3000 also", "request 3 timeout=3000 from b")
	w.send(h, get)
	w.send(w.backend(1), ok2)
	w.got(h, ok2Down)
	w.says(host, answerTo(3, "to b"), answerTo(1, "to a"), answerTo(9, "to nobody"), answerTo(1, "again"))
	w.hears(a, "answer 7 status=0 to a")
	w.hears(b, "answer 7 status=0 to b")
	w.says(host, answerTo(2, "too"))
	w.hears(a, "answer 8 status=0 too")
	w.stats(".upstream_cx_total", 2, ".upstream_rq_total", 4, ".upstream_rq_200", 4, "downstream_rq_rpc_total", 3,
		"downstream_rq_http1_total", 1, ".upstream_rq_stray_response", 2)
	w.idle()
}

// TestOneWay: a one-way request ends when it is sent; nothing is answered, whatever
// becomes of it, and it is not sent twice.
func TestOneWay(t *testing.T) {
	oneWay := func(method string) frame {
		f := request(5, method, 0, "x")
		f.kind = 2
		return f
	}
	w := newWorld(t, withBolt(setup{table: `virtual_hosts { name: "v" domains: "*"
		routes { match { prefix: "/a.Service/none" } route { cluster: "none" } }
		routes { match { prefix: "/" } route { cluster: "c" timeout { seconds: 2 } retry_policy { retry_on: "reset,connect-failure" } } } }`}))
	c := w.client()
	w.says(c, oneWay("none"))
	w.logged("POST /a.Service/none 503 NC cluster_not_found")
	w.says(c, oneWay("tell"))
	host := w.backend(1)
	w.hears(host, "oneway 1 timeout=0 x")
	w.logged("POST /a.Service/tell 200 - via_upstream")
	host.Window(0) // it reads nothing: what is sent now may or may not arrive
	w.says(c, oneWay("stuck"))
	w.logged("")
	w.Advance(9 * time.Second) // the route's timeout is not for it
	w.logged("")
	host.Window(8)
	w.Settle()
	host.Reset()
	w.Settle()
	w.logged("POST /a.Service/stuck 503 UC upstream_reset_before_response_started{connection_termination}")
	if w.next(1) != nil {
		t.Error("it was sent again")
	}
	if got := c.Received(); got != "" {
		t.Errorf("answered %q", got)
	}
	if c.Ended() {
		t.Error("the client's connection has ended")
	}
	w.idle()
}

// TestOneWayUnsent: what no byte was sent of may be tried elsewhere.
func TestOneWayUnsent(t *testing.T) {
	w := newWorld(t, withBolt(setup{action: `retry_policy { retry_on: "connect-failure" }`}))
	w.OnDial(addr(1), looptest.Refuse)
	c := w.client()
	f := request(5, "tell", 0, "x")
	f.kind = 2
	w.says(c, f)
	w.OnDial(addr(1), looptest.Accept)
	w.Advance(time.Second)
	w.logged("POST /a.Service/tell 200 - via_upstream")
	w.stats(".upstream_rq_retry", 1)
	w.idle()
}

// TestBudget: the caller's deadline, the route's timeout and that of an attempt are one
// budget, and the host is told what is left of it.
func TestBudget(t *testing.T) {
	for _, tt := range []struct {
		name, action string
		timeout      int32
		first        string // the host is told
		second       string // after 400 ms and a reset
		ends         time.Duration
	}{
		{"the caller's", "timeout { seconds: 15 }", 1000, "timeout=1000", "timeout=600", time.Second},
		{"the route's", "timeout { seconds: 2 }", 3000, "timeout=2000", "timeout=1600", 2 * time.Second},
		{"the attempt's", "timeout { seconds: 9 }", 3000, "timeout=3000", "timeout=2600", 3 * time.Second},
		{"none of the caller's", "timeout { seconds: 2 }", 0, "timeout=2000", "timeout=1600", 2 * time.Second},
		{"none at all", "timeout {}", -1, "timeout=-1", "timeout=-1", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, withBolt(setup{action: tt.action + ` retry_policy { retry_on: "reset" num_retries { value: 3 }
				retry_back_off { base_interval { nanos: 1000000 } } }`}))
			c := w.client()
			w.says(c, request(1, "m", tt.timeout, "x"))
			host := w.backend(1)
			w.hears(host, "request 1 "+tt.first+" x")
			w.Advance(399 * time.Millisecond)
			host.Reset()
			w.Settle()
			w.Advance(time.Millisecond)
			host = w.backend(1)
			w.hears(host, "request 1 "+tt.second+" x")
			if tt.ends == 0 {
				w.Advance(10 * time.Second)
				w.hears(c)
				w.says(host, answerTo(1, "late"))
				w.hears(c, "answer 1 status=0 late")
				return
			}
			w.Advance(tt.ends - 401*time.Millisecond)
			w.hears(c)
			w.Advance(2 * time.Millisecond)
			w.hears(c, "answer 1 status=7")
			w.logged("POST /a.Service/m 504 UT response_timeout")
			w.stats(".upstream_rq_timeout", 1)
			w.says(host, answerTo(1, "late")) // nobody's any more
			w.hears(c)
			w.says(c, request(1, "m", tt.timeout, "y"))
			w.hears(host, "request 2 "+tt.first+" y")
			w.idle1(host, 2)
		})
	}
}

// idle1 has the host answer what is open, and checks that nothing is left.
func (w *world) idle1(host interface{ Send(string) }, id uint32) {
	w.t.Helper()
	w.says(host, answerTo(id, "ok"))
	w.idle()
}

// TestBudgetSpent: a request whose time is over is refused, not forwarded.
func TestBudgetSpent(t *testing.T) {
	w := newWorld(t, withBolt(setup{filters: []FilterConfig{{Name: "slow", Config: slow{}}}}))
	c := w.client()
	w.says(c, request(1, "m", 100, "x"))
	w.Advance(time.Second)
	w.hears(c, "answer 1 status=7")
	if w.next(1) != nil {
		t.Error("it was forwarded")
	}
	w.stats(".upstream_rq_timeout", 1, ".upstream_rq_total", 0)
	w.idle()
}

// slow holds every request for a second.
type slow struct{ sdk.PassThrough }

func (slow) New(sdk.Stream) sdk.Filter { return slow{} }
func (slow) Close()                    {}

func (slow) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action {
	s.After(time.Second, s.ResumeRequest)
	return sdk.Pause
}

// brittleAt panics where the method says.
type brittleAt struct{ sdk.PassThrough }

func (brittleAt) New(sdk.Stream) sdk.Filter { return brittleAt{} }
func (brittleAt) Close()                    {}

func (brittleAt) panicAt(s sdk.Stream, where string) {
	if strings.HasSuffix(s.Request().Path(), where) {
		panic(where)
	}
}

func (b brittleAt) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action {
	b.panicAt(s, "/request")
	return sdk.Continue
}

func (b brittleAt) OnRequestData(s sdk.Stream, _ *sdk.Buffer, _ bool) sdk.Action {
	b.panicAt(s, "/body")
	return sdk.Continue
}

func (b brittleAt) OnResponseHeaders(s sdk.Stream, _ bool) sdk.Action {
	b.panicAt(s, "/response")
	return sdk.Continue
}

// TestRPCPanic: a filter that panics for one stream has no effect on those that share
// its connections, downstream and upstream.
func TestRPCPanic(t *testing.T) {
	w := newWorld(t, withBolt(setup{filters: []FilterConfig{{Name: "brittle", Config: brittleAt{}}}}))
	w.unlogged = true
	c := w.client()
	w.says(c, request(1, "before", 3000, "a"), request(2, "request", 3000, "b"), request(3, "body", 3000, "c"),
		request(4, "response", 3000, "d"), request(5, "after", 3000, "e"))
	host := w.backend(1)
	got := frames(host.Received())
	for _, want := range []string{"request 1 timeout=3000 a", " d", " e"} {
		if !strings.Contains(got, want) {
			t.Errorf("the host got %s", got)
		}
	}
	if frames(c.Received()) == "" {
		t.Error("those that panicked had no answer")
	}
	for id := uint32(1); id < 5; id++ {
		w.says(host, answerTo(id, "ok"))
	}
	if got := frames(c.Received()); !strings.Contains(got, "answer 1 status=0 ok") || !strings.Contains(got, "answer 5 status=0 ok") {
		t.Errorf("the others got %s", got)
	}
	if len(w.Logs) == 0 {
		t.Error("the panics are not logged")
	}
	w.Logs = nil
	w.stats("downstream_cx_active", 1, ".upstream_cx_active", 1, ".upstream_cx_total", 1, "downstream_rq_active", 0)
}

// TestRPCTakesTurns: of answers that come piece by piece only one can be written at a
// time; the others wait in turn, and none is lost.
func TestRPCTakesTurns(t *testing.T) {
	w := newWorld(t, withBolt(setup{hosts: 2, clusters: map[string]string{"c": "lb_policy: ROUND_ROBIN"}}))
	c := w.client()
	w.says(c, request(1, "m", 0, ""), request(2, "m", 0, ""))
	one, two := w.backend(1), w.backend(2)
	if !strings.HasPrefix(frames(one.Received()), "request 1") {
		one, two = two, one
	}
	big := strings.Repeat("0123456789", 4000)
	first, second := answerTo(1, big).String(), answerTo(1, big+"!").String()
	w.send(one, first[:20000])
	w.send(two, second[:21000])
	w.send(two, second[21000:])
	got := c.Received()
	w.send(one, first[20000:])
	got += c.Received()
	if want := "answer 1 status=0 " + big + "\nanswer 2 status=0 " + big + "!"; frames(got) != want &&
		frames(got) != "answer 2 status=0 "+big+"\nanswer 1 status=0 "+big+"!" {
		t.Errorf("got %.200s ... (%d bytes)", frames(got), len(got))
	}
	w.idle()
}

// TestRPCReplies: what is answered without a host.
func TestRPCReplies(t *testing.T) {
	w := newWorld(t, withBolt(setup{table: `virtual_hosts { name: "v" domains: "*"
		routes { match { prefix: "/a.Service/direct" } direct_response { status: 200 body { inline_string: "hi" } } }
		routes { match { prefix: "/a.Service/none" } route { cluster: "none" } }
		routes { match { prefix: "/a.Service/c" } route { cluster: "c" } } }`}))
	c := w.client()
	w.says(c, request(1, "direct", 0, "x"), request(2, "none", 0, "x"), request(3, "noroute", 0, "x"))
	got := c.Received()
	for _, want := range []string{"answer 1 ", "answer 2 ", "answer 3 "} {
		if !strings.Contains(frames(got), want) {
			t.Errorf("no %q in %s", want, frames(got))
		}
	}
	w.logged("POST /a.Service/direct 200 - direct_response; POST /a.Service/none 503 NC cluster_not_found; " +
		"POST /a.Service/noroute 404 NR route_not_found")
	w.idle()
}

// TestHeartbeatInTwo: what has begun and was no request is no head that is late.
func TestHeartbeatInTwo(t *testing.T) {
	w := newWorld(t, withBolt(setup{edit: func(cfg *Config) { cfg.RequestHeadersTimeout = time.Second }}))
	c := w.client()
	beat := "\x01\x01\x00\x00\x01\x00\x00\x00\x09\x01\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"
	w.send(c, beat[:12])
	w.Advance(500 * time.Millisecond)
	w.send(c, beat[12:])
	w.hears(c, "heartbeat answer 9 status=0")
	w.Advance(time.Minute)
	if c.Ended() {
		t.Error("it was ended")
	}
	w.stats("downstream_rq_header_timeout", 0)
}
