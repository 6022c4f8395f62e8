package rbac

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"

	"sofamesh.io/sofamesh/sdk/sdktest"
)

func parse(t testing.TB, text string) *rbacv3.RBAC {
	t.Helper()
	return sdktest.Text[rbacv3.RBAC](t, text)
}

// ask sends a request and returns its verdict.
func ask(h *sdktest.Host, lines ...string) (*sdktest.Stream, string) {
	s := h.Stream()
	i := s.Info()
	i.DownstreamLocal = netip.MustParseAddrPort("10.0.0.1:80")
	i.DownstreamDirectRemote = netip.MustParseAddrPort("10.0.0.2:1234")
	i.DownstreamRemote = netip.MustParseAddrPort("192.0.2.7:0")
	i.SetFilterState("text", "value")
	i.SetFilterState("addr", netip.MustParseAddr("10.9.9.9"))
	i.SetFilterState("number", 5)
	s.SendRequest(true, append([]string{":method: GET", ":path: /Svc/m?q=1", ":authority: h", "x-a: 1"}, lines...)...)
	if len(s.Replies) > 0 {
		return s, "denied"
	}
	return s, "allowed"
}

const anyone, anything = "principals { any: true } ", "permissions { any: true } "

func rule(action, policy string) string {
	return "rules { action: " + action + ` policies { key: "p" value { ` + policy + "} } } "
}

// TestMatchers: each permission and principal, alone and negated.
func TestMatchers(t *testing.T) {
	const permissions, principals = "permissions", "principals"
	for _, c := range []struct {
		of, what string
		want     bool
	}{
		{permissions, "any: true", true},
		{permissions, `header { name: "x-a" string_match { exact: "1" } }`, true},
		{permissions, `header { name: "x-a" string_match { exact: "2" } }`, false},
		{permissions, `header { name: ":method" string_match { exact: "GET" } }`, true},
		{permissions, `url_path { path { exact: "/Svc/m" } }`, true},
		{permissions, `url_path { path { exact: "/Svc/m?q=1" } }`, false},
		{permissions, `url_path { path { prefix: "/svc" } }`, false},
		{permissions, `destination_ip { address_prefix: "10.0.0.1" prefix_len { value: 32 } }`, true},
		{permissions, `destination_ip { address_prefix: "10.0.0.2" prefix_len { value: 32 } }`, false},
		{permissions, `destination_port: 80`, true},
		{permissions, `destination_port: 81`, false},
		{permissions, `destination_port_range { start: 80 end: 81 }`, true},
		{permissions, `destination_port_range { start: 79 end: 80 }`, false},
		{permissions, `requested_server_name { exact: "h" }`, false},
		{permissions, `requested_server_name { exact: "" }`, true},
		{permissions, `and_rules { rules { any: true } rules { destination_port: 80 } }`, true},
		{permissions, `and_rules { rules { any: true } rules { destination_port: 81 } }`, false},
		{permissions, `or_rules { rules { destination_port: 81 } rules { destination_port: 80 } }`, true},
		{permissions, `or_rules { rules { destination_port: 81 } rules { destination_port: 82 } }`, false},
		{principals, "any: true", true},
		{principals, `authenticated {}`, false},
		{principals, `authenticated { principal_name { exact: "spiffe://a" } }`, false},
		{principals, `source_ip { address_prefix: "10.0.0.2" prefix_len { value: 32 } }`, true},
		{principals, `source_ip { address_prefix: "192.0.2.7" prefix_len { value: 32 } }`, false},
		{principals, `direct_remote_ip { address_prefix: "10.0.0.2" prefix_len { value: 32 } }`, true},
		{principals, `direct_remote_ip { address_prefix: "192.0.2.7" prefix_len { value: 32 } }`, false},
		{principals, `remote_ip { address_prefix: "192.0.2.0" prefix_len { value: 24 } }`, true},
		{principals, `remote_ip { address_prefix: "10.0.0.2" prefix_len { value: 32 } }`, false},
		{principals, `header { name: "x-a" invert_match: true }`, false},
		{principals, `url_path { path { suffix: "/m" } }`, true},
		{principals, `filter_state { key: "text" string_match { exact: "value" } }`, true},
		{principals, `filter_state { key: "text" string_match { exact: "other" } }`, false},
		{principals, `filter_state { key: "none" string_match { prefix: "v" } }`, false},
		{principals, `filter_state { key: "number" string_match { prefix: "5" } }`, false},
		{principals, `filter_state { key: "addr" address_match { ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } } }`, true},
		{principals, `filter_state { key: "addr" address_match { ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } invert_match: true } }`, false},
		{principals, `filter_state { key: "text" address_match { ranges { address_prefix: "0.0.0.0" prefix_len { value: 0 } } } }`, false},
		{principals, `and_ids { ids { any: true } ids { authenticated {} } }`, false},
		{principals, `and_ids { ids { any: true } ids { header { name: "x-a" } } }`, true},
		{principals, `or_ids { ids { authenticated {} } ids { any: true } }`, true},
		{principals, `or_ids { ids { authenticated {} } }`, false},
	} {
		rest, negation := anyone, "not_rule"
		if c.of == principals {
			rest, negation = anything, "not_id"
		}
		for _, negated := range []bool{false, true} {
			what := c.what
			if negated {
				what = negation + " { " + what + " }"
			}
			h := sdktest.NewHost(t, Filter(), parse(t, rule("ALLOW", c.of+" { "+what+" } "+rest)))
			if _, got := ask(h); (got == "allowed") != (c.want != negated) {
				t.Errorf("%s { %s }: %s", c.of, what, got)
			}
		}
	}
}

