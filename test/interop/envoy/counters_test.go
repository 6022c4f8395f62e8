package envoy

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// TestCounters runs cases through Envoy and through mosn and compares all non-zero counters of the cases' listeners, connection managers,
// virtual hosts and clusters, by name and by value.
func TestCounters(t *testing.T) {
	envoy, err := peers.EnvoyBinary()
	if err != nil {
		t.Skipf("no Envoy to compare with: %v", err)
	}
	mosn, err := mosnBinary()
	if err != nil {
		t.Skipf("no mosn to compare: %v", err)
	}
	differs := differences(t)
	cases := slices.DeleteFunc(selected(t), func(c *testCase) bool { return c.Hostile || differs[c.ID] })
	quiet := quick
	for {
		want, err := countersOf(t, &runner{name: "Envoy", binary: envoy}, cases, quiet)
		if err != nil {
			t.Fatal(err)
		}
		got, err := countersOf(t, &runner{name: "mosn", binary: mosn}, cases, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if quiet == patient {
			for _, c := range cases {
				t.Run(c.ID, func(t *testing.T) { compareCounters(t, want[c.ID], got[c.ID]) })
			}
			return
		}
		cases = slices.DeleteFunc(cases, func(c *testCase) bool {
			same := maps.Equal(want[c.ID], got[c.ID])
			if same {
				t.Run(c.ID, func(*testing.T) {})
			}
			return same
		})
		quiet = patient
	}
}

func compareCounters(t *testing.T, want, got map[string]uint64) {
	names := maps.Clone(want)
	maps.Copy(names, got)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if want[name] != got[name] {
			t.Errorf("%s: Envoy %d, mosn %d", name, want[name], got[name])
		}
	}
}

// countersOf returns the non-zero counters of each case.
func countersOf(t *testing.T, r *runner, cases []*testCase, quiet time.Duration) (map[string]map[string]uint64, error) {
	t.Helper()
	var all map[string]uint64
	benches, _, err := r.serve(t, cases, quiet, func(admin string) (err error) {
		time.Sleep(100 * time.Millisecond) // the clients have just closed their connections
		all, err = readCounters(admin)
		return err
	})
	if err != nil {
		return nil, err
	}
	results := map[string]map[string]uint64{}
	for _, b := range benches {
		results[b.c.ID] = b.counters(all)
	}
	return results, nil
}

// readCounters fetches the non-zero counters of a proxy.
func readCounters(admin string) (map[string]uint64, error) {
	resp, err := (&http.Client{Timeout: 30 * time.Second}).Get("http://" + admin + "/stats?usedonly&type=Counters&format=json")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Stats []struct {
			Name  string
			Value uint64
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("%w in %.200s", err, body)
	}
	counters := map[string]uint64{}
	for _, s := range doc.Stats {
		if s.Value != 0 {
			counters[s.Name] = s.Value
		}
	}
	return counters, nil
}

// differentOnPurpose are counters that are not compared: in all cases, or in those that match.
var differentOnPurpose = []struct {
	name, cases string // regular expressions
	reason      string
}{
	{`http2\.nghttp2_`, ``, "names the library that Envoy's codec is made with"},
	{`_cx_[rt]x_bytes_total`, `h2|grpc|headermutation/trailers`, "the size of SETTINGS, WINDOW_UPDATE and HPACK's output is each codec's own affair"},
	{`downstream_cx_tx_bytes_total`, ``, "x-envoy-upstream-service-time has as many digits as it takes"},
	{`downstream_cx_delayed_close_timeout`, ``, "how long an end is waited for: with nothing left to be written nobody is waited for here"},
	{`_(response_before_rq_complete|rq_rx_reset)`, `buffer/(too-large|smaller)`, "the end of a request is seen with its last bytes here, by Envoy's filters after them"},
	{`downstream_cx_rx_bytes_total`, `framing/early-answer-then-body|rewrite/redirect-body-missing`, "a body that nobody wants is read and dropped here, and left to the system by Envoy"},
	{`cx_destroy_(local|remote)`, `accesslog/tunnel`, "who ends a tunnel first is a race of its two ends"},
	{`upstream_cx_[rt]x_bytes_total`, `settings/(scheme|hash-terminal)`, "counted when an exchange is over here, by Envoy as the bytes go"},
	{`membership_change|lb_healthy_panic`, `settings/priorities`, "Envoy's members come one priority after the other"},
	{`downstream_cx_protocol_error`, `settings/h2-limits`, "Envoy's codec closes by GOAWAY without counting what it closed for"},
	{`upstream_cx_tx_bytes_total`, `failures/(answer|close)-on-connect`, "the host and the request cross"},
	{`upstream_cx_protocol_error`, `h2/upstream-max-requests|h2failures/goaway-`, "Envoy counts the end of a connection on which the host has said goodbye as a protocol error"},
	{`http2\.rx_messaging_error`, `h2hostile/r-(length|body|data)`, "nghttp2 does not count a body of a wrong length among the malformed messages"},
	{`http2\.rx_reset`, `reset-no-error-after-answer`, "a reset of a stream that has ended is dropped within the codec"},
	{`retry\.upstream_rq_419`, ``, "codes that nobody has registered have no counter of their own, so that no host can make names"},
	{`flow_control_`, ``, "the system's socket buffers decide how often a connection backs up"},
}

// counters picks the case's own counters, under the names that do not depend on ports.
func (b *bench) counters(all map[string]uint64) map[string]uint64 {
	prefixes := map[string]string{
		"vhost." + b.prefix() + ".":                   "vhost.case.", // of cases that name their virtual host so
		"http." + b.prefix() + ".":                    "http.case.",
		fmt.Sprintf("listener.127.0.0.1_%d.", b.port): "listener.",
	}
	for _, name := range b.names {
		prefixes["cluster."+b.c.ID+"/"+name+"."] = "cluster." + name + "."
	}
	own := map[string]uint64{}
	for full, value := range all {
		for prefix, short := range prefixes {
			rest, ok := strings.CutPrefix(full, prefix)
			if !ok {
				continue
			}
			name := strings.Replace(short+rest, b.prefix(), "case", 1)
			if !onPurpose(name, b.c.ID) {
				own[name] = value
			}
		}
	}
	return own
}

func onPurpose(name, id string) bool {
	for _, d := range differentOnPurpose {
		if regexp.MustCompile(d.name).MatchString(name) && regexp.MustCompile(d.cases).MatchString(id) {
			return true
		}
	}
	return false
}
