package http2

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// flood is an attack: begin prepares a connection, step sends the next frames of the attack and says whether the connection is still there.
type flood struct {
	name  string
	deaf  bool // the attacker does not read
	bytes int  // that the proxy may read before it ends the connection, on average; 0: floodBytes
	begin func(*attacker) bool
	step  func(*attacker) bool
	// holds says that the attack is not to be over: the proxy need not end the connection, but what it holds must be bounded.
	holds    bool
	settings []http2.Setting
	most     int // steps on one connection; 0: any number
	answers  int // bytes of answers that may be held in all, beside what any attack may cost
}

// request is the path of an attacker's requests: its answer is small.
const request = "/attack/bytes/1"

func floods() []flood {
	open := func(a *attacker) bool { // a stream that stays open
		id, err := a.request(a.head("/attack/echo"), false)
		return id != 0 && a.push(err)
	}
	var block []byte
	repeat := func(fields ...hpack.HeaderField) (begin, step func(*attacker) bool) { // one head again and again
		begin = func(a *attacker) bool {
			_, err := a.request(a.head(request, fields...), true)
			block = bytes.Clone(a.head(request, fields...)) // now all of it is in the table
			return a.push(err)
		}
		return begin, func(a *attacker) bool {
			_, err := a.request(block, true)
			return a.push(err) && a.push(a.out.Flush())
		}
	}
	crumbs := make([]hpack.HeaderField, 3000)
	for i := range crumbs {
		crumbs[i] = hpack.HeaderField{Name: "cookie", Value: "a=b"}
	}
	entry := hpack.HeaderField{Name: "x-bomb", Value: strings.Repeat("b", 3900)}
	bomb := make([]hpack.HeaderField, 4000) // 15 MB in 8 kB
	for i := range bomb {
		bomb[i] = entry
	}
	beginBomb, bombAgain := repeat(bomb...)
	beginCrumbs, crumbsAgain := repeat(crumbs...)
	return []flood{
		{name: "rapid reset", step: func(a *attacker) bool {
			id, err := a.request(a.head(request), true)
			return a.push(err) && a.push(a.WriteRSTStream(id, http2.ErrCodeCancel))
		}},
		{name: "made you reset by window", step: func(a *attacker) bool {
			id, err := a.request(a.head("/attack/echo"), false)
			return a.push(err) && a.push(a.WriteWindowUpdate(id, 0))
		}},
		{name: "made you reset by length", step: func(a *attacker) bool {
			id, err := a.request(a.head("/attack/echo", hpack.HeaderField{Name: "content-length", Value: "1"}), false)
			return a.push(err) && a.push(a.WriteData(id, true, []byte("too long")))
		}},
		{name: "made you reset by data", step: func(a *attacker) bool {
			id, err := a.request(a.head(request), true)
			return a.push(err) && a.push(a.WriteData(id, false, []byte("after the end")))
		}},
		{name: "continuation", begin: func(a *attacker) bool {
			return a.push(a.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: a.head(request), EndStream: true}))
		}, step: func(a *attacker) bool {
			return a.push(a.WriteContinuation(1, false, []byte{0x00, 0x01, 'a', 0x01, 'b'}))
		}},
		{name: "empty continuation", begin: func(a *attacker) bool {
			return a.push(a.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: a.head(request), EndStream: true}))
		}, step: func(a *attacker) bool { return a.push(a.WriteContinuation(1, false, nil)) }},
		{name: "settings", deaf: true, bytes: 8 << 20, step: func(a *attacker) bool {
			return a.push(a.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(a.sent)}))
		}},
		{name: "ping", deaf: true, bytes: 8 << 20, step: func(a *attacker) bool { return a.push(a.WritePing(false, [8]byte{})) }},
		{name: "priority", step: func(a *attacker) bool {
			return a.push(a.WritePriority(1, http2.PriorityParam{StreamDep: 3}))
		}},
		{name: "window update", begin: open, step: func(a *attacker) bool { return a.push(a.WriteWindowUpdate(1, 1)) }},
		{name: "window update of the connection", step: func(a *attacker) bool { return a.push(a.WriteWindowUpdate(0, 1)) }},
		{name: "empty data", begin: open, step: func(a *attacker) bool { return a.push(a.WriteData(1, false, nil)) }},
		{name: "header bomb", bytes: 8 << 20, begin: beginBomb, step: bombAgain},
		{name: "cookie bomb", bytes: 8 << 20, begin: beginCrumbs, step: crumbsAgain},
		// A stream holds its answer up to the buffer limit, as in Envoy, which holds as much when it has come as far.
		{name: "zero window", holds: true, most: 1000, answers: 2 * 1000 * 100_000, settings: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}, step: func(a *attacker) bool {
			_, err := a.request(a.head("/attack/bytes/100000"), true)
			return a.push(err)
		}},
	}
}

const (
	// memoryBound is how much the resident set may grow under an attack.
	memoryBound = 96 << 20
	floodBytes  = 1 << 20
	// slower is how much slower than in the control run the median of others may be. On a machine with nothing else to do it is far less; when
	// bytes were all that bounded a turn, it was 6 to 40.
	slower = 5
)

