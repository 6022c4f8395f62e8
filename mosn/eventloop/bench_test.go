package eventloop

import (
	"testing"
	"time"
)

// pinger writes a request, waits for its echo and goes on, n times.
type pinger struct {
	NopHandler
	msg  []byte
	left int
	got  int
	done chan struct{}
}

func (p *pinger) OnConnect(c *Conn) { c.Out().Append(p.msg) }

func (p *pinger) OnData(c *Conn, in []byte) int {
	p.got += len(in)
	if p.got < len(p.msg) {
		return len(in)
	}
	p.got = 0
	if p.left--; p.left == 0 {
		c.Close()
		close(p.done)
		return len(in)
	}
	c.Out().Append(p.msg)
	return len(in)
}

// BenchmarkEchoLoopback is a request and its answer, 200 bytes each, between
// two connections of one loop over the system's loopback: four socket calls
// and two passages through the network stack.
func BenchmarkEchoLoopback(b *testing.B) {
	for name, newKernel := range kernels() {
		b.Run(name, func(b *testing.B) {
			g, err := NewGroup(Config{NewKernel: newKernel})
			if err != nil {
				b.Fatal(err)
			}
			g.Start()
			defer g.Stop()
			socks, err := Bind(ListenConfig{Addr: loopback(0)}, 1)
			if err != nil {
				b.Fatal(err)
			}
			l := g.Loop(0)
			p := &pinger{msg: pattern(200), left: b.N, done: make(chan struct{})}
			b.ReportAllocs()
			b.ResetTimer()
			if err := l.Post(TaskFunc(func(l *Loop) {
				ln, err := l.Serve(socks[0], acceptFunc(func(*Conn) Handler { return echo{} }))
				if err != nil {
					b.Error(err)
					return
				}
				l.Dial(ln.Addr(), nil, p)
			})); err != nil {
				b.Fatal(err)
			}
			<-p.done
		})
	}
}

func BenchmarkTimerArmStop(b *testing.B) {
	l := &Loop{}
	l.buffers = newTestPool()
	l.wheel.init()
	timers := make([]Timer, 1000)
	for i := range timers {
		timers[i].Init(l, nopTimer{})
		timers[i].Arm(time.Duration(i) * time.Millisecond)
	}
	var t Timer
	t.Init(l, nopTimer{})
	for b.Loop() {
		t.Arm(15 * time.Second)
		t.Stop()
	}
}

func BenchmarkTimerRearmLater(b *testing.B) {
	l := &Loop{}
	l.buffers = newTestPool()
	l.wheel.init()
	var t Timer
	t.Init(l, nopTimer{})
	d := time.Second
	for b.Loop() {
		d++
		t.Arm(d)
	}
}

func BenchmarkMailbox(b *testing.B) {
	var m mailbox
	m.init(1024)
	task := TaskFunc(func(*Loop) {})
	b.ReportAllocs()
	for b.Loop() {
		m.push(task)
		m.pop()
	}
}
