package stream

import (
	"encoding/base64"
	"strings"
	"testing"

	bridgev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_http1_bridge/v3"
	reversev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_http1_reverse_bridge/v3"
	statsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	webv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_web/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/filter/grpcbridge"
	"sofamesh.io/sofamesh/mosn/filter/grpcreversebridge"
	"sofamesh.io/sofamesh/mosn/filter/grpcstats"
	"sofamesh.io/sofamesh/mosn/filter/grpcweb"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// TestFiltersAddTrailers: trailers that a filter makes go through those behind it, after
// all body, from each place where a response can end.
func TestFiltersAddTrailers(t *testing.T) {
	add := func(s sdk.Stream) sdk.Action {
		if h := s.AddResponseTrailers(); h != nil {
			h.Set("x-end", "2")
		}
		return sdk.Continue
	}
	for _, c := range []struct {
		name, what, response, calls string
		written                     bool // where HTTP/1.1 can write trailers
	}{
		{"head", "sh", "HTTP/1.1 204 X\r\n\r\n", "csh. bsh. ash ast. aend bend cend", false},
		{"body", "sd", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n",
			`csh bsh ash csd "z". bsd "z". asd "z" ast. aend bend cend`, true},
		{"trailers are there", "st", trailedBack, `csh bsh ash csd "z" bsd "z" asd "z" cst. bst. ast. aend bend cend`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := newChain("a", "b", "c")
			ch.scripts[1].on[c.what] = add
			w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"c": trailersUpstream}})
			cl := w.client()
			w.send(cl, get)
			ch.calls()
			w.send(w.backend(1), c.response)
			ch.called(t, c.calls)
			if got := cl.Received(); strings.HasSuffix(got, "z\r\n0\r\nx-end: 2\r\n\r\n") != c.written {
				t.Errorf("got %q", got)
			}
			ch.balanced(t)
			w.idle()
		})
	}
}

// TestFiltersTurnTrailersIntoBody does what gRPC-Web does, in both directions; and filters
// put body behind a head that was all.
func TestFiltersTurnTrailersIntoBody(t *testing.T) {
	ch := newChain("a", "b", "c")
	turn := func(h *sdk.Headers, b *sdk.Buffer, name string) sdk.Action {
		b.AppendString(name + "=" + h.Value(name))
		h.Remove(name)
		return sdk.Continue
	}
	ch.scripts[1].on["rt"] = func(s sdk.Stream) sdk.Action { return turn(s.RequestTrailers(), s.RequestBody(), "x-sum") }
	ch.scripts[1].on["st"] = func(s sdk.Stream) sdk.Action { return turn(s.ResponseTrailers(), s.ResponseBody(), "x-end") }
	w := newWorld(t, setup{filters: ch.filters(), clusters: map[string]string{"c": trailersUpstream}})
	c := w.client()
	w.send(c, trailed)
	b := w.backend(1)
	if got := bodyOf(b.Received()); got != "a\r\nabcx-sum=1\r\n0\r\n\r\n" { // it has waited for the connection
		t.Errorf("host got %q", got)
	}
	ch.called(t, `arh brh crh ard "abc" brd "abc" crd "abc" art. brt. crd "x-sum=1".`)
	w.send(b, trailedBack)
	if got := bodyOf(c.Received()); got != "1\r\nz\r\n7\r\nx-end=2\r\n0\r\n\r\n" {
		t.Errorf("client got %q", got)
	}
	ch.called(t, `csh bsh ash csd "z" bsd "z" asd "z" cst. bst. asd "x-end=2". aend bend cend`)
	ch.balanced(t)
	w.idle()

	ch.scripts[1].on["rh"] = func(s sdk.Stream) sdk.Action { s.RequestBody().AppendString("up"); return sdk.Continue }
	ch.scripts[1].on["sh"] = func(s sdk.Stream) sdk.Action {
		s.Response().Remove("content-length")
		s.ResponseBody().AppendString("down")
		return sdk.Continue
	}
	w.send(c, get)
	if got := bodyOf(b.Received()); got != "2\r\nup\r\n0\r\n\r\n" {
		t.Errorf("host got %q", got)
	}
	w.send(b, "HTTP/1.1 201 X\r\nx: y\r\ncontent-length: 0\r\n\r\n")
	if got := c.Received(); !strings.Contains(got, "down") {
		t.Errorf("client got %q", got)
	}
	ch.called(t, `arh. brh. crh crd "up". csh. bsh. ash asd "down". aend bend cend`)
	w.idle()
}

