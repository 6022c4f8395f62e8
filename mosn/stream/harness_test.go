package stream

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/mosn/protocol/http1"
	http2codec "sofamesh.io/sofamesh/mosn/protocol/http2"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// setup says what a test changes of the usual world: one listener, one virtual host,
// one route to cluster "c", whose one host is 10.0.0.1:80.
type setup struct {
	action   string            // more fields of the RouteAction
	route    string            // fields of the Route instead of the usual match and action
	vhost    string            // more fields of the VirtualHost
	table    string            // a whole RouteConfiguration instead
	clusters map[string]string // more fields of a cluster, by its name; "c" is always there
	hosts    int               // of cluster c; 0 is 1
	endpoint string            // more fields of each endpoint
	filters  []FilterConfig
	known    []*sdk.HTTPFilter // for typed_per_filter_config
	limit    int               // per_connection_buffer_limit_bytes; 0 is the loop's default
	edit     func(*Config)
	rpc      []sdk.CodecConfig // for the clusters
}

// world is a worker on a loop that the test turns by hand, with scripted clients
// before it and scripted hosts behind it.
type world struct {
	*looptest.Env
	t       testing.TB
	w       *Worker
	cfg     *Config
	m       *cluster.Manager
	store   *stats.Store
	collect *stats.Collector
	log     recorder
	o       setup
	limit   int
	peers   []*looptest.Peer
	over    bool

	unlogged bool // the access log is off
}

// compiler is the test compiler with a real stats scope.
type compiler struct {
	*sdktest.Compiler
	scope sdk.Scope
}

func (c *compiler) Stats() sdk.Scope { return c.scope }

func front() eventloop.Addr { return eventloop.TCPAddr(netip.MustParseAddrPort("10.9.9.9:8080")) }

// addr is host n: 10.0.0.n:80.
func addr(n int) eventloop.Addr {
	return eventloop.TCPAddr(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 80))
}

func newWorld(t testing.TB, o setup) *world {
	t.Helper()
	w := &world{Env: looptest.New(t), t: t, store: stats.NewStore(stats.Options{}), o: o, limit: o.limit}
	local := stats.NewLocal()
	w.collect = stats.NewCollector(w.store, []*stats.Local{local}, func(_ int, fn func()) error { fn(); return nil })
	w.m = cluster.NewManager(cluster.Options{Group: w.Group, Stats: []*stats.Local{local}, Shared: w.store.Shared(), Seed: 1})
	w.Advance(time.Millisecond) // a time of 0 would mean "not yet"
	w.addClusters(o)
	w.cfg = w.config(o)
	w.w = NewWorker(w.Loop, w.m.Local(0), local)
	w.w.rand = rand.NewChaCha8([32]byte{1}) // every run is the same
	if _, err := w.Loop.Serve(w.Listen(front()), w); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.finish)
	return w
}

// OnAccept implements eventloop.Acceptor.
func (w *world) OnAccept(_ *eventloop.Listener, c *eventloop.Conn) eventloop.Handler {
	if w.limit > 0 {
		c.SetWatermarks(w.limit, w.limit/2)
	}
	return w.cfg.NewConn(w.w, c)
}

func (w *world) compiler(scope sdk.Scope) *compiler {
	c := &compiler{sdktest.NewCompiler(w.t), scope}
	c.AddCodec(http1.Codec())
	c.AddCodec(http2codec.Codec())
	return c
}

// addClusters makes cluster "c" on hosts 1.., and others on hosts 11, 12, ..., in the
// order of their names.
func (w *world) addClusters(o setup) {
	w.t.Helper()
	kind := cluster.NewKind()
	var list []*cluster.Config
	add := func(name, fields string, first, n int) {
		ep := ""
		for i := range n {
			ep += fmt.Sprintf(`lb_endpoints { endpoint { address { socket_address { address: "10.0.0.%d" port_value: 80 } } } %s } `, first+i, o.endpoint)
			w.OnDial(addr(first+i), looptest.Accept)
		}
		if !strings.Contains(fields, "circuit_breakers") {
			fields += " circuit_breakers { thresholds { track_remaining: true } }"
		}
		pb := sdktest.Text[clusterv3.Cluster](w.t, fmt.Sprintf(
			`name: %q connect_timeout { seconds: 5 } %s load_assignment { cluster_name: %q endpoints { %s } }`, name, fields, name, ep))
		if err := pb.Validate(); err != nil {
			w.t.Fatal(err)
		}
		cfg, err := cluster.Compile(w.compiler(w.store.Root().Scope(cluster.StatPrefix(pb))), pb, cluster.CompileOptions{Kind: kind, RPC: o.rpc})
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, cfg)
	}
	add("c", o.clusters["c"], 1, max(o.hosts, 1))
	for i, name := range []string{"m", "n"} {
		if fields, ok := o.clusters[name]; ok {
			add(name, fields, 11+i, 1)
		}
	}
	if err := w.m.Update(list, nil); err != nil {
		w.t.Fatal(err)
	}
	w.Settle()
}

