package rbac

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func ext(field, typ, config string) string {
	return field + ` { name: "n" typed_config { [type.googleapis.com/` + typ + `] { ` + config + ` } } } `
}

// row is one of a matcher's: an action for a value of the header x-m.
func row(value, name, action string) string {
	return `matchers { predicate { single_predicate { ` + ext("input", "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", `header_name: "x-m"`) +
		`value_match { exact: "` + value + `" } } } on_match { ` + ext("action", "envoy.config.rbac.v3.Action", `name: "`+name+`" action: `+action) + `} } `
}

const withLog = "matcher { matcher_list { "

// told is what the filter left in dynamic metadata.
func told(s *sdktest.Stream) string {
	b, _ := json.Marshal(s.Info().Dynamic.All().Any())
	return strings.NewReplacer(`"envoy.filters.http.rbac":`, "", `"envoy.common":`, "", `"`, "").Replace(string(b))
}

// TestMatcher: a matcher tree instead of policies, and what is told of verdicts.
func TestMatcher(t *testing.T) {
	rows := row("log", "l", "LOG") + row("no", "d", "DENY") + row("yes", "a", "ALLOW")
	quiet := row("no", "d", "DENY") + row("yes", "a", "ALLOW")
	for _, c := range []struct{ config, value, want, told string }{
		{withLog + rows + "} }", "log", "allowed", "{{access_log_hint:true},{enforced_effective_policy_id:l,enforced_engine_result:allowed}}"},
		{withLog + rows + "} }", "no", "denied", "{{access_log_hint:false},{enforced_effective_policy_id:d,enforced_engine_result:denied}}"},
		{withLog + rows + "} }", "yes", "allowed", "{{access_log_hint:false},{enforced_effective_policy_id:a,enforced_engine_result:allowed}}"},
		{withLog + rows + "} }", "other", "denied", "{{enforced_engine_result:denied}}"},
		{withLog + quiet + "} }", "yes", "allowed", "{{enforced_effective_policy_id:a,enforced_engine_result:allowed}}"},
		{"matcher {}", "yes", "denied", "{{enforced_engine_result:denied}}"},
		{"shadow_" + withLog + rows + `} } shadow_rules_stat_prefix: "s_"`, "log", "allowed", "{{s_shadow_effective_policy_id:l,s_shadow_engine_result:allowed}}"},
		{rule("LOG", anything+anyone) + `rules_stat_prefix: "r_"`, "", "allowed", "{{access_log_hint:true},{r_enforced_effective_policy_id:p,r_enforced_engine_result:allowed}}"},
		{rule("LOG", anything+"principals { authenticated {} }"), "", "allowed", "{{access_log_hint:false},{enforced_engine_result:allowed}}"},
	} {
		h := sdktest.NewHost(t, Filter(), parse(t, c.config))
		s, got := ask(h, "x-m: "+c.value)
		if got != c.want || told(s) != c.told {
			t.Errorf("%s, %s: %s, told %s; want %s, %s", c.config, c.value, got, told(s), c.want, c.told)
		}
	}
	h := sdktest.NewHost(t, Filter(), parse(t, `track_per_rule_stats: true rules_stat_prefix: "x" `+withLog+rows+"} }"))
	s, _ := ask(h, "x-m: no")
	if h.Counted("rbac.x.denied") != 1 || h.Counted("rbac.x.policy.d.denied") != 1 || s.Replies[0].Details != "rbac_access_denied_matched_policy[d]" {
		t.Errorf("counted %q, replied %+v", h.Scope().Names(), s.Replies)
	}
}

