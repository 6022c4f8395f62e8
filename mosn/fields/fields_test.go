package fields

import (
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func table(t *testing.T, parts ...sdk.FieldStatus) Table {
	t.Helper()
	merged, err := Merge(parts...)
	if err != nil {
		t.Fatal(err)
	}
	return merged
}

func refusals(t Table, m proto.Message, path string) []string {
	var got []string
	t.Check(m.ProtoReflect(), path, func(r Refusal) { got = append(got, r.Error()) })
	slices.Sort(got)
	return got
}

func routes(t *testing.T) Table {
	t.Helper()
	return table(t,
		Message("envoy.config.route.v3.RouteConfiguration", Supported("name", "virtual_hosts"), Ignored("internal_only_headers"), NoEffect("vhds")),
		Message("envoy.config.route.v3.VirtualHost", Supported("name", "domains", "routes", "typed_per_filter_config")),
		Message("envoy.config.route.v3.Route", Supported("match", "route", "metadata")),
		Message("envoy.config.route.v3.RouteMatch", Supported("prefix")),
		Message("envoy.config.route.v3.RouteAction", Supported("cluster", "timeout"), Refused("cluster_header")),
		Message("envoy.config.core.v3.Metadata", Supported("filter_metadata", "typed_filter_metadata")),
	)
}

func TestCheckNamesTheField(t *testing.T) {
	rc := sdktest.Text[routev3.RouteConfiguration](t, `
		name: "r"
		internal_only_headers: "x"
		vhds { config_source { ads {} } }
		virtual_hosts { name: "a" domains: "*" }
		virtual_hosts {
			name: "b" domains: "b"
			routes { match { prefix: "/" } route { cluster: "c" timeout { seconds: 3 } } }
			routes { match { prefix: "/" case_sensitive { value: false } } route { cluster_header: "h" } }
			require_tls: ALL
		}`)
	want := []string{
		"route_config.virtual_hosts[1].require_tls: envoy.config.route.v3.VirtualHost.require_tls is not known to this version",
		"route_config.virtual_hosts[1].routes[1].match.case_sensitive: envoy.config.route.v3.RouteMatch.case_sensitive is not known to this version",
		"route_config.virtual_hosts[1].routes[1].route.cluster_header: envoy.config.route.v3.RouteAction.cluster_header is not built yet",
	}
	if got := refusals(routes(t), rc, "route_config"); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestCheckMapsAndValues(t *testing.T) {
	s, err := structpb.NewStruct(map[string]any{"any": "thing"})
	if err != nil {
		t.Fatal(err)
	}
	route := sdktest.Text[routev3.Route](t, `metadata {}`)
	route.Metadata.FilterMetadata = map[string]*structpb.Struct{"f": s}
	if got := refusals(routes(t), route, ""); got != nil {
		t.Errorf("a Struct was entered: %q", got)
	}
	// A map of messages is entered, with the key in the path.
	tab := table(t, Message("envoy.config.cluster.v3.Cluster", Supported("typed_extension_protocol_options")))
	if got := refusals(tab, route, "x"); !slices.Equal(got, []string{"x.metadata: envoy.config.route.v3.Route.metadata is not known to this version"}) {
		t.Errorf("got %q", got)
	}
}

func TestMergeRefusesContradictions(t *testing.T) {
	a := Message("m", Supported("x", "y"))
	b := Message("m", Supported("x"), NoEffect("y"))
	_, err := Merge(a, b)
	if err == nil || err.Error() != "field m.y is declared supported and no effect here" {
		t.Errorf("got %v", err)
	}
	if tab := table(t, a, a); len(tab) != 2 {
		t.Errorf("the same declared twice gives %v", tab)
	}
}

func TestDeclaredTwicePanics(t *testing.T) {
	for what, fn := range map[string]func(){
		"Message": func() { Message("m", Supported("x"), Refused("x")) },
		"Join":    func() { Join(Message("m", Supported("x")), Message("m", Supported("x"))) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s did not panic", what)
				}
			}()
			fn()
		}()
	}
	if got := Join(Message("a", Supported("x")), Message("b", Ignored("x"))); len(got) != 2 || got["b.x"] != sdk.Ignored {
		t.Errorf("Join = %v", got)
	}
}

func TestWalk(t *testing.T) {
	root := (&routev3.VirtualCluster{}).ProtoReflect().Descriptor()
	tab := table(t, Message("envoy.config.route.v3.VirtualCluster", Supported("headers")), Message("envoy.config.route.v3.Other", Supported("x")))
	missing := tab.Undeclared(root)
	for _, name := range []string{"envoy.config.route.v3.VirtualCluster.name", "envoy.config.route.v3.HeaderMatcher.string_match"} {
		if !slices.Contains(missing, name) {
			t.Errorf("%s is not reported as undeclared", name)
		}
	}
	if slices.Contains(missing, "envoy.type.matcher.v3.StringMatcher.exact") {
		t.Error("the walk went through a field that is not supported")
	}
	if got := tab.Unknown(root); !slices.Equal(got, []string{"envoy.config.route.v3.Other.x"}) {
		t.Errorf("unknown: %q", got)
	}
	if got := (Table{}).Undeclared([]protoreflect.MessageDescriptor{root}...); !slices.Equal(got,
		[]string{"envoy.config.route.v3.VirtualCluster.headers", "envoy.config.route.v3.VirtualCluster.name"}) {
		t.Errorf("of an empty table: %q", got)
	}
}

// TestWalkOfRecursiveMessages: matchers nest without end.
func TestWalkOfRecursiveMessages(t *testing.T) {
	all := Table{}
	root := (&routev3.RouteConfiguration{}).ProtoReflect().Descriptor()
	for {
		missing := all.Undeclared(root)
		if len(missing) == 0 {
			break
		}
		for _, name := range missing {
			all[name] = sdk.Supported
		}
	}
	if len(all) < 200 {
		t.Errorf("only %d fields below a RouteConfiguration", len(all))
	}
	if got := all.Unknown(root); got != nil {
		t.Errorf("unknown: %q", got)
	}
}

func BenchmarkCheck(b *testing.B) {
	rc := &routev3.RouteConfiguration{}
	for range 100 {
		rc.VirtualHosts = append(rc.VirtualHosts, sdktest.Text[routev3.VirtualHost](b, `name: "b" domains: "b" routes { match { prefix: "/" } route { cluster: "c" } }`))
	}
	tab, err := Merge(
		Message("envoy.config.route.v3.RouteConfiguration", Supported("name", "virtual_hosts")),
		Message("envoy.config.route.v3.VirtualHost", Supported("name", "domains", "routes")),
		Message("envoy.config.route.v3.Route", Supported("match", "route")),
		Message("envoy.config.route.v3.RouteMatch", Supported("prefix")),
		Message("envoy.config.route.v3.RouteAction", Supported("cluster")),
	)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		tab.Check(rc.ProtoReflect(), "", func(r Refusal) { b.Fatal(r.Error()) })
	}
}
