package listener

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// greeter is a chain whose connections are greeted with a word and then echoed.
type greeter struct {
	word   string
	refuse bool
	closed atomic.Bool
}

func (g *greeter) NewConn(_ *stream.Worker, c *eventloop.Conn) eventloop.Handler {
	if g.refuse {
		return nil
	}
	c.Out().AppendString(g.word)
	return &echo{}
}

func (g *greeter) Close() { g.closed.Store(true) }

type echo struct{ eventloop.NopHandler }

func (*echo) OnData(c *eventloop.Conn, in []byte) int {
	c.Out().Append(in)
	return len(in)
}

func (*echo) OnEOF(c *eventloop.Conn) { c.Close() }

// bench is a manager over real loops.
type bench struct {
	t         *testing.T
	store     *stats.Store
	collector *stats.Collector
	manager   *Manager
	comp      *sdktest.Compiler
	names     *stats.Names
	snapshot  *runtime.Values
	workers   []*stream.Worker
}

// scoped is a compiler whose stats are real.
type scoped struct {
	sdk.Compiler
	store *stats.Store
}

func (s scoped) Stats() sdk.Scope { return s.store.Root() }

func newBench(t *testing.T, loops int) *bench {
	t.Helper()
	group, err := eventloop.NewGroup(eventloop.Config{Loops: loops})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, store: stats.NewStore(stats.Options{}), comp: sdktest.NewCompiler(t), names: StatNames(loops)}
	locals := make([]*stats.Local, loops)
	for i := range locals {
		locals[i] = stats.NewLocal()
	}
	b.collector = stats.NewCollector(b.store, locals, func(loop int, fn func()) error {
		return group.Loop(loop).Call(func(*eventloop.Loop) { fn() })
	})
	clusters := cluster.NewManager(cluster.Options{Group: group, Stats: locals})
	var workers []*stream.Worker
	for i := range locals {
		workers = append(workers, stream.NewWorker(group.Loop(i), clusters.Local(i), locals[i]))
	}
	group.Start()
	b.workers = workers
	b.manager = NewManager(workers, Drain{Time: time.Minute})
	t.Cleanup(func() {
		if err := b.manager.Close(); err != nil {
			t.Error(err)
		}
		clusters.Close()
		group.Stop()
	})
	return b
}

// compile compiles a listener given as text, in front of a chain.
func (b *bench) compile(text string, chain stream.ConnFactory) (*Config, error) {
	b.t.Helper()
	if !strings.Contains(text, "filter_chains") && !strings.Contains(text, "default_filter_chain") {
		text += ` filter_chains { filters { name: "x" } }`
	}
	pb := sdktest.Text[listenerv3.Listener](b.t, text)
	return Compile(scoped{b.comp, b.store}, pb, Options{
		Names: b.names, Runtime: b.snapshot,
		Filter: func(c sdk.Compiler, f *listenerv3.Filter) (stream.ConnFactory, error) {
			if f.GetName() == "bad" {
				return nil, c.Errorf("bad filter")
			}
			return chain, nil
		},
	})
}

// add puts a listener into force.
func (b *bench) add(text string, chain stream.ConnFactory) *Config {
	b.t.Helper()
	cfg, err := b.compile(text, chain)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.manager.Update([]*Config{cfg}); err != nil {
		b.t.Fatal(err)
	}
	return cfg
}

// dial connects to the first address of a listener.
func (b *bench) dial(name string) net.Conn {
	b.t.Helper()
	addr := b.manager.Addresses(name)[0]
	network := "tcp"
	if addr.IsUnix() {
		network = "unix"
	}
	c, err := net.Dial(network, addr.String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// greeting reads n bytes.
func (b *bench) greeting(c net.Conn, n int) string {
	b.t.Helper()
	buf := make([]byte, n)
	if _, err := io.ReadFull(c, buf); err != nil {
		b.t.Fatal(err)
	}
	return string(buf)
}

func (b *bench) stat(name string) uint64 {
	b.t.Helper()
	v, err := b.collector.Scrape(stats.Filter{})
	if err != nil {
		b.t.Fatal(err)
	}
	n, ok := v.Value(name)
	if !ok {
		b.t.Fatalf("there is no %s", name)
	}
	return n
}

func (b *bench) await(what string, holds func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("it does not come true: %s", what)
		}
	}
}

func tcp(port int) string {
	return fmt.Sprintf(`address { socket_address { address: "127.0.0.1" port_value: %d } } `, port)
}

