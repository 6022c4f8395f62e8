package stream

import (
	"strings"
	"sync/atomic"
	"testing"

	bufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	checkv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	statev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/filter/buffer"
	"sofamesh.io/sofamesh/mosn/filter/cors"
	"sofamesh.io/sofamesh/mosn/filter/headermutation"
	"sofamesh.io/sofamesh/mosn/filter/healthcheck"
	"sofamesh.io/sofamesh/mosn/filter/setfilterstate"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// plainFilters is a chain of the filters that need nothing but the stream.
func plainFilters(t *testing.T) []FilterConfig {
	var chain []FilterConfig
	for _, f := range []struct {
		filter *sdk.HTTPFilter
		config proto.Message
	}{
		{healthcheck.Filter(), sdktest.Text[checkv3.HealthCheck](t, `pass_through_mode { } headers { name: ":path" string_match { suffix: "/hc" } }
			cluster_min_healthy_percentages { key: "c" value { value: 50 } }`)},
		{setfilterstate.Filter(), sdktest.Text[statev3.Config](t, `on_request_headers { object_key: "k" factory_key: "envoy.string"
			format_string { text_format_source { inline_string: "%REQ(:method)%" } } }`)},
		{headermutation.Filter(), sdktest.Text[mutationv3.HeaderMutation](t, `mutations {
			request_mutations { append { header { key: "x-state" value: "%FILTER_STATE(k:PLAIN)%" } } }
			response_mutations { append { header { key: "x-code" value: "%RESP(:status)%" } } } }`)},
		{cors.Filter(), &corsv3.Cors{}},
		{buffer.Filter(), sdktest.Text[bufferv3.Buffer](t, "max_request_bytes { value: 5 }")},
	} {
		chain = append(chain, with(t, f.filter, f.config)...)
	}
	return chain
}

func TestPlainFilters(t *testing.T) {
	w := newWorld(t, setup{
		filters: plainFilters(t), known: []*sdk.HTTPFilter{cors.Filter()},
		vhost: `cors { allow_origin_string_match { exact: "http://a" } }`,
	})
	var failing atomic.Bool
	w.w.Failing = &failing
	c := w.client()
	sends := func(bytes, status, header string) {
		t.Helper()
		w.send(c, bytes)
		got := c.Received()
		if statusOf(got) != status || !strings.Contains(got, header) {
			t.Errorf("%q: %q", bytes, got)
		}
	}
	sends("GET /hc HTTP/1.1\r\nhost: a\r\n\r\n", "200 OK", "x-envoy-upstream-healthchecked-cluster: \r\n")
	w.logged("GET /hc 200 - health_check_ok_cluster_healthy")
	failing.Store(true)
	sends("GET /hc HTTP/1.1\r\nhost: a\r\n\r\n", "503 Service Unavailable",
		"x-envoy-immediate-health-check-fail: true\r\n")
	c = w.client()
	sends("GET /hc HTTP/1.1\r\nhost: a\r\n\r\n", "503 Service Unavailable", "connection: close\r\n") // look for another proxy
	c = w.client()
	w.logged("GET /hc 503 LH health_check_failed; GET /hc 503 LH health_check_failed")
	failing.Store(false)
	w.stats("downstream_cx_drain_close", 2, "downstream_rq_total", 3, "downstream_rq_completed", 0, "downstream_rq_2xx", 0)
	sends("OPTIONS / HTTP/1.1\r\nhost: a\r\norigin: http://a\r\naccess-control-request-method: PUT\r\n\r\n",
		"200 OK", "access-control-allow-origin: http://a\r\nx-code: 200\r\n")
	w.logged("OPTIONS / 200 - cors_response")

	w.send(c, "PUT /x HTTP/1.1\r\nhost: a\r\norigin: http://a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
	if w.next(1) != nil {
		t.Fatal("it was not held")
	}
	w.send(c, "2\r\nde\r\n0\r\n\r\n")
	b := w.backend(1)
	if got := b.Received(); !strings.Contains(got, "x-state: PUT\r\n") || !strings.Contains(got, "content-length: 5\r\n") || !strings.HasSuffix(got, "\r\n\r\nabcde") {
		t.Errorf("host got %q", got)
	}
	w.send(b, "HTTP/1.1 201 X\r\ncontent-length: 0\r\n\r\n")
	if got := c.Received(); !strings.Contains(got, "x-code: 201\r\n") || !strings.Contains(got, "access-control-allow-origin: http://a\r\n") {
		t.Errorf("client got %q", got)
	}
	w.logged("PUT /x 201 - via_upstream")
	sends("PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabcdef", "413 Payload Too Large", "x-code: 413\r\n")
	w.logged("PUT /x 413 - request_payload_too_large")
}

// TestPlainFiltersRPC: the same chain for calls of Bolt.
func TestPlainFiltersRPC(t *testing.T) {
	w := newWorld(t, withBolt(setup{filters: plainFilters(t)}))
	c := w.client()
	w.says(c, request(1, "hc", 3000, "x"))
	if got := frames(c.Received()); !strings.HasPrefix(got, "answer 1 status=") {
		t.Errorf("got %q", got)
	}
	w.logged("POST /a.Service/hc 200 - health_check_ok_cluster_healthy")
	w.says(c, request(2, "m", 3000, "abcde"))
	host := w.backend(1)
	got := host.Received()
	if !strings.Contains(got, "x-state\x00\x00\x00\x04POST") || strings.Contains(got, "content-length") {
		t.Errorf("host got %q", got)
	}
	if f := frames(got); f != "request 1 timeout=3000 abcde" {
		t.Errorf("host got %s", f)
	}
	w.says(host, answerTo(1, "y"))
	w.hears(c, "answer 2 status=0 y")
	w.says(c, request(3, "m", 3000, "abcdef"))
	w.logged("POST /a.Service/m 200 - via_upstream; POST /a.Service/m 413 - request_payload_too_large")
	w.idle()
}
