package route

import (
	"encoding/json"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"gopkg.in/yaml.v3"

	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// parse reads a RouteConfiguration from YAML, as users write it.
func parse(t testing.TB, text string) *routev3.RouteConfiguration {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	pb := new(routev3.RouteConfiguration)
	if err := protojson.Unmarshal(b, pb); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if err := pb.Validate(); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return pb
}

// compileTable compiles YAML; every cluster is known.
func compileTable(t testing.TB, text string) *Table {
	t.Helper()
	table, err := Compile(sdktest.NewCompiler(t), parse(t, text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// routesOf compiles a table of one virtual host for every host with these routes,
// one to a line.
func routesOf(t testing.TB, routes string) *Table {
	t.Helper()
	return compileTable(t, "virtual_hosts: [{name: all, domains: ['*'], routes: [\n"+routes+"\n]}]")
}

// request makes the headers of a GET to host and path, plus "name: value" lines.
func request(host, path string, lines ...string) *sdk.Headers {
	h := new(sdk.Headers)
	for _, l := range append([]string{":method: GET", ":path: " + path, ":authority: " + host, ":scheme: http", "x-forwarded-proto: http"}, lines...) {
		name, value, _ := strings.Cut(l, ": ")
		h.Set(name, value)
	}
	return h
}

// dump returns the headers as "name: value", those that request makes left out when
// they are as it made them.
func dump(h *sdk.Headers, but ...string) string {
	var b strings.Builder
	skip := map[string]bool{":method": true, ":scheme": true, "x-forwarded-proto": true}
	for _, name := range but {
		skip[name] = true
	}
	for name, value := range h.All() {
		if !skip[name] {
			b.WriteString(name + ": " + value + "\n")
		}
	}
	return b.String()
}

// routeName looks a request up and returns the route's name, "" for none.
func routeName(table *Table, h *sdk.Headers, in *MatchInput) string {
	if in == nil {
		in = &MatchInput{}
	}
	if _, r := table.Match(h, in); r != nil {
		return r.Name
	}
	return ""
}

// mustFail compiles YAML that has to be refused with an error that holds want.
func mustFail(t *testing.T, text, want string) {
	t.Helper()
	_, err := Compile(sdktest.NewCompiler(t), parse(t, text), Options{ValidateClusters: true})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v\nwant one with %q for\n%s", err, want, text)
	}
}

func mustValue(t testing.TB, text string) edit.Value {
	t.Helper()
	v, err := edit.CompileValue(sdktest.NewCompiler(t), text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
