package route

import (
	"strings"
	"testing"

	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// TestCORS: the filter compiles the policies in their old place, for routes and virtual
// hosts.
func TestCORS(t *testing.T) {
	c := sdktest.NewCompiler(t)
	pb := parse(t, `virtual_hosts:
- name: v
  domains: ["*"]
  cors: {allow_methods: M, allow_headers: H, expose_headers: E, max_age: A, allow_credentials: true, allow_private_network_access: true,
    forward_not_matching_preflights: true, filter_enabled: {runtime_key: F, default_value: {}}, shadow_enabled: {runtime_key: S, default_value: {}},
    allow_origin_string_match: [{exact: O}]}
  routes:
  - {match: {path: /own}, route: {cluster: c, cors: {allow_methods: own}}}
  - {match: {path: /direct}, direct_response: {status: 200}}
  - {match: {prefix: /}, route: {cluster: c}}`)
	at := func(path string) (*Route, any) {
		t.Helper()
		table, err := Compile(c, pb, Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, r := table.Match(request("h", path), &MatchInput{})
		return r, r.Value("cors")
	}
	if _, v := at("/own"); v != nil {
		t.Errorf("without the filter: %v", v)
	}
	c.AddHTTPFilter(&sdk.HTTPFilter{
		Name: "envoy.filters.http.cors",
		CompileRoute: func(_ sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			p := m.(*corsv3.CorsPolicy)
			return strings.Join([]string{p.AllowMethods, p.AllowHeaders, p.ExposeHeaders, p.MaxAge, p.GetFilterEnabled().GetRuntimeKey(),
				p.GetShadowEnabled().GetRuntimeKey(), p.GetAllowCredentials().String(), p.GetAllowPrivateNetworkAccess().String(),
				p.GetForwardNotMatchingPreflights().String()}, " "), nil
		},
		Merge: func(outer, inner sdk.RouteConfig) sdk.RouteConfig { return outer.(string) + " | " + inner.(string) },
	})
	const host = "M H E A F S value:true value:true value:true"
	for path, want := range map[string]any{"/own": host + " | own" + strings.Repeat(" ", 5) + " <nil> <nil> <nil>", "/": host, "/direct": host} {
		r, got := at(path)
		if got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
		if forwards := r.Value("route") != nil; forwards == (path == "/direct") || r.Value("none") != nil {
			t.Errorf("%s: %v", path, r.Value("route"))
		}
	}
	if (*Route)(nil).Value("cors") != nil {
		t.Error("no route has a value")
	}
}
