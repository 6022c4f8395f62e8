package stream

import (
	"testing"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// TestRetire: a connection of a listener that was replaced ends with a response, not
// while it is idle; by the end of the time at the latest.
func TestRetire(t *testing.T) {
	w := newWorld(t, setup{})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	w.send(b, ok2)
	w.got(c, ok2Down)
	w.w.conns.head.next.Retire(900 * time.Millisecond)
	w.Settle()
	if c.Ended() {
		t.Fatal("an idle connection was ended")
	}
	w.send(c, get) // no time has passed: not yet
	w.send(b, ok2)
	w.got(c, ok2Down)
	w.Advance(900 * time.Millisecond)
	w.send(c, get)
	w.send(b, ok2)
	w.got(c, ok2Close)
	if !c.Ended() {
		t.Error("the connection is kept")
	}
	c.Close()
	w.Settle()
	w.idle()
}

// TestRetireGradually: in the middle of the time about half of the responses are the
// last of their connections.
func TestRetireGradually(t *testing.T) {
	w := newWorld(t, setup{})
	d := &serverConn{w: w.w}
	w.Advance(time.Second)
	d.Retire(10 * time.Second)
	w.Advance(5 * time.Second)
	ends := 0
	for range 1000 {
		if d.retires() {
			ends++
		}
	}
	if ends < 400 || ends > 600 {
		t.Errorf("%d of 1000", ends)
	}
}

// TestFilterSlotVersions: a stream keeps the configuration that it began with, which is closed
// after the last one; without any, requests are refused.
func TestFilterSlotVersions(t *testing.T) {
	slot := &FilterSlot{}
	w := newWorld(t, setup{filters: []FilterConfig{{Name: "f", Slot: slot}}})
	c := w.client()
	w.send(c, get)
	w.got(c, "HTTP/1.1 500 Internal Server Error\r\ndate: Fri, 02 Jan 2026 03:04:05 GMT\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n")
	old, fresh := &versionFilter{}, &versionFilter{}
	slot.Set(old)
	w.send(c, get)
	b := w.backend(1)
	slot.Set(fresh)
	if old.closed != 0 || old.made != 1 {
		t.Fatalf("made %d, closed %d while its stream is there", old.made, old.closed)
	}
	w.send(b, ok2)
	w.got(c, ok2Down)
	if old.closed != 1 {
		t.Errorf("closed %d times after its last stream", old.closed)
	}
	w.send(c, get)
	w.send(b, ok2)
	w.got(c, ok2Down)
	if fresh.made != 1 || fresh.closed != 0 {
		t.Errorf("the new one: made %d, closed %d", fresh.made, fresh.closed)
	}
	slot.Close()
	if fresh.closed != 1 {
		t.Error("the slot is closed, its configuration is not")
	}
	late := &versionFilter{}
	slot.Set(late)
	if late.closed != 1 {
		t.Error("a configuration that comes too late is kept")
	}
}

type versionFilter struct{ made, closed int }

func (f *versionFilter) New(sdk.Stream) sdk.Filter { f.made++; return sdk.PassThrough{} }
func (f *versionFilter) Close()                    { f.closed++ }
