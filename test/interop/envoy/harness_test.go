package envoy

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"sofamesh.io/sofamesh/test/interop/peers"
)

func TestParseFile(t *testing.T) {
	cases, err := parseFile("topic", []byte(`
-- config --
{}
-- config other --
hcm: {}
-- case one --
covers: the first
client:
> GET / HTTP/1.1
>
-- case two --
covers: the second
config: other
mask: B[12]
client:
> GET / HTTP/1.1
> host: a:1
>
read "covers: no"
backend:
close
backend b2 on head:
hang
-- case three --
covers: the third
h2 client:
> 1 GET /
h2 backend:
h2 backend b2:
< STATUS 200 end
backend b3:
close
-- hostile-requests other --
# a comment
odd "GET\x00"
long 3 "a" "b" "c"
-- hostile-responses --
answer "HTTP"
`))
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{"topic/one", "topic/two", "topic/three", "topic/odd", "topic/long", "topic/answer"}
	if len(cases) != len(ids) {
		t.Fatalf("%d cases", len(cases))
	}
	for i, id := range ids {
		if cases[i].ID != id {
			t.Errorf("case %d is %s, want %s", i, cases[i].ID, id)
		}
	}
	two := cases[1]
	if two.Covers != "the second" || two.Config != "hcm: {}\n" || two.Mask.String() != "(?m)B[12]" {
		t.Errorf("case two: %+v", two)
	}
	if len(two.Client) != 2 || string(two.Client[0].Data) != "GET / HTTP/1.1\r\nhost: a:1\r\n\r\n" || two.Client[1].Kind != peers.OpRead {
		t.Errorf("client of case two: %+v", two.Client)
	}
	if b1, b2 := two.Backends["b1"], two.Backends["b2"]; len(b1) != 1 || len(b2) != 1 || b2[0].On != peers.OnHead {
		t.Errorf("backends of case two: %+v", two.Backends)
	}
	three := cases[2]
	if !three.H2["client"] || !three.H2["b1"] || !three.H2["b2"] || three.H2["b3"] || three.Client[0].Frame == nil {
		t.Errorf("case three: %+v", three)
	}
	if len(three.Backends["b1"]) != 0 || len(three.Backends["b2"]) != 1 || three.Backends["b2"][0].Ops[0].Frame == nil {
		t.Errorf("backends of case three: %+v", three.Backends)
	}
	if got := string(cases[3].Client[0].Data); got != "GET\x00" || !cases[3].Hostile {
		t.Errorf("case odd sends %q", got)
	}
	if got := string(cases[4].Client[0].Data); got != "abbbc" {
		t.Errorf("case long sends %q", got)
	}
	if got := string(cases[5].Backends["b1"][0].Ops[0].Data); got != "HTTP" {
		t.Errorf("the backend of case answer sends %q", got)
	}
}

func TestParseFileRefuses(t *testing.T) {
	for _, text := range []string{
		"-- unknown --\n",
		"-- case a --\nclient:\n> x\n",
		"-- case a --\ncovers: x\n",
		"-- case a --\ncovers: x\nconfig: none\nclient:\n> x\n",
		"-- case a --\ncovers: x\nclient:\njump\n",
		"-- case a --\ncovers: x\nclient:\n> x\nbackend on fire:\nclose\n",
		"-- hostile-requests --\nname unquoted\n",
	} {
		if cases, err := parseFile("t", []byte(text)); err == nil {
			t.Errorf("%q was read as %+v", text, cases)
		}
	}
}

// TestCasesSayWhatTheyCover keeps the cases honest: each is about something that no other case is about.
func TestCasesSayWhatTheyCover(t *testing.T) {
	covered := map[string]string{}
	for _, c := range loadCases(t) {
		if other, twice := covered[c.Covers]; twice {
			t.Errorf("%s and %s both cover %q", other, c.ID, c.Covers)
		}
		covered[c.Covers] = c.ID
	}
}

// TestDifferencesAreCases checks that each row of docs/differences.md names a case.
func TestDifferencesAreCases(t *testing.T) {
	var ids []string
	for _, c := range loadCases(t) {
		ids = append(ids, c.ID)
	}
	for id := range differences(t) {
		if !slices.Contains(ids, id) {
			t.Errorf("docs/differences.md lists %s, which is no case", id)
		}
	}
}

func TestMaskLog(t *testing.T) {
	in := `[2026-11-21T12:00:00.000Z] "GET / HTTP/1.1" 200 - 0 2 15 14 "-" "curl" "id" "h" "127.0.0.1:1"` + "\n"
	want := `[TIME] "GET / HTTP/1.1" 200 - 0 2 MS MS "-" "curl" "id" "h" "127.0.0.1:1"` + "\n"
	if got := maskLog(in); got != want {
		t.Errorf("got %s", got)
	}
	in = strings.Replace(in, "15 14", "15 -", 1)
	if got := maskLog(in); !strings.Contains(got, " MS - ") {
		t.Errorf("got %s", got)
	}
	if got := maskLog("odd\n"); got != "odd\n" {
		t.Errorf("a line in another format became %s", got)
	}
}

func TestNormalise(t *testing.T) {
	b := &bench{c: &testCase{}, port: 12345, ports: map[string]string{"127.0.0.1:80": "B1"}}
	for in, want := range map[string]string{
		"  date: Sat, 21 Nov 2026 12:49:15 GMT":                "  date: DATE",
		"  date: yesterday":                                    "  date: yesterday",
		"  X-Envoy-Upstream-Service-Time: 12":                  "  X-Envoy-Upstream-Service-Time: MS",
		"  x-envoy-upstream-service-time: soon":                "  x-envoy-upstream-service-time: soon",
		"  x-envoy-expected-rq-timeout-ms: 14987":              "  x-envoy-expected-rq-timeout-ms: less than before",
		"  x-envoy-expected-rq-timeout-ms: 15000":              "  x-envoy-expected-rq-timeout-ms: 15000",
		"  x-request-id: 0a1b2c3d-0000-4000-8000-0123456789ab": "  x-request-id: UUID",
		"  grpc-timeout: 1999m":                                "  grpc-timeout: about 2000 ms",
		"  grpc-timeout: 2S":                                   "  grpc-timeout: about 2000 ms",
		"  grpc-timeout: soon":                                 "  grpc-timeout: soon",
		"  x-request-id: mine":                                 "  x-request-id: mine",
		"127.0.0.1:80 127.0.0.1:81 h:12345":                    "B1 127.0.0.1:81 h:PORT",
	} {
		if got := b.normalise(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestRename(t *testing.T) {
	var routes any
	text := `[{name: b1, route: {cluster: b1}}, {route: {weighted_clusters: {clusters: [{name: b1}]}}}]`
	if err := yaml.Unmarshal([]byte(text), &routes); err != nil {
		t.Fatal(err)
	}
	rename(routes, "", func(name string) string { return "x/" + name })
	out, err := yaml.Marshal(routes)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"name: b1\n", "cluster: x/b1", "name: x/b1"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestMerge(t *testing.T) {
	dst := tree{"a": tree{"x": 1, "y": 2}, "b": []any{1}}
	merge(dst, tree{"a": tree{"y": 3}, "b": []any{2}, "c": 4})
	a := dst["a"].(tree)
	if !maps.Equal(a, tree{"x": 1, "y": 3}) || dst["b"].([]any)[0] != 2 || dst["c"] != 4 {
		t.Errorf("merged to %v", dst)
	}
}
