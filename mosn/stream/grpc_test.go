package stream

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"sofamesh.io/sofamesh/sdk"
)

// grpcCall is a call over HTTP/1.1, which carries all of gRPC that the stream sees; more
// are further header lines.
func grpcCall(more ...string) string {
	lines := "POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n"
	for _, m := range more {
		lines += m + "\r\n"
	}
	return lines + "\r\n"
}

// header returns the value of a field of a head, "-" when there is none.
func header(head, name string) string {
	for _, line := range strings.Split(head, "\r\n") {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return v
		}
	}
	return "-"
}

// grpcReply is what a client of gRPC reads in a reply of ours.
func grpcReply(status, message string) string {
	lines := "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: " + status + "\r\n"
	if message != "" {
		lines += "grpc-message: " + message + "\r\n"
	}
	return lines + date + "server: envoy\r\ncontent-length: 0\r\n\r\n"
}

// TestGRPCReplies follows Envoy's Utility::prepareLocalReply.
func TestGRPCReplies(t *testing.T) {
	for _, c := range []struct {
		name, method, content string
		after                 string // what a filter makes of the content type
		reply                 sdk.Reply
		want                  string
	}{
		{"by status", "POST", "application/grpc", "text/plain", sdk.Reply{Status: 503, Body: "no"}, grpcReply("14", "no")},
		{"with a format", "POST", "application/grpc+json", "text/plain", sdk.Reply{Status: 403}, grpcReply("7", "")},
		{"named", "POST", "application/grpc", "text/plain", sdk.Reply{Status: 429, GRPCStatus: 8, Body: "100%\n"}, grpcReply("8", "100%25%0A")},
		{"429", "POST", "application/grpc", "text/plain", sdk.Reply{Status: 429}, grpcReply("14", "")},
		{"200", "POST", "application/grpc", "text/plain", sdk.Reply{Status: 200, Body: "b"}, grpcReply("2", "b")},
		{"HEAD", "HEAD", "application/grpc", "text/plain", sdk.Reply{Status: 503, Body: "no"}, // as for every answer to HEAD whose length is not known
			strings.Replace(grpcReply("14", ""), "content-length: 0", "transfer-encoding: chunked", 1)},
		{"edited", "POST", "application/grpc", "text/plain", sdk.Reply{Status: 503, Edit: func(h *sdk.Headers) {
			h.Set("grpc-status", "9")
			h.Set("content-type", "text/html")
			h.Set("content-length", "3")
		}}, strings.Replace(grpcReply("9", ""), "content-type: application/grpc\r\ngrpc-status: 9", "grpc-status: 9\r\ncontent-type: application/grpc", 1)},
		{"gRPC-Web", "POST", "application/grpc-web", "application/grpc", sdk.Reply{Status: 503, Body: "no"}, local("503 Service Unavailable", "no")},
		{"none", "POST", "application/json", "application/grpc", sdk.Reply{Status: 429, GRPCStatus: 8, Body: "no"}, local("429 Too Many Requests", "no")},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := newChain("a")
			ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
				s.Request().Set("content-type", c.after)
				s.Reply(c.reply)
				return sdk.Replied
			}
			w := newWorld(t, setup{filters: ch.filters()})
			cl := w.client()
			w.send(cl, c.method+" /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: "+c.content+"\r\n\r\n")
			w.got(cl, c.want)
			w.idle()
		})
	}
}

// TestReplyEdits: what a route adds to a reply of ours comes before its form.
func TestReplyEdits(t *testing.T) {
	const vhost = `response_headers_to_add { header { key: "content-type" value: "text/html" } }`
	w := newWorld(t, setup{route: `match { prefix: "/" } direct_response { status: 418 body { inline_string: "<b>" } }`, vhost: vhost})
	c := w.client()
	w.send(c, get)
	if got := c.Received(); strings.Count(got, "content-type") != 1 || header(got, "content-type") != "text/html" {
		t.Errorf("got %q", got)
	}
	w = newWorld(t, setup{route: `match { prefix: "/" } direct_response { status: 418 }`, vhost: vhost})
	c = w.client()
	w.send(c, get)
	if got := c.Received(); strings.Contains(got, "content-type") {
		t.Errorf("a reply without body has %q", got)
	}
}

