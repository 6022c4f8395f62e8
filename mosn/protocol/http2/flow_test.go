package http2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
)

// small windows: the smallest that there are.
func small() *corev3.Http2ProtocolOptions {
	o := lenient()
	o.InitialStreamWindowSize, o.InitialConnectionWindowSize = u32(initialRoom), u32(initialRoom)
	return o
}

func TestReceiveWindow(t *testing.T) {
	d := serve(t, small())
	d.feed(headers(1, 0, post()...) + headers(3, 0, post()...))
	chunk := strings.Repeat("x", 16000)
	for range 3 {
		d.feed(data(1, 0, chunk))
	}
	d.conn.Consumed(&d.out, 1, 32000)
	want(t, "less than half", d.wrote(), "")
	d.conn.Consumed(&d.out, 1, 1000)
	want(t, "half", d.wrote(), "WINDOW_UPDATE 0 33000\nWINDOW_UPDATE 1 33000")
	d.conn.Consumed(&d.out, 1, 15000)
	d.conn.Consumed(&d.out, 1, 15000)
	if d.conn.owed != 15000 {
		t.Errorf("consumed twice: %d bytes are owed", d.conn.owed)
	}
	want(t, "up to the limit", d.feed(data(1, 0, chunk)+data(1, 0, chunk)+data(1, 0, chunk)+data(1, end, chunk[:2535])), "data 1 (16000)\ndata 1 (16000)\ndata 1 (16000)\ndata 1 (2535) end")
	if room := 65535 + 33000 - 3*16000 - 3*16000 - 2535; int(d.conn.recv) != room {
		t.Errorf("the connection has room for %d, want %d", d.conn.recv, room)
	}
	want(t, "over it", d.feed(data(3, end, chunk)), "error "+errOverrun.fatal.Text)

	d = serve(t, small())
	d.conn.recv = maxWindow
	d.feed(headers(1, 0, post()...) + headers(3, 0, post()...))
	for range 4 {
		d.feed(data(1, 0, chunk))
	}
	want(t, "over a stream's", d.feed(data(1, 0, chunk)), "refused 1 "+errStreamWindow.stream.Text)
	want(t, "over a stream's", d.wrote(), "RST_STREAM 1 3\nWINDOW_UPDATE 0 80000")
}

// TestReceiveWindowSettled: whatever becomes of a stream, its bytes do not eat up the
// connection's window.
func TestReceiveWindowSettled(t *testing.T) {
	chunk := strings.Repeat("x", 10000)
	for name, finish := range map[string]func(d *driver){
		"consumed": func(d *driver) {
			d.feed(data(1, end, ""))
			d.respond(1, true)
			if d.conn.used() != 1 {
				t.Error("a stream is forgotten with bytes that will be consumed")
			}
			d.conn.Consumed(&d.out, 1, 4000)
			d.conn.Consumed(&d.out, 1, 6000)
		},
		"given up later": func(d *driver) {
			d.feed(data(1, end, ""))
			d.respond(1, true)
			d.wrote()
			d.conn.WriteReset(&d.out, 1, sdk.ResetLocal)
			want(t, "nothing is said of it", d.wrote(), "")
		},
		"given up": func(d *driver) {
			d.conn.WriteReset(&d.out, 1, sdk.ResetLocal)
			d.feed(data(1, end, ""))
		},
		"reset":     func(d *driver) { d.feed(rst(1, codeCancel)) },
		"malformed": func(d *driver) { d.feed(headers(1, end, "X", "y")) },
		"given up within a frame": func(d *driver) {
			d.feed(data(1, end, chunk)[:500])
			d.conn.WriteReset(&d.out, 1, sdk.ResetLocal)
			d.feed(data(1, end, chunk)[500:])
			if d.conn.used() != 0 {
				t.Error("its end is not seen")
			}
			d.conn.recv += 10000
			d.conn.owed -= 10000
		},
		"reset by the client later": func(d *driver) {
			d.feed(data(1, end, ""))
			d.respond(1, true)
			d.feed(rst(1, codeCancel))
			d.conn.Consumed(&d.out, 1, 10000)
		},
		"DATA that nobody wants": func(d *driver) {
			d.feed(rst(1, codeCancel) + data(1, 0, chunk) + raw(frameData, flagPadded, 1, "\x01ab"))
			d.conn.recv += 10003
			d.conn.owed -= 10003
		},
	} {
		d := serve(t, small())
		d.feed(headers(1, 0, post()...) + data(1, 0, chunk))
		finish(d)
		if d.conn.recv != initialRoom-10000 || d.conn.owed != 10000 || d.conn.used()-d.conn.graves.n != 0 || d.conn.live != 0 {
			t.Errorf("%s: room for %d, %d owed, %d streams, %d alive, %d dead", name, d.conn.recv, d.conn.owed, d.conn.used(), d.conn.live, d.conn.graves.n)
		}
	}
}

