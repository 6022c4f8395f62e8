package stream

import (
	"fmt"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/match/descriptor"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// TestConnState: what a filter keeps for a connection is there for its next requests, and
// for no other connection's.
func TestConnState(t *testing.T) {
	ch := newChain("a", "b")
	var seen []string
	count := func(name string) func(sdk.Stream) sdk.Action {
		return func(s sdk.Stream) sdk.Action {
			place := s.ConnState(name)
			n, _ := (*place).(int)
			*place = n + 1
			seen = append(seen, fmt.Sprint(name, n))
			return sdk.Continue
		}
	}
	ch.scripts[0].on["rh"] = count("x")
	ch.scripts[1].on["rh"] = count("x")
	ch.scripts[1].on["sh"] = count("y")
	w := newWorld(t, setup{filters: ch.filters()})
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	for i := range 2 {
		for j := range 2 {
			if i+j > 0 {
				w.send(c, get)
			}
			w.send(b, "HTTP/1.1 204 X\r\n\r\n")
		}
		if got, want := fmt.Sprint(seen), "[x0 x1 y0 x2 x3 y1]"; got != want {
			t.Errorf("connection %d: %s, want %s", i, got, want)
		}
		seen = nil
		if i == 0 {
			c = w.client()
		}
	}
	w.idle()
}

// TestRouteValue: filters see what the route says in its own fields, and random numbers
// are not all the same.
func TestRouteValue(t *testing.T) {
	ch := newChain("a")
	var limits, metadata, other any
	random := map[uint64]bool{}
	ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
		limits, metadata, other = s.RouteValue("rate_limits"), s.RouteValue("metadata"), s.RouteValue("x")
		random[s.Random()], random[s.Random()] = true, true
		return sdk.Continue
	}
	w := newWorld(t, setup{filters: ch.filters(), action: `rate_limits { actions { remote_address {} } }`})
	w.send(w.client(), get)
	if l, ok := limits.(*descriptor.Levels); !ok || len(l.Route) != 1 || len(l.VirtualHost) != 0 || l.Include {
		t.Errorf("rate_limits: %v", limits)
	}
	if md, ok := metadata.(*sdk.Metadata); ok && md == nil || other != nil {
		t.Errorf("metadata: %v, x: %v", metadata, other)
	}
	if len(random) != 2 {
		t.Errorf("random numbers: %v", random)
	}
}

// TestRouteStays: the route of a request that was forwarded stays, also when the path that
// it was rewritten to has none and a filter has it looked up again.
func TestRouteStays(t *testing.T) {
	ch := newChain("a")
	ch.scripts[0].on["sh"] = func(s sdk.Stream) sdk.Action {
		s.ClearRoute()
		if s.RouteValue("metadata"); s.Info().RouteName != "r" {
			t.Errorf("the route is now %q", s.Info().RouteName)
		}
		return sdk.Continue
	}
	w := newWorld(t, setup{filters: ch.filters(), route: `name: "r" match { path: "/" } route { cluster: "c" prefix_rewrite: "/x" }`})
	c := w.client()
	w.send(c, get)
	w.send(w.backend(1), "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na")
	if got := c.Received(); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.HasSuffix(got, "\r\n\r\na") {
		t.Errorf("the answer is %q", got)
	}
	w.idle()
}

