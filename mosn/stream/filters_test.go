package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

const trailed = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"

const trailedBack = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nz\r\n0\r\nx-end: 2\r\n\r\n"

func TestFilterOrder(t *testing.T) {
	ch := newChain("a", "b")
	w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"c": trailersUpstream}})
	c := w.client()
	w.send(c, get)
	ch.called(t, "arh. brh.")
	b := w.backend(1)
	w.send(b, "HTTP/1.1 204 X\r\n\r\n")
	ch.called(t, "bsh. ash. aend bend")
	w.send(c, trailed)
	ch.called(t, `arh brh ard "abc" brd "abc" art. brt.`)
	w.send(b, trailedBack)
	ch.called(t, `bsh ash bsd "z" asd "z" bst. ast. aend bend`)
	ch.balanced(t)
	w.idle()
}

// TestStopAndResume pauses at each callback of each direction, while body comes bit by
// bit, and resumes later: all arrives, in order, and what is behind the stop not
// before.
func TestStopAndResume(t *testing.T) {
	x := exchanges()[2]
	parts := []string{x.request[:63], x.request[63:66], x.request[66:69], x.request[69:]}
	for _, what := range []string{"rh", "rd", "rt", "sh", "sd", "st"} {
		t.Run(what, func(t *testing.T) {
			ch := newChain("a", "b", "c")
			w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"c": trailersUpstream}})
			c := w.client()
			w.send(c, get) // so that there is a connection
			b := w.backend(1)
			w.send(b, ok2)
			b.Received()
			c.Received()
			stopped := false
			ch.scripts[1].on[what] = func(sdk.Stream) sdk.Action {
				if stopped {
					return sdk.Continue
				}
				stopped = true
				return sdk.Pause
			}
			for _, part := range parts {
				w.send(c, part)
			}
			up := b.Received()
			if what[0] == 'r' {
				w.heldBack(up, what, "abc", "x-sum")
				ch.scripts[1].last.ResumeRequest()
				w.Settle()
				up += b.Received()
			}
			if unchunk(up) != unchunk(x.up) {
				t.Errorf("host got %q\nwant %q", up, x.up)
			}
			for i := range x.response {
				w.send(b, x.response[i:i+1])
			}
			down := c.Received()
			if what[0] == 's' {
				w.heldBack(down, what, "z", "x-end")
				ch.scripts[1].last.ResumeResponse()
				w.Settle()
				down += c.Received()
			}
			if unchunk(down) != unchunk(x.down) {
				t.Errorf("client got %q\nwant %q", down, x.down)
			}
			ch.balanced(t)
			w.idle()
		})
	}
}

// heldBack checks what has come past a filter that has stopped at the call what.
func (w *world) heldBack(got, what, body, trailer string) {
	w.t.Helper()
	switch what[1] {
	case 'h':
		if got != "" {
			w.t.Errorf("past a head that is held came %q", got)
		}
	case 'd':
		if strings.Contains(bodyOf(got), body[len(body)-1:]) || got == "" {
			w.t.Errorf("past a body that is held came %q", got)
		}
	case 't':
		if strings.Contains(got, trailer) || !strings.Contains(bodyOf(got), body[len(body)-1:]) {
			w.t.Errorf("past trailers that are held came %q", got)
		}
	}
}

// TestPauseHoldsAndSlows: a paused filter is not called for the body that comes; beyond
// the limit the client is stopped; all of it goes on afterwards.
func TestPauseHoldsAndSlows(t *testing.T) {
	ch := newChain("a", "b")
	ch.scripts[0].on["rh"] = func(sdk.Stream) sdk.Action { return sdk.Pause }
	w := newWorld(t, setup{filters: ch.filters(), limit: 10_000})
	c := w.client()
	const size = 500_000
	body := strings.Repeat("0123456789", size/10)
	w.send(c, post(size)+body)
	if c.Unread() < size/2 {
		t.Errorf("the loop took %d bytes while the filter paused", size-c.Unread())
	}
	ch.called(t, "arh")
	w.stats("downstream_flow_control_paused_reading_total", 1)
	ch.scripts[0].last.ResumeRequest()
	w.Settle()
	if got := bodyOf(w.backend(1).Received()); got != body {
		t.Errorf("host got %d bytes", len(got))
	}
}

