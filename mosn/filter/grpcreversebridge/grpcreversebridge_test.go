package grpcreversebridge

import (
	"slices"
	"strings"
	"testing"

	reversev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_http1_reverse_bridge/v3"

	"sofamesh.io/sofamesh/sdk/grpc"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

const (
	bare     = "application/x-protobuf"
	frames   = `content_type: "application/x-protobuf"`
	withhold = frames + " withhold_grpc_frames: true"
	sized    = withhold + ` response_size_header: "X-Size"`
)

func host(t *testing.T, config string) *sdktest.Host {
	t.Helper()
	return sdktest.NewHost(t, Filter(), sdktest.Text[reversev3.FilterConfig](t, config))
}

// frame is one message.
func frame(s string) string {
	p := grpc.Prefix(uint32(len(s)))
	return string(p[:]) + s
}

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		name, config, content, length string
		pieces                        []string
		want                          []string // the head, after :path
		wantBody                      string
		cleared                       int
	}{
		{"frames", frames, "application/grpc+proto", "7", []string{frame("ab")},
			[]string{"content-type: " + bare, "content-length: 7", "accept: " + bare}, frame("ab"), 1},
		{"withheld", withhold, "application/grpc", "7", []string{frame("ab")},
			[]string{"content-type: " + bare, "content-length: 2", "accept: " + bare}, "ab", 1},
		{"in pieces", withhold, "application/grpc", "9", []string{"\x00", "\x00\x00", "\x00\x04a", "b", "cd"},
			[]string{"content-type: " + bare, "content-length: 4", "accept: " + bare}, "abcd", 1},
		{"length 0", withhold, "application/grpc", "0", []string{frame("")},
			[]string{"content-type: " + bare, "content-length: 0", "accept: " + bare}, "", 1},
		{"length too small", withhold, "application/grpc", "3", []string{frame("")},
			[]string{"content-type: " + bare, "accept: " + bare}, "", 1},
		{"malformed length", withhold, "application/grpc", "x", []string{frame("")},
			[]string{"content-type: " + bare, "accept: " + bare}, "", 1},
		{"not gRPC", withhold, "text/plain", "2", []string{"ab"}, []string{"content-type: text/plain", "content-length: 2"}, "ab", 0},
		{"a head alone", withhold, "application/grpc", "2", nil, []string{"content-type: application/grpc", "content-length: 2"}, "", 0},
	} {
		s := host(t, c.config).Stream()
		s.SendRequest(len(c.pieces) == 0, ":path: /a/b", "content-type: "+c.content, "content-length: "+c.length)
		for i, p := range c.pieces {
			s.SendRequestData(p, i == len(c.pieces)-1)
		}
		o := s.ToServer
		if !slices.Equal(o.Head, append([]string{":path: /a/b"}, c.want...)) || o.Body != c.wantBody || !o.Ended || s.Cleared != c.cleared {
			t.Errorf("%s: %+v, %v", c.name, o, s.Replies)
		}
	}
}

func TestTooSmall(t *testing.T) {
	for _, c := range []struct {
		config   string
		pieces   []string
		trailers bool
		refused  bool
	}{
		{withhold, []string{"\x00\x00\x00\x00"}, false, true},
		{withhold, []string{"\x00\x00", "\x00", ""}, false, true},
		{withhold, []string{"\x00\x00"}, true, true},
		{withhold, nil, true, true},
		{withhold, []string{"\x00\x00", "\x00\x00\x00"}, true, false},
		{frames, []string{"\x00"}, true, false},
	} {
		s := host(t, c.config).Stream()
		s.SendRequest(false, ":path: /a/b", "content-type: application/grpc")
		for i, p := range c.pieces {
			s.SendRequestData(p, i == len(c.pieces)-1 && !c.trailers)
		}
		if c.trailers {
			s.SendRequestTrailers("x: y")
		}
		if !c.refused {
			if len(s.Replies) > 0 || !s.ToServer.Ended {
				t.Errorf("%q: %v, %+v", c.pieces, s.Replies, s.ToServer)
			}
			continue
		}
		if r := s.Replies; len(r) != 1 || r[0].Status != 200 || r[0].GRPCStatus != 2 || r[0].Body != "invalid request body" || r[0].Details != "grpc_bridge_data_too_small" {
			t.Errorf("%q: %+v", c.pieces, r)
		}
	}
}

// asked sends a request and the head of a response.
func asked(h *sdktest.Host, end bool, lines ...string) *sdktest.Stream {
	s := h.Stream()
	s.SendRequest(false, ":path: /a/b", "content-type: application/grpc+proto")
	s.SendRequestData(frame("q"), true)
	s.SendResponse(end, lines...)
	return s
}