// TestMetadata: the log sees what the configuration says of the parts on the request's
// way, and what filters have said of the request; the next request starts anew.
func TestMetadata(t *testing.T) {
	md := func(v string) string {
		return fmt.Sprintf(` metadata { filter_metadata { key: "f" value { fields { key: "k" value { string_value: %q } } } } } `, v)
	}
	ch := newChain("a")
	first := true
	ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
		if first {
			s.Info().Dynamic.Set("f", "k", sdk.String("said"))
		}
		first = false
		return sdk.Continue
	}
	w := newWorld(t, setup{
		filters: ch.filters(), vhost: md("vhost"), clusters: map[string]string{"c": md("cluster")}, endpoint: md("host"),
		route: `match { prefix: "/" } route { cluster: "c" }` + md("route"),
		edit: func(cfg *Config) {
			cfg.ListenerMetadata = sdk.NewMetadata(sdktest.Text[corev3.Metadata](t,
				`filter_metadata { key: "f" value { fields { key: "k" value { string_value: "listener" } } } }`).GetFilterMetadata())
		},
	})
	var seen []string
	w.log.each = func(i *sdk.StreamInfo) {
		one := ""
		for _, m := range []*sdk.Metadata{i.ListenerMetadata, i.VirtualHostMetadata, i.RouteMetadata, i.ClusterMetadata, i.HostMetadata, &i.Dynamic} {
			one += m.Get("f", "k").Text() + ","
		}
		seen = append(seen, one)
	}
	c := w.client()
	w.send(c, get)
	b := w.backend(1)
	for i := range 2 {
		if i > 0 {
			w.send(c, get)
		}
		w.send(b, "HTTP/1.1 204 X\r\n\r\n")
		if len(seen) != i+1 || seen[i] != "listener,vhost,route,cluster,host,"+[]string{"said", ""}[i]+"," {
			t.Errorf("%d: %q", i, seen)
		}
	}
}

// TestDisabled: a filter that the chain turns off works where a route turns it on.
func TestDisabled(t *testing.T) {
	ch := newChain("a", "b")
	filters := ch.filters()
	filters[0].Disabled = true
	const config = ` typed_per_filter_config { key: "a" value { [type.googleapis.com/envoy.config.route.v3.FilterConfig] { %s } } } `
	w := newWorld(t, setup{filters: filters, table: `virtual_hosts { name: "v" domains: "*"
		routes { match { prefix: "/on" } direct_response { status: 201 } ` + fmt.Sprintf(config, "config {}") + ` }
		routes { match { prefix: "/off" } direct_response { status: 202 } ` + fmt.Sprintf(config, "disabled: true") + ` }
		routes { match { prefix: "/" } direct_response { status: 203 } } }`})
	for path, want := range map[string]string{"/on": "a", "/off": "", "/": ""} {
		w.send(w.client(), "GET "+path+" HTTP/1.1\r\nhost: a\r\n\r\n")
		called := ""
		for _, line := range strings.Fields(ch.calls()) {
			if strings.HasPrefix(line, "a") {
				called = "a"
			}
		}
		if called != want {
			t.Errorf("%s: called %q", path, called)
		}
	}
}

// TestOverrideHost: a filter says to which host a request goes; what it names in vain is
// an error only where it insists.
func TestOverrideHost(t *testing.T) {
	ch := newChain("a")
	address, strict := "", false
	ch.scripts[0].on["rh"] = func(s sdk.Stream) sdk.Action {
		s.OverrideHost(address, strict)
		return sdk.Continue
	}
	w := newWorld(t, setup{filters: ch.filters(), hosts: 3})
	for range 4 {
		address = "10.0.0.3:80"
		c := w.client()
		w.send(c, get)
		w.send(w.backend(3), "HTTP/1.1 204 X\r\nconnection: close\r\n\r\n")
	}
	address = "10.0.0.9:80"
	w.send(w.client(), get)
	if w.next(1) == nil && w.next(2) == nil && w.next(3) == nil {
		t.Error("no other host was chosen")
	}
	strict = true
	w.log.take()
	w.send(w.client(), get)
	if got := w.log.take(); !strings.Contains(got, "503 UH no_healthy_upstream") {
		t.Error(got)
	}
}

// TestCloseConnection: a filter has the connection end with the response, and finds itself
// named and its loop numbered.
func TestCloseConnection(t *testing.T) {
	ch := newChain("a", "b")
	ch.scripts[1].on["rh"] = func(s sdk.Stream) sdk.Action {
		s.Info().CloseConnection = true
		if s.FilterName() != "b" || s.Loop() != 0 {
			t.Errorf("%s on loop %d", s.FilterName(), s.Loop())
		}
		return sdk.Continue
	}
	w := newWorld(t, setup{filters: ch.filters(), route: `match { prefix: "/" } direct_response { status: 200 }`})
	c := w.client()
	w.send(c, get)
	w.got(c, "HTTP/1.1 200 OK\r\n"+date+"server: envoy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
}
