package route

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

const domainTable = `
virtual_hosts:
- {name: exact, domains: [a.test, "A.test:8080"]}
- {name: suffix, domains: ["*.test", "*-x.TEST"]}
- {name: longsuffix, domains: ["*.long.test"]}
- {name: prefix, domains: ["a.*", "b.*"]}
- {name: longprefix, domains: ["b.long.*"]}
- {name: any, domains: ["*"]}
`

func TestDomains(t *testing.T) {
	table := compileTable(t, domainTable)
	if table.Domains() != 9 {
		t.Errorf("%d domains", table.Domains())
	}
	for host, want := range map[string]string{
		"a.test": "exact", "a.test:8080": "exact", "A.TEST": "exact",
		"a.test:8081": "prefix", "c.test": "suffix", "c.long.test": "longsuffix", "Q.LONG.tesT": "longsuffix",
		"q-x.test": "suffix", "b.test": "suffix", "b.org": "prefix", "b.long.org": "longprefix", "b.long.": "prefix",
		// A wildcard stands for at least one byte.
		".test": "any", "a.": "any", ".long.test": "suffix", "-x.test": "suffix",
		"z.org": "any", "x": "any", strings.Repeat("A", 300) + ".test": "suffix", strings.Repeat("x", 1000) + ".test": "suffix", strings.Repeat("x", 300): "any",
	} {
		if vh := table.VirtualHost(host); vh == nil || vh.Name != want {
			t.Errorf("%s: %+v, want %s", host, vh, want)
		}
	}
	if vh := table.VirtualHost(""); vh != nil {
		t.Errorf("no host leads to %s", vh.Name)
	}
}

func TestNoVirtualHost(t *testing.T) {
	table := compileTable(t, `virtual_hosts: [{name: e, domains: [a.test], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]`)
	for _, host := range []string{"b.test", "a.test:80", "", "a.testx"} {
		if vh, r := table.Match(request(host, "/"), &MatchInput{}); vh != nil || r != nil {
			t.Errorf("%q leads to %v, %v", host, vh, r)
		}
	}
	if table := compileTable(t, `name: empty`); table.VirtualHost("a") != nil || table.Name != "empty" {
		t.Error("an empty table has a virtual host")
	}
	if table := routesOf(t, ``); table.VirtualHost("") == nil {
		t.Error("a table with nothing but * needs no host")
	}
}

func TestIgnorePort(t *testing.T) {
	table := compileTable(t, `
ignore_port_in_host_matching: true
virtual_hosts:
- {name: a, domains: [a]}
- {name: v6, domains: ["[::1]"]}
- {name: suffix, domains: ["*.b"]}
`)
	for host, want := range map[string]string{
		"a": "a", "a:": "a", "a:1": "a", "a:x": "a", "a:99999999": "a", "[::1]": "v6", "[::1]:5": "v6", "x.b:80": "suffix",
		"::1": "", "::": "", "[::1": "",
	} {
		name := ""
		if vh := table.VirtualHost(host); vh != nil {
			name = vh.Name
		}
		if name != want {
			t.Errorf("%s: %q, want %q", host, name, want)
		}
	}
}

func TestDuplicateDomains(t *testing.T) {
	for domains, want := range map[string]string{
		`[a], [A]`:            `virtual_hosts[1].domains[0]: duplicate domain "A"`,
		`["*.a", b], ["*.a"]`: `virtual_hosts[1].domains[0]: duplicate domain "*.a"`,
		`["a.*"], [b, "a.*"]`: `virtual_hosts[1].domains[1]: duplicate domain "a.*"`,
		`["*"], ["*"]`:        `virtual_hosts[1].domains[0]: duplicate domain "*"`,
	} {
		first, second, _ := strings.Cut(domains, "], [")
		mustFail(t, fmt.Sprintf("virtual_hosts: [{name: x, domains: %s]}, {name: y, domains: [%s}]", first, second), want)
	}
	// The same text as exact name, suffix and prefix is three domains.
	if n := compileTable(t, `virtual_hosts: [{name: x, domains: [a, "*a", "a*"]}, {name: x, domains: ["*", "*a*"]}]`).Domains(); n != 5 {
		t.Errorf("%d domains", n)
	}
}

// TestDomainsAgainstTheObvious compares the tables with a walk over all names.
func TestDomainsAgainstTheObvious(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		b := make([]byte, 1+rng.IntN(n))
		for i := range b {
			b[i] = "ab."[rng.IntN(3)]
		}
		return string(b)
	}
	for round := range 200 {
		names, back := map[string]*VirtualHost{}, round%2 == 0
		d := domains{back: back}
		for range 1 + rng.IntN(60) {
			name := word(6)
			vh := &VirtualHost{Name: name}
			if _, known := names[name]; d.add(name, vh) == known {
				t.Fatalf("add(%q) when known = %v", name, known)
			} else if !known {
				names[name] = vh
			}
		}
		for range 200 {
			host := word(9)
			var want *VirtualHost
			for name, vh := range names {
				fits := strings.HasPrefix(host, name)
				if back {
					fits = strings.HasSuffix(host, name)
				}
				if fits && len(name) < len(host) && (want == nil || len(name) > len(want.Name)) {
					want = vh
				}
			}
			if got := d.longest(strings.ToUpper(host)); got != want {
				t.Fatalf("%q among %v (back = %v): %v, want %v", host, names, back, got, want)
			}
		}
	}
}