func TestServeAndCount(t *testing.T) {
	for _, loops := range []int{1, 4} {
		b := newBench(t, loops)
		chain := &greeter{word: "hello"}
		b.add(`name: "l" stat_prefix: "web" `+tcp(0), chain)
		early := b.dial("l") // waits in the queue
		if err := b.manager.Serve(); err != nil {
			t.Fatal(err)
		}
		conns := []net.Conn{early}
		for range 7 {
			conns = append(conns, b.dial("l"))
		}
		for _, c := range conns {
			if got := b.greeting(c, 5); got != "hello" {
				t.Errorf("got %q", got)
			}
		}
		if n := b.stat("listener.web.downstream_cx_active"); n != 8 {
			t.Errorf("%d active", n)
		}
		for _, c := range conns {
			_ = c.Close()
		}
		b.await("all are gone", func() bool { return b.stat("listener.web.downstream_cx_destroy") == 8 })
		perWorker := uint64(0)
		for i := range loops {
			perWorker += b.stat(fmt.Sprintf("listener.web.worker_%d.downstream_cx_total", i))
		}
		if total := b.stat("listener.web.downstream_cx_total"); total != 8 || perWorker != 8 || b.stat("listener.web.downstream_cx_active") != 0 {
			t.Errorf("%d in total, %d over the workers", total, perWorker)
		}
	}
}

func TestReplaceKeepsSocketsAndConnections(t *testing.T) {
	b := newBench(t, 2)
	one, two := &greeter{word: "one"}, &greeter{word: "two"}
	first := b.add(`name: "l" `+tcp(0), one)
	if err := b.manager.Serve(); err != nil {
		t.Fatal(err)
	}
	before := b.manager.Addresses("l")[0]
	old := b.dial("l")
	if got := b.greeting(old, 3); got != "one" {
		t.Errorf("got %q", got)
	}
	b.add(`name: "l" `+tcp(0), two)
	if after := b.manager.Addresses("l")[0]; after != before {
		t.Errorf("the address went from %s to %s", before, after)
	}
	if got := b.greeting(b.dial("l"), 3); got != "two" {
		t.Errorf("after the change a connection gets %q", got)
	}
	fmt.Fprint(old, "still")
	if got := b.greeting(old, 5); got != "still" || one.closed.Load() {
		t.Errorf("the old connection gets %q, its chain is closed: %v", got, one.closed.Load())
	}
	_ = old.Close()
	b.await("the old chain is closed", one.closed.Load)
	if two.closed.Load() || first.live.Load() != 0 {
		t.Errorf("the new chain is closed: %v; %d loops use the old", two.closed.Load(), first.live.Load())
	}
}

// TestReplacedConnectionsEnd: what is left at the end of the drain time is closed.
func TestReplacedConnectionsEnd(t *testing.T) {
	b := newBench(t, 2)
	b.manager = NewManager(b.workers, Drain{Time: 30 * time.Millisecond})
	one := &greeter{word: "one"}
	b.add(`name: "l" `+tcp(0), one)
	if err := b.manager.Serve(); err != nil {
		t.Fatal(err)
	}
	old := b.dial("l")
	b.greeting(old, 3)
	b.add(`name: "l" `+tcp(0), &greeter{word: "two"})
	b.await("the old chain is closed", one.closed.Load)
	if n, err := old.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d, %v: the connection is kept", n, err)
	}
	if b.greeting(b.dial("l"), 3) != "two" {
		t.Error("the new listener does not serve")
	}
}

func TestReplaceMovesToAnotherAddress(t *testing.T) {
	b := newBench(t, 1)
	b.add(`name: "l" `+tcp(0), &greeter{word: "one"})
	if err := b.manager.Serve(); err != nil {
		t.Fatal(err)
	}
	before := b.manager.Addresses("l")[0]
	path := filepath.Join(t.TempDir(), "sock")
	b.add(fmt.Sprintf(`name: "l" address { pipe { path: %q mode: 384 } }`, path), &greeter{word: "two"})
	if got := b.greeting(b.dial("l"), 3); got != "two" {
		t.Errorf("got %q", got)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	if c, err := net.Dial("tcp", before.String()); err == nil {
		_ = c.Close()
		t.Error("the old address still accepts")
	}
}

func TestRemoveAndStop(t *testing.T) {
	b := newBench(t, 2)
	chains := map[string]*greeter{}
	for _, name := range []string{"a", "b"} {
		chains[name] = &greeter{word: name}
		b.add(fmt.Sprintf(`name: %q traffic_direction: %s `, name, map[string]string{"a": "INBOUND", "b": "OUTBOUND"}[name])+tcp(0), chains[name])
	}
	if err := b.manager.Serve(); err != nil {
		t.Fatal(err)
	}
	kept := b.dial("a")
	b.greeting(kept, 1)
	addr := b.manager.Addresses("a")[0]
	if err := b.manager.Stop(func(c *Config) bool { return c.Name() == "a" }); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", addr.String()); err == nil {
		t.Error("a stopped listener accepts")
	}
	fmt.Fprint(kept, "x")
	if got := b.greeting(kept, 1); got != "x" {
		t.Errorf("after Stop a connection gets %q", got)
	}
	if err := b.manager.Remove("a", "b", "none"); err != nil {
		t.Fatal(err)
	}
	b.await("the idle chain is closed", chains["b"].closed.Load)
	if chains["a"].closed.Load() || b.manager.Len() != 0 {
		t.Error("a chain with a connection is closed")
	}
	_ = kept.Close()
	b.await("the other chain is closed", chains["a"].closed.Load)
}