// TestResponsePauseSlows is the same in the other direction.
func TestResponsePauseSlows(t *testing.T) {
	ch := newChain("a", "b")
	ch.scripts[1].on["sh"] = func(sdk.Stream) sdk.Action { return sdk.Pause }
	w := newWorld(t, setup{filters: ch.filters(), limit: 10_000})
	c := w.client()
	const size = 500_000
	body := strings.Repeat("0123456789", size/10)
	w.send(c, get)
	b := w.backend(1)
	w.send(b, fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n", size)+body)
	if b.Unread() < size/2 {
		t.Errorf("the loop took %d bytes while the filter paused", size-b.Unread())
	}
	w.got(c, "")
	ch.scripts[1].last.ResumeResponse()
	w.Settle()
	if got := bodyOf(c.Received()); got != body {
		t.Errorf("client got %d bytes", len(got))
	}
	w.logged(okLog)
	ch.balanced(t)
}

// TestCollect gives the filter all of the body so far each time, and lets it change it.
func TestCollect(t *testing.T) {
	ch := newChain("a", "b")
	collect := func(s sdk.Stream, b *sdk.Buffer, end bool) sdk.Action {
		if !end {
			return sdk.Collect
		}
		b.AppendString("!")
		return sdk.Continue
	}
	head := func(s sdk.Stream) sdk.Action {
		s.Request().RemoveID(sdk.HeaderContentLength)
		s.Response().RemoveID(sdk.HeaderContentLength)
		return sdk.Collect
	}
	ch.scripts[0].on["rh"], ch.scripts[0].data["rd"] = head, collect
	ch.scripts[1].on["sh"], ch.scripts[1].data["sd"] = head, collect
	w := newWorld(t, setup{filters: ch.filters()})
	c := w.client()
	w.send(c, post(4))
	w.send(c, "ab")
	w.send(c, "cd")
	ch.called(t, `arh ard "ab" ard "abcd". brh brd "abcd!".`)
	b := w.backend(1)
	if got := bodyOf(b.Received()); got != "5\r\nabcd!\r\n0\r\n\r\n" {
		t.Errorf("host got %q", got)
	}
	w.send(b, ok2[:len(ok2)-1])
	w.send(b, "k")
	ch.called(t, `bsh bsd "o" bsd "ok". ash asd "ok!". aend bend`)
	if got := bodyOf(c.Received()); got != "3\r\nok!\r\n0\r\n\r\n" {
		t.Errorf("client got %q", got)
	}
	w.idle()
}

// TestCollectTooMuch answers 413 for a request and 500 for a response over the limit.
func TestCollectTooMuch(t *testing.T) {
	collect := func(sdk.Stream) sdk.Action { return sdk.Collect } // for ever, if it is asked
	big := strings.Repeat("x", 2000)

	ch := newChain("a")
	ch.scripts[0].on["rh"], ch.scripts[0].on["rd"] = collect, collect
	w := newWorld(t, setup{filters: ch.filters(), limit: 1000})
	c := w.client()
	w.send(c, post(2000)+big)
	w.got(c, local("413 Payload Too Large", "Payload Too Large", "connection: close"))
	w.logged("POST / 413 - request_payload_too_large")
	w.stats("downstream_rq_too_large", 1)
	if w.next(1) != nil {
		t.Error("a host was asked")
	}
	ch.balanced(t)

	ch = newChain("a")
	ch.scripts[0].on["sh"], ch.scripts[0].on["sd"] = collect, collect
	w = newWorld(t, setup{filters: ch.filters(), limit: 1000})
	c = w.client()
	w.send(c, get)
	w.send(w.backend(1), "HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n"+big)
	if got := statusOf(c.Received()); got != "500 Internal Server Error" {
		t.Errorf("got %q", got)
	}
	if got := w.log.take(); !strings.HasPrefix(got, "GET / 500 - response_payload_too_") {
		t.Errorf("log %q", got)
	}
	w.stats("rs_too_large", 1)
	ch.balanced(t)
	w.idle()
}

// TestReply answers from each callback; before the head of a response is out that is a
// reply, after it the client is cut off.
func TestReply(t *testing.T) {
	reply := func(s sdk.Stream) sdk.Action {
		s.Reply(sdk.Reply{Status: 403, Body: "no", Details: "test", Flag: sdk.FlagUnauthorizedExternalServic})
		return sdk.Replied
	}
	tests := []struct {
		what  string
		calls string
		cut   bool
	}{
		{"rh", `arh brh csh bsh ash csd "no". bsd "no". asd "no". aend bend cend`, false},
		{"rd", `arh brh crh ard "abc" brd "abc" csh bsh ash csd "no". bsd "no". asd "no". aend bend cend`, false},
		{"rt", `arh brh crh ard "abc" brd "abc" crd "abc" art. brt. csh bsh ash csd "no". bsd "no". asd "no". aend bend cend`, false},
		{"sd", "", true},
		{"st", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			ch := newChain("a", "b", "c")
			ch.scripts[1].on[tt.what] = reply
			w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"c": trailersUpstream}})
			c := w.client()
			w.send(c, trailed)
			if !tt.cut {
				if got := c.Received(); statusOf(got) != "403 Forbidden" || bodyOf(got) != "no" {
					t.Errorf("got %q", got)
				}
				ch.called(t, tt.calls)
				w.logged("POST / 403 UAEX test")
			} else {
				b := w.backend(1)
				w.send(b, trailedBack)
				if got := statusOf(c.Received()); got != "200 OK" {
					t.Errorf("got %q", got)
				}
				if !c.Ended() {
					t.Error("not cut off")
				}
				w.logged("POST / 200 UAEX test")
			}
			ch.balanced(t)
			w.idle()
		})
	}
}

