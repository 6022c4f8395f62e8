package http2

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// flooded feeds the same again and again until the connection ends, and returns how
// often. What the codec holds meanwhile stays bounded.
func (d *driver) flooded(next func(i int) string, most int) int {
	d.tb.Helper()
	for i := range most {
		d.feed(next(i))
		if d.err != nil {
			return i
		}
		if n := cap(d.conn.said) + cap(d.conn.block.data) + d.conn.used()*96; n > 400<<10 {
			d.tb.Fatalf("the codec holds %d bytes", n)
		}
		if d.conn.graves.n > maxGraves || d.conn.live > d.conn.cfg.maxStreams {
			d.tb.Fatalf("%d streams, %d dead", d.conn.live, d.conn.graves.n)
		}
	}
	return most
}

func same(s string) func(int) string { return func(int) string { return s } }

func id(i int) uint32 { return uint32(2*i + 1) }

// TestFloods: each costs its connection, after about as many frames as Envoy's limit.
func TestFloods(t *testing.T) {
	block := raw(frameHeaders, 0, 1, "\x82")
	for _, c := range []struct {
		name  string
		open  string
		next  func(i int) string
		want  *fault
		after int
	}{
		{"PING", "", same(raw(framePing, 0, 0, "12345678")), errControls, 1000},
		{"SETTINGS", "", same(settings()), errControls, 1000},
		{"PRIORITY", "", same(raw(framePriority, 0, 1, be(3)+"x")), errPriorities, 100},
		{"PRIORITY with a stream", headers(1, 0, get()...), same(raw(framePriority, 0, 1, be(3)+"x")), errPriorities, 200},
		{"WINDOW_UPDATE", headers(1, 0, get()...), same(window(0, 1)), errUpdates, 7},
		{"WINDOW_UPDATE of a stream", headers(1, 0, get()...), same(window(1, 1)), errUpdates, 7},
		{"WINDOW_UPDATE of a closed stream", headers(1, 0, get()...) + rst(1, 0), same(window(1, 1)), errUpdates, 7},
		{"empty DATA", headers(1, 0, get()...), same(data(1, 0, "")), errEmpties, 1},
		{"DATA of padding", headers(1, 0, get()...), same(raw(frameData, flagPadded, 1, "\x02\x00\x00")), errEmpties, 1},
		{"empty CONTINUATION", block, same(raw(frameContinuation, 0, 1, "")), errEmpties, 1},
		{"CONTINUATION", block, same(raw(frameContinuation, 0, 1, "\x82")), errBlock, maxPieces - 1},
		{"large CONTINUATION", block, same(raw(frameContinuation, 0, 1, strings.Repeat("\x82", maxFrame))), errBlock, 2 * httpfield.DefaultRequestBytes / maxFrame},
		{"rapid reset", "", func(i int) string { return headers(id(i), end, get()...) + rst(id(i), codeCancel) }, errResets, defaultResetBurst},
		{"made you reset, by windows", "", func(i int) string { return headers(id(i), 0, get()...) + window(id(i), maxWindow) }, errResets, defaultResetBurst},
		{"made you reset, by DATA", "", func(i int) string { return headers(id(i), end, get()...) + data(id(i), 0, "x") }, errResets, defaultResetBurst},
		{"made you reset, by heads", "", func(i int) string { return headers(id(i), end, get("X", "y")...) }, errResets, defaultResetBurst},
		{"made you reset, by dependencies", "", func(i int) string {
			return raw(frameHeaders, flagPriority|flagEndHeaders|end, id(i), be(id(i))+"\x00"+fieldsOf(get()...))
		}, errResets, defaultResetBurst},
		{"too many streams", raw(frameSettings, flagAck, 0, ""), func(i int) string { return headers(id(i), 0, get()...) }, errResets, defaultStreams + defaultResetBurst},
		{"DATA of a closed stream", headers(1, 0, get()...) + rst(1, 0), same(data(1, 0, "x")), errResets, defaultResetBurst - 1},
	} {
		d := serve(t, lenient())
		if c.want == errControls {
			d.conn.wrote(&d.out, 0, 0, 0)
		}
		if c.want == errResets {
			d.conn.cfg.maxControls = 1 << 20 // of streams that are reset, too; Envoy counts both
		}
		d.feed(c.open)
		if n := d.flooded(c.next, 5000); d.conn.failed != c.want || n != c.after {
			t.Errorf("%s: after %d times %v, want %v after %d", c.name, n, d.conn.failed, c.want, c.after)
		}
		if d.conn.failed != nil && !strings.Contains(d.wrote(), "GOAWAY") {
			t.Errorf("%s: the peer is not told", c.name)
		}
	}
	d := serve(t, nil)
	d.feed(clientHello(make([]uint32, 2*maxSettings)...))
	if got := d.feed(settings(make([]uint32, 2*maxSettings+2)...)); d.err == nil {
		t.Errorf("many settings: %s", got)
	}
}

