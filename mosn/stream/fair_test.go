package stream

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"

	"sofamesh.io/sofamesh/sdk"
)

// TestTurnIsFair: a client that opens and resets streams as fast as it can has a few of
// them handled in a turn; who asks for something once does not wait for all of them.
func TestTurnIsFair(t *testing.T) {
	const streams = 600
	w := newWorld(t, withHTTP2(setup{}))
	attacker, other := w.h2client(t), w.client()
	block := bytes.Clone(attacker.block(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/"))
	var flood bytes.Buffer
	f := http2.NewFramer(&flood, nil)
	for id := uint32(1); id < 2*streams; id += 2 {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: true, BlockFragment: block})
		_ = f.WriteRSTStream(id, http2.ErrCodeCancel)
	}
	attacker.SendBytes(flood.Bytes())
	w.Turn()
	most := w.stat("http.t.downstream_rq_total")
	if most == 0 || most > sdk.TurnEffort/8 {
		t.Errorf("%d streams were handled in one turn", most)
	}
	other.Send("GET /other HTTP/1.1\r\nhost: a\r\n\r\n")
	w.Turn()
	if w.stat("http.t.downstream_rq_http1_total") != 1 {
		t.Error("another client waits for the flood")
	}
	if n := w.stat("http.t.downstream_rq_total"); n > 2*most+1 {
		t.Errorf("%d streams were handled in two turns", n)
	}
	w.Settle()
	w.stats("downstream_rq_total", streams+1, "downstream_rq_rx_reset", streams, "downstream_rq_active", 1)
	other.Close()
	w.Settle()
}
