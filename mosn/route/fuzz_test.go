package route

import (
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// fuzzTable has a route of every kind.
const fuzzTable = `
ignore_port_in_host_matching: true
virtual_hosts:
- name: exact
  domains: [a.test, "[::1]"]
  routes:
  - {match: {path: /exact, headers: [{name: x-a, string_match: {contains: "b"}}]}, redirect: {https_redirect: true, prefix_rewrite: /p}}
  - {match: {prefix: /fold, case_sensitive: false}, route: {cluster: c, prefix_rewrite: /low}}
  - {match: {path_separated_prefix: /sep}, route: {cluster: c, prefix_rewrite: /split, host_rewrite_header: x-a, append_x_forwarded_host: true}}
  - {match: {safe_regex: {regex: "/re/[^/]+"}, query_parameters: [{name: q}]}, route: {cluster: c, regex_rewrite: {pattern: {regex: "^/re/(.)"}, substitution: '/\1'}}}
  - {match: {prefix: /, cookies: [{name: c, string_match: {prefix: v}}]}, redirect: {port_redirect: 8443, strip_query: true}}
  - {match: {prefix: /, headers: [{name: x-a, range_match: {start: 1, end: 9}}]}, redirect: {path_redirect: /n}}
  - {match: {prefix: /w}, route: {weighted_clusters: {header_name: x-a, clusters: [{name: a, weight: 1}, {name: b, weight: 2, host_rewrite_literal: w}]}}, request_headers_to_add: [{header: {key: x-b, value: "%REQ(x-a)%"}}]}
- {name: suffix, domains: ["*.test", "*-x.test"], require_tls: ALL}
- {name: prefix, domains: ["a.*", "a.b.*"], routes: [{match: {connect_matcher: {}}, direct_response: {status: 201}}, {match: {prefix: /}, redirect: {host_redirect: h}}]}
`

// FuzzMatch sends arbitrary requests through a table: nothing may panic, the answer
// must not depend on the case of the host, and rewriting must leave sane headers.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][4]string{
		{"a.test", "/exact?q", "ab", "GET"}, {"A.TEST:80", "/FOLDed", "", "GET"}, {"[::1]:1", "/re/x?q=1", "5", "GET"}, {"x.test", "/", "", "GET"},
		{"a.b.org", "", "", "CONNECT"}, {"a.test", "/sep/x#y", "host", "POST"}, {"a.test", "/w", "7", "GET"}, {"-x.test", "/", "", "GET"}, {"a:", "//", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], uint64(len(seed[0])))
	}
	table := compileTable(f, fuzzTable)
	f.Fuzz(func(t *testing.T, host, path, header, method string, random uint64) {
		h := request(host, path, "x-a: "+header, "cookie: "+header, ":method: "+method)
		in := &MatchInput{Random: random}
		vh, r := table.Match(h, in)
		h.SetID(sdk.HeaderAuthority, strings.ToUpper(host))
		if isASCII(host) {
			if vh2, r2 := table.Match(h, in); vh2 != vh || r2 != r {
				t.Fatalf("%q in upper case leads elsewhere", host)
			}
		}
		h.SetID(sdk.HeaderAuthority, host)
		if r == nil {
			return
		}
		if vh != r.VirtualHost || (r.Forward != nil) == (r.Redirect != nil || r.Direct != nil) {
			t.Fatalf("route %+v of %+v", r, vh)
		}
		var s Scratch
		if r.HasLocation() {
			if at := string(r.Location(nil, h, &s, true)); !strings.Contains(at, "://") {
				t.Fatalf("location %q", at)
			}
			return
		}
		r.FinalizeRequest(h, &sdk.StreamInfo{}, &s, true)
		if r.Forward != nil && r.Forward.Cluster(h) == "" {
			t.Fatalf("no cluster for %q %q", host, path)
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
