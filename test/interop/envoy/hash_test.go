package envoy

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/test/interop/peers"
)

var bodies = regexp.MustCompile(`(?m)^  body "(b\d)"$`)

// TestHashPolicy checks that a hash policy sends a key always to one host and many keys to several. Which host it is may differ from Envoy's:
// it follows from the backends' addresses.
func TestHashPolicy(t *testing.T) {
	policies := []struct {
		name, policy, request string // %d in the request is the key
	}{
		{"header", `{header: {header_name: x-key}}`, "GET / HTTP/1.1\r\nhost: h\r\nx-key: k%d\r\n\r\n"},
		{"cookie", `{cookie: {name: key}}`, "GET / HTTP/1.1\r\nhost: h\r\ncookie: a=b; key=k%d; c=d\r\n\r\n"},
		{"query", `{query_parameter: {name: key}}`, "GET /?key=k%d HTTP/1.1\r\nhost: h\r\n\r\n"},
	}
	for _, balancer := range []string{"RING_HASH", "MAGLEV"} {
		for _, p := range policies {
			t.Run(balancer+"/"+p.name, func(t *testing.T) {
				config := fmt.Sprintf("clusters: {b1: {endpoints: [b1, b2, b3], lb_policy: %s}}\n"+
					"routes: [{match: {prefix: /}, route: {cluster: b1, hash_policy: [%s]}}]", balancer, p.policy)
				eachProxy(t, func(t *testing.T, binary string) { checkHash(t, binary, config, p.request) })
			})
		}
	}
}

// eachProxy runs a test against Envoy and mosn, as far as they are there.
func eachProxy(t *testing.T, f func(t *testing.T, binary string)) {
	t.Run("envoy", func(t *testing.T) {
		binary, err := peers.EnvoyBinary()
		if err != nil {
			t.Skipf("no Envoy: %v", err)
		}
		f(t, binary)
	})
	t.Run("mosn", func(t *testing.T) {
		binary, err := mosnBinary()
		if err != nil {
			t.Skipf("no mosn: %v", err)
		}
		f(t, binary)
	})
}

// checkHash sends each of many keys twice and looks at which backend answered.
func checkHash(t *testing.T, binary, config, request string) {
	const keys, rounds = 30, 2
	c := &testCase{ID: "hash/case", Config: config}
	for i := range keys * rounds {
		c.Client = append(c.Client,
			peers.Op{Kind: peers.OpSend, Data: fmt.Appendf(nil, request, i%keys)},
			peers.Op{Kind: peers.OpAwait, N: i + 1})
	}
	results, err := (&runner{binary: binary}).run(t, []*testCase{c}, quick)
	if err != nil {
		t.Fatal(err)
	}
	client, _, _ := strings.Cut(results[c.ID], "\nb1 ")
	answers := bodies.FindAllStringSubmatch(client, -1)
	if len(answers) != keys*rounds {
		t.Fatalf("%d answers, want %d:\n%s", len(answers), keys*rounds, client)
	}
	hosts := map[string]int{}
	for i, a := range answers {
		hosts[a[1]]++
		if first := answers[i%keys]; first[1] != a[1] {
			t.Errorf("key %d went to %s and to %s", i%keys, first[1], a[1])
		}
	}
	if len(hosts) != 3 {
		t.Errorf("keys by host: %v, want all three hosts", hosts)
	}
}