// TestGRPCTimeout: the caller's deadline, the stream's duration and the older fields are
// one budget, and the host is told what is left of it when it is asked.
func TestGRPCTimeout(t *testing.T) {
	const retry = ` retry_policy { retry_on: "reset" num_retries { value: 3 } retry_back_off { base_interval { nanos: 1000000 } } }`
	const old = `max_grpc_timeout { seconds: 3 } grpc_timeout_offset { nanos: 500000000 }`
	const withMax = `max_stream_duration { grpc_timeout_header_max { seconds: 3 } grpc_timeout_header_offset { nanos: 500000000 } }`
	const endless = "timeout {}"
	for _, c := range []struct {
		name, action, header string
		first                string // the host is told
		second               string // after 400 ms and a reset
		ends                 time.Duration
		status, details      string
	}{
		{"the caller's", endless, "2S", "2S", "1600m", 2 * time.Second, "4", "UT response_timeout"},
		{"none at all", endless, "", "-", "-", 0, "", ""},
		{"malformed", endless, "2s", "2s", "2s", 0, "", ""},
		{"the route's is not told", "timeout { seconds: 1 }", "2S", "2S", "1600m", time.Second, "14", "UT response_timeout"},
		{"a year", endless, "99999999S", "99999999S", "99999998S", 0, "", ""},
		{"max_grpc_timeout", endless + old, "2S", "1500m", "1100m", 1500 * time.Millisecond, "14", "UT response_timeout"},
		{"max_grpc_timeout, more wanted", endless + old, "9S", "3000m", "2600m", 3 * time.Second, "14", "UT response_timeout"},
		{"max_grpc_timeout, none wanted", endless + old, "", "3000m", "2600m", 3 * time.Second, "14", "UT response_timeout"},
		{"grpc_timeout_header_max", withMax, "2S", "1500m", "1100m", 1500 * time.Millisecond, "4", "- max_duration_timeout"},
		{"grpc_timeout_header_max, more wanted", withMax, "9S", "2500m", "2100m", 2500 * time.Millisecond, "4", "- max_duration_timeout"},
		{"grpc_timeout_header_max, none wanted", withMax, "", "-", "-", 0, "", ""},
		{"duration", "max_stream_duration { max_stream_duration { seconds: 1 } }", "2S", "1000m", "600m", time.Second, "4", "- max_duration_timeout"},
		{"duration, less wanted", "max_stream_duration { max_stream_duration { seconds: 3 } }", "2S", "2S", "1600m", 2 * time.Second, "4", "UT response_timeout"},
		{"duration, none wanted", "max_stream_duration { max_stream_duration { seconds: 1 } }", "", "1000m", "600m", time.Second, "4", "- max_duration_timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, setup{action: c.action + retry})
			cl := w.client()
			var more []string
			if c.header != "" {
				more = append(more, "grpc-timeout: "+c.header)
			}
			w.send(cl, grpcCall(more...))
			host := w.backend(1)
			if got := header(host.Received(), "grpc-timeout"); got != c.first {
				t.Errorf("first told %s, want %s", got, c.first)
			}
			w.Advance(399 * time.Millisecond)
			host.Reset()
			w.Settle()
			w.Advance(time.Millisecond)
			host = w.backend(1)
			if got := header(host.Received(), "grpc-timeout"); got != c.second {
				t.Errorf("then told %s, want %s", got, c.second)
			}
			if c.ends == 0 {
				w.Advance(30 * time.Second)
				w.send(host, ok2)
				if got := statusOf(cl.Received()); got != "200 OK" {
					t.Errorf("got %q", got)
				}
				return
			}
			w.Advance(c.ends - 401*time.Millisecond)
			w.got(cl, "")
			w.Advance(2 * time.Millisecond)
			if got := header(cl.Received(), "grpc-status"); got != c.status {
				t.Errorf("grpc-status %s, want %s", got, c.status)
			}
			w.logged("POST /a.B/C 200 " + c.details)
			w.idle()
		})
	}
}