func TestRequireTLS(t *testing.T) {
	table := compileTable(t, `
virtual_hosts:
- {name: all, domains: [all, "all:80"], require_tls: ALL, routes: [{name: r, match: {prefix: /}, direct_response: {status: 200}}]}
- {name: ext, domains: [ext], require_tls: EXTERNAL_ONLY, routes: [{name: r, match: {prefix: /}, direct_response: {status: 200}}],
   response_headers_to_add: [{header: {key: x, value: "1"}}]}
`)
	for _, c := range []struct {
		host, proto, internal, want string
	}{
		{"all", "http", "true", "https://all/p?q=1"},
		{"all:80", "http", "", "https://all:80/p?q=1"}, // unlike https_redirect
		{"all", "https", "", ""},
		{"ext", "http", "", "https://ext/p?q=1"},
		{"ext", "http", "true", ""},
		{"ext", "https", "", ""},
	} {
		h := request(c.host, "/p?q=1", "x-forwarded-proto: "+c.proto, "x-envoy-internal: "+c.internal)
		_, r := table.Match(h, &MatchInput{})
		if r == nil {
			t.Fatalf("%+v: no route", c)
		}
		if c.want == "" {
			if r.Name != "r" {
				t.Errorf("%+v: route %q", c, r.Name)
			}
			continue
		}
		var s Scratch
		if r.Redirect == nil || r.Redirect.Code != 301 || !r.HasLocation() {
			t.Fatalf("%+v: no redirect", c)
		}
		if got := string(r.Location(nil, h, &s, true)); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
		resp := new(sdk.Headers)
		if r.FinalizeResponse(resp, h, nil, &s); resp.Len() != 0 {
			t.Error("Envoy does not edit the headers of this redirect")
		}
	}
}

func TestTableOptions(t *testing.T) {
	table := compileTable(t, `
name: r
internal_only_headers: [X-Internal]
virtual_hosts:
- {name: v, domains: ["*"], include_request_attempt_count: true, include_attempt_count_in_response: true, include_is_timeout_retry_header: true}
`)
	vh := table.VirtualHost("x")
	if !vh.IncludeAttemptCount || !vh.IncludeAttemptCountInResponse || !vh.IncludeIsTimeoutRetry {
		t.Errorf("%+v", vh)
	}
	if len(table.InternalOnlyHeaders) != 1 || table.InternalOnlyHeaders[0] != "x-internal" {
		t.Errorf("internal only: %q", table.InternalOnlyHeaders)
	}
}

func TestClusterValidation(t *testing.T) {
	const text = `virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: nope}}]}]`
	for _, c := range []struct {
		inline  bool
		message string
		refused bool
	}{
		{true, "", true}, {false, "", false},
		{true, "validate_clusters: false\n", false}, {false, "validate_clusters: true\n", true},
	} {
		sc := sdktest.NewCompiler(t)
		_, err := Compile(sc, parse(t, c.message+text), Options{ValidateClusters: c.inline})
		if (err != nil) != c.refused {
			t.Errorf("%+v: %v", c, err)
		}
		if got := sc.Clusters(); len(got) != 1 || got[0] != "nope" {
			t.Errorf("asked for %q: the edge must be recorded either way", got)
		}
	}
}

// BenchmarkVirtualHost looks a host up among few and many.
func BenchmarkVirtualHost(b *testing.B) {
	for _, kind := range []string{"exact", "suffix", "prefix"} {
		for _, n := range []int{10, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				table := manyHosts(b, n, kind)
				hosts := make([]string, 64)
				for i := range hosts {
					hosts[i] = hostFor(kind, i*157%n)
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if table.VirtualHost(hosts[i%64]) == nil {
						b.Fatal("not found")
					}
					i++
				}
			})
		}
	}
}

// name is as long as a service's name in a cluster, of 17 lengths.
func name(i int) string {
	return fmt.Sprintf("service-%05d.%s.svc.cluster.local", i, "namespace-of-some-team"[:5+i%17])
}

func domainFor(kind string, i int) string {
	switch kind {
	case "suffix":
		return "*." + name(i)
	case "prefix":
		return name(i) + ".*"
	}
	return name(i)
}

func hostFor(kind string, i int) string {
	switch kind {
	case "suffix":
		return "www." + name(i)
	case "prefix":
		return name(i) + ".example.org"
	}
	return name(i)
}

func manyHosts(tb testing.TB, n int, kind string) *Table {
	tb.Helper()
	var text strings.Builder
	text.WriteString("virtual_hosts:\n")
	for i := range n {
		fmt.Fprintf(&text, "- {name: v%d, domains: [%q], routes: [{match: {prefix: /}, route: {cluster: c}}]}\n", i, domainFor(kind, i))
	}
	return compileTable(tb, text.String())
}

func TestManyHosts(t *testing.T) {
	for _, kind := range []string{"exact", "suffix", "prefix"} {
		table := manyHosts(t, 500, kind)
		for i := range 500 {
			if vh := table.VirtualHost(hostFor(kind, i)); vh == nil || vh.Name != fmt.Sprint("v", i) {
				t.Fatalf("%s %d: %v", kind, i, vh)
			}
		}
	}
}
