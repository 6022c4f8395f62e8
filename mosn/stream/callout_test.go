package stream

import (
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// asker is a chain of one filter that makes a call to cluster m at the head of a request;
// done gets its end.
func asker(done func(s sdk.Stream, r *sdk.CallResponse, e *sdk.CallError)) (*chain, setup) {
	ch := newChain("a")
	ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
		r := &sdk.CallRequest{Timeout: time.Second}
		r.Headers.AddID(sdk.HeaderMethod, "GET")
		r.Headers.AddID(sdk.HeaderPath, "/ask")
		r.Headers.AddID(sdk.HeaderAuthority, "m")
		s.Call("m", r, func(resp *sdk.CallResponse, e *sdk.CallError) { done(s, resp, e) })
		return sdk.Pause
	}
	return ch, setup{filters: ch.filters(), clusters: map[string]string{"m": ""}}
}

func resumes(s sdk.Stream, r *sdk.CallResponse, e *sdk.CallError) {
	if e != nil {
		s.Reply(sdk.Reply{Status: e.Status, Body: e.Text})
		return
	}
	s.Request().Add("x-told", string(r.Body))
	s.ResumeRequest()
}

func TestFilterCalls(t *testing.T) {
	ch, o := asker(resumes)
	w := newWorld(t, o)
	c := w.client()
	w.send(c, get)
	if w.next(1) != nil {
		t.Error("not paused")
	}
	m := w.backend(11)
	w.got(m, "GET /ask HTTP/1.1\r\nhost: m\r\nx-envoy-internal: true\r\nx-envoy-expected-rq-timeout-ms: 1000\r\n\r\n")
	w.send(m, ok2)
	b := w.backend(1)
	if got := b.Received(); header(got, "x-told") != "ok" {
		t.Errorf("the host got %q", got)
	}
	w.send(b, ok2)
	w.got(c, ok2Down)

	w.send(c, get) // the next stream's call fails
	w.Advance(time.Second)
	if got := c.Received(); statusOf(got) != "504 Gateway Timeout" || bodyOf(got) != "upstream request timeout" {
		t.Errorf("got %q", got)
	}
	w.stats("cluster.m.internal.upstream_rq_200", 1, "cluster.m.internal.upstream_rq_504", 1)
	ch.balanced(t)
	w.idle()
}

// TestCallEndsWithStream: nobody is told, and nothing stays.
func TestCallEndsWithStream(t *testing.T) {
	ch, o := asker(func(sdk.Stream, *sdk.CallResponse, *sdk.CallError) { t.Error("told after the end") })
	late := sdk.CallID(1)
	ch.scripts[0].on["end"] = func(s sdk.Stream) sdk.Action {
		late = s.Call("m", &sdk.CallRequest{}, nil)
		return sdk.Continue
	}
	w := newWorld(t, o)
	c := w.client()
	w.send(c, get)
	m := w.backend(11)
	c.Reset()
	w.Settle()
	w.logged("GET / 0 DC downstream_remote_disconnect")
	if !m.Closed() || late != 0 {
		t.Errorf("the call goes on: %v, %d", m.Closed(), late)
	}
	ch.balanced(t)
	w.idle()
}

// TestCallCancelled by its filter, which answers in its place.
func TestCallCancelled(t *testing.T) {
	ch := newChain("a")
	ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
		id := s.Call("m", &sdk.CallRequest{Timeout: time.Second}, func(*sdk.CallResponse, *sdk.CallError) { t.Error("told") })
		s.CancelCall(id)
		s.CancelCall(id)
		return sdk.Continue
	}
	w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"m": ""}})
	c := w.client()
	w.send(c, get)
	w.send(w.backend(1), ok2)
	w.got(c, ok2Down)
	w.idle()
}

// TestCallPanics: a panic at the end of a call ends its stream alone.
func TestCallPanics(t *testing.T) {
	ch, o := asker(func(sdk.Stream, *sdk.CallResponse, *sdk.CallError) { panic("oops") })
	w := newWorld(t, o)
	c := w.client()
	w.send(c, get)
	w.send(w.backend(11), ok2)
	w.logged("GET / 0 LR internal_error")
	if len(w.Logs) != 1 || !strings.Contains(w.Logs[0], "oops") {
		t.Errorf("logged %q", w.Logs)
	}
	w.Logs = nil
	ch.balanced(t)
	w.idle()
}

// TestCallWhileDraining: what is under way comes to its end.
func TestCallWhileDraining(t *testing.T) {
	_, o := asker(resumes)
	w := newWorld(t, o)
	c := w.client()
	w.send(c, get)
	w.w.Drain()
	w.send(w.backend(11), ok2)
	w.send(w.backend(1), ok2)
	w.got(c, ok2Close)
	w.idle()
}

// TestNoHostIsCounted as an answer of the cluster, as in Envoy.
func TestNoHostIsCounted(t *testing.T) {
	w := newWorld(t, setup{route: `match { prefix: "/" } route { cluster: "none" }`})
	pb := sdktest.Text[clusterv3.Cluster](t, `name: "none" load_assignment { cluster_name: "none" }`)
	cfg, err := cluster.Compile(w.compiler(w.store.Root().Scope(cluster.StatPrefix(pb))), pb, cluster.CompileOptions{Kind: cluster.NewKind()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.m.Update([]*cluster.Config{cfg}, nil); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	c := w.client()
	w.send(c, get)
	w.got(c, local("503 Service Unavailable", "no healthy upstream"))
	w.logged("GET / 503 UH no_healthy_upstream")
	w.stats("cluster.none.upstream_rq_503", 1, "cluster.none.external.upstream_rq_completed", 1)
}