// TestReplyToResponse replaces a response whose head the filters have seen, the host's
// or our own: the reply goes past them, or a filter that always replaces would meet
// itself.
func TestReplyToResponse(t *testing.T) {
	replace := func(s sdk.Stream) sdk.Action {
		s.Reply(sdk.Reply{Status: 502, Body: "bad", Details: "test"})
		return sdk.Replied
	}
	for _, ours := range []bool{false, true} {
		ch := newChain("a", "b")
		ch.scripts[1].on["sh"] = replace
		if ours {
			ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
				s.Reply(sdk.Reply{Status: 401, Body: "who are you"})
				return sdk.Replied
			}
		}
		w := newWorld(t, setup{filters: ch.filters()})
		c := w.client()
		w.send(c, get)
		if ours {
			ch.called(t, "arh. bsh aend bend")
		} else {
			b := w.backend(1)
			w.send(b, ok2)
			ch.called(t, "arh. brh. bsh aend bend")
			if !b.Closed() {
				t.Error("the host's connection is kept with an answer nobody read")
			}
		}
		w.got(c, local("502 Bad Gateway", "bad"))
		w.logged("GET / 502 - test")
		ch.balanced(t)
		w.idle()
		w.finish()
	}
}

// TestReplyWhilePaused answers from outside a callback: later, by a timer or a job.
func TestReplyWhilePaused(t *testing.T) {
	for _, what := range []string{"rh", "rd", "rt", "sh"} {
		t.Run(what, func(t *testing.T) {
			ch := newChain("a", "b")
			once := false
			ch.scripts[0].on[what] = func(s sdk.Stream) sdk.Action {
				if once {
					return sdk.Continue
				}
				once = true
				s.After(time.Second, func() { s.Reply(sdk.Reply{Status: 429, Body: "later"}) })
				return sdk.Pause
			}
			w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"c": trailersUpstream}})
			c := w.client()
			w.send(c, trailed)
			if what == "sh" {
				w.send(w.backend(1), trailedBack)
			}
			w.got(c, "")
			w.Advance(2 * time.Second)
			if got := c.Received(); statusOf(got) != "429 Too Many Requests" || bodyOf(got) != "later" {
				t.Errorf("got %q", got)
			}
			w.logged("POST / 429 - direct_response")
			ch.balanced(t)
			w.idle()
		})
	}
}

// TestResumeEarly: what resumes while the callback that pauses is still on the stack
// counts, else the stream would wait for ever.
func TestResumeEarly(t *testing.T) {
	resume := func(s sdk.Stream) sdk.Action {
		s.ResumeRequest()
		return sdk.Pause
	}
	back := func(s sdk.Stream) sdk.Action {
		s.ResumeResponse()
		return sdk.Pause
	}
	for what, f := range map[string]func(sdk.Stream) sdk.Action{
		"rh": resume, "rd": resume, "rt": resume, "sh": back, "sd": back, "st": back,
	} {
		t.Run(what, func(t *testing.T) {
			ch := newChain("a")
			ch.scripts[0].on[what] = f
			w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"c": trailersUpstream}})
			c := w.client()
			w.send(c, trailed)
			b := w.backend(1)
			if got := b.Received(); !strings.HasSuffix(got, "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n") {
				t.Errorf("host got %q", got)
			}
			w.send(b, trailedBack)
			if got := c.Received(); !strings.HasSuffix(got, "1\r\nz\r\n0\r\nx-end: 2\r\n\r\n") {
				t.Errorf("client got %q", got)
			}
			w.idle()
		})
	}
}