// TestReceivePadding: padding is given back at once.
func TestReceivePadding(t *testing.T) {
	d := serve(t, small())
	d.eat = true
	d.feed(headers(1, 0, post()...))
	padded := raw(frameData, flagPadded, 1, "\xff"+"a"+strings.Repeat("\x00", 255))
	for range 1000 {
		want(t, "padded", d.feed(padded), "data 1 \"a\"")
	}
	if d.conn.recv+d.conn.owed != initialRoom {
		t.Errorf("room for %d, %d owed", d.conn.recv, d.conn.owed)
	}
}

func TestSendWindow(t *testing.T) {
	d := serve(t, nil, settingInitialWindow, 10)
	d.feed(headers(1, 0, post()...) + headers(3, 0, post()...))
	d.respond(1, false)
	d.respond(3, false)
	d.wrote()
	body := []byte("0123456789abcdef")
	if n := d.conn.WriteData(&d.out, 1, body, true); n != 10 {
		t.Errorf("%d bytes were taken", n)
	}
	want(t, "what the window lets", d.wrote(), "DATA 1 \"0123456789\"")
	if n := d.conn.WriteData(&d.out, 1, body[10:], true); n != 0 || d.wrote() != "" {
		t.Errorf("%d bytes were taken", n)
	}
	want(t, "more room", d.feed(window(1, 2)), "window 1")
	if n := d.conn.WriteData(&d.out, 1, body[10:], true); n != 2 {
		t.Errorf("%d bytes were taken", n)
	}
	want(t, "more", d.wrote(), "DATA 1 \"ab\"")
	want(t, "room for all", d.feed(window(1, 100)), "window 1")
	want(t, "and again, for nobody waits", d.feed(window(1, 100)+window(0, 5)), "")
	if n := d.conn.WriteData(&d.out, 1, body[12:], true); n != 4 {
		t.Errorf("%d bytes were taken", n)
	}
	want(t, "the end", d.wrote(), "DATA 1 \"cdef\" end")
	want(t, "no more of interest", d.feed(window(1, 100)+window(1, maxWindow)), "")

	d.conn.WriteData(&d.out, 3, nil, true)
	want(t, "an end needs no window", d.wrote(), "DATA 3 \"\" end")
}

// TestSendSettings: a change of settings changes the windows, below 0 too.
func TestSendSettings(t *testing.T) {
	d := serve(t, nil, settingInitialWindow, 10)
	d.feed(headers(1, 0, post()...))
	d.respond(1, false)
	d.conn.WriteData(&d.out, 1, []byte("0123456789"), false)
	d.feed(settings(settingInitialWindow, 2))
	d.wrote()
	if n := d.conn.WriteData(&d.out, 1, []byte("abc"), false); n != 0 || d.conn.get(1).send != -8 {
		t.Errorf("%d bytes were taken, the window is %d", n, d.conn.get(1).send)
	}
	want(t, "still nothing", d.feed(window(1, 8)), "")
	want(t, "now", d.feed(window(1, 1)), "window 1")
	if n := d.conn.WriteData(&d.out, 1, []byte("abc"), false); n != 1 {
		t.Errorf("%d bytes were taken", n)
	}
	d.wrote()
	want(t, "by settings", d.feed(settings(settingInitialWindow, 3)), "window 1")
	d.conn.WriteHeartbeat(&d.out) // stands for what is written behind the acknowledgement
	d.conn.WriteData(&d.out, 1, []byte("bcd"), false)
	want(t, "by settings", d.wrote(), "SETTINGS 0 ack\nPING 0 6d6f736e00000001\nDATA 1 \"b\"")

	// A stream that waits for the connection loses its place when its window shrinks.
	d.conn.send = 0
	d.feed(window(1, 5))
	d.conn.WriteData(&d.out, 1, []byte("cd"), false)
	d.feed(settings(settingInitialWindow, 0) + settings(settingInitialWindow, 0))
	d.feed(settings(settingInitialWindow, 0))
	d.conn.send = 100
	if d.conn.get(1).send > 0 != d.conn.Pending() {
		t.Errorf("a window of %d, and an event is due: %v", d.conn.get(1).send, d.conn.Pending())
	}
}

