package looptest

import (
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
)

// worker takes one byte at a time and lets others have their turn; each byte, and the
// end, takes some time.
type worker struct {
	eventloop.NopHandler
	e       *Env
	log     *strings.Builder
	data    time.Duration
	closing time.Duration
}

func (w *worker) OnData(c *eventloop.Conn, in []byte) int {
	w.e.clock += w.data
	w.log.WriteByte(in[0])
	if len(in) > 1 {
		c.Resume()
	}
	return 1
}

func (w *worker) OnClose(*eventloop.Conn, error) {
	w.e.clock += w.closing
	w.log.WriteByte('.')
}

// workers connects n clients to workers that write to log.
func workers(t *testing.T, n int, data, closing time.Duration) (e *Env, peers []*Peer, log *strings.Builder) {
	e, log = New(t), &strings.Builder{}
	ln := serve(t, e, func(*eventloop.Conn) eventloop.Handler {
		return &worker{e: e, log: log, data: data, closing: closing}
	})
	for range n {
		peers = append(peers, e.Client(ln.Addr()))
	}
	e.Settle()
	return e, peers, log
}

// turns runs turns until there is nothing to do, and shows what each has logged.
func turns(e *Env, log *strings.Builder) string {
	var all []string
	for more := true; more; {
		log.Reset()
		more = e.Turn()
		if log.Len() > 0 {
			all = append(all, log.String())
		}
	}
	return strings.Join(all, " ")
}

// TestYield: who resumes from OnData goes on in the next turn, behind those for whom
// something has come meanwhile.
func TestYield(t *testing.T) {
	e, p, log := workers(t, 3, 0, 0)
	p[0].Send("aaaa")
	p[1].Send("bb")
	e.Turn()
	p[2].Send("c")
	if got := log.String() + " " + turns(e, log); got != "ab cab a a" {
		t.Errorf("handled %q", got)
	}
}

// TestLateEvents: when a turn has lasted a millisecond, what has come for others is
// handled by the turns that follow; each goes on.
func TestLateEvents(t *testing.T) {
	e, p, log := workers(t, 12, time.Millisecond/8, 0)
	for i, peer := range p {
		peer.Send(string(rune('a' + i)))
	}
	if got := turns(e, log); got != "abcdefghij kl" {
		t.Errorf("handled %q", got)
	}
}

// TestManyClosings: connections that end together are closed at once, and their owners
// told over some turns.
func TestManyClosings(t *testing.T) {
	e, p, log := workers(t, 5, 0, time.Millisecond/2)
	for _, peer := range p {
		peer.Reset()
	}
	if got := turns(e, log); got != ".. .. ." {
		t.Errorf("ended %q", got)
	}
	if n := e.OpenFiles(); n != 1 {
		t.Errorf("%d files are open beside the listening one", n-1)
	}
}