// TestReplyAfterTrailers: a reply in place of a response forgets trailers that were made.
func TestReplyAfterTrailers(t *testing.T) {
	ch := newChain("a", "b")
	ch.scripts[1].on["sh"] = func(s sdk.Stream) sdk.Action {
		s.AddResponseTrailers().Add("x-end", "2")
		s.ResponseBody().AppendString("dropped")
		s.Reply(sdk.Reply{Status: 502, Body: "bad"})
		return sdk.Replied
	}
	w := newWorld(t, setup{filters: ch.filters()})
	c := w.client()
	w.send(c, get)
	w.send(w.backend(1), "HTTP/1.1 204 X\r\n\r\n")
	w.got(c, local("502 Bad Gateway", "bad"))
	ch.balanced(t)
	w.idle()
}

// TestFilterSeesCluster: the name and the stats of where a request goes.
func TestFilterSeesCluster(t *testing.T) {
	for _, c := range []struct{ route, want string }{
		{`match { prefix: "/" } route { cluster: "c" }`, "c true"},
		{`match { prefix: "/" } route { cluster: "nowhere" }`, "nowhere false"},
		{`match { prefix: "/" } direct_response { status: 204 }`, " false"},
		{`match { prefix: "/x" } route { cluster: "c" }`, " false"},
	} {
		ch := newChain("a")
		got := ""
		ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
			name, scope := s.Cluster()
			got = name + map[bool]string{true: " true", false: " false"}[scope != nil]
			if scope != nil {
				s.Inc(scope.Counter("mine"))
			}
			s.Reply(sdk.Reply{Status: 204})
			return sdk.Replied
		}
		w := newWorld(t, setup{filters: ch.filters(), route: c.route})
		w.send(w.client(), get)
		if got != c.want {
			t.Errorf("%s: %q", c.route, got)
		}
		if c.want == "c true" {
			w.stats(".mine", 1)
		}
		w.idle()
	}
}

// with compiles a filter for a chain.
func with(t *testing.T, f *sdk.HTTPFilter, config proto.Message) []FilterConfig {
	t.Helper()
	conf, err := f.Compile(sdktest.NewCompiler(t), config)
	if err != nil {
		t.Fatal(err)
	}
	return []FilterConfig{{Name: f.Name, Config: conf}}
}

func message(s string) string {
	p := grpc.Prefix(uint32(len(s)))
	return string(p[:]) + s
}

// answered is a host's answer to a call, with trailers.
func answered(body, status string) string {
	chunk := ""
	if body != "" {
		chunk = string("0123456789abcdef"[len(body)]) + "\r\n" + body + "\r\n"
	}
	return "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n" +
		chunk + "0\r\ngrpc-status: " + status + "\r\n\r\n"
}

func TestGRPCStatsFilter(t *testing.T) {
	w := newWorld(t, setup{
		filters: with(t, grpcstats.Filter(), sdktest.Text[statsv3.FilterConfig](t,
			`stats_for_all_methods { value: true } enable_upstream_stats: true`)),
		clusters: map[string]string{"c": trailersUpstream},
	})
	c := w.client()
	call := strings.Replace(grpcCall(), "content-length: 0", "content-length: 7", 1) + message("ab")
	w.send(c, call)
	b := w.backend(1)
	w.send(b, answered(message("xyz"), "0"))
	w.send(c, call)
	w.send(b, "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 5\r\ncontent-length: 0\r\n\r\n")
	w.send(c, call)
	w.send(b, "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n")
	const m = ".grpc.a.B.C."
	w.stats(m+"0", 1, m+"5", 1, m+"success", 1, m+"failure", 1, m+"total", 2, m+"request_message_count", 3, m+"response_message_count", 1)
	w.idle()
}

