package http2

import (
	"bytes"
	"cmp"
	"fmt"
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
}

// request is the path of an attacker's requests: its answer is small.
const request = "/bytes/1"

func floods() []flood {
	open := func(a *attacker) bool { // a stream that stays open
		id, err := a.request(a.head("/echo"), false)
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
			id, err := a.request(a.head("/echo"), false)
			return a.push(err) && a.push(a.WriteWindowUpdate(id, 0))
		}},
		{name: "made you reset by length", step: func(a *attacker) bool {
			id, err := a.request(a.head("/echo", hpack.HeaderField{Name: "content-length", Value: "1"}), false)
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
	}
}

const (
	// memoryBound is how much the resident set may grow under an attack.
	memoryBound = 96 << 20
	floodBytes  = 1 << 20
)

// TestFlood floods the proxy from several connections, each opened again when it is lost. The attacker must lose them, within a bounded number
// of bytes; memory is bounded; others are served all the time; and nothing is left behind.
func TestFlood(t *testing.T) {
	duration := time.Second / 2
	if long() {
		duration = 10 * time.Second
	}
	backend := origin(t)
	for _, f := range floods() {
		t.Run(f.name, func(t *testing.T) {
			p := startProxy(t, setup{Backend: backend, Workers: 1})
			others, peak := watch(t, p), growth(p)
			eventually(t, "others are served", func() bool { return others.served.Load() > 100 })
			before := others.served.Load()
			const attackers = 2
			taken := p.stat(t, "http.l.downstream_cx_rx_bytes_total")
			results := make(chan attack, attackers)
			for range attackers {
				go func() { results <- f.run(p.addr(), time.Now().Add(duration)) }()
			}
			var sum attack
			for range attackers {
				sum.add(<-results)
			}
			taken = p.stat(t, "http.l.downstream_cx_rx_bytes_total") - taken
			served := others.end(t) - before
			grew := peak()
			t.Logf("%d connections lost, %d frames sent, at most %d on one, %d kB read; %d requests of others; RSS grew by %d kB",
				sum.lost, sum.frames, sum.most, taken>>10, served, grew>>10)
			if sum.err != nil {
				t.Errorf("the attacker cannot connect: %v", sum.err)
			}
			if sum.lost == 0 {
				t.Error("the attacker has not lost its connection")
			}
			if most := cmp.Or(f.bytes, floodBytes); sum.lost > 0 && taken/sum.lost > most {
				t.Errorf("%d bytes were read for each connection that was lost, more than %d", taken/sum.lost, most)
			}
			if served == 0 {
				t.Error("nobody else was served")
			}
			if grew > memoryBound {
				t.Errorf("RSS grew by %d kB, more than %d", grew>>10, memoryBound>>10)
			}
			p.quiet(t)
		})
	}
}

// attack is what came of an attack.
type attack struct {
	lost, frames int
	most         int // frames on one connection
	err          error
}

func (a *attack) add(b attack) {
	a.lost += b.lost
	a.frames += b.frames
	a.most = max(a.most, b.most)
	if b.err != nil {
		a.err = b.err
	}
}

// run attacks until the deadline, and on until it has lost a connection, if it ever does.
func (f *flood) run(addr string, deadline time.Time) (sum attack) {
	goOn := func() bool {
		left := time.Until(deadline)
		return left > 0 || sum.lost == 0 && left > -patience
	}
	for goOn() {
		a, err := newAttacker(addr, !f.deaf)
		if err != nil {
			sum.err = fmt.Errorf("after %d connections: %w", sum.lost, err)
			return sum
		}
		alive := f.begin == nil || f.begin(a)
		for alive && goOn() {
			alive = f.step(a)
		}
		lost := 0
		if a.lost.Load() {
			lost = 1
		}
		sum.add(attack{lost: lost, frames: a.sent, most: a.sent})
		_ = a.conn.Close()
	}
	return sum
}
