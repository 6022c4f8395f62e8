package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

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