// TestFloodsInOneRead: the answers are bounded before anybody flushes them.
func TestFloodsInOneRead(t *testing.T) {
	d := serve(t, nil)
	d.feed(strings.Repeat(raw(framePing, 0, 0, "12345678"), 100_000))
	if d.conn.failed != errControls {
		t.Errorf("100000 PINGs: %v", d.conn.failed)
	}
	if n := d.out.Len(); n > 1100*17 {
		t.Errorf("%d bytes were written", n)
	}
}

// TestNoFlood: the same, from a peer that reads what it is told.
func TestNoFlood(t *testing.T) {
	d := serve(t, nil)
	for i := range 20_000 {
		d.feed(raw(framePing, 0, 0, "12345678") + settings())
		d.feed(headers(id(i), 0, post()...) + data(id(i), end, "x"))
		d.conn.Consumed(&d.out, uint64(id(i)), 1)
		d.respond(uint64(id(i)), false)
		d.conn.WriteData(&d.out, uint64(id(i)), []byte("x"), true)
		d.feed(window(0, 1) + window(id(i), 1))
		if i%7 == 0 {
			d.wrote()
		}
		if d.err != nil {
			t.Fatalf("after %d: %v", i, d.err)
		}
	}
}

// TestOutboundFlood: a peer that does not read, while we answer it well.
func TestOutboundFlood(t *testing.T) {
	d := serve(t, &corev3.Http2ProtocolOptions{MaxOutboundFrames: u32(100)}, settingInitialWindow, maxWindow)
	d.feed(headers(1, end, get()...))
	d.respond(1, false)
	for i := range 98 {
		d.conn.WriteData(&d.out, 1, []byte("x"), false)
		if d.conn.failed != nil {
			t.Fatalf("after %d frames: %v", i, d.conn.failed)
		}
	}
	d.wrote()
	for range 100 {
		d.conn.WriteData(&d.out, 1, []byte("x"), false)
	}
	if d.conn.failed != nil {
		t.Fatal("what was read counts", d.conn.failed)
	}
	for range 101 {
		d.conn.WriteData(&d.out, 1, []byte("x"), false)
	}
	want(t, "too many", d.feed(""), "error "+errOutbound.fatal.Text)

	d = call(t, &corev3.Http2ProtocolOptions{MaxOutboundFrames: u32(100)})
	for range 200 {
		d.conn.WriteReset(&d.out, d.request(true, get()...), sdk.ResetLocal)
	}
	if d.feed(""); d.conn.failed != nil {
		t.Errorf("requests that a server has yet to read have cost its connection: %v", d.conn.failed)
	}
}