// TestSendFair: the window of the connection goes round.
func TestSendFair(t *testing.T) {
	d := call(t, nil, settingInitialWindow, maxWindow)
	const streams = 10
	body := bytes.Repeat([]byte("x"), 1000)
	for range streams {
		d.request(false, post()...)
	}
	d.conn.send = 0
	d.wrote()
	for id := uint64(1); id < 2*streams; id += 2 {
		d.conn.WriteData(&d.out, id, body, false)
		d.conn.WriteData(&d.out, id, body, false)
	}
	got := map[uint64]int{}
	for range 5 * streams {
		d.in = append(d.in, window(0, 1000)...)
		for {
			n, err := d.conn.Decode(d.in, &d.ev)
			if err != nil {
				t.Fatal(err)
			}
			d.in = d.in[n:]
			if d.ev.Kind == sdk.EventNone {
				break
			}
			got[d.ev.Stream] += d.conn.WriteData(&d.out, d.ev.Stream, body, false)
			d.conn.WriteData(&d.out, d.ev.Stream, body, false)
		}
	}
	for id := uint64(1); id < 2*streams; id += 2 {
		if got[id] != 5000 {
			t.Errorf("stream %d got %d bytes through", id, got[id])
		}
	}
	for id := uint64(1); id < 2*streams; id += 4 {
		d.conn.WriteReset(&d.out, id, sdk.ResetLocal)
	}
	d.wrote()
	var rest []string
	for id := 3; id < 2*streams; id += 4 {
		rest = append(rest, fmt.Sprintf("window %d", id))
	}
	want(t, "those that are left", d.feed(window(0, 1)), strings.Join(rest, "\n"))
}

// TestStalledReaders: a thousand streams whose reader stands still hold what the
// windows say, and another goes on.
func TestStalledReaders(t *testing.T) {
	d := call(t, &corev3.Http2ProtocolOptions{InitialStreamWindowSize: u32(initialRoom)}, settingInitialWindow, initialRoom, settingMaxStreams, 2000)
	body := strings.Repeat("x", 10000)
	held := 0
	for range 1000 {
		id := d.request(true, get()...)
		d.feed(headers(uint32(id), 0, ":status", "200") + data(uint32(id), 0, body))
		held += 10000
	}
	id := d.request(true, get()...)
	d.feed(headers(uint32(id), 0, ":status", "200"))
	d.eat = true
	d.wrote()
	for range 3000 {
		want(t, "the others flow", d.feed(data(uint32(id), 0, body)), fmt.Sprintf("data %d (10000)", id))
	}
	if room := 24<<20 - held; int(d.conn.recv+d.conn.owed) != room {
		t.Errorf("room for %d, want %d", d.conn.recv+d.conn.owed, room)
	}
	if d.conn.used() != 1001 || len(d.conn.said) > 1000 {
		t.Errorf("%d streams, %d bytes to be said", d.conn.used(), len(d.conn.said))
	}
}

