package cluster

import (
	"strings"
	"testing"
)

// TestParkedLeavesItsPlace: a call that waits gets the stream of one whose answer is
// complete, though its owner does not read it.
func TestParkedLeavesItsPlace(t *testing.T) {
	w, lc := mux(t, frameCodec{}, settings("max_streams", 1)+
		"circuit_breakers { per_host_thresholds { max_connections { value: 1 } } }")
	a, b := ask(lc, "a"), ask(lc, "b")
	w.Settle()
	peer := w.dialled(1)
	a.ReadDisable(true)
	say(peer, 'h', 1, "")
	w.Settle()
	if !b.Ready() {
		t.Error("the call that waits does not get the place")
	}
	a.ReadDisable(false)
	w.Settle()
	a.expect(t, "head 200 end")
}

// TestChokedTakesNoCalls: a connection that is not read, because one owner does not read
// a long answer, is not for further calls, which take another; when it is read again it
// is as good as any.
func TestChokedTakesNoCalls(t *testing.T) {
	w, lc := mux(t, frameCodec{}, "per_connection_buffer_limit_bytes { value: 1000 }")
	a := ask(lc, "a")
	w.Settle()
	peer := w.dialled(1)
	a.ReadDisable(true)
	say(peer, 'H', 1, "")
	say(peer, 'D', 1, strings.Repeat("x", 2000))
	w.Settle()
	b := ask(lc, "b")
	w.Settle()
	second := w.dialled(1)
	say(second, 'h', 1, "")
	w.Settle()
	b.expect(t, "head 200 end")
	say(second, 'G', 0, "")
	w.Settle()
	a.ReadDisable(false)
	w.Settle()
	if c := ask(lc, "c"); !c.Ready() || c.ConnID() != a.ConnID() {
		t.Error("the connection is not used again")
	}
}
