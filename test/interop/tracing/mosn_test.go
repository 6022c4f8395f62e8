package tracing

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// captured is a frame that a real peer has sent, recorded for the codec's tests.
func captured(t testing.TB, section string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../../mosn/protocol/bolt/testdata/v1-hessian.hex")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "## "+section)
	if !ok {
		t.Fatalf("no capture %q", section)
	}
	rest, _, _ = strings.Cut(rest, "\n\n")
	_, rest, _ = strings.Cut(rest, "\n")
	var p []byte
	for line := range strings.Lines(rest) {
		digits, _, _ := strings.Cut(line, "#")
		b, err := hex.DecodeString(strings.TrimSpace(digits))
		if err != nil {
			t.Fatal(err)
		}
		p = append(p, b...)
	}
	return p
}

// boltServer answers each request by an empty success, and keeps what it got.
type boltServer struct {
	port int
	mu   sync.Mutex
	got  [][]byte
}

func newBoltServer(t testing.TB) *boltServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	s := &boltServer{port: ln.Addr().(*net.TCPAddr).Port}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *boltServer) serve(c net.Conn) {
	defer c.Close()
	for {
		frame, err := readFrame(c, 22)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.got = append(s.got, frame)
		s.mu.Unlock()
		answer := append([]byte{1, 0, 0, 2, 1}, frame[5:9]...)
		if _, err := c.Write(append(answer, make([]byte, 11)...)); err != nil { // codec 0, status 0, no class, headers, content
			return
		}
	}
}

// readFrame reads a frame of Bolt v1 with a head of a size: 22 for requests, 20 for answers.
func readFrame(r io.Reader, size int) ([]byte, error) {
	head := make([]byte, size)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := head[size-8:]
	rest := make([]byte, int(binary.BigEndian.Uint16(n))+int(binary.BigEndian.Uint16(n[2:]))+int(binary.BigEndian.Uint32(n[4:])))
	_, err := io.ReadFull(r, rest)
	return append(head, rest...), err
}

// headerOf is a value in the header map of a request.
func headerOf(frame []byte, name string) string {
	at := 22 + int(binary.BigEndian.Uint16(frame[14:]))
	end := at + int(binary.BigEndian.Uint16(frame[16:]))
	next := func() string {
		n := int(binary.BigEndian.Uint32(frame[at:]))
		s := string(frame[at+4 : at+4+n])
		at += 4 + n
		return s
	}
	for at < end {
		if key, value := next(), next(); key == name {
			return value
		}
	}
	return "-"
}

// bolt sends the request of a Java client that SOFATracer traces, and waits for the answer.
func (r *rig) bolt(c *testCase, request []byte) {
	r.t.Helper()
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", r.ports[c.name]), 5*time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(request); err != nil {
		r.t.Fatal(err)
	}
	answer, err := readFrame(conn, 20)
	if err != nil || answer[10] != 0 || answer[11] != 0 {
		r.t.Fatalf("the answer is %x, %v", answer, err)
	}
}

// TestBolt: a call of a real Java client goes through two mosns, each a hop of its own in
// the trace that SOFATracer has begun.
func TestBolt(t *testing.T) {
	binary, err := mosnBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, provider string
		chain          []string // the calls' ids, each below the one before
		spans          []int    // how many spans each of them has
	}{
		{"otlp", otlpHTTP, []string{"0", "0.1", "0.1.1", "0.1.1.1", "0.1.1.1.1"}, []int{0, 1, 1, 1, 1}},
		// In Zipkin client and server share a span.
		{"zipkin", zipkinJSON, []string{"0", "0.1", "0.1.1", "0.1.1.1"}, []int{0, 1, 2, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, collect := newBoltServer(t), newCollector(t)
			hop := func(name, direction string) *testCase {
				return &testCase{name: tt.name + name, provider: tt.provider, tracing: "spawn_upstream_span: true",
					route: "match: {prefix: /}\nroute: {cluster: rpc}", direction: direction, spans: 2}
			}
			near, far := hop("-near", "OUTBOUND"), hop("-far", "INBOUND")
			r2 := start(t, binary, "far", []*testCase{far}, collect, cluster("rpc", false, server.port))
			r1 := start(t, binary, "near", []*testCase{near}, collect, cluster("rpc", false, r2.ports[far.name]))
			request := captured(t, "Java client: sync request")
			r1.bolt(near, request)
			r1.await(near)
			r2.await(far)
			trace := headerOf(request, "rpc_trace_context.sofaTraceId")
			for name, want := range map[string]string{
				"rpc_trace_context.sofaTraceId": trace, "rpc_trace_context.sofaRpcId": tt.chain[len(tt.chain)-1],
				"sofa_head_method_name": headerOf(request, "sofa_head_method_name"),
			} {
				if v := headerOf(server.got[0], name); v != want {
					t.Errorf("the server got %s = %q, want %q", name, v, want)
				}
			}
			spans, _ := collect.take(near.name)
			more, _ := collect.take(far.name)
			spans = append(spans, more...)
			for i, rpc := range tt.chain {
				n := 0
				for _, s := range spans {
					if s.ID == fnvID(rpc) && s.Trace == "00"+trace && s.Parent == fnvID(tt.chain[i-1]) {
						n++
					}
				}
				if n != tt.spans[i] {
					t.Errorf("%d spans of the call %s, want %d, in\n%s", n, rpc, tt.spans[i], tree(spans))
				}
			}
			if len(spans) != 4 {
				t.Errorf("%d spans", len(spans))
			}
		})
	}
}

