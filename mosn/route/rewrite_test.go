package route

import (
	"fmt"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// finalize routes a request and returns its headers as they go upstream.
func finalize(t *testing.T, table *Table, h *sdk.Headers, keepOriginal bool) string {
	t.Helper()
	_, r := table.Match(h, &MatchInput{})
	if r == nil {
		t.Fatalf("no route for\n%s", dump(h))
	}
	var s Scratch
	r.FinalizeRequest(h, &sdk.StreamInfo{}, &s, keepOriginal)
	return dump(h)
}

// forward is a route to a cluster with these fields of the action.
func forward(match, action string) string {
	return fmt.Sprintf("{match: {%s}, route: {cluster: c, %s}},\n", match, action)
}

const rewriteRoutes = `
- {match: {prefix: /pre/}, route: {cluster: c, prefix_rewrite: /}}
- {match: {prefix: /empty}, route: {cluster: c, prefix_rewrite: /new}}
- {match: {path: /path}, route: {cluster: c, prefix_rewrite: /other}}
- {match: {prefix: /Fold, case_sensitive: false}, route: {cluster: c, prefix_rewrite: /low}}
- {match: {safe_regex: {regex: "/rx/.*"}}, route: {cluster: c, prefix_rewrite: /whole}}
- {match: {path_separated_prefix: /sep}, route: {cluster: c, prefix_rewrite: /split}}
- {match: {prefix: /re/}, route: {cluster: c, regex_rewrite: {pattern: {regex: "^/re/([^/]+)/(.*)$"}, substitution: '/\2/of/\1'}}}
- {match: {prefix: /all}, route: {cluster: c, regex_rewrite: {pattern: {regex: "o"}, substitution: '0'}}}
- {match: {prefix: /gone}, route: {cluster: c, regex_rewrite: {pattern: {regex: "^.*$"}, substitution: ''}}}
- {match: {prefix: /plain}, route: {cluster: c}}
`

// TestPathRewrite holds what Envoy 1.40 sent upstream for the same configuration.
func TestPathRewrite(t *testing.T) {
	table := compileTable(t, "virtual_hosts:\n- name: v\n  domains: ['*']\n  routes:"+indent(rewriteRoutes))
	for path, want := range map[string]string{
		"/pre/x/y?q=/pre/": "/x/y?q=/pre/",
		"/empty/x":         "/new/x",
		"/emptyx":          "/newx",
		"/path?q=1":        "/other?q=1",
		"/FOLD/x":          "/low/x",
		"/rx/x/y?q=1":      "/whole?q=1",
		"/sep/x":           "/split/x",
		"/sep":             "/split",
		"/re/a/b/c?q=1":    "/b/c/of/a?q=1",
		"/re/a":            "/re/a",
		"/all/foo/o?o=o":   "/all/f00/0?o=o",
		"/gone?q":          "?q",
	} {
		if got, w := finalize(t, table, request("h", path), true), fmt.Sprintf(":path: %s\n:authority: h\nx-envoy-original-path: %s\n", want, path); got != w {
			t.Errorf("%s becomes\n%swant\n%s", path, got, w)
		}
		if got, w := finalize(t, table, request("h", path), false), fmt.Sprintf(":path: %s\n:authority: h\n", want); got != w {
			t.Errorf("%s becomes, without the old one,\n%s", path, got)
		}
	}
	if got := finalize(t, table, request("h", "/plain?x"), true); got != ":path: /plain?x\n:authority: h\n" {
		t.Errorf("a path that is not rewritten becomes\n%s", got)
	}
}

func indent(s string) string {
	out := ""
	for _, c := range s {
		if out += string(c); c == '\n' {
			out += "  "
		}
	}
	return out
}

// TestRewriteOfChangedPath: a filter may change the path after the route was found.
func TestRewriteOfChangedPath(t *testing.T) {
	table := routesOf(t, forward("prefix: /long/prefix", "prefix_rewrite: /n"))
	h := request("h", "/long/prefix/x")
	_, r := table.Match(h, &MatchInput{})
	h.SetID(sdk.HeaderPath, "/x")
	var s Scratch
	if r.FinalizeRequest(h, nil, &s, false); h.Path() != "/n" {
		t.Errorf("path %q", h.Path())
	}
}

func TestHostRewrite(t *testing.T) {
	for _, c := range []struct {
		action string
		lines  []string
		want   string // without :path
	}{
		{"host_rewrite_literal: new.test", nil, ":authority: new.test\nx-envoy-original-host: old.test\n"},
		{"host_rewrite_literal: old.test", nil, ":authority: old.test\nx-envoy-original-host: old.test\n"},
		{"host_rewrite_header: X-Host", []string{"x-host: from"}, ":authority: from\nx-host: from\nx-envoy-original-host: old.test\n"},
		{"host_rewrite_header: x-host", []string{"x-host: "}, ":authority: old.test\nx-host: \n"},
		{"host_rewrite_header: x-host", nil, ":authority: old.test\n"},
		{`host_rewrite_path_regex: {pattern: {regex: "^/(.*)$"}, substitution: '\1.t'}`, nil, ":authority: abc.t\nx-envoy-original-host: old.test\n"},
		{`host_rewrite_path_regex: {pattern: {regex: "^/.*$"}, substitution: ''}`, nil, ":authority: old.test\n"},
		{"auto_host_rewrite: true", nil, ":authority: old.test\n"}, // waits for the endpoint
		{"host_rewrite_literal: n, append_x_forwarded_host: true", nil, ":authority: n\nx-forwarded-host: old.test\nx-envoy-original-host: old.test\n"},
		{
			"host_rewrite_literal: n, append_x_forwarded_host: true", []string{"x-forwarded-host: first"},
			":authority: n\nx-forwarded-host: first,old.test\nx-envoy-original-host: old.test\n",
		},
		{
			"host_rewrite_literal: n, append_x_forwarded_host: true", []string{"x-forwarded-host: b,old.test"},
			":authority: n\nx-forwarded-host: b,old.test\nx-envoy-original-host: old.test\n",
		},
		{ // compared as it stands, blanks included
			"host_rewrite_literal: n, append_x_forwarded_host: true", []string{"x-forwarded-host: b, old.test"},
			":authority: n\nx-forwarded-host: b, old.test,old.test\nx-envoy-original-host: old.test\n",
		},
		{"append_x_forwarded_host: true", nil, ":authority: old.test\n"},
	} {
		h := request("old.test", "/abc?q", c.lines...)
		if got := finalize(t, routesOf(t, forward("prefix: /", c.action)), h, true); got != ":path: /abc?q\n"+c.want {
			t.Errorf("%s %q:\n%swant\n%s", c.action, c.lines, got, c.want)
		}
	}
}

// TestHostBeforePath: the host is made of the path as it came.
func TestHostBeforePath(t *testing.T) {
	table := routesOf(t, forward("prefix: /", `prefix_rewrite: /zz, host_rewrite_path_regex: {pattern: {regex: "^/(.*)$"}, substitution: '\1.t'}`))
	if got := finalize(t, table, request("h", "/abc"), false); got != ":path: /zzabc\n:authority: abc.t\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestRewriteErrors(t *testing.T) {
	for action, want := range map[string]string{
		`prefix_rewrite: /, regex_rewrite: {pattern: {regex: a}, substitution: b}`:                                          "route: only one of prefix_rewrite and regex_rewrite",
		`regex_rewrite: {pattern: {regex: "("}, substitution: b}`:                                                           "route.regex_rewrite.pattern.regex: ",
		`host_rewrite_path_regex: {pattern: {regex: "("}, substitution: b}`:                                                 "route.host_rewrite_path_regex.pattern.regex: ",
		`path_rewrite_policy: {name: x.y, typed_config: {"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig}}`: `path_rewrite_policy: extension "x.y"`,
	} {
		refused(t, action, want)
	}
}

const redirectRoutes = `
- {match: {prefix: /host}, redirect: {host_redirect: new.test}}
- {match: {prefix: /hp}, redirect: {host_redirect: "n:1", port_redirect: 2}}
- {match: {prefix: /path}, redirect: {path_redirect: /new}}
- {match: {prefix: /query-own}, redirect: {path_redirect: "/new?a=b"}}
- {match: {prefix: /query-strip}, redirect: {path_redirect: "/new?a=b", strip_query: true}}
- {match: {prefix: /pre/}, redirect: {prefix_rewrite: /new/}}
- {match: {prefix: /prestrip}, redirect: {prefix_rewrite: /n, strip_query: true}}
- {match: {prefix: /prenone}, redirect: {prefix_rewrite: ""}}
- {match: {prefix: /re}, redirect: {regex_rewrite: {pattern: {regex: "^/re/(.*)$"}, substitution: '/n/\1'}}}
- {match: {prefix: /void}, redirect: {regex_rewrite: {pattern: {regex: "^.*$"}, substitution: ''}}}
- {match: {prefix: /https}, redirect: {https_redirect: true}}
- {match: {prefix: /scheme}, redirect: {scheme_redirect: ftp}}
- {match: {prefix: /same}, redirect: {scheme_redirect: http}}
- {match: {prefix: /port}, redirect: {port_redirect: 8443}}
- {match: {prefix: /tlsport}, redirect: {https_redirect: true, port_redirect: 443}}
- {match: {prefix: /strip}, redirect: {path_redirect: /new, strip_query: true}}
- {match: {prefix: /bare}, redirect: {}}
- {match: {prefix: /keep}, redirect: {strip_query: true}}
- {match: {prefix: /created}, direct_response: {status: 201}}
`

// TestLocation holds Envoy's answers.
func TestLocation(t *testing.T) {
	table := compileTable(t, "virtual_hosts:\n- name: v\n  domains: ['*']\n  routes:"+indent(redirectRoutes))
	for _, c := range []struct{ host, path, proto, want string }{
		{"old.test:8080", "/host/x?q=1", "http", "http://new.test/host/x?q=1"},
		{"h", "/hp?q=1", "http", "http://n:1:2/hp?q=1"},
		{"old.test:8080", "/path/x?q=1", "http", "http://old.test:8080/new?q=1"},
		{"h", "/query-own?q=1", "http", "http://h/new?a=b"},
		{"h", "/query-strip?q=1", "http", "http://h/new?a=b"},
		{"h", "/pre/x?q=1", "http", "http://h/new/x?q=1"},
		{"h", "/prestripx?q=1", "http", "http://h/nx"},
		{"h", "/prenone/x?q=1", "http", "http://h/prenone/x?q=1"},
		{"h", "/re/x?q=1", "http", "http://h/n/x?q=1"},
		{"h", "/reno?q=1", "http", "http://h/reno?q=1"},
		{"h", "/void?q=1", "http", "http://h/void?q=1"},
		{"h:80", "/https", "http", "https://h/https"},
		{"h:8080", "/https", "http", "https://h:8080/https"},
		{"h:443", "/https", "http", "https://h:443/https"},
		{"[::1]:80", "/https", "http", "https://[::1]/https"},
		{"[::1]", "/https", "http", "https://[::1]/https"},
		{"h:443", "/scheme", "https", "ftp://h/scheme"},
		{"h", "/scheme", "http", "ftp://h/scheme"},
		{"h:80", "/same", "http", "http://h:80/same"},
		{"h:80", "/port", "http", "http://h:8443/port"},
		{"[::1]:80", "/port", "http", "http://[::1]:8443/port"},
		{"h:80", "/tlsport", "http", "https://h:443/tlsport"},
		{"h", "/strip?q=1", "http", "http://h/new"},
		{"h", "/bare?q=1", "http", "http://h/bare?q=1"},
		{"h:443", "/bare", "https", "https://h:443/bare"},
		{"h", "/keep?q=1", "http", "http://h/keep"},
		{"h", "/created?q=1", "http", "http://h/created?q=1"},
	} {
		h := request(c.host, c.path, "x-forwarded-proto: "+c.proto, ":scheme: "+c.proto)
		_, r := table.Match(h, &MatchInput{})
		if r == nil || !r.HasLocation() {
			t.Fatalf("%s%s is not redirected", c.host, c.path)
		}
		var s Scratch
		if got := string(r.Location([]byte("+"), h, &s, true)); got != "+"+c.want {
			t.Errorf("%s%s: %s, want %s", c.host, c.path, got, c.want)
		}
	}
}

// TestRedirectRewritesPath: the log shows the new path, as Envoy's does.
func TestRedirectRewritesPath(t *testing.T) {
	table := routesOf(t, `{match: {prefix: /}, redirect: {prefix_rewrite: /n}, response_headers_to_add: [{header: {key: x-p, value: "%REQ(:path)%|%REQ(x-envoy-original-path)%"}}]}`)
	h := request("h", "/q")
	_, r := table.Match(h, &MatchInput{})
	var s Scratch
	r.Location(nil, h, &s, true)
	resp := new(sdk.Headers)
	r.FinalizeResponse(resp, h, nil, &s)
	if got := dump(resp); got != "x-p: /nq|/q\n" {
		t.Errorf("got %s", got)
	}
}

func TestRedirectCodes(t *testing.T) {
	for name, want := range map[string]int{"MOVED_PERMANENTLY": 301, "FOUND": 302, "SEE_OTHER": 303, "TEMPORARY_REDIRECT": 307, "PERMANENT_REDIRECT": 308} {
		table := routesOf(t, "{match: {prefix: /}, redirect: {response_code: "+name+"}}")
		if _, r := table.Match(request("h", "/"), &MatchInput{}); r.Redirect.Code != want {
			t.Errorf("%s: %d", name, r.Redirect.Code)
		}
	}
}
