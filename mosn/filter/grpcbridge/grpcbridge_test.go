package grpcbridge

import (
	"slices"
	"testing"

	bridgev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_http1_bridge/v3"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

const upgrade = "upgrade_protobuf_to_grpc: true"

func stream(t *testing.T, config string, p sdk.Protocol) *sdktest.Stream {
	t.Helper()
	s := sdktest.NewHost(t, Filter(), sdktest.Text[bridgev3.Config](t, config)).Stream()
	s.Info().Protocol = p
	return s
}

// frame is one message.
func frame(s string) string {
	p := grpc.Prefix(uint32(len(s)))
	return string(p[:]) + s
}

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		name, config  string
		protocol      sdk.Protocol
		path, content string
		pieces        []string
		trailers      bool
		wantPath      string
		wantType      string
		wantBody      string
		cleared       int
	}{
		{"gRPC", upgrade, sdk.HTTP11, "/a/b?q", "application/grpc+proto", []string{frame("x")}, false, "/a/b?q", "application/grpc+proto", frame("x"), 0},
		{"query", "ignore_query_parameters: true", sdk.HTTP10, "/a/b?q?r", "application/grpc", []string{frame("x")}, false, "/a/b", "application/grpc", frame("x"), 0},
		{"query of HTTP/2", "ignore_query_parameters: true", sdk.HTTP2, "/a/b?q", "application/grpc", nil, false, "/a/b?q", "application/grpc", "", 0},
		{"query of another", "ignore_query_parameters: true", sdk.HTTP11, "/a/b?q", "text/plain", nil, false, "/a/b?q", "text/plain", "", 0},
		{"bare", upgrade, sdk.HTTP11, "/a/b", bareType, []string{"ab", "", "cd"}, false, "/a/b", "application/grpc", frame("abcd"), 1},
		{"bare with trailers", upgrade, sdk.HTTP11, "/a/b", bareType, []string{"ab", "cd"}, true, "/a/b", "application/grpc", frame("abcd"), 1},
		{"bare with trailers alone", upgrade, sdk.HTTP11, "/a/b", bareType, nil, true, "/a/b", "application/grpc", frame(""), 1},
		{"bare and empty", upgrade, sdk.HTTP11, "/a/b", bareType, nil, false, "/a/b", "application/grpc", frame(""), 1},
		{"bare of HTTP/2", upgrade, sdk.HTTP2, "/a/b", bareType, []string{"ab"}, false, "/a/b", bareType, "ab", 0},
		{"bare, not wanted", "", sdk.HTTP11, "/a/b", bareType, []string{"ab"}, false, "/a/b", bareType, "ab", 0},
	} {
		s := stream(t, c.config, c.protocol)
		s.SendRequest(len(c.pieces) == 0 && !c.trailers, ":path: "+c.path, "content-type: "+c.content, "content-length: 4")
		if s.ToServer.Head == nil {
			t.Errorf("%s: the head waits", c.name)
		}
		for i, p := range c.pieces {
			s.SendRequestData(p, i == len(c.pieces)-1 && !c.trailers)
		}
		if c.trailers {
			s.SendRequestTrailers("x: y")
		}
		o, length := s.ToServer, "4"
		if c.cleared > 0 {
			length = "-"
		}
		if o.Value(":path") != c.wantPath || o.Value("content-type") != c.wantType || o.Body != c.wantBody || !o.Ended ||
			s.Cleared != c.cleared || o.Value("content-length") != length || (o.Trailer("x") == "y") != c.trailers {
			t.Errorf("%s: %+v, cleared %d", c.name, o, s.Cleared)
		}
	}
}