func (w *world) config(o setup) *Config {
	w.t.Helper()
	c := w.compiler(w.store.Root())
	codec, err := http1.Codec().Compile(c, sdk.Downstream, sdk.CodecOptions{
		Proto: &corev3.Http1ProtocolOptions{EnableTrailers: true, AcceptHttp_10: true, DefaultHostForHttp_10: "ten"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := &Config{
		Codecs: []sdk.CodecConfig{codec}, Routes: w.routes(o), Filters: o.filters, AccessLogs: []sdk.AccessLogger{&w.log},
		StreamIdleTimeout: 5 * time.Minute, IdleTimeout: time.Hour, DelayedCloseTimeout: time.Second,
		ServerName: "envoy",
		Stats:      NewNames().New(w.store.Root(), w.store.Root().Scope("listener.t"), "t"),
	}
	if o.edit != nil {
		o.edit(cfg)
	}
	return cfg
}

func (w *world) routes(o setup) *route.Slot {
	w.t.Helper()
	if o.table == "" {
		if o.route == "" {
			o.route = `match { prefix: "/" } route { cluster: "c" ` + o.action + ` }`
		}
		o.table = `virtual_hosts { name: "v" domains: "*" routes { ` + o.route + ` } ` + o.vhost + ` }`
	}
	pb := sdktest.Text[routev3.RouteConfiguration](w.t, o.table)
	if err := pb.Validate(); err != nil {
		w.t.Fatal(err)
	}
	c := w.compiler(w.store.Root())
	for _, f := range o.known {
		c.AddHTTPFilter(f)
	}
	t, err := route.Compile(c, pb, route.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return route.NewSlot(t)
}

// client connects one.
func (w *world) client() *looptest.Peer {
	p := w.Client(front())
	w.peers = append(w.peers, p)
	return p
}

// backend returns the next connection that was made to host n.
func (w *world) backend(n int) *looptest.Peer {
	w.t.Helper()
	p := w.next(n)
	if p == nil {
		w.t.Fatalf("no connection to %v was made", addr(n))
	}
	return p
}

// next is backend, but returns nil when there is none.
func (w *world) next(n int) *looptest.Peer {
	p := w.Dialled(addr(n))
	if p != nil {
		w.peers = append(w.peers, p)
	}
	return p
}

// send has a peer send something, and settles.
func (w *world) send(p *looptest.Peer, s string) {
	w.t.Helper()
	p.Send(s)
	w.Settle()
}

// got compares what a peer has received since the last time.
func (w *world) got(p *looptest.Peer, want string) {
	w.t.Helper()
	if got := p.Received(); got != want {
		w.t.Errorf("got %q\nwant %q", got, want)
	}
}

// logged compares the access log since the last time: one line a stream, as method,
// path, code, flags, details, separated by "; ".
func (w *world) logged(want string) {
	w.t.Helper()
	if got := w.log.take(); got != want {
		w.t.Errorf("log %q\nwant %q", got, want)
	}
}

// stat returns a stat, 0 when it was never touched.
func (w *world) stat(name string) uint64 {
	w.t.Helper()
	w.m.UpdateGauges()
	v, err := w.collect.Scrape(stats.Filter{})
	if err != nil {
		w.t.Fatal(err)
	}
	n, _ := v.Value(name)
	return n
}

// stats compares "name value name value ...". A name without dot is a counter of the
// connection manager, one that begins with a dot one of cluster c.
func (w *world) stats(want ...any) {
	w.t.Helper()
	for i := 0; i < len(want); i += 2 {
		name := want[i].(string)
		switch {
		case strings.HasPrefix(name, "."):
			name = "cluster.c" + name
		case !strings.Contains(name, "."):
			name = "http.t." + name
		}
		if got := w.stat(name); got != uint64(want[i+1].(int)) {
			w.t.Errorf("%s = %d, want %d", name, got, want[i+1])
		}
	}
}

// finish ends all peers, lets all timeouts pass, and checks that nothing is left.
func (w *world) finish() {
	if w.over {
		return
	}
	w.over = true
	w.HoldJobs(false)
	for _, p := range w.peers {
		if p.Accepted() && !p.Closed() {
			p.Window(-1)
			p.Close()
		}
	}
	w.Settle()
	w.Advance(time.Minute)
	w.idle()
	for _, p := range w.peers {
		if p.Accepted() && !p.Closed() {
			w.t.Errorf("a connection with %v is open at the end", p.Addr())
		}
	}
	for _, m := range w.Logs {
		w.t.Errorf("logged: %s", m)
	}
	w.m.Close()
}

// idle checks that no stream is active and that nothing is held by those that ended.
func (w *world) idle() {
	w.t.Helper()
	if n := w.w.ActiveStreams(); n != 0 {
		w.t.Errorf("%d streams are active", n)
	}
	if n := w.Loop.Buffers().InUse(); n != 0 {
		w.t.Errorf("%d chunks are in use", n)
	}
	if w.w.depth != 0 || w.w.dead != nil {
		w.t.Errorf("depth %d, dead streams %v", w.w.depth, w.w.dead != nil)
	}
	w.freeLists()
	if total := w.stat("http.t.downstream_rq_total"); total != w.log.count && !w.unlogged {
		w.t.Errorf("%d streams were begun, %d logged", total, w.log.count)
	}
	w.stats("downstream_rq_active", 0, ".upstream_rq_active", 0, ".upstream_rq_pending_active", 0)
	if strings.Contains(w.o.clusters["c"], "circuit_breakers") {
		return
	}
	for what, want := range map[string]int{"rq": 1024, "pending": 1024, "retries": 3} {
		w.stats(".circuit_breakers.default.remaining_"+what, want)
	}
}

// freeLists checks that what waits for reuse is there once, quiet and empty.
func (w *world) freeLists() {
	w.t.Helper()
	seen := map[*Stream]bool{}
	for s := w.w.free; s != nil; s = s.link {
		if seen[s] {
			w.t.Fatal("a stream is in the free list twice")
		}
		seen[s] = true
		clean := s.phase == idle && !s.timer.Armed() && s.armedFor == 0 && s.asyncs == 0 && s.out.Empty() &&
			s.req.Len() == 0 && s.resp.Len() == 0 && !s.up.call.Active() && s.up.body.Empty() && s.up.saved.Empty() &&
			len(s.slots) == 0 && len(s.up.mirrors) == 0 && s.deadlines == [numDeadlines]time.Duration{}
		if !clean {
			w.t.Errorf("a stream in the free list is not clean: %s", s.phase)
		}
	}
	mirrors := map[*shadow]bool{}
	for m := w.w.shadows; m != nil; m = m.link {
		if mirrors[m] {
			w.t.Fatal("a mirror is in the free list twice")
		}
		mirrors[m] = true
		if m.timer.Armed() || m.call.Active() || !m.body.Empty() || m.over || m.owned {
			w.t.Error("a mirror in the free list is not clean")
		}
	}
}

// recorder is an access logger that keeps everything as text.
type recorder struct {
	lines []string
	infos []sdk.StreamInfo
	count uint64
	each  func(*sdk.StreamInfo) // nil: nothing
}

// Log implements sdk.AccessLogger.
func (r *recorder) Log(_ int, i *sdk.StreamInfo, req, _, _ *sdk.Headers) {
	if i.LogType == sdk.LogDownstreamEnd {
		r.count++
	}
	if r.each != nil {
		r.each(i)
	}
	or := func(s string) string {
		if s == "" {
			return "-"
		}
		return strings.Clone(s)
	}
	r.lines = append(r.lines, fmt.Sprintf("%s %s %d %s %s",
		or(req.Method()), or(req.Path()), i.ResponseCode, i.Flags.Names(), or(i.Details)))
	c := *i
	c.Details, c.UpstreamHost, c.ClusterName = strings.Clone(i.Details), strings.Clone(i.UpstreamHost), strings.Clone(i.ClusterName)
	r.infos = append(r.infos, c)
}

func (r *recorder) take() string {
	s := strings.Join(r.lines, "; ")
	r.lines = nil
	return s
}

// last returns what is known of the stream that ended last.
func (r *recorder) last() sdk.StreamInfo { return r.infos[len(r.infos)-1] }

// The fixed parts of what the proxy writes.
const (
	get       = "GET / HTTP/1.1\r\nhost: a\r\n\r\n"
	getUp     = "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-proto: http\r\nx-envoy-expected-rq-timeout-ms: 15000\r\n\r\n"
	ok2       = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
	date      = "date: Fri, 02 Jan 2026 03:04:05 GMT\r\n"
	ours      = date + "server: envoy\r\n"
	served    = "x-envoy-upstream-service-time: 0\r\n" + ours
	ok2Down   = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + served + "\r\nok"
	ok2Close  = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + served + "connection: close\r\n\r\nok"
	okLog     = "GET / 200 - via_upstream"
	upstreamE = "upstream connect error or disconnect/reset before headers. "
)

// post is a POST with a body of the given length that is not sent yet.
func post(n int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n", n)
}

// postUp is its head as the host gets it.
func postUp(n int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\nx-forwarded-proto: http\r\n"+
		"x-envoy-expected-rq-timeout-ms: 15000\r\n\r\n", n)
}

// local is a reply of the proxy's own; more are further header lines.
func local(status, body string, more ...string) string {
	head := "HTTP/1.1 " + status + "\r\n"
	if body != "" {
		head += fmt.Sprintf("content-length: %d\r\ncontent-type: text/plain\r\n", len(body))
	}
	head += date + "server: envoy\r\n"
	for _, m := range more {
		head += m + "\r\n"
	}
	if body == "" {
		head += "content-length: 0\r\n"
	}
	return head + "\r\n" + body
}

// statusOf returns the status line of a response without the version.
func statusOf(resp string) string {
	line, _, _ := strings.Cut(resp, "\r\n")
	return strings.TrimPrefix(line, "HTTP/1.1 ")
}

// bodyOf returns what follows the head.
func bodyOf(resp string) string {
	_, body, _ := strings.Cut(resp, "\r\n\r\n")
	return body
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}
