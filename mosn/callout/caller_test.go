package callout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// asking is a call of a goroutine.
type asking struct {
	resp *sdk.CallResponse
	err  error
	over chan struct{}
}

func (w *world) caller() sdk.Caller { return NewManager([]*Local{w.l}).Caller("c") }

func ask1(ctx context.Context, c sdk.Caller, r *sdk.CallRequest) *asking {
	a := &asking{over: make(chan struct{})}
	go func() {
		defer close(a.over)
		a.resp, a.err = c.Call(ctx, r)
	}()
	return a
}

// until turns the loop until something is so.
func (w *world) until(is func() bool) {
	for !is() {
		w.Settle()
	}
}

// wait turns the loop until the call has ended.
func (a *asking) wait(w *world) {
	w.until(func() bool {
		select {
		case <-a.over:
			return true
		default:
			return false
		}
	})
}

func (w *world) busy() bool { return w.l.lastID > 0 }

func TestCaller(t *testing.T) {
	w := newWorld(t, "")
	a := ask1(context.Background(), w.caller(), request("POST", "x"))
	w.until(w.busy)
	h := w.host()
	if got := h.Received(); !strings.HasSuffix(got, "x\r\n0\r\n\r\n") {
		t.Errorf("the host got %q", got)
	}
	w.send(h, ok)
	a.wait(w)
	w.start(request("GET", "")) // uses the call's storage again
	w.send(h, strings.ReplaceAll(ok, "ok", "no"))
	w.ended(`200 "no"`)
	if a.err != nil || shown(a.resp, nil) != `200 "ok"` {
		t.Errorf("%+v", a)
	}

	big := strings.Repeat("b", 3*keptSize)
	a = ask1(context.Background(), w.caller(), request("GET", ""))
	w.until(func() bool { return w.l.lastID == 3 })
	w.send(h, fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(big), big))
	a.wait(w)
	if string(a.resp.Body) != big {
		t.Errorf("got %d bytes", len(a.resp.Body))
	}
	if w.l.free.resp.Body != nil {
		t.Error("a big body is kept")
	}
}

func TestCallerFails(t *testing.T) {
	w := newWorld(t, "")
	a := ask1(context.Background(), w.caller(), request("GET", ""))
	w.until(w.busy)
	w.host().Close()
	a.wait(w)
	var e *sdk.CallError
	if !errors.As(a.err, &e) || e.Status != 503 || a.resp != nil {
		t.Errorf("%+v", a)
	}
}

func TestCallerCancelled(t *testing.T) {
	w := newWorld(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	a := ask1(ctx, w.caller(), request("GET", ""))
	w.until(w.busy)
	cancel()
	a.wait(w)
	if !errors.Is(a.err, context.Canceled) || !w.host().Closed() {
		t.Errorf("%+v", a)
	}
	a = ask1(ctx, w.caller(), request("GET", ""))
	a.wait(w)
	if !errors.Is(a.err, context.Canceled) || w.l.lastID != 1 {
		t.Errorf("%+v", a)
	}
}

// TestCallerGivesUpBeforeStart: the loop comes to the call when nobody wants it.
func TestCallerGivesUpBeforeStart(t *testing.T) {
	w := newWorld(t, "")
	a := &ask{caller: &caller{w.l, "c"}, r: request("GET", ""), told: make(chan struct{})}
	a.giveUp()
	a.Run(w.Loop)
	a.giveUp()
	if w.l.lastID != 0 {
		t.Error("the call was made")
	}
}

func TestCallerBusy(t *testing.T) {
	w := newWorld(t, "")
	for w.Loop.TryPost(eventloop.TaskFunc(func(*eventloop.Loop) {})) { // nobody turns the loop
	}
	_, err := w.caller().Call(context.Background(), request("GET", ""))
	var e *sdk.CallError
	if !errors.As(err, &e) || e.Details != "overload" {
		t.Errorf("%v", err)
	}
}

// TestCallerStopped: no call outlives the loops.
func TestCallerStopped(t *testing.T) {
	w := newWorld(t, "")
	a := ask1(context.Background(), w.caller(), request("GET", ""))
	w.until(w.busy)
	w.Group.Stop()
	<-a.over
	var e *sdk.CallError
	if !errors.As(a.err, &e) {
		t.Fatalf("%+v", a)
	}
	_, err := w.caller().Call(context.Background(), request("GET", ""))
	if !errors.As(err, &e) || e.Details != "proxy_stopped" {
		t.Errorf("%v", err)
	}
}

// TestCallersTakeTurns: Callers are spread over the loops.
func TestCallersTakeTurns(t *testing.T) {
	m := NewManager([]*Local{{}, {}})
	a, b := m.Caller("a").(*caller), m.Caller("b").(*caller)
	if a.l == b.l || a.cluster != "a" {
		t.Error("both are on one loop")
	}
}

// TestCallDoesNotAllocate after the first ones.
func TestCallDoesNotAllocate(t *testing.T) {
	w := newWorld(t, "")
	r := request("POST", "body", "content-length: 4")
	n := 0
	done := func(resp *sdk.CallResponse, _ *sdk.CallError) { n += len(resp.Body) }
	w.set.Start(w.l, w, "c", r, done)
	w.Settle()
	h := w.host()
	answer := []byte(ok)
	finish := func() {
		h.Take()
		h.SendBytes(answer)
		w.Loop.RunTurn()
	}
	finish()
	exchange := func() {
		w.set.Start(w.l, w, "c", r, done)
		w.Loop.RunTurn()
		finish()
	}
	for range 100 {
		exchange()
	}
	if a := testing.AllocsPerRun(1000, exchange); a != 0 {
		t.Errorf("%v allocations a call", a)
	}
	if n != 2*1102 {
		t.Errorf("%d bytes", n)
	}
}

func BenchmarkCall(b *testing.B) {
	w := newWorld(b, "")
	r := request("GET", "")
	done := func(*sdk.CallResponse, *sdk.CallError) {}
	w.set.Start(w.l, w, "c", r, done)
	w.Settle()
	h := w.host()
	answer := []byte(ok)
	for b.Loop() {
		h.Take()
		h.SendBytes(answer)
		w.Loop.RunTurn()
		w.set.Start(w.l, w, "c", r, done)
		w.Loop.RunTurn()
	}
}
