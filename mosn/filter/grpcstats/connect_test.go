package grpcstats

import (
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk/grpc"
)

// last is the frame that ends a streaming response.
func last(text string) string {
	p := grpc.Prefix(uint32(len(text)))
	p[0] = lastFrame
	return string(p[:]) + text
}

func TestConnectUnary(t *testing.T) {
	for status, want := range map[string]string{"200": "success", "404": "failure"} {
		h := host(t, "stats_for_all_methods { value: true } emit_filter_state: true")
		s := h.Stream()
		s.SendRequest(false, ":path: /a.B/C", "content-type: application/json", "connect-protocol-version: 1")
		s.SendRequestData("{", false)
		s.SendRequestData("}", true)
		s.SendResponse(false, ":status: "+status, "content-type: application/json")
		s.SendResponseData("{}", true)
		for name, n := range map[string]uint64{want: 1, "total": 1, "request_message_count": 1, "response_message_count": 1} {
			if got := h.Counted("cluster.c.grpc.a.B.C." + name); got != n {
				t.Errorf("%s: %s is %d, want %d", status, name, got, n)
			}
		}
		if n := len(h.Scope().Names()); n != 4 {
			t.Errorf("%s: names %q", status, h.Scope().Names())
		}
	}
}

func TestConnectStreaming(t *testing.T) {
	for _, c := range []struct {
		end, want string
	}{
		{last("{}"), "success"},
		{last(`{"metadata": {"a": ["b"]}}`), "success"},
		{last(`{"error": {"code": "not_found"}}`), "failure"},
		{last(`{"error": {"message": "m"}}`), "failure"},
		{last(`{"error": "e"}`), "failure"},
		{last("{"), "failure"},
		{last(""), "failure"},
		{last(`{"metadata": "` + strings.Repeat("a", maxEnd) + `"}`), "failure"},
		{last("{}") + messages(1), "success"}, // nothing comes after the end
		{"", "failure"},
	} {
		for _, piece := range []int{1, 4, 1 << 20} {
			h := host(t, "stats_for_all_methods { value: true }")
			s := h.Stream()
			s.SendRequest(false, ":path: /a.B/C", "content-type: application/connect+proto")
			s.SendRequestData(messages(2), true)
			s.SendResponse(false, ":status: 200", "content-type: application/connect+proto")
			body := messages(3) + c.end
			if len(body) > 1<<10 && piece == 1 {
				continue
			}
			for len(body) > 0 {
				n := min(piece, len(body))
				s.SendResponseData(body[:n], n == len(body))
				body = body[n:]
			}
			for name, n := range map[string]uint64{c.want: 1, "total": 1, "request_message_count": 2, "response_message_count": 3} {
				if got := h.Counted("cluster.c.grpc.a.B.C." + name); got != n {
					t.Errorf("%.40q in pieces of %d: %s is %d, want %d", c.end, piece, name, got, n)
				}
			}
		}
	}
}