// TestParked: what the owner has put aside leaves the window of the connection alone,
// whatever becomes of it.
func TestParked(t *testing.T) {
	d := call(t, nil, settingInitialWindow, initialRoom, settingMaxStreams, 2000)
	whole := func(when string) {
		t.Helper()
		if n := d.conn.wholeWindow(); n != defaultConnWindow || int(d.conn.recv+d.conn.owed) > n {
			t.Errorf("%s: the window is %d, of which %d are open", when, n, d.conn.recv+d.conn.owed)
		}
	}
	body := strings.Repeat("x", 10_000)
	var ids []uint64
	for range 1000 { // 60 MB in all, of 24
		id := d.request(true, get()...)
		d.feed(headers(uint32(id), 0, ":status", "200"))
		for range 6 {
			d.feed(data(uint32(id), 0, body))
			d.conn.Parked(&d.out, id, len(body))
		}
		ids = append(ids, id)
	}
	whole("parked")
	if n := int(d.conn.recv + d.conn.owed); n != defaultConnWindow {
		t.Errorf("the connection has room for %d", n)
	}
	d.conn.Parked(&d.out, ids[0], 1) // there is no more to park
	whole("parked twice")
	d.conn.Consumed(&d.out, ids[0], 60_000)
	d.conn.WriteReset(&d.out, ids[1], sdk.ResetLocal)
	d.conn.Consumed(&d.out, ids[2], 10_000)
	d.feed(data(uint32(ids[2]), 0, "x")) // held behind what is parked
	whole("consumed")
	if n := int(d.conn.recv + d.conn.owed); n != defaultConnWindow-1 {
		t.Errorf("the connection has room for %d", n)
	}
	d.conn.Consumed(&d.out, ids[2], 50_001)
	d.feed(rst(uint32(ids[3]), codeCancel))
	whole("at the end")
}

// TestGrowingWindow: a stream of a host begins with a small window, which is doubled up
// to Envoy's while its reader keeps up, and not when it does not, nor by what may be in
// buffers.
func TestGrowingWindow(t *testing.T) {
	d := call(t, nil)
	id := d.request(true, get()...)
	d.feed(headers(uint32(id), 0, ":status", "200"))
	d.wrote()
	read := func(n int, park bool) {
		for ; n > 0; n -= 10_000 {
			d.feed(data(uint32(id), 0, strings.Repeat("x", min(n, 10_000))))
			if park {
				d.conn.Parked(&d.out, id, min(n, 10_000))
			}
			d.conn.Consumed(&d.out, id, min(n, 10_000))
		}
	}
	read(30_000, false)
	want(t, "below half", d.wrote(), "")
	read(2768, false)
	want(t, "half is read", d.wrote(), fmt.Sprintf("WINDOW_UPDATE %d 32768", id))
	read(swallowed, false)
	room := func(when string, n int32) {
		t.Helper()
		if s := d.conn.get(uint32(id)); s.room != n || s.recv+s.owed != n {
			t.Errorf("%s: the window is %d, of which %d is open; want %d", when, s.room, s.recv+s.owed, n)
		}
	}
	room("after what buffers swallow", initialRoom)
	read(40_000, false)
	room("the reader reads", 2*initialRoom)
	read(140_000, true)
	room("it is slow", 2*initialRoom)
	for range 40 {
		read(1<<20, false)
	}
	room("it goes on reading", defaultWindow)
	fixed := call(t, &corev3.Http2ProtocolOptions{InitialStreamWindowSize: u32(initialRoom)})
	if id := fixed.conn.NewStream(); fixed.conn.get(uint32(id)).room != initialRoom || fixed.conn.cfg.window != initialRoom {
		t.Error("a window that is configured is not that")
	}
}

func TestDataFrames(t *testing.T) {
	d := call(t, nil, settingInitialWindow, maxWindow, settingMaxFrame, 1<<20)
	id := d.request(false, post()...)
	d.wrote()
	d.conn.WriteData(&d.out, id, bytes.Repeat([]byte("x"), 2*maxFrame+1), false)
	want(t, "no frame is over 16384", d.wrote(), "DATA 1 (16384)\nDATA 1 (16384)\nDATA 1 \"x\"")
	d.conn.WriteData(&d.out, id, bytes.Repeat([]byte("x"), maxFrame), true)
	want(t, "nor followed by an empty one", d.wrote(), "DATA 1 (16384) end")
	if n := d.conn.WriteData(&d.out, id, []byte("x"), true); n != 1 || d.wrote() != "" {
		t.Error("something is written behind the end")
	}
}