// TestResetsComeBack: with time.
func TestResetsComeBack(t *testing.T) {
	d := serve(t, &corev3.Http2ProtocolOptions{StreamResetBurst: nil})
	now := time.Hour
	d.conn.Clock(now)
	next := 0
	reset := func(n int) {
		for range n {
			d.feed(headers(id(next), end, get()...) + rst(id(next), codeCancel))
			next++
		}
	}
	reset(defaultResetBurst)
	d.conn.Clock(now + 10*time.Millisecond)
	if d.conn.resets != 0 {
		t.Errorf("%d resets after 10 ms", d.conn.resets)
	}
	for range 10 { // not lost by being asked often
		now += 100 * time.Millisecond
		d.conn.Clock(now)
	}
	if d.conn.resets < defaultResetsPerSecond-1 || d.conn.resets > defaultResetsPerSecond {
		t.Errorf("%d resets after a second", d.conn.resets)
	}
	reset(defaultResetsPerSecond - 1)
	if d.err != nil {
		t.Fatal(d.err)
	}
	d.conn.Clock(now + time.Hour)
	if d.conn.resets != defaultResetBurst {
		t.Errorf("%d resets after an hour", d.conn.resets)
	}
	d.conn.Clock(0)
	reset(defaultResetBurst + 1)
	if d.conn.failed != errResets {
		t.Errorf("too many: %v", d.conn.failed)
	}
}

// TestHeaderBombs: what is small on the wire and large in memory.
func TestHeaderBombs(t *testing.T) {
	entry := "\x40\x01a\x7f\xd1\x1e" + strings.Repeat("v", 4048) // fills the table
	d := serve(t, nil)
	in := fieldsOf(get()...) + entry
	d.feed(raw(frameHeaders, end|flagEndHeaders, 1, in))
	bomb := fieldsOf(get()...) + strings.Repeat("\xbe", maxFrame-100)
	start := d.msg.Footprint()
	if got := d.feed(raw(frameHeaders, end|flagEndHeaders, 3, bomb)); got != "refused 3 "+errTooLarge.stream.Text {
		t.Errorf("a bomb: %.100s", got)
	}
	if n := d.msg.Footprint(); n > start+4*httpfield.DefaultRequestBytes {
		t.Errorf("it has made a message of %d bytes", n)
	}
	crumbs := fieldsOf(get()...) + strings.Repeat("\x60\x00", 1000)
	if got := d.feed(raw(frameHeaders, end|flagEndHeaders, 5, crumbs)); got != "refused 5 "+errTooMany.stream.Text {
		t.Errorf("crumbs: %.100s", got)
	}
	many := newConfigOf(t, sdk.Downstream, sdk.CodecOptions{MaxHeaderCount: 1 << 20})
	d = drive(t, many)
	d.feed(clientHello())
	if got := d.feed(raw(frameHeaders, end|flagEndHeaders, 1, fieldsOf(get()...)+strings.Repeat("\x60\x00", 8000))); !strings.HasPrefix(got, "headers 1") || strings.Count(got, ";") != 7999 {
		t.Errorf("many crumbs: %.100s", got)
	}
	if n := d.msg.Footprint(); n > 2<<20 {
		t.Errorf("they have made a message of %d bytes", n)
	}
}

// TestLateAnswers: a client gives up any number of requests, and their answers come all the same. That is the fault of nobody, least of all of
// those whose requests share the connection.
func TestLateAnswers(t *testing.T) {
	d := call(t, nil)
	const n = maxGraves + defaultResetBurst + 100
	for range n {
		id := d.request(true, get()...)
		d.conn.WriteReset(&d.out, id, sdk.ResetLocal)
	}
	d.wrote()
	for i := range n {
		d.feed(headers(id(i), 0, ":status", "200") + data(id(i), 0, "late") + data(id(i), end, "r"))
	}
	if d.err != nil || d.conn.failed != nil {
		t.Fatalf("%v, %v", d.err, d.conn.failed)
	}
	if d.conn.resets != defaultResetBurst || d.conn.graves.n != 0 {
		t.Errorf("%d resets are left, %d streams are still waited for", d.conn.resets, d.conn.graves.n)
	}
	last := d.request(true, get()...)
	want(t, "the next", d.feed(headers(uint32(last), end, ":status", "200")), fmt.Sprintf("headers %d :status=200 end", last))
}