// TestGRPCTimeoutSpent: a call whose time is over is refused, not forwarded.
func TestGRPCTimeoutSpent(t *testing.T) {
	const offset = "max_stream_duration { grpc_timeout_header_max {} grpc_timeout_header_offset { seconds: 1 } }"
	for _, c := range []struct{ action, header, details string }{
		{"timeout {}", "100m", "UT response_timeout"},
		{"timeout {}", "0m", "UT response_timeout"},
		{offset, "500m", "- max_duration_timeout"},
	} {
		o := setup{action: c.action}
		if c.header == "100m" {
			o.filters = []FilterConfig{{Name: "slow", Config: slow{}}}
		}
		w := newWorld(t, o)
		cl := w.client()
		w.send(cl, grpcCall("grpc-timeout: "+c.header))
		w.Advance(time.Second)
		if got := header(cl.Received(), "grpc-status"); got != "4" {
			t.Errorf("%+v: grpc-status %s", c, got)
		}
		if w.next(1) != nil {
			t.Errorf("%+v: it was forwarded", c)
		}
		w.logged("POST /a.B/C 200 " + c.details)
		w.stats(".upstream_rq_total", 0)
		w.idle()
	}
}

// TestGRPCHostOutOfTime: a host whose timer is a little ahead of ours resets the call.
func TestGRPCHostOutOfTime(t *testing.T) {
	for _, c := range []struct {
		name, timeout string
		after         time.Duration
		code          http2.ErrCode
		status        string
		log           string
	}{
		{"ahead", "100m", 96 * time.Millisecond, http2.ErrCodeCancel, "4", "UT response_timeout"},
		{"long before", "100m", 90 * time.Millisecond, http2.ErrCodeCancel, "14", "UR upstream_reset_before_response_started{remote_reset}"},
		{"refused", "100m", 96 * time.Millisecond, http2.ErrCodeRefusedStream, "14", "UR upstream_reset_before_response_started{remote_refused_stream_reset}"},
		{"little time", "4m", 2 * time.Millisecond, http2.ErrCodeCancel, "14", "UR upstream_reset_before_response_started{remote_reset}"},
		{"little time, ahead", "4m", 3 * time.Millisecond, http2.ErrCodeCancel, "4", "UT response_timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, setup{action: "timeout {}", clusters: map[string]string{"c": "http2_protocol_options {}"}})
			cl := w.client()
			w.send(cl, grpcCall("grpc-timeout: "+c.timeout))
			host := w.h2(w.backend(1))
			host.write(func(f *http2.Framer) { _ = f.WriteSettings() })
			w.Advance(c.after)
			host.write(func(f *http2.Framer) { _ = f.WriteRSTStream(1, c.code) })
			if got := header(cl.Received(), "grpc-status"); got != c.status {
				t.Errorf("grpc-status %s, want %s", got, c.status)
			}
			w.logged("POST /a.B/C 200 " + c.log)
			w.idle()
		})
	}
}

// TestGRPCTimeoutIsGRPCs: requests of others keep the header, which binds nobody.
func TestGRPCTimeoutIsGRPCs(t *testing.T) {
	w := newWorld(t, setup{action: "timeout {} max_stream_duration { max_stream_duration { seconds: 5 } }"})
	c := w.client()
	w.send(c, "GET / HTTP/1.1\r\nhost: a\r\ngrpc-timeout: 1S\r\n\r\n")
	host := w.backend(1)
	if got := header(host.Received(), "grpc-timeout"); got != "1S" {
		t.Errorf("told %s", got)
	}
	w.Advance(3 * time.Second)
	w.got(c, "")
	w.Advance(3 * time.Second)
	w.logged("GET / 504 - max_duration_timeout")
}