// TestRouteKeys: a route's prefix is in the names that are told, if it has one.
func TestRouteKeys(t *testing.T) {
	h := sdktest.NewHost(t, Filter(), parse(t, `rules_stat_prefix: "x_" shadow_rules_stat_prefix: "y_"`))
	for route, want := range map[string]string{
		`rbac { rules {} shadow_rules {} rules_stat_prefix: "r_" }`:        "{{r_enforced_engine_result:denied,y_shadow_engine_result:denied}}",
		`rbac { rules {} shadow_rules {} shadow_rules_stat_prefix: "s_" }`: "{{s_shadow_engine_result:denied,x_enforced_engine_result:denied}}",
	} {
		h.RouteConfig(Filter(), sdktest.Text[rbacv3.RBACPerRoute](t, route))
		if s, _ := ask(h); told(s) != want {
			t.Errorf("%s: %s, want %s", route, told(s), want)
		}
	}
}

// isPath is the expression request.path == want.
func isPath(want string) string {
	return `call_expr { function: "_==_" args { select_expr { operand { ident_expr { name: "request" } } field: "url_path" } } args { const_expr { string_value: "` + want + `" } } } `
}

// TestConditions: policies that ask for more, and permissions and principals that look at
// metadata.
func TestConditions(t *testing.T) {
	const metadata = `filter: "f" path { key: "k" } value { string_match { exact: "v" } } `
	const upstream = "envoy.extensions.rbac.matchers.upstream_ip_port.v3.UpstreamIpPortMatcher"
	for _, c := range []struct {
		policy string
		want   string
	}{
		{anything + anyone + "condition { " + isPath("/Svc/m") + "} ", "allowed"},
		{anything + anyone + "condition { " + isPath("/other") + "} ", "denied"},
		{anything + "principals { authenticated {} } condition { " + isPath("/Svc/m") + "} ", "denied"},
		{anything + anyone + "checked_condition { expr { " + isPath("/Svc/m") + "} } ", "allowed"},
		{anything + anyone + "checked_condition { expr { " + isPath("/other") + "} } ", "denied"},
		{anyone + "permissions { metadata { " + metadata + "} } ", "allowed"},
		{anyone + "permissions { metadata { invert: true " + metadata + "} } ", "denied"},
		{anyone + "permissions { sourced_metadata { metadata_matcher { " + metadata + "} } } ", "allowed"},
		{anyone + "permissions { sourced_metadata { metadata_matcher { " + metadata + "} metadata_source: ROUTE } } ", "denied"},
		{anything + "principals { metadata { " + metadata + "} } ", "allowed"},
		{anything + "principals { sourced_metadata { metadata_matcher { " + strings.Replace(metadata, `"v"`, `"w"`, 1) + "} metadata_source: ROUTE } } ", "allowed"},
		{anyone + "permissions { " + ext("matcher", upstream, `upstream_ip { address_prefix: "10.3.0.0" prefix_len { value: 16 } }`) + "} ", "allowed"},
		{anyone + "permissions { " + ext("matcher", upstream, `upstream_ip { address_prefix: "10.4.0.0" prefix_len { value: 16 } }`) + "} ", "denied"},
		{anyone + "permissions { " + ext("matcher", upstream, `upstream_port_range { start: 70 end: 80 }`) + "} ", "allowed"},
		{anyone + "permissions { " + ext("matcher", upstream, `upstream_port_range { start: 70 end: 79 }`) + "} ", "denied"},
		{anything + "principals { " + ext("custom", "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config", `any_validated_client_certificate: true`) + "} ", "denied"},
	} {
		h := sdktest.NewHost(t, Filter(), parse(t, rule("ALLOW", c.policy)))
		s := h.Stream()
		i := s.Info()
		i.Dynamic.Set("f", "k", sdk.String("v"))
		i.VirtualHostName, i.RouteMetadata = "v", &sdk.Metadata{}
		i.RouteMetadata.Set("f", "k", sdk.String("w"))
		i.SetFilterState(upstreamAddress, netip.MustParseAddrPort("10.3.1.1:80"))
		s.SendRequest(true, ":method: GET", ":path: /Svc/m?q=1", ":authority: h")
		if got := word(len(s.Replies) == 0); got != c.want {
			t.Errorf("%s: %s", c.policy, got)
		}
	}
	// Without a route there is nothing that an inverted matcher could match.
	h := sdktest.NewHost(t, Filter(), parse(t, rule("ALLOW", anyone+"permissions { sourced_metadata { metadata_matcher { invert: true "+metadata+"} metadata_source: ROUTE } } ")))
	if _, got := ask(h); got != "denied" {
		t.Errorf("no route: %s", got)
	}
}

