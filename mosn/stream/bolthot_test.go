package stream

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

// boltBurst is a number of calls of a Java client that come at once on one connection,
// are answered at once, and are over.
type boltBurst struct {
	w       *world
	c, b    *looptest.Peer
	n       int
	calls   []byte
	answer  []byte
	answers []byte
}

// capturedCall is the request of a Java client that was recorded for the codec's tests.
func capturedCall(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("../protocol/bolt/testdata/v1-hessian.hex")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Java client: sync request")
	section, _, _ = strings.Cut(section, "\n\n")
	_, section, _ = strings.Cut(section, "\n")
	var p []byte
	for line := range strings.Lines(section) {
		digits, _, _ := strings.Cut(line, "#")
		q, err := hex.DecodeString(strings.TrimSpace(digits))
		if err != nil {
			t.Fatal(err)
		}
		p = append(p, q...)
	}
	return p
}

func newBoltBurst(t testing.TB, o setup, n int) *boltBurst {
	t.Helper()
	o = withBolt(o)
	edit := o.edit
	o.edit = func(c *Config) {
		edit(c)
		c.AccessLogs = nil // formatting is measured beside it
	}
	w := newWorld(t, o)
	w.unlogged = true
	x := &boltBurst{w: w, c: w.client(), n: n, answer: []byte(answerTo(0, strings.Repeat("y", 300)).String())}
	call := capturedCall(t)
	for i := range n {
		x.calls = append(x.calls, call...)
		binary.BigEndian.PutUint32(x.calls[i*len(call)+5:], uint32(i+1))
	}
	for range 10 {
		x.exchange(t)
	}
	return x
}

// exchange takes the calls to the host and its answers back.
func (x *boltBurst) exchange(t testing.TB) {
	x.c.SendBytes(x.calls)
	x.w.Turn()
	if x.b == nil {
		x.w.Settle()
		x.b = x.w.backend(1)
	}
	got := x.b.Take()
	if len(got)%x.n != 0 || len(got) < len(x.calls) {
		t.Fatalf("the host got %d bytes of %d", len(got), len(x.calls))
	}
	x.answers = x.answers[:0]
	for i := 0; i < len(got); i += len(got) / x.n {
		at := len(x.answers)
		x.answers = append(x.answers, x.answer...)
		copy(x.answers[at+5:at+9], got[i+5:])
	}
	x.b.SendBytes(x.answers)
	x.w.Turn()
	if len(x.c.Take()) != len(x.answers) {
		t.Fatal("the client got other answers")
	}
}

// TestProxyBoltAllocs: a proxied call on warm connections allocates nothing.
func TestProxyBoltAllocs(t *testing.T) {
	for name, o := range map[string]setup{
		"plain":           {},
		"edited":          {vhost: `request_headers_to_add { header { key: "x-zone" value: "z1" } }`},
		"stateful filter": {filters: []FilterConfig{{Name: "s", Config: stateful{}}, {Name: "t", Config: stateful{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newBoltBurst(t, o, 16)
			if n := testing.AllocsPerRun(200, func() { x.exchange(t) }); n != 0 {
				t.Errorf("%v allocations in 16 calls", n)
			}
		})
	}
}

// BenchmarkProxyBolt is the time in user space of a proxied call, of 16 that come at
// once.
func BenchmarkProxyBolt(b *testing.B) {
	const burst = 16
	x := newBoltBurst(b, setup{}, burst)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		x.exchange(b)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/burst, "ns/call")
}