// TestRules: what is decided, told and counted.
func TestRules(t *testing.T) {
	const a, b = `permissions { header { name: "x-a" } } `, `permissions { header { name: "x-b" } } `
	for _, c := range []struct{ name, config, want, details, counted string }{
		{"none", "", "allowed", "", ""},
		{"empty", "rules {}", "denied", "none", "denied"},
		{"allow", rule("ALLOW", a+anyone), "allowed", "", "allowed"},
		{"not allowed", rule("ALLOW", b+anyone), "denied", "none", "denied"},
		{"one of several permissions", rule("ALLOW", b+a+anyone), "allowed", "", "allowed"},
		{"no principal", rule("ALLOW", a+"principals { authenticated {} }"), "denied", "none", "denied"},
		{"deny", rule("DENY", a+anyone), "denied", "p", "denied"},
		{"not denied", rule("DENY", b+anyone), "allowed", "", "allowed"},
		{"log", rule("LOG", a+anyone), "allowed", "", "allowed"},
		{"by name", `rules { action: DENY policies { key: "z" value { ` + a + anyone + `} } policies { key: "b c" value { ` + a + anyone + "} } }", "denied", "b_c", "denied"},
		{"shadow", strings.Replace(rule("DENY", a+anyone), "rules", "shadow_rules", 1), "allowed", "", "shadow_denied"},
		{"shadow, allowed", strings.Replace(rule("ALLOW", a+anyone), "rules", "shadow_rules", 1) + rule("DENY", a+anyone), "denied", "p", "denied shadow_allowed"},
		{"prefixes", `rules_stat_prefix: "x" shadow_rules_stat_prefix: "y_" ` + strings.Replace(rule("DENY", a+anyone), "rules", "shadow_rules", 1) + rule("ALLOW", a+anyone),
			"allowed", "", "x.allowed y_.shadow_denied"},
		{"each", "track_per_rule_stats: true " + rule("DENY", a+anyone), "denied", "p", "denied policy.p.denied"},
		{"each, none", "track_per_rule_stats: true " + rule("ALLOW", b+anyone), "denied", "none", "denied"},
		{"each, shadow", `track_per_rule_stats: true rules_stat_prefix: "x" ` + strings.Replace(rule("ALLOW", a+anyone), "rules", "shadow_rules", 1) + rule("ALLOW", a+anyone),
			"allowed", "", "policy.p.shadow_allowed shadow_allowed x.allowed x.policy.p.allowed"},
	} {
		h := sdktest.NewHost(t, Filter(), parse(t, c.config))
		s, got := ask(h)
		var details string
		if len(s.Replies) > 0 {
			r := s.Replies[0]
			details = strings.TrimSuffix(strings.TrimPrefix(r.Details, "rbac_access_denied_matched_policy["), "]")
			if r.Status != 403 || r.Body != "RBAC: access denied" || r.Flag != 0 {
				t.Errorf("%s: %+v", c.name, r)
			}
		}
		var counted []string
		for _, name := range h.Scope().Names() {
			if n := h.Counted(name); n != 0 {
				counted = append(counted, strings.TrimPrefix(name, "rbac."))
			}
		}
		if got != c.want || details != c.details || strings.Join(counted, " ") != c.counted {
			t.Errorf("%s: %s, %q, counted %q; want %s, %q, %q", c.name, got, details, counted, c.want, c.details, c.counted)
		}
	}
}

