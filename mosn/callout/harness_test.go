package callout

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/mosn/protocol/http1"
	codec2 "sofamesh.io/sofamesh/mosn/protocol/http2"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// world is a loop that the test turns by hand, with the cluster c, whose one host is
// 10.0.0.1:80, and the cluster empty, which has none.
type world struct {
	*looptest.Env
	t       testing.TB
	l       *Local
	set     Set
	m       *cluster.Manager
	collect *stats.Collector
	log     []string // how calls have ended
}

// compiler is the test compiler with a real stats scope.
type compiler struct {
	*sdktest.Compiler
	scope sdk.Scope
}

func (c *compiler) Stats() sdk.Scope { return c.scope }

func addr() eventloop.Addr { return hostAddr(1) }

func hostAddr(n int) eventloop.Addr {
	return eventloop.TCPAddr(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 80))
}

func newWorld(t testing.TB, fields string) *world {
	t.Helper()
	store, local := stats.NewStore(stats.Options{}), stats.NewLocal()
	w := &world{Env: looptest.New(t), t: t}
	w.collect = stats.NewCollector(store, []*stats.Local{local}, func(_ int, fn func()) error { fn(); return nil })
	w.m = cluster.NewManager(cluster.Options{Group: w.Group, Stats: []*stats.Local{local}, Shared: store.Shared(), Seed: 1})
	w.Advance(time.Millisecond) // a time of 0 would mean "not yet"
	list := clusters(t, store, addr().AddrPort, fields)
	w.OnDial(addr(), looptest.Accept)
	w.OnDial(hostAddr(2), looptest.Accept)
	if err := w.m.Update(list, nil); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	w.l = NewLocal(w.Loop, w.m.Local(0), local)
	w.l.Address, w.l.Total = "10.7.7.7", store.Root().Counter("http.async-client.rq_total")
	w.l.rand = rand.NewPCG(1, 1) // every run is the same
	t.Cleanup(w.finish)
	return w
}

