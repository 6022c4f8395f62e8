package cluster

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/mosn/protocol/http1"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// compiler is the test compiler with a real stats scope at the root.
type compiler struct {
	*sdktest.Compiler
	scope sdk.Scope
}

func (c *compiler) Stats() sdk.Scope { return c.scope }

// world is a manager over loops that the test turns.
type world struct {
	*looptest.Env
	t       testing.TB
	m       *Manager
	store   *stats.Store
	locals  []*stats.Local
	collect *stats.Collector
	kind    *Kind
	codec   *sdk.Codec
	rpc     []sdk.CodecConfig
}

func newWorld(t testing.TB, loops int, r Resolver) *world {
	t.Helper()
	w := &world{Env: looptest.NewLoops(t, loops), t: t, store: stats.NewStore(stats.Options{}), kind: NewKind(), codec: http1.Codec()}
	for range loops {
		w.locals = append(w.locals, stats.NewLocal())
	}
	w.collect = stats.NewCollector(w.store, w.locals, func(_ int, fn func()) error { fn(); return nil })
	w.m = NewManager(Options{Group: w.Group, Stats: w.locals, Shared: w.store.Shared(), Resolver: r, Seed: 1})
	t.Cleanup(w.m.Close)
	return w
}

// compile compiles a cluster in protobuf's text format.
func (w *world) compile(text string) (*Config, error) {
	w.t.Helper()
	pb := sdktest.Text[clusterv3.Cluster](w.t, text)
	if err := pb.Validate(); err != nil {
		return nil, err
	}
	comp := &compiler{sdktest.NewCompiler(w.t), w.store.Root().Scope(StatPrefix(pb))}
	comp.AddCodec(w.codec)
	return Compile(comp, pb, CompileOptions{Kind: w.kind, RPC: w.rpc})
}

func (w *world) config(text string) *Config {
	w.t.Helper()
	cfg, err := w.compile(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return cfg
}

// static returns a STATIC cluster c with one host, 10.0.0.1:80, and other fields.
func static(fields string) string {
	return `name: "c" ` + fields + ` load_assignment { cluster_name: "c" endpoints { ` + ep("10.0.0.1", 80, "") + `} }`
}

// settings returns metadata with our own settings, given as name, value, name ...
func settings(list ...any) string {
	var b strings.Builder
	b.WriteString(`metadata { filter_metadata { key: "mosn" value { `)
	for i := 0; i < len(list); i += 2 {
		kind := "number_value"
		if _, ok := list[i+1].(string); ok {
			kind = "string_value"
		}
		fmt.Fprintf(&b, `fields { key: %q value { %s: %#v } } `, list[i], kind, list[i+1])
	}
	return b.String() + "} } } "
}

func ep(ip string, port int, fields string) string {
	return fmt.Sprintf(`lb_endpoints { endpoint { address { socket_address { address: %q port_value: %d } } } %s } `, ip, port, fields)
}

func (w *world) set(texts ...string) {
	w.t.Helper()
	var cfgs []*Config
	for _, text := range texts {
		cfgs = append(cfgs, w.config(text))
	}
	if err := w.m.Update(cfgs, nil); err != nil {
		w.t.Fatal(err)
	}
	w.Settle()
}

// one makes a world of one loop with the static cluster c, and returns it on the loop.
func one(t testing.TB, fields string) (*world, *LoopCluster) {
	t.Helper()
	return oneWith(t, http1.Codec(), fields)
}

func oneWith(t testing.TB, codec *sdk.Codec, fields string) (*world, *LoopCluster) {
	t.Helper()
	w := newWorld(t, 1, nil)
	w.codec = codec
	w.OnDial(addr(1), looptest.Accept)
	w.set(static(fields))
	lc := w.m.Local(0).Get("c")
	if lc == nil {
		t.Fatal("the cluster is unknown")
	}
	return w, lc
}

func addr(n int) eventloop.Addr {
	return eventloop.TCPAddr(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 80))
}