func TestResponses(t *testing.T) {
	const ct = "content-type: application/grpc+proto"
	for _, c := range []struct {
		name, config string
		head         []string
		body         []string // nil: the head is all
		trailers     []string // nil: none
		want         []string
		wantBody     string
		status       string // grpc-status as a trailer
	}{
		{"frames", frames, []string{":status: 200", "content-type: " + bare, "content-length: 7"}, []string{frame("ab")}, nil,
			[]string{":status: 200", ct, "content-length: 7"}, frame("ab"), "0"},
		{"frames, error", frames, []string{":status: 503", "content-type: " + bare}, []string{"x"}, nil,
			[]string{":status: 200", ct}, "x", "14"},
		{"frames, a head", frames, []string{":status: 404", "content-type: " + bare}, nil, nil,
			[]string{":status: 200", ct, "grpc-status: 12"}, "", "-"},
		{"frames, trailers", frames, []string{":status: 200", "content-type: " + bare}, []string{frame("ab")}, []string{"grpc-status: 9", "x: y"},
			[]string{":status: 200", ct}, frame("ab"), "0"},
		{"withheld", withhold, []string{":status: 200", "content-type: " + bare, "content-length: 4"}, []string{"a", "bc", "d"}, nil,
			[]string{":status: 200", ct, "content-length: 9"}, frame("abcd"), "0"},
		{"withheld, empty", withhold, []string{":status: 401", "content-type: " + bare, "content-length: 0"}, nil, nil,
			[]string{":status: 200", ct, "content-length: 5"}, frame(""), "16"},
		{"withheld, trailers", withhold, []string{":status: 200", "content-type: " + bare}, []string{"ab", "cd"}, []string{"x: y"},
			[]string{":status: 200", ct}, frame("abcd"), "0"},
		{"sized", sized, []string{":status: 200", "content-type: " + bare, "x-size: 4, 9"}, []string{"ab", "cd"}, nil,
			[]string{":status: 200", ct, "x-size: 4, 9", "content-length: 9"}, frame("abcd"), "0"},
		{"sized, trailers", sized, []string{":status: 200", "content-type: " + bare, "x-size: 2"}, []string{"ab"}, []string{"x: y"},
			[]string{":status: 200", ct, "x-size: 2", "content-length: 7"}, frame("ab"), "0"},
		{"sized, trailers alone", sized, []string{":status: 200", "content-type: " + bare, "x-size: 0"}, []string{}, []string{"x: y"},
			[]string{":status: 200", ct, "x-size: 0", "content-length: 5"}, frame(""), "0"},
	} {
		s := asked(host(t, c.config), c.body == nil, c.head...)
		for i, p := range c.body {
			s.SendResponseData(p, i == len(c.body)-1 && c.trailers == nil)
		}
		if c.trailers != nil {
			s.SendResponseTrailers(c.trailers...)
		}
		o := s.ToClient
		if !slices.Equal(o.Head, c.want) || o.Body != c.wantBody || o.Trailer("grpc-status") != c.status || !o.Ended || len(s.Replies) > 0 {
			t.Errorf("%s: %+v, %+v", c.name, o, s.Replies)
		}
	}
}

func TestBadResponses(t *testing.T) {
	const wrong = "envoy reverse bridge: upstream set incorrect content length"
	for _, c := range []struct {
		name, config string
		head         []string
		body         []string
		trailers     bool
		status       int
		details      string
		text         string
	}{
		{"content type", frames, []string{":status: 502", "content-type: text/html"}, nil, false, 2, "grpc_bridge_content_type_wrong",
			"envoy reverse bridge: upstream responded with unsupported content-type text/html, status code 502"},
		{"no content type", withhold, []string{":status: 204"}, nil, false, 2, "grpc_bridge_content_type_wrong",
			"envoy reverse bridge: upstream responded with no content-type header, status code 204"},
		{"no size", sized, []string{":status: 200", "content-type: " + bare}, nil, false, 13, "grpc_bridge_content_length_missing",
			"envoy reverse bridge: upstream did not set content length"},
		{"malformed size", sized, []string{":status: 200", "content-type: " + bare, "x-size: -1"}, nil, false, 13, "grpc_bridge_content_length_missing",
			"envoy reverse bridge: upstream did not set content length"},
		{"size over 4 GB", sized, []string{":status: 200", "content-type: " + bare, "x-size: 4294967296"}, nil, false, 13, "grpc_bridge_content_length_missing",
			"envoy reverse bridge: upstream did not set content length"},
		{"too short", sized, []string{":status: 200", "content-type: " + bare, "x-size: 4"}, []string{"a", "bc"}, false, 13, "grpc_bridge_content_length_wrong", wrong},
		{"too short, trailers", sized, []string{":status: 200", "content-type: " + bare, "x-size: 4"}, []string{"abc"}, true, 13, "grpc_bridge_content_length_wrong", wrong},
		{"too long", sized, []string{":status: 200", "content-type: " + bare, "x-size: 4"}, []string{"abc", "de"}, true, 13, "grpc_bridge_content_length_wrong", wrong},
	} {
		s := asked(host(t, c.config), false, c.head...)
		for i, p := range c.body {
			s.SendResponseData(p, i == len(c.body)-1 && !c.trailers)
		}
		if c.trailers {
			s.SendResponseTrailers("x: y")
		}
		if r := s.Replies; len(r) != 1 || r[0].Status != 200 || r[0].GRPCStatus != c.status || r[0].Details != c.details || r[0].Body != c.text || s.ToClient.Ended {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

// TestOurReplies: an answer of gRPC, made by the proxy in place of the server's, keeps
// its reason.
func TestOurReplies(t *testing.T) {
	want := []string{":status: 200", "content-type: application/grpc", "grpc-status: 14", "grpc-message: no healthy upstream"}
	s := asked(host(t, withhold), true, want...)
	if !slices.Equal(s.ToClient.Head, want) || !s.ToClient.Ended || len(s.Replies) > 0 {
		t.Errorf("%+v, %+v", s.ToClient, s.Replies)
	}
}

func TestDisabledByRoute(t *testing.T) {
	for _, off := range []bool{true, false} {
		h := host(t, withhold)
		h.RouteConfig(Filter(), &reversev3.FilterConfigPerRoute{Disabled: off})
		s := asked(h, false, ":status: 200", "content-type: "+bare)
		s.SendResponseData("x", true)
		bridged := s.ToServer.Body == "q" && s.ToClient.Body == frame("x")
		passed := s.ToServer.Body == frame("q") && s.ToClient.Body == "x" && strings.HasPrefix(s.ToServer.Value("content-type"), "application/grpc")
		if bridged == off || passed != off {
			t.Errorf("disabled %v: %+v, %+v", off, s.ToServer, s.ToClient)
		}
	}
}