var (
	onlyAttackers = flag.Int("attackers", 2, "connections that flood the proxy at a time")
	noControl     = flag.Bool("nocontrol", false, "do not repeat a flood against a sink")
)

// TestFlood floods the proxy from several connections, each opened again when it is lost. The attacker must lose them, within a bounded number
// of bytes; memory is bounded; and nothing is left behind. Others send requests at a constant rate all the time. Then the same flood goes to
// a sink, which takes as much of each connection and does nothing: by how much the others are slower when the proxy has to cope with it is
// reported, and judged when the test may take its time.
func TestFlood(t *testing.T) {
	duration := time.Second
	if long() {
		duration = 10 * time.Second
	}
	backend, victim := startRole(t, 0, "origin").port, startRole(t, 10, "origin").port
	for _, f := range floods() {
		t.Run(f.name, func(t *testing.T) {
			p := startProxy(t, setup{Backend: backend, Victim: victim, HTTP1: true, Workers: 1})
			steady(t, p.addr(), time.Second/4) // connections are made, code is in the caches
			peak, taken := growth(p), p.stat(t, "http.l.downstream_cx_rx_bytes_total")
			lost, waits := f.against(t, p.addr(), duration)
			grew := peak()
			turns, slow, longest := p.stat(t, "server.worker_0.turns"), p.stat(t, "server.worker_0.turns_over_10ms"), p.stat(t, "server.worker_0.longest_turn_us")
			p.quiet(t)
			taken = p.stat(t, "http.l.downstream_cx_rx_bytes_total") - taken - waits.sent
			each := taken / max(lost, 1)
			t.Logf("%d connections lost after %d kB each; RSS grew by %d kB; %d turns, %d over 10 ms, longest %d us; others %v",
				lost, each>>10, grew>>10, turns, slow, longest, waits)
			if lost == 0 && !f.holds {
				t.Error("the attacker has not lost its connection")
			}
			if most := cmp.Or(f.bytes, floodBytes); !f.holds && each > most {
				t.Errorf("%d bytes were read for each connection that was lost, more than %d", each, most)
			}
			if bound := int64(memoryBound + f.answers); grew > bound {
				t.Errorf("RSS grew by %d kB, more than %d", grew>>10, bound>>10)
			}
			if *noControl {
				return
			}
			sink := startRole(t, 10, "sink", strconv.Itoa(each))
			_, control := f.againstOther(t, sink.addr(), p.addr(), duration)
			t.Logf("control: others %v; with the flood the median is %.2f times that", control, ratio(waits.at(50), control.at(50)))
			if r := ratio(waits.at(50), control.at(50)); long() && r > slower {
				t.Errorf("the median of others is %.2f times that of the control run, more than %d", r, slower)
			}
		})
	}
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

// against floods an address and returns how many connections the attackers have lost, and how long others had to wait there meanwhile.
func (f *flood) against(t *testing.T, addr string, duration time.Duration) (lost int, w *waits) {
	return f.againstOther(t, addr, addr, duration)
}

// againstOther is against for others that are served elsewhere.
func (f *flood) againstOther(t *testing.T, addr, others string, duration time.Duration) (lost int, w *waits) {
	t.Helper()
	attack := startRole(t, 10, "attack", f.name, addr, strconv.Itoa(*onlyAttackers), duration.String())
	w = steady(t, others, duration)
	if _, err := fmt.Fscan(attack.out, &lost); err != nil {
		t.Fatalf("the attackers: %v: %s", err, attack.Output())
	}
	return lost, w
}

// script is what an attacker sends on one connection, at most about so many bytes.
func (f *flood) script(limit int) []byte {
	var out bytes.Buffer
	a := attackOn(&out, f.settings...)
	if f.begin != nil {
		f.begin(a)
	}
	for n := 0; out.Len() < limit && (f.most == 0 || n < f.most); n++ {
		f.step(a)
	}
	_ = a.out.Flush()
	return out.Bytes()
}

// attack floods addr from some connections until the time is over. Everything is prepared before, so that it costs little to send.
func (f *flood) attack(addr string, connections int, duration time.Duration) (lost int) {
	script, deadline := f.script(2*cmp.Or(f.bytes, floodBytes)), time.Now().Add(duration)
	results := make(chan int)
	for range connections {
		go func() {
			n := 0
			for time.Now().Before(deadline) || n == 0 && time.Since(deadline) < patience && !f.holds {
				if f.once(addr, script, deadline) {
					n++
				}
			}
			results <- n
		}()
	}
	for range connections {
		lost += <-results
	}
	return lost
}

// once sends the script and reports whether the other side has ended the connection.
func (f *flood) once(addr string, script []byte, deadline time.Time) bool {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	ended := make(chan struct{})
	if !f.deaf {
		go func() {
			_, _ = io.Copy(io.Discard, conn)
			close(ended)
		}()
	}
	_ = conn.SetWriteDeadline(deadline.Add(time.Second))
	if _, err := conn.Write(script); err != nil {
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	hold := time.Second
	if f.holds {
		hold /= 5
	}
	select {
	case <-ended:
		return true
	case <-time.After(hold):
		return false
	}
}