// clusters compiles c, with one host and more fields, empty, and two, with two hosts.
func clusters(t testing.TB, store *stats.Store, host netip.AddrPort, fields string) []*cluster.Config {
	t.Helper()
	kind := cluster.NewKind()
	var list []*cluster.Config
	for _, text := range []string{
		fmt.Sprintf(`name: "c" connect_timeout { seconds: 5 } %s load_assignment { cluster_name: "c" endpoints { lb_endpoints {
			endpoint { address { socket_address { address: %q port_value: %d } } } } } }`, fields, host.Addr(), host.Port()),
		`name: "empty" load_assignment { cluster_name: "empty" }`,
		`name: "two" lb_policy: RANDOM load_assignment { cluster_name: "two" endpoints {
			lb_endpoints { endpoint { address { socket_address { address: "10.0.0.1" port_value: 80 } } } }
			lb_endpoints { endpoint { address { socket_address { address: "10.0.0.2" port_value: 80 } } } } } }`,
	} {
		pb := sdktest.Text[clusterv3.Cluster](t, text)
		c := &compiler{sdktest.NewCompiler(t), store.Root().Scope(cluster.StatPrefix(pb))}
		c.AddCodec(http1.Codec())
		c.AddCodec(codec2.Codec())
		cfg, err := cluster.Compile(c, pb, cluster.CompileOptions{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, cfg)
	}
	return list
}

// OnCallDone implements Owner.
func (w *world) OnCallDone(done Done, resp *sdk.CallResponse, e *sdk.CallError) { done(resp, e) }

// request is one of a second.
func request(method, body string, lines ...string) *sdk.CallRequest {
	r := &sdk.CallRequest{Body: []byte(body), Timeout: time.Second}
	for _, l := range append([]string{":method: " + method, ":path: /p", ":authority: a"}, lines...) {
		i := strings.Index(l[1:], ":") + 1
		r.Headers.Add(l[:i], strings.TrimSpace(l[i+1:]))
	}
	return r
}

// start makes a call to c; how it ends is logged.
func (w *world) start(r *sdk.CallRequest) sdk.CallID { return w.startTo("c", r) }

func (w *world) startTo(cluster string, r *sdk.CallRequest) sdk.CallID {
	inside := true
	id := w.set.Start(w.l, w, cluster, r, func(resp *sdk.CallResponse, e *sdk.CallError) {
		if inside {
			w.t.Error("done is called within Start")
		}
		w.log = append(w.log, shown(resp, e))
	})
	inside = false
	w.Settle()
	return id
}

func shown(resp *sdk.CallResponse, e *sdk.CallError) string {
	if e != nil {
		return fmt.Sprintf("error %d %s %s: %s", e.Status, e.Err.Flag.Names(), e.Details, e.Text)
	}
	s := fmt.Sprintf("%d %q", resp.Headers.Status(), resp.Body)
	for name, value := range resp.Trailers.All() {
		s += fmt.Sprintf(" %s=%s", name, value)
	}
	return s
}

// ended compares how calls have ended since the last time.
func (w *world) ended(want string) {
	w.t.Helper()
	if got := strings.Join(w.log, "; "); got != want {
		w.t.Errorf("ended by %s\nwant %s", got, want)
	}
	w.log = nil
}

// host returns the next connection to the host.
func (w *world) host() *looptest.Peer {
	w.t.Helper()
	p := w.Dialled(addr())
	if p == nil {
		w.t.Fatal("no connection was made")
	}
	return p
}

func (w *world) send(p *looptest.Peer, s string) {
	p.Send(s)
	w.Settle()
}

func (w *world) got(p *looptest.Peer, want string) {
	w.t.Helper()
	if got := p.Received(); got != want {
		w.t.Errorf("the host got %q\nwant %q", got, want)
	}
}

// stats compares "name value name value ..." of cluster c.
func (w *world) stats(want ...any) {
	w.t.Helper()
	w.m.UpdateGauges()
	v, err := w.collect.Scrape(stats.Filter{})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(want); i += 2 {
		name := want[i].(string)
		if !strings.Contains(name, "async") {
			name = "cluster.c." + name
		}
		if got, _ := v.Value(name); got != uint64(want[i+1].(int)) {
			w.t.Errorf("%s = %d, want %d", name, got, want[i+1])
		}
	}
}

// idle checks that nothing is under way, and that what is kept is clean and kept once.
func (w *world) idle() {
	w.t.Helper()
	if w.set.first != nil {
		w.t.Error("calls are under way")
	}
	w.stats("upstream_rq_active", 0, "upstream_rq_pending_active", 0)
	seen := map[*call]bool{}
	for c := w.l.free; c != nil; c = c.next {
		if seen[c] {
			w.t.Fatal("a call is kept twice")
		}
		seen[c] = true
		if c.timer.Armed() || c.attempt.Active() || c.phase != over || c.body != nil || c.req.Len()+c.resp.Headers.Len()+c.resp.Trailers.Len()+len(c.resp.Body) != 0 {
			w.t.Errorf("a call that is kept is not clean: %+v", c.perCall)
		}
	}
}

func (w *world) finish() {
	w.set.CancelAll()
	w.Settle()
	w.idle()
	w.m.Close()
	w.Advance(time.Hour)
	for _, m := range w.Logs {
		w.t.Errorf("logged: %s", m)
	}
}

const (
	ok     = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
	common = "x-envoy-internal: true\r\nx-forwarded-for: 10.7.7.7\r\nx-envoy-expected-rq-timeout-ms: 1000\r\n"
	getUp  = "GET /p HTTP/1.1\r\nhost: a\r\n" + common + "\r\n"
	tooBad = "upstream connect error or disconnect/reset before headers. "
)

// host2 is the host's end of a connection of HTTP/2.
type host2 struct {
	*looptest.Peer
	w   *world
	out bytes.Buffer
	f   *http2.Framer
	dec *hpack.Decoder

	hello string // the first requests
}

func (w *world) host2() *host2 {
	w.t.Helper()
	h := &host2{Peer: w.host(), w: w, dec: hpack.NewDecoder(4096, nil)}
	h.f = http2.NewFramer(&h.out, nil)
	if got := h.Received(); !strings.HasPrefix(got, http2.ClientPreface) {
		w.t.Fatalf("no preface: %q", got)
	} else {
		h.hello = h.reading(got[len(http2.ClientPreface):])
	}
	h.write(func(f *http2.Framer) { _ = f.WriteSettings() })
	return h
}

func (h *host2) write(fn func(*http2.Framer)) {
	h.out.Reset()
	fn(h.f)
	h.SendBytes(bytes.Clone(h.out.Bytes()))
	h.w.Settle()
}

// head writes one of a stream.
func (h *host2) head(id uint32, end bool, pairs ...string) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i < len(pairs); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	h.write(func(f *http2.Framer) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
	})
}

// frames shows what has come of streams.
func (h *host2) frames() string { return h.reading(h.Received()) }

func (h *host2) reading(s string) string {
	var list []string
	f := http2.NewFramer(nil, strings.NewReader(s))
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			return strings.Join(list, "; ")
		}
		end := ""
		if fr.Header().Flags.Has(http2.FlagDataEndStream) {
			end = " end"
		}
		switch fr := fr.(type) {
		case *http2.HeadersFrame:
			fields, err := h.dec.DecodeFull(fr.HeaderBlockFragment())
			if err != nil {
				h.w.t.Fatal(err)
			}
			line := fmt.Sprintf("%d head", fr.StreamID)
			for _, x := range fields {
				line += " " + x.Name + "=" + x.Value
			}
			list = append(list, line+end)
		case *http2.DataFrame:
			list = append(list, fmt.Sprintf("%d %q%s", fr.StreamID, fr.Data(), end))
		case *http2.RSTStreamFrame:
			list = append(list, fmt.Sprintf("%d reset %s", fr.StreamID, fr.ErrCode))
		}
	}
}

// h2nd is the connection of the next attempt: the old one, unless that had to end.
func h2nd(w *world, old *looptest.Peer) *looptest.Peer {
	if p := w.Dialled(addr()); p != nil {
		return p
	}
	return old
}

func contains(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