// TestRoute: a route's rules come instead of the chain's, and none at all too; they are
// counted with the chain's.
func TestRoute(t *testing.T) {
	h := sdktest.NewHost(t, Filter(), parse(t, `rules_stat_prefix: "x" `+rule("ALLOW", anything+anyone)))
	for _, c := range []struct{ route, want string }{
		{`rbac { track_per_rule_stats: true ` + rule("DENY", anything+anyone) + "}", "denied"},
		{`rbac {}`, "allowed"},
		{``, "allowed"},
	} {
		h.RouteConfig(Filter(), sdktest.Text[rbacv3.RBACPerRoute](t, c.route))
		if _, got := ask(h); got != c.want {
			t.Errorf("%s: %s", c.route, got)
		}
	}
	if got := fmt.Sprint(h.Counted("rbac.x.denied"), h.Counted("rbac.x.policy.p.denied"), h.Counted("rbac.x.allowed")); got != "1 1 0" {
		t.Errorf("counted %s", got)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{rule("ALLOW", "permissions { destination_port_range { start: 5 end: 5 } } "+anyone), `rules.policies["p"].permissions[0].destination_port_range`},
		{rule("ALLOW", `permissions { not_rule { url_path { path { safe_regex { regex: "(" } } } } } `+anyone), `permissions[0].not_rule.url_path.path.safe_regex`},
		{rule("ALLOW", anything+`principals { remote_ip { address_prefix: "x" } }`), `principals[0].remote_ip.address_prefix`},
		{rule("ALLOW", `permissions { uri_template { name: "x" } } `+anyone), `permissions[0]: no rule`},
	} {
		if _, err := Filter().Compile(sdktest.NewCompiler(t), parse(t, c.config)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want one about %s", err, c.want)
		}
	}
	c := sdktest.NewCompiler(t)
	if _, err := Filter().Compile(c, parse(t, rule("ALLOW", anything+"principals { authenticated {} }"))); err != nil || len(c.Warnings()) != 1 {
		t.Errorf("%v, warnings %q", err, c.Warnings())
	}
}

func TestAllocs(t *testing.T) {
	h := sdktest.NewHost(t, Filter(), parse(t, `track_per_rule_stats: true rules { action: DENY policies { key: "p" value {
		permissions { and_rules { rules { url_path { path { prefix: "/Svc" } } } rules { not_rule { destination_port: 80 } } } }
		principals { or_ids { ids { remote_ip { address_prefix: "10.0.0.0" } } ids { header { name: "x-b" } } } } } } }
		shadow_`+rule("ALLOW", anything+anyone)))
	s, _ := ask(h)
	if n := testing.AllocsPerRun(100, func() { s.Again().OnRequestHeaders(s, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFilter(b *testing.B) {
	h := sdktest.NewHost(b, Filter(), parse(b, rule("ALLOW", anything+anyone)))
	s, _ := ask(h)
	for b.Loop() {
		s.Again().OnRequestHeaders(s, true)
	}
}