// TestGRPCHostStats: a host that answers 200 may have failed nevertheless.
func TestGRPCHostStats(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n"
	for _, c := range []struct {
		name, request, response string
		success, errors         int64
	}{
		{"trailers", grpcCall(), head + "transfer-encoding: chunked\r\n\r\n0\r\ngrpc-status: 0\r\n\r\n", 1, 0},
		{"failed", grpcCall(), head + "transfer-encoding: chunked\r\n\r\n0\r\ngrpc-status: 13\r\n\r\n", 0, 1},
		{"refused", grpcCall(), head + "transfer-encoding: chunked\r\n\r\n0\r\ngrpc-status: 7\r\n\r\n", 1, 0},
		{"head alone", grpcCall(), head + "grpc-status: 14\r\ncontent-length: 0\r\n\r\n", 0, 1},
		{"no status", grpcCall(), head + "content-length: 0\r\n\r\n", 0, 1},
		{"no trailers", grpcCall(), head + "content-length: 2\r\n\r\nok", 0, 0}, // as Envoy
		{"500", grpcCall(), "HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno", 0, 1},
		{"not gRPC", get, head + "grpc-status: 14\r\ncontent-length: 0\r\n\r\n", 1, 0},
	} {
		w := newWorld(t, setup{clusters: map[string]string{"c": trailersUpstream}})
		w.send(w.client(), c.request)
		w.send(w.backend(1), c.response)
		h := w.w.clusters.Get("c").Hosts().Hosts()[0]
		if s, e := h.Successes.Load(), h.Errors.Load(); s != c.success || e != c.errors {
			t.Errorf("%s: success %d, error %d; want %d, %d", c.name, s, e, c.success, c.errors)
		}
		w.stats(".upstream_rq_completed", 1)
		w.idle()
	}
}

// TestDurationBlames the client for a request that is not complete, as Envoy does.
func TestDurationBlames(t *testing.T) {
	w := newWorld(t, setup{edit: func(c *Config) { c.MaxStreamDuration = time.Second }})
	c := w.client()
	w.send(c, post(5))
	w.Advance(2 * time.Second)
	if got := statusOf(c.Received()); got != "408 Request Timeout" {
		t.Errorf("got %q", got)
	}
	w.logged("POST / 408 - max_duration_timeout")
}

// TestDurationCountsFromTheStart: a route that is found late does not give more time.
func TestDurationCountsFromTheStart(t *testing.T) {
	ch := newChain("a")
	ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
		s.After(time.Second, func() {
			s.ClearRoute()
			s.RouteConfig() // finds it again
			s.ResumeRequest()
		})
		return sdk.Pause
	}
	w := newWorld(t, setup{action: "max_stream_duration { max_stream_duration { seconds: 3 } }", filters: ch.filters()})
	c := w.client()
	w.send(c, get)
	w.Advance(2900 * time.Millisecond)
	w.got(c, "")
	w.Advance(200 * time.Millisecond)
	w.logged("GET / 504 - max_duration_timeout")
	w.backend(1)
	ch.balanced(t)
}

// TestSuppressedCodes follows suppress_grpc_request_failure_code_stats, as Envoy 1.40 counts
// with it: calls by gRPC are counted by code only among those from inside or outside.
func TestSuppressedCodes(t *testing.T) {
	for _, c := range []struct {
		suppress bool
		request  string
		own      int
	}{
		{false, grpcCall(), 1}, {true, grpcCall(), 0}, {true, get, 1},
	} {
		w := newWorld(t, setup{edit: func(cfg *Config) { cfg.SuppressGRPCCodes = c.suppress }})
		w.send(w.client(), c.request)
		w.send(w.backend(1), "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 14\r\ncontent-length: 0\r\n\r\n")
		w.stats(".upstream_rq_200", c.own, ".upstream_rq_2xx", c.own, ".external.upstream_rq_200", 1, ".upstream_rq_completed", 1)
	}
}