func (w *world) dialled(n int) *looptest.Peer {
	w.t.Helper()
	p := w.Dialled(addr(n))
	if p == nil {
		w.t.Fatalf("no connection to %v was made", addr(n))
	}
	return p
}

// stat returns a stat of cluster c.
func (w *world) stat(name string) uint64 {
	w.t.Helper()
	w.m.UpdateGauges()
	v, err := w.collect.Scrape(stats.Filter{})
	if err != nil {
		w.t.Fatal(err)
	}
	n, ok := v.Value("cluster.c." + name)
	if !ok {
		w.t.Fatalf("there is no stat cluster.c.%s", name)
	}
	return n
}

// stats compares "name value name value ...".
func (w *world) stats(want ...any) {
	w.t.Helper()
	for i := 0; i < len(want); i += 2 {
		if got := w.stat(want[i].(string)); got != uint64(want[i+1].(int)) {
			w.t.Errorf("%s = %d, want %d", want[i], got, want[i+1])
		}
	}
}

// probe is a Call with an owner that notes what happens. By default it sends a GET
// when it is ready.
type probe struct {
	Call
	lc    *LoopCluster
	log   []string
	err   *sdk.Error
	ready func(p *probe)
	on    func(p *probe, what string) // after each event
}

func (p *probe) note(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	p.log = append(p.log, what)
	if p.on != nil {
		p.on(p, what)
	}
}

// events returns what happened since the last time.
func (p *probe) events() string {
	s := strings.Join(p.log, "; ")
	p.log = nil
	return s
}

func (p *probe) OnCallReady(c *Call) {
	if c != &p.Call || !c.Ready() || !c.Active() {
		panic("OnCallReady of a call that is not ready")
	}
	if p.ready != nil {
		p.ready(p)
		return
	}
	p.send("GET", "", true)
}

func (p *probe) OnCallInformational(_ *Call, m *sdk.Message) { p.note("1xx %d", m.Status()) }
func (p *probe) OnCallHeaders(_ *Call, m *sdk.Message, end bool) {
	p.note("head %d%s", m.Status(), ended(end))
}
func (p *probe) OnCallData(_ *Call, b []byte, end bool) { p.note("%q%s", b, ended(end)) }
func (p *probe) OnCallTrailers(_ *Call, m *sdk.Message) { p.note("trailers %d", m.Len()) }
func (p *probe) OnCallWritable(*Call)                   { p.note("writable") }
func (p *probe) OnCallFailed(_ *Call, err *sdk.Error) {
	if p.Active() {
		panic("a failed call is active")
	}
	p.err = err
	p.note("failed %s %s", err.Flag.Names(), err.Reset)
}

func ended(end bool) string {
	if end {
		return " end"
	}
	return ""
}

func (p *probe) send(method, path string, end bool) {
	var m sdk.Message
	m.AddID(sdk.HeaderMethod, method)
	m.AddID(sdk.HeaderPath, "/"+path)
	m.AddID(sdk.HeaderAuthority, "a")
	if err := p.WriteHeaders(&m, end); err != nil {
		panic(err)
	}
}

// start begins a call to the cluster's choice.
func start(lc *LoopCluster) *probe {
	p := &probe{lc: lc}
	p.start()
	return p
}

func (p *probe) start() {
	h := p.lc.Choose(&LBContext{})
	if h == nil {
		panic("no host")
	}
	p.lc.Start(&p.Call, h, nil, p, Default)
}

const (
	okHead = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
	ok     = okHead + "ok"
)

// expect compares what a probe saw.
func (p *probe) expect(t testing.TB, want string) {
	t.Helper()
	if got := p.events(); got != want {
		t.Errorf("saw %q, want %q", got, want)
	}
}

func protoText(text string, m proto.Message) error { return prototext.Unmarshal([]byte(text), m) }

// anyMap packs protocol options under the name of their type.
func anyMap(t testing.TB, m proto.Message) map[string]*anypb.Any {
	t.Helper()
	return map[string]*anypb.Any{string(proto.MessageName(m)): sdktest.Any(t, m)}
}
