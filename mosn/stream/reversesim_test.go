package stream

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

// talker is an end that asks and answers at random, a client or a host.
type talker struct {
	w     *simWorld
	p     *looptest.Peer
	name  string
	in    string
	last  uint32
	asked map[uint32]string // content by id
	due   []frame           // answers
	told  int               // one-way requests sent
	heard int               // and come
}

// simWorld is a world of talkers.
type simWorld struct {
	*world
	rnd *rand.Rand
}

func (w *simWorld) talker(name string, p *looptest.Peer) *talker {
	return &talker{w: w, p: p, name: name, asked: map[uint32]string{}}
}

// ask sends a request, or a one-way one.
func (k *talker) ask() {
	k.last++
	f := request(k.last, "m", 0, fmt.Sprintf("%s %d %s", k.name, k.last, strings.Repeat("x", k.w.rnd.IntN(1<<k.w.rnd.IntN(16)))))
	if k.w.rnd.IntN(5) == 0 {
		f.kind = 2
		k.told++
	} else {
		k.asked[f.id] = f.content
	}
	k.p.Send(f.String())
}

// read takes what has come: every answer is that to its question.
func (k *talker) read() {
	k.in += k.p.Received()
	for len(k.in) >= 22 {
		b := []byte(k.in[:22])
		f, at := frame{kind: b[1], id: binary.BigEndian.Uint32(b[5:])}, 12
		if f.kind != 0 {
			at = 14
		}
		head := at + 8 + int(binary.BigEndian.Uint16(b[at:])) + int(binary.BigEndian.Uint16(b[at+2:]))
		end := head + int(binary.BigEndian.Uint32(b[at+4:]))
		if len(k.in) < end {
			return
		}
		f.content = strings.Clone(k.in[head:end])
		k.in = k.in[end:]
		switch {
		case f.kind == 1:
			k.due = append(k.due, answerTo(f.id, "re "+f.content))
		case f.kind == 2:
			k.heard++
		default:
			if want := "re " + k.asked[f.id]; f.content != want {
				k.w.t.Fatalf("%s: the answer to %d is %.40q, want %.40q", k.name, f.id, f.content, want)
			}
			delete(k.asked, f.id)
		}
	}
}

// answer sends some of the answers that are due.
func (k *talker) answer(all bool) {
	for len(k.due) > 0 && (all || k.w.rnd.IntN(3) > 0) {
		i := k.w.rnd.IntN(len(k.due))
		k.p.Send(k.due[i].String())
		k.due = append(k.due[:i], k.due[i+1:]...)
	}
}

// TestReverseSim: clients and their hosts ask and answer at random, in pieces, reading
// slowly; some leave. Every answer is the right one, and all of them come.
func TestReverseSim(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &simWorld{rnd: rand.New(rand.NewPCG(seed, 1))}
			w.world = newWorld(t, paired(setup{limit: 20000, clusters: map[string]string{
				"c": "per_connection_buffer_limit_bytes { value: 20000 }"}}))
			var pairs [][2]*talker
			for i := range 3 {
				c, host := w.tied()
				pair := [2]*talker{w.talker(fmt.Sprint("client ", i), c), w.talker(fmt.Sprint("host ", i), host)}
				pair[0].last = 1
				pairs = append(pairs, pair)
			}
			for range 60 {
				for _, pair := range pairs {
					for _, k := range pair {
						k.p.Segments(w.rnd.IntN(5000), w.rnd.IntN(5000))
						k.p.Window(w.rnd.IntN(20000))
						if w.rnd.IntN(3) == 0 {
							k.ask()
						}
						k.read()
						k.answer(false)
					}
				}
				if w.rnd.IntN(100) == 0 && len(pairs) > 0 {
					i := w.rnd.IntN(len(pairs))
					pair := pairs[i]
					pairs = append(pairs[:i], pairs[i+1:]...)
					pair[w.rnd.IntN(2)].p.Reset()
					w.Settle()
					w.open(pair[0].p, pair[1].p)
					w.Advance(2 * time.Second)
					if !pair[0].p.Ended() || !pair[1].p.Ended() {
						t.Errorf("ended: client %v, host %v", pair[0].p.Ended(), pair[1].p.Ended())
					}
				}
				w.Settle()
			}
			for round := 0; round < 20; round++ {
				for _, pair := range pairs {
					for _, k := range pair {
						w.open(k.p)
						k.read()
						k.answer(true)
					}
				}
				w.Settle()
			}
			for _, pair := range pairs {
				for i, k := range pair {
					if got, want := k.heard, pair[1-i].told; got != want {
						t.Errorf("%s: %d one-way requests came, of %d", k.name, got, want)
					}
					if len(k.asked) > 0 || k.in != "" || k.p.Ended() {
						t.Errorf("%s: %d have no answer, %d bytes are left, ended %v", k.name, len(k.asked), len(k.in), k.p.Ended())
					}
				}
			}
			w.stats("downstream_rq_reverse_active", 0)
			w.idle()
		})
	}
}

// open lets peers be read and written without limits.
func (w *simWorld) open(list ...*looptest.Peer) {
	for _, p := range list {
		p.Segments(0, 0)
		p.Window(-1)
	}
	w.Settle()
}