// fnvID is the id that SOFATracer gives the Zipkin span of an RPC id.
func fnvID(rpc string) string {
	h := uint64(0xcbf29ce484222325)
	for i := range len(rpc) {
		h = (h ^ uint64(rpc[i])) * 0x100000001b3
	}
	return fmt.Sprintf("%016x", h)
}

// TestCollectorFails: whatever the collector does, requests go on as if there were none,
// what it does not take is counted, and nothing piles up.
func TestCollectorFails(t *testing.T) {
	binary, err := mosnBinary()
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	var hung atomic.Int32
	hang := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hung.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	angry := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	for _, tt := range []struct {
		name string
		port int
	}{{"refused", peers.RefusedPort(t)}, {"black hole", peers.BlackHole(t)}, {"hangs", hang}, {"500", angry}} {
		t.Run(tt.name, func(t *testing.T) {
			otlp := &testCase{name: "otlp-fails", provider: strings.ReplaceAll(otlpHTTP, "cluster: collector", "cluster: bad")}
			zip := &testCase{name: "zipkin-fails", provider: strings.ReplaceAll(zipkinJSON, "collector_cluster: collector", "collector_cluster: bad")}
			r := start(t, binary, "mosn", []*testCase{otlp, zip}, newCollector(t), cluster("bad", false, tt.port))
			const each = 1500
			for _, c := range []*testCase{otlp, zip} {
				load(t, r, c, each)
			}
			deadline := time.Now().Add(20 * time.Second)
			for {
				lost := peers.Stat(t, r.p, r.admin, "tracing.opentelemetry.spans_dropped")
				failed := peers.Stat(t, r.p, r.admin, "tracing.zipkin.reports_failed") + peers.Stat(t, r.p, r.admin, "tracing.zipkin.reports_dropped")
				if lost > 0 && failed > 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d spans are counted as lost, %d reports", lost, failed)
				}
				time.Sleep(50 * time.Millisecond)
			}
			sent := peers.Stat(t, r.p, r.admin, "tracing.opentelemetry.spans_sent")
			lost := peers.Stat(t, r.p, r.admin, "tracing.opentelemetry.spans_dropped")
			if sent > each || lost > each {
				t.Errorf("of %d spans %d are sent, %d lost", each, sent, lost)
			}
			if rss := r.p.RSS(); rss > 300<<20 {
				t.Errorf("it has grown to %d MB", rss>>20)
			}
			if !r.p.Stop(15 * time.Second) {
				t.Error("it does not end")
			}
		})
	}
	if hung.Load() == 0 {
		t.Error("nobody has called the collector that hangs")
	}
}

// load sends requests, all of which must be answered.
func load(t *testing.T, r *rig, c *testCase, n int) {
	t.Helper()
	url := fmt.Sprintf("http://127.0.0.1:%d/a", r.ports[c.name])
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	var bad atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range n / 8 {
				resp, err := client.Get(url)
				if err != nil || resp.StatusCode != 200 {
					bad.Add(1)
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			}
		})
	}
	wg.Wait()
	if bad.Load() != 0 {
		t.Errorf("%d of %d requests have failed", bad.Load(), n)
	}
}

// TestLastSpans: what waits when the proxy is told to end is still sent.
func TestLastSpans(t *testing.T) {
	binary, err := mosnBinary()
	if err != nil {
		t.Fatal(err)
	}
	collect := newCollector(t)
	c := &testCase{name: "otlp-last", provider: otlpHTTP}
	r := start(t, binary, "mosn", []*testCase{c}, collect)
	r.send(c, "GET /a")
	if !r.p.Stop(15 * time.Second) {
		t.Error("it does not end")
	}
	if spans, _ := collect.take(c.name); len(spans) != 1 {
		t.Errorf("%d spans came", len(spans))
	}
}