// TestWholePolicy: a policy of extensions, and a condition that was checked.
func TestWholePolicy(t *testing.T) {
	pb := sdktest.Text[rbacconfigv3.Policy](t, `permissions { matcher { name: "u" typed_config {
			[type.googleapis.com/envoy.extensions.rbac.matchers.upstream_ip_port.v3.UpstreamIpPortMatcher] { upstream_port_range { start: 70 end: 80 } } } } }
		principals { not_id { custom { name: "m" typed_config {
			[type.googleapis.com/envoy.extensions.rbac.principals.mtls_authenticated.v3.Config] { any_validated_client_certificate: true } } } } }
		checked_condition { expr { const_expr { bool_value: true } } }`)
	p, err := compilePolicy(sdktest.NewCompiler(t), "p", pb)
	if err != nil {
		t.Fatal(err)
	}
	s := sdktest.NewHost(t, Filter(), parse(t, "")).Stream()
	s.SendRequest(true, ":method: GET", ":path: /", ":authority: h")
	if p.match(s) {
		t.Error("nothing was told of the upstream's address")
	}
	s.Info().SetFilterState(upstreamAddress, netip.MustParseAddrPort("10.3.1.1:80"))
	if !p.match(s) {
		t.Error("the address is not seen")
	}
}

func TestRefusedExtensions(t *testing.T) {
	for config, want := range map[string]string{
		rule("ALLOW", anything+anyone+`condition { ident_expr { name: "foo" } } `):                                                                                `rules.policies["p"].condition: undeclared reference to 'foo'`,
		rule("ALLOW", anyone+"permissions { "+ext("matcher", "envoy.config.core.v3.Node", "")+"} "):                                                               `permissions[0].matcher: no envoy.rbac.matchers extension`,
		rule("ALLOW", anyone+"permissions { "+ext("matcher", "envoy.extensions.rbac.matchers.upstream_ip_port.v3.UpstreamIpPortMatcher", "")+"} "):                `permissions[0].matcher.typed_config: neither`,
		rule("ALLOW", anything+"principals { "+ext("custom", "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config", "")+"} "):                           `principals[0].custom.typed_config: neither`,
		"matcher { on_no_match { " + ext("action", "envoy.config.core.v3.Node", "") + "} }":                                                                       `matcher.on_no_match.action.typed_config: envoy.config.core.v3.Node is no action`,
		"shadow_matcher { matcher_tree { " + ext("input", "envoy.type.matcher.v3.HttpRequestQueryParamMatchInput", `query_param: "q"`) + "exact_match_map {} } }": `shadow_matcher.matcher_tree.input: envoy.type.matcher.v3.HttpRequestQueryParamMatchInput cannot be matched on`,
	} {
		if _, err := Filter().Compile(sdktest.NewCompiler(t), parse(t, config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want one about %s", err, want)
		}
	}
	c := sdktest.NewCompiler(t)
	if _, err := Filter().Compile(c, parse(t, "rules {} matcher {}")); err != nil || len(c.Warnings()) != 1 {
		t.Errorf("%v, warnings %q", err, c.Warnings())
	}
}

func TestMatcherAllocs(t *testing.T) {
	h := sdktest.NewHost(t, Filter(), parse(t, withLog+row("no", "d", "DENY")+row("yes", "a", "ALLOW")+"} }"))
	s, _ := ask(h, "x-m: yes")
	if n := testing.AllocsPerRun(100, func() { s.Again().OnRequestHeaders(s, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