func TestBindFails(t *testing.T) {
	b := newBench(t, 1)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg, err := b.compile(`name: "l" `+tcp(taken.Addr().(*net.TCPAddr).Port), &greeter{})
	if err != nil {
		t.Fatal(err)
	}
	err = b.manager.Update([]*Config{cfg})
	if err == nil || !strings.Contains(err.Error(), `listener "l": listen on 127.0.0.1:`) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("%v", err)
	}
	if b.manager.Len() != 0 {
		t.Error("a listener without a socket is kept")
	}
}

func TestConnectionLimit(t *testing.T) {
	b := newBench(t, 2)
	var err error
	b.snapshot, err = runtime.New(&structpb.Struct{Fields: map[string]*structpb.Value{
		"envoy.resource_limits.listener.l.connection_limit": structpb.NewNumberValue(1),
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.add(`name: "l" stat_prefix: "l" `+tcp(0), &greeter{word: "x"})
	if err := b.manager.Serve(); err != nil {
		t.Fatal(err)
	}
	first := b.dial("l")
	b.greeting(first, 1)
	if n, err := b.dial("l").Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("over the limit a connection gets %d bytes, %v", n, err)
	}
	if n := b.stat("listener.l.downstream_cx_overflow"); n != 1 {
		t.Errorf("%d overflows", n)
	}
	_ = first.Close()
	b.await("the place is free", func() bool { return b.stat("listener.l.downstream_cx_active") == 0 })
	if got := b.greeting(b.dial("l"), 1); got != "x" {
		t.Errorf("got %q", got)
	}
}

func TestChainRefusesConnection(t *testing.T) {
	b := newBench(t, 1)
	b.add(`name: "l" stat_prefix: "l" `+tcp(0), &greeter{refuse: true})
	if err := b.manager.Serve(); err != nil {
		t.Fatal(err)
	}
	if n, err := b.dial("l").Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
	b.await("it is counted out", func() bool {
		return b.stat("listener.l.downstream_cx_destroy") == 1 && b.stat("listener.l.downstream_cx_active") == 0
	})
}

// line keeps what an access log gets.
type line struct{ got chan sdk.StreamInfo }

func (l *line) Log(_ int, info *sdk.StreamInfo, _, _, _ *sdk.Headers) {
	l.got <- sdk.StreamInfo{
		BytesReceived: info.BytesReceived, BytesSent: info.BytesSent, ConnectionID: info.ConnectionID,
		DownstreamRemote: info.DownstreamRemote, DownstreamLocal: info.DownstreamLocal, Start: info.Start, End: info.End,
	}
}

func TestAccessLogOfConnections(t *testing.T) {
	b := newBench(t, 1)
	l := &line{make(chan sdk.StreamInfo, 1)}
	b.comp.AddAccessLog("log", l)
	b.add(`name: "l" access_log { name: "log" } `+tcp(0), &greeter{word: "hello"})
	if err := b.manager.Serve(); err != nil {
		t.Fatal(err)
	}
	c := b.dial("l")
	fmt.Fprint(c, "abc")
	b.greeting(c, 8)
	_ = c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case got := <-l.got:
		if got.BytesReceived != 3 || got.BytesSent != 8 || got.ConnectionID == 0 || got.End < got.Start ||
			got.DownstreamRemote.String() != c.LocalAddr().String() || got.DownstreamLocal.String() != c.RemoteAddr().String() {
			t.Errorf("%+v", got)
		}
	case <-ctx.Done():
		t.Fatal("no line")
	}
}

func TestAdditionalAddresses(t *testing.T) {
	b := newBench(t, 1)
	b.add(`name: "l" additional_addresses { address { socket_address { address: "::1" port_value: 0 } } } `+tcp(0), &greeter{word: "x"})
	if err := b.manager.Serve(); err != nil {
		t.Fatal(err)
	}
	addrs := b.manager.Addresses("l")
	if len(addrs) != 2 || !addrs[1].Addr().Is6() {
		t.Fatalf("bound to %v", addrs)
	}
	for _, a := range addrs {
		c, err := net.Dial("tcp", a.String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if got := b.greeting(c, 1); got != "x" {
			t.Errorf("%s: got %q", a, got)
		}
		_ = c.Close()
	}
	status := b.manager.Status()
	if len(status) != 1 || len(status[0].AdditionalLocalAddresses) != 1 ||
		status[0].LocalAddress.GetSocketAddress().GetPortValue() != uint32(addrs[0].Port()) {
		t.Errorf("status is %v", status)
	}
}

func TestNotBound(t *testing.T) {
	b := newBench(t, 1)
	b.add(`name: "l" bind_to_port { value: false } `+tcp(1), &greeter{})
	if err := b.manager.Serve(); err != nil {
		t.Fatal(err)
	}
	if a := b.manager.Addresses("l"); len(a) != 1 || a[0].Port() != 1 {
		t.Errorf("addresses are %v", a)
	}
}

func TestUnknownNameHasNoAddresses(t *testing.T) {
	if a := newBench(t, 1).manager.Addresses("none"); a != nil {
		t.Error(a)
	}
}
