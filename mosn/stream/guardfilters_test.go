package stream

import (
	"strings"
	"testing"
	"time"

	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	localv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"

	"sofamesh.io/sofamesh/mosn/filter/fault"
	"sofamesh.io/sofamesh/mosn/filter/localratelimit"
	"sofamesh.io/sofamesh/mosn/filter/rbac"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// TestSlowResponse: a response comes in pieces, whatever the host does, and a host that
// sends more than may be held waits.
func TestSlowResponse(t *testing.T) {
	w := newWorld(t, setup{limit: 4096, filters: with(t, fault.Filter(), sdktest.Text[faultv3.HTTPFault](t,
		`response_rate_limit { fixed_limit { limit_kbps: 10 } percentage { numerator: 100 } }`))})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	const size = 10 * 1024
	w.send(b, "HTTP/1.1 200 OK\r\ncontent-length: 10240\r\n\r\n"+strings.Repeat("Z", size))
	total, steps := 0, 0
	for ; total < size && steps < 40; steps++ {
		w.Advance(50 * time.Millisecond)
		total += strings.Count(c.Received(), "Z")
	}
	if total != size || steps < 15 {
		t.Errorf("%d bytes after %d steps of 50 ms", total, steps)
	}
	w.idle()
}

// TestSlowResponseGivenUp: a client that leaves meanwhile costs nothing.
func TestSlowResponseGivenUp(t *testing.T) {
	w := newWorld(t, setup{filters: with(t, fault.Filter(), sdktest.Text[faultv3.HTTPFault](t,
		`response_rate_limit { fixed_limit { limit_kbps: 1 } percentage { numerator: 100 } }`))})
	c := w.client()
	w.send(c, get)
	w.send(w.backend(1), "HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n\r\n"+strings.Repeat("x", 1024))
	w.Advance(60 * time.Millisecond)
	c.Close()
	w.Settle()
	w.Advance(time.Second)
	w.idle()
}

// TestGuardedRPC: what the filters refuse is an error of the caller's protocol, and the
// next call goes on.
func TestGuardedRPC(t *testing.T) {
	const all = "percentage { numerator: 100 } "
	filters := with(t, rbac.Filter(), sdktest.Text[rbacv3.RBAC](t, `rules { action: DENY policies { key: "p" value {
		permissions { url_path { path { exact: "/a.Service/denied" } } } principals { any: true } } } }`))
	filters = append(filters, with(t, fault.Filter(), sdktest.Text[faultv3.HTTPFault](t,
		`headers { name: ":path" string_match { exact: "/a.Service/broken" } } abort { http_status: 503 `+all+`} delay { fixed_delay { seconds: 1 } `+all+"}"))...)
	filters = append(filters, with(t, localratelimit.Filter(), sdktest.Text[localv3.LocalRateLimit](t,
		`stat_prefix: "p" filter_enabled { default_value { numerator: 100 } } filter_enforced { default_value { numerator: 100 } }
		token_bucket { max_tokens: 1 fill_interval { seconds: 60 } }`))...)
	w := newWorld(t, withBolt(setup{filters: filters}))
	c := w.client()
	w.says(c, request(1, "denied", 0, "x"), request(2, "broken", 0, "x"), request(3, "first", 0, "x"), request(4, "second", 0, "x"))
	got := frames(c.Received())
	for id, want := range map[string]bool{"answer 1 ": true, "answer 2 ": false, "answer 3 ": false, "answer 4 ": true} {
		if strings.Contains(got, id) != want {
			t.Errorf("%q: %v in %s", id, !want, got)
		}
	}
	w.Advance(time.Second)
	if got := frames(c.Received()); !strings.Contains(got, "answer 2 ") {
		t.Errorf("no answer 2 in %s", got)
	}
	w.logged("POST /a.Service/denied 403 - rbac_access_denied_matched_policy[p]; POST /a.Service/second 429 RL local_rate_limited; " +
		"POST /a.Service/broken 503 DI,FI fault_filter_abort")
}