func TestResponses(t *testing.T) {
	for _, c := range []struct {
		name, request string
		body          []string
		trailers      []string
		want          []string
		wantBody      string
	}{
		{"ok", "application/grpc", []string{frame("ab")[:3], frame("ab")[3:]}, []string{"grpc-status: 0", "x: y"},
			[]string{":status: 200", "content-type: application/grpc", "grpc-status: 0", "content-length: 7"}, frame("ab")},
		{"failed", "application/grpc", nil, []string{"grpc-status: 5", "grpc-message: no%20such"},
			[]string{":status: 503", "content-type: application/grpc", "grpc-status: 5", "grpc-message: no%20such", "content-length: 0"}, ""},
		{"malformed status", "application/grpc", []string{frame("")}, []string{"grpc-status: x"},
			[]string{":status: 503", "content-type: application/grpc", "grpc-status: x", "content-length: 5"}, frame("")},
		{"empty status", "application/grpc", nil, []string{"grpc-status: "},
			[]string{":status: 503", "content-type: application/grpc", "grpc-status: ", "content-length: 0"}, ""},
		{"no status", "application/grpc", []string{"ab"}, []string{"x: y"},
			[]string{":status: 200", "content-type: application/grpc", "content-length: 2"}, "ab"},
		{"bare", bareType, []string{frame("ab")[:3], frame("ab")[3:]}, []string{"grpc-status: 0"},
			[]string{":status: 200", "content-type: application/grpc", "grpc-status: 0", "content-length: 2"}, "ab"},
		{"bare, cut off", bareType, []string{frame("ab")[:3]}, []string{"grpc-status: 0"},
			[]string{":status: 200", "content-type: application/grpc", "grpc-status: 0", "content-length: 0"}, ""},
		{"no trailers", bareType, []string{"no healthy", " upstream"}, nil,
			[]string{":status: 200", "content-type: application/grpc"}, "no healthy upstream"},
	} {
		s := stream(t, upgrade, sdk.HTTP11)
		s.SendRequest(false, ":path: /a/b", "content-type: "+c.request)
		s.SendRequestData("x", true)
		s.SendResponse(false, ":status: 200", "content-type: application/grpc")
		for i, p := range c.body {
			if s.ToClient.Head != nil {
				t.Errorf("%s: the head is out before the end", c.name)
			}
			s.SendResponseData(p, i == len(c.body)-1 && c.trailers == nil)
		}
		if c.trailers != nil {
			s.SendResponseTrailers(c.trailers...)
		}
		if o := s.ToClient; !slices.Equal(o.Head, c.want) || o.Body != c.wantBody || !o.Ended {
			t.Errorf("%s: %+v", c.name, o)
		}
	}
}

// TestOthersPass: clients of HTTP/2, and what is not gRPC, get the response as it comes.
func TestOthersPass(t *testing.T) {
	for _, c := range []struct {
		protocol sdk.Protocol
		content  string
		end      bool
	}{{sdk.HTTP2, "application/grpc", false}, {sdk.HTTP11, "text/plain", false}, {sdk.HTTP11, "application/grpc", true}} {
		s := stream(t, upgrade, c.protocol)
		s.SendRequest(true, ":path: /a/b", "content-type: "+c.content)
		s.SendResponse(c.end, ":status: 200", "grpc-status: 7")
		if !slices.Equal(s.ToClient.Head, []string{":status: 200", "grpc-status: 7"}) {
			t.Errorf("%+v: head %q", c, s.ToClient.Head)
		}
		if c.end {
			continue
		}
		s.SendResponseData("ab", false)
		if s.ToClient.Body != "ab" {
			t.Errorf("%+v: body %q", c, s.ToClient.Body)
		}
		s.SendResponseTrailers("grpc-status: 5")
		if s.ToClient.Trailer("grpc-status") != "5" || s.ToClient.Value(":status") != "200" {
			t.Errorf("%+v: %+v", c, s.ToClient)
		}
	}
}

func TestTooLarge(t *testing.T) {
	h := sdktest.NewHost(t, Filter(), sdktest.Text[bridgev3.Config](t, upgrade))
	h.Limit = 10
	s := h.Stream()
	s.Info().Protocol = sdk.HTTP11
	s.SendRequest(false, ":path: /a/b", "content-type: "+bareType)
	s.SendRequestData("more than ten", false)
	if len(s.Replies) != 1 || s.Replies[0].Status != 413 {
		t.Errorf("%+v", s.Replies)
	}
}