func TestGRPCWebFilter(t *testing.T) {
	w := newWorld(t, setup{filters: with(t, grpcweb.Filter(), &webv3.GrpcWeb{}), clusters: map[string]string{"c": trailersUpstream}})
	c := w.client()
	text := base64.StdEncoding.EncodeToString([]byte(message("ab")))
	ask := "POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc-web-text\r\naccept: application/grpc-web-text\r\n" +
		"transfer-encoding: chunked\r\n\r\n" + "2\r\n" + text[:2] + "\r\na\r\n" + text[2:] + "\r\n0\r\n\r\n"
	w.send(c, ask)
	b := w.backend(1)
	up := b.Received()
	if header(up, "content-type") != "application/grpc" || header(up, "te") != "trailers" || unchunk(bodyOf(up)) != unchunk("7\r\n"+message("ab")+"\r\n0\r\n\r\n") {
		t.Errorf("host got %q", up)
	}
	w.send(b, answered(message("xyz"), "0"))
	down := c.Received()
	trailers := message("grpc-status:0\r\n")
	want := base64.StdEncoding.EncodeToString([]byte(message("xyz"))) + base64.StdEncoding.EncodeToString([]byte("\x80"+trailers[1:]))
	if header(down, "content-type") != "application/grpc-web-text+proto" || !strings.Contains(unchunk(down), want) || strings.Contains(bodyOf(down), "grpc-status") {
		t.Errorf("client got %q, want %q", down, want)
	}
	// A reply of ours, to a client that is not one of gRPC.
	b.Close()
	w.Settle()
	w.send(c, ask)
	w.backend(1).Reset()
	w.Settle()
	down = c.Received()
	if statusOf(down) != "503 Service Unavailable" || header(down, "grpc-status") != "14" || header(down, "content-length") != "0" ||
		!strings.HasPrefix(header(down, "grpc-message"), "upstream connect error") || bodyOf(down) != "" {
		t.Errorf("client got %q", down)
	}
	w.stats(".grpc-web.a.B.C.success", 1, ".grpc-web.a.B.C.total", 1)
	w.idle()
}

func TestGRPCBridgeFilter(t *testing.T) {
	w := newWorld(t, setup{
		filters:  with(t, grpcbridge.Filter(), &bridgev3.Config{UpgradeProtobufToGrpc: true, IgnoreQueryParameters: true}),
		clusters: map[string]string{"c": trailersUpstream},
	})
	c := w.client()
	w.send(c, "POST /a.B/C?q HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\ncontent-length: 2\r\n\r\nab")
	b := w.backend(1)
	up := b.Received()
	if !strings.HasPrefix(up, "POST /a.B/C HTTP/1.1\r\n") || !strings.Contains(up, message("ab")) || header(up, "content-type") != "application/grpc" {
		t.Errorf("host got %q", up)
	}
	w.send(b, answered(message("xyz"), "0"))
	w.got(c, "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\nx-envoy-upstream-service-time: 0\r\n"+
		"grpc-status: 0\r\ncontent-length: 3\r\n"+ours+"\r\nxyz")
	w.send(c, grpcCall())
	w.send(b, answered("", "5"))
	down := c.Received()
	if statusOf(down) != "503 Service Unavailable" || header(down, "grpc-status") != "5" || header(down, "content-length") != "0" || bodyOf(down) != "" {
		t.Errorf("client got %q", down)
	}
	w.idle()
}

func TestGRPCReverseBridgeFilter(t *testing.T) {
	w := newWorld(t, setup{filters: with(t, grpcreversebridge.Filter(), &reversev3.FilterConfig{ContentType: "application/x", WithholdGrpcFrames: true})})
	c := w.client()
	call := strings.Replace(grpcCall(), "content-length: 0", "content-length: 7", 1) + message("ab")
	w.send(c, call)
	b := w.backend(1)
	up := b.Received()
	if header(up, "content-type") != "application/x" || header(up, "content-length") != "2" || bodyOf(up) != "ab" {
		t.Errorf("host got %q", up)
	}
	w.send(b, "HTTP/1.1 404 X\r\ncontent-type: application/x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n")
	down := c.Received()
	if statusOf(down) != "200 OK" || header(down, "content-type") != "application/grpc" || !strings.Contains(down, message("xyz")) ||
		!strings.HasSuffix(down, "0\r\ngrpc-status: 12\r\n\r\n") {
		t.Errorf("client got %q", down)
	}
	w.send(c, call)
	w.send(b, "HTTP/1.1 500 X\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\npage")
	down = c.Received()
	if header(down, "grpc-status") != "2" || !strings.Contains(header(down, "grpc-message"), "unsupported content-type text/html, status code 500") {
		t.Errorf("client got %q", down)
	}
	w.logged("POST /a.B/C 200 - via_upstream; POST /a.B/C 200 - grpc_bridge_content_type_wrong")
	w.idle()
}
