package buffer

import (
	"strings"
	"testing"

	bufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func host(t testing.TB, config, route string) *sdktest.Host {
	t.Helper()
	h := sdktest.NewHost(t, Filter(), sdktest.Text[bufferv3.Buffer](t, config))
	h.Limit = 4 // of the listener, which must not count
	if route != "" {
		h.RouteConfig(Filter(), sdktest.Text[bufferv3.BufferPerRoute](t, route))
	}
	return h
}

const ten = "max_request_bytes { value: 10 }"

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		name, route, length string // length: as the client says it
		pieces              []string
		trailers            bool
		held                bool   // until the end
		want                string // content-length upstream; "413" for a refusal
	}{
		{"fits", "", "", []string{"abc", "de", ""}, false, true, "5"},
		{"all at once", "", "", []string{"abcde"}, false, true, "5"},
		{"just fits", "", "", []string{"12345", "67890"}, false, true, "10"},
		{"too large", "", "", []string{"12345", "678901", ""}, false, true, "413"},
		{"too large with the end", "", "", []string{"12345", "678901"}, false, true, "413"},
		{"too large all at once", "", "", []string{"12345678901"}, false, true, "413"},
		{"the client knows", "", "7", []string{"abc", "defg"}, false, true, "7"},
		{"empty", "", "", []string{""}, false, true, "0"},
		{"trailers", "", "", []string{"abc", "de"}, true, true, "5"},
		{"trailers alone", "", "", nil, true, true, "0"},
		{"disabled", "disabled: true", "", []string{"12345", "678901", ""}, true, false, "-"},
		{"smaller on the route", "buffer { max_request_bytes { value: 3 } }", "", []string{"abc", "d"}, false, true, "413"},
		{"larger on the route", "buffer { max_request_bytes { value: 12 } }", "", []string{"12345", "678901"}, false, true, "11"},
	} {
		s := host(t, ten, c.route).Stream()
		head := []string{":path: /"}
		if c.length != "" {
			head = append(head, "content-length: "+c.length)
		}
		s.SendRequest(false, head...)
		for i, p := range c.pieces {
			if held := s.ToServer.Head == nil && s.ToServer.Body == ""; held != c.held {
				t.Errorf("%s: piece %d: %+v", c.name, i, s.ToServer)
			}
			s.SendRequestData(p, i == len(c.pieces)-1 && !c.trailers)
		}
		if c.trailers {
			s.SendRequestTrailers("x: y")
		}
		if len(s.Replies) > 0 {
			if r := s.Replies[0]; c.want != "413" || r.Status != 413 || r.Details != "request_payload_too_large" || s.ToServer.Head != nil {
				t.Errorf("%s: %+v", c.name, r)
			}
			continue
		}
		o := s.ToServer
		if o.Value("content-length") != c.want || o.Body != strings.Join(c.pieces, "") || !o.Ended || c.trailers && o.Trailer("x") != "y" {
			t.Errorf("%s: %+v", c.name, o)
		}
	}
}

func TestHeadAlone(t *testing.T) {
	s := host(t, ten, "").Stream()
	s.SendRequest(true, ":path: /")
	if o := s.ToServer; !o.Ended || o.Value("content-length") != "-" {
		t.Errorf("%+v", o)
	}
}

// TestRPC: a call is held, but gets no header of HTTP's.
func TestRPC(t *testing.T) {
	s := host(t, ten, "").Stream()
	s.Info().Protocol = sdk.RPC
	s.SendRequest(false, ":path: /")
	s.SendRequestData("abc", false)
	s.SendRequestData("de", true)
	if o := s.ToServer; !o.Ended || o.Body != "abcde" || o.Value("content-length") != "-" {
		t.Errorf("%+v", o)
	}
}

func TestAllocs(t *testing.T) {
	s := host(t, ten, "buffer { max_request_bytes { value: 12 } }").Stream()
	s.SendRequest(false, ":path: /", "content-length: 5")
	var b sdk.Buffer
	b.Init(sdk.NewBufferPool(4))
	b.AppendString("abcde")
	if n := testing.AllocsPerRun(100, func() {
		fl := s.Again()
		fl.OnRequestHeaders(s, false)
		fl.OnRequestData(s, &b, true)
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
	b.Release()
}
